//! The store of a case: in memory in most, the real one with its guard over a directory in the rest.

use std::sync::{Arc, Mutex};

use trueup_seams::{Memory, Store};
use trueup_sim::SimStore;
use trueup_types::{AppName, AppRecord};

use super::event::Loss;

/// Where memory lies.
pub trait Shelf {
    /// What a daemon that starts is given.
    fn store(&self) -> Arc<dyn Store>;
    /// Lets something become of it.
    fn befall(&self, loss: Loss);
    /// What it remembers of an app.
    fn record(&self, app: &AppName) -> Option<AppRecord>;
    /// All apps that it remembers.
    fn apps(&self) -> Vec<AppName>;
    /// A daemon is about to be started on it.
    fn started(&self) {}
}

/// A shelf in memory.
#[derive(Default)]
pub struct Simulated {
    store: Arc<SimStore>,
    copy: Mutex<Option<Memory>>,
}

impl Shelf for Simulated {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn befall(&self, loss: Loss) {
        let mut copy = self.copy.lock().expect("no holder panics");
        match loss {
            Loss::Copied => *copy = Some(self.store.copy()),
            Loss::Lost => self.store.lose(),
            Loss::Wiped => self.store.put_back_unnoticed(Memory::default()),
            Loss::PutBack => drop(copy.clone().map(|copy| self.store.put_back(copy))),
            Loss::PutBackUnnoticed => drop(copy.clone().map(|copy| self.store.put_back_unnoticed(copy))),
            Loss::Full(full) => self.store.fill(full),
        }
    }

    fn record(&self, app: &AppName) -> Option<AppRecord> {
        self.store.record(app)
    }

    fn apps(&self) -> Vec<AppName> {
        self.store.copy().apps.into_keys().collect()
    }
}
