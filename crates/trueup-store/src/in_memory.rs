//! A store in memory under the guard of the real one, for whoever proves and cannot wait for a disk.
//!
//! What would be files are values here, and whatever becomes of files can be done to them. Everything above the engine is
//! the code that a daemon runs: spelling, seals, ledger, watermark, and the judge of what may be believed. Not there are
//! the engine itself, its thread and its disk. Nothing of it ships.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use trueup_seams::store::StoreResult;
use trueup_seams::{BoxFuture, DaemonRecord, Memory, Store, StoreError, StoreHealth};
use trueup_types::status::Event;
use trueup_types::{AppName, AppRecord};

use crate::engine_error::EngineError;
use crate::ground::{Ground, Held};
use crate::guarded;
use crate::journal::{Entry, Writes};
use crate::layout;
use crate::ledger::Root;
use crate::up::Up;
use crate::watermark::{self, Watermark};

/// What would lie in a state directory.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The entries of the store, sealed; `None` where there is none.
    pub store: Option<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// The watermark beside it, sealed.
    pub watermark: Option<Vec<u8>>,
    /// Whether the disk is full.
    pub full: bool,
}

/// A store over files in memory; opened when it is first asked, and again after it was closed.
#[derive(Debug, Default)]
pub struct InMemoryStore {
    place: Place,
    open: Mutex<Option<Up<Place>>>,
}

impl InMemoryStore {
    /// Closes it where it stands, as a daemon does that is killed: who asks next opens it anew.
    pub fn close(&self) {
        drop(self.open().take());
    }

    /// The files, to be looked at, copied or spoilt; closed before, for files are moved while nobody holds them.
    pub fn files<T>(&self, change: impl FnOnce(&mut Files) -> T) -> T {
        self.close();
        change(&mut self.place.files())
    }

    /// Fills the disk, or frees it, under whoever holds the store.
    pub fn fill(&self, full: bool) {
        self.place.files().full = full;
    }

    fn open(&self) -> MutexGuard<'_, Option<Up<Place>>> {
        self.open.lock().expect("no holder panics")
    }

    /// After an error the store is opened again, as its owner does.
    fn with<T>(&self, ask: impl FnOnce(&mut Up<Place>) -> Result<T, EngineError>) -> StoreResult<T> {
        let mut open = self.open();
        let mut up = match open.take() {
            Some(up) => up,
            None => Up::new(&self.place, guarded::open(&self.place).map_err(told)?),
        };
        let answer = ask(&mut up).map_err(told)?;
        *open = Some(up);
        Ok(answer)
    }

    fn change(&self, note: impl FnOnce(&mut Up<Place>, &mut Writes)) -> StoreResult<()> {
        self.with(|up| {
            let mut writes = Writes::new();
            note(up, &mut writes);
            up.commit(writes)
        })
    }
}

fn told(error: EngineError) -> StoreError {
    match error {
        EngineError::Locked(why) => StoreError::Locked(why),
        EngineError::Refused(why) | EngineError::Failed(why) | EngineError::Broken(why) => StoreError::Unavailable(why),
    }
}

impl Store for InMemoryStore {
    fn load(&self) -> BoxFuture<'_, StoreResult<Memory>> {
        Box::pin(async { self.with(Up::load) })
    }

    fn save<'a>(&'a self, app: &'a AppName, record: &'a AppRecord) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async {
            let payload = layout::encode(record)?;
            self.change(|up, writes| up.save(app, &payload, record.releases.clone(), writes))
        })
    }

    fn forget<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async { self.change(|up, writes| up.forget(app, writes)) })
    }

    fn save_daemon<'a>(&'a self, record: &'a DaemonRecord) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async {
            let payload = layout::encode(record)?;
            self.change(|up, writes| up.save_daemon(&payload, writes))
        })
    }

    fn append_events<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async {
            let encoded: Result<_, StoreError> =
                events.iter().map(|event| Ok((event.sequence, layout::encode(event)?))).collect();
            let encoded = encoded?;
            self.with(|up| up.append(encoded))
        })
    }

    fn settled(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async { self.change(Up::settle) })
    }

    fn health(&self) -> StoreHealth {
        if self.place.files().full { StoreHealth::Degraded { why: full().to_string() } } else { StoreHealth::Good }
    }
}

/// Where the files are.
#[derive(Debug, Clone, Default)]
struct Place(Arc<Mutex<Files>>);

impl Place {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().expect("no holder panics")
    }
}

fn full() -> EngineError {
    EngineError::Refused("no space left".to_owned())
}

impl Ground for Place {
    type Engine = Self;

    fn check_room(&self, _bytes: u64) -> Result<(), EngineError> {
        if self.files().full { Err(full()) } else { Ok(()) }
    }

    fn mark(&self) -> io::Result<Watermark> {
        Ok(self.files().watermark.as_deref().map_or(Watermark::Absent, watermark::parsed))
    }

    fn raise(&self, root: &Root) -> io::Result<()> {
        self.files().watermark = Some(watermark::spelled(root));
        Ok(())
    }

    fn is_begun(&self) -> io::Result<bool> {
        Ok(self.files().store.is_some())
    }

    fn is_there(&self) -> io::Result<bool> {
        self.is_begun()
    }

    fn open(&self) -> Result<Self, EngineError> {
        self.files().store.get_or_insert_default();
        Ok(self.clone())
    }

    fn read_through(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn remove_snapshots(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self) -> io::Result<()> {
        self.files().store = None;
        Ok(())
    }

    fn set_aside(&self) -> io::Result<String> {
        self.remove().map(|()| "nothing".to_owned())
    }
}

impl Held for Place {
    fn entries(&self) -> Result<Vec<Entry>, EngineError> {
        let files = self.files();
        let all = files.store.iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
        Ok(all.collect())
    }

    fn commit(&mut self, writes: Writes) -> Result<(), EngineError> {
        self.write(writes)
    }

    fn write(&self, writes: Writes) -> Result<(), EngineError> {
        let mut files = self.files();
        let store = files.store.get_or_insert_default();
        for (key, value) in writes {
            match value {
                Some(value) => drop(store.insert(key.into_bytes(), value)),
                None => drop(store.remove(key.as_bytes())),
            }
        }
        Ok(())
    }
}
