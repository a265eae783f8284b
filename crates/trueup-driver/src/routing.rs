//! Which ingress hears of which app: a platform's own for what lives on it, the house's for everything else.
//!
//! Each ingress has a [`RouteBook`] of its own, with its own generations. An app has one share all the same: what it has
//! in several books while it moves is shown as one, and told to each book as far as its instances are there. An app that
//! lives where the house routes never asks a platform, nor the other way round.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use trueup_seams::Ingress;
use trueup_types::exposure::Route;
use trueup_types::observed::RouteSeen;
use trueup_types::route::{AppRoutes, Backend, RouteEntry};
use trueup_types::step::{InstanceStep, Step, StepAction, TargetStep};
use trueup_types::{AppName, InstanceId, OwnerId, RouteSight, StepOutcome, TableGeneration, TargetName};

use crate::route_book::{Leave, RouteBook, SeenShare};
use crate::survey::Epoch;

/// The route books of all ingresses.
pub(crate) struct Routing {
    owner: OwnerId,
    house: Arc<RouteBook>,
    own: Mutex<BTreeMap<TargetName, Arc<RouteBook>>>,
}

/// What a planner saw of an app's routes, book by book.
#[derive(Debug, Default)]
pub(crate) struct SeenBooks {
    books: Vec<SeenBook>,
}

/// One book, with what was seen in it, and when the look began.
#[derive(Debug)]
struct SeenBook {
    /// Whose; the house's where there is none.
    target: Option<TargetName>,
    share: Option<AppRoutes>,
    epoch: u64,
}

impl Routing {
    pub(crate) fn new(owner: OwnerId, ingress: Option<Arc<dyn Ingress>>, generation: TableGeneration) -> Self {
        let house = Arc::new(RouteBook::new(owner.clone(), ingress, generation));
        Self { owner, house, own: Mutex::default() }
    }

    /// Takes over the ingress of a target that has its own; one that it had before is forgotten, and its table found again.
    pub(crate) fn reaches(&self, target: &TargetName, ingress: Option<Arc<dyn Ingress>>) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        match ingress {
            // Its numbers go on from those of the table that is found there.
            Some(ingress) => {
                let book = RouteBook::new(self.owner.clone(), Some(ingress), TableGeneration::default());
                own.insert(target.clone(), Arc::new(book));
            }
            None => drop(own.remove(target)),
        }
    }

    /// The book that a target's instances are in.
    fn of(&self, target: &TargetName) -> Option<Arc<RouteBook>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).get(target).cloned()
    }

    fn book(&self, target: Option<&TargetName>) -> Arc<RouteBook> {
        target.and_then(|target| self.of(target)).unwrap_or_else(|| Arc::clone(&self.house))
    }

    /// What the ingresses of an app's homes do for it, not older than `epoch`; and what is to be known to tell them more.
    ///
    /// Where it is meant to live comes first: what has no backend anywhere is in that book.
    pub(crate) async fn sight(
        &self,
        app: &AppName,
        homes: impl IntoIterator<Item = &TargetName>,
        epoch: u64,
        counter: &Epoch,
    ) -> (RouteSight, SeenBooks) {
        let mut targets: Vec<Option<TargetName>> = Vec::new();
        for home in homes {
            let target = self.of(home).map(|_| home.clone());
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        if targets.is_empty() {
            targets.push(None);
        }
        let (mut whole, mut books) = (None, Vec::new());
        for target in targets {
            let (sight, began) = self.book(target.as_ref()).sight(app, epoch, counter).await;
            let share = match &sight {
                RouteSight::Seen(seen) => Some(seen.share.clone()),
                RouteSight::Unknown(_) => None,
            };
            books.push(SeenBook { target, share, epoch: began });
            whole = Some(whole.map_or_else(|| sight.clone(), |whole| together(whole, sight.clone())));
        }
        let none = || RouteSight::Seen(RouteSeen { share: AppRoutes::none(app), in_flight: BTreeMap::new() });
        (whole.unwrap_or_else(none), SeenBooks { books })
    }

    /// Who holds a way in at a target, other than `app`, as far as its table is seen.
    pub(crate) async fn holder(&self, target: &TargetName, app: &AppName, route: &Route) -> Option<AppName> {
        self.book(Some(target)).holder(app, &route.host, &route.path).await
    }

    /// The apps that any live table names, as far as it is seen.
    pub(crate) async fn apps(&self, epoch: u64, counter: &Epoch) -> BTreeSet<AppName> {
        let own: Vec<_> = self.own.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let mut apps = BTreeSet::new();
        for book in std::iter::once(&self.house).chain(&own) {
            apps.extend(book.apps(epoch, counter).await);
        }
        apps
    }

    /// Whether who is in none of the tables that were seen may go; see [`RouteBook::withdraw`]. Where one is in doubt its
    /// ingress is told again, so that nobody need be at the next look.
    pub(crate) async fn withdraw(&self, seen: &SeenBooks, counter: &Epoch) -> bool {
        for one in &seen.books {
            let Some(share) = &one.share else { continue };
            let book = self.book(one.target.as_ref());
            match book.withdraw(share, one.epoch) {
                Leave::Given => {}
                Leave::ToldSince => return false,
                Leave::InDoubt => {
                    book.settle(counter).await;
                    return false;
                }
            }
        }
        true
    }

    /// Makes an app's share true in each book that was looked into; `lives` says on which target an instance is.
    ///
    /// Where several are to be told, those that send more to somebody hear first, and the others only when that was seen:
    /// between two ingresses nothing is taken away before it was given elsewhere.
    pub(crate) async fn apply(
        &self,
        share: &AppRoutes,
        seen: &SeenBooks,
        lives: impl Fn(&InstanceId) -> Option<TargetName>,
        counter: &Epoch,
    ) -> StepOutcome {
        if let [only] = &seen.books[..] {
            return self.tell(only, share, counter).await;
        }
        let lives = |instance: &InstanceId| Some(lives(instance)?).map(|target| self.of(&target).map(|_| target));
        let parts = parted(share, &seen.books, lives);
        let differs =
            |book: &SeenBook, part: &AppRoutes| book.share.as_ref().is_none_or(|seen| seen.entries != part.entries);
        let told: Vec<_> = seen.books.iter().zip(&parts).filter(|(book, part)| differs(book, part)).collect();
        let gaining: Vec<_> = told.iter().filter(|(book, part)| gains(book, part)).copied().collect();
        let mut all = StepOutcome::AlreadyTrue;
        for (book, part) in if gaining.is_empty() { told } else { gaining } {
            match self.tell(book, part, counter).await {
                StepOutcome::AlreadyTrue => {}
                StepOutcome::Done => all = StepOutcome::Done,
                unsettled @ (StepOutcome::Underway { .. }
                | StepOutcome::Retry { .. }
                | StepOutcome::Refused { .. }
                | StepOutcome::Unknown { .. }) => return unsettled,
            }
        }
        all
    }

    async fn tell(&self, book: &SeenBook, share: &AppRoutes, counter: &Epoch) -> StepOutcome {
        let seen = SeenShare { share: book.share.as_ref(), epoch: book.epoch };
        self.book(book.target.as_ref()).apply(share, seen, counter).await
    }

    /// The number of the house's last table.
    pub(crate) async fn generation(&self) -> TableGeneration {
        self.house.generation().await
    }
}

