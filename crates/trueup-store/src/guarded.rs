//! Opens a store only when it can be believed; sets it aside otherwise, begins an empty one, and says so.
//!
//! Believed is what lists without an error, sums up to its own root, belongs to the store that the watermark names, and
//! stands no lower than it. sled opens a damaged file without a word and with most keys missing, so an `Ok` of the
//! engine proves nothing.

use std::io;

use trueup_museum::{Bug, planted};

use crate::engine_error::EngineError;
use crate::envelope;
use crate::ground::{Ground, Held};
use crate::layout::{self, Contents};
use crate::ledger::{self, Ledger, Root};
use crate::watermark::Watermark;

/// A store that is believed and can save.
#[derive(Debug)]
pub(crate) struct Opened<E> {
    pub engine: E,
    /// The last root, acknowledged.
    pub root: Root,
    pub contents: Contents,
}

/// Opens the store, or an empty one in its place.
///
/// # Errors
/// `Locked`, `Refused`, or `Failed`: what lies on the disk was left as it is.
pub(crate) fn open<G: Ground>(ground: &G) -> Result<Opened<G::Engine>, EngineError> {
    ground.check_room(0)?;
    let mark = ground.mark()?;
    if !ground.is_begun()? {
        let lost = lost_without_store(&mark);
        if ground.is_there()? {
            clear(ground, &mark)?;
        }
        return begin(ground, lost);
    }
    let why = match believe(ground, &mark) {
        Ok(opened) => return Ok(opened),
        Err(error) => not_believed(ground, error)?,
    };
    // Nothing more can be lost by reading the whole log instead of a snapshot that may be damaged or half-written.
    ground.remove_snapshots()?;
    match believe(ground, &mark) {
        Ok(opened) => {
            tracing::warn!(why, "the store was read from its log");
            Ok(opened)
        }
        Err(error) => {
            not_believed(ground, error)?;
            // A disk that filled up meanwhile is the likelier reason, and an empty store would not fit either.
            ground.check_room(0)?;
            let kept = clear(ground, &mark)?;
            let why = kept.map(|kept| format!("{why}; the old store is kept as {kept}"));
            begin(ground, why.or_else(|| lost_without_store(&mark)))
        }
    }
}

/// Why what lies there cannot be believed.
///
/// # Errors
/// The error itself, where it says nothing of what lies there: that of a disk which failed a call, and from which all of
/// it can be read. Then a write failed, and the store waits for a disk that takes writes.
fn not_believed<G: Ground>(ground: &G, error: EngineError) -> Result<String, EngineError> {
    match error {
        EngineError::Broken(why) => Ok(why),
        EngineError::Failed(why) if ground.read_through().is_err() => Ok(why),
        kept @ (EngineError::Locked(_) | EngineError::Refused(_) | EngineError::Failed(_)) => Err(kept),
    }
}

