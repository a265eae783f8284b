//! What is there and nobody knows: each target and the table are looked at, and every app that is found gets a cell.
//!
//! Once every target has been seen since memory was lost, the loss need not be told again; that deletions wait for a word
//! is remembered beyond this life.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use trueup_seams::StoreError;
use trueup_types::status::EventKind;

use crate::engine::Engine;

/// Looks at every target and at the table, and makes a cell for each app that is there unknown.
pub(crate) async fn discover(engine: &Arc<Engine>) {
    let epoch = engine.epoch.next();
    let targets: Vec<_> = engine.targets.lock().expect("no holder panics").values().cloned().collect();
    // Before the first snapshot nobody knows which targets there are.
    let mut whole = !targets.is_empty() && engine.snapshot().scans > 0;
    for target in targets {
        let sight = target.sight(epoch, &engine.epoch, engine.parts.clock.as_ref()).await;
        match &sight.apps {
            Err(_) => whole = false,
            Ok(apps) => {
                apps.keys().for_each(|app| drop(engine.cell(app)));
                engine.note_homes(&target.spec.name, apps);
            }
        }
    }
    // What is in the table and nowhere else has nobody who would take it out.
    for app in engine.routes.apps(epoch, &engine.epoch).await {
        drop(engine.cell(&app));
    }
    if whole
        && !engine.surveyed.swap(true, Ordering::SeqCst)
        && engine.rebuilt.lock().expect("no holder panics").is_some()
    {
        let message = "every target has been seen since the store was rebuilt; deletions wait for approval";
        engine.note(EventKind::Normal, "Surveyed", None, None, message.to_owned());
        if let Err(error) = settle(engine).await {
            // The next daemon is told of the loss again, and looks again.
            tracing::warn!(%error, "the store does not remember that every target was seen");
        }
    }
}

/// In this order: the loss is told until it is remembered otherwise that deletions wait.
async fn settle(engine: &Engine) -> Result<(), StoreError> {
    let record = {
        let mut daemon = engine.daemon.lock().expect("no holder panics");
        daemon.prune_strict = true;
        daemon.clone()
    };
    engine.parts.store.save_daemon(&record).await?;
    engine.parts.store.settled().await
}
