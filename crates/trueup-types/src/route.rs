//! What an ingress is told: whole tables, stamped with a generation, merged from the apps' shares.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::name::{AppName, InstanceId, OwnerId};
use crate::number::TableGeneration;

/// One app's share of a route table, in route order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppRoutes {
    /// Whose.
    pub app: AppName,
    /// Its ways in.
    pub entries: Vec<RouteEntry>,
}

impl AppRoutes {
    /// A share that routes nothing.
    #[must_use]
    pub fn none(app: &AppName) -> Self {
        Self { app: app.clone(), entries: Vec::new() }
    }

    /// Whether it names this instance at all, on standby too.
    #[must_use]
    pub fn lists(&self, instance: &InstanceId) -> bool {
        self.entries.iter().any(|entry| entry.backends.iter().any(|b| b.instance == *instance))
    }

    /// Whether any entry sends anything to `instance`.
    #[must_use]
    pub fn routes_to(&self, instance: &InstanceId) -> bool {
        self.weight_of(instance) > 0
    }

    /// The weight of `instance` in the entry that sends it the most; 0 where none sends it anything.
    #[must_use]
    pub fn weight_of(&self, instance: &InstanceId) -> u32 {
        let backends = self.entries.iter().flat_map(|entry| &entry.backends).filter(|b| b.instance == *instance);
        backends.map(|b| b.weight).max().unwrap_or(0)
    }
}

/// One way in, and who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteEntry {
    /// The host, in lower case, without a port.
    pub host: String,
    /// The path prefix, beginning with `/`; a prefix of whole segments.
    pub path: String,
    /// Who answers; empty answers 503.
    pub backends: Vec<Backend>,
}

/// One instance that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Which.
    pub instance: InstanceId,
    /// Where, on ingresses that dial; a platform's own needs only the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Its share relative to the other backends' weights; 0 is on standby: asked only when none of the others answers.
    pub weight: u32,
}

/// A whole route table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteTable {
    /// Whose table.
    pub owner: OwnerId,
    /// Older ones are refused.
    pub generation: TableGeneration,
    /// The apps' shares, in name order; shared, as most of them are the same from one table to the next.
    pub apps: Vec<Arc<AppRoutes>>,
}

/// What an ingress answers when it is observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableSight {
    /// The live table.
    pub table: RouteTable,
    /// Requests and tunnels in flight by instance, over all live processes of the ingress; zeros are left out.
    pub in_flight: Vec<(InstanceId, u32)>,
}
