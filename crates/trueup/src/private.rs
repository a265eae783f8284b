//! The state directory is its owner's alone.
//!
//! What is secret in it is private by itself; closing the directory keeps names, sizes and the status to its owner, too.
//! One that we make is closed, and so is one that somebody made for us and put nothing into. One that holds anything may
//! be more than ours (`--state-dir /tmp`), so that it is only told of: here in the log, and by `trueup doctor`.

use std::fs::{DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Its owner's alone.
const PRIVATE: u32 = 0o700;
/// What it is closed to.
const OTHERS: u32 = 0o077;

/// Makes the directory, and closes it where it is empty.
///
/// # Errors
/// When it cannot be made or read.
pub(crate) fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE).create(dir)?;
    let Some(mode) = open_to(&dir.metadata()?) else { return Ok(()) };
    let empty = dir.read_dir()?.next().is_none();
    if empty && std::fs::set_permissions(dir, Permissions::from_mode(PRIVATE)).is_ok() {
        return Ok(());
    }
    tracing::warn!("{}; `chmod 700` closes it", told(dir, mode));
    Ok(())
}

/// The mode of a directory that others may look into.
pub(crate) fn open_to(metadata: &Metadata) -> Option<u32> {
    let mode = metadata.mode() & 0o7777;
    (mode & OTHERS != 0).then_some(mode)
}

/// That others may look into it, and with which mode.
pub(crate) fn told(dir: &Path, mode: u32) -> String {
    format!("{} is open to others (mode {mode:04o})", dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(dir: &Path) -> u32 {
        dir.metadata().expect("it is there").mode() & 0o7777
    }

    #[test]
    fn what_is_made_or_empty_is_closed_and_what_holds_anything_is_left() {
        let place = tempfile::tempdir().expect("a directory");
        let made = place.path().join("a/b");
        make(&made).expect("made");
        assert_eq!(mode(&made), PRIVATE);
        let given = place.path().join("given");
        std::fs::create_dir(&given).expect("made");
        std::fs::set_permissions(&given, Permissions::from_mode(0o755)).expect("opened");
        make(&given).expect("taken");
        assert_eq!(mode(&given), PRIVATE);
        std::fs::write(given.join("file"), "").expect("written");
        std::fs::set_permissions(&given, Permissions::from_mode(0o755)).expect("opened");
        make(&given).expect("taken");
        assert_eq!(mode(&given), 0o755, "it may be more than ours");
        assert_eq!(open_to(&given.metadata().expect("there")), Some(0o755));
    }
}
