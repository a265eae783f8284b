//! Memory as the entries that lie on the disk, and back: for whoever proves that any bytes are read without harm.
//!
//! The store itself never writes all of it at once. Knows no engine and no root: whether entries are the ones that were
//! written last is for the guard to say.

use std::collections::BTreeMap;

use trueup_seams::{Memory, StoreError};

use crate::envelope;
pub use crate::journal::Entry;
use crate::layout::{self, Contents};
use crate::ledger::Ledger;

/// What a value looks like under `key`, sealed.
#[must_use]
pub fn seal(key: &str, payload: &[u8]) -> Vec<u8> {
    envelope::seal(key, payload)
}

/// The memory that entries spell, the root's word that it was rebuilt among it; events that cannot be read are lost.
///
/// # Errors
/// One line: what is wrong with the first entry that cannot be read.
pub fn memory_of(entries: &[Entry]) -> Result<Memory, String> {
    Contents::read(entries).map(|contents| contents.memory)
}

/// The entries that spell a memory, in the order of their keys.
///
/// # Panics
/// Never: all of it is plain JSON.
#[must_use]
pub fn entries_of(memory: &Memory) -> Vec<Entry> {
    let mut entries = BTreeMap::new();
    let mut put = |key: String, payload: Result<Vec<u8>, StoreError>| {
        let sealed = seal(&key, &payload.expect("memory is plain JSON"));
        entries.insert(key.into_bytes(), sealed);
    };
    for (app, record) in &memory.apps {
        put(layout::app_key(app), layout::encode(record));
        for (revision, release) in &record.releases {
            put(layout::release_key(app, *revision), layout::encode(release.as_ref()));
        }
    }
    put(layout::DAEMON.to_owned(), layout::encode(&memory.daemon));
    memory.events.iter().for_each(|event| put(layout::event_key(event.sequence), layout::encode(event)));
    if memory.rebuilt.is_some() {
        let root = Ledger::default().root("", 0, memory.rebuilt.clone());
        put(layout::ROOT.to_owned(), layout::encode(&root));
    }
    entries.into_iter().collect()
}
