//! The next table before it is told: each app's share, what the ingress was found with or took, and what is in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trueup_museum::{Bug, planted};
use trueup_types::route::{AppRoutes, RouteTable};
use trueup_types::{AppName, TableGeneration};

use crate::route_book::SeenShare;
use crate::table_index::found;

/// So many tables of which nobody knows whether they were taken are kept: one lands within a call's deadline, or never.
const DOUBTED_MAX: usize = 8;

/// What is to be told next, and what is known of what was told before.
#[derive(Default)]
pub(crate) struct Pending {
    /// What the next table says.
    pub shares: Shares,
    /// What the ingress was found with, or took; a share that it did not take goes out with no other's table.
    pub taken: Shares,
    /// How often anybody has asked for a share.
    pub turn: u64,
    /// Who waited behind a table that was not taken: the turns up to this one.
    pub thrown: u64,
    /// Whether the ingress was seen at all.
    pub known: bool,
    /// The highest number that any table was found with.
    pub found: TableGeneration,
    pub told: Told,
    /// Those since the last that was surely taken.
    pub doubted: Vec<Doubted>,
}

/// A table of which nobody knows whether it was taken.
pub(crate) struct Doubted {
    generation: TableGeneration,
    shares: Shares,
}

impl Doubted {
    /// Whether it is this one. Another daemon may have told another under the same number.
    fn is(&self, table: &RouteTable) -> bool {
        let same = || {
            let says = |share: &Arc<AppRoutes>| self.shares.get(&share.app) == Some(share);
            self.shares.len() == table.apps.len() && table.apps.iter().all(says)
        };
        self.generation == table.generation && (same() || planted(Bug::ReusesTableNumber))
    }
}

/// The share of each app.
pub(crate) type Shares = BTreeMap<AppName, Arc<AppRoutes>>;

/// What the last table said, in name order, and until when a look may have missed it.
#[derive(Default)]
pub(crate) struct Told {
    pub shares: Vec<Arc<AppRoutes>>,
    pub generation: TableGeneration,
    pub until: u64,
}

impl Pending {
    pub fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    /// Whether a table in doubt says something else of an app.
    pub fn may_bring_back(&self, share: &AppRoutes) -> bool {
        let says = |one: &Doubted| one.shares.get(&share.app).map_or(share.entries.is_empty(), |told| **told == *share);
        !self.doubted.iter().all(says)
    }

    /// Takes back what an ingress did not take, as far as anybody knows, and what waited behind it: whoever asked for it
    /// looks again, and the world may be another by then.
    pub fn take_back(&mut self) {
        if planted(Bug::TellsWhatWaited) {
            replace(&mut self.shares, &self.told.as_shares(), &self.taken);
        } else {
            self.shares.clone_from(&self.taken);
            self.thrown = self.turn;
        }
        self.doubt();
    }

    /// Nobody knows whether what was told was taken.
    pub fn doubt(&mut self) {
        if self.doubted.len() == DOUBTED_MAX {
            self.doubted.remove(0);
        }
        self.doubted.push(Doubted { generation: self.told.generation, shares: self.told.as_shares() });
    }

    /// The ingress has this table, which may be one that was in doubt; those after it may land yet.
    pub fn found(&mut self, table: &RouteTable) {
        self.found = self.found.max(table.generation);
        let found = self.doubted.iter().position(|one| one.is(table));
        if let Some(Doubted { shares, .. }) = found.map(|at| self.doubted.remove(at)) {
            replace(&mut self.shares, &self.taken, &shares);
            self.taken = shares;
        }
        self.doubted.retain(|one| one.generation > table.generation);
    }
}

/// Puts what is in `after` for what is in `before`, but for what is neither, as somebody has asked for it since.
fn replace(shares: &mut Shares, before: &Shares, after: &Shares) {
    let apps: BTreeSet<_> = before.keys().chain(after.keys()).cloned().collect();
    for app in apps {
        let same = match (shares.get(&app), before.get(&app)) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            (now, then) => now.is_none() && then.is_none(),
        };
        match after.get(&app).filter(|_| same) {
            Some(share) => drop(shares.insert(app, Arc::clone(share))),
            None if same => drop(shares.remove(&app)),
            None => {}
        }
    }
}

/// Notes an app's share; one without a way in is none.
pub(crate) fn put(shares: &mut Shares, share: &AppRoutes) {
    if share.entries.is_empty() {
        shares.remove(&share.app);
    } else {
        shares.insert(share.app.clone(), Arc::new(share.clone()));
    }
}

impl Told {
    pub fn as_shares(&self) -> Shares {
        self.shares.iter().map(|share| (share.app.clone(), Arc::clone(share))).collect()
    }

    /// Whether it was told since an app's share was seen, and says something else of it.
    pub fn outdates(&self, app: &AppName, seen: SeenShare<'_>) -> bool {
        let Some(share) = seen.share.filter(|_| seen.epoch < self.until) else { return false };
        let entries = found(&self.shares, app).map(|share| share.entries.as_slice()).unwrap_or_default();
        entries != share.entries
    }
}
