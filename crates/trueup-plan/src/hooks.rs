//! Runs the hooks of a release: each once, one after another, and none beside another of the same app.
//!
//! A hook is run by an instance of its own, whose name is derived from the release and the hook, so that it can be made
//! only once; what was seen of it is kept in the record. [`notice`] takes in what is seen, `passage` asks with [`run`]
//! and [`undo`] whether a rollout may go on, and [`tidy`] stops what has had its time and removes what nobody remembers.
//!
//! A hook that was cut off (its host went down, its instance vanished) may have done half of its work: it counts as
//! failed and is never run a second time.

use std::collections::BTreeSet;

use trueup_museum::{Bug, planted};
use trueup_types::observed::{ExitWhy, Phase};
use trueup_types::record::{AppRecord, Evidence, HookEnd, HookRun, Rollout};
use trueup_types::step::{InstanceStep, Step, StepAction, TargetStep, Why};
use trueup_types::template::Hook;
use trueup_types::time::Stopwatch;
use trueup_types::{
    Instance, InstanceId, Label, Observed, Place, Release, Revision, Task, Timestamp, Wake, WakeReason,
};

use crate::limits;
use crate::rollout::Scene;

/// What the hooks of one kind say of this tick.
#[derive(Debug)]
pub(crate) enum Hooks {
    /// All have ended well, or there are none.
    Over,
    /// One is to run, runs, or waits for another's end.
    Pending(Pending),
    /// One has failed.
    Bad(Evidence),
}

/// A hook that is not over.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    /// Of which kind.
    pub task: Task,
    /// Its name.
    pub name: Label,
    /// What brings it on.
    pub step: Option<Step>,
}

impl Pending {
    /// What is waited for, in words.
    pub(crate) fn told(&self) -> String {
        format!("its {} hook {}", self.task.as_str(), self.name)
    }
}

/// Takes in what is seen of the instances that run hooks.
pub(crate) fn notice(record: &mut AppRecord, observed: &Observed, now: Timestamp) {
    for one in &observed.tasks {
        let id = &one.sighting.id;
        let hook = known(record, one).and_then(|release| release.hook(id).cloned());
        let given_up = id.task != Some(Task::OnRevert) && is_rejected(record, id.revision);
        let run = record.hooks.entry(id.clone()).or_default();
        run.seen = true;
        if run.ended.is_none() {
            let failure = look(run, one, hook.as_ref(), given_up, (observed.sighted_since, now));
            run.ended = failure.map(|failure| HookEnd { at: now, failure });
        }
    }
    for (id, run) in &mut record.hooks {
        let there = observed.tasks.iter().any(|one| one.sighting.id == *id);
        if run.seen && run.ended.is_none() && !there {
            let failure = "its instance is gone, and nobody saw how it ended".to_owned();
            let failure = Some(failure).filter(|_| !planted(Bug::TakesGoneHookForDone));
            run.ended = Some(HookEnd { at: now, failure });
        }
    }
}

fn known<'a>(record: &'a AppRecord, one: &'a Instance) -> Option<&'a Release> {
    record.release(one.sighting.id.revision).or(one.sighting.template.as_ref()).map(AsRef::as_ref)
}

fn is_rejected(record: &AppRecord, revision: Revision) -> bool {
    record.rejected.values().any(|one| one.revision == revision)
}

