//! The real store, written as a past wrote it: a state directory for each moment, to be copied and spoilt.

use std::path::Path;

use tempfile::TempDir;
use trueup_seams::{Memory, Store, StoreError};
use trueup_store::SledStore;

use super::ground::{Ground, copy};
use super::story::Past;
use crate::waiting::real;

/// A past, with its state directory at each moment.
#[derive(Debug)]
pub struct Shelf {
    /// What was lived through.
    pub past: Past,
    states: Vec<TempDir>,
}

impl Shelf {
    /// Writes a past into a real store, and copies its directory at each moment.
    ///
    /// At every second moment the store is closed before; at the others the copy is what a crash would leave.
    pub fn of(past: Past, ground: &Ground) -> anyhow::Result<Self> {
        let living = ground.folder()?;
        let mut states = Vec::with_capacity(past.moments.len());
        let mut before = Memory::default();
        let mut store = Some(SledStore::open(living.path()).map_err(told)?);
        for (index, moment) in past.moments.iter().enumerate() {
            let open = match store.take() {
                Some(open) => open,
                None => SledStore::open(living.path()).map_err(told)?,
            };
            real(write(&open, &before, &moment.memory, past.story.churn)).map_err(told)?;
            // Every second store goes on, as a daemon's does; dropping it closes it.
            store = (index % 2 == 0).then_some(open);
            let state = ground.folder()?;
            copy(living.path(), state.path())?;
            states.push(state);
            before = moment.memory.clone();
        }
        Ok(Self { past, states })
    }

    /// The state directory as it was at a moment.
    pub fn state(&self, moment: usize) -> &Path {
        self.states[moment].path()
    }

    /// How many moments there are.
    pub fn moments(&self) -> usize {
        self.states.len()
    }
}

fn told(error: StoreError) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

/// Writes what changed from one memory to the next, with some churn before it.
async fn write(store: &SledStore, before: &Memory, after: &Memory, churn: u32) -> Result<(), StoreError> {
    for round in 0..churn {
        for (app, record) in &after.apps {
            let mut busy = record.clone();
            busy.restarts = 1_000 + round;
            store.save(app, &busy).await?;
        }
    }
    for (app, record) in &after.apps {
        if churn > 0 || before.apps.get(app) != Some(record) {
            store.save(app, record).await?;
        }
    }
    for app in before.apps.keys().filter(|app| !after.apps.contains_key(*app)) {
        store.forget(app).await?;
    }
    if before.daemon != after.daemon {
        store.save_daemon(&after.daemon).await?;
    }
    let known = before.events.last().map_or(0, |event| event.sequence);
    let fresh: Vec<_> = after.events.iter().filter(|event| event.sequence > known).cloned().collect();
    store.append_events(&fresh).await
}
