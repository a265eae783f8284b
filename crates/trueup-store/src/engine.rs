//! All that it takes to live with sled, which [`Journal`] alone names.
//!
//! Hands on three things: all entries, an atomic write, and a real sync. Does not know what the entries mean, nor
//! whether they are the ones that were written last.
//!
//! - `flush` is not an fsync on Linux: the files are synced here.
//! - It may panic, in our thread or in its own: each call runs on a thread of its own ([`Hand`]), is caught, and has a time limit.
//! - A write that fails in one of its threads may leave a waiter asleep; mostly another write wakes it: [`Engine::awaited`].
//!   Its closing waits too, where nobody could wake it: so it is flushed before. No other engine waits for it: [`Journal`].
//! - A handle that has failed once is poisoned: the caller drops it and opens again, be it beside what is left ([`leftover`]).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use trueup_museum::{Bug, planted};

use crate::disk;
use crate::engine_error::EngineError;
use crate::hand::{Hand, bounded, within};
use crate::journal::{Entry, Journal, Writes};
use crate::leftover;

/// Longest that sled may take to close, before it is given up. What was acknowledged lies on the disk already, and until then nothing can be saved.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a commit may take before a write wakes whoever sleeps on it; doubled each time.
const NUDGE_AFTER: Duration = Duration::from_secs(1);

/// How often it is nudged before it is given up: 1 + 2 + 4 + 8 + 16 = 31 s in all.
const NUDGES_MAX: u32 = 5;

/// The same when it is closed, 1 + 2 + 4 = 7 s: what was acknowledged lies on the disk already.
const CLOSING_NUDGES_MAX: u32 = 3;

/// How often a lock is tried again, 20 ms apart: a handle of our own that was just dropped lets go within milliseconds.
const LOCK_TRIES_MAX: u32 = 100;

/// Where a call says that it is done, and where that is heard.
type Done = std::sync::mpsc::Sender<Result<(), EngineError>>;
type Answer = Receiver<Result<(), EngineError>>;

