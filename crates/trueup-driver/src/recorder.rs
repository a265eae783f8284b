//! Keeps the last decisions as they were made, for `trueup why --record` and for a bug's report.
//!
//! A tick that does something, or changes its mind, hands its decision in. The number is bounded over all apps: a
//! thousand quiet ones must not cost more than a busy one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use trueup_types::decision::{Answered, Given, RecordedDecision};
use trueup_types::{AppName, AppRecord, Plan, Violation};

use crate::engine::DECISIONS_MAX;
use crate::tick::Scene;

/// Decisions kept over all apps: some 6 KiB each, and so a tenth of what a daemon of a thousand apps may take.
pub const RECORDED_MAX: usize = 500;

/// A decision with all that it rests on.
pub(crate) fn recorded(
    scene: &Scene<'_>,
    woke_by: &str,
    before: &AppRecord,
    plan: Plan,
    violations: Vec<Violation>,
) -> RecordedDecision {
    RecordedDecision {
        app: scene.app.clone(),
        woke_by: woke_by.to_owned(),
        given: Given {
            now: scene.now,
            wanted: scene.wanted.clone(),
            observed: scene.observed.clone(),
            permits: scene.permits.clone(),
            remembered: before.clone().into(),
        },
        answered: Answered::of(plan, violations),
    }
}

/// The last decisions, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<VecDeque<Arc<RecordedDecision>>>);

impl Recorder {
    /// Keeps one; the oldest of its app goes, or the oldest of all.
    pub(crate) fn keep(&self, decision: RecordedDecision) {
        let mut kept = self.0.lock().expect("no holder panics");
        let ours = |one: &Arc<RecordedDecision>| one.app == decision.app;
        if kept.iter().filter(|one| ours(one)).count() >= DECISIONS_MAX {
            let oldest = kept.iter().position(ours);
            drop(oldest.and_then(|oldest| kept.remove(oldest)));
        } else if kept.len() >= RECORDED_MAX {
            kept.pop_front();
        }
        kept.push_back(Arc::new(decision));
    }

    /// Those about one app, newest first.
    pub(crate) fn of(&self, app: &AppName) -> Vec<Arc<RecordedDecision>> {
        let kept = self.0.lock().expect("no holder panics");
        kept.iter().rev().filter(|one| one.app == *app).map(Arc::clone).collect()
    }
}
