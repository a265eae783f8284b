//! Sees an app wherever it is, or may be, and notices when memory is older than what is seen.
//!
//! Surveys of its targets, its share of the live table and the health of its instances come together here. A record that
//! was lost, or put back to what it was, is made anew from what runs.

use std::collections::BTreeSet;

use trueup_museum::{Bug, planted};
use trueup_types::desired::{Doubt, Wanted};
use trueup_types::record::AppRecord;
use trueup_types::status::EventKind;
use trueup_types::{AppName, Instance, Observed, RouteSight, Sighting, TargetName, Timestamp};

use crate::engine::{AppMemory, Engine};
use crate::probe_book::Seen;
use crate::routing::SeenBooks;
use crate::secrets;

/// What targets show of an app.
struct Sights {
    /// When the oldest look began.
    at: Timestamp,
    /// Since when all of them are seen without a gap.
    since: Timestamp,
    seen: Vec<Seen>,
}

/// Sees the app on all the targets where it is, or may be.
pub(crate) async fn look(
    engine: &Engine,
    app: &AppName,
    wanted: &Wanted,
    memory: &mut AppMemory,
    needed: u64,
) -> Result<(Observed, SeenBooks), Doubt> {
    let meant = match wanted {
        Wanted::Present(desired) => Some(&desired.placement.target),
        Wanted::Gone { .. } | Wanted::Held { .. } => None,
    };
    let mut homes = homes(engine, app, meant, &memory.record, needed).await;
    let mut sights = survey(engine, app, &homes, needed).await?;
    let (mut routes, mut books) =
        engine.routes.sight(app, meant.into_iter().chain(&homes), needed, &engine.epoch).await;
    let everywhere = everywhere(engine);
    if names_newer(&routes, &memory.record) && !everywhere.is_subset(&homes) {
        homes.extend(everywhere);
        sights = survey(engine, app, &homes, needed).await?;
        (routes, books) = engine.routes.sight(app, meant.into_iter().chain(&homes), needed, &engine.epoch).await;
    }
    let Sights { at, since, seen } = sights;
    let record = &memory.record;
    let release = |one: &Sighting| record.release(one.id.revision).cloned().or_else(|| one.template.clone());
    let healths = engine.probes.observe(app, &seen, release);
    let together = seen.into_iter().zip(secrets::struck(engine, healths));
    let all: Vec<_> = together.map(|((target, sighting, _), health)| Instance { sighting, target, health }).collect();
    if is_older(&memory.record, &all) {
        recall(engine, app, memory, &all);
    }
    // What a survey saw before the host slept is no sight of the time since.
    let since = since.max(engine.heartbeat.beat(engine.now()));
    Ok((Observed::sorted(at, since, all, routes), books))
}

/// Where an app is, or may be.
async fn homes(
    engine: &Engine,
    app: &AppName,
    meant: Option<&TargetName>,
    record: &AppRecord,
    needed: u64,
) -> BTreeSet<TargetName> {
    let mut homes = record.homes.clone();
    if let Some(cell) = engine.find(app) {
        homes.extend(cell.homes.lock().expect("no holder panics").iter().cloned());
    }
    // A stranger may be anywhere.
    let Some(target) = meant else {
        homes.extend(everywhere(engine));
        return homes;
    };
    homes.insert(target.clone());
    // Who has forgotten where it was looks everywhere.
    if *record == AppRecord::default() && may_be_forgotten(engine, app, target, needed).await {
        homes.extend(everywhere(engine));
    }
    homes
}

fn everywhere(engine: &Engine) -> BTreeSet<TargetName> {
    engine.targets.lock().expect("no holder panics").keys().cloned().collect()
}

/// Surveys the targets; a single one that is not seen leaves all in doubt.
async fn survey(engine: &Engine, app: &AppName, homes: &BTreeSet<TargetName>, needed: u64) -> Result<Sights, Doubt> {
    let mut sights = Sights { at: engine.now(), since: Timestamp::ZERO, seen: Vec::new() };
    for name in homes {
        let Some(target) = engine.target(name) else {
            return Err(Doubt::TargetDark(format!("there is no target {name}")));
        };
        let sight = target.sight(needed, &engine.epoch, engine.parts.clock.as_ref()).await;
        let apps = sight.apps.as_ref().map_err(|why| Doubt::TargetDark(format!("{name}: {why}")))?;
        if let Some(id) = sight.stale.get(app) {
            return Err(Doubt::TargetDark(format!("{name} shows {id} as it was before what was done last")));
        }
        sights.at = sights.at.min(sight.at);
        sights.since = sights.since.max(sight.since);
        let ours = apps.get(app).into_iter().flatten();
        sights.seen.extend(ours.map(|one| (name.clone(), one.clone(), target.inspect.clone())));
    }
    Ok(sights)
}

/// Whether an app of which nothing is remembered may have been there before: memory was lost, or the live table names the
/// app, or nobody sees the table. Its instances may be where its manifest no longer says.
async fn may_be_forgotten(engine: &Engine, app: &AppName, meant: &TargetName, needed: u64) -> bool {
    if engine.rebuilt.lock().expect("no holder panics").is_some() {
        return true;
    }
    match engine.routes.sight(app, [meant, &TargetName::local()], needed, &engine.epoch).await.0 {
        RouteSight::Seen(seen) => !seen.share.entries.is_empty(),
        RouteSight::Unknown(_) => true,
    }
}

/// Whether the world is newer than the record: there is none, or a revision is seen that it has never given out. Since a
/// record is saved before its first step, it was lost or put back.
fn is_older(record: &AppRecord, seen: &[Instance]) -> bool {
    seen.iter().any(|one| *record == AppRecord::default() || one.sighting.id.revision > record.highest)
}

/// Whether the live table names one of a revision that the record has never given out: wherever it is, memory is older.
fn names_newer(routes: &RouteSight, record: &AppRecord) -> bool {
    let RouteSight::Seen(seen) = routes else { return false };
    if planted(Bug::TrustsOlderMemory) {
        return false;
    }
    let mut backends = seen.share.entries.iter().flat_map(|entry| &entry.backends);
    backends.any(|one| one.instance.revision > record.highest)
}

/// Makes the record anew from labels; of one that was put back only what a person said is believed, and what the manifest did.
fn recall(engine: &Engine, app: &AppName, memory: &mut AppMemory, seen: &[Instance]) {
    let before = std::mem::take(&mut memory.record);
    let mut record = trueup_plan::adopt(app, seen, engine.now());
    tracing::info!(%app, instances = seen.len(), "adopted what runs");
    if before != AppRecord::default() {
        let message =
            format!("memory ends at {} and {} runs: it went back; adopted what runs", before.highest, record.highest);
        engine.note(EventKind::Warning, "MemoryWentBack", Some(app), None, message);
        record.generation = record.generation.max(before.generation);
        record.homes.extend(before.homes);
        record.prune = before.prune;
        if !planted(Bug::ForgetsNeeds) {
            record.needs = before.needs;
        }
        (record.restarts, record.suspended) = (before.restarts, before.suspended);
    }
    memory.record = record;
    memory.saved = false;
}
