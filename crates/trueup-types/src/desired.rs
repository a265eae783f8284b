//! What is wanted: a fully resolved app, or that it is gone, or that nobody knows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::{IntentDigest, ReleaseDigest, TemplateDigest};
use crate::exposure::Exposure;
use crate::name::{AppName, Place, TargetName};
use crate::policy::Policy;
use crate::release::{Origin, Release};
use crate::template::Template;
use crate::time::Timestamp;

/// Most instances of one app in one place: ten times what one host bears.
pub const REPLICAS_MAX: u32 = 1_000;
/// Most places of one app: the platform with the most has some forty regions.
pub const PLACES_MAX: usize = 100;

/// The wanted state of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wanted {
    /// It shall be there.
    Present(Arc<DesiredApp>),
    /// Its manifest went away.
    Gone {
        /// Why.
        cause: Cause,
        /// What becomes of what runs.
        prune: Prune,
    },
    /// Nobody knows: no creates, no removes.
    Held {
        /// Why not.
        why: Doubt,
    },
}

/// Why an app is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// Its manifest was removed.
    Removed,
    /// Its set has a limit, and it was the oldest.
    Evicted,
}

/// What becomes of the instances of a removed app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Prune {
    /// They are drained, stopped and removed.
    #[default]
    Delete,
    /// They are left running and forgotten.
    Orphan,
}

/// What is not known, and so keeps hands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Doubt {
    /// The directory of manifests is missing, unreadable, emptied or on another device.
    SourceUnavailable(String),
    /// The app's file has never parsed.
    ManifestInvalid(String),
    /// The store was lost and not every target has been looked at since.
    StoreRebuilt,
    /// The target did not answer, or not wholly.
    TargetDark(String),
    /// A step was tried and nobody knows what came of it.
    OutcomeUnknown(String),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceUnavailable(why) => write!(f, "the source is unavailable: {why}"),
            Self::ManifestInvalid(why) => write!(f, "the manifest is invalid: {why}"),
            Self::StoreRebuilt => f.write_str("the store was rebuilt and not every target has been seen since"),
            Self::TargetDark(why) => write!(f, "the target cannot be seen: {why}"),
            Self::OutcomeUnknown(why) => write!(f, "the outcome is unknown: {why}"),
        }
    }
}

/// An app with every default applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredApp {
    /// Its name.
    pub name: AppName,
    /// Moves with any edit of what is wanted.
    pub intent: IntentDigest,
    /// What an instance is.
    pub template: Arc<Template>,
    /// The digest of `template`, computed once.
    pub template_digest: TemplateDigest,
    /// How to get there.
    pub policy: Policy,
    /// Who may reach it.
    pub exposure: Exposure,
    /// Where it lives.
    pub placement: Placement,
    /// Filled by the driver before planning.
    pub inputs: Inputs,
    /// What becomes of it when its manifest goes.
    pub prune: Prune,
    /// Labels, for people and selectors.
    pub labels: BTreeMap<String, String>,
    /// Where it came from.
    pub origin: Origin,
}

impl DesiredApp {
    /// The digest of the release that it wants, with `restarts` counted in.
    #[must_use]
    pub fn release_digest(&self, restarts: u32) -> ReleaseDigest {
        Release::digest_of(self.template_digest, &self.inputs_with(restarts))
    }

    /// The inputs, with a person's restarts counted in.
    #[must_use]
    pub fn inputs_with(&self, restarts: u32) -> Inputs {
        Inputs { restarts, ..self.inputs.clone() }
    }

    /// With what its secrets were read as; a changed value is an edit of what is wanted.
    #[must_use]
    pub fn with_secrets(&self, fingerprints: BTreeMap<String, String>) -> Self {
        let mut whole = self.clone();
        whole.intent = IntentDigest::of(&(self.intent, &fingerprints));
        whole.inputs.secret_fingerprints = fingerprints;
        whole
    }

    /// What of it is beyond all bounds, in one line: what comes from a manifest never is.
    #[must_use]
    pub fn beyond(&self) -> Option<String> {
        let spread = &self.placement.spread;
        if spread.len() > PLACES_MAX {
            return Some(format!("{}: {} places, and {PLACES_MAX} are the most", self.name, spread.len()));
        }
        let (place, count) = spread.iter().find(|(_, count)| **count > REPLICAS_MAX)?;
        Some(format!("{}: {count} instances in `{place}`, and {REPLICAS_MAX} in one place are the most", self.name))
    }

