//! A store that is open and can save: what is to be written for each change, and one commit for all of it.
//!
//! The owner thread has one over a directory, and whoever proves has one in memory: the guard is the same. Knows nothing
//! of requests, threads and answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trueup_seams::Memory;
use trueup_types::{AppName, Release, Revision};

use crate::engine_error::EngineError;
use crate::envelope;
use crate::ground::{Ground, Held as _};
use crate::guarded::{self, Opened};
use crate::journal::Writes;
use crate::layout::{self, Contents, EVENTS_MAX, Releases};
use crate::ledger::{Ledger, Put, Root};

/// A store that can save.
#[derive(Debug)]
pub(crate) struct Up<G: Ground> {
    ground: G,
    engine: G::Engine,
    root: Root,
    ledger: Ledger,
    releases: Releases,
    events: BTreeSet<u64>,
    /// Writes that no commit has carried along.
    events_waiting: Writes,
    /// What was read on opening, until it is loaded or outdated.
    unread: Option<Memory>,
}

impl<G: Ground> Up<G> {
    /// Goes on with what was opened.
    pub(crate) fn new(ground: &G, opened: Opened<G::Engine>) -> Self {
        let Opened { engine, root, contents } = opened;
        let releases = contents.releases();
        let Contents { root: _, ledger, memory, events } = contents;
        let ground = ground.clone();
        let unread = Some(memory);
        Self { ground, engine, root, ledger, releases, events, events_waiting: Writes::new(), unread }
    }

    /// All that it holds.
    pub(crate) fn load(&mut self) -> Result<Memory, EngineError> {
        if let Some(memory) = self.unread.take() {
            return Ok(memory);
        }
        self.write_events()?;
        let contents = Contents::read(&self.engine.entries()?).map_err(EngineError::Broken)?;
        self.releases = contents.releases();
        Ok(contents.memory)
    }

    /// Notes what a record and its releases change.
    pub(crate) fn save(
        &mut self,
        app: &AppName,
        payload: &[u8],
        releases: BTreeMap<Revision, Arc<Release>>,
        writes: &mut Writes,
    ) {
        self.put(layout::app_key(app), payload, writes);
        let known = self.releases.remove(app).unwrap_or_default();
        for (revision, release) in &releases {
            let same = known.get(revision).is_some_and(|known| Arc::ptr_eq(known, release) || known == release);
            if !same {
                let payload = serde_json::to_vec(release.as_ref()).expect("a release is plain JSON");
                self.put(layout::release_key(app, *revision), &payload, writes);
            }
        }
        for revision in known.keys().filter(|revision| !releases.contains_key(revision)) {
            self.remove(layout::release_key(app, *revision), writes);
        }
        self.releases.insert(app.clone(), releases);
    }

    /// Notes that an app goes.
    pub(crate) fn forget(&mut self, app: &AppName, writes: &mut Writes) {
        self.remove(layout::app_key(app), writes);
        for revision in self.releases.remove(app).unwrap_or_default().into_keys() {
            self.remove(layout::release_key(app, revision), writes);
        }
    }

    /// Takes events, to be carried along by the next commit.
    pub(crate) fn append(&mut self, events: Vec<(u64, Vec<u8>)>) -> Result<(), EngineError> {
        self.unread = None;
        for (sequence, payload) in events {
            let key = layout::event_key(sequence);
            let sealed = envelope::seal(&key, &payload);
            self.events_waiting.insert(key, Some(sealed));
            self.events.insert(sequence);
        }
        while self.events.len() > EVENTS_MAX {
            if let Some(oldest) = self.events.pop_first() {
                self.events_waiting.insert(layout::event_key(oldest), None);
            }
        }
        if self.events_waiting.len() > EVENTS_MAX { self.write_events() } else { Ok(()) }
    }

    /// Notes that the loss of memory need not be told again.
    pub(crate) fn settle(&mut self, writes: &mut Writes) {
        if self.root.rebuilt.take().is_some() {
            self.unread = None;
            // Any write makes a commit, and each commit writes the root.
            writes.insert(layout::ROOT.to_owned(), None);
        }
    }

    /// Notes what the daemon's own record changes.
    pub(crate) fn save_daemon(&mut self, payload: &[u8], writes: &mut Writes) {
        self.put(layout::DAEMON.to_owned(), payload, writes);
    }

    fn put(&mut self, key: String, payload: &[u8], writes: &mut Writes) {
        if self.ledger.put(&key, payload) == Put::Changed {
            self.unread = None;
            let sealed = envelope::seal(&key, payload);
            writes.insert(key, Some(sealed));
        }
    }

    fn remove(&mut self, key: String, writes: &mut Writes) {
        if self.ledger.remove(&key) == Put::Changed {
            self.unread = None;
            writes.insert(key, None);
        }
    }

    /// Commits what was noted, with the events that wait.
    pub(crate) fn commit(&mut self, writes: Writes) -> Result<(), EngineError> {
        if writes.is_empty() { Ok(()) } else { self.commit_writes(writes) }
    }

    fn commit_writes(&mut self, mut writes: Writes) -> Result<(), EngineError> {
        writes.append(&mut self.events_waiting);
        self.ground.check_room(size_of_writes(&writes))?;
        let root = self.ledger.root(&self.root.identity, self.root.sequence + 1, self.root.rebuilt.clone());
        writes.extend([guarded::root_write(&root)]);
        self.engine.commit(writes)?;
        self.ground.raise(&root)?;
        self.root = root;
        Ok(())
    }

    /// Whether there are events that no commit has carried along.
    pub(crate) fn has_events_waiting(&self) -> bool {
        !self.events_waiting.is_empty()
    }

    /// Writes the events that no commit has carried along.
    pub(crate) fn write_events(&mut self) -> Result<(), EngineError> {
        if self.events_waiting.is_empty() {
            return Ok(());
        }
        self.ground.check_room(size_of_writes(&self.events_waiting))?;
        self.engine.write(std::mem::take(&mut self.events_waiting))
    }
}

fn size_of_writes(writes: &Writes) -> u64 {
    let bytes: usize = writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum();
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
