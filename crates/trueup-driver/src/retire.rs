//! How an app ends: what stands around it goes when nothing of it is left, on every target when it is deleted, on one when
//! it has moved away from there; and then it is forgotten.
//!
//! Until a target says that it is done, the app is remembered, so that whoever comes after a crash asks again.

use std::collections::BTreeSet;
use std::time::Duration;

use trueup_seams::StoreHealth;
use trueup_types::desired::Doubt;
use trueup_types::status::EventKind;
use trueup_types::{AppName, AppRecord, StepOutcome, TargetName, Verdict};

use crate::engine::Engine;
use crate::secrets;
use crate::tick::{BUG_AGAIN, STEP_TIMEOUT};

/// How soon a target that could not is asked again.
pub(crate) const AGAIN: Duration = Duration::from_secs(2);

/// Takes away what stands around an app on all targets: it is deleted, and may have been anywhere. What is only down is to
/// come back, and finds everything as it was.
///
/// # Errors
/// What is still there, in one line.
pub(crate) async fn everywhere(engine: &Engine, app: &AppName) -> Result<(), String> {
    if engine.daemon.lock().expect("no holder panics").down.is_some() {
        return Ok(());
    }
    let targets: Vec<_> = engine.targets.lock().expect("no holder panics").keys().cloned().collect();
    for target in targets {
        on(engine, app, &target).await?;
    }
    Ok(())
}

/// Takes away what stands around an app where a plan no longer looks for it; such a home is kept in mind until that is done.
pub(crate) async fn left_homes(engine: &Engine, app: &AppName, before: &AppRecord, mut after: AppRecord) -> AppRecord {
    let left: Vec<_> = before.homes.difference(&after.homes).cloned().collect();
    for home in left {
        if let Err(why) = on(engine, app, &home).await {
            tracing::warn!(%app, target = %home, why, "what stood around it is still there");
            after.homes.insert(home);
            engine.ask_at(app, engine.now().after(AGAIN), "owed");
        }
    }
    after
}

async fn on(engine: &Engine, app: &AppName, target: &TargetName) -> Result<(), String> {
    let Some(reached) = engine.target(target) else { return Ok(()) };
    let retired = tokio::time::timeout(STEP_TIMEOUT, reached.runtime.retire(app)).await;
    let unknown =
        |_| StepOutcome::Unknown { why: Doubt::OutcomeUnknown(format!("no answer in {} s", STEP_TIMEOUT.as_secs())) };
    let why = match retired.unwrap_or_else(unknown) {
        StepOutcome::Done | StepOutcome::AlreadyTrue => return Ok(()),
        StepOutcome::Underway { why, .. } | StepOutcome::Retry { why, .. } => why,
        StepOutcome::Refused { why } => why.to_string(),
        StepOutcome::Unknown { why } => why.to_string(),
    };
    Err(format!("nothing of it is left but what stands around it on {target}: {why}"))
}

/// Nothing of the app is left, or it is left alone: its record goes, unless the daemon is only down.
///
/// A late hint may bring up an app that is forgotten: that is no news.
pub(crate) async fn forget(engine: &Engine, app: &AppName, record: &AppRecord, verdict: &Verdict) {
    engine.dependents.learn(app, &record.needs, &BTreeSet::new());
    for need in &record.needs {
        engine.ask(need, crate::queue::Priority::Edit, "what depends on it is gone");
    }
    let down = engine.daemon.lock().expect("no holder panics").down.is_some();
    if !down {
        if let Err(error) = engine.parts.store.forget(app).await {
            tracing::warn!(%app, %error, "record not forgotten");
            let healthy = engine.parts.store.health() == StoreHealth::Good;
            let wait = if healthy { BUG_AGAIN / 10 } else { BUG_AGAIN };
            return engine.ask_at(app, engine.now().after(wait), "owed");
        }
        secrets::forget(engine, app);
        if *record != AppRecord::default() {
            engine.note(EventKind::Normal, "Deleted", Some(app), None, verdict.message.clone());
        }
    } else {
        engine.laid_by.lock().expect("no holder panics").insert(app.clone(), record.clone());
    }
    engine.cells.lock().expect("no holder panics").remove(app);
    engine.dirty.notify_one();
}
