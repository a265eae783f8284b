//! Where states are tortured: a folder in memory where there is one, so that a sync costs nothing, and what it takes to
//! copy and list what lies there.
//!
//! Knows files only; what they mean is the store's.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The folder in memory that Linux has.
const IN_MEMORY: &str = "/dev/shm";
/// Tried first, in bytes, to see whether the folder in memory has room: more than all pasts together take.
const ROOM_BYTES: u64 = 512 * 1024 * 1024;

/// A folder of its own, gone when this is dropped.
#[derive(Debug)]
pub struct Ground(TempDir);

impl Ground {
    /// A folder in memory, or else where temporary files lie.
    pub fn new() -> anyhow::Result<Self> {
        let roomy = |dir: &TempDir| {
            let probe = std::fs::File::create(dir.path().join("room"))?;
            // Sparse: it asks whether so much could be had, and takes nothing.
            probe.set_len(ROOM_BYTES)?;
            std::fs::remove_file(dir.path().join("room"))
        };
        let in_memory = tempfile::Builder::new().prefix("trueup-prove-").tempdir_in(IN_MEMORY).ok();
        match in_memory.filter(|dir| roomy(dir).is_ok()) {
            Some(dir) => Ok(Self(dir)),
            None => Ok(Self(tempfile::Builder::new().prefix("trueup-prove-").tempdir()?)),
        }
    }

    /// One more folder in it.
    pub fn folder(&self) -> anyhow::Result<TempDir> {
        Ok(TempDir::new_in(self.0.path())?)
    }
}

/// Copies a folder with all that is in it; what is there already is overwritten.
pub fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let there = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &there)?
        } else {
            std::fs::copy(entry.path(), there).map(|_| ())?
        }
    }
    Ok(())
}

/// The files of a state directory that hold anything, relative to it and in order; its lock is no memory.
pub fn files(state: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(state.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else if path != Path::new("store.lock") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What lies in a state, file by file.
pub fn content(state: &Path) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    files(state)?.into_iter().map(|file| Ok((file.clone(), std::fs::read(state.join(file))?))).collect()
}