/// An open store directory.
pub(crate) struct Engine {
    journal: Option<Journal>,
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
        leftover::may_open(dir)?;
        let journal = match locked(dir) {
            Err(EngineError::Locked(_)) if leftover::holds(&dir.join("db"))? => {
                tracing::warn!("an engine that was given up keeps its lock; the store goes on with a copy of its file");
                leftover::part_from(&dir.join("db"))?;
                locked(dir)?
            }
            opened => opened?,
        };
        let data = File::open(dir.join("db"))?;
        let hand = Hand::new("store-commit")?;
        let journal = Some(journal);
        let mut engine = Self { journal, hand, dir: dir.to_owned(), data, blobs_synced: BTreeSet::new() };
        engine.sync_files()?;
        File::open(dir.join("conf"))?.sync_all()?;
        disk::sync_dir(dir)?;
        Ok(engine)
    }

    /// All entries, in the order of their keys.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, EngineError> {
        let journal = self.journal().clone();
        bounded("store-list", move || journal.entries())
    }

    /// Writes all or nothing; returns when it is on the disk. After an error the engine must be dropped.
    pub(crate) fn commit(&mut self, writes: Writes) -> Result<(), EngineError> {
        self.write(writes)?;
        Ok(self.sync_files()?)
    }

    /// Writes all or nothing; hands it to the system, and does not wait for the disk.
    pub(crate) fn write(&self, writes: Writes) -> Result<(), EngineError> {
        let (done, answer) = std::sync::mpsc::channel();
        let journal = self.journal().clone();
        self.hand.ask(done.clone(), move || {
            journal.write(writes)?;
            if planted(Bug::AcknowledgesUnwritten) { Ok(()) } else { journal.flush() }
        });
        self.awaited(&done, &answer, NUDGES_MAX)
    }

    /// Has the engine write whatever it still holds, or say that it cannot; nothing of it waits for anything afterwards.
    fn flush(&self) -> Result<(), EngineError> {
        let (done, answer) = std::sync::mpsc::channel();
        let journal = self.journal().clone();
        Hand::new("store-flush")?.ask(done.clone(), move || journal.flush());
        self.awaited(&done, &answer, CLOSING_NUDGES_MAX)
    }

    /// Waits for an answer, and each time that it takes long, tries a write by another thread: a write that meets an
    /// earlier failure wakes all who wait.
    fn awaited(&self, done: &Done, answer: &Answer, nudges: u32) -> Result<(), EngineError> {
        let mut wait = NUDGE_AFTER;
        for _ in 0..nudges {
            if let Ok(result) = answer.recv_timeout(wait) {
                return result;
            }
            let (journal, failed) = (self.journal().clone(), done.clone());
            let (ended, _) = std::sync::mpsc::channel();
            // That it went well says nothing of what is waited for; that it did not, all.
            Hand::new("store-nudge")?.ask(ended, move || {
                if let Err(error) = journal.nudge() {
                    let _ = failed.send(Err(error));
                }
                Ok(())
            });
            wait *= 2;
        }
        // It says nothing of what lies on the disk, and everything of who writes it.
        Err(EngineError::Refused("the engine does not write".to_owned()))
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

    fn journal(&self) -> &Journal {
        self.journal.as_ref().expect("only drop takes it")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(why) = self.flush() {
            tracing::debug!(%why, "the store's engine was not flushed");
        }
        let journal = self.journal.take();
        // Closing may panic or never come back.
        let close = move || {
            drop(journal);
            Ok(())
        };
        let closed = within(CLOSE_WAIT_MAX, "store-close", close);
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
            // It may have been cut off while it was begun.
            let entries = if folder.try_exists()? { Some(std::fs::read_dir(folder)?) } else { None };
            for entry in entries.into_iter().flatten() {
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

/// Opens it as soon as its lock is let go of, for which two seconds are enough.
pub(crate) fn locked(dir: &Path) -> Result<Journal, EngineError> {
    let mut tries = 0;
    loop {
        let path = dir.to_owned();
        match bounded("store-open", move || Journal::open(&path)) {
            Err(EngineError::Locked(_)) if tries < LOCK_TRIES_MAX => {
                tries += 1;
                std::thread::park_timeout(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::sleeper::Sleeper;

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

    /// A lock of theirs that were one for all engines would be held by whoever sleeps.
    #[test]
    fn an_engine_does_not_wait_for_another_that_sleeps() {
        let (ours, theirs) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let sleeper = Sleeper::begin(theirs.path()).expect("it sleeps");
        let mut engine = Engine::open(ours.path()).expect("opens");
        engine.commit(writes(1)).expect("commits");
        drop(engine);
        let entries = Engine::open(ours.path()).and_then(|engine| engine.entries()).expect("opens again");
        assert_eq!(entries.len(), writes(1).len());
        drop(sleeper);
    }

    #[test]
    fn an_engine_of_ours_that_never_lets_go_is_left_behind_and_another_process_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut engine = Engine::open(dir.path()).expect("opens");
        engine.commit(writes(1)).expect("commits");
        std::mem::forget(engine);
        let entries = Engine::open(dir.path()).and_then(|engine| engine.entries()).expect("opens beside it");
        assert_eq!(entries.len(), writes(1).len());
        let db = dir.path().join("db");
        let mut flock = Command::new("flock");
        flock.arg(&db).args(["sh", "-c", "echo held; read line"]);
        let mut holder = flock.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("flock runs");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("it says so");
        let refused = Engine::open(dir.path()).map(drop);
        drop(holder.stdin.take());
        holder.wait().expect("ends");
        assert!(matches!(refused, Err(EngineError::Locked(_))), "{refused:?}");
    }

    #[test]
    fn beyond_so_many_that_never_let_go_none_is_opened_and_nothing_is_touched() {
        let state = tempfile::tempdir().expect("a directory");
        let store = state.path().join("store");
        drop(Engine::open(&store).expect("opens"));
        let before = std::fs::read(store.join("db")).expect("read");
        let leave = |number: u32| {
            let path = state.path().join(format!("store.aside-{number}"));
            std::fs::create_dir(&path).expect("put aside");
            let file = File::create(path.join("db")).expect("made");
            rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("locked");
            file
        };
        let left: Vec<_> = (0..20).map(leave).collect();
        let refused = Engine::open(&store).map(drop);
        assert!(matches!(refused, Err(EngineError::Refused(_))), "{refused:?}");
        assert_eq!(std::fs::read(store.join("db")).expect("read"), before);
        drop(left);
        Engine::open(&store).map(drop).expect("opens once they have ended");
    }
}
