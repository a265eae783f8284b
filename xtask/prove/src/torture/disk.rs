//! A disk that is full: before the n-th save, while one is under way, and at a start.
//!
//! Each point has a small file system in memory of its own, so it takes a user who may mount one. What was acknowledged
//! stays, what is refused is said, the store says that it is degraded, and it heals by itself once there is room.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use trueup_seams::{Store, StoreError, StoreHealth};
use trueup_store::SledStore;

use super::ground::Ground;
use super::written::{Written, healed};
use crate::waiting::real;

/// The size of the file system, in MiB: a store, and the room that it asks for. sled keeps a large value in a file of its own
/// until it has written over all that was beside it, so that a store of these records takes up to 15 MiB (seen in 3,000
/// operations, rising and falling); and it asks for 6.
const DISK_MIB: u32 = 24;
/// Operations after which a disk that is being filled must have refused one.
const OPERATIONS_MAX: u64 = 400;

/// When the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the n-th save.
    Before,
    /// It fills up while saves are under way.
    Meanwhile,
    /// When the store is opened.
    AtStart,
}

impl When {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Before, Self::Meanwhile, Self::AtStart];

    /// Its name in case strings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Meanwhile => "meanwhile",
            Self::AtStart => "at-start",
        }
    }
}

/// A small file system in memory; unmounted when dropped.
#[derive(Debug)]
pub struct Disk(TempDir);

impl Disk {
    /// Mounts one; `None` where this user may not.
    pub fn new(ground: &Ground) -> anyhow::Result<Option<Self>> {
        let folder = ground.folder()?;
        let size = format!("size={DISK_MIB}m");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(mount.status().is_ok_and(|status| status.success()).then_some(Self(folder)))
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    /// Takes all the room but so many bytes.
    fn fill(&self, left: u64) -> std::io::Result<()> {
        fill(&self.0.path().join("ballast"), left)
    }

    /// What its room went into. The rest has no name any more, and somebody who has it open.
    fn told(&self) -> String {
        let mut folders = vec![self.0.path().to_owned()];
        let (mut told, mut sum) = (Vec::new(), 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(found) = entry.metadata() else { continue };
                if found.is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let kib = found.blocks().div_ceil(2);
                sum += kib;
                told.push(format!("{} {kib}", entry.file_name().display()));
            }
        }
        format!("of {} KiB {sum} have a name: {}", DISK_MIB * 1_024, told.join(", "))
    }

    fn free(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.0.path().join("ballast"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn fill(path: &Path, left: u64) -> std::io::Result<()> {
    let mut ballast = std::fs::File::create(path)?;
    for block in [1 << 20, 1 << 12] {
        let zeros = vec![1; block];
        while ballast.write_all(&zeros).is_ok() {}
    }
    let long = ballast.metadata()?.len();
    ballast.set_len(long.saturating_sub(left))
}

/// Fills the disk at one point; the seed draws after how many saves, and how little is left.
pub fn point(ground: &Ground, when: When, seed: u64) -> anyhow::Result<Option<Result<String, String>>> {
    let Some(disk) = Disk::new(ground)? else { return Ok(None) };
    let mut dice = fastrand::Rng::with_seed(seed ^ 0x6675_6c6c);
    let (saves, left) = (dice.u64(1..60), [0, 4_096, 65_536, 1 << 20, 3 << 20][dice.usize(..5)]);
    let told = format!("{} after {saves} saves, {left} bytes left", when.name());
    let done = match when {
        When::Before | When::Meanwhile => while_open(&disk, when, saves, left, &mut dice),
        When::AtStart => at_start(&disk, saves, left),
    };
    Ok(Some(done.map(|()| told.clone()).map_err(|why| format!("{told}: {why}"))))
}

fn while_open(disk: &Disk, when: When, saves: u64, left: u64, dice: &mut fastrand::Rng) -> Result<(), String> {
    let mut written = Written::after(0);
    let store = SledStore::open(&disk.state()).map_err(|why| format!("it does not open: {why}"))?;
    real(async {
        for _ in 0..saves {
            written.next(&store).await.map_err(|why| format!("an empty disk refuses: {why}"))?;
        }
        if when == When::Before {
            disk.fill(left).map_err(|why| why.to_string())?;
            if written.next(&store).await.is_ok() {
                return Err("a full disk takes one more".to_owned());
            }
        } else {
            let (path, wait) = (disk.0.path().join("ballast"), Duration::from_micros(dice.u64(..20_000)));
            let filling = std::thread::spawn(move || {
                std::thread::sleep(wait);
                fill(&path, left)
            });
            let refused = async {
                for _ in 0..OPERATIONS_MAX {
                    if written.next(&store).await.is_err() {
                        return true;
                    }
                }
                false
            };
            let refused = refused.await;
            filling.join().map_err(|_| "the filling panicked".to_owned())?.map_err(|why| why.to_string())?;
            if !refused && written.next(&store).await.is_ok() {
                return Err("a full disk takes whatever comes".to_owned());
            }
        }
        if store.health() == StoreHealth::Good {
            return Err("it refused, and says that all is well".to_owned());
        }
        disk.free().map_err(|why| why.to_string())?;
        healed(&store).await?;
        written.hold(&store).await?;
        written.next(&store).await.map_err(|why| format!("it healed, and refuses: {why}; {}", disk.told()))?;
        written.hold(&store).await
    })?;
    drop(store);
    let again = SledStore::open(&disk.state()).map_err(|why| format!("it does not open again: {why}"))?;
    real(written.hold(&again))
}

fn at_start(disk: &Disk, saves: u64, left: u64) -> Result<(), String> {
    let mut written = Written::after(0);
    let store = SledStore::open(&disk.state()).map_err(|why| format!("it does not open: {why}"))?;
    let filled: Result<(), StoreError> = real(async {
        for _ in 0..saves {
            written.next(&store).await?;
        }
        Ok(())
    });
    filled.map_err(|why| format!("an empty disk refuses: {why}"))?;
    drop(store);
    disk.fill(left).map_err(|why| why.to_string())?;
    let store = SledStore::open(&disk.state()).map_err(|why| format!("it does not start on a full disk: {why}"))?;
    real(async {
        if store.health() == StoreHealth::Good || store.load().await.is_ok() {
            return Err("it started on a full disk, and says that all is well".to_owned());
        }
        disk.free().map_err(|why| why.to_string())?;
        healed(&store).await?;
        written.hold(&store).await?;
        written.next(&store).await.map_err(|why| format!("it healed, and refuses: {why}; {}", disk.told()))?;
        written.hold(&store).await
    })
}
