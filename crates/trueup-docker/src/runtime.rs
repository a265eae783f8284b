//! The survey of an engine: one listing for all, and a closer look only at what has changed since the last.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::ListContainersOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::AbortHandle;
use trueup_seams::{Asking, BoxFuture, Likeness, NudgeSink, ObserveError, Runtime, Secrets, Sight, Survey, Underway};
use trueup_types::docker::{Address, DockerSpec};
use trueup_types::observed::{ExitWhy, Phase, Sighting};
use trueup_types::step::{StepOutcome, TargetStep};
use trueup_types::{AppName, InstanceId, OwnerId, Place, Release, TargetName, Timestamp};

use crate::asked::AskedBook;
use crate::build::BUILDS_MAX;
use crate::credentials::Env;
use crate::engine::{Engine, Fault};
use crate::images::Pins;
use crate::known::{Known, Mark};
use crate::labels::{Mine, Written};
use crate::lift::{self, Around};
use crate::moment::{Clocks, WallMillis};
use crate::names::Silent;
use crate::network::Networked;
use crate::seen::{Before, Seen};
use crate::steps::Looked;
use crate::work::Works;

/// The network that an engine makes for itself.
const ENGINE_NETWORK: &str = "bridge";
/// Looks at a state that an engine passes through, and from one to the next: it lasts as long as the small program takes
/// that podman starts at the end of a container.
const PASSAGE_TRIES: u32 = 40;
const PASSAGE_AGAIN: Duration = Duration::from_millis(50);
/// How long an engine may take to clear up after an end: a look at one whose end was told waits until it has.
const CLEARED_UP: Duration = Duration::from_secs(1);
/// Closer looks at a time: beyond that an engine only queues them.
const LOOKS_MAX: usize = 8;

/// What the runtime is told.
pub struct DockerConfig {
    /// A folder of ours, for what an engine does not remember.
    pub folder: PathBuf,
    /// Whose containers are ours.
    pub owner: OwnerId,
    /// For which target they are made.
    pub target: TargetName,
    /// Where the engine is, and how containers are made there.
    pub settings: DockerSpec,
    /// The folder that the contexts of builds are named from.
    pub root: PathBuf,
    /// The environment, for passwords that are in it and for programs that keep them.
    pub env: Env,
    /// What releases' secrets hold.
    pub secrets: Arc<dyn Secrets>,
    /// Steady time.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Containers of an engine.
pub struct DockerRuntime {
    pub(crate) inner: Arc<Inner>,
    pub(crate) bell: OnceLock<AbortHandle>,
}

impl Drop for DockerRuntime {
    fn drop(&mut self) {
        if let Some(bell) = self.bell.get() {
            bell.abort();
        }
    }
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) mine: Mine,
    pub(crate) settings: DockerSpec,
    pub(crate) clocks: Clocks,
    pub(crate) asked: AskedBook,
    pub(crate) pins: Pins,
    pub(crate) silent: Silent,
    pub(crate) works: Works,
    /// One at a time makes the network, or takes it away.
    pub(crate) networking: tokio::sync::Mutex<Networked>,
    /// Turns at building.
    pub(crate) builds: Semaphore,
    pub(crate) folder: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) env: Env,
    pub(crate) secrets: Arc<dyn Secrets>,
    pub(crate) handle: Handle,
    pub(crate) sink: OnceLock<NudgeSink>,
    /// Containers that a task of ours is stopping.
    pub(crate) stopping: Mutex<BTreeSet<String>>,
    seen: Mutex<Seen>,
    /// Moves as each step begins and ends, so that a survey that one fell into leaves nothing of its instance behind.
    deeds: AtomicU64,
}

/// A step under way; dropped, it has ended, however it did.
struct Deed<'a> {
    inner: &'a Inner,
    id: &'a InstanceId,
}

impl Drop for Deed<'_> {
    fn drop(&mut self) {
        let deeds = self.inner.deeds.fetch_add(1, Ordering::SeqCst) + 1;
        self.inner.seen().end(self.id, deeds);
    }
}

impl DockerRuntime {
    /// Reads the folder, and makes nothing before the first step; the engine is reached when it is first needed. Needs a
    /// tokio runtime.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn open(config: DockerConfig) -> std::io::Result<Self> {
        let inner = Inner {
            engine: Engine::new(config.settings.address()),
            mine: Mine { owner: config.owner, target: config.target },
            settings: config.settings,
            clocks: Clocks { now: config.now },
            asked: AskedBook::open(&config.folder)?,
            pins: Pins::open(&config.folder)?,
            silent: Silent::default(),
            works: Works::default(),
            networking: tokio::sync::Mutex::default(),
            builds: Semaphore::new(BUILDS_MAX),
            folder: config.folder,
            root: config.root,
            env: config.env,
            secrets: config.secrets,
            handle: Handle::current(),
            sink: OnceLock::new(),
            stopping: Mutex::default(),
            seen: Mutex::default(),
            deeds: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner), bell: OnceLock::new() })
    }
}

