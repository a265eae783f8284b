//! The world itself: targets with instances, one live route table, and what happened so far.
//!
//! Everything here is synchronous and under one lock; the traits over it are in `runtime` and `ingress`. The laws that
//! concern effects are checked as each effect lands, by [`crate::laws`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use trueup_driver::probe_book::EAGER;
use trueup_seams::{Nudge, NudgeSink};
use trueup_types::observed::{ExitWhy, Incarnation, Phase, Sighting};
use trueup_types::route::RouteTable;
use trueup_types::step::InstanceStep;
use trueup_types::{
    AppName, InstanceId, Ordinal, OwnerId, Place, Release, Revision, TableGeneration, TargetName, Timestamp,
};

use crate::behaviour::Behaviour;
use crate::clock::SimClock;
use crate::faults::Faults;
use crate::ignorance::Ignorance;
use crate::laws::Wants;
use crate::shapes::Shapes;

/// A world that the traits' implementations share.
#[derive(Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
    /// Its time.
    pub clock: SimClock,
    /// Told of each effect.
    pub changed: Arc<Notify>,
}

/// What is in the world.
pub struct State {
    /// By target, then by name; other owners' things lie beside ours.
    pub instances: BTreeMap<TargetName, BTreeMap<InstanceId, SimInstance>>,
    /// The live route table.
    pub table: RouteTable,
    /// Requests in flight, by instance, as a test sets them.
    pub in_flight: BTreeMap<InstanceId, u32>,
    /// What goes wrong.
    pub faults: Faults,
    /// Targets that do not answer.
    pub dark: BTreeSet<TargetName>,
    /// Whether the ingress answers.
    pub ingress_dark: bool,
    /// Every effect, in order: `+1200ms create web-r1-0`.
    pub journal: Vec<String>,
    /// Laws that an effect broke.
    pub violations: Vec<String>,
    /// Apps whose capacity may fall: gone, scaled to 0, recreate.
    pub exempt: BTreeSet<AppName>,
    pub(crate) port_next: u16,
    pub(crate) life_next: u64,
    /// Counts of creates and removes by app, for the oracle that compares with an undisturbed run.
    pub creates: BTreeMap<AppName, u32>,
    /// See `creates`.
    pub removes: BTreeMap<AppName, u32>,
    /// Starts of what was there already; see `creates`.
    pub starts: BTreeMap<AppName, u32>,
    /// See `creates`.
    pub stops: BTreeMap<AppName, u32>,
    /// What was done to instances by whoever acts here, in order.
    pub deeds: Vec<Deed>,
    /// What was begun to run a hook.
    pub hooks_begun: BTreeSet<InstanceId>,
    /// What was wanted lately, as whoever keeps the laws was told.
    pub wants: Wants,
    /// What nobody can know.
    pub ignorance: Ignorance,
    /// What the releases are like that were begun.
    pub shapes: Shapes,
    /// Since when what runs has been out of the live table.
    pub unrouted: BTreeMap<InstanceId, Timestamp>,
    pub(crate) sinks: BTreeMap<TargetName, Vec<NudgeSink>>,
}

/// Something that was done to an instance.
#[derive(Debug, Clone)]
pub struct Deed {
    /// What: `create`, `start`, `stop` or `remove`.
    pub verb: &'static str,
    /// To which.
    pub id: InstanceId,
    /// Of which release it was at that moment.
    pub release: Arc<Release>,
}

/// One simulated instance.
#[derive(Debug, Clone)]
pub struct SimInstance {
    /// What it is.
    pub release: Arc<Release>,
    /// Where.
    pub place: Place,
    /// Which life, over the whole world.
    pub life: u64,
    /// How many lives under this name.
    pub lives: u32,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// When this life began.
    pub started: Timestamp,
    /// When this name was created.
    pub created: Timestamp,
    /// How this life ended, and when; a moment ahead is an end to come.
    pub end: Option<(Timestamp, Option<i32>, ExitWhy)>,
    /// When it was told to go.
    pub asked: Option<Timestamp>,
    /// Where it answers.
    pub address: SocketAddr,
    /// Turned bad by a test, and since when.
    pub sick: Option<Timestamp>,
    /// Made well again by a test, and since when.
    pub cured: Option<Timestamp>,
}

/// One that does not pass is asked so many times in as long as that lasts already: the driver's own pace.
const ASKED_PER_AGE: u32 = 20;
/// What lies between a good answer and an act that knows of it: a look and a plan, and a call under way.
const NOTICED_AFTER: Duration = Duration::from_secs(1);

