//! sled, behind one file: all or nothing, out of writes that are one at a time.
//!
//! A group is first put down whole, as one value, and then spread. sled keeps the order of its writes: what it finds again
//! is all that was written up to some point. Where the group is there and not all that it spreads, opening spreads the
//! rest; where it is not, neither is anything after it.
//!
//! sled has batches of its own. They take a lock that is one for all the engines of a process, and a thread of another
//! engine that fell asleep over a write that failed holds it for good: no store of the process could save any more.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
#[cfg(any(test, feature = "proof"))]
use std::thread::JoinHandle;

use sled::{Db, Tree};
use trueup_museum::{Bug, planted};

use crate::disk;
use crate::engine_error::EngineError;
use crate::envelope;

/// A key and its sealed value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// What a write puts (`Some`) and removes (`None`).
pub(crate) type Writes = BTreeMap<String, Option<Vec<u8>>>;

/// Memory for sled's page cache, in bytes: the daemon's idle memory counts, and records are read once a life.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// The collection that holds the last group, and its only key.
const LAST: &str = "journal";

/// A group of more bytes is on the disk before it is spread. sled puts one of 128 KiB into a file of its own, and where that
/// file is gone after a loss of power it goes on with what was written after it.
const LARGE_BYTES: usize = 64 * 1024;

/// A collection that is begun and dropped where a write must be tried; empty, should it be left behind.
const NUDGE: &str = "nudge";

/// An open engine, and the last group that was written to it. Any call may panic, and may never come back.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    db: Db,
    last: Tree,
    dir: PathBuf,
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

impl Journal {
    /// Opens the directory and spreads what was not spread of the last group. One that cannot be read is left alone:
    /// whether anything lacks is for the root to tell.
    pub(crate) fn open(dir: &Path) -> Result<Self, EngineError> {
        let db = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None).open()?;
        let last = db.open_tree(LAST)?;
        let journal = Self { db, last, dir: dir.to_owned() };
        let Some(sealed) = journal.last.get(LAST)? else { return Ok(journal) };
        let group = envelope::open(LAST, &sealed).map_err(|why| why.to_string());
        match group.and_then(|group| spelled(group).ok_or_else(|| "it ends too early".to_owned())) {
            Ok(writes) => journal.spread(writes)?,
            Err(why) => tracing::warn!(why, "the last group of the store cannot be read"),
        }
        Ok(journal)
    }

    /// Writes all or nothing, and does not wait for any of it.
    pub(crate) fn write(&self, writes: Writes) -> Result<(), EngineError> {
        if planted(Bug::CommitsUnderOneLock) {
            return Ok(self.db.apply_batch(batch(writes))?);
        }
        let group = envelope::seal(LAST, &spell(&writes));
        let is_large = group.len() > LARGE_BYTES;
        self.last.insert(LAST, group)?;
        if is_large {
            self.flush()?;
            self.sync()?;
        }
        Ok(self.spread(writes)?)
    }

    /// Waits until all that was written has been handed to the system.
    pub(crate) fn flush(&self) -> Result<(), EngineError> {
        self.db.flush()?;
        Ok(())
    }

    /// Waits until all that was handed to the system lies on the disk.
    fn sync(&self) -> io::Result<()> {
        let blobs = self.dir.join("blobs");
        for entry in std::fs::read_dir(&blobs)? {
            match File::open(entry?.path()) {
                Ok(blob) => blob.sync_all()?,
                // Removed by sled since it was listed.
                Err(why) if why.kind() == io::ErrorKind::NotFound => {}
                Err(why) => return Err(why),
            }
        }
        disk::sync_dir(&blobs)?;
        File::open(self.dir.join("db"))?.sync_data()
    }

    /// Tries a write that changes nothing.
    pub(crate) fn nudge(&self) -> Result<(), EngineError> {
        self.db.open_tree(NUDGE)?;
        self.db.drop_tree(NUDGE)?;
        Ok(())
    }

    /// All entries, in the order of their keys.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, EngineError> {
        let entries = self.db.iter().map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())));
        Ok(entries.collect::<Result<_, _>>()?)
    }

    /// Begins a write in the middle of which `dream` is called, with whatever locks a write holds.
    #[cfg(any(test, feature = "proof"))]
    pub(crate) fn dreaming(self, dream: impl Fn() + Send + Sync + 'static) -> JoinHandle<()> {
        self.db.set_merge_operator(move |_: &[u8], _: Option<&[u8]>, _: &[u8]| {
            dream();
            None
        });
        std::thread::spawn(move || {
            let _ = self.db.merge("asleep", "yes");
        })
    }

    fn spread(&self, writes: Writes) -> sled::Result<()> {
        for (key, value) in writes {
            if self.db.get(&key)?.as_deref() == value.as_deref() {
                continue;
            }
            match value {
                Some(value) => self.db.insert(key, value)?,
                None => self.db.remove(key)?,
            };
        }
        Ok(())
    }
}

