//! A decision as it was made: all that the planner was given and what it answered, so that it can be asked again.
//!
//! The driver keeps the last ones; `trueup why --record` writes them to a file and `--replay` asks the planner anew.
//! What leaves the daemon is masked: no value of an environment and no content of a file is in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::desired::{Permits, Wanted};
use crate::name::AppName;
use crate::number::Revision;
use crate::observed::Observed;
use crate::record::AppRecord;
use crate::release::Release;
use crate::step::Step;
use crate::time::Timestamp;
use crate::verdict::{Plan, Verdict, Violation, Wake};

/// The version of the file of decisions that this build writes; a reader refuses a newer one.
pub const DECISIONS_VERSION: u32 = 1;

/// The last decisions about one app, as they are written to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionsFile {
    /// [`DECISIONS_VERSION`].
    pub version: u32,
    /// The version of the trueup that decided.
    pub trueup: String,
    /// About which app.
    pub app: AppName,
    /// Newest first.
    pub decisions: Vec<RecordedDecision>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedDecision {
    /// About which app.
    pub app: AppName,
    /// What woke the tick.
    pub woke_by: String,
    /// What the planner was given.
    pub given: Given,
    /// What it answered.
    pub answered: Answered,
}

/// All that a decision rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Given {
    /// The moment.
    pub now: Timestamp,
    /// What was wanted.
    pub wanted: Wanted,
    /// What was seen.
    pub observed: Observed,
    /// What others allowed.
    pub permits: Permits,
    /// What was remembered.
    pub remembered: Remembered,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// What closes the gap, in order.
    pub steps: Vec<Step>,
    /// How it stands.
    pub verdict: Verdict,
    /// When to look again.
    pub wake: Wake,
    /// The memory after it.
    pub remembered: Remembered,
    /// The laws that it would break; then nothing of it was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

impl Answered {
    /// A plan, with what the audit found on it.
    #[must_use]
    pub fn of(plan: Plan, violations: Vec<Violation>) -> Self {
        let Plan { record, steps, verdict, wake } = plan;
        Self { steps, verdict, wake, remembered: record.into(), violations }
    }

    /// The plan that it was.
    pub fn plan(&self) -> Plan {
        Plan {
            record: self.remembered.record(),
            steps: self.steps.clone(),
            verdict: self.verdict.clone(),
            wake: self.wake,
        }
    }
}

/// A record together with its releases, which a store keeps under their own keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remembered {
    record: AppRecord,
    releases: BTreeMap<Revision, Arc<Release>>,
}

impl Remembered {
    /// The record, with its releases.
    #[must_use]
    pub fn record(&self) -> AppRecord {
        AppRecord { releases: self.releases.clone(), ..self.record.clone() }
    }

    /// The releases, oldest first.
    pub fn releases(&self) -> impl Iterator<Item = &Arc<Release>> {
        self.releases.values()
    }
}

impl From<AppRecord> for Remembered {
    fn from(mut record: AppRecord) -> Self {
        let releases = std::mem::take(&mut record.releases);
        Self { record, releases }
    }
}
