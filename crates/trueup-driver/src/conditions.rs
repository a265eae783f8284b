//! From a verdict to Kubernetes-style conditions and one word for tables: computed here, at the edge, and nowhere else.

use std::collections::BTreeMap;

use trueup_types::analysis::Tally;
use trueup_types::desired::Hold;
use trueup_types::policy::CanaryStep;
use trueup_types::record::{AppRecord, Pin, Rollout};
use trueup_types::status::{Condition, ConditionStatus};
use trueup_types::verdict::{Stall, State};
use trueup_types::{InstanceId, Percent, Task, Timestamp, Verdict};

/// The conditions of an app, with the steps of its canary; a transition time is kept while the status stays.
#[must_use]
pub fn conditions(
    verdict: &Verdict,
    record: &AppRecord,
    steps: &[CanaryStep],
    manifest_error: Option<&str>,
    before: &[Condition],
    now: Timestamp,
) -> Vec<Condition> {
    let mut all = Vec::new();
    let mut add = |kind: &str, status: ConditionStatus, reason: &str, message: &str| {
        let old = before.iter().find(|one| one.kind == kind && one.status == status);
        all.push(Condition {
            kind: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: old.map_or(now, |old| old.last_transition_time),
            observed_generation: verdict.generation,
        });
    };
    let (ready, reconciling) = ready(verdict);
    let reason = reason(&verdict.state);
    add("Ready", ready, reason, &verdict.message);
    if reconciling {
        add("Reconciling", ConditionStatus::True, reason, &verdict.message);
    }
    if let State::Stalled(_) = &verdict.state {
        add("Stalled", ConditionStatus::True, reason, &verdict.message);
    }
    if verdict.reverted {
        add("Reverted", ConditionStatus::True, "ReleaseRejected", &verdict.message);
    }
    if let Some(why) = &verdict.degraded {
        add("Degraded", ConditionStatus::True, "InstanceUnwell", why);
    }
    if verdict.state == State::Suspended {
        add("Suspended", ConditionStatus::True, "Suspended", &verdict.message);
    }
    if let Some(pin) = &record.pin {
        let message = format!("{}; it holds until the template changes", pinned(pin));
        add("Pinned", ConditionStatus::True, "RolledBack", &message);
    }
    if let State::Waiting(hold) = &verdict.state {
        match hold {
            Hold::Dependencies(_) => add("DependencyNotReady", ConditionStatus::True, reason, &verdict.message),
            Hold::Window { .. } | Hold::RolloutCap { .. } | Hold::StoreDegraded => {
                add("RolloutHeld", ConditionStatus::True, reason, &verdict.message);
            }
            Hold::PruneBlocked { .. }
            | Hold::Dependents(_)
            | Hold::RouteHeld { .. }
            | Hold::InDoubt(_)
            | Hold::DestroyCap { .. } => {}
        }
    }
    if awaits_approval(verdict, record, steps) {
        add("AwaitingApproval", ConditionStatus::True, "CanaryStep", &verdict.message);
    }
    if let Some((id, task)) = hook_running(record) {
        add("HookRunning", ConditionStatus::True, task_reason(task), &hook_told(record, id, task));
    }
    if let Some(error) = manifest_error {
        let message = format!("{error}; the last good version stays in force");
        add("ManifestInvalid", ConditionStatus::True, "ManifestInvalid", &message);
    }
    all
}

/// Whether a canary stands at a step that only a person's word ends, and nothing else is asked of it any more.
pub(crate) fn awaits_approval(verdict: &Verdict, record: &AppRecord, steps: &[CanaryStep]) -> bool {
    let (State::Progressing, Rollout::Underway { canary: at, .. }) = (&verdict.state, &record.rollout) else {
        return false;
    };
    let answered =
        |step: &CanaryStep| step.analysis.iter().all(|one| at.tallies.get(&one.name).is_some_and(Tally::content));
    let step = usize::try_from(at.step).ok().and_then(|step| steps.get(step));
    step.is_some_and(|step| step.approve && at.shared.is_some() && !at.promoted && answered(step))
}