/// Whether something is to go, and the table as it was seen is left as it is.
pub(crate) fn goes_unrouted(steps: &[Step]) -> bool {
    let goes = |step: &Step| match &step.action {
        StepAction::Target { step: TargetStep::Instance(step), .. } => {
            matches!(step, InstanceStep::Stop { .. } | InstanceStep::Remove { .. })
        }
        StepAction::Route { .. } => false,
    };
    let routes = |step: &Step| matches!(step.action, StepAction::Route { .. });
    steps.iter().any(goes) && !steps.iter().any(routes)
}

/// Two sights of one app as one: what any book does not show, nobody knows.
pub(crate) fn together(one: RouteSight, other: RouteSight) -> RouteSight {
    let (mut one, other) = match (one, other) {
        (RouteSight::Seen(one), RouteSight::Seen(other)) => (one, other),
        (RouteSight::Unknown(why), _) | (RouteSight::Seen(_), RouteSight::Unknown(why)) => {
            return RouteSight::Unknown(why);
        }
    };
    for entry in other.share.entries {
        let same = |known: &&mut RouteEntry| known.host == entry.host && known.path == entry.path;
        match one.share.entries.iter_mut().find(same) {
            Some(known) => {
                known.backends.extend(entry.backends);
                known.backends.sort_by(in_order);
            }
            None => one.share.entries.push(entry),
        }
    }
    for (instance, count) in other.in_flight {
        *one.in_flight.entry(instance).or_default() += count;
    }
    RouteSight::Seen(one)
}

/// The order of a share's backends: by name, those on standby last.
fn in_order(one: &Backend, other: &Backend) -> std::cmp::Ordering {
    (one.weight == 0, &one.instance).cmp(&(other.weight == 0, &other.instance))
}

/// Whether a book is to send something to one that it sends nothing to now.
fn gains(book: &SeenBook, part: &AppRoutes) -> bool {
    let routed = part.entries.iter().flat_map(|entry| &entry.backends).filter(|backend| backend.weight > 0);
    let now = |instance: &InstanceId| book.share.as_ref().is_some_and(|seen| seen.routes_to(instance));
    routed.into_iter().any(|backend| !now(&backend.instance))
}

/// A share, parted among the books: each gets the ways in with the backends that are its own. The first, where the app is
/// meant to live, gets ways in without any, too; the others only what leads to somebody.
///
/// One that nobody has seen is left in the book that has it.
fn parted(
    share: &AppRoutes,
    books: &[SeenBook],
    lives: impl Fn(&InstanceId) -> Option<Option<TargetName>>,
) -> Vec<AppRoutes> {
    let lists = |book: &SeenBook, instance: &InstanceId| book.share.as_ref().is_some_and(|share| share.lists(instance));
    let book_of = |instance: &InstanceId| {
        let found = || books.iter().find(|book| lists(book, instance)).or(books.first());
        lives(instance).unwrap_or_else(|| found().and_then(|book| book.target.clone()))
    };
    let part = |(index, book): (usize, &SeenBook)| {
        let ours = |backend: &&Backend| book_of(&backend.instance) == book.target;
        let entry = |entry: &RouteEntry| RouteEntry {
            backends: entry.backends.iter().filter(ours).cloned().collect(),
            ..entry.clone()
        };
        let entries = share.entries.iter().map(entry);
        let kept = entries.filter(|entry| index == 0 || !entry.backends.is_empty());
        AppRoutes { app: share.app.clone(), entries: kept.collect() }
    };
    books.iter().enumerate().map(part).collect()
}
