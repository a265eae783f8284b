//! What registries are told about us: the manifests' `Registry`, then a configuration file of Docker's with its helpers.
//!
//! All of it is read anew for each pull, so that a password that was changed is shown from then on. What cannot be read is
//! an error, never no credentials. No byte of a secret is in an error.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use trueup_host::{Command, Host as _, LocalHost};
use trueup_types::docker::DockerSpec;
use trueup_types::fly::TokenFrom;

/// The registry of images that name none.
const HUB: &str = "docker.io";
/// How the configuration file spells it.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// What the programs that keep credentials are called, before their own name.
const HELPER: &str = "docker-credential-";
/// Longest such a program may take: some ask a server.
const HELPER_PATIENCE: Duration = Duration::from_secs(15);
/// Most bytes that it may answer with.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The user by whom a helper says that what it holds is a token.
const TOKEN_USER: &str = "<token>";
/// What helpers say of a registry that they know nothing of.
const UNKNOWN: &str = "credentials not found";

/// The environment of the daemon, as far as programs that keep credentials, and manifests, are shown it.
pub type Env = std::sync::Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Who asks a registry.
pub(crate) struct Asker {
    /// `None` where nobody is known to it.
    pub credentials: Option<DockerCredentials>,
    /// In words, for people.
    pub told: String,
}

/// The part of Docker's `config.json` that we read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    identitytoken: Option<String>,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The registry that an image is fetched from: what stands before the first `/` and has a dot, a colon, or is
/// `localhost`.
pub(crate) fn registry(image: &str) -> &str {
    let first = image.split_once('/').map(|(first, _)| first);
    first.filter(|first| first.contains(['.', ':']) || *first == "localhost").unwrap_or(HUB)
}

/// Who asks for images of a registry.
///
/// # Errors
/// One line, when what should hold the credentials cannot be read.
pub(crate) async fn asker(settings: &DockerSpec, env: &Env, registry: &str) -> Result<Asker, String> {
    if let Some(named) = settings.registries.iter().find(|named| named.host == registry) {
        let told = format!("`{}` of the Registry `{}` ({})", named.username, named.name, named.password_from);
        let password =
            secret(&named.password_from, env).await.map_err(|why| format!("Registry {}: {why}", named.name))?;
        return Ok(Asker { credentials: Some(credentials(registry, &named.username, password)), told });
    }
    let Some(file) = &settings.registry_auth_from else {
        let told = "who shows no credentials (no Registry names it, and the target names no `registryAuthFrom`)";
        return Ok(Asker { credentials: None, told: told.to_owned() });
    };
    let found = of_file(Path::new(file), registry, env).await?;
    Ok(found.unwrap_or_else(|| Asker {
        credentials: None,
        told: format!("who shows no credentials (no Registry names it, and {file} has none for it)"),
    }))
}

/// What every registry that is known is told, for a build that may fetch from any.
///
/// # Errors
/// As [`asker`], of the first that cannot be read.
pub(crate) async fn all(settings: &DockerSpec, env: &Env) -> Result<HashMap<String, DockerCredentials>, String> {
    let mut names: Vec<String> = settings.registries.iter().map(|named| named.host.clone()).collect();
    if let Some(file) = &settings.registry_auth_from {
        let config = read(Path::new(file))?;
        names.extend(config.auths.keys().chain(config.cred_helpers.keys()).map(|name| bare(name).to_owned()));
    }
    let mut all = HashMap::new();
    for name in names {
        let name = if bare(HUB_KEY) == name { HUB.to_owned() } else { name };
        if let Some(credentials) = asker(settings, env, &name).await?.credentials {
            let key = if name == HUB { HUB_KEY.to_owned() } else { name };
            all.insert(key, credentials);
        }
    }
    Ok(all)
}

fn credentials(registry: &str, user: &str, password: String) -> DockerCredentials {
    let token = user == TOKEN_USER;
    DockerCredentials {
        username: (!token).then(|| user.to_owned()),
        password: (!token).then(|| password.clone()),
        identitytoken: token.then_some(password),
        serveraddress: Some(if registry == HUB { HUB_KEY } else { registry }.to_owned()),
        ..DockerCredentials::default()
    }
}