fn batch(writes: Writes) -> sled::Batch {
    let mut batch = sled::Batch::default();
    for (key, value) in writes {
        match value {
            Some(value) => batch.insert(key.as_bytes(), value),
            None => batch.remove(key.as_bytes()),
        }
    }
    batch
}

/// Each write as a key, a byte that says whether a value follows, and that value; keys and values after their lengths.
fn spell(writes: &Writes) -> Vec<u8> {
    let mut group = Vec::new();
    let mut put = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).expect("a record of less than 4 GiB");
        group.extend_from_slice(&length.to_le_bytes());
        group.extend_from_slice(bytes);
    };
    for (key, value) in writes {
        put(key.as_bytes());
        put(&[u8::from(value.is_some())]);
        put(value.as_deref().unwrap_or_default());
    }
    group
}

/// What was spelled; `None`, where that is not a group.
fn spelled(mut group: &[u8]) -> Option<Writes> {
    let mut take = || {
        let (length, rest) = group.split_first_chunk::<4>()?;
        let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        group = rest;
        Some(bytes)
    };
    let mut writes = Writes::new();
    while let Some(key) = take() {
        let (has_value, value) = (take()?, take()?);
        let value = (has_value == [1]).then(|| value.to_vec());
        writes.insert(String::from_utf8(key.to_vec()).ok()?, value);
    }
    group.is_empty().then_some(writes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;

    fn group() -> Writes {
        [("app/web", Some(vec![7; 300])), ("app/old", None), ("event/1", Some(Vec::new()))]
            .map(|(key, value)| (key.to_owned(), value))
            .into()
    }

    /// A handle that was just dropped may hold its lock for a moment yet: as the store itself opens it.
    fn opened(dir: &Path) -> Journal {
        engine::locked(dir).expect("opens")
    }

    #[test]
    fn a_group_is_read_as_it_was_spelled_and_a_part_of_one_is_none() {
        let spelt = spell(&group());
        assert_eq!(spelled(&spelt), Some(group()));
        let parts = (0..spelt.len()).filter_map(|length| spelled(&spelt[..length]));
        // Cut between two writes it is a shorter group, which the seal tells from the whole.
        assert_eq!(parts.count(), group().len());
        assert_eq!(spelled(&[u8::MAX; 9]), None);
    }

    #[test]
    fn a_group_of_which_only_the_whole_was_put_down_is_spread_by_the_next_opening() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = opened(dir.path());
        journal.write([("app/old".to_owned(), Some(vec![1]))].into()).expect("writes");
        journal.last.insert(LAST, envelope::seal(LAST, &spell(&group()))).expect("puts it down");
        drop(journal);
        let expected: Vec<Entry> =
            group().into_iter().filter_map(|(key, value)| Some((key.into_bytes(), value?))).collect();
        assert_eq!(opened(dir.path()).entries().expect("lists"), expected);
    }

    #[test]
    fn a_group_that_cannot_be_read_changes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = opened(dir.path());
        journal.write(group()).expect("writes");
        let before = journal.entries().expect("lists");
        journal.last.insert(LAST, "torn").expect("puts it down");
        drop(journal);
        assert_eq!(opened(dir.path()).entries().expect("lists"), before);
    }
}