/// How it has ended, if it has: with `None` for well.
fn look(
    run: &mut HookRun,
    one: &Instance,
    hook: Option<&Hook>,
    given_up: bool,
    (sighted_since, now): (Timestamp, Timestamp),
) -> Option<Option<String>> {
    match &one.sighting.phase {
        Phase::Created => None,
        Phase::Exited { why: ExitWhy::HostLost, .. } if planted(Bug::RunsHookAgain) => None,
        Phase::Exited { code: Some(0), why: ExitWhy::ByItself, .. } => Some(None),
        Phase::Exited { code, why, .. } => Some(Some(match (why, code) {
            (ExitWhy::ByItself, Some(code)) => format!("it exited with code {code}"),
            (ExitWhy::ByItself, None) => "it exited with an unknown code".to_owned(),
            (ExitWhy::Asked, _) => "it was stopped".to_owned(),
            (ExitWhy::HostLost, _) => "its host went down while it ran".to_owned(),
            (ExitWhy::CannotStart { detail }, _) => format!("it cannot start: {detail}"),
        })),
        Phase::Starting | Phase::Running { .. } | Phase::Asleep | Phase::Vanishing { .. } => {
            let spent = run.spent.get_or_insert_with(|| Stopwatch::started(now));
            spent.advance(sighted_since, now);
            let limit = hook.map_or(limits::HOOK_UNKNOWN, |hook| hook.timeout);
            if given_up {
                return Some(Some("its release was given up while it ran".to_owned()));
            }
            let late = || format!("it ran longer than {}", humantime::format_duration(limit));
            spent.reached(limit).then(|| Some(late()))
        }
    }
}

/// Whether something of it may run.
fn runs(one: &Instance) -> bool {
    match one.sighting.phase {
        Phase::Starting | Phase::Running { .. } | Phase::Asleep | Phase::Vanishing { .. } => true,
        Phase::Created | Phase::Exited { .. } => false,
    }
}

/// How far the hooks of one kind of a release have come, and the step that brings them on.
///
/// A person's rollback goes to a release whose hooks have run in their time: none of them is asked again.
pub(crate) fn run(record: &AppRecord, scene: &Scene<'_>, release: &Release, task: Task) -> Hooks {
    if record.history.iter().any(|note| note.revision == release.revision && note.again.is_some()) {
        return Hooks::Over;
    }
    first_open(record, scene, release, task)
}

/// The same for what undoes a release that was left; what fails there fails nobody.
///
/// Where the release has `preDeploy` hooks and none of them began, there is nothing to undo.
pub(crate) fn undo(record: &AppRecord, scene: &Scene<'_>, from: Revision) -> Option<Pending> {
    let release = record.release(from)?;
    let mut before = release.tasks(Task::PreDeploy).peekable();
    if before.peek().is_some() && !before.any(|(id, _)| record.hooks.contains_key(&id)) {
        return None;
    }
    match first_open(record, scene, release, Task::OnRevert) {
        Hooks::Pending(pending) => Some(pending),
        Hooks::Over | Hooks::Bad(_) => None,
    }
}

fn first_open(record: &AppRecord, scene: &Scene<'_>, release: &Release, task: Task) -> Hooks {
    for (id, hook) in release.tasks(task) {
        match record.hooks.get(&id).and_then(|run| run.ended.as_ref()).map(|ended| &ended.failure) {
            Some(None) => {}
            Some(Some(_)) if task == Task::OnRevert => {}
            Some(Some(detail)) => {
                let (name, detail) = (hook.name.clone(), detail.clone());
                return Hooks::Bad(Evidence::Hook { task, name, instance: id, detail });
            }
            None => {
                let step = bring_on(record, scene, release, &id);
                return Hooks::Pending(Pending { task, name: hook.name.clone(), step });
            }
        }
    }
    Hooks::Over
}

/// Makes it, or begins what was made and never begun.
fn bring_on(record: &AppRecord, scene: &Scene<'_>, release: &Release, id: &InstanceId) -> Option<Step> {
    let tasks = &scene.observed.tasks;
    let busy = tasks.iter().any(|one| one.sighting.id != *id && runs(one));
    let waits = record.backoff.until.is_some_and(|until| until > scene.now);
    if busy || waits || scene.permits.create.is_err() {
        return None;
    }
    let step = match tasks.iter().find(|one| one.sighting.id == *id) {
        None => {
            let release = record.release(release.revision).cloned()?;
            let place = scene.desired.placement.spread.keys().next().cloned().unwrap_or_else(Place::here);
            InstanceStep::Create { id: id.clone(), place, release }
        }
        Some(one) => match &one.sighting.phase {
            Phase::Exited { why: ExitWhy::HostLost, .. } if planted(Bug::RunsHookAgain) => {
                InstanceStep::Start { id: id.clone(), ended: one.sighting.incarnation.clone() }
            }
            Phase::Created => InstanceStep::Start { id: id.clone(), ended: one.sighting.incarnation.clone() },
            Phase::Starting
            | Phase::Running { .. }
            | Phase::Asleep
            | Phase::Vanishing { .. }
            | Phase::Exited { .. } => return None,
        },
    };
    let action = StepAction::Target { target: release.target.clone(), step: TargetStep::Instance(step) };
    Some(Step { action, why: Why::Hook })
}

