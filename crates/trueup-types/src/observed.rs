//! What is there: one app's share of what the surveys and the probes saw.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::desired::Doubt;
use crate::digest::ReleaseDigest;
use crate::name::{InstanceId, Label, Place, PortName, TargetName};
use crate::release::Release;
use crate::route::AppRoutes;
use crate::time::Timestamp;

/// One app, as seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// When the oldest sight in it was taken.
    pub at: Timestamp,
    /// Since when sight of all its targets has been unbroken; time before it does not count as watched.
    pub sighted_since: Timestamp,
    /// Everything of the app that carries our owner label and serves, on all its targets, in name order.
    pub instances: Vec<Instance>,
    /// What runs its hooks, or has run them.
    pub tasks: Vec<Instance>,
    /// What the ingress does for it.
    pub routes: RouteSight,
}

impl Observed {
    /// Sorts what was seen into what serves and what runs hooks.
    #[must_use]
    pub fn sorted(at: Timestamp, sighted_since: Timestamp, seen: Vec<Instance>, routes: RouteSight) -> Self {
        let (tasks, instances) = seen.into_iter().partition(|one| one.sighting.id.task.is_some());
        Self { at, sighted_since, instances, tasks, routes }
    }
}

/// One instance, as seen, with its health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// What the runtime saw.
    pub sighting: Sighting,
    /// On which target.
    pub target: TargetName,
    /// What the probes found.
    pub health: Health,
}

/// One instance, as a runtime sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sighting {
    /// Its derived name.
    pub id: InstanceId,
    /// Which life of that name this is; moves with each start.
    pub incarnation: Incarnation,
    /// What it is, read from its label.
    pub release: ReleaseDigest,
    /// Where on the target.
    pub place: Place,
    /// How far it has come.
    pub phase: Phase,
    /// Where its ports answer, be it only to its own platform. What is not here is not routed.
    #[serde(default)]
    pub addresses: BTreeMap<PortName, SocketAddr>,
    /// What its platform's checks say, where they stand for the probes that ask at an address: those are not asked from
    /// here then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Health>,
    /// What a check says that its image brings and its engine asks: one more source beside the probes. Nothing where there is
    /// none, or where it may never be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Health>,
    /// When this name was created.
    pub created: Timestamp,
    /// The whole release, where the runtime can give it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Arc<Release>>,
}

/// Which life of an instance: opaque text of the runtime, equal only for the same start.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub Arc<str>);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far an instance has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Made, not started.
    Created,
    /// On its way up.
    Starting,
    /// Up.
    #[serde(rename_all = "camelCase")]
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// Put to sleep by its platform.
    Asleep,
    /// Down.
    #[serde(rename_all = "camelCase")]
    Exited {
        /// Its exit code, where it is known; 128 + signal for a signal.
        code: Option<i32>,
        /// When.
        at: Timestamp,
        /// Of whose doing.
        why: ExitWhy,
    },
    /// Told to go, not yet gone.
    #[serde(rename_all = "camelCase")]
    Vanishing {
        /// Since when, where it is known.
        since: Timestamp,
    },
}

/// Of whose doing an exit is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExitWhy {
    /// Its own: counts against its release.
    ByItself,
    /// It was told to stop.
    Asked,
    /// Its host went down or restarted: counts against nothing.
    HostLost,
    /// It could not be started at all (no such command, no such user): never worth another try.
    CannotStart {
        /// What the system said.
        detail: String,
    },
}

/// What the probes found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// Not yet passing, within its grace.
    Waiting,
    /// Every probe passes.
    #[serde(rename_all = "camelCase")]
    Passing {
        /// Since when, unbroken.
        since: Timestamp,
    },
    /// A probe fails.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Since when.
        since: Timestamp,
        /// What it last answered.
        last: ProbeFailure,
    },
    /// Nobody has asked, or the asking failed: evidence of nothing.
    Unknown,
}

/// What a probe got instead of what it wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeFailure {
    /// Which probe.
    pub probe: Label,
    /// When.
    pub at: Timestamp,
    /// One line: what was wrong.
    pub detail: String,
    /// The HTTP status, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The first 1 KiB of the body, for evidence only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

/// What the ingress does for an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteSight {
    /// The ingress answered.
    Seen(RouteSeen),
    /// It did not: plans that need routing wait.
    Unknown(Doubt),
}

/// What an ingress answered for one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteSeen {
    /// What it routes; empty entries when nothing.
    pub share: AppRoutes,
    /// Requests and tunnels in flight, by instance, over all live ingress processes; absent is 0.
    pub in_flight: BTreeMap<InstanceId, u32>,
}
