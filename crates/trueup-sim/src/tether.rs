//! What ties a daemon to the world: once it is cut, nothing that the daemon does reaches the world any more.
//!
//! [`Tethered`] stands between a driver and the world's traits and counts the calls by kind. A [`Cut`] names one call
//! and a moment of it: there the daemon dies, as by `kill -9`, and whatever else of it was under way hangs for ever, as
//! far as the world can tell. [`crate::House`] then buries it. Knows nothing of what the calls mean.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use trueup_seams::store::StoreResult;
use trueup_seams::{
    BoxFuture, DaemonRecord, ExecOutput, Ingress, Inspect, LogLine, LogQuery, Memory, NudgeSink, Nudges, ObserveError,
    Runtime, Store, StoreHealth, Survey, Watch,
};
use trueup_types::record::AppRecord;
use trueup_types::route::{RouteTable, TableSight};
use trueup_types::status::Event;
use trueup_types::step::{StepOutcome, TargetStep};
use trueup_types::{AppName, Certificate, InstanceId, Route, Timestamp};

use crate::SimClock;
use crate::pace::Pace;
use crate::pulse::Pulse;

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallKind {
    /// A survey of a target.
    Look,
    /// A step on a target.
    Step,
    /// A route table.
    Table,
    /// A record, saved or forgotten.
    Save,
    /// What is saved late: events, and the daemon's own record.
    Chore,
}

impl CallKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Look, Self::Step, Self::Table, Self::Save, Self::Chore];

    /// As it is spelled.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Step => "step",
            Self::Table => "table",
            Self::Save => "save",
            Self::Chore => "chore",
        }
    }
}

/// A moment of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// It is called, and nothing has happened.
    Before,
    /// It has happened, and the answer is on its way.
    Effect,
    /// The daemon has the answer; it dies before its next word to the world.
    Answer,
    /// A save was acknowledged and the next change that rests on it has happened, if one does, and the save is lost.
    Flush,
}

impl Moment {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Before, Self::Effect, Self::Answer, Self::Flush];

    /// As it is spelled.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Effect => "after",
            Self::Answer => "answered",
            Self::Flush => "unflushed",
        }
    }
}

/// Where a daemon dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cut {
    /// At a call of this kind.
    pub kind: CallKind,
    /// Which of them, from 0, counted since the tether was armed.
    pub number: u32,
    /// When in it.
    pub moment: Moment,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Of which kind.
    pub kind: CallKind,
    /// Which of them.
    pub number: u32,
    /// When.
    pub at: Timestamp,
    /// What it asks for.
    pub what: String,
}

/// What ties one daemon to the world.
#[derive(Debug)]
pub struct Tether {
    state: Mutex<State>,
    clock: SimClock,
    pace: Pace,
    died: Notify,
}

#[derive(Debug, Default)]
struct State {
    counts: [u32; CallKind::ALL.len()],
    cut: Option<Cut>,
    /// It dies before its next word.
    dying: bool,
    /// A save was made that will be lost: it dies once the next change has happened.
    resting: bool,
    dead: bool,
    calls: Option<Vec<Call>>,
    pulse: Pulse,
}

impl Tether {
    /// A tether that holds.
    #[must_use]
    pub fn new(clock: SimClock, pace: Pace) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), clock, pace, died: Notify::new() })
    }

    /// Counts from here on, and cuts there; with `record` the calls are kept.
    pub fn arm(&self, cut: Option<Cut>, record: bool) {
        let mut state = self.lock();
        state.counts = Default::default();
        state.cut = cut;
        state.calls = record.then(Vec::new);
    }

    /// Cuts it now.
    pub fn cut(&self) {
        self.die(&mut self.lock());
    }

    /// Whether a save was made that is to be lost: at the next look, if nothing comes before.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.lock().resting
    }

    /// Whether it is cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.lock().dead
    }

    /// Waits until it is cut.
    pub async fn died(&self) {
        while !self.is_cut() {
            self.died.notified().await;
        }
    }

    /// The moment, as the daemon reads it; one that reads on and on while no time passes is cut off.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now();
        let mut state = self.lock();
        if !state.pulse.beat(now) && !state.dead {
            self.die(&mut state);
        }
        now
    }

    /// What the daemon did without end while no time passed, if it was cut off for that.
    #[must_use]
    pub fn restless(&self) -> Option<String> {
        self.lock().pulse.restless()
    }

    /// The calls since it was armed, where they are kept.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone().unwrap_or_default()
    }

    /// How many calls of a kind were made since it was armed.
    #[must_use]
    pub fn count(&self, kind: CallKind) -> u32 {
        self.lock().counts[kind as usize]
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of a tether panics")
    }

    fn die(&self, state: &mut State) {
        state.dead = true;
        self.died.notify_one();
    }

    /// Lets a call through, or never returns.
    async fn call<T>(&self, kind: CallKind, what: impl FnOnce() -> String, effect: impl Future<Output = T>) -> T {
        let Some(number) = self.begin(kind, what) else { return std::future::pending().await };
        let answer = effect.await;
        if !self.after_effect(kind, number) {
            return std::future::pending().await;
        }
        let wait = match kind {
            CallKind::Look | CallKind::Chore => Duration::ZERO,
            CallKind::Step => self.pace.step,
            CallKind::Table => self.pace.table,
            CallKind::Save => self.pace.save,
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if !self.answered(kind, number) {
            return std::future::pending().await;
        }
        answer
    }

    /// Counts a call; `None` when it does not happen.
    fn begin(&self, kind: CallKind, what: impl FnOnce() -> String) -> Option<u32> {
        let mut state = self.lock();
        let number = state.counts[kind as usize];
        let named = state.cut == Some(Cut { kind, number, moment: Moment::Before });
        // The save that is to be lost is the last one: another one would be lost in its place. Before the next look
        // nothing rests on it that has not happened yet.
        let lost = state.resting && matches!(kind, CallKind::Save | CallKind::Look);
        if state.dead || state.dying || named || lost {
            self.die(&mut state);
            return None;
        }
        state.counts[kind as usize] += 1;
        let at = self.clock.now();
        if let Some(calls) = &mut state.calls {
            calls.push(Call { kind, number, at, what: what() });
        }
        Some(number)
    }

    fn after_effect(&self, kind: CallKind, number: u32) -> bool {
        let mut state = self.lock();
        let rests = state.resting && matches!(kind, CallKind::Step | CallKind::Table);
        if rests || state.cut == Some(Cut { kind, number, moment: Moment::Effect }) {
            self.die(&mut state);
        }
        !state.dead
    }

    fn answered(&self, kind: CallKind, number: u32) -> bool {
        let mut state = self.lock();
        state.dying |= state.cut == Some(Cut { kind, number, moment: Moment::Answer });
        state.resting |= state.cut == Some(Cut { kind, number, moment: Moment::Flush });
        !state.dead
    }

    /// Lets a question through that is not counted, or never returns.
    async fn ask<T>(&self, answer: impl Future<Output = T>) -> T {
        if self.is_cut() {
            return std::future::pending().await;
        }
        let answer = answer.await;
        if self.is_cut() {
            return std::future::pending().await;
        }
        answer
    }
}

