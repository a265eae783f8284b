//! Takes in what came of the steps: only what memory alone can know.
//!
//! What a step changed in the world is seen by the next look; here stays what the next look cannot tell: that a target
//! refused a release for good, and how long to wait before trying again.

use std::time::Duration;

use trueup_museum::{Bug, planted};
use trueup_types::record::{AppRecord, HookEnd, RefusedStep, Rollout};
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
                put_off(&mut record, now.after(*after), why.clone());
            }
            StepOutcome::Retry { after, why } => {
                settled = false;
                let after = if planted(Bug::IgnoresRetryAfter) { Duration::ZERO } else { *after };
                let until = now.after(next_wait(&mut record).max(after));
                if planted(Bug::FreesUncertainPlace)
                    && let StepAction::Target { step: TargetStep::Instance(InstanceStep::Start { id, .. }), .. } =
                        &result.step.action
                {
                    record.backoff.instances.insert(id.clone(), until);
                } else {
                    put_off(&mut record, until, why.clone());
                }
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
    let tried = match step {
        InstanceStep::Create { release, .. } => Some(release.revision),
        InstanceStep::Start { id, .. } => Some(id.revision),
        InstanceStep::Stop { .. } | InstanceStep::Remove { .. } => None,
    };
    let blames_release = match why {
        Refusal::Invalid(_) | Refusal::NotServed(_) => true,
        Refusal::NameTaken | Refusal::Foreign | Refusal::Gone | Refusal::StillRunning | Refusal::Superseded => false,
    };
    let starts = matches!(step, InstanceStep::Start { .. });
    match tried {
        Some(_) if blames_release && step.id().task.is_some() => {
            let end = HookEnd { at: now, failure: Some(why.to_string()) };
            record.hooks.entry(step.id().clone()).or_default().ended = Some(end);
        }
        // A release that is on trial is judged by it; of one that was good it is tried again, ever less often.
        Some(revision) if blames_release && is_on_trial(record, revision) => {
            let instance = step.id().clone();
            record.refused = Some(RefusedStep { revision, instance, why: why.to_string() });
        }
        // One that surely was not started keeps nobody waiting but itself: the next one may be what mends it.
        Some(_) if starts && (blames_release || *why == Refusal::Gone) => {
            let until = now.after(next_wait(record));
            record.backoff.instances.insert(step.id().clone(), until);
            record.backoff.why = Some(format!("{} {}: {why}", step.verb(), step.id()));
        }
        Some(_) | None => {
            let wait = next_wait(record);
            put_off(record, now.after(wait), format!("{} {}: {why}", step.verb(), step.id()));
        }
    }
}

fn is_on_trial(record: &AppRecord, revision: Revision) -> bool {
    let tried = match &record.rollout {
        Rollout::Underway { to, .. } | Rollout::Baking { to, .. } => Some(*to),
        Rollout::Idle | Rollout::Reverting { .. } => None,
    };
    tried == Some(revision) || planted(Bug::RetriesRefusedHot)
}

/// How long to wait after one more failure.
fn next_wait(record: &mut AppRecord) -> Duration {
    record.backoff.failures = record.backoff.failures.saturating_add(1);
    limits::doubled(limits::RETRY_FIRST, record.backoff.failures, limits::BACKOFF_MAX)
}

/// Waits with whatever is to be made.
fn put_off(record: &mut AppRecord, until: Timestamp, why: String) {
    record.backoff.until = Some(until);
    record.backoff.why = Some(why);
}

#[cfg(test)]
mod tests {
    use trueup_types::step::{Step, Why};
    use trueup_types::{Incarnation, InstanceId};

    use super::*;

    fn id() -> InstanceId {
        "web-r2-0".parse().expect("a name")
    }

    fn after(record: AppRecord, step: InstanceStep, outcome: StepOutcome) -> AppRecord {
        let target = trueup_types::TargetName::local();
        let action = StepAction::Target { target, step: TargetStep::Instance(step) };
        absorb(
            record,
            &[StepResult { step: Step { action, why: Why::Rollout }, outcome }],
            Timestamp::from_millis(1_000),
        )
    }

    fn started(record: AppRecord, outcome: StepOutcome) -> AppRecord {
        after(record, InstanceStep::Start { id: id(), ended: Incarnation("a-1".into()) }, outcome)
    }

    fn removed(record: AppRecord, outcome: StepOutcome) -> AppRecord {
        after(record, InstanceStep::Remove { id: id(), incarnation: Incarnation("a-1".into()) }, outcome)
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
            record = removed(record, underway(far));
            assert_eq!((record.backoff.failures, record.backoff.until), (0, Some(Timestamp::from_millis(2_000))));
            assert_eq!(record.backoff.why, Some(format!("pulling web: {far}")));
        }
        let failed = StepOutcome::Retry { after: Duration::ZERO, why: "no".to_owned() };
        assert_eq!(removed(record.clone(), failed).backoff.failures, 1);
        let done = removed(record, StepOutcome::Done);
        assert_eq!((done.backoff.until, done.backoff.why), (None, None), "and is forgotten once it is done");
    }

    #[test]
    fn one_that_cannot_be_started_keeps_nobody_waiting_but_itself() {
        let refused = |why| started(AppRecord::default(), StepOutcome::Refused { why });
        let foreign = refused(Refusal::Invalid("no such user".to_owned()));
        assert_eq!((foreign.backoff.until, foreign.refused), (None, None), "it was good");
        assert_eq!(foreign.backoff.instances.get(&id()), Some(&Timestamp::from_millis(1_100)));
        assert_eq!(foreign.backoff.why.as_deref(), Some("start web-r2-0: no such user"));
        let gone = refused(Refusal::Gone);
        assert_eq!(gone.backoff.instances.get(&id()), Some(&Timestamp::from_millis(1_100)));
    }

    #[test]
    fn what_may_have_been_started_all_the_same_holds_its_place() {
        let busy = StepOutcome::Retry { after: Duration::from_secs(7), why: "internal error".to_owned() };
        for outcome in [busy, StepOutcome::Refused { why: Refusal::NameTaken }] {
            let record = started(AppRecord::default(), outcome);
            assert!(record.backoff.until.is_some() && record.backoff.instances.is_empty(), "{:?}", record.backoff);
        }
    }
}
