//! Takes in what came of the steps: only what memory alone can know.
//!
//! What a step changed in the world is seen by the next look; here stays what the next look cannot tell: that a target
//! refused a release for good, and how long to wait before trying again.

use std::time::Duration;

use trueup_museum::{Bug, planted};
use trueup_types::record::{AppRecord, HookEnd, RefusedCreate, Rollout};
use trueup_types::step::{InstanceStep, Refusal, StepAction, StepOutcome, StepResult, TargetStep};
use trueup_types::{Revision, Timestamp};

use crate::limits;

/// The record after the steps of a plan.
#[must_use]
pub fn absorb(mut record: AppRecord, outcomes: &[StepResult], now: Timestamp) -> AppRecord {
    let mut settled = true;
    for result in outcomes {
        match &result.outcome {
            StepOutcome::Done => began(&mut record, result),
            StepOutcome::AlreadyTrue | StepOutcome::Unknown { .. } => {}
            // What takes long is no failure: it is looked at again as soon as it asks to be.
            StepOutcome::Underway { after, why, .. } => {
                settled = false;
                record.backoff.until = Some(now.after(*after));
                record.backoff.why = Some(why.clone());
            }
            StepOutcome::Retry { after, why } => {
                settled = false;
                let failures = record.backoff.failures.saturating_add(1);
                let after = if planted(Bug::IgnoresRetryAfter) { Duration::ZERO } else { *after };
                let wait = limits::doubled(limits::RETRY_FIRST, failures, limits::BACKOFF_MAX).max(after);
                record.backoff.failures = failures;
                record.backoff.until = Some(now.after(wait));
                record.backoff.why = Some(why.clone());
            }
            StepOutcome::Refused { why } => {
                settled = false;
                refuse(&mut record, result, why, now);
            }
        }
    }
    let acted = outcomes.iter().any(|result| result.outcome == StepOutcome::Done);
    if settled && acted && (record.backoff.failures > 0 || record.backoff.why.is_some()) {
        record.backoff.failures = 0;
        record.backoff.until = None;
        record.backoff.why = None;
    }
    record
}

/// What was made to run a hook is made once, though it may be gone before anybody looks.
fn began(record: &mut AppRecord, result: &StepResult) {
    let StepAction::Target { step: TargetStep::Instance(InstanceStep::Create { id, .. }), .. } = &result.step.action
    else {
        return;
    };
    if id.task.is_some() {
        record.hooks.entry(id.clone()).or_default().seen = true;
    }
}

fn refuse(record: &mut AppRecord, result: &StepResult, why: &Refusal, now: Timestamp) {
    let StepAction::Target { step: TargetStep::Instance(step), .. } = &result.step.action else { return };
    let creating = match step {
        InstanceStep::Create { release, .. } => Some(release.revision),
        InstanceStep::Start { .. } | InstanceStep::Stop { .. } | InstanceStep::Remove { .. } => None,
    };
    let blames_release = match why {
        Refusal::Invalid(_) | Refusal::NotServed(_) => true,
        Refusal::NameTaken | Refusal::Foreign | Refusal::StillRunning | Refusal::Superseded => false,
    };
    match creating {
        Some(_) if blames_release && step.id().task.is_some() => {
            let end = HookEnd { at: now, failure: Some(why.to_string()) };
            record.hooks.entry(step.id().clone()).or_default().ended = Some(end);
        }
        // A release that is on trial is judged by it; of one that was good it is tried again, ever less often.
        Some(revision) if blames_release && is_on_trial(record, revision) => {
            let instance = step.id().clone();
            record.refused = Some(RefusedCreate { revision, instance, why: why.to_string() });
        }
        Some(_) | None => {
            let failures = record.backoff.failures.saturating_add(1);
            record.backoff.failures = failures;
            record.backoff.until = Some(now.after(limits::doubled(limits::RETRY_FIRST, failures, limits::BACKOFF_MAX)));
            record.backoff.why = Some(format!("{} {}: {why}", step.verb(), step.id()));
        }
    }
}

fn is_on_trial(record: &AppRecord, revision: Revision) -> bool {
    matches!(&record.rollout, Rollout::Underway { to, .. } if *to == revision) || planted(Bug::RetriesRefusedHot)
}

#[cfg(test)]
mod tests {
    use trueup_types::step::{Step, Why};
    use trueup_types::{Incarnation, InstanceId};

    use super::*;

    fn after(record: AppRecord, outcome: StepOutcome) -> AppRecord {
        let id: InstanceId = "web-r2-0".parse().expect("a name");
        let step = InstanceStep::Start { id, ended: Incarnation("a-1".into()) };
        let target = trueup_types::TargetName::local();
        let action = StepAction::Target { target, step: TargetStep::Instance(step) };
        absorb(
            record,
            &[StepResult { step: Step { action, why: Why::Rollout }, outcome }],
            Timestamp::from_millis(1_000),
        )
    }

    #[test]
    fn what_takes_long_is_looked_at_again_soon_however_often_and_is_no_failure() {
        let underway = |far: &str| StepOutcome::Underway {
            after: Duration::from_secs(1),
            why: format!("pulling web: {far}"),
            said: Vec::new(),
        };
        let mut record = AppRecord::default();
        for far in ["1 of 9", "2 of 9", "3 of 9"] {
            record = after(record, underway(far));
            assert_eq!((record.backoff.failures, record.backoff.until), (0, Some(Timestamp::from_millis(2_000))));
            assert_eq!(record.backoff.why, Some(format!("pulling web: {far}")));
        }
        let failed = StepOutcome::Retry { after: Duration::ZERO, why: "no".to_owned() };
        assert_eq!(after(record.clone(), failed).backoff.failures, 1);
        let done = after(record, StepOutcome::Done);
        assert_eq!((done.backoff.until, done.backoff.why), (None, None), "and is forgotten once it is done");
    }
}
