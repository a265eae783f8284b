//! What people are shown: the status document, its conditions, and events.
//!
//! The daemon writes a [`StatusDocument`] to one file; `get`, `describe`, `events` and `wait` read nothing else. It is
//! public: no log lines, no probe bodies, no environment. What is private ([`EvidenceFile`]) lies in a file for each app
//! in the state directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::ReleaseDigest;
use crate::exposure::Certified;
use crate::name::{AppName, InstanceId, Label, OwnerId, Place, TargetName, Task};
use crate::number::{Generation, Percent, Revision};
use crate::observed::ProbeFailure;
use crate::record::{Evidence, Outcome, PhaseNote, Pin, ReleaseNote};
use crate::release::Origin;
use crate::time::Timestamp;
use crate::verdict::{Counts, Verdict};

/// The version of the status document that this build writes; a reader refuses a newer one.
pub const STATUS_VERSION: u32 = 1;

/// The whole status of a daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusDocument {
    /// [`STATUS_VERSION`].
    pub version: u32,
    /// When it was written.
    pub written_at: Timestamp,
    /// The daemon.
    pub daemon: DaemonStatus,
    /// The apps, in name order.
    pub apps: Vec<AppStatus>,
    /// The targets, in name order.
    pub targets: Vec<TargetStatus>,
    /// The newest events, oldest first; at most 1,000.
    pub events: Vec<Event>,
}

/// The daemon's own state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonStatus {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Whose labels it writes.
    pub owner: OwnerId,
    /// When it started.
    pub started_at: Timestamp,
    /// Where the manifests are.
    pub source: String,
    /// Where the edge listens.
    pub listen: Option<String>,
    /// `SourceUnavailable`, `PruneBlocked`, `StateStoreRebuilt`, `StateStoreDegraded`, `StatusDegraded`,
    /// `WatchDegraded`, `EdgeDegraded`: abnormal-true, absent when all is well.
    pub conditions: Vec<Condition>,
    /// Files that do not parse: path and one line.
    #[serde(default)]
    pub faults: Vec<FileFault>,
}

/// A file that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileFault {
    /// Relative to the source root.
    pub file: String,
    /// One line for each error: `line:column message`.
    pub errors: Vec<String>,
}

/// One app's status, shaped as a Kubernetes object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppStatus {
    /// Name and labels.
    pub metadata: AppMetadata,
    /// How it stands.
    pub status: AppState,
}

/// Name and labels of an app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppMetadata {
    /// Its name.
    pub name: AppName,
    /// The generation of the manifest.
    pub generation: Generation,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// How an app stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppState {
    /// The generation that was judged.
    pub observed_generation: Generation,
    /// For programs.
    pub conditions: Vec<Condition>,
    /// The one truth.
    pub verdict: Verdict,
    /// One word for tables: `Ready`, `Progressing`, `Baking`, `Reverting`, `Reverted`, `Waiting`, `Stalled`…
    pub word: String,
    /// Where it lives.
    pub target: TargetName,
    /// What it is called there, where the platform has a name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    /// How many of what.
    pub replicas: Counts,
    /// Its instances, in name order.
    pub instances: Vec<InstanceStatus>,
    /// Its routes.
    pub routes: Vec<RouteStatus>,
    /// The release that it heads for.
    pub release: Option<ReleaseStatus>,
    /// The last good release.
    pub last_good: Option<Revision>,
    /// What was tried and found bad.
    pub rejected: Vec<RejectedStatus>,
    /// Newest first, at most 10.
    pub history: Vec<ReleaseNote>,
    /// What ran once for the releases of the history, newest release first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookStatus>,
    /// What the releases of the history carry, as far as they are kept.
    #[serde(default)]
    pub contents: BTreeMap<Revision, ReleaseContent>,
    /// A person's rollback.
    pub pin: Option<Pin>,
    /// Unset when it has been converged since.
    pub drift: Option<String>,
    /// Its manifest's error, one line, while the last good version is in force.
    pub manifest_error: Option<String>,
    /// The plan's last steps and when, newest first, at most 10: for `why`.
    #[serde(default)]
    pub decisions: Vec<Arc<Decision>>,
    /// When its first release began.
    pub since: Timestamp,
}

/// One hook of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookStatus {
    /// Of which release.
    pub revision: Revision,
    /// Of which kind.
    pub task: Task,
    /// Its name.
    pub name: Label,
    /// What runs it.
    pub instance: InstanceId,
    /// When its end was seen.
    pub ended: Option<Timestamp>,
    /// What was wrong, one line; nothing where it ended well, or has not ended.
    pub failure: Option<String>,
}

/// What was decided once, for `trueup why`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// What woke the tick.
    pub woke_by: String,
    /// The words of `explain`: what was wanted, seen, remembered, and so decided.
    pub lines: Vec<String>,
}

