//! The platform's proxy as an ingress: a route table says who is registered with it.
//!
//! ```text
//!  table names it with a weight ──► uncordon ──► (propagation) ──► it is seen as routed
//!  table does not               ──► cordon   ──► (propagation) ──► it is seen as gone
//! ```
//!
//! A table takes effect at once, says its seam; the proxy's edges hear of each change seconds later, and at their own
//! pace. So what is new is registered first, and what is to go stays until everything new is known everywhere: at no moment
//! is there an edge that knows nobody. What is observed is what machines say, and when they were told; the table itself
//! lies in our folder, and where that is lost it is read again from what the machines carry.
//!
//! The proxy cannot weigh: who is registered gets requests, who is on standby gets none, but where nobody else is left that
//! would answer (`standby`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;
use trueup_seams::{BoxFuture, Ingress, Nudge, ObserveError};
use trueup_types::route::{AppRoutes, Backend, RouteEntry, RouteTable, TableSight};
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::{AppName, InstanceId};

use crate::addresses::Reach;
use crate::book::{AppBook, Deed, Known};
use crate::client::{Call, encoded};
use crate::fault::{Fault, RETRY_AFTER, underway};
use crate::memory::Told;
use crate::runtime::{FlyRuntime, Inner};

/// Machines told at a time.
const TOLD_MAX: usize = 8;
/// Longest that one call may take: the driver waits ten seconds for a table.
const CALL: Duration = Duration::from_secs(7);

impl Ingress for FlyRuntime {
    fn observe(&self) -> BoxFuture<'_, Result<TableSight, ObserveError>> {
        Box::pin(self.inner.observe())
    }

    fn apply<'a>(&'a self, table: &'a RouteTable) -> BoxFuture<'a, StepOutcome> {
        Box::pin(self.inner.route(table))
    }
}

/// How a machine stands with the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Every edge knows it.
    Known,
    /// It was registered, and not every edge has heard; so long until all have.
    Coming(Duration),
    /// It was taken out, and some edges may still send it requests.
    Leaving,
    /// Nobody sends it anything.
    Unknown,
}

impl Inner {
    async fn observe(self: &Arc<Self>) -> Result<TableSight, ObserveError> {
        if self.books().values().all(|book| book.read.is_none()) {
            self.look_around().await.map_err(|detail| ObserveError { detail })?;
        }
        let (generation, shares) = self.memory.look(|kept| (kept.generation, kept.shares.clone()));
        let mut apps: BTreeMap<AppName, Vec<Known>> = BTreeMap::new();
        for known in self.books().values().flat_map(AppBook::shown) {
            apps.entry(known.written.id.app.clone()).or_default().push(known.clone());
        }
        let mut seen: BTreeMap<AppName, Arc<AppRoutes>> = BTreeMap::new();
        for share in &shares {
            let machines = apps.remove(&share.app).unwrap_or_default();
            seen.insert(share.app.clone(), Arc::new(self.seen_share(share, &machines)));
        }
        for (app, machines) in apps {
            let share = self.unremembered(&app, &machines);
            if !share.entries.is_empty() {
                seen.insert(app, Arc::new(share));
            }
        }
        let table = RouteTable { owner: self.mine.owner.clone(), generation, apps: seen.into_values().collect() };
        Ok(TableSight { table, in_flight: Vec::new() })
    }

    /// What of an app's share is so.
    fn seen_share(&self, share: &AppRoutes, machines: &[Known]) -> AppRoutes {
        let by_id: BTreeMap<&InstanceId, &Known> = machines.iter().map(|known| (&known.written.id, known)).collect();
        let entry = |entry: &RouteEntry| {
            let so = |backend: &&Backend| {
                let Some(known) = by_id.get(&backend.instance) else { return false };
                let standing = self.standing(known);
                if backend.weight > 0 { standing == Standing::Known } else { true }
            };
            let mut backends: Vec<_> = entry.backends.iter().filter(so).cloned().collect();
            let told = |id: &InstanceId| entry.backends.iter().any(|backend| backend.instance == *id);
            backends.extend(
                machines.iter().filter(|known| !told(&known.written.id)).filter_map(|known| self.lingers(known)),
            );
            RouteEntry { backends, ..entry.clone() }
        };
        AppRoutes { app: share.app.clone(), entries: share.entries.iter().map(entry).collect() }
    }

