//! Records to save, and the paths of a store.
#![allow(dead_code, reason = "each test binary uses some of it")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use trueup_seams::{Memory, Store, StoreHealth};
use trueup_store::SledStore;
use trueup_types::desired::Inputs;
use trueup_types::record::AppRecord;
use trueup_types::release::Origin;
use trueup_types::status::{Event, EventKind};
use trueup_types::{AppName, Exposure, Generation, Release, ReleaseDigest, Revision, TargetName, Template, Timestamp};

pub fn name(text: &str) -> AppName {
    AppName::new(text).expect("a label")
}

/// A release whose template is about `bytes` long.
pub fn release(app: &AppName, revision: u64, bytes: usize) -> Release {
    let template = Template { command: vec!["/bin/app".to_owned(), "x".repeat(bytes)], ..Template::default() };
    Release {
        app: app.clone(),
        revision: Revision(revision),
        digest: ReleaseDigest::of(&(revision, bytes)),
        target: TargetName::local(),
        template,
        exposure: Exposure::default(),
        stop_first: None,
        inputs: Inputs::default(),
        origin: Origin::default(),
    }
}

/// A record with the releases of `revisions`, each `bytes` long.
pub fn record(app: &AppName, generation: u64, revisions: &[u64], bytes: usize) -> AppRecord {
    let releases = revisions.iter().map(|number| (Revision(*number), Arc::new(release(app, *number, bytes)))).collect();
    AppRecord {
        generation: Generation(generation),
        highest: revisions.iter().max().copied().map_or(Revision(0), Revision),
        current: revisions.first().copied().map(Revision),
        releases,
        ..AppRecord::default()
    }
}

pub fn event(sequence: u64) -> Event {
    Event {
        sequence,
        first: Timestamp::from_millis(sequence),
        last: Timestamp::from_millis(sequence),
        count: 1,
        kind: EventKind::Normal,
        reason: "Tested".to_owned(),
        app: None,
        revision: None,
        message: format!("event {sequence}"),
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Opens, loads, and closes.
pub fn load(state: &Path) -> Memory {
    let store = SledStore::open(state).expect("opens");
    runtime().block_on(store.load()).expect("loads")
}

pub fn store_dir(state: &Path) -> PathBuf {
    state.join("store")
}

/// The names of the stores that were set aside.
pub fn asides(state: &Path) -> Vec<String> {
    let names = std::fs::read_dir(state).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> =
        names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("store.aside-")).collect();
    names.sort();
    names
}

pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("makes");
    for entry in std::fs::read_dir(from).expect("lists") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            copy_dir(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copies");
        }
    }
}

/// Waits until the store's health is as wanted.
pub async fn until_health(store: &SledStore, wanted: impl Fn(&StoreHealth) -> bool) {
    let reached = async {
        while !wanted(&store.health()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let what = tokio::time::timeout(Duration::from_secs(30), reached).await;
    assert!(what.is_ok(), "health stays {:?}", store.health());
}
