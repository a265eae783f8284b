//! The passage to a release, one transition at a time: forward, into the bake, to the end, or back.
//!
//! `rollout` hands each state here with what was seen; `judge` says whether the new release is bad. What follows from
//! it is decided here, and nowhere else: this is where a probe result becomes a revert.

use trueup_museum::{Bug, planted};
use trueup_types::observed::{ExitWhy, Health, Phase};
use trueup_types::policy::RevertMode;
use trueup_types::record::{
    AppRecord, Backoff, DeployPhase, Evidence, Outcome, REJECTED_MAX, Rejection, Rollout, Stage,
};
use trueup_types::time::Stopwatch;
use trueup_types::verdict::Stall;
use trueup_types::{Instance, Release, Revision, RouteSight, Task, Timestamp};

use std::sync::Arc;

use crate::canary::{self, Canary};
use crate::census::{Census, Role, Vigour, belongs};
use crate::hooks::{self, Hooks};
use crate::judge::{self, Bake};
use crate::rollout::{
    Heading, Mode, Scene, answers, begin, held_back, idle, is_rejected, refresh_exposure, rolling, steady,
};
use crate::surge::Surge;
use crate::{drain, notes, pin};

/// A rollout under way: superseded, failed, promoted, or further on.
pub(crate) fn underway(
    record: &mut AppRecord,
    scene: &Scene<'_>,
    rollout: Rollout,
    crashed: Option<Instance>,
) -> Heading {
    let Rollout::Underway { to, stage, began, mut progress, mut passed, mut waits, mut canary } = rollout else {
        return idle(record, scene);
    };
    let Some(release) = record.release(to).cloned() else { return idle(record, scene) };
    if is_superseded(record, scene, &release) {
        if has_taken_over(scene, &release) {
            return promote(record, scene, release, began);
        }
        return superseded(record, scene, &release);
    }
    let release = refresh_exposure(record, scene.desired, &release);
    let policy = &scene.desired.policy;
    let good = record.current_release().cloned();
    let census = Census::take(scene.observed, Some(&release), good.as_deref(), policy.min_healthy, scene.now);
    let met = census.count(Role::Fresh, |vigour| matches!(vigour, Vigour::Steady | Vigour::Completed));
    if canary.shared.is_some() && canary::step(record, scene.desired, &canary).is_some() && met >= passed {
        // A step takes its time, and an approval a person's; one that it has lost has to come back in time.
        progress = Stopwatch::started(scene.now);
    } else {
        count(&mut progress, record, scene);
    }
    let late = judge::waits_too_long(&mut waits, scene, &release);
    let stuck = progress.reached(policy.progress_deadline).then_some(Evidence::NoProgress);
    if let Some(evidence) = judge::fails_fast(record, scene, &release).or(late).or(stuck) {
        return fail(record, scene, &release, evidence);
    }
    if met > passed {
        passed = met;
        progress = Stopwatch::started(scene.now);
    }
    let complete = met >= scene.desired.replicas();
    let shared = if complete || canary.begun() || canary::is_shared(&canary, record, scene, &census) {
        canary::advance(&mut canary, record, scene, (&release, good.as_deref()), crashed.as_ref())
    } else {
        Canary::Over
    };
    let (weight, unsure) = match shared {
        Canary::Bad(evidence) => return fail(record, scene, &release, evidence),
        Canary::Holds(weight) => (Some(weight), false),
        Canary::Unsure(weight) => (Some(weight), true),
        Canary::Over => (None, false),
    };
    if complete
        && weight.is_none()
        && fresh_alone_is_routed(scene, &release, &census)
        && way_is_clear(scene, &release, &census)
    {
        return promote(record, scene, release, began);
    }
    let stage = stage.max(stage_of(&census, complete));
    note_stage(record, to, stage, scene.now);
    record.rollout = Rollout::Underway { to, stage, began, progress, passed, waits, canary };
    Heading { weight, unsure, ..rolling(release, good) }
}

/// The gate is met and everything goes to the new release: it is watched from here on.
fn promote(record: &mut AppRecord, scene: &Scene<'_>, release: Arc<Release>, began: Timestamp) -> Heading {
    let (to, good) = (release.revision, record.current_release().cloned());
    notes::enter(record, to, DeployPhase::Bake, scene.now);
    record.rollout = Rollout::Baking { to, began, bake: Stopwatch::started(scene.now) };
    if planted(Bug::PromotesUnbaked) {
        record.current = Some(to);
    }
    Heading { mode: Mode::Baking, ..rolling(release, good) }
}

