//! What is wanted of one app at this moment, and what others allow it.
//!
//! Reads the source's snapshot, the guard, the store's health and the other apps' standing; hands the planner its
//! `Wanted` and its `Permits`. Decides nothing about instances.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use trueup_museum::{Bug, planted};
use trueup_seams::{Absence, Snapshot, StoreHealth};
use trueup_types::AppName;
use trueup_types::desired::{Cause, DesiredApp, Doubt, Hold, Permits, Prune, Readiness, Wanted};
use trueup_types::record::{AppRecord, Rollout};
use trueup_types::verdict::State;

use crate::engine::{Cell, Engine};

/// What is wanted of an app.
pub(crate) fn wanted(engine: &Engine, snapshot: &Snapshot, app: &AppName, record: &AppRecord) -> Wanted {
    if engine.daemon.lock().expect("no holder panics").down.is_some() {
        return Wanted::Gone { cause: Cause::Removed, prune: Prune::Delete };
    }
    if snapshot.scans == 0 {
        let why = "the manifests have not been read yet".to_owned();
        return Wanted::Held { why: Doubt::SourceUnavailable(why) };
    }
    if let Some(found) = snapshot.apps.get(app) {
        return Wanted::Present(std::sync::Arc::clone(&found.desired));
    }
    match snapshot.absence(app) {
        Absence::Confirmed => Wanted::Gone { cause: Cause::Removed, prune: record.prune },
        Absence::Unconfirmed => {
            let why = "its manifest is gone in one scan, which a second must confirm".to_owned();
            Wanted::Held { why: Doubt::SourceUnavailable(why) }
        }
        Absence::InDoubt(why) => Wanted::Held { why },
    }
}

/// What others allow an app.
pub(crate) fn permits(
    engine: &Engine,
    snapshot: &Snapshot,
    app: &AppName,
    wanted: &Wanted,
    record: &AppRecord,
) -> Permits {
    let down = engine.daemon.lock().expect("no holder panics").down.is_some();
    let mut permits = Permits::all();
    if let Some(why) = rebuilding(engine) {
        permits.destroy = Err(Hold::InDoubt(why));
    } else if let Some(doubt) = snapshot.doubt.as_ref().filter(|_| !down) {
        permits.destroy = Err(Hold::InDoubt(doubt.clone()));
    }
    match wanted {
        Wanted::Gone { .. } if !down && permits.destroy.is_ok() => {
            permits.destroy = engine.prune.lock().expect("no holder panics").permit(app);
            permits.destroy = permits.destroy.and(dependents(engine, snapshot, app, record, down));
        }
        Wanted::Gone { .. } => {
            permits.destroy = permits.destroy.and(dependents(engine, snapshot, app, record, down));
        }
        Wanted::Held { .. } => {}
        Wanted::Present(desired) => {
            permits.dependencies = dependencies(engine, snapshot, desired);
            permits.start_rollout = start_rollout(engine, app, record, desired);
        }
    }
    permits
}

/// What depends on an app goes before it does; what stays knows that it goes.
fn dependents(engine: &Engine, snapshot: &Snapshot, app: &AppName, record: &AppRecord, down: bool) -> Result<(), Hold> {
    let goes = |other: &AppName| (down || !snapshot.apps.contains_key(other)) && !record.needs.contains(other);
    let first: Vec<_> = engine.dependents.of(app).into_iter().filter(goes).collect();
    if first.is_empty() { Ok(()) } else { Err(Hold::Dependents(first)) }
}

fn rebuilding(engine: &Engine) -> Option<Doubt> {
    let rebuilt = engine.rebuilt.lock().expect("no holder panics").is_some();
    let seen = engine.surveyed.load(Ordering::SeqCst);
    (rebuilt && !seen).then_some(Doubt::StoreRebuilt)
}

fn dependencies(engine: &Engine, snapshot: &Snapshot, desired: &DesiredApp) -> BTreeMap<AppName, Readiness> {
    let readiness = |name: &AppName| {
        if !snapshot.apps.contains_key(name) {
            return Readiness::Missing;
        }
        let ready = engine.find(name).is_some_and(|cell| cell.shown.lock().expect("no holder panics").ready);
        if ready { Readiness::Ready } else { Readiness::NotReady }
    };
    desired.policy.depends_on.iter().map(|name| (name.clone(), readiness(name))).collect()
}

