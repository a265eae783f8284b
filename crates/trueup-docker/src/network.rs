//! The network that a target's containers share: made when the first of them needs it, gone with the last.
//!
//! An engine lets several networks have one name, and starts nothing on any of them from then on. So one is made at a
//! time, and what another daemon made at the same moment is put right: the oldest stays.

use std::collections::HashMap;

use bollard::models::{Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;
use trueup_types::Label;

use crate::engine::{Fault, QUICK};
use crate::runtime::Inner;

/// Whether the network is known to be there, and once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Networked {
    /// It has to be looked for.
    #[default]
    Unknown,
    /// It was there when we last looked; a start that fails makes us look again.
    There,
}

impl Inner {
    /// Makes the network that the target names, where it is not there.
    pub(crate) async fn ensure_network(&self) -> Result<(), Fault> {
        let Some(name) = &self.settings.network else { return Ok(()) };
        let mut known = self.networking.lock().await;
        if *known == Networked::There {
            return Ok(());
        }
        self.make_network(name).await?;
        *known = Networked::There;
        Ok(())
    }

    /// Looks for the network again before the next container needs it.
    pub(crate) async fn doubt_network(&self) {
        *self.networking.lock().await = Networked::Unknown;
    }

    async fn make_network(&self, name: &Label) -> Result<(), Fault> {
        if self.one_network(name).await? {
            return Ok(());
        }
        let request = NetworkCreateRequest {
            name: name.to_string(),
            labels: Some(self.mine.common()),
            ..NetworkCreateRequest::default()
        };
        let client = self.engine.client().await?;
        match self.engine.within(QUICK, client.create_network(request)).await {
            Ok(_) => {}
            // Somebody was quicker.
            Err(fault) if fault.has_status(409) => {}
            Err(fault) => return Err(fault),
        }
        self.one_network(name).await.map(drop)
    }

    /// Whether there is a network of this name; of several, those of ours that nobody is on go but for the oldest.
    async fn one_network(&self, name: &Label) -> Result<bool, Fault> {
        let mut there = self.networks(name).await?;
        // As the engine writes moments, they are in their order as text.
        there.sort_by(|one, other| (&one.created, &one.id).cmp(&(&other.created, &other.id)));
        let surplus = there.iter().skip(1).filter(|network| self.may_go(network.labels.as_ref()));
        for network in surplus.filter_map(|network| network.id.as_deref()) {
            let client = self.engine.client().await?;
            // The engine keeps one that somebody is on.
            if let Err(fault) = self.engine.within(QUICK, client.remove_network(network)).await {
                tracing::info!(%fault, network = %name, "two networks have one name");
            }
        }
        Ok(!there.is_empty())
    }

    /// The networks of exactly this name: an engine's filter takes parts of names, too.
    async fn networks(&self, name: &Label) -> Result<Vec<Network>, Fault> {
        let filters = HashMap::from([("name".to_owned(), vec![name.to_string()])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let client = self.engine.client().await?;
        let mut there = self.engine.look(client.list_networks(Some(options))).await?;
        there.retain(|network| network.name.as_deref() == Some(name.as_str()));
        Ok(there)
    }

    /// Takes our network away when nobody is left on it. What somebody else made stays.
    pub(crate) async fn release_network(&self) {
        let Some(name) = &self.settings.network else { return };
        let mut known = self.networking.lock().await;
        if self.any_left().await {
            return;
        }
        *known = Networked::Unknown;
        let Ok(there) = self.networks(name).await else { return };
        for network in there.into_iter().filter(|network| self.may_go(network.labels.as_ref())) {
            let (Ok(client), Some(id)) = (self.engine.client().await, network.id) else { return };
            // The engine refuses it while somebody is on it; it is tried again with the next that goes.
            if let Err(fault) = self.engine.within(QUICK, client.remove_network(&id)).await {
                tracing::debug!(%fault, network = %name, "the network stays");
            }
        }
    }

    /// Whether a network is ours: another target of ours may have made it.
    fn may_go(&self, labels: Option<&HashMap<String, String>>) -> bool {
        labels.is_some_and(|labels| self.mine.owns(labels) || self.mine.is_of_another_target(labels))
    }
}