/// The share of the traffic that a canary gets: that of its step, or of the one before as long as the table has not followed.
pub(crate) fn share(record: &AppRecord, steps: &[CanaryStep]) -> Option<Percent> {
    let Rollout::Underway { canary: at, .. } = &record.rollout else { return None };
    let step = usize::try_from(at.step).ok()?;
    let shared = if at.shared.is_some() { step } else { step.checked_sub(1)? };
    steps.get(shared).filter(|_| step < steps.len()).map(|step| step.weight)
}

/// What runs a hook at this moment: it was seen, and its end was not.
fn hook_running(record: &AppRecord) -> Option<(&InstanceId, Task)> {
    let mut running = record.hooks.iter().filter(|(_, run)| run.seen && run.ended.is_none());
    running.find_map(|(id, _)| Some((id, id.task?)))
}

fn hook_told(record: &AppRecord, id: &InstanceId, task: Task) -> String {
    let hook = record.release(id.revision).and_then(|release| release.hook(id));
    let name = hook.map_or_else(String::new, |hook| format!(" {}", hook.name));
    format!("the {} hook{name} of {} runs in {id}", task.as_str(), id.revision)
}

fn task_reason(task: Task) -> &'static str {
    match task {
        Task::PreDeploy => "PreDeploy",
        Task::PostDeploy => "PostDeploy",
        Task::OnRevert => "OnRevert",
    }
}

/// A rollback, with who said it: half a sentence.
pub(crate) fn pinned(pin: &Pin) -> String {
    format!("{} went back to {}{}", pin.word.by, pin.to, pin.env.told())
}

/// Since when each of the daemon's own conditions has been true.
#[derive(Debug, Default)]
pub(crate) struct Onsets(BTreeMap<String, Timestamp>);

impl Onsets {
    /// Stamps those that are true now with when they became so, and forgets the others.
    pub(crate) fn stamp(&mut self, conditions: &mut [Condition], now: Timestamp) {
        self.0.retain(|kind, _| conditions.iter().any(|one| one.kind == *kind));
        for one in conditions {
            one.last_transition_time = *self.0.entry(one.kind.clone()).or_insert(now);
        }
    }
}

/// Whether it is ready, and whether it is on its way.
fn ready(verdict: &Verdict) -> (ConditionStatus, bool) {
    let serving = if verdict.serving { ConditionStatus::True } else { ConditionStatus::False };
    match &verdict.state {
        State::Ready | State::Waiting(_) | State::Stalled(_) | State::Suspended => (serving, false),
        State::Completed => (ConditionStatus::True, false),
        State::Progressing | State::Baking | State::Reverting | State::Removing => (serving, true),
        State::Gone | State::Orphaned => (ConditionStatus::False, false),
        State::Unknown(_) => (ConditionStatus::Unknown, false),
    }
}

/// One word in CamelCase.
#[must_use]
pub fn reason(state: &State) -> &'static str {
    match state {
        State::Ready => "Ready",
        State::Completed => "Completed",
        State::Progressing => "Progressing",
        State::Baking => "Baking",
        State::Reverting => "Reverting",
        State::Waiting(hold) => match hold {
            Hold::RolloutCap { .. } => "RolloutCap",
            Hold::PruneBlocked { .. } => "PruneBlocked",
            Hold::Window { .. } => "RolloutWindow",
            Hold::Dependencies(_) => "DependencyNotReady",
            Hold::Dependents(_) => "DependentsGoFirst",
            Hold::RouteHeld { .. } => "RouteHeld",
            Hold::StoreDegraded => "StateStoreDegraded",
            Hold::InDoubt(_) => "InDoubt",
            Hold::DestroyCap { .. } => "DestroyCap",
        },
        State::Stalled(stall) => match stall {
            Stall::NothingToRevertTo => "NothingToRevertTo",
            Stall::RevertFailed => "RevertFailed",
            Stall::Held => "Held",
            Stall::Bug(_) => "Bug",
        },
        State::Suspended => "Suspended",
        State::Removing => "Removing",
        State::Gone => "Gone",
        State::Orphaned => "Orphaned",
        State::Unknown(_) => "Unknown",
    }
}

