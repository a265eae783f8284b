//! A machine's config, as the Machines API spells it: what [`crate::lower()`] makes and the runtime sends.
//!
//! All words are open text and all fields may be absent: the platform adds words and fields at any time. Durations are
//! text in Go's spelling, for a bare number would be nanoseconds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineConfig {
    /// The image, by tag or digest.
    pub image: String,
    /// Environment variables, in the clear.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What is run.
    #[serde(skip_serializing_if = "Init::is_empty")]
    pub init: Init,
    /// How large it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<Guest>,
    /// Labels; they change without a restart.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Volumes, one at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// What the proxy sends it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Checks, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, Check>,
    /// What happens when it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// How it is asked to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_config: Option<StopConfig>,
    /// Files written before it starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// How it is found by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
}

/// What is run in a machine; the image's own where it is unset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Init {
    /// In place of the image's entry point and arguments together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exec: Vec<String>,
    /// In place of the image's arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
}

impl Init {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How large a machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guest {
    /// `shared` or `performance`.
    pub cpu_kind: String,
    /// How many CPUs.
    pub cpus: u32,
    /// Memory, in MiB.
    pub memory_mb: u64,
}

/// A volume of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// The volume's id.
    pub volume: String,
    /// Where it is mounted.
    pub path: String,
}

/// One port of a machine that the proxy sends requests to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The port within the machine.
    pub internal_port: u16,
    /// The ports that the world sees.
    pub ports: Vec<ServicePort>,
    /// How much one machine bears.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// `off`, `stop` or `suspend`; answers say `false` and `true` for the first two.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub autostop: serde_json::Value,
    /// Whether a request wakes one that sleeps; never text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autostart: Option<bool>,
    /// How many never sleep, in the primary region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_machines_running: Option<u32>,
}

/// A port that the world sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServicePort {
    /// Its number.
    pub port: u16,
    /// What the proxy does with what comes there; nothing for plain TCP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub handlers: Vec<String>,
    /// Whether plain HTTP is sent on to HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_https: Option<bool>,
}

/// How much one machine bears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Concurrency {
    /// `requests` or `connections`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Above this another machine is preferred.
    pub soft_limit: u32,
    /// Above this the machine gets no more.
    pub hard_limit: u32,
}

/// A check that the platform makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// `tcp` or `http`.
    #[serde(rename = "type")]
    pub how: String,
    /// `informational`, or `readiness`, which keeps requests from a machine that fails it.
    pub kind: String,
    /// The port within the machine.
    pub port: u16,
    /// What is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// From one check to the next.
    pub interval: String,
    /// Longest wait for an answer.
    pub timeout: String,
    /// So long after the start failures do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<String>,
}

/// What happens when a machine ends by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restart {
    /// `no`, `on-failure` or `always`.
    pub policy: String,
    /// How often, where the policy is `on-failure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
}

/// How a machine is asked to go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StopConfig {
    /// The signal.
    pub signal: String,
    /// After this long it is killed.
    pub timeout: String,
}

/// A file written before a machine starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct File {
    /// Where, as an absolute path.
    pub guest_path: String,
    /// What it holds, in base64.
    pub raw_value: String,
    /// Permission bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// How a machine is found by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Whether it is not.
    pub skip_registration: bool,
}

/// A duration as Go reads it: `1m30s`, `500ms`.
#[must_use]
pub fn go(wait: Duration) -> String {
    let millis = wait.as_millis();
    if millis.is_multiple_of(1_000) { format!("{}s", millis / 1_000) } else { format!("{millis}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_text_that_go_reads() {
        let spelled = [0, 500, 1_000, 90_000, 61_500].map(|millis| go(Duration::from_millis(millis)));
        assert_eq!(spelled, ["0s", "500ms", "1s", "90s", "61500ms"]);
    }
}
