//! What every part of the driver shares: the queue, the targets, the books, and one cell for each app.
//!
//! A [`Cell`] holds an app's memory behind an async lock, so that a tick and a person's word never overlap, and what is
//! shown of it behind a plain one. Nothing here decides anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use trueup_museum::{Bug, planted};
use trueup_seams::{DaemonRecord, Ingress, Inspect, Nudges, Runtime, Secrets, Snapshot, Source, Store};
use trueup_types::observed::Sighting;
use trueup_types::status::{AppStatus, Decision, EventKind};
use trueup_types::target::TargetSpec;
use trueup_types::{AppName, AppRecord, OwnerId, Revision, TargetName, Timestamp};

use crate::analyst::Analyst;
use crate::clock::Clock;
use crate::conditions::Onsets;
use crate::dependents::Dependents;
use crate::events::{About, Events};
use crate::heartbeat::Heartbeat;
use crate::probe_book::ProbeBook;
use crate::queue::{Ask, Priority, Queue};
use crate::recorder::Recorder;
use crate::routing::Routing;
use crate::survey::{Epoch, Target};

/// Decisions kept for `trueup why`.
pub const DECISIONS_MAX: usize = 10;
/// Timed looks within this time share one sight of the world.
const COARSE: Duration = Duration::from_millis(20);

/// How one target is reached.
pub struct RuntimeParts {
    /// How it is made true.
    pub runtime: Arc<dyn Runtime>,
    /// How it is looked into.
    pub inspect: Option<Arc<dyn Inspect>>,
    /// Its hints.
    pub nudges: Option<Arc<dyn Nudges>>,
    /// Its own way of bringing requests to its instances; the house's where there is none.
    pub ingress: Option<Arc<dyn Ingress>>,
}

/// Makes what reaches a target.
pub type RuntimeFactory = Box<dyn Fn(&TargetSpec) -> RuntimeParts + Send + Sync>;

/// Everything that a driver is made of.
pub struct DriverParts {
    /// What is wanted.
    pub source: Arc<dyn Source>,
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// How targets are reached.
    pub runtimes: RuntimeFactory,
    /// How requests are routed.
    pub ingress: Option<Arc<dyn Ingress>>,
    /// Who keeps the values of secrets.
    pub secrets: Arc<dyn Secrets>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub seed: u64,
    /// Whose labels are written.
    pub owner: OwnerId,
    /// Where evidence is kept; nowhere in a simulated world.
    pub state_dir: Option<PathBuf>,
    /// Where the status is written.
    pub status_files: Vec<PathBuf>,
    /// From one routine look at everything to the next.
    pub resync: Duration,
    /// Rollouts under way at once, over all apps; CORNERS.md says 4.
    pub rollouts_max: usize,
    /// For the status.
    pub about: Identity,
    /// Why the edge is not as it was asked to be, kept by whoever sees to it: `EdgeDegraded`.
    pub edge_fault: Arc<Mutex<Option<String>>>,
}

/// What the status says of the daemon.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Its version.
    pub version: String,
    /// Where the manifests are.
    pub source: String,
    /// Where the edge listens.
    pub listen: Option<String>,
}

/// What is shared.
pub(crate) struct Engine {
    pub parts: DriverParts,
    pub queue: Mutex<Queue>,
    pub wake: Notify,
    pub epoch: Epoch,
    coarse: Mutex<(Timestamp, u64)>,
    pub targets: Mutex<BTreeMap<TargetName, Arc<Target>>>,
    pub cells: Mutex<BTreeMap<AppName, Arc<Cell>>>,
    pub probes: ProbeBook,
    pub analyst: Analyst,
    pub routes: Routing,
    pub events: Events,
    pub recorder: Recorder,
    pub daemon: Mutex<DaemonRecord>,
    /// What is remembered of apps that `down` has taken away, for the next life and for late hints of this one.
    pub laid_by: Mutex<BTreeMap<AppName, AppRecord>>,
    pub rolling: Mutex<BTreeSet<AppName>>,
    pub capped: Mutex<BTreeSet<AppName>>,
    pub dependents: Dependents,
    pub prune: Mutex<crate::guard::Guard>,
    pub rebuilt: Mutex<Option<String>>,
    /// Since when each of the daemon's own conditions has been true.
    pub onsets: Mutex<Onsets>,
    pub surveyed: AtomicBool,
    pub started_at: Timestamp,
    pub heartbeat: Heartbeat,
    pub dirty: Notify,
    pub status_fault: Mutex<Option<String>>,
}

