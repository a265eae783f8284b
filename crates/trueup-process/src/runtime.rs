//! The steps and the survey of local processes.
//!
//! What is on the disk is read once, at the start; from there on a survey lists the folder of folders, asks each process
//! whether it is there (one system call), and reads files only of what has changed. Steps block on small files, so they
//! run on threads made for that.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::runtime::Handle;
use trueup_host::LocalHost;
use trueup_seams::{BoxFuture, Nudge, NudgeSink, Nudges, ObserveError, Runtime, Secrets, Sight, Survey};
use trueup_types::step::{InstanceStep, Refusal, StepOutcome, TargetStep};
use trueup_types::{InstanceId, OwnerId, Place, Timestamp};

use crate::cgroup::Cgroups;
use crate::entry::{Entry, State};
use crate::lift::sighting;
use crate::paths::{Home, InstancePaths, LifePaths};
use crate::ports::Ports;
use crate::spec::Asked;
use crate::{bell, deputy, logs, user};
use trueup_host::World;
use trueup_host::files;

/// What the runtime is told.
pub struct ProcessConfig {
    /// The state directory; instances lie in `instances` below it.
    pub state_dir: PathBuf,
    /// Whose instances are ours.
    pub owner: OwnerId,
    /// The program that knows `shim` and `shim-exec`.
    pub program: PathBuf,
    /// All that instances inherit: PATH, HOME, LANG, TZ.
    pub base_env: Vec<(String, String)>,
    /// `RLIMIT_NOFILE` of instances that ask for none, soft and hard.
    pub open_files: Option<(u64, u64)>,
    /// What releases' secrets hold.
    pub secrets: Arc<dyn Secrets>,
    /// Steady time.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Local processes.
pub struct ProcessRuntime {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) home: Home,
    pub(crate) owner: OwnerId,
    pub(crate) program: PathBuf,
    pub(crate) base_env: Vec<(String, String)>,
    pub(crate) open_files: (u64, u64),
    pub(crate) secrets: Arc<dyn Secrets>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub(crate) world: World,
    pub(crate) cgroups: Cgroups,
    pub(crate) host: LocalHost,
    handle: Handle,
    entries: Mutex<BTreeMap<InstanceId, Entry>>,
    ports: Mutex<Ports>,
    sink: OnceLock<NudgeSink>,
    /// Shims that we started and must wait for when they end, with the number of their life.
    pub(crate) shims: Mutex<Vec<(InstanceId, u32, Child)>>,
}

impl ProcessRuntime {
    /// Opens the folder of instances; needs a tokio runtime.
    ///
    /// # Errors
    /// When the folder cannot be made, or `/proc` cannot be read.
    pub fn open(config: ProcessConfig) -> std::io::Result<Self> {
        let home = Home::new(&config.state_dir);
        std::fs::create_dir_all(home.path())?;
        let limit = getrlimit(Resource::Nofile);
        let found = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
        let world = World::here()?;
        let seed = format!("{} {world:?}", config.state_dir.display())
            .bytes()
            .fold(5_381_u64, |sum, byte| sum.wrapping_mul(33) ^ u64::from(byte));
        let inner = Arc::new(Inner {
            home,
            owner: config.owner,
            program: config.program,
            base_env: config.base_env,
            open_files: config.open_files.unwrap_or(found),
            secrets: config.secrets,
            now: config.now,
            world,
            cgroups: Cgroups::detect(),
            host: LocalHost,
            handle: Handle::current(),
            entries: Mutex::new(BTreeMap::new()),
            ports: Mutex::new(Ports::starting_at(seed)),
            sink: OnceLock::new(),
            shims: Mutex::new(Vec::new()),
        });
        tokio::spawn(logs::keep_bounded(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }
}

impl Runtime for ProcessRuntime {
    fn survey(&self) -> BoxFuture<'_, Survey> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let sight = tokio::task::spawn_blocking(move || inner.survey()).await;
            let sight = sight.unwrap_or_else(|panic| Err(ObserveError { detail: panic.to_string() }));
            BTreeMap::from([(Place::here(), sight)])
        })
    }

    fn apply<'a>(&'a self, step: &'a TargetStep) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async move {
            let TargetStep::Instance(step) = step;
            let wanted = match step {
                InstanceStep::Create { release, .. } => release.template.user.clone(),
                InstanceStep::Start { id, .. } => self.inner.user_of(id),
                InstanceStep::Stop { .. } | InstanceStep::Remove { .. } => None,
            };
            let user = match &wanted {
                None => None,
                Some(name) => match user::look_up(&self.inner.host, name).await {
                    Ok(user) => user,
                    Err(why) => return StepOutcome::Refused { why: Refusal::Invalid(why) },
                },
            };
            let (inner, step) = (Arc::clone(&self.inner), step.clone());
            let outcome = tokio::task::spawn_blocking(move || inner.apply(&step, user)).await;
            outcome.unwrap_or_else(|panic| StepOutcome::Unknown {
                why: trueup_types::Doubt::OutcomeUnknown(panic.to_string()),
            })
        })
    }
}

impl Nudges for ProcessRuntime {
    fn listen(&self, sink: NudgeSink) {
        // Only the first listener hears: a runtime has one driver.
        let _ = self.inner.sink.set(sink);
    }
}