/// Opens the store as it lies there, and compares it with itself and with its mark.
fn believe<G: Ground>(ground: &G, mark: &Watermark) -> Result<Opened<G::Engine>, EngineError> {
    // An engine takes what it cannot read for the end of its log, and writes over the rest: so all of it is read first.
    ground.read_through()?;
    let engine = ground.open()?;
    let contents = Contents::read(&engine.entries()?).map_err(EngineError::Broken)?;
    let root = judge(&contents, mark).map_err(EngineError::Broken)?;
    acknowledge(ground, engine, contents, root)
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
fn begin<G: Ground>(ground: &G, rebuilt: Option<String>) -> Result<Opened<G::Engine>, EngineError> {
    if let Some(why) = &rebuilt {
        tracing::error!(why, "the store was begun anew; memory is rebuilt from what runs");
    }
    let root = Ledger::default().root(&ledger::new_identity(), 0, rebuilt);
    ground.raise(&root)?;
    let engine = ground.open()?;
    if !engine.entries()?.is_empty() {
        return Err(EngineError::Refused("a store appeared while an empty one was begun".to_owned()));
    }
    ground.sync()?;
    acknowledge(ground, engine, Contents::default(), root)
}

/// Proves by a commit of nothing but the root that the store can save.
fn acknowledge<G: Ground>(
    ground: &G,
    mut engine: G::Engine,
    mut contents: Contents,
    stands: Root,
) -> Result<Opened<G::Engine>, EngineError> {
    contents.memory.rebuilt.clone_from(&stands.rebuilt);
    let told = stands.rebuilt.filter(|_| !planted(Bug::TellsLossOnce));
    let root = contents.ledger.root(&stands.identity, stands.sequence + 1, told);
    engine.commit([root_write(&root)].into())?;
    ground.raise(&root)?;
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
fn clear<G: Ground>(ground: &G, mark: &Watermark) -> io::Result<Option<String>> {
    match mark {
        Watermark::At(root) if root.sequence == 0 => ground.remove().map(|()| None),
        Watermark::Absent | Watermark::At(_) | Watermark::Damaged(_) => ground.set_aside().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::ground::Paths;
    use crate::journal::{Entry, Writes};

    /// A directory on a disk that fails every write, and maybe every read.
    #[derive(Debug, Clone)]
    struct Failing {
        paths: Paths,
        reads: bool,
    }

    #[derive(Debug)]
    struct Unwritable(Engine);

    fn failed() -> EngineError {
        io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()).into()
    }

    impl Ground for Failing {
        type Engine = Unwritable;

        fn check_room(&self, bytes: u64) -> Result<(), EngineError> {
            self.paths.check_room(bytes)
        }

        fn mark(&self) -> io::Result<Watermark> {
            self.paths.mark()
        }

        fn raise(&self, root: &Root) -> io::Result<()> {
            self.paths.raise(root)
        }

        fn is_begun(&self) -> io::Result<bool> {
            self.paths.is_begun()
        }

        fn is_there(&self) -> io::Result<bool> {
            self.paths.is_there()
        }

        fn open(&self) -> Result<Unwritable, EngineError> {
            self.paths.open().map(Unwritable)
        }

        fn read_through(&self) -> Result<(), EngineError> {
            if self.reads { self.paths.read_through() } else { Err(failed()) }
        }

        fn remove_snapshots(&self) -> io::Result<()> {
            self.paths.remove_snapshots()
        }

        fn sync(&self) -> io::Result<()> {
            self.paths.sync()
        }

        fn remove(&self) -> io::Result<()> {
            self.paths.remove()
        }

        fn set_aside(&self) -> io::Result<String> {
            self.paths.set_aside()
        }
    }

    impl Held for Unwritable {
        fn entries(&self) -> Result<Vec<Entry>, EngineError> {
            self.0.entries()
        }

        fn commit(&mut self, _writes: Writes) -> Result<(), EngineError> {
            Err(failed())
        }

        fn write(&self, _writes: Writes) -> Result<(), EngineError> {
            Err(failed())
        }
    }

    #[test]
    fn a_disk_that_fails_writes_costs_nothing_and_one_that_fails_reads_costs_what_lay_on_it() {
        let state = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(state.path());
        let before = open(&paths).expect("opens").root;
        let refused = open(&Failing { paths: paths.clone(), reads: true });
        assert!(matches!(refused, Err(EngineError::Failed(_))), "{refused:?}");
        let after = open(&paths).expect("opens once writes are taken again").root;
        assert_eq!((after.identity, after.rebuilt), (before.identity, None));
        let refused = open(&Failing { paths: paths.clone(), reads: false });
        assert!(matches!(refused, Err(EngineError::Failed(_))), "an empty one cannot be begun there: {refused:?}");
        assert!(state.path().join("store.aside-1").is_dir(), "what cannot be read is kept aside");
    }

    #[test]
    fn a_failed_call_is_known_by_its_number_or_by_what_sled_makes_of_it() {
        let error = io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error());
        let copied = as_copied(&error);
        for error in [error, copied] {
            assert!(matches!(EngineError::from(error), EngineError::Failed(_)));
        }
    }

    /// As sled hands an error on to those who come later.
    fn as_copied(error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{error:?}"))
    }
}