/// One instance, for tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// Its name.
    pub name: InstanceId,
    /// Its revision.
    pub revision: Revision,
    /// One word: `Running`, `Exited`…
    pub phase: String,
    /// One word: `Passing`, `Failed`, `Waiting`, `Unknown`.
    pub health: String,
    /// What its probe last got, without the body.
    pub health_detail: Option<String>,
    /// Exits by itself that are counted.
    pub restarts: u32,
    /// Where it is, at a target that has several places: a region.
    #[serde(default = "Place::here", skip_serializing_if = "Place::is_here")]
    pub place: Place,
    /// The address of its first port.
    pub address: Option<String>,
    /// Opaque: moves with each start.
    pub incarnation: String,
    /// Requests in flight at the ingress.
    pub in_flight: u32,
    /// When it was created.
    pub created: Timestamp,
}

/// One route, for tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// The host.
    pub host: String,
    /// The path prefix.
    pub path: String,
    /// Who answers, with weights.
    pub backends: Vec<String>,
    /// How it stands with its host's certificate, where a platform obtains one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certified>,
}

/// The release that an app heads for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// Its number.
    pub number: Revision,
    /// What it is.
    pub digest: ReleaseDigest,
    /// The image or the command.
    pub image: String,
    /// Where its manifest came from.
    pub origin: Origin,
    /// How far: `Prepare`, `Start`, `Verify`, `Shift`, `Bake`, `Live`.
    pub phase: String,
    /// The share of the traffic that it gets as a canary, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Percent>,
    /// When its rollout began.
    pub started_at: Timestamp,
}

/// What a release carries, for tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseContent {
    /// The image or the command.
    pub image: String,
    /// The commit of its manifest, where it is known.
    pub commit: Option<String>,
}

/// A rejected digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedStatus {
    /// The revision that carried it.
    pub revision: Revision,
    /// The digest.
    pub digest: ReleaseDigest,
    /// When.
    pub at: Timestamp,
    /// One line, without bodies or log lines.
    pub cause: String,
}

/// One target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// Its name.
    pub name: TargetName,
    /// Its kind.
    pub kind: String,
    /// Whether the last survey saw all of it.
    pub reachable: bool,
    /// What went wrong, one line.
    pub message: Option<String>,
    /// Instances of ours on it.
    pub instances: u32,
    /// When it was last seen whole.
    pub seen_at: Option<Timestamp>,
}

/// A Kubernetes-style condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Reconciling`, `Stalled`, `Reverted`, `Degraded`, `Suspended`, `Pinned`, `ManifestInvalid`,
    /// `DependencyNotReady`, `RolloutHeld`, `AwaitingApproval`, `HookRunning`, `CertificateReady`, or one of the daemon's.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: ConditionStatus,
    /// One word in CamelCase.
    pub reason: String,
    /// One line: cause, then consequence.
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
    /// The generation that was judged; 0 for the daemon's.
    #[serde(default)]
    pub observed_generation: Generation,
}

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

/// Something that happened, repeats folded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Counts up, for followers.
    pub sequence: u64,
    /// First time.
    pub first: Timestamp,
    /// Last time.
    pub last: Timestamp,
    /// How often.
    pub count: u32,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// One word in CamelCase.
    pub reason: String,
    /// The app, where it is about one.
    pub app: Option<AppName>,
    /// The release, where it is about one.
    pub revision: Option<Revision>,
    /// One line.
    pub message: String,
}

impl Event {
    /// The object as tables show it: `app/web`, or `daemon`.
    #[must_use]
    pub fn object(&self) -> String {
        self.app.as_ref().map_or_else(|| "daemon".to_owned(), |app| format!("app/{app}"))
    }

    /// Whether `other` is the same thing happening again.
    #[must_use]
    pub fn repeats(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.reason == other.reason
            && self.app == other.app
            && self.revision == other.revision
            && self.message == other.message
    }
}

/// How loud an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// As intended.
    Normal,
    /// Someone should look.
    Warning,
}

/// What was found on a failed release: private, kept after the revert, newest first in the app's evidence file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceFile {
    /// Which release.
    pub revision: Revision,
    /// Its digest.
    pub digest: ReleaseDigest,
    /// When it was rejected.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// What it failed on.
    pub evidence: Evidence,
    /// Template lines that changed against the last good release: `- old`, `+ new`.
    pub diff: Vec<String>,
    /// Its phases, and how long each took.
    pub timeline: Vec<PhaseNote>,
    /// The last probe answers, by instance.
    pub probes: BTreeMap<String, ProbeFailure>,
    /// The last 50 log lines, by instance.
    pub logs: BTreeMap<String, Vec<String>>,
    /// Commit and author.
    pub origin: Origin,
}