/// Whether the live table shows that a release has met its gate, be it that memory is older than that: it sends everything
/// to as many of it as are wanted, and no other runs. What supersedes it waits for its bake: else the only one that
/// serves well would go for what may turn out bad, with no way back.
fn has_taken_over(scene: &Scene<'_>, release: &Release) -> bool {
    let RouteSight::Seen(seen) = &scene.observed.routes else { return false };
    let runs = scene.observed.instances.iter().filter(|one| matches!(one.sighting.phase, Phase::Running { .. }));
    let runs: Vec<_> = runs.collect();
    let routed = |one: &Instance| seen.share.weight_of(&one.sighting.id) > 0;
    let wanted = scene.desired.replicas();
    let enough = wanted > 0 && u32::try_from(runs.len()).is_ok_and(|there| there >= wanted);
    // One that fails may serve only because nobody passes: that is no gate met.
    let fails = |one: &Instance| matches!(one.health, Health::Failed { .. });
    enough && runs.iter().all(|one| belongs(one, release) && routed(one) && !fails(one))
}

/// A rollout that has created nothing yet.
pub(crate) fn preparing(
    record: &mut AppRecord,
    scene: &Scene<'_>,
    rollout: Rollout,
    crashed: Option<Instance>,
) -> Heading {
    let release = match &rollout {
        Rollout::Underway { to, .. } => record.release(*to).cloned(),
        Rollout::Idle | Rollout::Baking { .. } | Rollout::Reverting { .. } => None,
    };
    let Some(release) = release else { return idle(record, scene) };
    if is_superseded(record, scene, &release) {
        return superseded(record, scene, &release);
    }
    record.rollout = rollout;
    if let Some(heading) = prepare(record, scene, &release) {
        return heading;
    }
    let rollout = std::mem::take(&mut record.rollout);
    underway(record, scene, rollout, crashed)
}

/// What must be over before the first instance is created: where the app heads meanwhile, which is where it was. Nothing
/// once it is over.
pub(crate) fn prepare(record: &mut AppRecord, scene: &Scene<'_>, release: &Arc<Release>) -> Option<Heading> {
    let hooks = hooks::run(record, scene, release, Task::PreDeploy);
    let Rollout::Underway { to, stage, progress, .. } = &mut record.rollout else { return None };
    // A hook has a time of its own.
    *progress = Stopwatch::started(scene.now);
    match hooks {
        Hooks::Bad(evidence) => Some(fail(record, scene, release, evidence)),
        Hooks::Pending(pending) => {
            Some(Heading { hook: Some(pending), ..steady(record.current_release().cloned(), false) })
        }
        Hooks::Over => {
            *stage = Stage::Start;
            let to = *to;
            notes::enter(record, to, DeployPhase::Start, scene.now);
            None
        }
    }
}

fn stage_of(census: &Census<'_>, complete: bool) -> Stage {
    let started = census.of(Role::Fresh).next().is_some();
    match (started, complete) {
        (false, _) => Stage::Start,
        (true, false) => Stage::Verify,
        (true, true) => Stage::Shift,
    }
}

fn note_stage(record: &mut AppRecord, to: Revision, stage: Stage, now: Timestamp) {
    match stage {
        Stage::Prepare | Stage::Start => {}
        Stage::Verify => notes::enter(record, to, DeployPhase::Verify, now),
        Stage::Shift => notes::enter(record, to, DeployPhase::Route, now),
    }
}

/// Whether the live table sends everything to the release that the app heads for; true of one without routes, whatever the
/// manifest says.
fn fresh_alone_is_routed(scene: &Scene<'_>, release: &Release, census: &Census<'_>) -> bool {
    let exposure = if planted(Bug::AsksWantedRoutes) { &scene.desired.exposure } else { &release.exposure };
    if exposure.routes.is_empty() || scene.desired.replicas() == 0 {
        return true;
    }
    let RouteSight::Seen(_) = &scene.observed.routes else { return false };
    let old_is_routed = census.members.iter().any(|member| member.role != Role::Fresh && member.routed);
    census.of(Role::Fresh).any(|member| member.routed) && !old_is_routed
}

/// Strategies that give way one by one are through only when the old ones have gone; blueGreen keeps them.
fn way_is_clear(scene: &Scene<'_>, release: &Release, census: &Census<'_>) -> bool {
    Surge::of(scene.desired, Some(release)).keeps_old || census.count(Role::Kept, Vigour::runs) == 0
}

fn is_superseded(record: &AppRecord, scene: &Scene<'_>, release: &Release) -> bool {
    let wanted_still = answers(record, scene.desired, release) || planted(Bug::FinishesSuperseded);
    !wanted_still || scene.desired.replicas() == 0
}

/// Something else is wanted, or nothing is to run: whatever came up of this release is left behind at once.
fn superseded(record: &mut AppRecord, scene: &Scene<'_>, release: &Release) -> Heading {
    notes::close(record, release.revision, Outcome::Superseded, None, scene.now);
    record.rollout = Rollout::Idle;
    record.refused = None;
    idle(record, scene)
}

