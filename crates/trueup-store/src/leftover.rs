//! An engine of this process that was given up and still holds its lock.
//!
//! A write that fails late can leave one of sled's threads asleep for good, with the engine and its lock in its hands; nothing
//! can wake it once the last handle is gone. The lock belongs to the file, not to its name: the store goes on with a copy under
//! the same name, and what the leftover still writes goes to a file that nobody reads.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::disk;

/// Whether this process holds a lock on the file; false where that cannot be known.
pub(crate) fn holds(path: &Path) -> io::Result<bool> {
    let wanted = std::fs::metadata(path)?;
    // Without it nobody knows; and other threads open and close theirs meanwhile.
    for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let Ok(found) = std::fs::metadata(entry.path()) else { continue };
        if (found.dev(), found.ino()) != (wanted.dev(), wanted.ino()) {
            continue;
        }
        let told = std::fs::read_to_string(Path::new("/proc/self/fdinfo").join(entry.file_name()));
        if told.is_ok_and(|told| told.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK"))) {
            return Ok(true);
        }
    }
    Ok(false)
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
}
