//! What is to be done, and what came of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::desired::Doubt;
use crate::name::{InstanceId, Place, TargetName};
use crate::observed::Incarnation;
use crate::release::Release;
use crate::route::AppRoutes;
use crate::template::Stop;

/// One step of a plan: idempotent, and so specific that execution has no choice left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What.
    pub action: StepAction,
    /// Why.
    pub why: Why,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepAction {
    /// Through a runtime.
    Target {
        /// Which target.
        target: TargetName,
        /// What there.
        step: TargetStep,
    },
    /// Through the ingress: this app's whole share.
    Route {
        /// The share.
        share: AppRoutes,
    },
}

/// What a runtime is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetStep {
    /// With one instance.
    Instance(InstanceStep),
}

/// What is done with one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InstanceStep {
    /// Makes and starts it. The same name with the same digest is `AlreadyTrue`, with another `Refused(NameTaken)`.
    Create {
        /// Its name.
        id: InstanceId,
        /// Where on the target.
        place: Place,
        /// What it is.
        release: Arc<Release>,
    },
    /// Starts one that is down: a new incarnation. One that runs is `AlreadyTrue`.
    Start {
        /// Its name.
        id: InstanceId,
        /// The life that ended; another one there is `AlreadyTrue`.
        ended: Incarnation,
    },
    /// Asks one to go; it is killed after the timeout. One that is down or absent is `AlreadyTrue`. Does not wait.
    Stop {
        /// Its name.
        id: InstanceId,
        /// The life that is meant; another one there is `AlreadyTrue`.
        incarnation: Incarnation,
        /// How.
        stop: Stop,
    },
    /// Removes what is left of one that is down. One that is absent is `AlreadyTrue`, one that runs is refused.
    Remove {
        /// Its name.
        id: InstanceId,
        /// The life that is meant; another one there is `AlreadyTrue`.
        incarnation: Incarnation,
    },
}

impl InstanceStep {
    /// Whose step it is.
    #[must_use]
    pub fn id(&self) -> &InstanceId {
        match self {
            Self::Create { id, .. } | Self::Start { id, .. } | Self::Stop { id, .. } | Self::Remove { id, .. } => id,
        }
    }

    /// The verb, for logs.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Remove { .. } => "remove",
        }
    }
}

impl fmt::Display for StepAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target { step: TargetStep::Instance(step), .. } => write!(f, "{} {}", step.verb(), step.id()),
            Self::Route { share } => {
                let mut backends: Vec<String> = Vec::new();
                for backend in share.entries.iter().flat_map(|entry| &entry.backends) {
                    let text = format!("{}={}", backend.instance, backend.weight);
                    if !backends.contains(&text) {
                        backends.push(text);
                    }
                }
                write!(f, "route {} to [{}]", share.app, backends.join(" "))
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.action, self.why)
    }
}

/// Why a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// A rollout needs it.
    Rollout,
    /// A revert needs it.
    Revert,
    /// One is missing, dead, failing or altered.
    Replace,
    /// It runs again after an exit.
    Restart,
    /// More are wanted.
    ScaleUp,
    /// Fewer are wanted.
    ScaleDown,
    /// It belongs to a release that is no longer wanted.
    Stale,
    /// Its drain has ended.
    Drained,
    /// Health or wish changed who gets traffic.
    Reroute,
    /// A hook is to run, or has had its time.
    Hook,
    /// The app is gone.
    Gone,
    /// The app moved to another target.
    Moved,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rollout => "rollout",
            Self::Revert => "revert",
            Self::Replace => "replace",
            Self::Restart => "restart",
            Self::ScaleUp => "scale up",
            Self::ScaleDown => "scale down",
            Self::Stale => "stale",
            Self::Drained => "drained",
            Self::Reroute => "reroute",
            Self::Hook => "hook",
            Self::Gone => "gone",
            Self::Moved => "moved",
        })
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum StepOutcome {
    /// It was done.
    Done,
    /// It was so already.
    AlreadyTrue,
    /// Not now.
    Retry {
        /// Not before so long.
        after: Duration,
        /// One line.
        why: String,
    },
    /// Not yet: it is being done, and takes its time. No failure.
    Underway {
        /// Look again after so long.
        after: Duration,
        /// How far it is, one line.
        why: String,
        /// What was said of it since the last look, line by line.
        said: Vec<String>,
    },
    /// Not like this, ever.
    Refused {
        /// Why.
        why: Refusal,
    },
    /// Nobody knows: look again.
    Unknown {
        /// What is not known.
        why: Doubt,
    },
}

impl StepOutcome {
    /// Whether the next step of the plan still rests on firm ground.
    #[must_use]
    pub fn settled(&self) -> bool {
        match self {
            Self::Done | Self::AlreadyTrue => true,
            Self::Underway { .. } | Self::Retry { .. } | Self::Refused { .. } | Self::Unknown { .. } => false,
        }
    }
}

/// Why a step can never be done as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The name is held by another digest.
    NameTaken,
    /// What the release asks for is wrong for this target: no such command, user, image; a bad value.
    Invalid(String),
    /// The target does not serve this.
    NotServed(String),
    /// It does not carry our owner label.
    Foreign,
    /// It is not there any more: nobody's fault, and the next look shows it.
    Gone,
    /// It runs, and would have to be stopped first.
    StillRunning,
    /// An older generation than the one in place.
    Superseded,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTaken => f.write_str("the name is taken by another release"),
            Self::Invalid(why) => f.write_str(why),
            Self::NotServed(what) => write!(f, "{what} is not served by this target"),
            Self::Foreign => f.write_str("it is not ours"),
            Self::Gone => f.write_str("it is not there any more"),
            Self::StillRunning => f.write_str("it still runs"),
            Self::Superseded => f.write_str("a newer one is in place"),
        }
    }
}

/// A step with what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepResult {
    /// The step.
    pub step: Step,
    /// What came of it.
    pub outcome: StepOutcome,
}