    /// The share of an app that no table of ours names: what its machines carry, for those that are registered.
    fn unremembered(&self, app: &AppName, machines: &[Known]) -> AppRoutes {
        let mut entries: Vec<RouteEntry> = Vec::new();
        for known in machines {
            let Some(backend) = self.lingers(known) else { continue };
            let one = self.sighting(known);
            let routes = one.template.as_ref().map(|release| release.exposure.routes.clone()).unwrap_or_default();
            for route in routes {
                let address = one.addresses.get(&route.port).copied();
                let backend = Backend { address, ..backend.clone() };
                match entries.iter_mut().find(|entry| entry.host == route.host && entry.path == route.path) {
                    Some(entry) => entry.backends.push(backend),
                    None => entries.push(RouteEntry { host: route.host, path: route.path, backends: vec![backend] }),
                }
            }
        }
        for entry in &mut entries {
            entry.backends.sort_by(|one, other| one.instance.cmp(&other.instance));
        }
        AppRoutes { app: app.clone(), entries }
    }

    /// A machine that no table names and that may get requests all the same.
    fn lingers(&self, known: &Known) -> Option<Backend> {
        let weight = match self.standing(known) {
            Standing::Known => 1,
            Standing::Coming(_) | Standing::Leaving => 0,
            Standing::Unknown => return None,
        };
        let address = self.sighting(known).addresses.values().next().copied();
        Some(Backend { instance: known.written.id.clone(), address, weight })
    }

    fn standing(&self, known: &Known) -> Standing {
        let told = self.memory.look(|kept| kept.told.get(&known.machine.id).copied());
        let now = (self.clocks.wall)();
        let left = |told: Told| told.at.after(self.propagation).0.saturating_sub(now.0);
        let left = told.map_or(0, left);
        let gone = known.ghost || known.machine.is_going();
        match registered(known, told) {
            _ if gone => Standing::Unknown,
            true if told.is_some_and(|told| told.registered) && left > 0 => {
                Standing::Coming(Duration::from_millis(left))
            }
            true => Standing::Known,
            false if told.is_some_and(|told| !told.registered) && left > 0 => Standing::Leaving,
            false => Standing::Unknown,
        }
    }

    /// Makes a table true.
    async fn route(self: &Arc<Self>, table: &RouteTable) -> StepOutcome {
        let _routing = self.routing.lock().await;
        if table.owner != self.mine.owner {
            return StepOutcome::Refused { why: Refusal::Foreign };
        }
        let shares: Vec<AppRoutes> = table.apps.iter().map(|share| AppRoutes::clone(share)).collect();
        let (known, same) = self.memory.look(|kept| (kept.generation, kept.shares == shares));
        if table.generation < known || (table.generation == known && !same) {
            return StepOutcome::Refused { why: Refusal::Superseded };
        }
        let written = self.memory.change(|kept| {
            kept.generation = table.generation;
            kept.shares.clone_from(&shares);
        });
        if let Err(error) = written {
            let why = format!("the table cannot be written: {error}");
            return StepOutcome::Retry { after: RETRY_AFTER, why };
        }
        let mut outcome = if same { StepOutcome::AlreadyTrue } else { StepOutcome::Done };
        for (app, wanted) in self.wanted(&shares) {
            let routed = self.route_app(&app, &wanted).await;
            // One app's trouble is not another's; the first is told.
            if outcome.settled() && routed != StepOutcome::AlreadyTrue {
                outcome = routed;
            }
        }
        outcome
    }

    /// Which instances of which apps are to get requests: of all that are there, those that no table names too.
    fn wanted(&self, shares: &[AppRoutes]) -> BTreeMap<AppName, BTreeSet<InstanceId>> {
        let mut wanted: BTreeMap<AppName, BTreeSet<InstanceId>> = BTreeMap::new();
        for known in self.books().values().flat_map(AppBook::shown) {
            wanted.entry(known.written.id.app.clone()).or_default();
        }
        for share in shares {
            wanted.entry(share.app.clone()).or_default().extend(self.to_be_asked(share));
        }
        wanted
    }

    /// By whom an app is reached, as the table has it.
    pub(crate) fn reach_of(&self, app: &AppName) -> Reach {
        self.memory.look(|kept| {
            let shares = kept.shares.iter().filter(|share| share.app == *app);
            Reach::of(shares.flat_map(|share| &share.entries).map(|entry| entry.host.as_str()))
        })
    }