/// Something of the world, as one daemon reaches it.
pub struct Tethered<T> {
    inner: Arc<T>,
    tether: Arc<Tether>,
}

impl<T> Tethered<T> {
    /// Ties a daemon to something of the world.
    #[must_use]
    pub fn new(inner: Arc<T>, tether: &Arc<Tether>) -> Self {
        Self { inner, tether: Arc::clone(tether) }
    }
}

impl trueup_driver::Clock for Tether {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }
}

impl<T: Runtime> Runtime for Tethered<T> {
    fn survey(&self) -> BoxFuture<'_, Survey> {
        Box::pin(self.tether.call(CallKind::Look, || "survey".to_owned(), self.inner.survey()))
    }

    fn apply<'a>(&'a self, step: &'a TargetStep) -> BoxFuture<'a, StepOutcome> {
        let TargetStep::Instance(one) = step;
        let what = || format!("{} {}", one.verb(), one.id());
        Box::pin(self.tether.call(CallKind::Step, what, self.inner.apply(step)))
    }

    fn retire<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StepOutcome> {
        Box::pin(self.tether.ask(self.inner.retire(app)))
    }

    fn watch(&self, app: &AppName, watch: Watch) {
        self.inner.watch(app, watch);
    }

    fn names(&self, app: &AppName, routes: &[Route]) {
        self.inner.names(app, routes);
    }

    fn certificates(&self, app: &AppName) -> Vec<Certificate> {
        self.inner.certificates(app)
    }

    fn called(&self, app: &AppName) -> Option<String> {
        self.inner.called(app)
    }
}

impl<T: Inspect> Inspect for Tethered<T> {
    fn logs<'a>(&'a self, query: &'a LogQuery) -> BoxFuture<'a, Result<Vec<LogLine>, ObserveError>> {
        Box::pin(self.tether.ask(self.inner.logs(query)))
    }

    fn exec<'a>(
        &'a self,
        instance: &'a InstanceId,
        command: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput, ObserveError>> {
        Box::pin(self.tether.ask(self.inner.exec(instance, command, timeout)))
    }
}

impl<T: Nudges> Nudges for Tethered<T> {
    fn listen(&self, sink: NudgeSink) {
        self.inner.listen(sink);
    }
}

impl<T: Ingress> Ingress for Tethered<T> {
    fn observe(&self) -> BoxFuture<'_, Result<TableSight, ObserveError>> {
        Box::pin(self.tether.ask(self.inner.observe()))
    }

    fn apply<'a>(&'a self, table: &'a RouteTable) -> BoxFuture<'a, StepOutcome> {
        let what = || table.generation.to_string();
        Box::pin(self.tether.call(CallKind::Table, what, self.inner.apply(table)))
    }
}

impl<T: Store> Store for Tethered<T> {
    fn load(&self) -> BoxFuture<'_, StoreResult<Memory>> {
        Box::pin(self.tether.ask(self.inner.load()))
    }

    fn save<'a>(&'a self, app: &'a AppName, record: &'a AppRecord) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.tether.call(CallKind::Save, || app.to_string(), self.inner.save(app, record)))
    }

    fn forget<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.tether.call(CallKind::Save, move || format!("forget {app}"), self.inner.forget(app)))
    }

    fn save_daemon<'a>(&'a self, record: &'a DaemonRecord) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.tether.call(CallKind::Chore, || "daemon".to_owned(), self.inner.save_daemon(record)))
    }

    fn append_events<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.tether.call(CallKind::Chore, || "events".to_owned(), self.inner.append_events(events)))
    }

    fn settled(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.tether.call(CallKind::Chore, || "settled".to_owned(), self.inner.settled()))
    }

    fn health(&self) -> StoreHealth {
        self.inner.health()
    }
}
