//! Ticks are per app, tables are whole: merges the apps' shares, stamps the table, and hands it to the ingress.
//!
//! Shares that come within a few milliseconds go out in one table. A table found newer than ours is continued from its
//! number. Where one is not taken, whoever asked for it, or waited behind it, looks again. Also keeps the last sight of
//! the ingress, shared as surveys are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use trueup_museum::{Bug, planted};
use trueup_seams::Ingress;
use trueup_types::desired::Doubt;
use trueup_types::observed::RouteSeen;
use trueup_types::route::{AppRoutes, RouteTable, TableSight};
use trueup_types::step::Refusal;
use trueup_types::{AppName, OwnerId, RouteSight, StepOutcome, TableGeneration};

use crate::pending::{Pending, Told, put};
use crate::survey::Epoch;
use crate::table_index::Index;

/// Shares that come within this time go out together.
pub const COALESCE: Duration = Duration::from_millis(5);
/// Longest a call of the ingress may take.
pub const INGRESS_TIMEOUT: Duration = Duration::from_secs(10);

/// The routes of all apps.
pub struct RouteBook {
    owner: OwnerId,
    ingress: Option<Arc<dyn Ingress>>,
    pending: Mutex<Pending>,
    flushed: tokio::sync::Mutex<Flushed>,
    seen: tokio::sync::Mutex<Option<Arc<Seen>>>,
}

/// What a planner saw of an app's routes, and when the look began.
#[derive(Debug, Clone, Copy)]
pub struct SeenShare<'a> {
    /// What it saw; nothing where it did not see the table.
    pub share: Option<&'a AppRoutes>,
    /// When, by the counter.
    pub epoch: u64,
}

/// Whether who was in no table that its planner saw may go; not so where another says something else of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It may.
    Given,
    /// It was told since.
    ToldSince,
    /// It was told before, and nobody knows whether it will land.
    InDoubt,
}

/// A table is being told, and who looks meanwhile may see the one before; over when dropped, for whoever waits for it may
/// give up.
struct Telling<'b> {
    book: &'b RouteBook,
    counter: &'b Epoch,
    taken: bool,
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let now = self.counter.next();
        let mut pending = self.book.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.told.until = now;
        if self.taken {
            pending.taken = pending.told.as_shares();
            pending.doubted.clear();
        } else if !planted(Bug::TellsWhatWasNotTaken) {
            pending.take_back();
        }
    }
}

struct Flushed {
    turn: u64,
    generation: TableGeneration,
    outcome: StepOutcome,
}

struct Seen {
    epoch: u64,
    sight: Result<Index, String>,
}

impl RouteBook {
    /// A book over an ingress; without one every app's routes are seen as empty.
    #[must_use]
    pub fn new(owner: OwnerId, ingress: Option<Arc<dyn Ingress>>, generation: TableGeneration) -> Self {
        let flushed = Flushed { turn: 0, generation, outcome: StepOutcome::AlreadyTrue };
        Self {
            owner,
            ingress,
            pending: Mutex::default(),
            flushed: tokio::sync::Mutex::new(flushed),
            seen: tokio::sync::Mutex::new(None),
        }
    }

    /// What the ingress does for an app, not older than `epoch`; and when the look began.
    pub async fn sight(&self, app: &AppName, epoch: u64, counter: &Epoch) -> (RouteSight, u64) {
        let Some(ingress) = &self.ingress else {
            return (RouteSight::Seen(RouteSeen { share: AppRoutes::none(app), in_flight: BTreeMap::new() }), epoch);
        };
        let seen = self.look(ingress.as_ref(), epoch, counter).await;
        let sight = match &seen.sight {
            Err(why) => RouteSight::Unknown(Doubt::TargetDark(why.clone())),
            Ok(index) => RouteSight::Seen(RouteSeen { share: index.share(app), in_flight: index.in_flight(app) }),
        };
        (sight, seen.epoch)
    }

