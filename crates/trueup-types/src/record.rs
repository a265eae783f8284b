//! What only memory knows of an app: small, saved only when it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::analysis::Tally;
use crate::desired::Prune;
use crate::digest::{IntentDigest, ReleaseDigest, TemplateDigest};
use crate::name::{AppName, InstanceId, Label, TargetName, Task};
use crate::number::{Generation, Revision};
use crate::observed::{Incarnation, ProbeFailure};
use crate::order::EnvOf;
use crate::release::Release;
use crate::time::{Stopwatch, Timestamp};

pub use crate::history::{Again, DeployPhase, Outcome, PhaseNote, ReleaseNote};

/// Most rejected digests remembered for an app; the oldest goes first. A digest that comes back after so many others is
/// tried again, which costs one revert.
pub const REJECTED_MAX: usize = 32;

/// The memory of one app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppRecord {
    /// Edits of intent seen so far.
    pub generation: Generation,
    /// The intent of that generation.
    pub intent: Option<IntentDigest>,
    /// The highest revision given out, ever.
    pub highest: Revision,
    /// The last release that met its gate and its bake.
    pub current: Option<Revision>,
    /// The passage to a release.
    pub rollout: Rollout,
    /// What was tried and found bad, by digest and target.
    #[serde(with = "as_list")]
    pub rejected: BTreeMap<(ReleaseDigest, TargetName), Rejection>,
    /// Exits by itself, by instance, counted once each by incarnation.
    pub exits: BTreeMap<InstanceId, Exits>,
    /// Who is leaving, and since when it has been unrouted.
    pub draining: BTreeMap<InstanceId, Timestamp>,
    /// When failing things are tried again.
    pub backoff: Backoff,
    /// A create that its target refused for good: the rollout's evidence.
    pub refused: Option<RefusedStep>,
    /// What becomes of it when its manifest goes, as the manifest last said.
    pub prune: Prune,
    /// Whether it is to be left alone, as the manifest last said: one that goes does not take that along.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// The apps that it depends on, as the manifest last said: it goes before they do.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub needs: BTreeSet<AppName>,
    /// Where its instances may still be.
    pub homes: BTreeSet<TargetName>,
    /// A person's rollback.
    pub pin: Option<Pin>,
    /// A person's suspend, whatever the manifest says.
    pub suspended: Option<Word>,
    /// How often a person asked for a restart.
    pub restarts: u32,
    /// The generation whose rollout was reverted by itself; at most one each.
    pub reverted_generation: Option<Generation>,
    /// What came of the hooks of the releases that are kept, by the instance that ran each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<InstanceId, HookRun>,
    /// What came of each release, oldest first, at most `history.limit` and the ones in use.
    pub history: Vec<ReleaseNote>,
    /// The releases in use and in the history; stored under their own keys, not in the record.
    #[serde(skip)]
    pub releases: BTreeMap<Revision, Arc<Release>>,
}

/// One run of a hook: there is one for each release, ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HookRun {
    /// Whether its instance was seen: one that was and is not any more has run, be it not to its end.
    pub seen: bool,
    /// Watched time since it was seen to run.
    pub spent: Option<Stopwatch>,
    /// How it ended.
    pub ended: Option<HookEnd>,
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookEnd {
    /// When that was seen.
    pub at: Timestamp,
    /// What was wrong, one line; nothing where it exited with 0.
    pub failure: Option<String>,
}

/// A create or a start that its target refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedStep {
    /// Of which release.
    pub revision: Revision,
    /// Which instance.
    pub instance: InstanceId,
    /// What the target said.
    pub why: String,
}

/// The passage to a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Rollout {
    /// No passage.
    #[default]
    Idle,
    /// New instances come up; traffic shifts.
    #[serde(rename_all = "camelCase")]
    Underway {
        /// Toward which release.
        to: Revision,
        /// How far.
        stage: Stage,
        /// When it began.
        began: Timestamp,
        /// Watched time since the last progress.
        progress: Stopwatch,
        /// The furthest it has come, in instances that passed; progress is when it grows.
        passed: u32,
        /// Watched time that each new instance has taken so far to become healthy.
        #[serde(default)]
        waits: BTreeMap<InstanceId, Stopwatch>,
        /// How far a canary has come.
        #[serde(default)]
        canary: CanaryAt,
    },
    /// Promoted, and watched.
    #[serde(rename_all = "camelCase")]
    Baking {
        /// The promoted release.
        to: Revision,
        /// When the rollout began.
        began: Timestamp,
        /// Watched time since promotion.
        bake: Stopwatch,
    },
    /// Going back.
    #[serde(rename_all = "camelCase")]
    Reverting {
        /// From which release.
        from: Revision,
        /// Since when.
        since: Timestamp,
        /// Watched time spent on it; beyond the progress deadline it is `Stalled`.
        spent: Stopwatch,
    },
}

