//! Small JSON files, written aside and renamed, so that a reader sees all of one or nothing.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Whether a file must survive a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It is synced before it gets its name.
    Synced,
    /// After a loss of power it says nothing that matters: the processes are gone with it. [`read_unsynced`] reads it.
    ThisBoot,
}

/// Writes a value to a file that only we may read; where that fails, what was there before stays and nothing else does.
///
/// # Errors
/// Those of the file system, and a value that JSON cannot spell.
pub fn write<T: Serialize>(path: &Path, value: &T, durability: Durability) -> std::io::Result<()> {
    let text = serde_json::to_vec(value)?;
    let mut aside = path.as_os_str().to_owned();
    aside.push(".aside");
    let written = write_all(Path::new(&aside), &text, durability).and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        // On a full disk half a file is in everybody's way.
        let _ = std::fs::remove_file(&aside);
    }
    written
}

fn write_all(path: &Path, text: &[u8], durability: Durability) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    if durability == Durability::Synced { file.sync_all() } else { Ok(()) }
}

/// Reads a value; `None` when the file is not there.
///
/// # Errors
/// Those of the file system, and a file that is not such a value: each names the file.
pub fn read<T: DeserializeOwned>(path: &Path) -> std::io::Result<Option<T>> {
    let Some(text) = text(path)? else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|why| unreadable(path, &why))
}

/// Reads a value that was written for [`Durability::ThisBoot`]: `None` also for a file that a loss of power left empty,
/// cut short or full of zeros. Within one boot there is no such file.
///
/// # Errors
/// Those of the file system, and JSON of another shape: each names the file.
pub fn read_unsynced<T: DeserializeOwned>(path: &Path) -> std::io::Result<Option<T>> {
    let Some(text) = text(path)? else { return Ok(None) };
    match serde_json::from_slice(&text) {
        Ok(value) => Ok(Some(value)),
        Err(why) if why.is_syntax() || why.is_eof() => Ok(None),
        Err(why) => Err(unreadable(path, &why)),
    }
}

fn text(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(std::io::Error::new(why.kind(), format!("{}: {why}", path.display()))),
    }
}

fn unreadable(path: &Path, why: &serde_json::Error) -> std::io::Error {
    std::io::Error::other(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_loss_of_power_left_counts_as_absent_and_another_shape_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shim.json");
        write(&path, &vec![1_u32, 2, 3], Durability::ThisBoot).expect("it is written");
        assert_eq!(read_unsynced::<Vec<u32>>(&path).expect("it reads"), Some(vec![1, 2, 3]));
        for left in [&b""[..], &[0; 7], b"[1,2", b"[1,\0\0\0"] {
            std::fs::write(&path, left).expect("it is written");
            assert_eq!(read_unsynced::<Vec<u32>>(&path).expect("it is as if it were not there"), None, "{left:?}");
            assert!(read::<Vec<u32>>(&path).is_err(), "what was synced is never left so: {left:?}");
        }
        std::fs::write(&path, b"{\"of\": \"a later version\"}").expect("it is written");
        let why = read_unsynced::<Vec<u32>>(&path).expect_err("it is not ours to read").to_string();
        assert!(why.contains("shim.json"), "{why}");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_beside_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("taken");
        // A folder that is not empty takes no file's place.
        std::fs::create_dir_all(path.join("below")).expect("it is made");
        write(&path, &7, Durability::ThisBoot).expect_err("it is a folder");
        assert_eq!(std::fs::read_dir(folder.path()).expect("it lists").count(), 1);
    }
}
