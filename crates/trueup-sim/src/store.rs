//! A store in memory that outlives a simulated daemon, can be lost, put back in time, or full.

use std::sync::Mutex;

use trueup_seams::store::StoreResult;
use trueup_seams::{BoxFuture, DaemonRecord, Memory, Store, StoreError, StoreHealth};
use trueup_types::status::Event;
use trueup_types::{AppName, AppRecord};

/// Most events kept.
const EVENTS_MAX: usize = 1_000;

/// Memory in memory.
#[derive(Default)]
pub struct SimStore {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    memory: Memory,
    /// The record that was saved last, as it was before.
    before: Option<(AppName, Option<AppRecord>)>,
    full: bool,
    saves: u64,
}

impl SimStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses everything, noticed: the next load says so.
    pub fn lose(&self) {
        self.lock().memory = Memory { rebuilt: Some("the store was deleted".to_owned()), ..Memory::default() };
    }

    /// A copy of all that it holds, to be put back later.
    #[must_use]
    pub fn copy(&self) -> Memory {
        self.lock().memory.clone()
    }

    /// Puts an earlier copy back, noticed: the next load says so.
    pub fn put_back(&self, earlier: Memory) {
        self.lock().memory = Memory { rebuilt: Some("the store went back in time".to_owned()), ..earlier };
    }

    /// Puts an earlier copy back with its watermark, as a restored backup of the whole directory: nobody notices.
    pub fn put_back_unnoticed(&self, earlier: Memory) {
        self.lock().memory = earlier;
    }

    /// Goes back by one record, noticed: the next load says so.
    pub fn step_back(&self) {
        let mut inner = self.lock();
        let Some((app, before)) = inner.before.take() else { return };
        match before {
            Some(record) => inner.memory.apps.insert(app, record),
            None => inner.memory.apps.remove(&app),
        };
        inner.memory.rebuilt = Some("the store went back in time".to_owned());
    }

    /// The record of an app, as it is on the disk.
    #[must_use]
    pub fn record(&self, app: &AppName) -> Option<AppRecord> {
        self.lock().memory.apps.get(app).cloned()
    }

    /// Answers a question about the record of an app, where there is one.
    pub fn with_record<T>(&self, app: &AppName, ask: impl FnOnce(&AppRecord) -> T) -> Option<T> {
        self.lock().memory.apps.get(app).map(ask)
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lock().full
    }

    /// Fills the disk, or frees it.
    pub fn fill(&self, full: bool) {
        self.lock().full = full;
    }

    /// How many records were saved so far.
    #[must_use]
    pub fn saves(&self) -> u64 {
        self.lock().saves
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) -> StoreResult<()> {
        let mut inner = self.lock();
        if inner.full {
            return Err(StoreError::Unavailable("no space left".to_owned()));
        }
        change(&mut inner);
        Ok(())
    }
}

impl Store for SimStore {
    fn load(&self) -> BoxFuture<'_, StoreResult<Memory>> {
        Box::pin(async { Ok(self.lock().memory.clone()) })
    }

    fn save<'a>(&'a self, app: &'a AppName, record: &'a AppRecord) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async {
            self.change(|inner| {
                inner.saves += 1;
                let before = inner.memory.apps.insert(app.clone(), record.clone());
                inner.before = Some((app.clone(), before));
            })
        })
    }

    fn forget<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async {
            self.change(|inner| {
                let before = inner.memory.apps.remove(app);
                inner.before = Some((app.clone(), before));
            })
        })
    }

    fn save_daemon<'a>(&'a self, record: &'a DaemonRecord) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async { self.change(|inner| inner.memory.daemon = record.clone()) })
    }

    fn append_events<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async {
            self.change(|inner| {
                let kept = &mut inner.memory.events;
                kept.extend_from_slice(events);
                let surplus = kept.len().saturating_sub(EVENTS_MAX);
                kept.drain(..surplus);
            })
        })
    }

    fn settled(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async { self.change(|inner| inner.memory.rebuilt = None) })
    }

    fn health(&self) -> StoreHealth {
        if self.lock().full { StoreHealth::Degraded { why: "no space left".to_owned() } } else { StoreHealth::Good }
    }
}
