//! The rules that texts in manifests follow, each with its noun, an example and a bound.

use std::str::FromStr;

use trueup_types::analysis::Expectation;
use trueup_types::fly::FlySpec;
use trueup_types::pattern::HostPattern;
use trueup_types::target::DockerSpec;
use trueup_types::window;
use trueup_types::{AppName, Label, TargetName};

use crate::field::Rule;
use crate::units;

/// Longest environment value and argument, in bytes: `MAX_ARG_STRLEN` of Linux, less the name.
const ARGUMENT_BYTES_MAX: usize = 128 * 1024 - 512;
/// Longest path, in bytes: `PATH_MAX` of Linux.
const PATH_BYTES_MAX: usize = 4096;
/// Longest content of one file, in bytes: it is kept in memory and in every stored release.
const CONTENT_BYTES_MAX: usize = 256 * 1024;
/// Longest name of any kind, in bytes; names have closer limits of their own.
const WORD_BYTES_MAX: usize = 256;

const fn rule(noun: &'static str, example: &'static str, most: usize, check: fn(&str) -> Result<(), String>) -> Rule {
    Rule { noun, example, pattern: None, most, check }
}

impl Rule {
    const fn pattern(self, pattern: &'static str) -> Self {
        Self { pattern: Some(pattern), ..self }
    }
}

const LABEL_PATTERN: &str = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
const DURATION_PATTERN: &str = "^[0-9]";

pub(crate) const APP: &Rule = &rule("an app's name", "web", WORD_BYTES_MAX, named::<AppName>).pattern(LABEL_PATTERN);
pub(crate) const TARGET: &Rule =
    &rule("a target's name", "local", WORD_BYTES_MAX, named::<TargetName>).pattern(LABEL_PATTERN);
pub(crate) const LABEL: &Rule = &rule("a name", "ready", WORD_BYTES_MAX, named::<Label>).pattern(LABEL_PATTERN);
pub(crate) const REGION: &Rule = &rule("a region", "iad", WORD_BYTES_MAX, named::<Label>).pattern(LABEL_PATTERN);
pub(crate) const WAIT: &Rule =
    &rule("a duration", "30s", WORD_BYTES_MAX, |text| units::wait(text).map(drop)).pattern(DURATION_PATTERN);
pub(crate) const TIMEOUT: &Rule =
    &rule("a duration", "30s", WORD_BYTES_MAX, |text| units::timeout(text).map(drop)).pattern(DURATION_PATTERN);
pub(crate) const INTERVAL: &Rule =
    &rule("a duration", "10s", WORD_BYTES_MAX, |text| units::interval(text).map(drop)).pattern(DURATION_PATTERN);
pub(crate) const KEEP: &Rule =
    &rule("a duration", "7d", WORD_BYTES_MAX, |text| units::keep(text).map(drop)).pattern(DURATION_PATTERN);
pub(crate) const MODE: &Rule =
    &rule("a file mode", "\"0644\"", WORD_BYTES_MAX, |text| units::mode(text).map(drop)).pattern("^[0-7]{3,4}$");
pub(crate) const HOST: &Rule =
    &rule("a host name", "api.example.com", WORD_BYTES_MAX, |text| units::host(text).map(drop))
        .pattern("^[A-Za-z0-9_.-]+$");
pub(crate) const HOSTS: &Rule =
    &rule("how hosts are called", "{stage}-{app}.apps.example.com", WORD_BYTES_MAX, |text| {
        HostPattern::from_str(text).map(drop)
    });
pub(crate) const REQUEST_PATH: &Rule = &rule("a path", "/", PATH_BYTES_MAX, units::request_path).pattern("^/");
pub(crate) const PROBE_PATH: &Rule = &rule("a path", "/health", PATH_BYTES_MAX, units::probe_path).pattern("^/");
pub(crate) const ROOTED: &Rule =
    &rule("a path that begins with `/`", "/data", PATH_BYTES_MAX, units::rooted).pattern("^/");