/// How far a canary has come. Nothing of it is asked of other strategies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryAt {
    /// Which of the policy's steps it stands at, from 0; past the last one everything is sent to the new release.
    pub step: u32,
    /// Watched time since the live table has shared by this step's weight; unset before.
    pub shared: Option<Stopwatch>,
    /// Whether a person let it go on from this step.
    pub promoted: bool,
    /// What has come of the step's analyses.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tallies: BTreeMap<Label, Tally>,
}

impl CanaryAt {
    /// Whether the live table has shared by a step's weight.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.step > 0 || self.shared.is_some()
    }
}

/// How far a rollout has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Supports, images, tasks.
    Prepare,
    /// Instances are created.
    Start,
    /// The gate: health must hold.
    Verify,
    /// Traffic moves.
    Shift,
}

/// Why a digest is not tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// The revision that carried it.
    pub revision: Revision,
    /// When it was rejected.
    pub at: Timestamp,
    /// What was found.
    pub evidence: Evidence,
}

/// What a rollout failed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "found")]
pub enum Evidence {
    /// It exited by itself more often than `restart.maxRetries`, or at all within the bake.
    #[serde(rename_all = "camelCase")]
    Exited {
        /// Which instance.
        instance: InstanceId,
        /// The last code; 128 + signal for a signal.
        code: Option<i32>,
        /// How often in all.
        times: u32,
    },
    /// It could not be started, or was refused.
    #[serde(rename_all = "camelCase")]
    CannotStart {
        /// Which instance.
        instance: InstanceId,
        /// What the system said.
        detail: String,
    },
    /// It was not healthy in time.
    #[serde(rename_all = "camelCase")]
    NotHealthyInTime {
        /// Which instance.
        instance: InstanceId,
        /// What its probe last got, if it ever answered.
        last: Option<ProbeFailure>,
    },
    /// A probe failed within the bake.
    #[serde(rename_all = "camelCase")]
    FailedInBake {
        /// Which instance.
        instance: InstanceId,
        /// What the probe got.
        last: ProbeFailure,
    },
    /// An analysis of a canary was answered badly, too often in a row.
    #[serde(rename_all = "camelCase")]
    Analysis {
        /// Which.
        name: Label,
        /// The last answer, one line.
        detail: String,
    },
    /// A hook failed.
    #[serde(rename_all = "camelCase")]
    Hook {
        /// Of which kind.
        task: Task,
        /// Its name.
        name: Label,
        /// What ran it.
        instance: InstanceId,
        /// What was wrong, one line.
        detail: String,
    },
    /// The rollout made no progress in time.
    NoProgress,
    /// A person said `abort`.
    #[serde(rename_all = "camelCase")]
    Aborted {
        /// Who.
        by: String,
    },
}

/// Exits by itself of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exits {
    /// How many since the count was last cleared.
    pub count: u32,
    /// The last one that was counted.
    pub last: Incarnation,
    /// When it was.
    pub at: Timestamp,
    /// Its code.
    pub code: Option<i32>,
}

/// When failing things are tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Backoff {
    /// Failures in a row.
    pub failures: u32,
    /// Not before this moment.
    pub until: Option<Timestamp>,
    /// The last reason, one line.
    pub why: Option<String>,
    /// Instances that crash-loop, or could not be started: not started again before this moment.
    pub instances: BTreeMap<InstanceId, Timestamp>,
}

/// A person's rollback: holds until the template changes, or `resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// To which release.
    pub to: Revision,
    /// The wanted template at that moment; another one ends the pin.
    pub template: Option<TemplateDigest>,
    /// Whose environment and secrets it has.
    #[serde(default)]
    pub env: EnvOf,
    /// Who and when.
    pub word: Word,
}

impl Pin {
    /// Whether it is in force while such a template is wanted.
    #[must_use]
    pub fn holds(&self, wanted: TemplateDigest) -> bool {
        self.template.is_none_or(|then| then == wanted)
    }
}

/// Who said something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Word {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Serde for maps whose keys are not text: a list of pairs.
mod as_list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

impl AppRecord {
    /// The release of this revision, where it is still kept.
    #[must_use]
    pub fn release(&self, revision: Revision) -> Option<&Arc<Release>> {
        self.releases.get(&revision)
    }

    /// The last good release.
    #[must_use]
    pub fn current_release(&self) -> Option<&Arc<Release>> {
        self.current.and_then(|revision| self.release(revision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_an_older_build_saved_has_its_own_environment() {
        let text = r#"{"to": 4, "template": null, "word": {"by": "ann", "at": 5}}"#;
        let pin: Pin = serde_json::from_str(text).expect("it is read");
        assert_eq!((pin.to, pin.env), (Revision(4), EnvOf::Then));
    }
}
