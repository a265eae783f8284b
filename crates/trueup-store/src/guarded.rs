//! Opens a store only when it can be believed; sets it aside otherwise, begins an empty one, and says so.
//!
//! Believed is what lists without an error, sums up to its own root, belongs to the store that the watermark names, and
//! stands no lower than it. sled opens a damaged file without a word and with most keys missing, so an `Ok` of the
//! engine proves nothing.

use std::io;
use std::path::{Path, PathBuf};

use trueup_museum::{Bug, planted};

use crate::disk;
use crate::engine::{self, Engine, EngineError};
use crate::envelope;
use crate::layout::{self, Contents};
use crate::ledger::{self, Ledger, Root};
use crate::watermark::{self, Watermark};

/// Most stores that are kept aside, the newest: enough for somebody to look, and bounded on the disk.
pub const ASIDE_MAX: usize = 3;

/// Room that must be free before the engine is asked to write, in bytes, beside four times what is written.
///
/// A full disk poisons the engine, so it never meets one while we can see it coming. A new store takes 1 MiB, a segment
/// half of that.
const ROOM_MIN: u64 = 4 * 1024 * 1024;

/// Where a store and its watermark lie.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The directory that holds both.
    pub state: PathBuf,
    /// The engine's own directory.
    pub store: PathBuf,
    /// The watermark.
    pub watermark: PathBuf,
}

impl Paths {
    pub(crate) fn new(state: &Path) -> Self {
        Self { state: state.to_owned(), store: state.join("store"), watermark: state.join("store.watermark") }
    }

    /// Whether `bytes` more may be written.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<(), EngineError> {
        let needed = ROOM_MIN.saturating_add(bytes.saturating_mul(4));
        let free = disk::room(&self.state)?;
        if free >= needed {
            return Ok(());
        }
        let state = self.state.display();
        Err(EngineError::Refused(format!("{state} has {} KiB free, {} KiB are needed", free / 1024, needed / 1024)))
    }
}

/// A store that is believed and can save.
#[derive(Debug)]
pub(crate) struct Opened {
    pub engine: Engine,
    /// The last root, acknowledged.
    pub root: Root,
    pub contents: Contents,
}

/// Opens the store, or an empty one in its place.
///
/// # Errors
/// `Locked`, or `Refused`: what lies on the disk was left as it is.
pub(crate) fn open(paths: &Paths) -> Result<Opened, EngineError> {
    paths.check_room(0)?;
    let mark = watermark::read(&paths.watermark)?;
    if !engine::begun(&paths.store)? {
        let lost = lost_without_store(&mark);
        if paths.store.try_exists()? {
            clear(paths, &mark)?;
        }
        return begin(paths, lost);
    }
    let why = match believe(paths, &mark) {
        Ok(opened) => return Ok(opened),
        Err(EngineError::Broken(why)) => why,
        Err(refused @ (EngineError::Locked(_) | EngineError::Refused(_))) => return Err(refused),
    };
    // Nothing more can be lost by reading the whole log instead of a snapshot that may be damaged or half-written.
    engine::remove_snapshots(&paths.store)?;
    match believe(paths, &mark) {
        Ok(opened) => {
            tracing::warn!(why, "the store was read from its log");
            Ok(opened)
        }
        Err(EngineError::Broken(_)) => {
            // A disk that filled up meanwhile is the likelier reason, and an empty store would not fit either.
            paths.check_room(0)?;
            let kept = clear(paths, &mark)?;
            let why = kept.map(|kept| format!("{why}; the old store is kept as {kept}"));
            begin(paths, why.or_else(|| lost_without_store(&mark)))
        }
        Err(refused @ (EngineError::Locked(_) | EngineError::Refused(_))) => Err(refused),
    }
}

/// Opens the store as it lies there, and compares it with itself and with its mark.
fn believe(paths: &Paths, mark: &Watermark) -> Result<Opened, EngineError> {
    let engine = Engine::open(&paths.store)?;
    let contents = Contents::read(&engine.entries()?).map_err(EngineError::Broken)?;
    let root = judge(&contents, mark).map_err(EngineError::Broken)?;
    acknowledge(paths, engine, contents, root)
}

