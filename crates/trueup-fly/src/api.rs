//! What the Machines API answers, as far as it is read: every field may be absent, every word is open.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::moment::WallMillis;

/// A machine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Machine {
    pub id: String,
    pub name: String,
    pub state: String,
    pub region: String,
    /// Its version: another one with each update.
    pub instance_id: String,
    pub private_ip: String,
    /// Null where its host does not say.
    pub config: Value,
    /// What is known of it where its host does not say.
    pub incomplete_config: Value,
    pub created_at: String,
    pub updated_at: String,
    /// Newest first.
    pub events: Option<Vec<Event>>,
    pub checks: Option<Vec<CheckStatus>>,
    pub host_status: String,
    pub cordoned: Option<bool>,
    /// What proves the lease that it was born with.
    pub nonce: String,
}

impl Machine {
    /// Its labels.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let of = |config: &Value| {
            let labels = config.get("metadata")?.as_object()?;
            let word = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
            Some(labels.iter().filter_map(word).collect())
        };
        of(&self.config).or_else(|| of(&self.incomplete_config)).unwrap_or_default()
    }

    /// What happened to it, newest first.
    pub(crate) fn events(&self) -> &[Event] {
        self.events.as_deref().unwrap_or_default()
    }

    /// Whether its host can be asked.
    pub(crate) fn reached(&self) -> bool {
        self.host_status.is_empty() || self.host_status == "ok"
    }

    pub(crate) fn created(&self) -> Option<WallMillis> {
        WallMillis::read(&self.created_at)
    }

    pub(crate) fn updated(&self) -> WallMillis {
        WallMillis::read(&self.updated_at).unwrap_or_default()
    }

    /// Whether it is gone, or about to be.
    pub(crate) fn is_going(&self) -> bool {
        matches!(self.state.as_str(), "destroying" | "destroyed")
    }

    /// The mounted volumes.
    pub(crate) fn volumes(&self) -> Vec<String> {
        let mounts = self.config.get("mounts").and_then(Value::as_array);
        let ids = mounts.into_iter().flatten().filter_map(|mount| mount.get("volume")?.as_str());
        ids.map(str::to_owned).collect()
    }
}

/// Something that happened to a machine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Event {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    pub request: Value,
}

impl Event {
    /// How a program ended, where this is about that; two shapes were seen.
    pub(crate) fn exit(&self) -> Option<&Value> {
        let found = self.request.get("exit_event");
        found.or_else(|| self.request.get("MonitorEvent")?.get("exit_event")).filter(|exit| !exit.is_null())
    }
}

/// What a check last said.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct CheckStatus {
    pub name: String,
    pub status: String,
    pub output: String,
    /// When that changed last.
    pub updated_at: String,
}

/// A page of an organisation's listing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OrgPage {
    pub machines: Vec<Row>,
    pub next_cursor: String,
    /// Regions that the listing does not know all of.
    pub error_regions: Option<Vec<String>>,
}

/// A machine in an organisation's listing: a hint.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Row {
    pub id: String,
    pub app_name: String,
    pub state: String,
    pub region: String,
    pub instance_id: String,
    pub updated_at: String,
    pub config: Value,
}

impl Row {
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.config.get("metadata").and_then(Value::as_object);
        let word = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        labels.into_iter().flatten().filter_map(word).collect()
    }
}

/// An app, as shown and as listed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct App {
    pub name: String,
    pub organization: Organization,
}

/// Whose an app is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Organization {
    pub slug: String,
}

/// All apps of an organisation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Apps {
    pub apps: Vec<App>,
}

/// A volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Volume {
    pub id: String,
    pub name: String,
    pub region: String,
    pub state: String,
    pub attached_machine_id: Option<String>,
}

impl Volume {
    /// Whether it is on its way out: such are listed for a while.
    pub(crate) fn is_going(&self) -> bool {
        let words =
            ["scheduling_destroy", "fork_cleanup", "waiting_for_detach", "pending_destroy", "destroying", "destroyed"];
        words.contains(&self.state.as_str())
    }

    /// Which machine has it.
    pub(crate) fn held_by(&self) -> Option<&str> {
        let id = self.attached_machine_id.as_deref()?;
        // After a machine has gone its id was seen as zeros.
        Some(id).filter(|id| !id.is_empty() && id.chars().any(|c| c != '\0'))
    }
}

/// What the tokens that we came with are good for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CurrentToken {
    pub tokens: Vec<TokenShown>,
}

/// One of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TokenShown {
    /// The only apps that it opens; absent, or none, where it opens all.
    pub apps: Option<Vec<String>>,
}

/// The addresses of an app.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ips {
    pub ips: Vec<Ip>,
}

/// An address; what kind it is is not said.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ip {
    pub ip: String,
    pub shared: bool,
}

/// What a command answered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ran {
    pub exit_code: Option<i32>,
    pub exit_signal: Option<i32>,
    pub stdout: Option<String>,
    pub stderr: Option<String>,
}

/// A page of a log.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogPage {
    pub data: Vec<LogEntry>,
    pub meta: LogMeta,
}

/// A line of a log.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogEntry {
    pub attributes: LogLine,
}

/// What a line of a log says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogLine {
    pub timestamp: String,
    pub message: String,
    pub instance: String,
}

/// Where a log goes on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogMeta {
    pub next_token: String,
}

/// The certificates of an app.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Certificates {
    pub certificates: Vec<Certificate>,
}

/// A certificate, and what the DNS needs for it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Certificate {
    pub hostname: String,
    /// It is there.
    pub configured: bool,
    /// `active`, `pending_ownership` or `pending_validation`.
    pub status: String,
    pub dns_requirements: Dns,
    pub rate_limited_until: String,
}

impl Certificate {
    pub(crate) fn is_there(&self) -> bool {
        self.configured || self.status == "active"
    }
}

/// What the DNS needs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Dns {
    pub a: Vec<String>,
    pub aaaa: Vec<String>,
    pub cname: String,
    pub acme_challenge: Challenge,
    pub ownership: Ownership,
}

/// What proves a name before its traffic comes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Challenge {
    pub name: String,
    pub target: String,
}

/// What proves whose a name is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ownership {
    pub name: String,
    pub app_value: String,
}

/// Secrets of an app: their names and digests, and the version after a change.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Secrets {
    secrets: Vec<Secret>,
    pub version: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Secret {
    name: String,
    digest: String,
}

impl Secrets {
    /// By name.
    pub(crate) fn digests(&self) -> BTreeMap<String, String> {
        self.secrets.iter().map(|secret| (secret.name.clone(), secret.digest.clone())).collect()
    }
}
