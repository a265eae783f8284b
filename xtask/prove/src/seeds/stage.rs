//! The world of a case with a daemon in it: the real driver, planner and queue over the simulated targets and ingress.
//!
//! Carries out what happens, and keeps the world told of what is wanted, so that its laws bind. What the daemon says to
//! its store is written down by a [`Scribe`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trueup_driver::{Driver, DriverParts, Identity, RuntimeParts};
use trueup_seams::{Control, Ingress, Inspect, Nudges, Runtime, Source, Store};
use trueup_sim::{Pace, SimIngress, SimRuntime, SimSource, Tether, Tethered, World};
use trueup_types::desired::DesiredApp;
use trueup_types::{AppName, OwnerId};

use super::scribe::Scribe;

/// From one routine look to the next.
pub const RESYNC: Duration = Duration::from_secs(30);

/// The world of a case.
pub struct Stage {
    /// The world.
    pub world: World,
    /// What is wanted.
    pub source: Arc<SimSource>,
    /// What the daemon said to its store.
    pub scribe: Arc<Scribe>,
    /// What is wanted of each app that was ever named; `None` without a manifest.
    pub wanted: BTreeMap<AppName, Option<Arc<DesiredApp>>>,
    rollouts_max: usize,
    pace: Pace,
    seed: u64,
    daemon: Option<Daemon>,
}

struct Daemon {
    driver: Arc<Driver>,
    control: Arc<dyn Control>,
    tether: Arc<Tether>,
    leave: CancellationToken,
    task: JoinHandle<()>,
}

impl Stage {
    /// An empty world without a daemon; needs a paused tokio runtime.
    pub fn new(seed: u64, rollouts_max: usize, pace: Pace, scribe: Arc<Scribe>) -> Self {
        let world = World::new(owner());
        let source = SimSource::new();
        Self { world, source, scribe, wanted: BTreeMap::new(), rollouts_max, pace, seed, daemon: None }
    }

    /// Starts a daemon, where none runs; one whose store cannot be read ends at once, as on a full disk.
    pub async fn start(&mut self) {
        if self.daemon.is_some() {
            return;
        }
        let tether = Tether::new(self.world.clock, self.pace);
        let driver = match Driver::new(self.parts(&tether)).await {
            Ok(driver) => Arc::new(driver),
            Err(why) => return self.note(&format!("the daemon cannot start: {why}")),
        };
        let leave = CancellationToken::new();
        let running = (Arc::clone(&driver), leave.clone());
        let task = tokio::spawn(async move { running.0.run(running.1).await });
        self.daemon = Some(Daemon { control: driver.handle(), driver, tether, leave, task });
    }

    fn parts(&self, tether: &Arc<Tether>) -> DriverParts {
        let (world, tied) = (self.world.clone(), Arc::clone(tether));
        let ingress = Tethered::new(Arc::new(SimIngress::new(&self.world)), tether);
        DriverParts {
            source: Arc::clone(&self.source) as Arc<dyn Source>,
            store: Arc::new(Tethered::new(Arc::clone(&self.scribe), tether)) as Arc<dyn Store>,
            runtimes: Box::new(move |spec| {
                let runtime = Arc::new(Tethered::new(Arc::new(SimRuntime::new(&world, &spec.name)), &tied));
                RuntimeParts {
                    runtime: Arc::clone(&runtime) as Arc<dyn Runtime>,
                    inspect: Some(Arc::clone(&runtime) as Arc<dyn Inspect>),
                    nudges: Some(runtime as Arc<dyn Nudges>),
                    ingress: None,
                }
            }),
            ingress: Some(Arc::new(ingress) as Arc<dyn Ingress>),
            secrets: Arc::new(trueup_seams::NoSecrets),
            clock: Arc::new(self.world.clock),
            seed: self.seed,
            owner: owner(),
            state_dir: None,
            status_files: Vec::new(),
            resync: RESYNC,
            rollouts_max: self.rollouts_max,
            about: Identity::default(),
            edge_fault: Arc::default(),
        }
    }

    /// Ends the daemon, where one runs: kills it where it stands, or lets it leave.
    pub async fn end(&mut self, killed: bool) {
        let Some(daemon) = self.daemon.take() else { return };
        if killed {
            daemon.tether.cut();
            daemon.task.abort();
            // Its end is what was asked for.
            let _ = daemon.task.await;
        } else {
            daemon.leave.cancel();
            daemon.task.await.expect("the daemon does not panic");
        }
    }

    /// The daemon as people reach it, where one runs.
    pub fn control(&self) -> Option<Arc<dyn Control>> {
        self.daemon.as_ref().map(|daemon| Arc::clone(&daemon.control))
    }

    /// The daemon itself, where one runs.
    pub fn driver(&self) -> Option<&Driver> {
        self.daemon.as_ref().map(|daemon| daemon.driver.as_ref())
    }

    /// What the daemon that runs says of bugs in itself, be it saved or not.
    pub fn bugs(&self) -> Vec<String> {
        let events = self.control().map(|control| control.status().events).unwrap_or_default();
        events.into_iter().filter(|event| event.reason == "Bug").map(|event| event.message).collect()
    }

    /// Wants an app like this, or no longer.
    pub fn want(&mut self, app: &AppName, desired: Option<Arc<DesiredApp>>) {
        self.wanted.insert(app.clone(), desired.clone());
        // Before anybody acts on it.
        self.tell();
        match desired {
            Some(desired) => self.source.put(desired),
            None => self.source.remove(app),
        }
    }

    /// Tells the world what is wanted at this moment, so that its laws bind.
    pub fn tell(&self) {
        let now = self.world.now();
        let mut state = self.world.lock();
        for (app, desired) in &self.wanted {
            state.wants.learn(app, desired.as_ref(), now);
        }
    }

    /// Lets so much time pass.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.tell();
    }

    /// The host sleeps: the clock goes on, and nobody does or sees anything.
    pub async fn sleep(&self, time: Duration) {
        let now = self.world.now();
        self.world.lock().ignorance.sleep(now, time);
        tokio::time::advance(time).await;
    }

    /// Writes among the effects what happened.
    pub fn note(&self, what: &str) {
        let at = self.world.now().since(trueup_sim::clock::EPOCH).as_millis();
        self.world.lock().journal.push(format!("+{at}ms -- {what}"));
    }
}

fn owner() -> OwnerId {
    OwnerId::new("sim").expect("a literal name")
}
