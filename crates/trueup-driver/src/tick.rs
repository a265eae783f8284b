//! One tick of one app: look, plan, audit, save, act, and look again.
//!
//! This is the only place that closes the circle. It closes it by looking again, never by assuming that a step worked.

use std::collections::BTreeSet;
use std::time::Duration;

use trueup_museum::{Bug, planted};
use trueup_seams::Snapshot;
use trueup_types::desired::{Doubt, Permits, Wanted};
use trueup_types::record::{AppRecord, Rollout};
use trueup_types::status::EventKind;
use trueup_types::step::{Step, StepAction, StepOutcome, StepResult};
use trueup_types::verdict::{Stall, State};
use trueup_types::{AppName, InstanceId, Observed, Plan, RouteSight, TargetName, Timestamp, Verdict, Violation, Wake};

use crate::analyst::Room;
use crate::engine::{AppMemory, Cell, Engine};
use crate::queue::Ask;
use crate::routing::{SeenBooks, goes_unrouted};
use crate::{evidence, images, kept, look, notices, publish, recorder, replay, retire, secrets, wanted};

/// Longest one step may take; its outcome is unknown then.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(30);
/// From one look at a target that gives no hints to the next, while anything of an app moves there: soon enough for a
/// deploy, and half of what the strictest platform allows.
const GLANCE: Duration = Duration::from_secs(2);
/// How soon a rollout that could not be saved is tried again; the store has said by then that it cannot save.
const UNSAVED_AGAIN: Duration = Duration::from_secs(1);
/// How soon a plan that broke a law is tried again: a bug does not go away by haste.
pub(crate) const BUG_AGAIN: Duration = Duration::from_secs(10);

/// Runs one tick.
pub(crate) async fn run(engine: &Engine, app: &AppName, ask: &Ask) {
    let cell = engine.cell(app);
    let mut memory = cell.memory.lock().await;
    let snapshot = engine.snapshot();
    let needed = engine.needed(&cell, memory.acted, ask.priority);
    let wanted = images::wanted(engine, &snapshot, app, &memory.record).await;
    let (observed, books) = match look::look(engine, app, &wanted, &mut memory, needed).await {
        Ok(seen) => seen,
        Err(why) => return dark(engine, app, &cell, &mut memory, &snapshot, why),
    };
    memory.dark.reset();
    take_answers(engine, app, &mut memory);
    let mut permits = wanted::permits(engine, &snapshot, app, &wanted, &memory.record);
    if let Some(hold) = wanted::holder_of_route(engine, &wanted, &memory.record).await {
        permits.start_rollout = permits.start_rollout.and(Err(hold));
    }
    let now = engine.now();
    let plan = trueup_plan::plan(&wanted, &observed, &permits, &memory.record, now);
    let violations = trueup_plan::audit(&memory.record, &wanted, &observed, &permits, &plan);
    let scene = Scene { app, wanted: &wanted, observed: &observed, permits: &permits, books: &books, now };
    if let Some(violation) = violations.first() {
        let verdict = bug(&plan.verdict, &violation.to_string());
        remember(engine, &cell, &memory.record, &scene, ask, (plan, violations));
        engine.note(EventKind::Warning, "Bug", Some(app), None, verdict.message.clone());
        publish::app(engine, app, &cell, &snapshot, &memory.record, &verdict, &observed);
        return engine.ask_at(app, now.after(BUG_AGAIN), "bug");
    }
    let (wake, verdict) = carry_out(engine, &cell, &mut memory, plan, &scene, ask).await;
    keep_asking(engine, app, &memory.record, &wanted, &observed);
    kept::stand(engine, app, &memory.record, &wanted);
    wanted::release_place(engine, app, &memory.record, &verdict.state);
    if matches!(wanted, Wanted::Gone { .. }) && matches!(verdict.state, State::Orphaned | State::Suspended) {
        // What stays for ever keeps nobody from going.
        engine.dependents.learn(app, &memory.record.needs, &BTreeSet::new());
    }
    // What runs on as an orphan is remembered as one: forgotten, it would be found again and taken for a leftover.
    let left_alone = verdict.state == State::Orphaned && observed.instances.is_empty();
    if verdict.state == State::Gone || left_alone {
        let owed = if verdict.state == State::Gone { retire::everywhere(engine, app).await } else { Ok(()) };
        if let Err(why) = owed {
            let verdict = Verdict { state: State::Removing, message: why, ..verdict };
            publish::app(engine, app, &cell, &snapshot, &memory.record, &verdict, &observed);
            return engine.ask_at(app, engine.now().after(retire::AGAIN), "owed");
        }
        let record = memory.record.clone();
        drop(memory);
        return retire::forget(engine, app, &record, &verdict).await;
    }
    publish::app(engine, app, &cell, &snapshot, &memory.record, &verdict, &observed);
    if let Wake::At(at, _) = wake {
        engine.ask_at(app, at, "due");
    }
    look_by_oneself(engine, app, &memory.record.homes, &verdict.state);
}