impl Inner {
    fn survey(self: &Arc<Self>) -> Result<Sight, ObserveError> {
        self.reap_shims();
        let seen = |why: std::io::Error| ObserveError { detail: why.to_string() };
        let there = self.listed().map_err(seen)?;
        let now = (self.now)();
        let mut entries = self.entries();
        entries.retain(|id, entry| entry.making || there.contains(id));
        for id in &there {
            let paths = self.home.instance(id);
            if let Some(entry) = entries.get_mut(id) {
                let was_up = entry.up();
                entry.refresh(&paths, &self.world, now).map_err(seen)?;
                self.follow(entry, was_up);
                continue;
            }
            let mut entry = match Entry::adopt(&paths, &self.world, now) {
                Ok(entry) => entry,
                // Removed since it was listed.
                Err(_) if !paths.0.exists() => continue,
                Err(why) => return Err(seen(why)),
            };
            if entry.spec.owner == self.owner {
                self.take_up(&mut entry, &paths);
                entries.insert(id.clone(), entry);
            }
        }
        Ok(Sight { instances: entries.values().map(sighting).collect() })
    }

    /// The instances whose folders are there.
    fn listed(&self) -> std::io::Result<std::collections::BTreeSet<InstanceId>> {
        let mut there = std::collections::BTreeSet::new();
        for entry in std::fs::read_dir(self.home.path())? {
            // What begins with a dot is on its way in or out.
            let name = entry?.file_name();
            there.extend(name.to_str().and_then(|name| name.parse::<InstanceId>().ok()));
        }
        Ok(there)
    }

    /// What an earlier daemon left running is ours to watch, and to stop where its shim no longer can.
    pub(crate) fn take_up(self: &Arc<Self>, entry: &mut Entry, paths: &InstancePaths) {
        if entry.up() {
            let mut ports = self.ports();
            for (_, port) in entry.life.iter().flat_map(|life| &life.ports) {
                ports.hold(*port);
            }
        }
        self.follow(entry, entry.up());
        if let State::Running { stopping: Some(_), .. } = &entry.state
            && let Ok(Some(asked)) = files::read_unsynced(&paths.life(entry.number).stop())
        {
            self.deputise(entry, asked);
        }
    }

    /// Watches what runs, and gives back the ports of what no longer does.
    pub(crate) fn follow(self: &Arc<Self>, entry: &mut Entry, was_up: bool) {
        if was_up && !entry.up() {
            let mut ports = self.ports();
            for (_, port) in entry.life.iter().flat_map(|life| &life.ports) {
                ports.release(*port);
            }
        }
        let State::Running { main: Some(main), lived, .. } = &entry.state else { return };
        if entry.watch.is_some() {
            return;
        }
        let (main, shim, id) = (Arc::clone(main), lived.shim, entry.spec.id.clone());
        let exit = self.home.instance(&id).life(entry.number).exit();
        let inner: Weak<Self> = Arc::downgrade(self);
        let task = self.handle.spawn(async move {
            deputy::ended(&main).await;
            // The shim's word follows within a millisecond; a dead shim's never does.
            let mut wait = Duration::from_millis(1);
            while !exit.exists() && shim.grasp().is_some_and(|shim| shim.alive()) && wait < Duration::from_secs(1) {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            if let Some(sink) = inner.upgrade().and_then(|inner| inner.sink.get().cloned()) {
                sink(Nudge::App(id.app));
            }
        });
        entry.watch = Some(task.abort_handle());
    }

    pub(crate) fn deputise(&self, entry: &Entry, asked: Asked) {
        bell::ring(&self.home.instance(&entry.spec.id).life(entry.number).bell());
        if let State::Running { main: Some(main), lived, .. } = &entry.state {
            self.handle.spawn(deputy::see_to(Arc::clone(main), lived.shim, asked));
        }
    }

    fn reap_shims(self: &Arc<Self>) {
        let mut shims = self.shims.lock().expect("no holder panics");
        // One that cannot be asked is not ours to wait for any more.
        let ended: Vec<_> =
            shims.extract_if(.., |(_, _, shim)| !shim.try_wait().is_ok_and(|ended| ended.is_none())).collect();
        drop(shims);
        for (id, number, _) in ended {
            self.give_up(&id, number);
        }
    }

    fn user_of(&self, id: &InstanceId) -> Option<String> {
        self.entries().get(id).and_then(|entry| entry.spec.release.template.user.clone())
    }

    /// The folder of an instance's newest life, and the number of it; `None` when it has none.
    pub(crate) fn newest_life(&self, id: &InstanceId) -> Option<(InstancePaths, u32)> {
        let number = self.entries().get(id).map(|entry| entry.number).filter(|number| *number > 0)?;
        Some((self.home.instance(id), number))
    }

    /// The folders of the lives that may be writing.
    pub(crate) fn writing(&self) -> Vec<LifePaths> {
        let entries = self.entries();
        let up = entries.iter().filter(|(_, entry)| entry.up());
        up.map(|(id, entry)| self.home.instance(id).life(entry.number)).collect()
    }

    pub(crate) fn time(&self) -> Timestamp {
        (self.now)()
    }

    pub(crate) fn entries(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Entry>> {
        self.entries.lock().expect("no holder panics")
    }

    pub(crate) fn ports(&self) -> MutexGuard<'_, Ports> {
        self.ports.lock().expect("no holder panics")
    }
}
