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
    /// After a loss of power it says nothing that matters: the processes are gone with it.
    ThisBoot,
}

/// Writes a value to a file that only we may read.
///
/// # Errors
/// Those of the file system, and a value that JSON cannot spell.
pub fn write<T: Serialize>(path: &Path, value: &T, durability: Durability) -> std::io::Result<()> {
    let text = serde_json::to_vec(value)?;
    let mut aside = path.as_os_str().to_owned();
    aside.push(".aside");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(&text)?;
    if durability == Durability::Synced {
        file.sync_all()?;
    }
    drop(file);
    std::fs::rename(&aside, path)
}

/// Reads a value; `None` when the file is not there.
///
/// # Errors
/// Those of the file system, and a file that is not such a value: each names the file.
pub fn read<T: DeserializeOwned>(path: &Path) -> std::io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(text) => {
            let value = serde_json::from_slice(&text);
            value.map(Some).map_err(|why| std::io::Error::other(format!("{}: {why}", path.display())))
        }
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(std::io::Error::new(why.kind(), format!("{}: {why}", path.display()))),
    }
}
