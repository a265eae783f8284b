//! How to get there: never restarts an instance by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::analysis::Analysis;
use crate::name::AppName;
use crate::number::{Percent, Quantity};
use crate::time::human;
use crate::window::Window;

/// How an app is brought to a release, and kept there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// In which order old gives way to new.
    pub strategy: Strategy,
    /// Why the order is stop-first, where the app cannot have two instances side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_first: Option<String>,
    /// Instances above the wanted number while rolling.
    pub max_surge: Quantity,
    /// Instances below the wanted number while rolling.
    pub max_unavailable: Quantity,
    /// Health must hold this long, unbroken.
    #[serde(with = "human")]
    pub min_healthy: Duration,
    /// Longest an instance may take to be healthy; below `progress_deadline`.
    #[serde(with = "human")]
    pub healthy_deadline: Duration,
    /// Longest a rollout may go without progress.
    #[serde(with = "human")]
    pub progress_deadline: Duration,
    /// The watch kept after promotion.
    #[serde(with = "human")]
    pub bake: Duration,
    /// Unrouted instances finish what they have, at most this long.
    #[serde(with = "human")]
    pub drain: Duration,
    /// Whether a failed rollout is reverted or held.
    pub revert: RevertMode,
    /// The steps of a canary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<CanaryStep>,
    /// Why a canary's share is made of whole instances, where it is: its ingress cannot weigh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_count: Option<String>,
    /// When rollouts may begin; always, where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// Apps that are Ready before this one is created or rolled.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub depends_on: BTreeSet<AppName>,
    /// How many releases are remembered, and how long.
    pub history: History,
    /// Observe and report, change nothing.
    #[serde(default)]
    pub suspend: bool,
}

/// In which order old gives way to new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// All new ones beside the old, one shift, the old kept through the bake.
    BlueGreen,
    /// One by one.
    Rolling,
    /// By weight, step by step.
    Canary,
    /// Stop the old, then start the new.
    Recreate,
}

impl Strategy {
    /// The word in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlueGreen => "blueGreen",
            Self::Rolling => "rolling",
            Self::Canary => "canary",
            Self::Recreate => "recreate",
        }
    }
}

/// What follows a failed rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RevertMode {
    /// Back to the last good release at once.
    Auto,
    /// Traffic goes back, the rest waits for a person.
    Hold,
}

/// One step of a canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStep {
    /// The share of traffic that goes to the new release.
    pub weight: Percent,
    /// How long it is watched.
    #[serde(default, with = "human", skip_serializing_if = "Duration::is_zero")]
    pub pause: Duration,
    /// Whether a person must say `promote`.
    #[serde(default)]
    pub approve: bool,
    /// What is asked while it lasts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub analysis: Vec<Analysis>,
}

/// How many releases are remembered, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Most releases kept, at least 1, at most 100.
    pub limit: u32,
    /// Older ones go, but never the current and the last good.
    #[serde(with = "human")]
    pub keep_for: Duration,
}
