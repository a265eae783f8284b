//! Where one store and its watermark lie, and what the guard asks of that place.
//!
//! A daemon's lies in a directory. The guard is the same wherever it is; whoever proves it lays one into memory
//! (`in_memory`).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::engine::{self, Engine};
use crate::engine_error::EngineError;
use crate::journal::{Entry, Writes};
use crate::ledger::Root;
use crate::watermark::{self, Watermark};

/// Most stores that are kept aside, the newest: enough for somebody to look, and bounded on the disk.
pub const ASIDE_MAX: usize = 3;

/// Room that must be free before the engine is asked to write, in bytes, beside six times what is written: each record
/// is written twice, and its page now and again.
///
/// A full disk poisons the engine, so it never meets one while we can see it coming. A new store takes 1 MiB, a segment
/// half of that.
const ROOM_MIN: u64 = 4 * 1024 * 1024;

/// A place for one store and its watermark.
pub(crate) trait Ground: Clone + fmt::Debug {
    /// What holds the entries, open.
    type Engine: Held;

    /// Whether `bytes` more may be written.
    fn check_room(&self, bytes: u64) -> Result<(), EngineError>;
    /// The watermark, as it can be read.
    fn mark(&self) -> io::Result<Watermark>;
    /// Raises the watermark, durably.
    fn raise(&self, root: &Root) -> io::Result<()>;
    /// Whether a store was ever begun.
    fn is_begun(&self) -> io::Result<bool>;
    /// Whether anything lies where the store belongs.
    fn is_there(&self) -> io::Result<bool>;
    /// Opens the store, or begins an empty one.
    fn open(&self) -> Result<Self::Engine, EngineError>;
    /// Reads all that lies there.
    fn read_through(&self) -> Result<(), EngineError>;
    /// Removes what the engine could read instead of its log.
    fn remove_snapshots(&self) -> io::Result<()>;
    /// Makes durable that the store is there.
    fn sync(&self) -> io::Result<()>;
    /// Removes the store.
    fn remove(&self) -> io::Result<()>;
    /// Puts the store aside, and answers the name that it is kept under.
    fn set_aside(&self) -> io::Result<String>;
}

/// A store that is open: entries, and atomic writes.
pub(crate) trait Held: fmt::Debug {
    /// All entries, in the order of their keys.
    fn entries(&self) -> Result<Vec<Entry>, EngineError>;
    /// Writes all or nothing; returns when it is durable. After an error it must be dropped.
    fn commit(&mut self, writes: Writes) -> Result<(), EngineError>;
    /// Writes all or nothing, and does not wait until it is durable.
    fn write(&self, writes: Writes) -> Result<(), EngineError>;
}

/// Where a store and its watermark lie.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The directory that holds both.
    pub state: PathBuf,
    /// The engine's own directory.
    pub store: PathBuf,
    /// The watermark.
    pub watermark: PathBuf,
}

impl Paths {
    pub(crate) fn new(state: &Path) -> Self {
        Self { state: state.to_owned(), store: state.join("store"), watermark: state.join("store.watermark") }
    }
}

impl Ground for Paths {
    type Engine = Engine;

    fn check_room(&self, bytes: u64) -> Result<(), EngineError> {
        let needed = ROOM_MIN.saturating_add(bytes.saturating_mul(6));
        let free = disk::room(&self.state)?;
        if free >= needed {
            return Ok(());
        }
        let state = self.state.display();
        Err(EngineError::Refused(format!("{state} has {} KiB free, {} KiB are needed", free / 1024, needed / 1024)))
    }

    fn mark(&self) -> io::Result<Watermark> {
        watermark::read(&self.watermark)
    }

    fn raise(&self, root: &Root) -> io::Result<()> {
        watermark::write(&self.watermark, root)
    }

    fn is_begun(&self) -> io::Result<bool> {
        engine::begun(&self.store)
    }

    fn is_there(&self) -> io::Result<bool> {
        self.store.try_exists()
    }

    fn open(&self) -> Result<Engine, EngineError> {
        Engine::open(&self.store)
    }

    fn read_through(&self) -> Result<(), EngineError> {
        engine::read_through(&self.store)
    }

    fn remove_snapshots(&self) -> io::Result<()> {
        engine::remove_snapshots(&self.store)
    }

    fn sync(&self) -> io::Result<()> {
        disk::sync_dir(&self.state)
    }

    fn remove(&self) -> io::Result<()> {
        std::fs::remove_dir_all(&self.store)
    }

    fn set_aside(&self) -> io::Result<String> {
        set_aside(self)
    }
}

impl Held for Engine {
    fn entries(&self) -> Result<Vec<Entry>, EngineError> {
        Self::entries(self)
    }

    fn commit(&mut self, writes: Writes) -> Result<(), EngineError> {
        Self::commit(self, writes)
    }

    fn write(&self, writes: Writes) -> Result<(), EngineError> {
        Self::write(self, writes)
    }
}

/// Renames the store to `store.aside-<n>`, drops the oldest of those beyond [`ASIDE_MAX`], and answers the new name.
fn set_aside(paths: &Paths) -> io::Result<String> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(&paths.state)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("store.aside-")?.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    let next = numbers.last().map_or(1, |last| last.saturating_add(1));
    let name = format!("store.aside-{next}");
    std::fs::rename(&paths.store, paths.state.join(&name))?;
    disk::sync_dir(&paths.state)?;
    let surplus = (numbers.len() + 1).saturating_sub(ASIDE_MAX);
    for old in &numbers[..surplus] {
        std::fs::remove_dir_all(paths.state.join(format!("store.aside-{old}")))?;
    }
    Ok(name)
}