    pub(crate) async fn route_app(self: &Arc<Self>, app: &AppName, wanted: &BTreeSet<InstanceId>) -> StepOutcome {
        let what = format!("route {app}");
        let fly = match self.home(app).await {
            Ok(Some(fly)) => fly,
            Ok(None) if wanted.is_empty() => return StepOutcome::AlreadyTrue,
            Ok(None) => return not_there(app.as_str()),
            Err(fault) => return fault.outcome(&what),
        };
        let machines: Vec<Known> = self.book(&fly, |book| book.shown().cloned().collect());
        let of_app = machines.into_iter().filter(|known| known.written.id.app == *app && !known.ghost);
        let (named, others): (Vec<_>, Vec<_>) = of_app.partition(|known| wanted.contains(&known.written.id));
        let coming: Vec<_> = named.iter().filter(|known| !self.is_registered(known)).cloned().collect();
        if let Err(fault) = self.keep_addresses(&fly, self.reach_of(app)).await {
            return fault.outcome(&what);
        }
        if let Err(why) = self.wake(&fly, &named).await {
            return why.outcome(&what);
        }
        if let Err(fault) = self.tell(&fly, &coming, true).await {
            return fault.outcome(&what);
        }
        if let Some(missing) = wanted.iter().find(|id| !named.iter().any(|known| known.written.id == **id)) {
            return not_there(&missing.to_string());
        }
        // Nobody can tell a host that is not reached, and the proxy sends nothing there.
        let going: Vec<_> =
            others.into_iter().filter(|known| self.is_registered(known) && known.machine.reached()).collect();
        if !going.is_empty()
            && let Some(wait) = self.until_known(&fly, &named).or_else(|| self.until_up(&named))
        {
            let why = format!("{what}: the proxy has not heard of all that are new");
            return if coming.is_empty() { underway(wait, why) } else { StepOutcome::Done };
        }
        match self.tell(&fly, &going, false).await {
            Err(fault) => fault.outcome(&what),
            Ok(()) if coming.is_empty() && going.is_empty() => StepOutcome::AlreadyTrue,
            Ok(()) => StepOutcome::Done,
        }
    }

    /// How long until every edge knows all of these.
    fn until_known(&self, fly: &str, named: &[Known]) -> Option<Duration> {
        let current = |known: &Known| self.book(fly, |book| book.machines.get(&known.machine.id).cloned());
        let waits = named.iter().filter_map(current).filter_map(|known| match self.standing(&known) {
            Standing::Coming(wait) => Some(wait),
            Standing::Known | Standing::Leaving | Standing::Unknown => None,
        });
        waits.max()
    }

    /// How long until it is worth another look whether those have got up that were stopped by us.
    fn until_up(&self, named: &[Known]) -> Option<Duration> {
        named.iter().any(|known| self.gets_up(known)).then_some(RETRY_AFTER)
    }

    /// Registers machines with the proxy, or takes them out.
    async fn tell(self: &Arc<Self>, fly: &str, machines: &[Known], register: bool) -> Result<(), Fault> {
        let telling: Vec<_> = machines.iter().map(|known| self.tell_one(fly, known, register)).collect();
        let told: Vec<_> = futures_util::stream::iter(telling).buffered(TOLD_MAX).collect().await;
        if !machines.is_empty() {
            self.ring_when_heard(machines[0].written.id.app.clone());
        }
        told.into_iter().collect()
    }

    async fn tell_one(&self, fly: &str, known: &Known, register: bool) -> Result<(), Fault> {
        let id = &known.machine.id;
        let (action, verb) = if register { ("Machines_uncordon", "uncordon") } else { ("Machines_cordon", "cordon") };
        let path = format!("/v1/apps/{}/machines/{}/{verb}", encoded(fly), encoded(id));
        let answered = self.client.tell(Call::post(action, id, path).within(CALL)).await;
        answered.inspect_err(|_| self.doubt(fly))?;
        let told = Told { registered: register, at: (self.clocks.wall)() };
        if let Err(error) = self.memory.change(|kept| kept.told.insert(id.clone(), told)) {
            return Err(Fault::Unsent(format!("its folder cannot be written: {error}")));
        }
        self.book(fly, |book| {
            if let Some(known) = book.machines.get_mut(id) {
                known.machine.cordoned = Some(!register);
                known.deed = Some((Deed::Told(register), Instant::now()));
            }
        });
        Ok(())
    }

    /// Has the app looked at again once every edge has heard.
    fn ring_when_heard(self: &Arc<Self>, app: AppName) {
        let inner = Arc::clone(self);
        self.handle.spawn(async move {
            tokio::time::sleep(inner.propagation).await;
            if let Some(sink) = inner.sink.get() {
                sink(Nudge::App(app));
            }
        });
    }

    /// Whether some edge of the proxy may send it requests.
    pub(crate) fn may_be_asked(&self, known: &Known) -> bool {
        self.standing(known) != Standing::Unknown
    }

    /// Whether every edge of the proxy knows it.
    pub(crate) fn is_known(&self, known: &Known) -> bool {
        self.standing(known) == Standing::Known
    }

    pub(crate) fn is_registered(&self, known: &Known) -> bool {
        registered(known, self.memory.look(|kept| kept.told.get(&known.machine.id).copied()))
    }
}

/// Whether a machine is registered; where it does not say, what it was told last.
fn registered(known: &Known, told: Option<Told>) -> bool {
    match known.machine.cordoned {
        Some(cordoned) => !cordoned,
        None => told.is_some_and(|told| told.registered),
    }
}

fn not_there(what: &str) -> StepOutcome {
    underway(RETRY_AFTER, format!("{what} is not there yet"))
}
