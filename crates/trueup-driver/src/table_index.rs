//! A live table as it was seen, to be looked into by app.

use std::collections::BTreeMap;
use std::sync::Arc;

use trueup_types::route::AppRoutes;
use trueup_types::{AppName, InstanceId, Ordinal, Revision};

/// A table's sight, to be looked into by app.
pub(crate) struct Index {
    /// In name order.
    pub shares: Vec<Arc<AppRoutes>>,
    pub in_flight: BTreeMap<InstanceId, u32>,
}

impl Index {
    pub fn share(&self, app: &AppName) -> AppRoutes {
        found(&self.shares, app).map_or_else(|| AppRoutes::none(app), AppRoutes::clone)
    }

    pub fn in_flight(&self, app: &AppName) -> BTreeMap<InstanceId, u32> {
        let ours = self.in_flight.range(InstanceId::new(app, Revision(0), Ordinal(0))..);
        ours.take_while(|(id, _)| id.app == *app).map(|(id, count)| (id.clone(), *count)).collect()
    }
}

/// An app's share among all, which are in name order.
pub(crate) fn found<'s>(shares: &'s [Arc<AppRoutes>], app: &AppName) -> Option<&'s AppRoutes> {
    let at = shares.binary_search_by(|share| share.app.cmp(app)).ok()?;
    shares.get(at).map(Arc::as_ref)
}
