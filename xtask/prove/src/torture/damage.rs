//! What may befall the files of a store, one thing at a time.
//!
//! Works on a copy of a state directory at some moment, with the same directory at an earlier moment and that of another
//! daemon at hand. Knows nothing of what the files mean but their names.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::ground::{copy, files};

/// A block of a disk, in bytes.
const BLOCK_BYTES: u64 = 4_096;
/// A sector of a disk, in bytes.
const SECTOR_BYTES: u64 = 512;

/// Declares the kinds, with their names in case strings.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal;)+) => {
        /// What befalls it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Damage {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl Damage {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// Its name in case strings.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }
        }
    };
}

kinds! {
    /// One bit of one file turns.
    Bit = "bit";
    /// Bytes all over one file are others.
    Bytes = "bytes";
    /// A file ends early.
    Cut = "cut";
    /// A file is empty.
    Empty = "empty";
    /// A file goes on with noise.
    Longer = "longer";
    /// A block or a sector of zeros.
    Zeros = "zeros";
    /// A block of noise.
    Noise = "noise";
    /// A block that was written elsewhere.
    Misplaced = "misplaced";
    /// Some of the blocks that were written since an earlier moment never were.
    LostWrites = "lost-writes";
    /// Two files have each other's content.
    Swapped = "swapped";
    /// One file is that of another daemon.
    ForeignFile = "foreign-file";
    /// The whole store is that of another daemon.
    ForeignStore = "foreign-store";
    /// The watermark is that of another daemon.
    ForeignMark = "foreign-mark";
    /// One file is as it was earlier.
    StaleFile = "stale-file";
    /// The whole store is as it was earlier.
    StaleStore = "stale-store";
    /// The watermark is as it was earlier.
    StaleMark = "stale-mark";
    /// One file is gone.
    Missing = "missing";
    /// The watermark is gone.
    MissingMark = "missing-mark";
    /// The whole store is gone.
    MissingStore = "missing-store";
    /// Something half-written was left behind.
    Leftover = "leftover";
    /// Store and watermark are both as they were earlier: a restored backup, which nothing beside it can tell.
    StaleAll = "stale-all";
}

impl Damage {
    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether the store may believe what it finds: it is whole, and only too old.
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::StaleAll)
    }
}

/// What lies around.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The same daemon's state, earlier.
    pub earlier: &'a Path,
    /// Another daemon's state.
    pub foreign: &'a Path,
}

/// Does it; answers what was done, in words.
pub fn befall(kind: Damage, state: &Path, around: Around<'_>, dice: &mut fastrand::Rng) -> io::Result<String> {
    let store = Path::new("store");
    let mark = Path::new("store.watermark");
    match kind {
        Damage::Bit | Damage::Bytes | Damage::Zeros | Damage::Noise | Damage::Misplaced => {
            within(kind, &state.join(some(state, dice)?), dice)
        }
        Damage::Cut | Damage::Empty | Damage::Longer => length(kind, &state.join(some(state, dice)?), dice),
        Damage::LostWrites => lost_writes(state, around.earlier, dice),
        Damage::Swapped => swapped(state, dice),
        Damage::ForeignFile | Damage::StaleFile => {
            let from = if kind == Damage::StaleFile { around.earlier } else { around.foreign };
            let file = some(from, dice)?;
            let there = state.join(&file);
            std::fs::create_dir_all(there.parent().expect("a file lies in a folder"))?;
            std::fs::copy(from.join(&file), there)?;
            Ok(format!("{} is that of {}", file.display(), kind.name()))
        }
        Damage::ForeignMark | Damage::StaleMark => {
            let from = if kind == Damage::StaleMark { around.earlier } else { around.foreign };
            std::fs::copy(from.join(mark), state.join(mark))?;
            Ok(kind.name().to_owned())
        }
        Damage::ForeignStore | Damage::StaleStore => {
            let from = if kind == Damage::StaleStore { around.earlier } else { around.foreign };
            std::fs::remove_dir_all(state.join(store))?;
            copy(&from.join(store), &state.join(store))?;
            Ok(kind.name().to_owned())
        }
        Damage::StaleAll => {
            std::fs::remove_dir_all(state)?;
            copy(around.earlier, state)?;
            Ok(kind.name().to_owned())
        }
        Damage::Missing => {
            let file = some(state, dice)?;
            std::fs::remove_file(state.join(&file))?;
            Ok(format!("{} is gone", file.display()))
        }
        Damage::MissingMark => std::fs::remove_file(state.join(mark)).map(|()| "the watermark is gone".to_owned()),
        Damage::MissingStore => std::fs::remove_dir_all(state.join(store)).map(|()| "the store is gone".to_owned()),
        Damage::Leftover => leftover(state, around, dice),
    }
}

