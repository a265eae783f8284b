//! What a `Target` of Fly.io Machines says, and its lowering.

use trueup_types::fly::{FlySpec, TokenFrom};
use trueup_types::{Label, Place};

use crate::diagnostic::Finding;
use crate::field::{Field, Shape};
use crate::node::{Entry, Node, Value};
use crate::{rule, units};

/// Most words of a command that prints a secret.
const WORDS_MAX: usize = 64;

pub(super) const FLY: &[Field] = &[
    Field::new("organization", Shape::Text(rule::LABEL), "The slug of the organisation that owns the apps.").required(),
    Field::new("primaryRegion", Shape::Text(rule::REGION), "Where an app lives that names no `regions`.").required(),
    Field::new(
        "appName",
        Shape::Text(rule::FLY_APP_NAME),
        "How apps are named there: `{app}` and `{organization}` are filled in, `{random6}` is chosen once for an app.",
    )
    .or("{app}-{random6}"),
    Field::new("network", Shape::Text(rule::LABEL), "The private network that its apps are put on.")
        .or("the organisation's own"),
    Field::new("tokenFrom", Shape::Object(SECRET_FROM), "Where the token is: one of `env`, `file` and `exec`.")
        .or("{env: FLY_API_TOKEN}"),
    Field::new("apiUrl", Shape::Text(rule::BASE_URL), "Where the Machines API is.")
        .or("`FLY_FLAPS_BASE_URL` of the daemon's environment, or https://api.machines.dev"),
    Field::new("webUrl", Shape::Text(rule::BASE_URL), "Where the logs are.")
        .or("`apiUrl` where it is written; `FLY_API_BASE_URL` of the daemon's environment, or https://api.fly.io"),
    Field::new(
        "propagation",
        Shape::Text(rule::WAIT),
        "How long the platform's proxy takes to act on a change; so long the old ones stay beside the new.",
    )
    .or("10s"),
    Field::new(
        "flyctlMetadata",
        Shape::Bool,
        "Whether machines carry flyctl's marks: `fly status` shows them then, and `fly deploy` would replace them.",
    )
    .or("false"),
];

pub(super) const SECRET_FROM: &[Field] = &[
    Field::new("env", Shape::Text(rule::VARIABLE), "A variable of the daemon's environment."),
    Field::new("file", Shape::Text(rule::ROOTED), "A file; read when it is needed."),
    Field::new(
        "exec",
        Shape::List { item: &Shape::Text(rule::ARGUMENT), least: 1, most: WORDS_MAX },
        "A command that prints it; run when it is needed.",
    ),
];

/// What a checked `fly:` says; `None` where `check` has found it wrong, or where it says too much.
pub(super) fn lower(entry: &Entry, findings: &mut Vec<Finding>) -> Option<FlySpec> {
    let node = &entry.node;
    let text = |key: &str| node.entry(key).and_then(|entry| entry.node.text()).map(str::to_owned);
    let token_from = match node.entry("tokenFrom") {
        Some(entry) if entry.node.value != Value::Null => secret_from(entry, findings)?,
        Some(_) | None => TokenFrom::Env(FlySpec::TOKEN.to_owned()),
    };
    Some(FlySpec {
        organization: text("organization").and_then(|slug| Label::new(&slug).ok())?,
        primary_region: text("primaryRegion").and_then(|region| Place::new(&region).ok())?,
        app_name: text("appName").unwrap_or_else(|| FlySpec::APP_NAME.to_owned()),
        network: text("network").and_then(|name| Label::new(&name).ok()),
        token_from,
        api_url: text("apiUrl"),
        web_url: text("webUrl"),
        propagation: text("propagation").and_then(|wait| units::wait(&wait).ok()),
        flyctl_metadata: node.entry("flyctlMetadata").is_some_and(|entry| entry.node.value == Value::Bool(true)),
    })
}

/// The one place that a secret is said to be in.
pub(super) fn secret_from(entry: &Entry, findings: &mut Vec<Finding>) -> Option<TokenFrom> {
    let said: Vec<_> = entry.node.entries().iter().filter(|said| said.node.value != Value::Null).collect();
    let known: Vec<_> = said.iter().filter(|said| SECRET_FROM.iter().any(|field| *field.name == *said.key)).collect();
    let [one] = known[..] else {
        // What is no field has been said.
        if known.len() != 1 && known.len() == said.len() {
            let message = format!("`{}` names {} places", entry.key, known.len());
            let finding = Finding::error("manifest::target::token", entry.key_at, message);
            findings.push(finding.help("write one of `env`, `file` and `exec`"));
        }
        return None;
    };
    let text = || one.node.text().map(str::to_owned);
    Some(match &*one.key {
        "env" => TokenFrom::Env(text()?),
        "file" => TokenFrom::File(text()?),
        _ => TokenFrom::Exec(one.node.items().iter().filter_map(Node::text).map(str::to_owned).collect()),
    })
}
