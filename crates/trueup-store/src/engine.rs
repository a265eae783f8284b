//! sled, and all that it takes to live with it. Nothing else names it.
//!
//! Hands on three things: all entries, an atomic write, and a real sync. Does not know what the entries mean, nor
//! whether they are the ones that were written last.
//!
//! - `flush` is not an fsync on Linux: the files are synced here.
//! - It may panic, in our thread or in its own: each call runs on a thread of its own ([`Hand`]), is caught, and has a time limit.
//! - A write that fails in one of its threads may leave a waiter asleep, and the lock that it holds is one for all of
//!   a process's engines, so that each of them waits for it. A write that takes no such lock wakes it: [`Engine::awaited`].
//!   Its closing waits too, where nobody could wake it: so it is flushed before.
//! - A handle that has failed once is poisoned: the caller drops it and opens again.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use trueup_museum::{Bug, planted};

use crate::disk;
use crate::hand::Hand;

/// A key and its sealed value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// What a write puts (`Some`) and removes (`None`).
pub(crate) type Writes = BTreeMap<String, Option<Vec<u8>>>;

/// Memory for sled's page cache, in bytes: the daemon's idle memory counts, and records are read once a life.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// Longest that sled may take to open, list or close, before it is given up. Opening takes 10 ms for a small store.
const CALL_WAIT_MAX: Duration = Duration::from_secs(30);

/// A collection that is begun and dropped where a write must be tried; empty, should it be left behind.
const NUDGE: &str = "nudge";

/// How long a commit may take before a write wakes whoever sleeps on it; doubled each time.
const NUDGE_AFTER: Duration = Duration::from_secs(1);

/// How often it is nudged before it is given up: 1 + 2 + 4 + 8 + 16 = 31 s in all.
const NUDGES_MAX: u32 = 5;

/// How often a lock is tried again, 20 ms apart: a handle of our own that was just dropped lets go within milliseconds.
const LOCK_TRIES_MAX: u32 = 100;

/// Where a call says that it is done.
type Done = std::sync::mpsc::Sender<Result<(), EngineError>>;

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Somebody holds its files.
    #[error("{0}")]
    Locked(String),
    /// The disk is full, read-only or out of reach: nothing is wrong with what lies on it.
    #[error("{0}")]
    Refused(String),
    /// The disk failed a call: what lies on it may be whole, if it was a write.
    #[error("{0}")]
    Failed(String),
    /// Anything else, a panic or silence among it.
    #[error("{0}")]
    Broken(String),
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{
            OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull,
        };
        let refused = [OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull];
        let descriptors = [rustix::io::Errno::MFILE.raw_os_error(), rustix::io::Errno::NFILE.raw_os_error()];
        let out_of_files = error.raw_os_error().is_some_and(|code| descriptors.contains(&code));
        if error.to_string().contains("could not acquire lock") {
            Self::Locked(error.to_string())
        } else if refused.contains(&error.kind()) || out_of_files {
            Self::Refused(error.to_string())
        } else if is_input_output(&error) {
            Self::Failed(error.to_string())
        } else {
            Self::Broken(error.to_string())
        }
    }
}

/// Whether the disk itself failed. sled hands its errors on as texts, so the number is often gone.
fn is_input_output(error: &io::Error) -> bool {
    let code = rustix::io::Errno::IO.raw_os_error();
    error.raw_os_error() == Some(code) || error.to_string().contains(&format!("Os {{ code: {code}, "))
}

impl From<sled::Error> for EngineError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => error.into(),
            sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::Corruption { .. } => Self::Broken(error.to_string()),
        }
    }
}