/// One word for tables: what an operator should see first.
#[must_use]
pub fn word(verdict: &Verdict, record: &AppRecord, steps: &[CanaryStep], manifest_error: Option<&str>) -> String {
    let word = match &verdict.state {
        State::Progressing if awaits_approval(verdict, record, steps) => "AwaitingApproval",
        State::Progressing if hook_running(record).is_some() => "RunningHook",
        State::Ready if manifest_error.is_some() => "ManifestInvalid",
        State::Ready if verdict.reverted => "Reverted",
        State::Ready if verdict.degraded.is_some() => "Degraded",
        State::Ready if verdict.pinned => "Pinned",
        State::Stalled(_) => "Stalled",
        other @ (State::Ready
        | State::Completed
        | State::Progressing
        | State::Baking
        | State::Reverting
        | State::Waiting(_)
        | State::Suspended
        | State::Removing
        | State::Gone
        | State::Orphaned
        | State::Unknown(_)) => reason(other),
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trueup_types::record::{CanaryAt, HookEnd, HookRun, Stage};
    use trueup_types::time::Stopwatch;
    use trueup_types::verdict::Counts;
    use trueup_types::{Generation, Revision};

    use super::*;

    fn verdict(state: State) -> Verdict {
        Verdict {
            state,
            generation: Generation(3),
            revision: None,
            counts: Counts::default(),
            serving: true,
            reverted: false,
            pinned: false,
            degraded: None,
            message: "so".to_owned(),
        }
    }

    fn kinds(verdict: &Verdict) -> Vec<String> {
        let all = conditions(verdict, &AppRecord::default(), &[], None, &[], Timestamp::ZERO);
        all.into_iter().map(|one| format!("{}={:?}", one.kind, one.status)).collect()
    }

    #[test]
    fn a_reverted_app_is_ready_and_says_so() {
        let verdict = Verdict { reverted: true, ..verdict(State::Ready) };
        assert_eq!(kinds(&verdict), ["Ready=True", "Reverted=True"]);
        assert_eq!(word(&verdict, &AppRecord::default(), &[], None), "Reverted");
    }

    #[test]
    fn a_rollout_under_way_is_ready_while_the_old_one_serves() {
        assert_eq!(kinds(&verdict(State::Progressing)), ["Ready=True", "Reconciling=True"]);
        let down = Verdict { serving: false, ..verdict(State::Progressing) };
        assert_eq!(kinds(&down), ["Ready=False", "Reconciling=True"]);
    }

    #[test]
    fn a_hook_that_runs_is_a_condition_and_the_word_of_a_rollout_that_waits_for_it() {
        let run = |ended: Option<HookEnd>| HookRun { seen: true, ended, ..HookRun::default() };
        let id = |text: &str| text.parse::<InstanceId>().expect("a name");
        let ended = HookEnd { at: Timestamp::ZERO, failure: None };
        let mut record = AppRecord::default();
        record.hooks.insert(id("web-r1-pre0"), run(Some(ended)));
        let progressing = verdict(State::Progressing);
        assert_eq!(word(&progressing, &record, &[], None), "Progressing");
        record.hooks.insert(id("web-r2-pre0"), run(None));
        assert_eq!(word(&progressing, &record, &[], None), "RunningHook");
        assert_eq!(word(&verdict(State::Baking), &record, &[], None), "Baking");
        let all = conditions(&progressing, &record, &[], None, &[], Timestamp::ZERO);
        let hook = all.iter().find(|one| one.kind == "HookRunning").expect("it is there");
        assert_eq!(
            (hook.reason.as_str(), hook.message.as_str()),
            ("PreDeploy", "the preDeploy hook of r2 runs in web-r2-pre0")
        );
    }

    #[test]
    fn a_rollout_that_may_not_begin_is_held_and_the_app_is_ready() {
        let held = |hold| kinds(&verdict(State::Waiting(hold)));
        assert_eq!(held(Hold::Window { opens: None }), ["Ready=True", "RolloutHeld=True"]);
        assert_eq!(held(Hold::RolloutCap { limit: 4 }), ["Ready=True", "RolloutHeld=True"]);
        assert_eq!(held(Hold::Dependencies(Vec::new())), ["Ready=True", "DependencyNotReady=True"]);
        let reason = |hold| reason(&State::Waiting(hold)).to_owned();
        assert_eq!(reason(Hold::Window { opens: None }), "RolloutWindow");
    }

    #[test]
    fn a_canary_that_only_a_person_lets_go_on_waits_for_approval() {
        let canary = |at: CanaryAt| AppRecord {
            rollout: Rollout::Underway {
                to: Revision(2),
                stage: Stage::Shift,
                began: Timestamp::ZERO,
                progress: Stopwatch::started(Timestamp::ZERO),
                passed: 1,
                waits: BTreeMap::new(),
                canary: at,
            },
            ..AppRecord::default()
        };
        let shared = Some(Stopwatch::started(Timestamp::ZERO));
        let weight = Percent::new(10).expect("a percentage");
        let step = |approve| CanaryStep { weight, pause: Duration::ZERO, approve, analysis: Vec::new() };
        let steps = [step(true), step(false)];
        let word = |at: CanaryAt| word(&verdict(State::Progressing), &canary(at), &steps, None);
        assert_eq!(word(CanaryAt { shared, ..CanaryAt::default() }), "AwaitingApproval");
        assert_eq!(word(CanaryAt::default()), "Progressing", "its share is not there yet");
        assert_eq!(word(CanaryAt { shared, promoted: true, ..CanaryAt::default() }), "Progressing");
        assert_eq!(word(CanaryAt { shared, step: 1, ..CanaryAt::default() }), "Progressing", "time ends this one");
        let share = |at: CanaryAt| share(&canary(at), &steps);
        assert_eq!(share(CanaryAt::default()), None);
        assert_eq!(share(CanaryAt { shared, ..CanaryAt::default() }), Some(weight));
        assert_eq!(share(CanaryAt { step: 1, ..CanaryAt::default() }), Some(weight), "as before");
        assert_eq!(share(CanaryAt { step: 2, ..CanaryAt::default() }), None, "it gets everything");
    }

    #[test]
    fn a_condition_of_the_daemon_keeps_its_onset_until_it_ends() {
        let all = || conditions(&verdict(State::Ready), &AppRecord::default(), &[], None, &[], Timestamp::ZERO);
        let mut onsets = Onsets::default();
        let mut at = |millis: u64, mut all: Vec<Condition>| {
            onsets.stamp(&mut all, Timestamp::from_millis(millis));
            all.first().map(|one| one.last_transition_time.as_millis())
        };
        assert_eq!([at(1, all()), at(2, all()), at(3, Vec::new()), at(4, all())], [Some(1), Some(1), None, Some(4)]);
    }

    #[test]
    fn a_transition_time_stays_while_the_status_does() {
        let first =
            conditions(&verdict(State::Ready), &AppRecord::default(), &[], None, &[], Timestamp::from_millis(1));
        let second =
            conditions(&verdict(State::Baking), &AppRecord::default(), &[], None, &first, Timestamp::from_millis(9));
        assert_eq!(second[0].last_transition_time, Timestamp::from_millis(1));
        assert_eq!(second[1].last_transition_time, Timestamp::from_millis(9));
    }
}
