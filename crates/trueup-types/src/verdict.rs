//! How an app stands, and when to look again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::desired::{Doubt, Hold};
use crate::number::{Generation, Revision};
use crate::record::AppRecord;
use crate::step::Step;
use crate::time::Timestamp;

/// What was decided for one app.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Plan {
    /// The memory after this decision; saved before the first step.
    pub record: AppRecord,
    /// What closes the gap, in order.
    pub steps: Vec<Step>,
    /// How it stands.
    pub verdict: Verdict,
    /// When to look again.
    pub wake: Wake,
}

/// The one truth about an app; conditions are computed from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// How it stands.
    pub state: State,
    /// The generation that was judged.
    pub generation: Generation,
    /// The release that it serves, or heads for.
    pub revision: Option<Revision>,
    /// How many of what.
    pub counts: Counts,
    /// Whether it serves what its last good release promises: enough passing instances, routed where it has routes.
    pub serving: bool,
    /// The wanted digest is rejected, and an older release serves.
    pub reverted: bool,
    /// A person's rollback holds.
    pub pinned: bool,
    /// What is not as it should be though it serves.
    pub degraded: Option<String>,
    /// One line: cause, then consequence.
    pub message: String,
}

/// How an app stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// As wanted, or as near as a rejected digest allows.
    Ready,
    /// Every instance has done its work and exited with 0.
    Completed,
    /// On its way.
    Progressing,
    /// Promoted, and watched.
    Baking,
    /// Going back.
    Reverting,
    /// Held back by something else.
    Waiting(Hold),
    /// It will not get better by itself.
    Stalled(Stall),
    /// A person, or the manifest, said: change nothing.
    Suspended,
    /// Being taken down.
    Removing,
    /// Nothing of it is left: its record may go.
    Gone,
    /// Left running and forgotten: its record may go.
    Orphaned,
    /// Nobody knows.
    Unknown(Doubt),
}

/// Why an app will not get better by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stall {
    /// The release failed and no good one exists.
    NothingToRevertTo,
    /// The revert itself failed.
    RevertFailed,
    /// The rollout failed, and `revert: hold` waits for a person.
    Held,
    /// The plan broke a law, and nothing was done.
    Bug(String),
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Wanted.
    pub desired: u32,
    /// Of the release that it heads for.
    pub updated: u32,
    /// Passing.
    pub ready: u32,
    /// Passing for `minHealthy`, and routed where it has routes.
    pub available: u32,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub enum Wake {
    /// When something changes.
    OnChange,
    /// At this moment, or when something changes.
    At(Timestamp, WakeReason),
}

impl Wake {
    /// The earlier of two.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::OnChange, wake) | (wake, Self::OnChange) => wake,
            (Self::At(a, why_a), Self::At(b, why_b)) => {
                if b < a {
                    Self::At(b, why_b)
                } else {
                    Self::At(a, why_a)
                }
            }
        }
    }
}

/// What a wake waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WakeReason {
    /// A gate's `minHealthy`.
    Gate,
    /// A `healthyDeadline` or `progressDeadline`.
    Deadline,
    /// The end of a bake.
    Bake,
    /// The end of a canary's pause.
    Pause,
    /// The end of a hook's time.
    Hook,
    /// The end of a drain.
    Drain,
    /// The end of a back-off.
    Backoff,
    /// A look at what a step has done.
    LookAgain,
    /// A permit that may come.
    Permit,
}

impl fmt::Display for WakeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gate => "health gate",
            Self::Deadline => "deadline",
            Self::Bake => "bake",
            Self::Pause => "pause",
            Self::Hook => "hook",
            Self::Drain => "drain",
            Self::Backoff => "back-off",
            Self::LookAgain => "look again",
            Self::Permit => "permit",
        })
    }
}

/// A law that a plan would break: a bug, and so nothing of the plan is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// The number of the law in ARCHITECTURE.md.
    pub law: u8,
    /// What would happen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law {}: {}", self.law, self.detail)
    }
}
