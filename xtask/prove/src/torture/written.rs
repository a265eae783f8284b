//! What was acknowledged of one app by a store that may refuse, and what it says of it.

use std::time::Duration;

use trueup_seams::{Store, StoreError, StoreHealth};
use trueup_store::SledStore;
use trueup_types::AppName;

use super::writer::{after, app};

/// Longest that a store may stay degraded once nothing refuses any more. A sleeping engine is flushed for 7 s and closed for
/// 5 before the next is opened, 5 more after the last try; that may happen to the next as well.
const HEAL_MAX: Duration = Duration::from_secs(40);

/// What was acknowledged of one app, and whether one more operation was tried and refused.
#[derive(Debug)]
pub struct Written {
    app: AppName,
    /// Operations that were acknowledged.
    pub done: u64,
    refused: bool,
}

impl Written {
    const NAME: &str = "web";

    /// After so many operations.
    pub fn after(done: u64) -> Self {
        Self { app: app(Self::NAME), done, refused: false }
    }

    /// The next operation; one that was refused is the next again.
    pub async fn next(&mut self, store: &SledStore) -> Result<(), StoreError> {
        let done = match after(Self::NAME, self.done + 1) {
            Some(record) => store.save(&self.app, &record).await,
            None => store.forget(&self.app).await,
        };
        self.refused = done.is_err();
        self.done += u64::from(done.is_ok());
        done
    }

    /// What a store says is what was acknowledged; or one more, where that was refused in the middle of being done.
    pub async fn hold(&mut self, store: &SledStore) -> Result<(), String> {
        let memory = store.load().await.map_err(|why| format!("it does not load: {why}"))?;
        if let Some(why) = memory.rebuilt {
            return Err(format!("what was only refused cost everything: {why}"));
        }
        let may = self.done..=self.done + u64::from(self.refused);
        let found = memory.apps.get(&self.app);
        let seen = may.clone().find(|number| after(Self::NAME, *number).as_ref() == found);
        let told = || format!("it stood at one of {may:?}, and is found at {:?}", found.map(|one| one.generation.0));
        self.done = seen.ok_or_else(told)?;
        self.refused = false;
        Ok(())
    }
}

/// Waits until a store says that all is well.
pub async fn healed(store: &SledStore) -> Result<(), String> {
    let wait = async {
        while store.health() != StoreHealth::Good {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let healed = tokio::time::timeout(HEAL_MAX, wait).await;
    healed.map_err(|_| format!("nothing refuses any more, and it stays {:?}", store.health()))
}
