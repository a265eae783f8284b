//! An engine of this process that was given up and still holds its lock.
//!
//! A write that fails late can leave one of sled's threads asleep for good, with the engine and its lock in its hands; nothing
//! can wake it once the last handle is gone. The lock belongs to the file, not to its name: the store goes on with a copy under
//! the same name, and what the leftover still writes goes to a file that nobody reads.
//!
//! Each one costs threads, a cache and a file without a name until the process ends, so that there are at most
//! [`LEFTOVERS_MAX`]: beyond them the store refuses to open.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::engine_error::EngineError;

/// Most engines that are left behind for one store: each holds a cache of 8 MiB, a few threads and the file as it was.
///
/// Beyond them the store stays degraded and says what helps. It does not end the process, though a supervisor would bring
/// that back with none of them: a daemon without memory still restores and reverts, and where nobody supervises it nothing
/// else would. Who holds a lock is counted, not what was left, so that the store opens again once a leftover has ended.
const LEFTOVERS_MAX: usize = 8;

/// Whether this process holds a lock on the file; false where that cannot be known.
pub(crate) fn holds(path: &Path) -> io::Result<bool> {
    let wanted = std::fs::metadata(path)?;
    Ok(locked().any(|(_, found)| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino())))
}

/// Whether the store in `dir` may be opened once more: few enough engines of it were left behind.
///
/// # Errors
/// `Refused`, where there are as many as may be: what lies on the disk is left as it is.
pub(crate) fn may_open(dir: &Path) -> Result<(), EngineError> {
    // As the kernel spells it, whatever links lead there. Stores that were put aside begin with the same name.
    let ours = dir.canonicalize()?;
    let aside = format!("{}.aside", ours.display());
    let there = std::fs::metadata(dir.join("db")).ok().map(|found| (found.dev(), found.ino()));
    let is_left = |(name, found): &(PathBuf, Metadata)| {
        let folder = name.parent().unwrap_or(name);
        (folder == ours || folder.to_string_lossy().starts_with(&aside)) && Some((found.dev(), found.ino())) != there
    };
    let count = locked().filter(is_left).count();
    if count < LEFTOVERS_MAX {
        return Ok(());
    }
    Err(EngineError::Refused(format!(
        "{count} engines of the store met failing writes and never ended; look at the disk, then restart the daemon"
    )))
}

/// Each file that this process holds a lock on, with its name.
fn locked() -> impl Iterator<Item = (PathBuf, Metadata)> {
    // Without it nobody knows; and other threads open and close theirs meanwhile.
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    open.filter_map(|entry| {
        let told = std::fs::read_to_string(Path::new("/proc/self/fdinfo").join(entry.file_name())).ok()?;
        let locked = told.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK"));
        let found = std::fs::metadata(entry.path()).ok().filter(|_| locked)?;
        Some((std::fs::read_link(entry.path()).ok()?, found))
    })
}

/// Puts a copy of the file in its place, durably.
pub(crate) fn part_from(path: &Path) -> io::Result<()> {
    let copy = path.with_extension("copy");
    let done = std::fs::copy(path, &copy).and_then(|_| File::open(&copy)?.sync_all());
    if let Err(why) = done {
        // A disk without room for it needs this room too.
        let _ = std::fs::remove_file(&copy);
        return Err(why);
    }
    std::fs::rename(&copy, path)?;
    disk::sync_dir(path.parent().expect("a file has a directory"))
}

#[cfg(test)]
mod tests {
    use rustix::fs::{FlockOperation, flock};

    use super::*;

    #[test]
    fn a_lock_of_ours_is_known_and_does_not_bind_the_copy() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("db");
        std::fs::write(&path, "all of it").expect("written");
        let held = File::open(&path).expect("opens");
        assert!(!holds(&path).expect("known"), "it is open, and not locked");
        flock(&held, FlockOperation::NonBlockingLockExclusive).expect("locked");
        assert!(holds(&path).expect("known"));
        part_from(&path).expect("copied");
        assert!(!holds(&path).expect("known"), "the lock stays with the old file");
        let other = File::open(&path).expect("opens");
        flock(&other, FlockOperation::NonBlockingLockExclusive).expect("nobody holds it");
        assert_eq!(std::fs::read(&path).expect("read"), b"all of it");
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1, "no copy is left behind");
    }

    #[test]
    fn so_many_may_be_left_behind_and_one_that_ends_makes_room() {
        let state = tempfile::tempdir().expect("a directory");
        let (store, aside) = (state.path().join("store"), state.path().join("store.aside-1"));
        std::fs::create_dir(&store).expect("a directory");
        let path = store.join("db");
        std::fs::write(&path, "all of it").expect("written");
        let leave = || {
            let held = File::open(&path).expect("opens");
            flock(&held, FlockOperation::NonBlockingLockExclusive).expect("locked");
            part_from(&path).expect("copied");
            held
        };
        let mut left: Vec<_> = (1..LEFTOVERS_MAX).map(|_| leave()).collect();
        may_open(&store).expect("one more may be left");
        std::fs::rename(&store, &aside).expect("put aside");
        let held = File::open(aside.join("db")).expect("opens");
        flock(&held, FlockOperation::NonBlockingLockExclusive).expect("locked");
        left.push(held);
        std::fs::create_dir(&store).expect("a directory");
        let refused = may_open(&store);
        assert!(matches!(&refused, Err(EngineError::Refused(why)) if why.contains("restart")), "{refused:?}");
        let another = tempfile::tempdir().expect("a directory");
        may_open(another.path()).expect("each store is counted by itself");
        let second = state.path().join("store2");
        std::fs::create_dir(&second).expect("a directory");
        may_open(&second).expect("be it beside it");
        let refused = may_open(&store);
        assert!(refused.is_err(), "that of the first stays as it is");
        left.pop();
        may_open(&store).expect("one has ended");
    }
}