/// One app.
pub(crate) struct Cell {
    pub memory: tokio::sync::Mutex<AppMemory>,
    pub shown: Mutex<Shown>,
    /// Where the last survey of everything saw something of it, be it where memory knows of nothing.
    pub homes: Mutex<BTreeSet<TargetName>>,
    hinted: AtomicU64,
}

/// What is remembered of one app.
pub(crate) struct AppMemory {
    pub record: AppRecord,
    /// The world may have been changed by our own steps up to this moment.
    pub acted: u64,
    /// Looks in a row that saw nothing.
    pub dark: crate::retry::Retry,
    /// Looks in a row after which nobody could go yet, as a table may bring back who was to.
    pub barred: crate::retry::Retry,
    /// Whether the record is on the disk as it stands.
    pub saved: bool,
}

/// What is shown of one app.
#[derive(Default)]
pub(crate) struct Shown {
    pub status: Option<Arc<AppStatus>>,
    /// The status, spelled, where it was asked for since it changed.
    pub json: Option<Arc<str>>,
    pub ready: bool,
    pub settled: bool,
    /// Whether it is a canary that goes on at a person's word.
    pub awaits: bool,
    pub decisions: VecDeque<Arc<Decision>>,
}

impl Engine {
    pub(crate) fn new(
        parts: DriverParts,
        daemon: DaemonRecord,
        events: Events,
        rebuilt: Option<String>,
        changed: crate::probe_book::Changed,
    ) -> Self {
        let now = parts.clock.now();
        let analyst = Analyst::new(Arc::clone(&changed));
        let probes = ProbeBook::new(Arc::clone(&parts.clock), parts.seed, changed);
        let routes = Routing::new(parts.owner.clone(), parts.ingress.clone(), daemon.table);
        Self {
            parts,
            queue: Mutex::default(),
            wake: Notify::new(),
            epoch: Epoch::default(),
            coarse: Mutex::new((Timestamp::ZERO, 0)),
            targets: Mutex::default(),
            cells: Mutex::default(),
            dependents: Dependents::default(),
            probes,
            analyst,
            routes,
            events,
            recorder: Recorder::default(),
            daemon: Mutex::new(daemon),
            laid_by: Mutex::default(),
            rolling: Mutex::default(),
            capped: Mutex::default(),
            prune: Mutex::default(),
            rebuilt: Mutex::new(rebuilt),
            onsets: Mutex::default(),
            surveyed: AtomicBool::new(false),
            started_at: now,
            heartbeat: Heartbeat::begun(now),
            dirty: Notify::new(),
            status_fault: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.parts.source.snapshot()
    }

    /// The cell of an app, made when it is not there.
    pub(crate) fn cell(&self, app: &AppName) -> Arc<Cell> {
        let mut cells = self.cells.lock().expect("no holder panics");
        let new = || {
            if planted(Bug::ForgetsWhatIsDown) {
                return Arc::new(self.new_cell(app, AppRecord::default(), false));
            }
            let laid_by = self.laid_by.lock().expect("no holder panics").get(app).cloned();
            // Nothing is owed yet: to save what it begins with would put nothing in the place of what the store holds.
            Arc::new(self.new_cell(app, laid_by.unwrap_or_default(), true))
        };
        Arc::clone(cells.entry(app.clone()).or_insert_with(new))
    }

    /// A cell for an app, with a random stream of its own.
    pub(crate) fn new_cell(&self, app: &AppName, record: AppRecord, saved: bool) -> Cell {
        self.dependents.learn(app, &BTreeSet::new(), &record.needs);
        let retry =
            |why: &str| crate::retry::Retry::new(crate::jitter::stream(self.parts.seed, &format!("{app}{why}")));
        let memory = AppMemory { record, acted: 0, dark: retry(""), barred: retry(" barred"), saved };
        Cell {
            memory: tokio::sync::Mutex::new(memory),
            shown: Mutex::default(),
            homes: Mutex::default(),
            hinted: AtomicU64::new(0),
        }
    }

    /// Notes which apps have something on a target, for those whose memory does not know it.
    pub(crate) fn note_homes(&self, target: &TargetName, apps: &BTreeMap<AppName, Vec<Sighting>>) {
        for (app, cell) in self.cells.lock().expect("no holder panics").iter() {
            let mut homes = cell.homes.lock().expect("no holder panics");
            if apps.contains_key(app) {
                homes.insert(target.clone());
            } else {
                homes.remove(target);
            }
        }
    }

    /// The cell of an app, where there is one.
    pub(crate) fn find(&self, app: &AppName) -> Option<Arc<Cell>> {
        self.cells.lock().expect("no holder panics").get(app).cloned()
    }

    /// Asks for a look at one app, at a world not older than this moment.
    pub(crate) fn ask(&self, app: &AppName, priority: Priority, why: &'static str) {
        let epoch = self.epoch.next();
        self.ask_since(app, epoch, priority, why);
    }

    /// The same, at a world not older than `epoch`.
    pub(crate) fn ask_since(&self, app: &AppName, epoch: u64, priority: Priority, why: &'static str) {
        self.cell(app).hinted.fetch_max(epoch, Ordering::SeqCst);
        self.queue.lock().expect("no holder panics").ask(app, Ask { at: self.now(), priority, why });
        self.wake.notify_one();
    }

    /// Asks for a look later.
    pub(crate) fn ask_at(&self, app: &AppName, at: Timestamp, why: &'static str) {
        self.queue.lock().expect("no holder panics").ask(app, Ask { at, priority: Priority::Rollout, why });
        self.wake.notify_one();
    }

    /// Asks for a look at every app that is wanted or remembered, all at one moment.
    pub(crate) fn ask_all(&self, priority: Priority, why: &'static str) {
        let epoch = self.epoch.next();
        let mut names: BTreeSet<_> = self.snapshot().apps.keys().cloned().collect();
        names.extend(self.cells.lock().expect("no holder panics").keys().cloned());
        for app in names {
            self.ask_since(&app, epoch, priority, why);
        }
    }

    /// How new a sight a tick needs: newer than its last act and the hint that asked; a timed look, than a moment ago.
    pub(crate) fn needed(&self, cell: &Cell, acted: u64, priority: Priority) -> u64 {
        let needed = acted.max(cell.hinted.load(Ordering::SeqCst));
        if priority != Priority::Rollout {
            return needed;
        }
        let now = self.now();
        let mut coarse = self.coarse.lock().expect("no holder panics");
        if coarse.1 == 0 || now.since(coarse.0) >= COARSE {
            *coarse = (now, self.epoch.next());
        }
        needed.max(coarse.1)
    }

    /// The target of this name; one that the manifests no longer have is kept as it last was.
    pub(crate) fn target(&self, name: &TargetName) -> Option<Arc<Target>> {
        self.targets.lock().expect("no holder panics").get(name).cloned()
    }

    pub(crate) fn note(
        &self,
        kind: EventKind,
        reason: &str,
        app: Option<&AppName>,
        revision: Option<Revision>,
        message: String,
    ) {
        match kind {
            EventKind::Normal => tracing::info!(app = app.map(AppName::as_str), reason, message),
            EventKind::Warning => tracing::warn!(app = app.map(AppName::as_str), reason, message),
        }
        self.events.note(kind, reason, About { app, revision }, message, self.now());
        self.dirty.notify_one();
    }
}
