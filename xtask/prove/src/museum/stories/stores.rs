//! The store on a real disk: what it acknowledged is there, or its loss is said.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use trueup_seams::{Memory, Store as _};
use trueup_sim::AppSketch;
use trueup_store::SledStore;
use trueup_store::sleeper::Sleeper;
use trueup_types::record::AppRecord;
use trueup_types::{Generation, Release, ReleaseDigest, Revision};

use super::Told;
use super::stage::{name, sure};
use crate::waiting::real;

/// Longest that a save may take on a disk that takes it: it takes milliseconds.
const SAVE_MAX: Duration = Duration::from_secs(10);

/// Apps of which records are kept: enough for several pages.
const APPS: u64 = 40;

fn record(generation: u64) -> AppRecord {
    let desired = AppSketch::web("web").build();
    let release = Release {
        app: name("web"),
        revision: Revision(1),
        digest: ReleaseDigest::of(&generation),
        target: desired.placement.target.clone(),
        template: (*desired.template).clone(),
        exposure: desired.exposure.clone(),
        stop_first: None,
        inputs: desired.inputs.clone(),
        origin: desired.origin.clone(),
    };
    AppRecord {
        generation: Generation(generation),
        highest: Revision(1),
        releases: [(Revision(1), Arc::new(release))].into(),
        ..AppRecord::default()
    }
}

fn save(store: &SledStore, generation: u64) -> Told {
    for number in 0..APPS {
        let app = name(&format!("app-{number}"));
        let mut record = record(generation);
        for release in record.releases.values_mut() {
            Arc::make_mut(release).app = app.clone();
        }
        real(store.save(&app, &record)).map_err(|why| why.to_string())?;
    }
    Ok(())
}

fn load(state: &Path) -> Result<Memory, String> {
    let store = SledStore::open(state).map_err(|why| why.to_string())?;
    real(store.load()).map_err(|why| why.to_string())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// A store with all records at generation 1, closed, in a directory of its own.
fn begun() -> Result<tempfile::TempDir, String> {
    let dir = tempfile::tempdir().map_err(|why| why.to_string())?;
    let store = SledStore::open(dir.path()).map_err(|why| why.to_string())?;
    save(&store, 1)?;
    Ok(dir)
}

pub fn an_earlier_store_is_not_believed() -> Told {
    let dir = begun()?;
    let aside = tempfile::tempdir().map_err(|why| why.to_string())?;
    copy(&dir.path().join("store"), &aside.path().join("store")).map_err(|why| why.to_string())?;
    let store = SledStore::open(dir.path()).map_err(|why| why.to_string())?;
    save(&store, 2)?;
    drop(store);
    std::fs::remove_dir_all(dir.path().join("store")).map_err(|why| why.to_string())?;
    copy(&aside.path().join("store"), &dir.path().join("store")).map_err(|why| why.to_string())?;
    sure(load(dir.path())?.rebuilt.is_some(), "a store that went back in time is believed")
}

pub fn what_is_acknowledged_is_written() -> Told {
    let dir = tempfile::tempdir().map_err(|why| why.to_string())?;
    let store = SledStore::open(dir.path()).map_err(|why| why.to_string())?;
    save(&store, 1)?;
    // As the disk is left by a process that is killed at this moment.
    let killed = tempfile::tempdir().map_err(|why| why.to_string())?;
    copy(dir.path(), killed.path()).map_err(|why| why.to_string())?;
    let memory = load(killed.path())?;
    let there = memory.apps.len();
    sure(memory.rebuilt.is_none(), &format!("acknowledged, and lost: {:?}", memory.rebuilt))?;
    sure(there == usize::try_from(APPS).unwrap_or_default(), &format!("{there} of {APPS} acknowledged records"))
}

pub fn no_store_waits_for_the_engine_of_another() -> Told {
    let (dir, other) = (begun()?, tempfile::tempdir().map_err(|why| why.to_string())?);
    let store = SledStore::open(dir.path()).map_err(|why| why.to_string())?;
    let sleeper = Sleeper::begin(other.path())?;
    let saved = real(async {
        let (app, record) = (name("web"), record(2));
        tokio::time::timeout(SAVE_MAX, store.save(&app, &record)).await
    });
    // Whoever waits for it goes on now.
    drop(sleeper);
    let saved = saved.map_err(|_| "a save waits for the engine of another store".to_owned())?;
    saved.map_err(|why| why.to_string())
}

pub fn a_loss_is_said_until_it_is_settled() -> Told {
    let dir = begun()?;
    std::fs::remove_dir_all(dir.path().join("store")).map_err(|why| why.to_string())?;
    sure(load(dir.path())?.rebuilt.is_some(), "the loss of the store is not said")?;
    sure(load(dir.path())?.rebuilt.is_some(), "the loss is not said any more after one restart")?;
    let store = SledStore::open(dir.path()).map_err(|why| why.to_string())?;
    real(store.settled()).map_err(|why| why.to_string())?;
    drop(store);
    sure(load(dir.path())?.rebuilt.is_none(), "the loss is said though it is settled")
}