impl SimInstance {
    /// Its phase at `now`.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> Phase {
        if let Some((at, code, why)) = &self.end
            && *at <= now
        {
            return Phase::Exited { code: *code, at: *at, why: why.clone() };
        }
        if self.lives == 0 {
            return Phase::Created;
        }
        match self.asked {
            Some(since) => Phase::Vanishing { since },
            None => Phase::Running { since: self.started },
        }
    }

    /// Whether its life has ended at `now`.
    #[must_use]
    pub fn exited(&self, now: Timestamp) -> bool {
        self.end.as_ref().is_some_and(|(at, ..)| *at <= now)
    }

    /// Whether it runs and would answer a probe well at `now`.
    #[must_use]
    pub fn passing(&self, now: Timestamp) -> bool {
        let up = matches!(self.phase(now), Phase::Running { .. });
        let sick = self.sick.is_some_and(|since| since <= now);
        up && !sick && self.behaviour.healthy_at(now.since(self.started))
    }

    /// Whether it passes at `now`, and has for so long that whoever asks its probes has noticed, be it that the host
    /// `slept` from then to then.
    #[must_use]
    pub fn noticed(&self, now: Timestamp, slept: Option<(Timestamp, Timestamp)>) -> bool {
        let Some(probe) = self.release.template.health.first() else { return self.passing(now) };
        let since = self.started.after(self.behaviour.healthy_after).max(self.cured.unwrap_or(self.started));
        let every = (since.since(self.started) / ASKED_PER_AGE).max(EAGER).min(probe.interval);
        let needs = |every: Duration| every * probe.successes + NOTICED_AFTER;
        // Who fell asleep before it was noticed asks when awake, and as seldom as what has lasted for so long is asked.
        let (since, needs) = match slept {
            Some((from, to)) if since < to && from < since.after(needs(every)) => (to, needs(probe.interval)),
            Some(_) | None => (since, needs(every)),
        };
        self.passing(now) && now.since(since) >= needs
    }

    /// Whether whoever looks at `now` and then may believe that it passes: it does, or did within `lag`.
    ///
    /// One that was told to go is believed no more.
    #[must_use]
    pub fn believed(&self, now: Timestamp, lag: Duration) -> bool {
        if self.asked.is_some() {
            return false;
        }
        let lag = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        let then = Timestamp::from_millis(now.as_millis().saturating_sub(lag)).max(self.started);
        let ends = [self.sick, self.end.as_ref().map(|(at, ..)| *at)];
        let sickens = self.behaviour.sick_after.map(|after| self.started.after(after));
        // It passed at the last moment before whatever ended it, if that lies within the lag.
        let last = ends.into_iter().flatten().chain(sickens).filter(|at| *at <= now).min();
        let last = last.map(|at| Timestamp::from_millis(at.as_millis().saturating_sub(1)));
        self.passing(now) || last.is_some_and(|at| at >= then && self.passing(at))
    }

    /// Its incarnation.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        Incarnation(format!("life-{}", self.life).into())
    }

    /// What a survey says of it.
    #[must_use]
    pub fn sighting(&self, id: &InstanceId, now: Timestamp) -> Sighting {
        let addresses = self.release.template.ports.iter().map(|port| (port.name.clone(), self.address)).collect();
        Sighting {
            id: id.clone(),
            incarnation: self.incarnation(),
            release: self.release.digest,
            place: self.place.clone(),
            phase: self.phase(now),
            addresses,
            checks: None,
            healthcheck: None,
            created: self.created,
            template: Some(Arc::clone(&self.release)),
        }
    }
}