/// An open store directory.
pub(crate) struct Engine {
    db: Option<sled::Db>,
    hand: Hand,
    dir: PathBuf,
    data: File,
    blobs_synced: BTreeSet<OsString>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the directory, or begins an empty store in it.
    pub(crate) fn open(dir: &Path) -> Result<Self, EngineError> {
        disk::create_private(dir)?;
        let mut tries = 0;
        let db = loop {
            let path = dir.to_owned();
            match bounded("store-open", move || Ok(configured(&path).open()?)) {
                Err(EngineError::Locked(_)) if tries < LOCK_TRIES_MAX => {
                    tries += 1;
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                Err(error) => return Err(error),
                Ok(db) => break db,
            }
        };
        let data = File::open(dir.join("db"))?;
        let hand = Hand::new("store-commit")?;
        let mut engine = Self { db: Some(db), hand, dir: dir.to_owned(), data, blobs_synced: BTreeSet::new() };
        engine.sync_files()?;
        File::open(dir.join("conf"))?.sync_all()?;
        disk::sync_dir(dir)?;
        Ok(engine)
    }

    /// All entries, in the order of their keys.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, EngineError> {
        let db = self.db().clone();
        bounded("store-list", move || {
            let entries = db.iter().map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())));
            Ok(entries.collect::<Result<_, _>>()?)
        })
    }

    /// Writes all or nothing; returns when it is on the disk. After an error the engine must be dropped.
    pub(crate) fn commit(&mut self, writes: Writes) -> Result<(), EngineError> {
        self.write(writes)?;
        Ok(self.sync_files()?)
    }

    /// Writes all or nothing; hands it to the system, and does not wait for the disk.
    pub(crate) fn write(&self, writes: Writes) -> Result<(), EngineError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key.as_bytes(), value),
                None => batch.remove(key.as_bytes()),
            }
        }
        let (done, answer) = std::sync::mpsc::channel();
        let db = self.db().clone();
        self.hand.ask(done.clone(), move || {
            db.apply_batch(batch)?;
            if !planted(Bug::AcknowledgesUnwritten) {
                db.flush()?;
            }
            Ok(())
        });
        self.awaited(&done, &answer)
    }

    /// Has the engine write whatever it still holds, or say that it cannot; nothing of it waits for anything afterwards.
    fn flush(&self) -> Result<(), EngineError> {
        let (done, answer) = std::sync::mpsc::channel();
        let db = self.db().clone();
        Hand::new("store-flush")?.ask(done.clone(), move || {
            db.flush()?;
            Ok(())
        });
        self.awaited(&done, &answer)
    }

    /// Waits for an answer, and each time that it takes long, tries a write by another thread: a write that meets an
    /// earlier failure wakes all who wait. To begin a collection is the only one that takes no lock of the process's.
    fn awaited(&self, done: &Done, answer: &Receiver<Result<(), EngineError>>) -> Result<(), EngineError> {
        let mut wait = NUDGE_AFTER;
        for _ in 0..NUDGES_MAX {
            if let Ok(result) = answer.recv_timeout(wait) {
                return result;
            }
            let (db, failed) = (self.db().clone(), done.clone());
            let (ended, _) = std::sync::mpsc::channel();
            // That it went well says nothing of what is waited for; that it did not, all.
            Hand::new("store-nudge")?.ask(ended, move || {
                if let Err(error) = db.open_tree(NUDGE).and_then(|_| db.drop_tree(NUDGE)) {
                    let _ = failed.send(Err(error.into()));
                }
                Ok(())
            });
            wait *= 2;
        }
        Err(silent())
    }

    /// Syncs the data file, and each blob that was not there before (sled writes large pages to files of their own).
    fn sync_files(&mut self) -> io::Result<()> {
        let blobs = self.dir.join("blobs");
        let there: BTreeSet<OsString> =
            std::fs::read_dir(&blobs)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
        let mut added = false;
        for name in there.difference(&self.blobs_synced) {
            added = true;
            match File::open(blobs.join(name)) {
                Ok(blob) => blob.sync_all()?,
                // Removed by sled since it was listed.
                Err(why) if why.kind() == io::ErrorKind::NotFound => {}
                Err(why) => return Err(why),
            }
        }
        if added {
            disk::sync_dir(&blobs)?;
        }
        self.blobs_synced = there;
        self.data.sync_data()
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("only drop takes it")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(why) = self.flush() {
            tracing::debug!(%why, "the store's engine was not flushed");
        }
        let db = self.db.take();
        // Closing may panic or never come back.
        let closed = bounded("store-close", move || {
            drop(db);
            Ok(())
        });
        if let Err(why) = closed {
            tracing::warn!(%why, "the store's engine did not close");
        }
    }
}