async fn of_file(file: &Path, registry: &str, env: &Env) -> Result<Option<Asker>, String> {
    let config = read(file)?;
    let is_it = |name: &str| bare(name) == registry || (registry == HUB && name == HUB_KEY);
    let named = config.cred_helpers.iter().find(|(name, _)| is_it(name)).map(|(_, helper)| helper);
    let shown = file.display();
    if let Some(helper) = named.or(config.creds_store.as_ref()) {
        let key = if registry == HUB { HUB_KEY } else { registry };
        let answer = ask_helper(helper, key, env).await.map_err(|why| format!("{shown}: {why}"))?;
        if let Some(answer) = answer {
            let told = format!("`{}` of {HELPER}{helper} ({shown})", answer.username);
            return Ok(Some(Asker { credentials: Some(credentials(registry, &answer.username, answer.secret)), told }));
        }
    }
    let Some((name, auth)) = config.auths.iter().find(|(name, _)| is_it(name)) else { return Ok(None) };
    let plain = STANDARD.decode(&auth.auth).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let Some((user, password)) = plain.split_once(':') else {
        // Where a store keeps them, the file holds an empty place for each.
        let empty = auth.auth.is_empty() && config.creds_store.is_some();
        return if empty { Ok(None) } else { Err(format!("{shown}: what it holds for {name} is not `user:password`")) };
    };
    let found = DockerCredentials {
        identitytoken: auth.identitytoken.clone(),
        ..credentials(registry, user, password.to_owned())
    };
    Ok(Some(Asker { credentials: Some(found), told: format!("`{user}` of {shown}") }))
}

fn read(file: &Path) -> Result<Config, String> {
    let text = std::fs::read(file).map_err(|why| format!("{}: {why}", file.display()))?;
    // What serde says of a file may quote it.
    serde_json::from_slice(&text)
        .map_err(|why| format!("{} is not a Docker configuration (line {})", file.display(), why.line()))
}

/// A registry's name without what a browser would want before and behind it.
fn bare(name: &str) -> &str {
    name.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/')
}

/// Asks a program that keeps credentials; `None` where it knows of none.
async fn ask_helper(helper: &str, key: &str, env: &Env) -> Result<Option<Answer>, String> {
    let program = format!("{HELPER}{helper}");
    let mut command = command(vec![program.clone(), "get".to_owned()], env);
    command.stdin = key.as_bytes().to_vec();
    let output = LocalHost.exec(&command).await.map_err(|_| format!("`{program}` cannot be started"))?;
    match output.code {
        Some(0) => {}
        // It says so on standard output. Of anything else, nobody knows what it quotes.
        Some(_) if String::from_utf8_lossy(&output.stdout).contains(UNKNOWN) => return Ok(None),
        Some(code) => return Err(format!("`{program}` ended with {code}")),
        None => return Err(format!("`{program}` took longer than {} s", HELPER_PATIENCE.as_secs())),
    }
    let answer = serde_json::from_slice(&output.stdout);
    answer.map(Some).map_err(|_| format!("`{program}` answered nothing that can be read"))
}

/// The password of a `Registry`.
async fn secret(from: &TokenFrom, env: &Env) -> Result<String, String> {
    let text = match from {
        TokenFrom::Env(name) => env(name).ok_or_else(|| format!("{from} is not set"))?,
        TokenFrom::File(path) => std::fs::read_to_string(path).map_err(|why| format!("{from}: {}", why.kind()))?,
        TokenFrom::Exec(words) => {
            let output = LocalHost.exec(&command(words.clone(), env)).await;
            let output = output.map_err(|_| format!("{from} cannot be started"))?;
            match output.code {
                Some(0) => String::from_utf8(output.stdout).map_err(|_| format!("{from} prints no text"))?,
                Some(code) => return Err(format!("{from} ended with {code}")),
                None => return Err(format!("{from} took longer than {} s", HELPER_PATIENCE.as_secs())),
            }
        }
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err(format!("{from} is empty")) } else { Ok(text.to_owned()) }
}