/// Of a target that gives no hints nobody would hear how a rollout goes: it is looked at again and again, by all apps at
/// the same moments, which share one survey.
fn look_by_oneself(engine: &Engine, app: &AppName, homes: &BTreeSet<TargetName>, state: &State) {
    let moves = match state {
        State::Progressing | State::Baking | State::Reverting | State::Removing | State::Waiting(_) => true,
        State::Ready
        | State::Completed
        | State::Stalled(_)
        | State::Suspended
        | State::Unknown(_)
        | State::Gone
        | State::Orphaned => false,
    };
    let silent = |home: &TargetName| engine.target(home).is_some_and(|target| !target.hints);
    if moves && homes.iter().any(silent) {
        let glance = u64::try_from(GLANCE.as_millis()).expect("it is short");
        let next = (engine.now().as_millis() / glance + 1) * glance;
        engine.ask_at(app, Timestamp::from_millis(next), "a glance");
    }
}

/// Takes in what a canary's analyses were answered since the last tick.
fn take_answers(engine: &Engine, app: &AppName, memory: &mut AppMemory) {
    let Some((standing, answers)) = engine.analyst.take(app) else { return };
    for (name, answer) in answers {
        trueup_plan::learn(&mut memory.record, standing, &name, answer);
        memory.saved = false;
    }
}

/// Has the analyses asked of the step that a canary stands at now.
fn keep_asking(engine: &Engine, app: &AppName, record: &AppRecord, wanted: &Wanted, observed: &Observed) {
    let Wanted::Present(desired) = wanted else { return engine.analyst.keep(app, None, None) };
    let analyses = trueup_plan::analyses(record, desired);
    let new = analyses
        .and_then(|(standing, _)| observed.instances.iter().find(|one| one.sighting.id.revision == standing.revision));
    let room = new.map(|one| Room {
        instance: one.sighting.id.clone(),
        inspect: engine.target(&one.target).and_then(|target| target.inspect.clone()),
    });
    engine.analyst.keep(app, analyses, room.as_ref());
}

/// What a tick reads.
pub(crate) struct Scene<'a> {
    pub app: &'a AppName,
    pub wanted: &'a Wanted,
    pub observed: &'a Observed,
    pub permits: &'a Permits,
    /// What each ingress showed of the app, and when.
    pub books: &'a SeenBooks,
    pub now: Timestamp,
}

/// Keeps a decision for whoever asks why, and what forbade it.
fn remember(
    engine: &Engine,
    cell: &Cell,
    before: &AppRecord,
    scene: &Scene<'_>,
    ask: &Ask,
    (plan, violations): (Plan, Vec<Violation>),
) {
    let mut lines = trueup_plan::explain(scene.wanted, scene.observed, scene.permits, before, &plan, scene.now);
    lines.extend(violations.iter().map(replay::forbidden));
    publish::decision(cell, scene.now, ask.why, lines);
    engine.recorder.keep(recorder::recorded(scene, ask.why, before, plan, violations));
}

async fn carry_out(
    engine: &Engine,
    cell: &Cell,
    memory: &mut AppMemory,
    plan: Plan,
    scene: &Scene<'_>,
    ask: &Ask,
) -> (Wake, Verdict) {
    let Plan { record, steps, verdict, wake } = plan.clone();
    if !steps.is_empty() || record != memory.record {
        remember(engine, cell, &memory.record, scene, ask, (plan, Vec::new()));
    }
    notices::of_plan(engine, scene, &memory.record, &record, &verdict, cell);
    if record.rejected.len() > memory.record.rejected.len() || newly_rejected(&memory.record, &record) {
        // Seldom, and large: every tick would have room for it.
        Box::pin(evidence::keep(engine, scene, &memory.record, &record)).await;
    }
    let releases = memory.record.releases.keys().copied().collect();
    let record = retire::left_homes(engine, scene.app, &memory.record, record).await;
    if planted(Bug::SavesAfterActing) {
        (memory.record, memory.saved) = (record, false);
    } else if begins_rollout(&memory.record, &record) {
        // A store that never said so may be full all the same: what nobody would remember does not begin.
        if engine.parts.store.save(scene.app, &record).await.is_err() {
            return (Wake::At(engine.now().after(UNSAVED_AGAIN), trueup_types::WakeReason::Permit), verdict);
        }
        remembers(engine, scene.app, memory, record, true);
    } else {
        save(engine, scene.app, memory, record).await;
    }
    kept::tell_if_fewer(engine, scene.app, &releases, &memory.record).await;
    if goes_unrouted(&steps) && !engine.routes.withdraw(scene.books, &engine.epoch).await {
        // It is routed again by now, whatever was seen, or is about to be: a table may take its time.
        memory.acted = engine.epoch.next();
        let again = if planted(Bug::LooksAgainAtOnce) { Duration::ZERO } else { memory.barred.wait() };
        return (Wake::At(engine.now().after(again), trueup_types::WakeReason::LookAgain), verdict);
    }
    memory.barred.reset();
    if steps.is_empty() {
        return (wake, verdict);
    }
    let outcomes = execute(engine, scene, steps).await;
    memory.acted = engine.epoch.next();
    notices::of_steps(engine, scene.app, &outcomes);
    let next = trueup_plan::absorb(memory.record.clone(), &outcomes, engine.now());
    save(engine, scene.app, memory, next).await;
    kept::tell(engine, scene.app, &memory.record, &outcomes).await;
    // What was done is looked at as soon as anything new can be seen.
    let wake = if outcomes.iter().any(|one| one.outcome == StepOutcome::Done) {
        wake.or(Wake::At(engine.now(), trueup_types::WakeReason::LookAgain))
    } else {
        wake
    };
    (wake, verdict)
}