    /// The wanted number of instances, over all places.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.placement.spread.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The digest of all that an edit can change, for [`DesiredApp::intent`].
    #[must_use]
    pub fn intent_of(
        template: TemplateDigest,
        policy: &Policy,
        exposure: &Exposure,
        placement: &Placement,
        prune: Prune,
    ) -> IntentDigest {
        IntentDigest::of(&(template, policy, exposure, placement, prune))
    }
}

/// Where the instances live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// The runtime.
    pub target: TargetName,
    /// How many in each place; one default place where a target has only one.
    pub spread: BTreeMap<Place, u32>,
}

/// What the driver resolves before planning; part of a release's digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Inputs {
    /// Image reference to content digest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
    /// Secret to a keyed fingerprint of its values; never the values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_fingerprints: BTreeMap<String, String>,
    /// Shipped folder to the digest of its files.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub trees: BTreeMap<String, String>,
    /// How often a person asked for a restart.
    #[serde(skip_serializing_if = "is_zero")]
    pub restarts: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What other apps, caps, guards and doubt allow this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permits {
    /// May instances be created or started?
    pub create: Result<(), Hold>,
    /// May instances be stopped or removed, may routes be taken away?
    pub destroy: Result<(), Hold>,
    /// May a new rollout begin?
    pub start_rollout: Result<(), Hold>,
    /// How the apps that this one depends on stand.
    pub dependencies: BTreeMap<AppName, Readiness>,
}

impl Permits {
    /// Nothing is held back.
    #[must_use]
    pub fn all() -> Self {
        Self { create: Ok(()), destroy: Ok(()), start_rollout: Ok(()), dependencies: BTreeMap::new() }
    }
}

/// Whether an app that others depend on is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Readiness {
    /// At its wanted release, and serving.
    Ready,
    /// Not yet, or no longer.
    NotReady,
    /// No manifest of that name.
    Missing,
}

/// What holds an app back though nothing is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Hold {
    /// So many rollouts are under way already.
    RolloutCap {
        /// The most at a time.
        limit: u32,
    },
    /// So many apps vanished at once that a person must say `approve prune`.
    PruneBlocked {
        /// How many are waiting.
        waiting: u32,
    },
    /// Rollouts may not begin at this time.
    #[serde(rename_all = "camelCase")]
    Window {
        /// When they may; unset where no window ever opens.
        opens: Option<Timestamp>,
    },
    /// These are not Ready.
    Dependencies(Vec<AppName>),
    /// These go too, and depend on it.
    Dependents(Vec<AppName>),
    /// A route that another app still holds.
    RouteHeld {
        /// The route, as `host/path`.
        route: String,
        /// Who holds it.
        by: AppName,
    },
    /// The store cannot save.
    StoreDegraded,
    /// Something is not known.
    InDoubt(Doubt),
    /// The pass has destroyed as many as one pass may.
    DestroyCap {
        /// The most at a time.
        limit: u32,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolloutCap { limit: 1 } => f.write_str("1 rollout is under way, the most at a time"),
            Self::RolloutCap { limit } => write!(f, "{limit} rollouts are under way, the most at a time"),
            Self::PruneBlocked { waiting } => {
                write!(f, "{waiting} apps vanished at once; `trueup approve prune` lets them go")
            }
            Self::Window { opens: Some(opens) } => write!(f, "rollouts may begin at {opens}"),
            Self::Window { opens: None } => f.write_str("rollouts may not begin, and no window ever opens"),
            Self::Dependencies(apps) => {
                let names: Vec<_> = apps.iter().map(AppName::as_str).collect();
                write!(f, "not Ready yet: {}", names.join(", "))
            }
            Self::Dependents(apps) => {
                let names: Vec<_> = apps.iter().map(AppName::as_str).collect();
                write!(f, "what depends on it goes first: {}", names.join(", "))
            }
            Self::RouteHeld { route, by } => write!(f, "the route {route} is still held by {by}"),
            Self::StoreDegraded => f.write_str("the store cannot save; new rollouts wait"),
            Self::InDoubt(doubt) => doubt.fmt(f),
            Self::DestroyCap { limit } => write!(f, "{limit} apps were destroyed in this pass, the most at a time"),
        }
    }
}