/// The root that the contents stand at, or what contradicts them, in one line.
fn judge(contents: &Contents, mark: &Watermark) -> Result<Root, String> {
    let Some(root) = &contents.root else {
        return match mark {
            // It was begun, and cut off before its first commit.
            Watermark::At(mark) if mark.sequence == 0 && contents.ledger.is_empty() => Ok(mark.clone()),
            Watermark::Absent | Watermark::At(_) | Watermark::Damaged(_) => Err("the store has no root".to_owned()),
        };
    };
    let summed = contents.ledger.root(&root.identity, root.sequence, root.rebuilt.clone());
    if summed != *root {
        return Err(format!("the store holds {} of {} records, or older ones", summed.count, root.count));
    }
    match mark {
        Watermark::Absent => Err("the store's watermark is gone, so nobody knows whether it went back".to_owned()),
        Watermark::Damaged(why) => Err(format!("the store's watermark is damaged: {why}")),
        Watermark::At(mark) if mark.identity != root.identity => Err("another store lies in its place".to_owned()),
        Watermark::At(mark) if root.sequence < mark.sequence && !planted(Bug::BelievesOldStore) => {
            Err(format!("the store went back from commit {} to {}", mark.sequence, root.sequence))
        }
        Watermark::At(mark) if root.sequence == mark.sequence && root != mark => {
            Err(format!("the store took another way to commit {}", mark.sequence))
        }
        Watermark::At(_) => Ok(root.clone()),
    }
}

/// Begins an empty store. The mark goes first: without it a store is not believed.
fn begin(paths: &Paths, rebuilt: Option<String>) -> Result<Opened, EngineError> {
    if let Some(why) = &rebuilt {
        tracing::error!(why, "the store was begun anew; memory is rebuilt from what runs");
    }
    let root = Ledger::default().root(&ledger::new_identity(), 0, rebuilt);
    watermark::write(&paths.watermark, &root)?;
    let engine = Engine::open(&paths.store)?;
    if !engine.entries()?.is_empty() {
        return Err(EngineError::Refused("a store appeared while an empty one was begun".to_owned()));
    }
    disk::sync_dir(&paths.state)?;
    acknowledge(paths, engine, Contents::default(), root)
}

/// Proves by a commit of nothing but the root that the store can save.
fn acknowledge(paths: &Paths, mut engine: Engine, mut contents: Contents, stands: Root) -> Result<Opened, EngineError> {
    contents.memory.rebuilt.clone_from(&stands.rebuilt);
    let told = stands.rebuilt.filter(|_| !planted(Bug::TellsLossOnce));
    let root = contents.ledger.root(&stands.identity, stands.sequence + 1, told);
    engine.commit([root_write(&root)].into())?;
    watermark::write(&paths.watermark, &root)?;
    Ok(Opened { engine, root, contents })
}

/// The write of a root.
pub(crate) fn root_write(root: &Root) -> (String, Option<Vec<u8>>) {
    let payload = serde_json::to_vec(root).expect("a root is plain JSON");
    (layout::ROOT.to_owned(), Some(envelope::seal(layout::ROOT, &payload)))
}

/// What a mark without a store tells: nothing was acknowledged, or all of it is gone.
fn lost_without_store(mark: &Watermark) -> Option<String> {
    match mark {
        Watermark::Absent => None,
        // Begun, and cut off before its first commit; what it replaced may still be unsaid.
        Watermark::At(root) if root.sequence == 0 => root.rebuilt.clone(),
        Watermark::At(root) => Some(format!("the store is gone; it stood at commit {}", root.sequence)),
        Watermark::Damaged(why) => Some(format!("the store is gone, and its watermark is damaged: {why}")),
    }
}

/// Makes room for an empty store; answers the name that the old one is kept under.
///
/// A store that acknowledged nothing is removed: keeping each of them would push out the ones worth a look.
fn clear(paths: &Paths, mark: &Watermark) -> io::Result<Option<String>> {
    match mark {
        Watermark::At(root) if root.sequence == 0 => std::fs::remove_dir_all(&paths.store).map(|()| None),
        Watermark::Absent | Watermark::At(_) | Watermark::Damaged(_) => set_aside(paths).map(Some),
    }
}

/// Renames the store to `store.aside-<n>`, drops the oldest of those beyond [`ASIDE_MAX`], and answers the new name.
fn set_aside(paths: &Paths) -> io::Result<String> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(&paths.state)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("store.aside-")?.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    let next = numbers.last().map_or(1, |last| last.saturating_add(1));
    let name = format!("store.aside-{next}");
    std::fs::rename(&paths.store, paths.state.join(&name))?;
    disk::sync_dir(&paths.state)?;
    let surplus = (numbers.len() + 1).saturating_sub(ASIDE_MAX);
    for old in &numbers[..surplus] {
        std::fs::remove_dir_all(paths.state.join(format!("store.aside-{old}")))?;
    }
    Ok(name)
}
