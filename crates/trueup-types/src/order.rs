//! A person's word to one app, and why it may be denied.

use serde::{Deserialize, Serialize};

use crate::number::Revision;

/// What a person asks of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "order")]
pub enum Order {
    /// Go back to a release, and stay there.
    Rollback {
        /// Which; the last good one before the current when left out.
        #[serde(default)]
        to: Option<Revision>,
        /// Whose environment and secrets it gets.
        #[serde(default)]
        env: EnvOf,
    },
    /// Try a rejected digest again.
    Retry,
    /// End a pin or a person's suspend.
    Resume,
    /// Observe and report, change nothing.
    Suspend,
    /// Replace every instance with a fresh one, as a rollout.
    Restart,
    /// End the bake, or the canary's step, at once.
    Promote,
    /// End the bake, or all steps of the canary, at once; the bake is kept.
    PromoteFully,
    /// Fail the rollout at once.
    Abort,
    /// Look now.
    Reconcile,
}

/// Whose environment and secrets a release gets that a person goes back to.
///
/// The environment is `env`, `envFrom` and the values of the secrets that it names. All else is the release's own, its
/// `files` too: they are written for the program that reads them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EnvOf {
    /// Its own, as it had them then.
    #[default]
    Then,
    /// Those that the manifest gives now.
    Now,
}

impl EnvOf {
    /// What follows the name of the release in a sentence; nothing where it has its own.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Then => "",
            Self::Now => ", with the environment of now",
        }
    }
}

impl Order {
    /// The verb, as on the command line.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Rollback { .. } => "rollback",
            Self::Retry => "retry",
            Self::Resume => "resume",
            Self::Suspend => "suspend",
            Self::Restart => "restart",
            Self::Promote | Self::PromoteFully => "promote",
            Self::Abort => "abort",
            Self::Reconcile => "reconcile",
        }
    }
}

/// Why an order is denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The release is not in the history.
    #[error("release {0} is not in the history; `trueup get releases` lists what is")]
    NoSuchRelease(Revision),
    /// The release never met its gate.
    #[error("release {0} never met its gate; a rollback goes only to a release that was once good")]
    NeverGood(Revision),
    /// There is nothing before the current release.
    #[error("there is no earlier good release to go back to")]
    NothingEarlier,
    /// The manifest that has the environment of now is not in force.
    #[error("no manifest of it is in force, and so nobody knows the environment of now; leave out --current-env")]
    NoEnvironment,
    /// Only the environment was another.
    #[error("release {0} differs from what runs only in its environment; with that of now nothing would change")]
    OnlyEnvironment(Revision),
    /// With the environment of now it is the manifest's own.
    #[error(
        "release {0} with the environment of now is what the manifest asks for; `trueup retry` tries that again, and \
         `trueup resume` ends a rollback"
    )]
    WhatIsWanted(Revision),
    /// What is pinned stays as it is.
    #[error("it is pinned to {0}, and stays as it is; `trueup resume` ends that")]
    HeldByPin(Revision),
    /// Nothing is rejected.
    #[error("nothing is rejected; there is nothing to retry")]
    NothingRejected,
    /// Neither pinned nor suspended by a person.
    #[error("it is neither pinned nor suspended by a person; there is nothing to resume")]
    NothingToResume,
    /// Already suspended.
    #[error("it is suspended already")]
    AlreadySuspended,
    /// No rollout is under way or baking.
    #[error("no rollout is under way")]
    NoRollout,
    /// Promotion is for a baking release, or a canary's step.
    #[error("the rollout has not met its gate yet; `promote` ends a bake, or a step of a canary")]
    NotBaking,
    /// It has never run.
    #[error("it has no release yet")]
    NoRelease,
}