/// A first release is no rollout for the cap and the windows: nothing that serves is put at risk. Nor is a person's
/// rollback: it is what somebody needs at once.
fn start_rollout(engine: &Engine, app: &AppName, record: &AppRecord, desired: &DesiredApp) -> Result<(), Hold> {
    // Nor does one begin in place of another: what nobody remembers would be taken for good by the next daemon.
    if let StoreHealth::Degraded { .. } = engine.parts.store.health() {
        return Err(Hold::StoreDegraded);
    }
    let idle = matches!(record.rollout, Rollout::Idle | Rollout::Reverting { .. });
    let Some(current) = record.current_release().filter(|_| idle) else { return Ok(()) };
    let same = current.template == *desired.template && current.inputs.trees == desired.inputs.trees;
    let same = same && current.target == desired.placement.target;
    // An edit ends a rollback, and is what rolls then.
    if same || record.pin.as_ref().is_some_and(|pin| pin.holds(desired.template_digest)) {
        return Ok(());
    }
    let wall = engine.parts.clock.wall();
    trueup_types::window::may_begin(&desired.policy.windows, wall).map_err(|opens| Hold::Window { opens })?;
    let mut rolling = engine.rolling.lock().expect("no holder panics");
    if rolling.contains(app) {
        return Ok(());
    }
    let most = engine.parts.rollouts_max;
    if rolling.len() >= most && !planted(Bug::IgnoresRolloutCap) {
        engine.capped.lock().expect("no holder panics").insert(app.clone());
        return Err(Hold::RolloutCap { limit: u32::try_from(most).unwrap_or(u32::MAX) });
    }
    rolling.insert(app.clone());
    Ok(())
}

/// Whether a way in of a first release is somebody else's still: one that goes, or is left as it is without a manifest.
pub(crate) async fn holder_of_route(engine: &Engine, wanted: &Wanted, record: &AppRecord) -> Option<Hold> {
    let Wanted::Present(desired) = wanted else { return None };
    if record.current.is_some() || record.rollout != Rollout::Idle || planted(Bug::TakesHeldRoute) {
        return None;
    }
    for route in &desired.exposure.routes {
        if let Some(by) = engine.routes.holder(&desired.placement.target, &desired.name, route).await {
            return Some(Hold::RouteHeld { route: route.to_string(), by });
        }
    }
    None
}

/// Gives those that were rolling when the daemon went their places again, before any other is asked.
pub(crate) fn take_places(engine: &Engine, memory: &BTreeMap<AppName, AppRecord>) {
    let rolls = |record: &AppRecord| {
        let moves = matches!(record.rollout, Rollout::Underway { .. }) && record.suspended.is_none();
        moves && record.current.is_some() && !planted(Bug::ForgetsRolloutPlaces)
    };
    let rolling = memory.iter().filter(|(_, record)| rolls(record)).map(|(app, _)| app.clone());
    engine.rolling.lock().expect("no holder panics").extend(rolling);
}

/// Gives back the place of an app that does not roll, and wakes those that wait for one.
///
/// One that is suspended in mid-rollout keeps none: it may be so for ever.
pub(crate) fn release_place(engine: &Engine, app: &AppName, record: &AppRecord, state: &State) {
    let moves = matches!(record.rollout, Rollout::Underway { .. }) && *state != State::Suspended;
    let rolls = moves && record.current.is_some();
    let mut rolling = engine.rolling.lock().expect("no holder panics");
    if rolls {
        rolling.insert(app.clone());
        return;
    }
    if planted(Bug::LeaksRolloutPlace) || !rolling.remove(app) {
        return;
    }
    drop(rolling);
    let next = engine.capped.lock().expect("no holder panics").pop_first();
    if let Some(next) = next {
        engine.ask(&next, crate::queue::Priority::Rollout, "a rollout's place is free");
    }
}

/// Which apps are known to be gone, and how many are known in all: for the guard.
pub(crate) fn review_guard(engine: &Engine, snapshot: &Snapshot) {
    if snapshot.scans == 0 || snapshot.doubt.is_some() {
        return;
    }
    // An orphan stays for good: it neither goes nor counts among those that are there.
    let orphaned = |cell: &Cell| {
        let shown = cell.shown.lock().expect("no holder panics");
        shown.status.as_ref().is_some_and(|app| app.status.verdict.state == State::Orphaned)
    };
    let cells = engine.cells.lock().expect("no holder panics").clone();
    let known: BTreeSet<_> = cells.into_iter().filter(|(_, cell)| !orphaned(cell)).map(|(app, _)| app).collect();
    let gone: BTreeSet<_> = known
        .iter()
        .filter(|app| !snapshot.apps.contains_key(*app) && snapshot.absence(app) == Absence::Confirmed)
        .cloned()
        .collect();
    let strict = engine.rebuilt.lock().expect("no holder panics").is_some()
        || engine.daemon.lock().expect("no holder panics").prune_strict;
    engine.prune.lock().expect("no holder panics").review(&gone, known.len(), strict);
}
