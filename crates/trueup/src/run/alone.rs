//! A look without a daemon, for `trueup plan`: what is remembered, what is there, and nothing done.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use trueup_driver::{Clock as _, SteadyClock, preview};
use trueup_edge::EdgeClient;
use trueup_seams::{AppPreview, Memory, Store as _};
use trueup_store::SledStore;
use trueup_types::desired::DesiredApp;
use trueup_types::target::TargetSpec;
use trueup_types::{OwnerId, TargetName};

use super::{edge_keeper, wiring};

/// What would be done if these were all.
pub(crate) async fn preview(
    state_dir: &Path,
    owner: &OwnerId,
    targets: BTreeMap<TargetName, TargetSpec>,
    wanted: Vec<DesiredApp>,
) -> anyhow::Result<Vec<AppPreview>> {
    let memory = remembered(state_dir).await?;
    let clock = Arc::new(SteadyClock::fresh());
    let mut looked = BTreeMap::new();
    for (name, spec) in &targets {
        if let Some(target) = wiring::looking(spec, state_dir, owner, &clock)? {
            looked.insert(name.clone(), target);
        }
    }
    let edge = EdgeClient::new(edge_keeper::dir(state_dir), owner.clone());
    let previews = preview::alone(&memory, &looked, Some(&edge), wanted, clock.now()).await?;
    Ok(previews)
}

/// What the last daemon remembered; the store is held only while it is read.
async fn remembered(state_dir: &Path) -> anyhow::Result<Memory> {
    if !state_dir.join("store").exists() {
        return Ok(Memory::default());
    }
    let state_dir = state_dir.to_owned();
    let store = tokio::task::spawn_blocking(move || SledStore::open(&state_dir)).await??;
    Ok(store.load().await?)
}