/// Removes sled's snapshots: it reads its log from the beginning then, which a damaged snapshot would keep it from.
pub(crate) fn remove_snapshots(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b"snap.") {
            std::fs::remove_file(entry.path())?;
        }
    }
    disk::sync_dir(dir)
}

/// Reads every file of a store to its end.
pub(crate) fn read_through(dir: &Path) -> Result<(), EngineError> {
    let dir = dir.to_owned();
    bounded("store-read", move || {
        for folder in [dir.join("blobs"), dir] {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    io::copy(&mut File::open(entry.path())?, &mut io::sink())?;
                }
            }
        }
        Ok(())
    })
}

/// Whether a store was ever begun in `dir`.
pub(crate) fn begun(dir: &Path) -> io::Result<bool> {
    dir.join("db").try_exists()
}

fn configured(dir: &Path) -> sled::Config {
    sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None)
}

fn silent() -> EngineError {
    EngineError::Broken("the engine does not answer".to_owned())
}

/// Runs `call` on a thread of its own, and waits for it up to [`CALL_WAIT_MAX`].
fn bounded<T: Send + 'static>(
    name: &str,
    call: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let (done, answer): (_, Receiver<Result<T, EngineError>>) = std::sync::mpsc::channel();
    Hand::new(name)?.ask(done, call);
    answer.recv_timeout(CALL_WAIT_MAX).unwrap_or_else(|_| Err(silent()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn mount(options: &str, dir: &Path) -> bool {
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir).output();
        done.is_ok_and(|output| output.status.success())
    }

    fn writes(round: u8) -> Writes {
        (0..10).map(|number| (format!("app/{round}-{number}"), Some(vec![round; 3_000]))).collect()
    }

    /// The store looks for room before it writes; this is the disk that fills in between.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "CI must not leave it out")]
    fn a_disk_that_fills_under_a_commit_is_refused_and_keeps_what_was_committed() {
        let dir = tempfile::tempdir().expect("a directory");
        if !mount("size=3m", dir.path()) {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must be able to mount a tmpfs");
            eprintln!("LEFT OUT: a tmpfs cannot be mounted here, so a disk that fills under a commit was not tried");
            return;
        }
        let store = dir.path().join("store");
        let mut engine = Engine::open(&store).expect("opens");
        let mut committed = BTreeMap::new();
        let refused = (0..u8::MAX).find_map(|round| match engine.commit(writes(round)) {
            Ok(()) => {
                committed.extend(writes(round));
                None
            }
            Err(why) => Some(why),
        });
        drop(engine);
        let while_full = Engine::open(&store).map(drop);
        let grown = mount("remount,size=16m", dir.path());
        let reopened = Engine::open(&store).and_then(|engine| engine.entries());
        let _ = Command::new("umount").arg("-l").arg(dir.path()).status();
        assert!(matches!(refused, Some(EngineError::Refused(_))), "{refused:?}");
        assert!(matches!(while_full, Err(EngineError::Refused(_))), "{while_full:?}");
        assert!(grown);
        let found: BTreeMap<_, _> = reopened.expect("opens once there is room").into_iter().collect();
        assert!(!committed.is_empty());
        for (key, value) in committed {
            assert_eq!(found.get(key.as_bytes()), value.as_ref(), "{key}");
        }
    }

    #[test]
    fn a_panic_of_the_engine_is_an_error() {
        let panicked: Result<(), _> = bounded("test", || panic!("as sled does"));
        assert!(matches!(panicked, Err(EngineError::Broken(why)) if why.contains("as sled does")));
    }
}