impl Runtime for DockerRuntime {
    fn survey(&self) -> BoxFuture<'_, Survey> {
        Box::pin(async move { BTreeMap::from([(Place::here(), self.inner.survey().await)]) })
    }

    fn apply<'a>(&'a self, step: &'a TargetStep) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async move {
            let TargetStep::Instance(step) = step;
            self.inner.deeds.fetch_add(1, Ordering::SeqCst);
            let at = self.inner.seen().leave(step.id());
            let _deed = Deed { inner: &self.inner, id: step.id() };
            self.inner.apply(step, at).await
        })
    }

    fn keep<'a>(&'a self, app: &'a AppName, releases: &'a [Arc<Release>]) -> BoxFuture<'a, ()> {
        let (inner, app) = (Arc::clone(&self.inner), app.clone());
        let kept: Vec<_> = releases.iter().map(|release| release.digest).collect();
        // An engine may take long over the layers of an image; nobody waits for that.
        self.inner.handle.spawn(async move { inner.prune(&app, &kept).await });
        Box::pin(std::future::ready(()))
    }

    fn alike<'a>(&'a self, release: &'a Release, image: &'a str, asking: Asking) -> BoxFuture<'a, Likeness> {
        Box::pin(self.inner.alike(release, image, asking))
    }

    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<Option<String>, ObserveError>> {
        Box::pin(async { self.inner.resolve(image).await.map(Some) })
    }

    fn underway(&self) -> Vec<Underway> {
        self.inner.works.underway()
    }

    fn retire<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async move {
            self.keep(app, &[]).await;
            StepOutcome::AlreadyTrue
        })
    }
}

impl Inner {
    async fn survey(self: &Arc<Self>) -> Result<Sight, ObserveError> {
        let deeds = self.deeds.load(Ordering::SeqCst);
        let listed = self.list(self.mine.filter()).await;
        let now = Clocks::wall();
        self.seen().note_sight(listed.is_ok(), now);
        let listed = listed?;
        // Of an engine elsewhere nobody here knows when its host came up.
        let here = matches!(self.settings.address(), Address::Socket(_));
        let booted = here.then(Clocks::booted);
        let around = Around { booted, dark: self.seen().dark, asker: self.engine.asker(), ..Around::default() };
        let (before, engine_up) = (self.seen().before(), OnceCell::new());
        let looks: Vec<_> = listed.iter().map(|entry| self.look(entry, &before, &around, &engine_up, now)).collect();
        let looked: Vec<_> = futures_util::stream::iter(looks).buffered(LOOKS_MAX).collect().await;
        let mut known = BTreeMap::new();
        for one in looked {
            known.extend(one?);
        }
        let instances = self.shown(&listed, &known);
        let mut seen = self.seen();
        // A step says that it begins before it asks where its instance is.
        if self.deeds.load(Ordering::SeqCst) == deeds && self.sink.get().is_some() {
            self.asked.keep_only(&listed.iter().filter_map(|entry| entry.id.as_deref()).collect());
        }
        seen.keep(known, &before, deeds);
        Ok(Sight { instances })
    }

