//! The network that a target's containers share: made when the first of them needs it, gone with the last.

use bollard::models::NetworkCreateRequest;

use crate::engine::{Fault, QUICK};
use crate::runtime::Inner;

impl Inner {
    /// Makes the network that the target names, where it is not there.
    pub(crate) async fn ensure_network(&self) -> Result<(), Fault> {
        let Some(name) = &self.settings.network else { return Ok(()) };
        let client = self.engine.client().await?;
        match self.engine.look(client.inspect_network(name.as_str(), None)).await {
            Ok(_) => return Ok(()),
            Err(fault) if fault.is_absence() => {}
            Err(fault) => return Err(fault),
        }
        let request = NetworkCreateRequest {
            name: name.to_string(),
            labels: Some(self.mine.common()),
            ..NetworkCreateRequest::default()
        };
        match self.engine.within(QUICK, client.create_network(request)).await {
            Ok(_) => Ok(()),
            // Somebody was quicker.
            Err(fault) if fault.has_status(409) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Takes our network away when nobody is left on it. What somebody else made stays.
    pub(crate) async fn release_network(&self) {
        let Some(name) = &self.settings.network else { return };
        let Ok(client) = self.engine.client().await else { return };
        let Ok(there) = self.engine.look(client.inspect_network(name.as_str(), None)).await else { return };
        let ours = there.labels.as_ref().is_some_and(|labels| self.mine.owns(labels));
        if !ours || !there.containers.unwrap_or_default().is_empty() || self.any_left().await {
            return;
        }
        // The engine refuses it while somebody is on it; it is tried again with the next that goes.
        if let Err(fault) = self.engine.within(QUICK, client.remove_network(name.as_str())).await {
            tracing::debug!(%fault, network = %name, "the network stays");
        }
    }
}
