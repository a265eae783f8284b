//! A whole daemon in the simulated world: the real driver, planner, queue and guard; only time, chance and the world are
//! replaced.
//!
//! [`House::kill`] drops the daemon wherever it stands, as the kernel would; the world, the store and the source go on.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
pub use trueup_driver::RuntimeParts;
use trueup_driver::{Clock, Driver, DriverParts, Identity};
use trueup_seams::Control;
use trueup_types::status::AppStatus;
use trueup_types::target::TargetSpec;
use trueup_types::{AppName, OwnerId, TargetName, Timestamp};

use crate::pace::Pace;
use crate::tether::{Tether, Tethered};
use crate::{SimClock, SimIngress, SimRuntime, SimSource, SimStore, World};

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }
}

/// A simulated world with a daemon in it.
pub struct House {
    /// The world.
    pub world: World,
    /// What is wanted.
    pub source: Arc<SimSource>,
    /// What is remembered.
    pub store: Arc<SimStore>,
    /// Rollouts under way at once.
    pub rollouts_max: usize,
    /// How long answers take.
    pub pace: Pace,
    /// What reaches a target that is not simulated here; asked first, with each start of a daemon.
    pub guest: Option<Guest>,
    daemon: Option<Daemon>,
}

/// Makes what reaches a target, where it is a guest's.
pub type Guest = Arc<dyn Fn(&TargetSpec) -> Option<RuntimeParts> + Send + Sync>;

struct Daemon {
    driver: Arc<Driver>,
    control: Arc<dyn Control>,
    tether: Arc<Tether>,
    leave: CancellationToken,
    task: JoinHandle<()>,
}

impl House {
    /// An empty world without a daemon; needs a tokio runtime, paused to be fast.
    ///
    /// # Panics
    /// Never: the owner's name is a name.
    #[must_use]
    pub fn new() -> Self {
        Self {
            world: World::new(OwnerId::new("sim").expect("a literal name")),
            source: SimSource::new(),
            store: Arc::new(SimStore::new()),
            rollouts_max: 4,
            pace: Pace::default(),
            guest: None,
            daemon: None,
        }
    }

    /// Starts the daemon.
    ///
    /// # Panics
    /// When the store cannot be read.
    pub async fn start(&mut self) {
        let tether = Tether::new(self.world.clock, self.pace);
        let driver = Arc::new(Driver::new(self.parts(&tether)).await.expect("the store loads"));
        let leave = CancellationToken::new();
        let running = (Arc::clone(&driver), leave.clone());
        let task = tokio::spawn(async move { running.0.run(running.1).await });
        self.daemon = Some(Daemon { control: driver.handle(), driver, tether, leave, task });
    }

    fn parts(&self, tether: &Arc<Tether>) -> DriverParts {
        let (world, tied, guest) = (self.world.clone(), Arc::clone(tether), self.guest.clone());
        let ingress = Tethered::new(Arc::new(SimIngress::new(&self.world)), tether);
        DriverParts {
            source: Arc::clone(&self.source) as Arc<dyn trueup_seams::Source>,
            store: Arc::new(Tethered::new(Arc::clone(&self.store), tether)),
            runtimes: Box::new(move |spec| {
                if let Some(parts) = guest.as_ref().and_then(|guest| guest(spec)) {
                    return parts;
                }
                let runtime = Arc::new(Tethered::new(Arc::new(SimRuntime::new(&world, &spec.name)), &tied));
                RuntimeParts {
                    runtime: Arc::clone(&runtime) as Arc<dyn trueup_seams::Runtime>,
                    inspect: Some(Arc::clone(&runtime) as Arc<dyn trueup_seams::Inspect>),
                    nudges: Some(runtime),
                    ingress: None,
                }
            }),
            ingress: Some(Arc::new(ingress)),
            clock: Arc::clone(tether) as Arc<dyn Clock>,
            secrets: Arc::new(trueup_seams::NoSecrets),
            seed: 7,
            owner: OwnerId::new("sim").expect("a literal name"),
            state_dir: None,
            status_files: Vec::new(),
            resync: Duration::from_secs(30),
            rollouts_max: self.rollouts_max,
            about: Identity::default(),
            edge_fault: Arc::default(),
        }
    }

    /// Kills the daemon where it stands.
    pub async fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.tether.cut();
            daemon.task.abort();
            // Its end is what was asked for.
            let _ = daemon.task.await;
        }
    }

    /// Lets the daemon leave.
    ///
    /// # Panics
    /// When it panicked.
    pub async fn stop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.leave.cancel();
            daemon.task.await.expect("the daemon does not panic");
        }
    }

    /// The daemon, as people reach it.
    ///
    /// # Panics
    /// When none runs.
    #[must_use]
    pub fn control(&self) -> Arc<dyn Control> {
        Arc::clone(&self.daemon.as_ref().expect("a daemon runs").control)
    }

    /// What ties the daemon to the world.
    ///
    /// # Panics
    /// When none runs.
    #[must_use]
    pub fn tether(&self) -> Arc<Tether> {
        Arc::clone(&self.daemon.as_ref().expect("a daemon runs").tether)
    }

    /// What is shown of an app.
    ///
    /// # Panics
    /// When no daemon runs, or `name` is no name.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<AppStatus> {
        let app = AppName::new(name).expect("a name");
        let daemon = self.daemon.as_ref().expect("a daemon runs");
        daemon.driver.shown(&app).map(|shown| AppStatus::clone(&shown))
    }

    /// Whether nothing is under way any more.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.driver.settled().is_some())
    }

    /// Waits, in simulated time, until something holds.
    ///
    /// # Panics
    /// When it does not within `patience`.
    pub async fn until(&self, what: &str, patience: Duration, holds: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + patience;
        while !holds(self) {
            let late = tokio::time::Instant::now() >= deadline;
            assert!(!late, "not within {patience:?} of simulated time: {what}\n{}", self.story());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until an app's last good release is this one and nothing is under way.
    pub async fn until_live(&self, name: &str, revision: u64) {
        let what = format!("{name} is live at r{revision}");
        self.until(&what, Duration::from_secs(1_200), |house| {
            let app = house.app(name);
            let good = app.and_then(|app| app.status.last_good);
            good.is_some_and(|good| good.0 == revision) && house.settled()
        })
        .await;
    }

    /// What happened, for a test that failed.
    #[must_use]
    pub fn story(&self) -> String {
        let journal = self.world.lock().journal.join("\n");
        let apps = self.control().status().apps;
        let lines = apps.iter().map(|app| {
            let decisions =
                app.status.decisions.iter().map(|one| format!("  {} {}", one.woke_by, one.lines.join("\n    ")));
            format!(
                "{}: {}\n{}",
                app.metadata.name,
                app.status.verdict.message,
                decisions.collect::<Vec<_>>().join("\n")
            )
        });
        format!("{journal}\n{}", lines.collect::<Vec<_>>().join("\n"))
    }

    /// The running instances of an app, by name, with their lives.
    #[must_use]
    pub fn running(&self, name: &str) -> Vec<(String, u64)> {
        let app = AppName::new(name).expect("a name");
        self.world.running(&app).into_iter().map(|(id, life)| (id.to_string(), life)).collect()
    }

    /// Holds a target in the dark, or lights it.
    pub fn darken(&self, target: &TargetName, dark: bool) {
        let now = self.world.now();
        self.world.lock().darken(target, dark, now);
    }
}

impl Default for House {
    fn default() -> Self {
        Self::new()
    }
}
