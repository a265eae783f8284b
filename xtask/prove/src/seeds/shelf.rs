//! The store of a case, under the guard of the real one: in memory in most, over a directory with its engine in the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use trueup_seams::Store;
use trueup_store::in_memory::{Files, InMemoryStore};
use trueup_types::{AppName, AppRecord};

use super::event::Loss;
use super::on_disk::now;

/// Where memory lies.
pub trait Shelf {
    /// What a daemon that starts is given.
    fn store(&self) -> Arc<dyn Store>;
    /// Lets something become of it.
    fn befall(&self, loss: Loss);
    /// A daemon is about to be started on it.
    fn started(&self);

    /// What it remembers of each app.
    fn memory(&self) -> BTreeMap<AppName, AppRecord> {
        now(self.store().load()).map(|memory| memory.apps).unwrap_or_default()
    }
}

/// A shelf in memory.
#[derive(Default)]
pub struct InMemory {
    store: Arc<InMemoryStore>,
    copy: Mutex<Option<Files>>,
}

impl Shelf for InMemory {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn befall(&self, loss: Loss) {
        let mut copy = self.copy.lock().expect("no holder panics");
        let (store, kept) = (&self.store, copy.clone().unwrap_or_default());
        match loss {
            Loss::Copied => *copy = Some(store.files(|files| files.clone())),
            Loss::Lost => store.files(|files| files.store = None),
            Loss::Wiped => store.files(|files| (files.store, files.watermark) = (None, None)),
            Loss::PutBack | Loss::PutBackUnnoticed if copy.is_none() => {}
            Loss::PutBack => store.files(|files| files.store = kept.store),
            Loss::PutBackUnnoticed => {
                store.files(|files| (files.store, files.watermark) = (kept.store, kept.watermark))
            }
            Loss::Full(full) => store.fill(full),
        }
    }

    fn started(&self) {
        // Every daemon opens the store for itself.
        self.store.close();
    }
}