/// The new release is bad: remembered, and left.
pub(crate) fn fail(record: &mut AppRecord, scene: &Scene<'_>, release: &Arc<Release>, evidence: Evidence) -> Heading {
    let cause = judge::sentence(&evidence);
    let rejection = Rejection { revision: release.revision, at: scene.now, evidence };
    record.rejected.insert((release.digest, release.target.clone()), rejection);
    while record.rejected.len() > REJECTED_MAX {
        let oldest = record.rejected.iter().min_by_key(|(_, one)| one.at).map(|(key, _)| key.clone());
        oldest.map(|key| record.rejected.remove(&key));
    }
    record.refused = None;
    forget_failures(record);
    pin::end_with_its_rollout(record);
    let from = release.revision;
    let current = record.current_release().filter(|good| good.digest != release.digest).cloned();
    let once = record.reverted_generation != Some(record.generation) || planted(Bug::RevertsTwice);
    let auto = scene.desired.policy.revert == RevertMode::Auto;
    match current {
        Some(good) if auto && once => {
            notes::close(record, from, Outcome::Reverted, Some(cause), scene.now);
            record.reverted_generation = Some(record.generation);
            record.rollout = Rollout::Reverting { from, since: scene.now, spent: Stopwatch::started(scene.now) };
            Heading { mode: Mode::Reverting, rejected: true, ..steady(Some(good), true) }
        }
        Some(good) => {
            notes::close(record, from, Outcome::Failed, Some(cause), scene.now);
            record.rollout = Rollout::Idle;
            held(good)
        }
        None => {
            notes::close(record, from, Outcome::Failed, Some(cause), scene.now);
            record.rollout = Rollout::Idle;
            idle(record, scene)
        }
    }
}

/// What failed of one release says nothing of the next one, nor of the way back: neither waits for it.
pub(crate) fn forget_failures(record: &mut AppRecord) {
    if !planted(Bug::BackoffOutlivesRelease) {
        record.backoff = Backoff { instances: std::mem::take(&mut record.backoff.instances), ..Backoff::default() };
    }
}

/// The failed rollout waits for a person; traffic is the good release's.
pub(crate) fn held(good: Arc<Release>) -> Heading {
    Heading { mode: Mode::Held, stall: Some(Stall::Held), ..steady(Some(good), true) }
}

/// Counts watched time toward a deadline, but none in which the hands were tied, be it until now: what may not act, or
/// cannot shift traffic, makes no progress, and that is no fault of the release.
fn count(watch: &mut Stopwatch, record: &AppRecord, scene: &Scene<'_>) {
    let tied = scene.permits.create.is_err() || scene.permits.destroy.is_err();
    if !tied && !is_dark(record, scene) {
        watch.advance(scene.observed.sighted_since, scene.now);
    } else {
        watch.skip(scene.now);
        watch.stop();
    }
}

/// Whether there is traffic, and nobody can see where it goes.
fn is_dark(record: &AppRecord, scene: &Scene<'_>) -> bool {
    matches!(scene.observed.routes, RouteSight::Unknown(_)) && drain::has_ways_in(record, scene.desired)
}

/// A promoted release under watch.
pub(crate) fn baking(
    record: &mut AppRecord,
    scene: &Scene<'_>,
    (to, began, mut bake): (Revision, Timestamp, Stopwatch),
    crashed: Option<Instance>,
) -> Heading {
    let Some(release) = record.release(to).cloned() else { return idle(record, scene) };
    if scene.desired.replicas() == 0 {
        // What does not run cannot be watched: it is tried again when it is scaled up.
        return superseded(record, scene, &release);
    }
    let good = record.current_release().filter(|good| good.revision != to).cloned();
    if is_kept_out(scene, &release, good.as_deref()) {
        return superseded(record, scene, &release);
    }
    let promoted = notes::entered(record, to, DeployPhase::Bake);
    let refused = judge::is_refused(record, &release).filter(|_| !planted(Bug::BakesRefused));
    let judged =
        refused.map_or_else(|| judge::bakes(scene, &release, good.as_deref(), crashed.as_ref(), promoted), Bake::Bad);
    let unsure = matches!(judged, Bake::Unsure);
    let wanted_still = answers(record, scene.desired, &release);
    match judged {
        // A bake in which both fail has no end of its own, and a fix need not wait for one.
        Bake::BothFail if !wanted_still => return superseded(record, scene, &release),
        // Without traffic it proves nothing.
        Bake::Good if is_dark(record, scene) => bake.skip(scene.now),
        Bake::Good => bake.advance(scene.observed.sighted_since, scene.now),
        Bake::BothFail | Bake::Unsure => bake.skip(scene.now),
        Bake::Bad(evidence) => return fail(record, scene, &release, evidence),
    }
    let hook = match hooks::run(record, scene, &release, Task::PostDeploy) {
        Hooks::Bad(evidence) => return fail(record, scene, &release, evidence),
        Hooks::Pending(pending) => Some(pending),
        Hooks::Over => None,
    };
    let release = if wanted_still { refresh_exposure(record, scene.desired, &release) } else { release };
    let policy = &scene.desired.policy;
    let census = Census::take(scene.observed, Some(&release), good.as_deref(), policy.min_healthy, scene.now);
    let whole = census.count(Role::Fresh, |vigour| vigour.passes() || vigour == Vigour::Completed);
    let wanted = if wanted_still { scene.desired.replicas() } else { whole.max(1) };
    let watched = bake.reached(policy.bake) && judge::youngest_due(scene, &release, promoted) <= Some(scene.now);
    if watched && whole >= wanted && hook.is_none() {
        record.rollout = Rollout::Idle;
        notes::live(record, to, scene.now);
        // What is wanted next, if anything, begins at the next tick: one transition each.
        return steady(Some(release), false);
    }
    record.rollout = Rollout::Baking { to, began, bake };
    Heading { mode: Mode::Baking, unsure, hook, ..rolling(release, good) }
}

