//! Who is asked when none of those that get requests would answer: the ones on standby.
//!
//! The platform takes a machine out of its proxy's rotation at the first check that fails, and tells nobody. A probe bears
//! more than one failure, so that between the two a release that was just promoted may leave an app to nobody. Here the old
//! ones that are kept through its bake are registered at once, before anybody has judged, and taken out again where the new
//! ones come back. What the table says stays as it is: on standby means just that.
//!
//! That it is so is seen at the next look, which a wrong answer to the public brings on (`public`).

use std::collections::BTreeSet;
use std::sync::Arc;

use trueup_types::observed::Phase;
use trueup_types::route::AppRoutes;
use trueup_types::{AppName, InstanceId};

use crate::book::{AppBook, Known};
use crate::runtime::Inner;

impl Inner {
    /// Who of a share is to get requests: those with a weight, and those on standby where none of these would answer.
    pub(crate) fn to_be_asked(&self, share: &AppRoutes) -> BTreeSet<InstanceId> {
        let backends = || share.entries.iter().flat_map(|entry| &entry.backends);
        let routed: BTreeSet<_> = backends().filter(|one| one.weight > 0).map(|one| one.instance.clone()).collect();
        let standby: BTreeSet<_> = backends().filter(|one| one.weight == 0).map(|one| one.instance.clone()).collect();
        if standby.is_empty() || routed.is_empty() {
            return routed;
        }
        let machines = self.machines_of(&share.app);
        let answers = |id: &InstanceId| machines.iter().any(|known| known.written.id == *id && self.answers(known));
        if routed.iter().any(&answers) {
            return routed;
        }
        let standing_in: Vec<_> = standby.into_iter().filter(|id| answers(id)).collect();
        routed.into_iter().chain(standing_in).collect()
    }

    /// Whether the proxy would find one that answers, as far as anybody has said: one that sleeps is woken.
    pub(crate) fn answers(&self, known: &Known) -> bool {
        let checked = || known.machine.checks.iter().flatten().all(|check| check.status == "passing");
        match self.sighting(known).phase {
            Phase::Running { .. } => known.machine.reached() && checked(),
            Phase::Asleep => true,
            Phase::Created | Phase::Starting | Phase::Exited { .. } | Phase::Vanishing { .. } => false,
        }
    }

    pub(crate) fn machines_of(&self, app: &AppName) -> Vec<Known> {
        let shown: Vec<_> = self.books().values().flat_map(AppBook::shown).cloned().collect();
        shown.into_iter().filter(|known| known.written.id.app == *app).collect()
    }

    /// Has those on standby take part, or no more, where that is not so yet.
    pub(crate) fn mind_standbys(self: &Arc<Self>) {
        let shares = self.memory.look(|kept| kept.shares.clone());
        for share in shares {
            let standby = |one: &InstanceId| share.lists(one) && !share.routes_to(one);
            let machines = self.machines_of(&share.app);
            let kept: Vec<_> = machines.iter().filter(|known| standby(&known.written.id) && !known.ghost).collect();
            if kept.is_empty() {
                continue;
            }
            let asked = self.to_be_asked(&share);
            let otherwise = |known: &&Known| asked.contains(&known.written.id) != self.is_registered(known);
            if kept.into_iter().any(|known| otherwise(&known)) || !self.may_lie_down(&share, &machines).is_empty() {
                let (inner, app) = (Arc::clone(self), share.app.clone());
                self.handle.spawn(async move { inner.route_once_more(&app).await });
            }
        }
    }

    /// Makes an app's share of the table true again, unless one is being made true just now.
    async fn route_once_more(self: Arc<Self>, app: &AppName) {
        let Ok(_routing) = self.routing.try_lock() else { return };
        let Some(share) = self.memory.look(|kept| kept.shares.iter().find(|share| share.app == *app).cloned()) else {
            return;
        };
        let outcome = self.route_app(app, &self.to_be_asked(&share)).await;
        tracing::debug!(%app, ?outcome, "those on standby");
        let Ok(Some(fly)) = self.home(app).await else { return };
        for known in self.may_lie_down(&share, &self.machines_of(app)) {
            if let Err(fault) = self.lie_down(&fly, &known).await {
                tracing::debug!(instance = %known.written.id, %fault, "it runs on");
            }
        }
    }
}
