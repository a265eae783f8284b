//! What came of the releases of an app, for people and for rollbacks.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::ReleaseDigest;
use crate::number::Revision;
use crate::order::EnvOf;
use crate::time::Timestamp;

/// What came of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseNote {
    /// Which.
    pub revision: Revision,
    /// Its digest.
    pub digest: ReleaseDigest,
    /// When its rollout began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What came of it; `None` while under way.
    pub outcome: Option<Outcome>,
    /// When it entered each phase.
    #[serde(default)]
    pub phases: Vec<PhaseNote>,
    /// One line, for a failed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Which release it is once more, where a person went back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
}

/// A release once more: a person's rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Again {
    /// Which.
    pub of: Revision,
    /// Whose environment and secrets it has.
    pub env: EnvOf,
    /// Who went back.
    pub by: String,
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rollback to {} by {}{}", self.of, self.by, self.env.told())
    }
}

/// What came of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It met its gate and its bake.
    Live,
    /// It failed and was reverted.
    Reverted,
    /// It failed and there was nothing to revert to, or reverting is off.
    Failed,
    /// A newer one took its place.
    Superseded,
    /// A person went back to it.
    RolledBack,
}

/// When a release entered a phase of its deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseNote {
    /// Which.
    pub phase: DeployPhase,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// The phases of a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeployPhase {
    /// The manifest was read and found good.
    Validate,
    /// Fetch, build, transfer.
    Prepare,
    /// Instances come up.
    Start,
    /// The gate.
    Verify,
    /// Traffic moves.
    Route,
    /// The watch after promotion.
    Bake,
}
