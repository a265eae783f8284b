//! The few things that the store asks of a file system: a lock, room, and files that are really there.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use trueup_seams::StoreError;

/// Makes a directory, with its parents, that only its owner can enter: records hold environments in the clear.
pub(crate) fn create_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// How often the lock is tried again: who has just ended may live on for a moment in a child that it was about to start, which
/// shares its locks until it becomes another program.
const LOCK_TRIES_MAX: u32 = 25;
/// From one try to the next.
const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// Takes the lock of a store; held until the file is dropped.
pub(crate) fn lock(path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    // A disk that turned read-only can still be locked.
    let opened = opened.or_else(|why| match why.kind() == io::ErrorKind::ReadOnlyFilesystem {
        true => File::open(path),
        false => Err(why),
    });
    let file = opened.map_err(|why| StoreError::Unavailable(format!("{}: {why}", path.display())))?;
    let mut tries = 0;
    let locked = loop {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if tries < LOCK_TRIES_MAX => {
                tries += 1;
                std::thread::park_timeout(LOCK_AGAIN);
            }
            done => break done,
        }
    };
    match locked {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(StoreError::Locked(format!("{} is locked; is another daemon running on it?", path.display())))
        }
        Err(why) => Err(StoreError::Unavailable(format!("{}: {why}", path.display()))),
    }
}

/// Bytes that this process may still write to the file system of `dir`.
pub(crate) fn room(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    // Only root may use the blocks that are kept in reserve.
    let blocks = if rustix::process::geteuid().is_root() { stat.f_bfree } else { stat.f_bavail };
    Ok(blocks.saturating_mul(stat.f_frsize))
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces a file as a whole, durably: written aside, synced, renamed, and the rename synced.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&aside, path)?;
    sync_dir(path.parent().expect("a file has a directory"))
}