/// A command with what such programs look for in the environment, and nothing else of it.
fn command(words: Vec<String>, env: &Env) -> Command {
    let shown = ["PATH", "HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
    let env = shown.iter().filter_map(|name| Some(((*name).to_owned(), env(name)?))).collect();
    let mut words = words.into_iter();
    Command {
        program: words.next().unwrap_or_default(),
        args: words.collect(),
        env,
        workdir: None,
        stdin: Vec::new(),
        timeout: HELPER_PATIENCE,
        // Both streams share it.
        output_max: 2 * ANSWER_BYTES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use trueup_types::docker::RegistrySpec;

    use super::*;

    fn named(host: &str, from: TokenFrom) -> RegistrySpec {
        RegistrySpec {
            name: "ours".parse().expect("a name"),
            host: host.to_owned(),
            username: "ci".to_owned(),
            password_from: from,
        }
    }

    fn bare_env() -> Env {
        Arc::new(|name| (name == "REGISTRY_TOKEN").then(|| "swordfish".to_owned()))
    }

    fn file_of(folder: &Path, text: &str) -> DockerSpec {
        let path = folder.join("config.json");
        std::fs::write(&path, text).expect("it is written");
        DockerSpec { registry_auth_from: Some(path.display().to_string()), ..DockerSpec::default() }
    }

    fn shown(asker: &Asker) -> (Option<&str>, Option<&str>) {
        let found = asker.credentials.as_ref();
        (found.and_then(|one| one.username.as_deref()), found.and_then(|one| one.password.as_deref()))
    }

    #[test]
    fn the_registry_is_told_from_the_first_folder_of_a_name() {
        let of =
            ["web", "library/web:1", "localhost/web", "10.0.0.1:5000/web", "registry.example.com/shop/api@sha256:00"];
        let registries = ["docker.io", "docker.io", "localhost", "10.0.0.1:5000", "registry.example.com"];
        assert_eq!(of.map(registry), registries);
    }

    #[tokio::test]
    async fn credentials_are_found_by_registry_and_a_broken_file_shows_nothing_of_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = r#"{"auths": {"https://reg.example.com/": {"auth": "dTpwOnE="}, "odd.example.com": {}}}"#;
        let settings = file_of(folder.path(), text);
        let found = asker(&settings, &bare_env(), "reg.example.com").await.expect("it reads");
        assert_eq!(shown(&found), (Some("u"), Some("p:q")));
        assert!(found.told.contains("`u`") && found.told.contains("config.json"), "{}", found.told);
        let other = asker(&settings, &bare_env(), "other.example.com").await.expect("it reads");
        assert!(other.credentials.is_none() && other.told.contains("no credentials"), "{}", other.told);
        let odd = asker(&settings, &bare_env(), "odd.example.com").await.err().expect("there is nothing in it");
        assert!(odd.contains("user:password"), "{odd}");
        let known = all(&file_of(folder.path(), &text.replace(r#", "odd.example.com": {}"#, "")), &bare_env()).await;
        assert_eq!(known.expect("it reads").keys().collect::<Vec<_>>(), ["reg.example.com"]);
        let settings = file_of(folder.path(), r#"{"auths": {"a.b": "swordfish"}}"#);
        let broken = asker(&settings, &bare_env(), "a.b").await.err().expect("it is broken");
        assert!(!broken.contains("swordfish"), "{broken}");
    }

    #[tokio::test]
    async fn a_registry_of_the_manifests_comes_first_and_says_where_its_password_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = file_of(folder.path(), r#"{"auths": {"r.example.com": {"auth": "dTpwOnE="}}}"#);
        settings.registries = vec![named("r.example.com", TokenFrom::Env("REGISTRY_TOKEN".to_owned()))];
        let found = asker(&settings, &bare_env(), "r.example.com").await.expect("it is set");
        assert_eq!(shown(&found), (Some("ci"), Some("swordfish")));
        assert_eq!(found.told, "`ci` of the Registry `ours` (the variable REGISTRY_TOKEN)");
        settings.registries = vec![named("r.example.com", TokenFrom::Env("OTHER".to_owned()))];
        let unset = asker(&settings, &bare_env(), "r.example.com").await.err().expect("it is not set");
        assert_eq!(unset, "Registry ours: the variable OTHER is not set");
        let words = ["/bin/sh", "-c", "echo from-a-command"].map(str::to_owned).to_vec();
        settings.registries = vec![named("r.example.com", TokenFrom::Exec(words))];
        let found = asker(&settings, &bare_env(), "r.example.com").await.expect("it prints one");
        assert_eq!(shown(&found), (Some("ci"), Some("from-a-command")));
    }

    #[tokio::test]
    async fn a_helper_is_asked_for_its_registry_and_what_it_does_not_know_is_no_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = "#!/bin/sh\nread -r host\ncase \"$1 $host\" in\n\
            'get r.example.com') echo '{\"ServerURL\":\"r\",\"Username\":\"helped\",\"Secret\":\"swordfish\"}';;\n\
            'get t.example.com') echo '{\"ServerURL\":\"t\",\"Username\":\"<token>\",\"Secret\":\"tok\"}';;\n\
            'get broken.example.com') echo 'swordfish is locked'; exit 3;;\n\
            *) echo 'credentials not found in native keychain'; exit 1;;\nesac\n";
        let helper = folder.path().join("docker-credential-toy");
        std::fs::write(&helper, script).expect("it is written");
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("it may be run");
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let env: Env = Arc::new(move |name| (name == "PATH").then(|| path.clone()));
        let settings = file_of(folder.path(), r#"{"credsStore": "toy", "auths": {"u.example.com": {}}}"#);
        let of = async |registry: &str| asker(&settings, &env, registry).await;
        let found = of("r.example.com").await.expect("it is known");
        assert_eq!(shown(&found), (Some("helped"), Some("swordfish")));
        assert!(found.told.contains("docker-credential-toy"), "{}", found.told);
        let token = of("t.example.com").await.expect("it is known").credentials.expect("it is there");
        assert_eq!((token.username, token.identitytoken.as_deref()), (None, Some("tok")));
        assert!(of("u.example.com").await.expect("that is no error").credentials.is_none());
        let broken = of("broken.example.com").await.err().expect("it is locked");
        assert!(broken.contains("ended with 3") && !broken.contains("swordfish"), "{broken}");
        let missing = file_of(folder.path(), r#"{"credHelpers": {"r.example.com": "none"}}"#);
        let missing = asker(&missing, &env, "r.example.com").await.err().expect("there is no such program");
        assert!(missing.contains("docker-credential-none"), "{missing}");
    }
}
