//! The loop itself: takes who is due, runs their ticks, and keeps the routine going.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use trueup_museum::{Bug, planted};
use trueup_seams::{Control, Nudge, NudgeSink, Snapshot, StoreError, StoreHealth};
use trueup_types::status::{AppStatus, EventKind};
use trueup_types::verdict::State;
use trueup_types::{AppName, Timestamp};

use crate::control::Handle;
use crate::discover::discover;
use crate::engine::{DriverParts, Engine};
use crate::events::Events;
use crate::queue::Priority;
use crate::survey::Target;
use crate::{secrets, status_writer, tick, wanted};

/// Ticks under way at once: each may hold a call to a runtime.
pub const TICKS_MAX: usize = 64;
/// From one saving of events, clock and owed records to the next.
const CHORES: Duration = Duration::from_secs(1);

/// From one survey after a loss of memory to the next, while a target is out of sight.
const SURVEY_AGAIN: Duration = Duration::from_millis(200);

/// Longest a beginning waits for the manifests.
const BEGIN_ANYWAY: Duration = Duration::from_secs(3);
/// From one look for them to the next.
const BEGIN_GLANCE: Duration = Duration::from_millis(5);

/// A driver, ready to run.
pub struct Driver {
    pub(crate) engine: Arc<Engine>,
}

/// How an app stands when all has settled, for `run --once`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Which.
    pub app: AppName,
    /// As in the verdict.
    pub state: State,
    /// It went back.
    pub reverted: bool,
    /// A canary that goes on at a person's word.
    pub awaits: bool,
    /// One word, as in tables.
    pub word: String,
    /// One line: cause, then consequence.
    pub message: String,
}

impl Driver {
    /// Loads what is remembered and makes a driver of the parts.
    ///
    /// # Errors
    /// When the store is held by another process, or cannot be read at all.
    pub async fn new(parts: DriverParts) -> Result<Self, StoreError> {
        let memory = parts.store.load().await?;
        let mut daemon = memory.daemon;
        // A new run ends what `down` began.
        daemon.down = None;
        let approved = std::mem::take(&mut daemon.prune_apps);
        let events = Events::continued(memory.events);
        let engine = Arc::new_cyclic(|weak: &Weak<Engine>| {
            let weak = Weak::clone(weak);
            let changed = Arc::new(move |app: &AppName| {
                if let Some(engine) = weak.upgrade() {
                    engine.ask(app, Priority::Failure, "health changed");
                }
            });
            Engine::new(parts, daemon, events, memory.rebuilt, changed)
        });
        engine.prune.lock().expect("no holder panics").approved(approved);
        let cell = |(app, record)| (AppName::clone(&app), Arc::new(engine.new_cell(&app, record, true)));
        wanted::take_places(&engine, &memory.apps);
        secrets::remember(&engine, &memory.apps);
        let cells = memory.apps.into_iter().map(cell);
        *engine.cells.lock().expect("no holder panics") = cells.collect();
        Ok(Self { engine })
    }

    /// The driver, as people reach it.
    #[must_use]
    pub fn handle(&self) -> Arc<dyn Control> {
        Arc::new(Handle { engine: Arc::clone(&self.engine) })
    }

    /// How every app stands, if nothing is under way any more.
    #[must_use]
    pub fn settled(&self) -> Option<Vec<Settled>> {
        let engine = &self.engine;
        let snapshot = engine.snapshot();
        if snapshot.scans == 0 {
            return None;
        }
        let cells = engine.cells.lock().expect("no holder panics");
        let mut all = Vec::new();
        for app in snapshot.apps.keys() {
            let shown = cells.get(app)?.shown.lock().expect("no holder panics");
            let status = shown.status.as_ref().filter(|_| shown.settled)?;
            let verdict = &status.status.verdict;
            all.push(Settled {
                app: app.clone(),
                state: verdict.state.clone(),
                reverted: verdict.reverted,
                awaits: shown.awaits,
                word: status.status.word.clone(),
                message: verdict.message.clone(),
            });
        }
        Some(all)
    }

    /// How many apps are Ready, of how many that are shown.
    #[must_use]
    pub fn ready(&self) -> (usize, usize) {
        let cells = self.engine.cells.lock().expect("no holder panics");
        let shown = cells.values().map(|cell| cell.shown.lock().expect("no holder panics"));
        let known = shown.filter(|shown| shown.status.is_some()).map(|shown| shown.ready);
        known.fold((0, 0), |(ready, all), one| (ready + usize::from(one), all + 1))
    }