/// Whether nothing runs of a release under watch, through no fault of its own, and nothing can come up beside the good one that runs: memory is
/// older than the world, in which it was left, or it was taken away and the good one came back.
fn is_kept_out(scene: &Scene<'_>, release: &Release, good: Option<&Release>) -> bool {
    let old = good.map(|good| judge::of_release(scene, good)).unwrap_or_default();
    let there = old.iter().filter(|one| matches!(one.sighting.phase, Phase::Running { .. })).count();
    let surge = Surge::of(scene.desired, Some(release));
    let all = u32::try_from(there).is_ok_and(|there| there >= scene.desired.replicas());
    let in_the_way = there > 0 && (surge.recreates || (surge.stop_first && all));
    let gone = |one: &Instance| match &one.sighting.phase {
        Phase::Created | Phase::Exited { why: ExitWhy::HostLost | ExitWhy::Asked, .. } => true,
        Phase::Exited { why: ExitWhy::ByItself | ExitWhy::CannotStart { .. }, .. } => false,
        Phase::Starting | Phase::Running { .. } | Phase::Asleep | Phase::Vanishing { .. } => false,
    };
    in_the_way && judge::of_release(scene, release).into_iter().all(gone)
}

/// A revert on its way.
pub(crate) fn reverting(
    record: &mut AppRecord,
    scene: &Scene<'_>,
    (from, since, mut spent): (Revision, Timestamp, Stopwatch),
) -> Heading {
    let Some(mut good) = record.current_release().cloned() else { return idle(record, scene) };
    if planted(Bug::RevertReplacesHealthy) {
        Arc::make_mut(&mut good).revision = record.highest.next();
    }
    let policy = &scene.desired.policy;
    // Beyond its deadline there is nothing more to count, and nothing to save at each look.
    if !spent.reached(policy.progress_deadline) {
        count(&mut spent, record, scene);
    }
    let census = Census::take(scene.observed, Some(&good), None, policy.min_healthy, scene.now);
    let back = census.count(Role::Fresh, |vigour| vigour.passes() || vigour == Vigour::Completed);
    let held = planted(Bug::RevertWaitsForPermits) && held_back(scene).is_some();
    let enough = back >= scene.desired.replicas() && fresh_alone_is_routed(scene, &good, &census) && !held;
    let left = census.of(Role::Stale).any(|member| member.id().revision == from);
    let failed = spent.reached(policy.progress_deadline);
    // What undoes it runs once nothing of it is left that could mind.
    let hook = if enough && !left { hooks::undo(record, scene, from) } else { None };
    if enough && !left && hook.is_none() {
        record.rollout = Rollout::Idle;
        return steady(Some(good), is_rejected(record, scene.desired));
    }
    // A fix need not wait for a revert that does not end, nor for the last of the bad ones to go.
    let fixed = !answers(record, scene.desired, &good) && !is_rejected(record, scene.desired);
    let undoes = record.release(from).is_some_and(|release| !release.template.hooks.on_revert.is_empty());
    if fixed && (failed || (enough && !undoes)) {
        record.rollout = Rollout::Idle;
        return begin(record, scene, Some(good));
    }
    if hook.is_some() {
        // A hook has a time of its own.
        spent = Stopwatch::started(scene.now);
    }
    record.rollout = Rollout::Reverting { from, since, spent };
    let stall = failed.then_some(Stall::RevertFailed).filter(|_| hook.is_none());
    Heading { mode: Mode::Reverting, stall, hook, ..steady(Some(good), true) }
}