/// Whether a rollout is under way that was not before.
fn begins_rollout(before: &AppRecord, after: &AppRecord) -> bool {
    let toward = |record: &AppRecord| match record.rollout {
        Rollout::Underway { to, .. } => Some(to),
        Rollout::Idle | Rollout::Baking { .. } | Rollout::Reverting { .. } => None,
    };
    toward(after).is_some() && toward(after) != toward(before)
}

fn newly_rejected(before: &AppRecord, after: &AppRecord) -> bool {
    after.rejected.keys().any(|key| !before.rejected.contains_key(key))
}

/// Carries out the steps in order, up to the first whose outcome is not settled: the rest is hearsay.
async fn execute(engine: &Engine, scene: &Scene<'_>, steps: Vec<Step>) -> Vec<StepResult> {
    let app = scene.app;
    let lives = |id: &InstanceId| {
        let found = scene.observed.instances.iter().find(|one| one.sighting.id == *id);
        found.map(|one| one.target.clone())
    };
    let mut outcomes = Vec::with_capacity(steps.len());
    for step in steps {
        let doing = async {
            match &step.action {
                StepAction::Route { share } => engine.routes.apply(share, scene.books, lives, &engine.epoch).await,
                StepAction::Target { target, step } => match engine.target(target) {
                    Some(target) => target.runtime.apply(step).await,
                    None => StepOutcome::Unknown { why: Doubt::TargetDark(format!("there is no target {target}")) },
                },
            }
        };
        let outcome = tokio::time::timeout(STEP_TIMEOUT, doing).await.unwrap_or_else(|_| StepOutcome::Unknown {
            why: Doubt::OutcomeUnknown(format!("no answer in {} s", STEP_TIMEOUT.as_secs())),
        });
        tracing::debug!(%app, step = %step.action, why = %step.why, ?outcome, "step");
        if let StepAction::Target { target, step } = &step.action
            && let Some(target) = engine.target(target)
        {
            target.did(step, &outcome, engine.now());
        }
        let settled = outcome.settled();
        outcomes.push(StepResult { step, outcome });
        if !settled {
            break;
        }
    }
    outcomes
}

/// Saves a record if it changed. A store that cannot save stops no repair; the record is owed, and saved when it heals.
async fn save(engine: &Engine, app: &AppName, memory: &mut AppMemory, record: AppRecord) {
    if record == memory.record && memory.saved {
        return;
    }
    let saved = engine.parts.store.save(app, &record).await;
    if let Err(error) = &saved {
        tracing::warn!(%app, %error, "record not saved");
    }
    remembers(engine, app, memory, record, saved.is_ok());
}

/// From here on this is what is known of an app.
fn remembers(engine: &Engine, app: &AppName, memory: &mut AppMemory, record: AppRecord, saved: bool) {
    engine.dependents.learn(app, &memory.record.needs, &record.needs);
    secrets::follow(engine, app, &memory.record, &record);
    (memory.record, memory.saved) = (record, saved);
}

/// A look that saw nothing decides nothing.
fn dark(engine: &Engine, app: &AppName, cell: &Cell, memory: &mut AppMemory, snapshot: &Snapshot, why: Doubt) {
    let now = engine.now();
    let verdict = Verdict {
        state: State::Unknown(why.clone()),
        generation: memory.record.generation,
        revision: memory.record.current,
        counts: trueup_types::verdict::Counts::default(),
        serving: false,
        reverted: false,
        pinned: memory.record.pin.is_some(),
        degraded: None,
        message: format!("{why}; nothing is changed"),
    };
    let routes = RouteSight::Unknown(why);
    let observed = Observed::sorted(now, now, Vec::new(), routes);
    publish::app(engine, app, cell, snapshot, &memory.record, &verdict, &observed);
    engine.ask_at(app, now.after(memory.dark.wait()), "dark");
}

fn bug(verdict: &Verdict, violation: &str) -> Verdict {
    Verdict {
        state: State::Stalled(Stall::Bug(violation.to_owned())),
        message: format!("a plan would break {violation}; nothing is done, please report it"),
        ..verdict.clone()
    }
}

/// Makes a panic in a tick into a stalled app, and keeps the loop alive.
pub(crate) fn panicked(engine: &Engine, app: &AppName, what: &str) {
    let message = format!("a tick panicked: {what}; nothing is done, please report it");
    engine.note(EventKind::Warning, "Bug", Some(app), None, message);
    engine.ask_at(app, engine.now().after(BUG_AGAIN), "bug");
}