    /// How an app is shown, if it has been looked at.
    #[must_use]
    pub fn shown(&self, app: &AppName) -> Option<Arc<AppStatus>> {
        let cell = self.engine.find(app)?;
        let shown = cell.shown.lock().expect("no holder panics");
        shown.status.clone()
    }

    /// Runs until told to leave; then finishes the ticks in hand. What runs is left as it is.
    ///
    /// Dropped before that, it ends where it stands, with all that it began.
    pub async fn run(&self, leave: CancellationToken) {
        let engine = &self.engine;
        let tasks = Tasks::new();
        let sink = sink(engine);
        engine.parts.source.listen(Arc::clone(&sink));
        self.take_targets(&engine.snapshot(), &sink);
        wanted::review_guard(engine, &engine.snapshot());
        let chores = tasks.spawn(chores(Arc::clone(engine), leave.clone()));
        let writer = tasks.spawn(status_writer::run(Arc::clone(engine), leave.clone()));
        let begin = tasks.spawn(begin(Arc::clone(engine), leave.clone()));
        let survey = tasks.spawn(survey_after_loss(Arc::clone(engine), leave.clone()));
        let every = engine.parts.resync.max(Duration::from_millis(1));
        let mut resync = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        resync.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.take_due(&tasks, &sink);
            let due = engine.queue.lock().expect("no holder panics").next_due();
            tokio::select! {
                // In order, so that a run can be repeated; none can starve those behind it.
                biased;
                () = leave.cancelled() => break,
                _ = resync.tick() => self.resync(&tasks, &sink),
                () = engine.wake.notified() => {}
                () = wait_until(engine, due, tasks.ticks.len() >= TICKS_MAX) => {}
            }
        }
        tasks.ticks.close();
        tasks.ticks.wait().await;
        chores.await.expect("chores do not panic");
        writer.await.expect("the writer does not panic");
        begin.await.expect("the beginning does not panic");
        survey.await.expect("the survey does not panic");
    }

    /// Starts a tick for each app that is due, as many as may run at once.
    fn take_due(&self, tasks: &Tasks, sink: &NudgeSink) {
        let engine = &self.engine;
        self.take_targets(&engine.snapshot(), sink);
        loop {
            let taken = {
                let mut queue = engine.queue.lock().expect("no holder panics");
                if queue.running() >= TICKS_MAX {
                    return;
                }
                queue.take(engine.now())
            };
            let Some((app, ask)) = taken else { return };
            let engine = Arc::clone(engine);
            tasks.tick(async move {
                let ticking = AssertUnwindSafe(tick::run(&engine, &app, &ask)).catch_unwind();
                if let Err(panic) = ticking.await {
                    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                    tick::panicked(&engine, &app, &text);
                }
                engine.queue.lock().expect("no holder panics").done(&app);
                engine.wake.notify_one();
            });
        }
    }

    /// Makes what reaches each target of the manifests; one that is gone from them stays while anything may live on it.
    fn take_targets(&self, snapshot: &Snapshot, sink: &NudgeSink) {
        let engine = &self.engine;
        let mut targets = engine.targets.lock().expect("no holder panics");
        for (name, spec) in &snapshot.targets {
            if targets.get(name).is_some_and(|target| target.spec == *spec) {
                continue;
            }
            let parts = (engine.parts.runtimes)(spec);
            if let Some(nudges) = &parts.nudges {
                nudges.listen(Arc::clone(sink));
            }
            engine.routes.reaches(name, parts.ingress);
            targets.insert(
                name.clone(),
                Arc::new(Target::new(spec.clone(), parts.runtime, parts.inspect, parts.nudges.is_some())),
            );
        }
    }

    /// The routine: everything is looked at, and whatever runs without being known is found.
    fn resync(&self, tasks: &Tasks, sink: &NudgeSink) {
        if planted(Bug::LooksOnlyAtEvents) {
            return;
        }
        let engine = Arc::clone(&self.engine);
        self.take_targets(&engine.snapshot(), sink);
        tasks.tick(async move {
            discover(&engine).await;
            wanted::review_guard(&engine, &engine.snapshot());
            engine.ask_all(Priority::Resync, "resync");
        });
    }
}

/// What a run has begun: it ends with the run, be it that the run is dropped where it stands.
struct Tasks {
    ticks: TaskTracker,
    alive: CancellationToken,
    _end: DropGuard,
}

impl Tasks {
    fn new() -> Self {
        let alive = CancellationToken::new();
        Self { ticks: TaskTracker::new(), _end: alive.clone().drop_guard(), alive }
    }