    /// Who holds a route in the live table, other than `app`.
    pub async fn holder(&self, app: &AppName, host: &str, path: &str) -> Option<AppName> {
        let seen = self.seen.lock().await.clone()?;
        let index = seen.sight.as_ref().ok()?;
        let others = index.shares.iter().filter(|share| share.app != *app);
        let mut holders = others.filter(|share| {
            share.entries.iter().any(|entry| entry.host == host && entry.path == path && !entry.backends.is_empty())
        });
        holders.next().map(|share| share.app.clone())
    }

    /// The apps that the live table names, as far as it is seen.
    pub async fn apps(&self, epoch: u64, counter: &Epoch) -> Vec<AppName> {
        let Some(ingress) = &self.ingress else { return Vec::new() };
        let seen = self.look(ingress.as_ref(), epoch, counter).await;
        let shares = seen.sight.as_ref().map(|index| index.shares.as_slice()).unwrap_or_default();
        shares.iter().map(|share| share.app.clone()).collect()
    }

    /// Who goes was not in the table that its planner saw: nor shall it be in the next, though an ingress that forgot its
    /// table is told all of the others again.
    #[must_use]
    pub fn withdraw(&self, share: &AppRoutes, epoch: u64) -> Leave {
        let mut pending = self.pending.lock().expect("no holder of the book panics");
        let seen = SeenShare { share: Some(share), epoch };
        if pending.told.outdates(&share.app, seen) && !planted(Bug::StopsWhatCameBack) {
            return Leave::ToldSince;
        }
        if pending.may_bring_back(share) && !planted(Bug::ForgetsWhatMayLand) {
            return Leave::InDoubt;
        }
        put(&mut pending.shares, share);
        put(&mut pending.taken, share);
        Leave::Given
    }

    /// Tells the ingress once more what it is to have: once it took that, nothing older can land.
    pub async fn settle(&self, counter: &Epoch) {
        let Some(ingress) = &self.ingress else { return };
        let turn = self.pending.lock().expect("no holder of the book panics").next_turn();
        // Whoever asks looks again, and sees what came of it.
        let _ = self.told_by(turn, ingress.as_ref(), counter).await;
    }

    async fn look(&self, ingress: &dyn Ingress, epoch: u64, counter: &Epoch) -> Arc<Seen> {
        let mut last = self.seen.lock().await;
        if let Some(seen) = last.as_ref().filter(|seen| seen.epoch >= epoch) {
            return Arc::clone(seen);
        }
        let began = counter.current();
        let sight = match tokio::time::timeout(INGRESS_TIMEOUT, ingress.observe()).await {
            Ok(Ok(sight)) => Ok(self.learn(sight)),
            Ok(Err(error)) => Err(format!("the ingress: {error}")),
            Err(_) => Err(format!("the ingress gave no answer in {} s", INGRESS_TIMEOUT.as_secs())),
        };
        let seen = Arc::new(Seen { epoch: began, sight });
        *last = Some(Arc::clone(&seen));
        seen
    }

    /// Takes over the shares of a table that was found, the first time one is seen.
    fn learn(&self, sight: TableSight) -> Index {
        let mut pending = self.pending.lock().expect("no holder of the book panics");
        if pending.told.until != u64::MAX {
            pending.found(&sight.table);
        }
        let mut shares = sight.table.apps;
        // What another wrote need not keep the order.
        shares.sort_by(|one, other| one.app.cmp(&other.app));
        if !pending.known {
            pending.known = true;
            for share in shares.iter().filter(|_| !planted(Bug::ForgetsOthersRoutes)) {
                pending.shares.entry(share.app.clone()).or_insert_with(|| Arc::clone(share));
                pending.taken.insert(share.app.clone(), Arc::clone(share));
            }
        }
        Index { shares, in_flight: sight.in_flight.into_iter().collect() }
    }