pub(crate) const PATH: &Rule = &rule("a path", "config.toml", PATH_BYTES_MAX, not_empty);
pub(crate) const WITHIN: &Rule = &rule("a path within a folder", "docker/web.Dockerfile", PATH_BYTES_MAX, within);
pub(crate) const IMAGE: &Rule = &rule("an image", "registry.example.com/shop/api:1.4.2", WORD_BYTES_MAX * 2, one_word);
pub(crate) const USER: &Rule = &rule("a user's name or number", "www-data", WORD_BYTES_MAX, one_word);
pub(crate) const SIGNAL: &Rule = &rule("a signal", "SIGTERM", WORD_BYTES_MAX, signal).pattern("^SIG[A-Z0-9]+$");
pub(crate) const ARGUMENT: &Rule = &rule("text", "--verbose", ARGUMENT_BYTES_MAX, no_nul);
pub(crate) const NOTE: &Rule = &rule("text", "\"true\"", ARGUMENT_BYTES_MAX, no_nul);
pub(crate) const CONTENT: &Rule = &rule("text", "\"…\"", CONTENT_BYTES_MAX, |_| Ok(()));
pub(crate) const VARIABLE: &Rule =
    &rule("the name of a variable", "RUST_LOG", WORD_BYTES_MAX, variable).pattern("^[^=]+$");
pub(crate) const SECRET_KEY: &Rule =
    &rule("the name of a variable", "DATABASE_URL", WORD_BYTES_MAX, secret_key).pattern("^[A-Za-z_][A-Za-z0-9_]*$");
pub(crate) const KEY: &Rule = &rule("a key", "stack", WORD_BYTES_MAX, one_word);
pub(crate) const URL: &Rule =
    &rule("an address", "http://127.0.0.1:9090", PATH_BYTES_MAX, units::url).pattern("^http://");
pub(crate) const POINTER: &Rule = &rule("a JSON pointer", "/errors/rate", PATH_BYTES_MAX, units::pointer).pattern("^/");
pub(crate) const EXPECTATION: &Rule =
    &rule("what a value is to be", "\"< 0.01\"", WORD_BYTES_MAX, |text| Expectation::from_str(text).map(drop))
        .pattern("^(<|<=|>|>=|==|!=) *[^ ]");
pub(crate) const CRON: &Rule = &rule("a cron pattern", "0 9 * * MON-FRI", WORD_BYTES_MAX, window::cron);
pub(crate) const TIME_ZONE: &Rule = &rule("a time zone", "Europe/Berlin", WORD_BYTES_MAX, window::time_zone);
pub(crate) const ANY_TEXT: &Rule = &rule("text", "v1", WORD_BYTES_MAX, no_nul);

pub(crate) const ENGINE: &Rule =
    &rule("an engine's address", "unix:///var/run/docker.sock", PATH_BYTES_MAX, engine).pattern("^(unix:///|tcp://)");
pub(crate) const REGISTRY: &Rule =
    &rule("a registry's host", "registry.example.com:5000", WORD_BYTES_MAX, registry).pattern("^[A-Za-z0-9.:-]+$");
pub(crate) const IP: &Rule = &rule("an address", "10.0.0.2", WORD_BYTES_MAX, ip);
pub(crate) const GATEWAY: &Rule = &rule("an address", "10.0.0.2", WORD_BYTES_MAX, gateway);
pub(crate) const FLY_APP_NAME: &Rule =
    &rule("how apps are named", "ampel-{app}", WORD_BYTES_MAX, fly_app_name).pattern("^[a-z0-9{][a-z0-9{}-]*$");
pub(crate) const BASE_URL: &Rule =
    &rule("an address", "https://api.machines.dev", PATH_BYTES_MAX, units::base_url).pattern("^https?://");
pub(crate) const CAPABILITY: &Rule = &rule("a capability", "NET_RAW", WORD_BYTES_MAX, capability).pattern("^[A-Z_]+$");