    /// All containers with these labels, whatever their state.
    pub(crate) async fn list(&self, labels: Vec<String>) -> Result<Vec<ContainerSummary>, Fault> {
        let filters = std::collections::HashMap::from([("label".to_owned(), labels)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let mut tries = 1..PASSAGE_TRIES;
        loop {
            let client = self.engine.client().await?;
            match self.engine.look(client.list_containers(Some(options.clone()))).await {
                Err(fault) if fault.is_of_passage() && tries.next().is_some() => {
                    tokio::time::sleep(PASSAGE_AGAIN).await
                }
                answer @ (Ok(_) | Err(_)) => return answer,
            }
        }
    }

    /// Whether any container of ours is left; an engine that does not say may have some.
    pub(crate) async fn any_left(&self) -> bool {
        self.list(self.mine.filter()).await.is_ok_and(|listed| !listed.is_empty())
    }

    /// One container of a listing of that moment, looked at closely where it has changed; nothing when it has gone since.
    async fn look(
        &self,
        entry: &ContainerSummary,
        before: &Before,
        around: &Around,
        engine_up: &OnceCell<Option<WallMillis>>,
        now: WallMillis,
    ) -> Result<Option<(String, Known)>, ObserveError> {
        let Some(id) = entry.id.clone() else {
            return Err(ObserveError { detail: "the engine lists a container without an id".to_owned() });
        };
        let mark = Mark::of(entry);
        let earlier = before.of(&id);
        let still = earlier.filter(|known| known.still(&mark, now));
        if let Some(known) = still.filter(|_| !before.may_have_ended(&id)) {
            return Ok(Some((id, known.clone())));
        }
        let written = Written::read(entry.labels.as_ref().unwrap_or(&std::collections::HashMap::new()));
        let written = written.map_err(|why| ObserveError { detail: format!("container {id}: {why}") })?;
        let patience = if still.is_some() { CLEARED_UP } else { Duration::MAX };
        let inspected = match (tokio::time::timeout(patience, self.inspected(&id)).await, still) {
            (Ok(inspected), _) => inspected?,
            // It is seen when it is listed so; meanwhile it keeps nobody from seeing the others.
            (Err(_), still) => return Ok(still.map(|known| (id, known.clone()))),
        };
        let Some(container) = inspected else { return Ok(None) };
        let mut around = around.clone();
        if lift::may_not_have_started(&container) {
            around.not_started = self.not_started(&id).await;
        }
        // What this daemon has seen end by itself stays so, though the engine goes down later.
        let seen = earlier.is_some_and(|known| known.sighting.incarnation == lift::incarnation(&container));
        if lift::ended(&container) && !seen {
            around.engine_up = *engine_up.get_or_init(|| self.engine_up()).await;
        }
        let mut sighting = lift::sighting(&container, &written, &around, &self.clocks);
        if let Some(known) = earlier {
            known.dates(&mut sighting);
        }
        // A listing lags behind: what it said of another state is no mark of this one.
        let mark = if lift::is_as_listed(&container, entry) { mark } else { Mark::none() };
        Ok(Some((id, Known { mark, sighting, since: lift::since(&container), looked: now })))
    }

    /// When the engine came up: it makes its own network anew each time. One that goes on under its containers keeps it,
    /// and they end by nobody's fault but their own.
    async fn engine_up(&self) -> Option<WallMillis> {
        let client = self.engine.client().await.ok()?;
        let network = self.engine.look(client.inspect_network(ENGINE_NETWORK, None)).await.ok()?;
        WallMillis::read(network.created.as_deref())
    }

    /// A container as the engine describes it; nothing when it is gone.
    pub(crate) async fn inspected(&self, container: &str) -> Result<Option<ContainerInspectResponse>, Fault> {
        let mut tries = 1..PASSAGE_TRIES;
        loop {
            let client = self.engine.client().await?;
            match self.engine.look(client.inspect_container(container, None)).await {
                Ok(there) => return Ok(Some(there)),
                Err(fault) if fault.is_absence() => return Ok(None),
                Err(fault) if fault.is_of_passage() && tries.next().is_some() => {
                    tokio::time::sleep(PASSAGE_AGAIN).await
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// What is shown: each instance once, and what we told to stop as such.
    fn shown(self: &Arc<Self>, listed: &[ContainerSummary], known: &BTreeMap<String, Known>) -> Vec<Sighting> {
        let mut shown: BTreeMap<_, (Rank, Sighting)> = BTreeMap::new();
        for entry in listed {
            let Some((id, one)) = entry.id.as_deref().and_then(|id| Some((id, known.get(id)?))) else { continue };
            let rank = self.rank(entry, &one.sighting.id);
            if let Some((other, _)) = shown.get(&one.sighting.id) {
                tracing::warn!(container = id, instance = %one.sighting.id, "another container carries our labels");
                // Engines list the newest first, and tell ages only to the second.
                if *other < rank {
                    continue;
                }
            }
            shown.insert(one.sighting.id.clone(), (rank, self.dressed(id, &one.sighting)));
        }
        shown.into_values().map(|(_, sighting)| sighting).collect()
    }

    /// A sighting, with what we told it.
    fn dressed(self: &Arc<Self>, container: &str, bare: &Sighting) -> Sighting {
        let mut sighting = bare.clone();
        let Some(asked) = self.asked.of(container, &bare.incarnation) else { return sighting };
        match &mut sighting.phase {
            Phase::Running { .. } => {
                let since = self.clocks.steady(asked.at());
                // What another daemon began is seen through; whoever only looks, and listens to nothing, does nothing.
                if self.sink.get().is_some() {
                    self.see_off(container, asked, Looked::Before);
                }
                sighting.phase = Phase::Vanishing { since };
            }
            Phase::Exited { why: why @ (ExitWhy::ByItself | ExitWhy::HostLost), .. } => *why = ExitWhy::Asked,
            Phase::Exited { why: ExitWhy::Asked | ExitWhy::CannotStart { .. }, .. }
            | Phase::Created
            | Phase::Starting
            | Phase::Asleep
            | Phase::Vanishing { .. } => {}
        }
        sighting
    }

    /// Which of several containers with the labels of one instance is the one, the least first: a copy of a container
    /// carries its labels, too. The one with our name is ours; else, as somebody may have renamed it, the oldest.
    fn rank(&self, entry: &ContainerSummary, id: &InstanceId) -> Rank {
        let ours = [self.mine.container(id), self.mine.container_apart(id)];
        let named =
            entry.names.iter().flatten().any(|there| ours.iter().any(|name| name == there.trim_start_matches('/')));
        Rank { renamed: !named, created: entry.created.unwrap_or(i64::MAX) }
    }

    /// The container of a listing that is the one.
    pub(crate) fn the_one(&self, listed: Vec<ContainerSummary>, id: &InstanceId) -> Option<ContainerSummary> {
        listed.into_iter().rev().min_by_key(|entry| self.rank(entry, id))
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder panics")
    }
}

/// See [`Inner::rank`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    renamed: bool,
    created: i64,
}