/// Stops what has had its time, and removes what is left of releases that nobody remembers.
pub(crate) fn tidy(record: &mut AppRecord, scene: &Scene<'_>) -> Vec<Step> {
    let kept = kept(record);
    let there: BTreeSet<_> = scene.observed.tasks.iter().map(|one| one.sighting.id.clone()).collect();
    record.hooks.retain(|id, _| kept.contains(&id.revision) || there.contains(id));
    if scene.permits.destroy.is_err() {
        return Vec::new();
    }
    let mut steps = Vec::new();
    for one in &scene.observed.tasks {
        let (id, incarnation) = (one.sighting.id.clone(), one.sighting.incarnation.clone());
        let ended = record.hooks.get(&id).is_some_and(|run| run.ended.is_some());
        let step = match &one.sighting.phase {
            Phase::Starting | Phase::Running { .. } | Phase::Asleep if ended => {
                let stop = known(record, one).map(|release| release.template.stop.clone()).unwrap_or_default();
                InstanceStep::Stop { id, incarnation, stop }
            }
            Phase::Created | Phase::Exited { .. } if !kept.contains(&id.revision) && !is_recent(record, scene, one) => {
                InstanceStep::Remove { id, incarnation }
            }
            Phase::Created
            | Phase::Exited { .. }
            | Phase::Starting
            | Phase::Running { .. }
            | Phase::Asleep
            | Phase::Vanishing { .. } => continue,
        };
        let action = StepAction::Target { target: one.target.clone(), step: TargetStep::Instance(step) };
        steps.push(Step { action, why: Why::Hook });
    }
    steps
}

/// Whether its release would still be in the history, were it remembered: as long as what ran its hook is there, a call
/// whose answer was lost long ago runs none a second time.
fn is_recent(record: &AppRecord, scene: &Scene<'_>, one: &Instance) -> bool {
    let history = &scene.desired.policy.history;
    let behind = record.highest.0.saturating_sub(one.sighting.id.revision.0);
    behind < u64::from(history.limit.max(1)) && scene.now.since(one.sighting.created) < history.keep_for
}

/// The releases whose hooks are remembered: those of the history, and the newest, whatever is remembered of it.
fn kept(record: &AppRecord) -> BTreeSet<Revision> {
    let mut kept: BTreeSet<_> = record.history.iter().map(|note| note.revision).collect();
    kept.insert(record.highest);
    match &record.rollout {
        Rollout::Idle => {}
        Rollout::Underway { to, .. } | Rollout::Baking { to, .. } => drop(kept.insert(*to)),
        Rollout::Reverting { from, .. } => drop(kept.insert(*from)),
    }
    kept
}

/// When the next one that runs has had its time, and when one that waits is tried again.
pub(crate) fn due(record: &AppRecord, scene: &Scene<'_>, pending: Option<&Pending>) -> Wake {
    let waits = pending.is_some_and(|pending| pending.step.is_none());
    let again = record.backoff.until.filter(|until| waits && *until > scene.now);
    let again = again.map_or(Wake::OnChange, |until| Wake::At(until, WakeReason::Backoff));
    let due = scene.observed.tasks.iter().filter(|one| runs(one)).filter_map(|one| {
        let run = record.hooks.get(&one.sighting.id).filter(|run| run.ended.is_none())?;
        let hook = known(record, one).and_then(|release| release.hook(&one.sighting.id));
        Some(run.spent?.due(hook.map_or(limits::HOOK_UNKNOWN, |hook| hook.timeout)))
    });
    due.min().map_or(Wake::OnChange, |due| Wake::At(due, WakeReason::Hook)).or(again)
}
