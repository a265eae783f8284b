//! The mark outside the store: which store was acknowledged, and how far.
//!
//! sled's way of failing is an older state that looks whole. A store that stands below its mark went back in time.

use std::io;
use std::path::Path;

use crate::disk;
use crate::envelope;
use crate::ledger::Root;

/// The key that the mark's envelope is sealed for.
const KEY: &str = "watermark";

/// What lies beside the store.
#[derive(Debug)]
pub(crate) enum Watermark {
    /// Nothing was ever acknowledged here.
    Absent,
    /// The root of the last acknowledged commit.
    At(Root),
    /// It cannot be read as a mark.
    Damaged(String),
}

/// Reads the mark.
///
/// # Errors
/// The file is there and cannot be read now.
pub(crate) fn read(path: &Path) -> io::Result<Watermark> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Watermark::Absent),
        Err(why) => return Err(why),
    };
    Ok(parsed(&bytes))
}

/// The mark that these bytes spell.
pub(crate) fn parsed(bytes: &[u8]) -> Watermark {
    let payload = match envelope::open(KEY, bytes) {
        Ok(payload) => payload,
        Err(why) => return Watermark::Damaged(why.to_string()),
    };
    match serde_json::from_slice(payload) {
        Ok(root) => Watermark::At(root),
        Err(why) => Watermark::Damaged(why.to_string()),
    }
}

/// Raises the mark to `root`, durably.
pub(crate) fn write(path: &Path, root: &Root) -> io::Result<()> {
    disk::replace(path, &spelled(root))
}

/// The bytes of a mark.
pub(crate) fn spelled(root: &Root) -> Vec<u8> {
    let payload = serde_json::to_vec(root).expect("a root is plain JSON");
    envelope::seal(KEY, &payload)
}