    /// Makes an app's share true, with whatever else is waiting.
    ///
    /// Not where it rests on a table that is no longer so: another app's has brought back since what an ingress forgot.
    pub async fn apply(&self, share: &AppRoutes, seen: SeenShare<'_>, counter: &Epoch) -> StepOutcome {
        let Some(ingress) = &self.ingress else {
            return StepOutcome::Refused { why: Refusal::NotServed("a route".to_owned()) };
        };
        let turn = {
            let mut pending = self.pending.lock().expect("no holder of the book panics");
            if !pending.known {
                let why = "the ingress has not been seen yet".to_owned();
                return StepOutcome::Retry { after: COALESCE, why };
            }
            if pending.told.outdates(&share.app, seen) {
                let why = "its routes have come back since they were seen".to_owned();
                return StepOutcome::Unknown { why: Doubt::OutcomeUnknown(why) };
            }
            put(&mut pending.shares, share);
            pending.next_turn()
        };
        self.told_by(turn, ingress.as_ref(), counter).await
    }

    /// What came of the table that tells what was asked for at this turn; tells it, unless one was told since.
    async fn told_by(&self, turn: u64, ingress: &dyn Ingress, counter: &Epoch) -> StepOutcome {
        let mut flushed = self.flushed.lock().await;
        if flushed.turn < turn {
            if self.pending.lock().expect("no holder of the book panics").thrown >= turn {
                let why = "the table before it was not taken".to_owned();
                return StepOutcome::Retry { after: COALESCE, why };
            }
            tokio::time::sleep(COALESCE).await;
            let mut telling = Telling { book: self, counter, taken: false };
            self.flush(ingress, &mut flushed).await;
            telling.taken = matches!(flushed.outcome, StepOutcome::Done | StepOutcome::AlreadyTrue);
            drop(telling);
        }
        flushed.outcome.clone()
    }

    async fn flush(&self, ingress: &dyn Ingress, flushed: &mut Flushed) {
        let in_doubt = !self.pending.lock().expect("no holder of the book panics").doubted.is_empty();
        if in_doubt {
            // What it has is not known: it is asked before it is told anything else.
            self.find(ingress, flushed).await;
        }
        // A second try with the found number, when the live table is newer than ours.
        for _ in 0..2 {
            let (apps, turn, generation) = {
                let mut pending = self.pending.lock().expect("no holder of the book panics");
                // A number that memory forgot is not given to another table.
                let forgets = planted(Bug::ReusesTableNumber) || planted(Bug::RestartsTableNumbers);
                let found = if forgets { flushed.generation } else { pending.found };
                let generation = flushed.generation.max(found).next();
                let apps: Vec<_> = pending.shares.values().cloned().collect();
                pending.told = Told { shares: apps.clone(), generation, until: u64::MAX };
                (apps, pending.turn, generation)
            };
            let table = RouteTable { owner: self.owner.clone(), generation, apps };
            let applied = tokio::time::timeout(INGRESS_TIMEOUT, ingress.apply(&table)).await;
            let outcome = applied.unwrap_or_else(|_| StepOutcome::Unknown {
                why: Doubt::OutcomeUnknown("the ingress gave no answer".to_owned()),
            });
            flushed.turn = turn;
            flushed.generation = generation;
            let superseded = outcome == StepOutcome::Refused { why: Refusal::Superseded };
            flushed.outcome = outcome;
            if !superseded || planted(Bug::RestartsTableNumbers) {
                return;
            }
            // Be it that this one was taken, and the answer is another's.
            self.pending.lock().expect("no holder of the book panics").doubt();
            self.find(ingress, flushed).await;
        }
    }

    /// Finds the number of the live table, and whether it is the one that was in doubt.
    async fn find(&self, ingress: &dyn Ingress, flushed: &mut Flushed) {
        let Ok(Ok(sight)) = tokio::time::timeout(INGRESS_TIMEOUT, ingress.observe()).await else { return };
        flushed.generation = sight.table.generation.max(flushed.generation);
        self.pending.lock().expect("no holder of the book panics").found(&sight.table);
    }

    /// The number of the last table.
    pub async fn generation(&self) -> TableGeneration {
        self.flushed.lock().await.generation
    }
}
