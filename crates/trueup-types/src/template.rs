//! What an instance *is*: all that a change of makes a new revision, its probes included.
//!
//! Every optional field is left out of the serialized form when it holds its default, so that digests stay the same
//! when a later version adds a field. Sizes are bytes, waits are [`Duration`]s.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::hook::{Hook, Hooks};
use crate::name::{Label, PortName};
pub use crate::probe::{Check, Probe};
use crate::target::TargetKind;
use crate::time::human;

/// What one instance is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Template {
    /// The container image, as the manifest spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How to build the image, instead of `image`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// Files to ship to a host; no kind of target of this build takes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceTree>,
    /// The program and its first arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Further arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// The user to run as, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Environment variables, in the clear.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Secrets whose every key becomes a variable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFrom>,
    /// Files written beside the instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSpec>,
    /// Ports, the first being `$PORT`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Limits and sizes.
    #[serde(skip_serializing_if = "Resources::is_default")]
    pub resources: Resources,
    /// How many connections or requests one instance bears.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Whether idle instances sleep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autostop: Option<Autostop>,
    /// What becomes of the instances of the release before, which are kept through this one's bake: they run on where
    /// nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bake_keep: Option<BakeKeep>,
    /// Whether a platform that ends TLS answers plain HTTP with a redirect, where that is not its habit here: on Fly it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_https: Option<bool>,
    /// The probes that judge it; none: healthy when it has run unbroken for `minHealthy`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<Probe>,
    /// What happens when it exits by itself.
    #[serde(skip_serializing_if = "Restart::is_default")]
    pub restart: Restart,
    /// How it is asked to go.
    #[serde(skip_serializing_if = "Stop::is_default")]
    pub stop: Stop,
    /// Disks that outlive it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Tasks run once for each release.
    #[serde(skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
}

/// How to build an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// The folder sent to the builder.
    pub context: String,
    /// The recipe within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// Build arguments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// The stage of the recipe that is wanted; its last where it is unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl Build {
    /// The recipe that is meant where none is named.
    pub const RECIPE: &str = "Dockerfile";

    /// The recipe's path within the context.
    #[must_use]
    pub fn recipe(&self) -> &str {
        self.dockerfile.as_deref().unwrap_or(Self::RECIPE)
    }
}

/// Files shipped to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceTree {
    /// The folder, relative to the source root.
    pub path: String,
    /// Names left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// A secret whose every key becomes an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvFrom {
    /// The secret's name.
    pub secret: Label,
}

/// A small file written for the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileSpec {
    /// Where; for processes below the instance's own directory.
    pub path: String,
    /// What it holds.
    pub content: String,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
}

/// A port of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Its name; its protocol's when the manifest gives none.
    pub name: PortName,
    /// The number; `None` is chosen for each instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What is spoken on it.
    pub protocol: Protocol,
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    /// HTTP/1.1 or HTTP/2 in the clear.
    Http,
    /// Any stream.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    /// The word in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Limits and sizes; `None` is the target's own default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// Fly's kind of CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_kind: Option<CpuKind>,
    /// Whole CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Memory limit, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Most processes and threads at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    /// Most open files at once (`RLIMIT_NOFILE`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
}

impl Resources {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Fly's kinds of CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CpuKind {
    /// A share of a core.
    Shared,
    /// A core of its own.
    Performance,
}

/// How much one instance bears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Concurrency {
    /// What is counted.
    pub kind: ConcurrencyKind,
    /// Above this another instance is preferred.
    pub soft: u32,
    /// Above this the instance gets no more.
    pub hard: u32,
}

/// What a concurrency limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConcurrencyKind {
    /// Requests in flight.
    Requests,
    /// Open connections.
    Connections,
}

/// Whether idle instances sleep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Autostop {
    /// How they sleep.
    pub mode: AutostopMode,
    /// How many never sleep.
    pub min_running: u32,
}

/// How idle instances sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AutostopMode {
    /// They do not.
    Off,
    /// Stopped.
    Stop,
    /// Suspended with their memory.
    Suspend,
}

/// What becomes of instances that are kept through a bake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BakeKeep {
    /// They run on: the way back is short.
    Running,
    /// They are stopped, and started where they are needed again.
    Stopped,
}

/// What happens when an instance exits by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Restart {
    /// Which exits are answered with a restart.
    pub policy: RestartPolicy,
    /// Exits that a rollout bears before promotion; one more fails it.
    pub max_retries: u32,
}

impl Restart {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Restart {
    fn default() -> Self {
        Self { policy: RestartPolicy::Always, max_retries: 3 }
    }
}

/// Which exits are answered with a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// All.
    Always,
    /// Those with a code other than 0, or by a signal.
    OnFailure,
    /// None.
    Never,
}

/// How an instance is asked to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stop {
    /// The signal, as `SIGTERM`.
    pub signal: String,
    /// After this long all of its group is killed.
    #[serde(with = "human")]
    pub timeout: Duration,
}

impl Stop {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: "SIGTERM".to_owned(), timeout: Duration::from_secs(30) }
    }
}

/// A disk that outlives the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its name.
    pub name: Label,
    /// Where it is mounted.
    pub path: String,
    /// Its size in bytes, where the target sizes disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

impl Template {
    /// The port of this name.
    #[must_use]
    pub fn port(&self, name: &PortName) -> Option<&Port> {
        self.ports.iter().find(|port| port.name == *name)
    }

    /// Why two instances of this template cannot stand side by side on one host of this kind, if they cannot.
    #[must_use]
    pub fn exclusive(&self, kind: &TargetKind) -> Option<Exclusive> {
        if let Some(volume) = self.volumes.first() {
            return Some(Exclusive::Volume(volume.name.clone()));
        }
        match kind {
            TargetKind::Process => self.ports.iter().find_map(|port| port.port).map(Exclusive::HostPort),
            // Each container and each machine has all ports to itself.
            TargetKind::Docker(_) | TargetKind::Fly(_) => None,
        }
    }
}

/// What makes two instances side by side impossible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exclusive {
    /// A volume has one owner.
    Volume(Label),
    /// A fixed host port has one listener.
    HostPort(u16),
}
