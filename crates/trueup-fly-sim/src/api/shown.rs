//! A machine as answers show it.

use serde_json::{Value, json};

use crate::cloud::{Cloud, date};
use crate::machine::{Event, Host, Machine, State};
use crate::time::Moment;

/// How much of a machine is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// All of it.
    Full,
    /// Without config, checks, events, host status and nonce.
    Summary,
}

/// Who made the events that have a nonce to show.
pub(crate) fn machine(machine: &Machine, detail: Detail, nonce: bool, now: Moment) -> Value {
    let reached = machine.host == Host::Ok;
    let mut shown = json!({
        "id": machine.id,
        "name": machine.name,
        "state": machine.state.word(),
        "region": machine.region,
        "instance_id": machine.instance,
        "version": machine.instance,
        "private_ip": machine.private_ip,
        "image_ref": if reached { image_ref(&machine.config().acted.image) } else { json!({}) },
        "created_at": date(machine.created),
        "updated_at": date(machine.updated),
    });
    if detail == Detail::Summary {
        return shown;
    }
    shown["cordoned"] = json!(machine.cordoned);
    shown["host_status"] = json!(machine.host.word());
    let config = machine.config();
    if reached {
        shown["config"] = config.shown.clone();
        shown["checks"] = machine.checks.iter().map(check).collect();
    } else {
        shown["config"] = Value::Null;
        let part = |name: &str| config.shown.get(name).cloned().unwrap_or(json!({}));
        shown["incomplete_config"] = json!({"guest": part("guest"), "metadata": part("metadata")});
    }
    shown["events"] = machine.events.iter().take(EVENTS_SHOWN).map(event).collect();
    if let Some(lease) = machine.held(now).filter(|_| nonce) {
        shown["nonce"] = json!(lease.nonce);
    }
    shown
}

/// How many events come with a machine.
const EVENTS_SHOWN: usize = 20;

/// The same, as it stood at an earlier moment: what has happened since is in none of its parts.
pub(crate) fn machine_at(found: &Machine, detail: Detail, at: Moment, now: Moment) -> Option<Value> {
    let past = found.at(at)?;
    let mut shown = machine(found, detail, false, now);
    let events = || found.events.iter().filter(|event| event.at <= at);
    let updated = events().next().map_or(past.since, |event| event.at.max(past.since));
    shown["updated_at"] = json!(date(updated));
    if detail == Detail::Full {
        shown["events"] = events().take(EVENTS_SHOWN).map(event).collect();
    }
    shown["state"] = json!(past.state.word());
    shown["instance_id"] = json!(past.version);
    shown["version"] = json!(past.version);
    if detail == Detail::Full
        && found.host == Host::Ok
        && let Some(version) = found.versions.iter().find(|version| version.id == past.version)
    {
        shown["config"] = version.config.shown.clone();
    }
    Some(shown)
}

fn check(check: &crate::machine::CheckResult) -> Value {
    json!({
        "name": check.name,
        "status": if check.passing { "passing" } else { "critical" },
        "output": check.output,
        "updated_at": date(check.changed),
    })
}

pub(crate) fn event(event: &Event) -> Value {
    let mut shown = json!({
        "id": event.id,
        "type": event.kind,
        "status": event.status,
        "source": event.source,
        "timestamp": event.at.millis(),
    });
    if !event.request.is_null() {
        shown["request"] = event.request.clone();
    }
    shown
}

/// The parts of an image's name.
pub(crate) fn image_ref(image: &str) -> Value {
    let (rest, digest) = image.split_once('@').map_or((image, None), |(rest, digest)| (rest, Some(digest)));
    let slash = rest.find('/');
    let named = slash.is_some_and(|at| rest[..at].contains(['.', ':']) || &rest[..at] == "localhost");
    let (registry, path) = match slash.filter(|_| named) {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => ("registry-1.docker.io", rest),
    };
    let (repository, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
    let digest = digest.map_or_else(|| crate::api::secrets::digest_of(image), str::to_owned);
    let digest = if digest.starts_with("sha256:") { digest } else { format!("sha256:{digest}") };
    json!({"registry": registry, "repository": repository, "tag": tag, "digest": digest, "labels": {}})
}

impl Cloud {
    /// Whether lists without the deleted show it.
    pub(crate) fn is_live(state: State) -> bool {
        state != State::Destroyed
    }
}