fn named<T: FromStr<Err = trueup_types::NameError>>(text: &str) -> Result<(), String> {
    use trueup_types::NameError as Wrong;
    T::from_str(text).map(drop).map_err(|wrong| match wrong {
        Wrong::Empty => "is empty".to_owned(),
        Wrong::TooLong { length, limit, .. } => format!("has {length} characters, at most {limit} are allowed"),
        Wrong::Character { character, .. } => {
            format!("holds `{}`; only lower-case letters, digits and `-` are allowed", character.escape_default())
        }
        Wrong::Edge { .. } => "begins or ends with `-`".to_owned(),
        Wrong::Instance { .. } => "is not a name".to_owned(),
    })
}

fn no_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("holds a NUL, which no program can be given".to_owned()) } else { Ok(()) }
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    no_nul(text)
}

/// A path that neither begins at the root nor climbs out, in its plainest spelling.
fn within(text: &str) -> Result<(), String> {
    not_empty(text)?;
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("does not stay within the folder, or is not in its plainest spelling".to_owned());
    }
    Ok(())
}

fn one_word(text: &str) -> Result<(), String> {
    not_empty(text)?;
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) { Err("holds a space".to_owned()) } else { Ok(()) }
}

fn variable(text: &str) -> Result<(), String> {
    one_word(text)?;
    if text.contains('=') { Err("holds `=`".to_owned()) } else { Ok(()) }
}

/// What shells, engines and platforms all take for a name.
fn secret_key(text: &str) -> Result<(), String> {
    if trueup_types::secret::is_key(text) {
        return Ok(());
    }
    Err("is not made of letters, digits and `_`, or begins with a digit".to_owned())
}

fn signal(text: &str) -> Result<(), String> {
    if units::SIGNALS.contains(&text) {
        return Ok(());
    }
    Err(format!("is not one of {}", units::SIGNALS.join(", ")))
}

fn engine(text: &str) -> Result<(), String> {
    one_word(text)?;
    if text.starts_with("ssh://") {
        return Err("is behind SSH, which is not served; forward its socket, and name that one".to_owned());
    }
    if let Some(host) = text.strip_prefix(DockerSpec::TCP) {
        let port = host.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        return match port {
            Some((host, 1..)) if !host.is_empty() && !host.contains('/') => Ok(()),
            Some(_) | None => Err(format!("is not `{}HOST:PORT`", DockerSpec::TCP)),
        };
    }
    match text.strip_prefix(DockerSpec::SCHEME) {
        Some(path) => units::rooted(path),
        None => Err(format!("does not begin with `{}`", DockerSpec::SCHEME)),
    }
}

/// What stands before the first `/` of an image's name.
fn registry(text: &str) -> Result<(), String> {
    one_word(text)?;
    if text.contains("//") || text.contains('/') {
        return Err("is more than a host; write it as images name it, without `https://`".to_owned());
    }
    if !text.contains(['.', ':']) && text != "localhost" {
        return Err("holds neither a dot nor a port, so that no image's name begins with it".to_owned());
    }
    Ok(())
}

fn ip(text: &str) -> Result<(), String> {
    text.parse::<std::net::IpAddr>().map(drop).map_err(|_| "is not an IP address".to_owned())
}

fn gateway(text: &str) -> Result<(), String> {
    if text == "host-gateway" { Ok(()) } else { ip(text) }
}

fn fly_app_name(text: &str) -> Result<(), String> {
    if !text.contains(FlySpec::APP) {
        return Err(format!("does not hold `{}`: all apps would have one name", FlySpec::APP));
    }
    let filled = [FlySpec::APP, FlySpec::ORGANIZATION, FlySpec::RANDOM].iter().fold(text.to_owned(), |text, part| {
        // Each stands for letters.
        text.replace(part, "x")
    });
    if filled.contains(['{', '}']) {
        let known = [FlySpec::APP, FlySpec::ORGANIZATION, FlySpec::RANDOM].join(", ");
        return Err(format!("has something else than {known} in braces"));
    }
    named::<Label>(&filled)
}

fn capability(text: &str) -> Result<(), String> {
    let known = |c: char| c.is_ascii_uppercase() || c == '_';
    if text.is_empty() || !text.chars().all(known) {
        return Err("is not in capital letters".to_owned());
    }
    Ok(())
}