    /// Begins what goes on as long as the run.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<Option<()>> {
        tokio::spawn(self.alive.clone().run_until_cancelled_owned(task))
    }

    /// Begins what a run that leaves waits for.
    fn tick(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Boxed where it is made: it is large, and would be moved three times on its way into the tracker.
        drop(self.ticks.spawn(self.alive.clone().run_until_cancelled_owned(Box::pin(task))));
    }
}

/// Looks at everything once the manifests are known, or known to be in doubt: before that nobody knows the targets.
async fn begin(engine: Arc<Engine>, leave: CancellationToken) {
    let deadline = tokio::time::Instant::now() + BEGIN_ANYWAY;
    loop {
        let snapshot = engine.snapshot();
        let known = snapshot.scans > 0 && !engine.targets.lock().expect("no holder panics").is_empty();
        if known || snapshot.doubt.is_some() || tokio::time::Instant::now() >= deadline {
            break;
        }
        // The loop takes the targets when it turns.
        engine.wake.notify_one();
        tokio::select! {
            biased;
            () = leave.cancelled() => return,
            () = tokio::time::sleep(BEGIN_GLANCE) => {}
        }
    }
    discover(&engine).await;
    wanted::review_guard(&engine, &engine.snapshot());
    engine.ask_all(Priority::Resync, "start");
    engine.wake.notify_one();
}

/// After a loss of memory nothing is destroyed until every target has been seen: sees to it without waiting for the routine.
async fn survey_after_loss(engine: Arc<Engine>, leave: CancellationToken) {
    let lost = engine.rebuilt.lock().expect("no holder panics").is_some();
    while lost && !engine.surveyed.load(Ordering::SeqCst) {
        tokio::select! {
            biased;
            () = leave.cancelled() => return,
            () = tokio::time::sleep(SURVEY_AGAIN) => {}
        }
        discover(&engine).await;
        if engine.surveyed.load(Ordering::SeqCst) {
            engine.ask_all(Priority::Rollout, "every target was seen");
        }
    }
}

/// Where hints go: they wake the queue, and that is all.
fn sink(engine: &Arc<Engine>) -> NudgeSink {
    let weak = Arc::downgrade(engine);
    Arc::new(move |nudge| {
        let Some(engine) = weak.upgrade() else { return };
        wanted::review_guard(&engine, &engine.snapshot());
        match nudge {
            Nudge::App(app) => engine.ask(&app, Priority::Edit, "something happened"),
            Nudge::All => engine.ask_all(Priority::Edit, "something happened"),
        }
        engine.dirty.notify_one();
    })
}

async fn wait_until(engine: &Engine, due: Option<Timestamp>, busy: bool) {
    match due {
        // A tick that ends wakes us.
        Some(_) if busy => std::future::pending().await,
        Some(due) => tokio::time::sleep(due.since(engine.now())).await,
        None => std::future::pending().await,
    }
}

/// Saves what may be saved late: events, the clock, the table's number, and records that are owed.
async fn chores(engine: Arc<Engine>, leave: CancellationToken) {
    let mut saved = None;
    let mut healthy = true;
    loop {
        let leaving = tokio::select! {
            biased;
            () = tokio::time::sleep(CHORES) => false,
            () = leave.cancelled() => true,
        };
        engine.heartbeat.beat(engine.now());
        let unsaved = engine.events.take_unsaved();
        if !unsaved.is_empty()
            && let Err(error) = engine.parts.store.append_events(&unsaved).await
        {
            tracing::debug!(%error, "events not saved");
        }
        let table = engine.routes.generation().await;
        let record = {
            let mut daemon = engine.daemon.lock().expect("no holder panics");
            daemon.table = table;
            daemon.clone()
        };
        if saved.as_ref() != Some(&record) && engine.parts.store.save_daemon(&record).await.is_ok() {
            saved = Some(record);
        }
        let now_healthy = engine.parts.store.health() == StoreHealth::Good;
        if now_healthy != healthy {
            healthy = now_healthy;
            let (kind, reason) =
                if healthy { (EventKind::Normal, "StoreHealed") } else { (EventKind::Warning, "StateStoreDegraded") };
            engine.note(kind, reason, None, None, format!("the store: {:?}", engine.parts.store.health()));
            // What is owed is saved, and what waited may begin.
            engine.ask_all(Priority::Rollout, "the store turned");
        }
        if leaving {
            return;
        }
    }
}