/// Some file, any of them as likely.
fn some(state: &Path, dice: &mut fastrand::Rng) -> io::Result<PathBuf> {
    let all = files(state)?;
    Ok(all[dice.usize(..all.len())].clone())
}

/// Changes what is within a file, and not how long it is.
fn within(kind: Damage, path: &Path, dice: &mut fastrand::Rng) -> io::Result<String> {
    let mut bytes = std::fs::read(path)?;
    if bytes.is_empty() {
        return Ok(format!("{} is empty and stays so", path.display()));
    }
    // Half of the time where something was written: most of a young log is zeros.
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    let at = if dice.bool() { dice.usize(..written) } else { dice.usize(..bytes.len()) };
    let unit = usize::try_from(if dice.bool() { BLOCK_BYTES } else { SECTOR_BYTES }).expect("a small number");
    let block = at / unit * unit..(at / unit * unit + unit).min(bytes.len());
    match kind {
        Damage::Bytes => {
            for _ in 0..dice.u32(2..64) {
                let at = dice.usize(..bytes.len());
                bytes[at] = dice.u8(..);
            }
        }
        Damage::Zeros => bytes[block].fill(0),
        Damage::Noise => bytes[block].iter_mut().for_each(|byte| *byte = dice.u8(..)),
        Damage::Misplaced => {
            let other = dice.usize(..bytes.len()) / unit * unit;
            let end = (other + block.len()).min(bytes.len());
            bytes.copy_within(block.start..block.start + (end - other), other);
        }
        _ => bytes[at] ^= 1 << dice.u8(..8),
    }
    std::fs::write(path, bytes)?;
    Ok(format!("{} in {} around byte {at}", kind.name(), path.display()))
}

fn length(kind: Damage, path: &Path, dice: &mut fastrand::Rng) -> io::Result<String> {
    let file = std::fs::OpenOptions::new().write(true).open(path)?;
    let long = file.metadata()?.len();
    let short = match kind {
        Damage::Empty => 0,
        Damage::Cut => dice.u64(..long.max(1)),
        _ => {
            let noise: Vec<u8> = (0..dice.usize(1..9_000)).map(|_| dice.u8(..)).collect();
            file.write_all_at(&noise, long)?;
            return Ok(format!("{} goes on with {} bytes of noise", path.display(), noise.len()));
        }
    };
    file.set_len(short)?;
    Ok(format!("{} ends at {short} of {long}", path.display()))
}

/// Blocks of the log that differ from the earlier one go back to it, some of them.
fn lost_writes(state: &Path, earlier: &Path, dice: &mut fastrand::Rng) -> io::Result<String> {
    let path = state.join("store/db");
    let (mut now, then) = (std::fs::read(&path)?, std::fs::read(earlier.join("store/db"))?);
    let unit = usize::try_from(if dice.bool() { BLOCK_BYTES } else { SECTOR_BYTES }).expect("a small number");
    let zeros = vec![0; unit];
    let mut lost = 0;
    for start in (0..now.len()).step_by(unit) {
        let end = (start + unit).min(now.len());
        let before = then.get(start..end).unwrap_or(&zeros[..end - start]);
        if now[start..end] != *before && dice.bool() {
            now[start..end].copy_from_slice(before);
            lost += 1;
        }
    }
    std::fs::write(path, now)?;
    Ok(format!("{lost} blocks of {unit} bytes were never written"))
}

fn swapped(state: &Path, dice: &mut fastrand::Rng) -> io::Result<String> {
    let mut all = files(state)?;
    dice.shuffle(&mut all);
    let [one, other, ..] = all.as_slice() else { return Ok("there is one file only".to_owned()) };
    let (first, second) = (std::fs::read(state.join(one))?, std::fs::read(state.join(other))?);
    std::fs::write(state.join(one), second)?;
    std::fs::write(state.join(other), first)?;
    Ok(format!("{} and {} are swapped", one.display(), other.display()))
}

/// What an engine or a guard leaves when it is cut off, and what people leave.
fn leftover(state: &Path, around: Around<'_>, dice: &mut fastrand::Rng) -> io::Result<String> {
    let name = [
        "store/snap.00000000000000ff.generating",
        "store/snap.0000000000ffffff",
        "store.new",
        "store/core",
        "store/blobs/7",
    ];
    let name = name[dice.usize(..name.len())];
    let source = if dice.bool() { around.earlier } else { around.foreign };
    let mut bytes = std::fs::read(source.join(some(source, dice)?))?;
    bytes.truncate(dice.usize(..=bytes.len()));
    std::fs::create_dir_all(state.join(name).parent().expect("a file lies in a folder"))?;
    std::fs::write(state.join(name), bytes)?;
    Ok(format!("{name} was left behind"))
}
