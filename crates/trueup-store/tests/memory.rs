//! What is saved is loaded, whatever the order, and only what changed is written.

mod common;

use std::collections::BTreeMap;

use common::{event, load, name, record, runtime};
use proptest::prelude::*;
use trueup_seams::{DaemonRecord, Store, StoreError, StoreHealth};
use trueup_store::{EVENTS_MAX, SledStore};
use trueup_types::record::AppRecord;
use trueup_types::{AppName, TableGeneration};

#[test]
fn what_is_saved_is_loaded_by_this_life_and_the_next() {
    let state = tempfile::tempdir().expect("a directory");
    let web = name("web");
    let saved = record(&web, 3, &[1, 4], 100);
    let daemon = DaemonRecord { table: TableGeneration(9), boot_id: "boot".to_owned(), ..DaemonRecord::default() };
    let store = SledStore::open(state.path()).expect("opens");
    runtime().block_on(async {
        assert_eq!(store.load().await.expect("loads").rebuilt, None);
        store.save(&web, &saved).await.expect("saves");
        store.save_daemon(&daemon).await.expect("saves");
        store.append_events(&[event(1), event(2)]).await.expect("appends");
        let memory = store.load().await.expect("loads");
        assert_eq!(memory.apps, BTreeMap::from([(web.clone(), saved.clone())]));
        assert_eq!(memory.daemon, daemon);
        assert_eq!(store.health(), StoreHealth::Good);
    });
    drop(store);
    let memory = load(state.path());
    assert_eq!(memory.apps, BTreeMap::from([(web, saved)]));
    assert_eq!(memory.daemon, daemon);
    assert_eq!(memory.events, [event(1), event(2)]);
    assert_eq!(memory.rebuilt, None);
}

#[test]
fn releases_that_no_record_names_are_dropped() {
    let state = tempfile::tempdir().expect("a directory");
    let web = name("web");
    let store = SledStore::open(state.path()).expect("opens");
    runtime().block_on(async {
        store.save(&web, &record(&web, 1, &[1, 2, 3], 10)).await.expect("saves");
        store.save(&web, &record(&web, 1, &[2], 10)).await.expect("saves");
        let memory = store.load().await.expect("loads");
        assert_eq!(memory.apps[&web], record(&web, 1, &[2], 10));
        store.forget(&web).await.expect("forgets");
        assert!(store.load().await.expect("loads").apps.is_empty());
    });
    drop(store);
    assert!(load(state.path()).apps.is_empty());
}

#[test]
fn an_unchanged_record_is_not_written() {
    let state = tempfile::tempdir().expect("a directory");
    let web = name("web");
    let store = SledStore::open(state.path()).expect("opens");
    let mark = || std::fs::read(state.path().join("store.watermark")).expect("a watermark");
    runtime().block_on(async {
        store.save(&web, &record(&web, 1, &[1], 10)).await.expect("saves");
        let before = mark();
        // Equal, and not the same allocation.
        store.save(&web, &record(&web, 1, &[1], 10)).await.expect("saves");
        assert_eq!(mark(), before);
        store.save(&web, &record(&web, 2, &[1], 10)).await.expect("saves");
        assert_ne!(mark(), before);
    });
}

#[test]
fn events_are_a_ring_and_a_repeat_takes_the_place_of_its_first() {
    let state = tempfile::tempdir().expect("a directory");
    let store = SledStore::open(state.path()).expect("opens");
    let last = EVENTS_MAX as u64 + 500;
    runtime().block_on(async {
        for first in (1..=last).step_by(100) {
            let some: Vec<_> = (first..first + 100).map(event).collect();
            store.append_events(&some).await.expect("appends");
        }
        let mut again = event(last);
        again.count = 7;
        store.append_events(&[again]).await.expect("appends");
    });
    drop(store);
    let events = load(state.path()).events;
    assert_eq!(events.len(), EVENTS_MAX);
    assert_eq!((events[0].sequence, events[EVENTS_MAX - 1].sequence), (501, last));
    assert_eq!(events[EVENTS_MAX - 1].count, 7);
}

#[test]
fn large_releases_and_many_at_once_come_back() {
    let state = tempfile::tempdir().expect("a directory");
    let store = SledStore::open(state.path()).expect("opens");
    let apps: BTreeMap<AppName, AppRecord> = (0..300)
        .map(|number| name(&format!("app-{number}")))
        .map(|app| (app.clone(), record(&app, 1, &[1], if app.as_str().ends_with('7') { 200_000 } else { 500 })))
        .collect();
    runtime().block_on(async {
        let saves = apps.iter().map(|(app, record)| store.save(app, record));
        for saved in futures_util::future::join_all(saves).await {
            saved.expect("saves");
        }
    });
    drop(store);
    assert!(load(state.path()).apps == apps);
}

#[test]
fn a_second_store_on_the_same_directory_is_refused() {
    let state = tempfile::tempdir().expect("a directory");
    let store = SledStore::open(state.path()).expect("opens");
    assert!(matches!(SledStore::open(state.path()), Err(StoreError::Locked(_))));
    drop(store);
    SledStore::open(state.path()).expect("opens once the first is closed");
}

#[derive(Debug, Clone)]
enum Op {
    Save { app: u8, generation: u64, revisions: Vec<u64>, bytes: usize },
    Forget { app: u8 },
    Daemon { table: u64 },
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let app = 0..4_u8;
    prop_oneof![
        6 => (app.clone(), 0..9_u64, proptest::collection::vec(1..6_u64, 0..4), 0..3_000_usize)
            .prop_map(|(app, generation, revisions, bytes)| Op::Save { app, generation, revisions, bytes }),
        2 => app.prop_map(|app| Op::Forget { app }),
        1 => (0..9_u64).prop_map(|table| Op::Daemon { table }),
        1 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_history_loads_as_a_map_would(ops in proptest::collection::vec(op(), 1..20)) {
        let state = tempfile::tempdir().expect("a directory");
        let runtime = runtime();
        let mut store = SledStore::open(state.path()).expect("opens");
        let mut model: BTreeMap<AppName, AppRecord> = BTreeMap::new();
        let mut table = TableGeneration::default();
        for op in ops {
            match op {
                Op::Save { app, generation, revisions, bytes } => {
                    let app = name(&format!("app-{app}"));
                    let saved = record(&app, generation, &revisions, bytes);
                    runtime.block_on(store.save(&app, &saved)).expect("saves");
                    model.insert(app, saved);
                }
                Op::Forget { app } => {
                    let app = name(&format!("app-{app}"));
                    runtime.block_on(store.forget(&app)).expect("forgets");
                    model.remove(&app);
                }
                Op::Daemon { table: next } => {
                    table = TableGeneration(next);
                    let daemon = DaemonRecord { table, ..DaemonRecord::default() };
                    runtime.block_on(store.save_daemon(&daemon)).expect("saves");
                }
                Op::Reopen => {
                    drop(store);
                    store = SledStore::open(state.path()).expect("opens");
                }
            }
        }
        drop(store);
        let memory = load(state.path());
        prop_assert_eq!(memory.rebuilt, None);
        prop_assert_eq!(memory.apps, model);
        prop_assert_eq!(memory.daemon.table, table);
    }
}