impl World {
    /// An empty world with the target `local`; needs a tokio runtime.
    #[must_use]
    pub fn new(owner: OwnerId) -> Self {
        let state = State {
            instances: BTreeMap::from([(TargetName::local(), BTreeMap::new())]),
            table: RouteTable { owner, generation: TableGeneration(0), apps: Vec::new() },
            in_flight: BTreeMap::new(),
            faults: Faults::default(),
            dark: BTreeSet::new(),
            ingress_dark: false,
            journal: Vec::new(),
            violations: Vec::new(),
            exempt: BTreeSet::new(),
            port_next: 20_000,
            life_next: 1,
            creates: BTreeMap::new(),
            removes: BTreeMap::new(),
            starts: BTreeMap::new(),
            stops: BTreeMap::new(),
            deeds: Vec::new(),
            hooks_begun: BTreeSet::new(),
            wants: Wants::default(),
            ignorance: Ignorance::default(),
            shapes: Shapes::default(),
            unrouted: BTreeMap::new(),
            sinks: BTreeMap::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), clock: SimClock::start(), changed: Arc::default() }
    }

    /// The state, locked; never held across an await.
    ///
    /// # Panics
    /// When a holder panicked.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the world panics")
    }

    /// The moment it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Ends the life of an instance now, as if it had crashed; `None` when it does not run.
    pub fn crash(&self, id: &InstanceId, code: i32) -> Option<()> {
        let now = self.now();
        let mut state = self.lock();
        let instance = state.instances.values_mut().find_map(|target| target.get_mut(id))?;
        if !matches!(instance.phase(now), Phase::Running { .. }) {
            return None;
        }
        instance.end = Some((now, Some(code), ExitWhy::ByItself));
        state.note(now, &format!("crash {id}"));
        drop(state);
        self.changed.notify_one();
        Some(())
    }

    /// Takes an instance away, as a third party would.
    pub fn steal(&self, id: &InstanceId) {
        let now = self.now();
        let mut state = self.lock();
        let taken: Vec<_> = state.instances.values_mut().filter_map(|target| target.remove(id)).collect();
        for one in taken {
            state.ignorance.steal(id, one, now);
        }
        state.note(now, &format!("steal {id}"));
        drop(state);
        self.changed.notify_one();
    }

    /// Makes an instance answer its probes badly from here on, or well again.
    pub fn sicken(&self, id: &InstanceId, sick: bool) {
        let now = self.now();
        let mut state = self.lock();
        for instance in state.instances.values_mut().filter_map(|target| target.get_mut(id)) {
            instance.cured = instance.sick.filter(|_| !sick).map(|_| now);
            instance.sick = sick.then_some(now);
        }
        state.note(now, &format!("{} {id}", if sick { "sicken" } else { "cure" }));
        drop(state);
        self.changed.notify_one();
    }

    /// Hints, to whoever listens to a target, that something of an app may have changed.
    pub fn nudge(&self, target: &TargetName, app: &AppName) {
        let sinks = {
            let mut state = self.lock();
            let times = state.faults.next_nudge(app);
            let sinks = state.sinks.get(target).cloned().unwrap_or_default();
            sinks.iter().flat_map(|sink| std::iter::repeat_n(sink.clone(), times)).collect::<Vec<_>>()
        };
        for sink in sinks {
            sink(Nudge::App(app.clone()));
        }
    }

    /// The instances of one app that run, with their lives, in name order.
    #[must_use]
    pub fn running(&self, app: &AppName) -> Vec<(InstanceId, u64)> {
        let now = self.now();
        let state = self.lock();
        let running = state
            .of_app(app)
            .filter(|(_, instance)| matches!(instance.phase(now), Phase::Running { .. } | Phase::Vanishing { .. }));
        running.map(|(id, instance)| (id.clone(), instance.life)).collect()
    }

    /// The instances that the live table routes one app to.
    #[must_use]
    pub fn routed(&self, app: &AppName) -> BTreeSet<InstanceId> {
        let state = self.lock();
        let share = state.table.apps.iter().filter(|share| share.app == *app);
        let backends = share.flat_map(|share| &share.entries).flat_map(|entry| &entry.backends);
        backends.filter(|backend| backend.weight > 0).map(|backend| backend.instance.clone()).collect()
    }
}

impl State {
    /// The instances of one app, on all targets.
    /// The instances of an app that serve.
    pub(crate) fn of_app<'s>(&'s self, app: &'s AppName) -> impl Iterator<Item = (&'s InstanceId, &'s SimInstance)> {
        let first = InstanceId::new(app, Revision(0), Ordinal(0));
        let targets = self.instances.values();
        let ours = targets.flat_map(move |target| target.range(first.clone()..).take_while(|(id, _)| id.app == *app));
        ours.filter(|(id, _)| id.task.is_none())
    }

    pub(crate) fn address_next(&mut self) -> SocketAddr {
        let port = self.port_next;
        self.port_next = if port == 29_999 { 20_000 } else { port + 1 };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// Writes down laws that were broken, among the effects too.
    pub(crate) fn broken(&mut self, now: Timestamp, laws: impl IntoIterator<Item = String>) {
        for law in laws {
            self.note(now, &format!("BROKEN {law}"));
            self.violations.push(law);
        }
    }

    pub(crate) fn count(&mut self, step: &InstanceStep, release: Option<Arc<Release>>) {
        let counts = match step {
            InstanceStep::Create { .. } => &mut self.creates,
            InstanceStep::Start { .. } => &mut self.starts,
            InstanceStep::Stop { .. } => &mut self.stops,
            InstanceStep::Remove { .. } => &mut self.removes,
        };
        *counts.entry(step.id().app.clone()).or_default() += 1;
        self.deeds.extend(release.map(|release| Deed { verb: step.verb(), id: step.id().clone(), release }));
    }

    pub(crate) fn note(&mut self, now: Timestamp, what: &str) {
        let at = now.since(crate::clock::EPOCH).as_millis();
        self.journal.push(format!("+{at}ms {what}"));
    }
}
