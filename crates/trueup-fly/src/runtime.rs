//! The target: what it is told, and what its parts share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use trueup_seams::{BoxFuture, NudgeSink, Nudges, Runtime, Secrets, Survey, Watch};
use trueup_types::fly::FlySpec;
use trueup_types::step::{StepOutcome, TargetStep};
use trueup_types::{AppName, OwnerId, Release, TargetName, Timestamp};

use crate::book::AppBook;
use crate::certificates::Keeper;
use crate::client::Client;
use crate::fate::Records;
use crate::labels::Mine;
use crate::lease;
use crate::memory::Memory;
use crate::moment::{Clock, Clocks, WallMillis};
use crate::public::Public;
use crate::token::TokenSource;
use crate::watch;
use crate::wire::Wire;

/// How long a change of who is registered takes until every edge of the platform's proxy acts on it: flyctl waits as long
/// between its own steps of a blue-green deployment (`internal/command/deploy`, read 2026-08-21).
pub const PROPAGATION: Duration = Duration::from_secs(10);

/// What the runtime is told.
pub struct FlyConfig {
    /// A folder of ours, for what the platform does not remember.
    pub folder: PathBuf,
    /// Whose machines are ours.
    pub owner: OwnerId,
    /// For which target they are made.
    pub target: TargetName,
    /// Whose apps they are, and how they are made.
    pub settings: FlySpec,
    /// Hands out the token.
    pub token: TokenSource,
    /// What releases' secrets hold.
    pub secrets: Arc<dyn Secrets>,
    /// Who carries requests.
    pub wire: Arc<dyn Wire>,
    /// Steady time.
    pub now: Clock<Timestamp>,
    /// The wall clock, by which the platform writes its moments.
    pub wall: Clock<WallMillis>,
    /// How long the proxy takes to hear of a change; [`PROPAGATION`] on the real one.
    pub propagation: Duration,
    /// Where apps are reached by their names, in place of what these names resolve to: a simulated platform's address.
    pub apps_at: Option<String>,
}

/// Machines of an organisation.
pub struct FlyRuntime {
    pub(crate) inner: Arc<Inner>,
    tasks: OnceLock<Vec<AbortHandle>>,
}

impl Drop for FlyRuntime {
    fn drop(&mut self) {
        for task in self.tasks.get().into_iter().flatten() {
            task.abort();
        }
    }
}

pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) mine: Mine,
    pub(crate) settings: FlySpec,
    pub(crate) clocks: Clocks,
    pub(crate) memory: Memory,
    pub(crate) propagation: Duration,
    pub(crate) apps_at: Option<String>,
    /// What the world is answered while a rollout is under way.
    pub(crate) public: Public,
    /// What becomes of releases, where flyctl is told.
    pub(crate) records: Records,
    /// The certificates of apps' own names.
    pub(crate) certified: Keeper,
    pub(crate) handle: Handle,
    pub(crate) sink: OnceLock<NudgeSink>,
    /// What is known, by the name of the app there.
    pub(crate) books: Mutex<BTreeMap<String, AppBook>>,
    /// When the organisation's listing was read last, where that went well.
    pub(crate) around: tokio::sync::Mutex<Option<tokio::time::Instant>>,
    /// One closer look at an app at a time.
    pub(crate) looks: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// One app is made at a time, and one table is made true.
    pub(crate) making: tokio::sync::Mutex<()>,
    pub(crate) routing: tokio::sync::Mutex<()>,
    /// And one app's secrets are set.
    pub(crate) setting: tokio::sync::Mutex<()>,
    pub(crate) secrets: Arc<dyn Secrets>,
    /// The only apps that the token opens, where it is for single ones.
    pub(crate) scope: Mutex<Option<std::collections::BTreeSet<String>>>,
    /// Apps whose addresses were seen.
    pub(crate) addressed: Mutex<BTreeMap<String, crate::addresses::Reach>>,
}

impl FlyRuntime {
    /// Reads the folder; makes nothing, and asks nobody before the first step or survey. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn open(config: FlyConfig) -> std::io::Result<Self> {
        let (api, web) = (config.settings.api_url().to_owned(), config.settings.web_url().to_owned());
        let inner = Inner {
            client: Client::new(config.wire, config.token, &api, &web),
            mine: Mine { owner: config.owner, target: config.target },
            settings: config.settings,
            clocks: Clocks { now: config.now, wall: config.wall },
            memory: Memory::open(&config.folder)?,
            propagation: config.propagation,
            apps_at: config.apps_at,
            public: Public::default(),
            records: Records::default(),
            certified: Keeper::default(),
            handle: Handle::current(),
            sink: OnceLock::new(),
            books: Mutex::default(),
            around: tokio::sync::Mutex::default(),
            looks: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            routing: tokio::sync::Mutex::default(),
            setting: tokio::sync::Mutex::default(),
            secrets: config.secrets,
            scope: Mutex::default(),
            addressed: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner), tasks: OnceLock::new() })
    }
}

impl Runtime for FlyRuntime {
    fn survey(&self) -> BoxFuture<'_, Survey> {
        Box::pin(self.inner.survey())
    }

    fn apply<'a>(&'a self, step: &'a TargetStep) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async move {
            let TargetStep::Instance(step) = step;
            self.inner.apply(step).await
        })
    }

    fn keep<'a>(&'a self, app: &'a AppName, releases: &'a [Arc<Release>]) -> BoxFuture<'a, ()> {
        let (inner, app, releases) = (Arc::clone(&self.inner), app.clone(), releases.to_vec());
        // Nobody waits for the platform.
        self.inner.handle.spawn(async move { inner.keep_secrets(&app, &releases).await });
        Box::pin(std::future::ready(()))
    }

    fn retire<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StepOutcome> {
        Box::pin(self.inner.retire(app))
    }

    fn watch(&self, app: &AppName, watch: Watch) {
        self.inner.public.watch(app, watch);
        if self.inner.settings.flyctl_metadata {
            self.inner.records.watch(app, watch);
            self.inner.client.leases.watch(app, watch, tokio::time::Instant::now());
        }
    }

    fn names(&self, app: &AppName, routes: &[trueup_types::Route]) {
        self.inner.certified.want(app, routes);
    }

    fn certificates(&self, app: &AppName) -> Vec<trueup_types::Certificate> {
        self.inner.certified.of(app)
    }

    fn called(&self, app: &AppName) -> Option<String> {
        self.inner.memory.look(|kept| kept.homes.get(app).map(|home| home.fly.clone()))
    }
}

impl Nudges for FlyRuntime {
    fn listen(&self, sink: NudgeSink) {
        // Only the first listener hears: a runtime has one driver.
        if self.inner.sink.set(sink).is_ok() {
            let mut tasks = vec![self.inner.handle.spawn(watch::keep_watch(Arc::clone(&self.inner))).abort_handle()];
            if self.inner.settings.flyctl_metadata {
                tasks.push(self.inner.handle.spawn(lease::keep_leases(Arc::clone(&self.inner))).abort_handle());
            }
            // Set once, as the sink was.
            let _ = self.tasks.set(tasks);
        }
    }
}

impl Inner {
    pub(crate) fn books(&self) -> MutexGuard<'_, BTreeMap<String, AppBook>> {
        self.books.lock().expect("no holder panics")
    }

    /// Works on what is known of an app there.
    pub(crate) fn book<T>(&self, fly: &str, work: impl FnOnce(&mut AppBook) -> T) -> T {
        work(self.books().entry(fly.to_owned()).or_default())
    }

    /// Has an app looked at again: something went otherwise than it should have by what is known of it.
    pub(crate) fn doubt(&self, fly: &str) {
        self.book(fly, |book| book.dirty = true);
    }
}
