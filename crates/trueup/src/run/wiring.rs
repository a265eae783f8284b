//! Which adapter stands behind which seam.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use trueup_docker::{DockerConfig, DockerRuntime};
use trueup_driver::preview::Looked;
use trueup_driver::{Clock as _, DriverParts, Identity, RuntimeParts, SteadyClock, clock};
use trueup_process::{ProcessConfig, ProcessRuntime};
use trueup_seams::{
    DaemonRecord, Inspect, NoSecrets, Nudges, ObserveError, Runtime, Secrets, Source, Store as _, StoreError, Survey,
};
use trueup_secrets::Vault;
use trueup_source::{DirectorySource, SourceConfig};
use trueup_store::SledStore;
use trueup_types::docker::{Address, DockerSpec};
use trueup_types::step::{StepOutcome, TargetStep};
use trueup_types::target::{TargetKind, TargetSpec};
use trueup_types::{OwnerId, Place, TargetName};

use super::edge_keeper::EdgeKeeper;
use super::machines;
use crate::cli::{Places, Run};
use crate::config;
use crate::manifests::ManifestReader;
use crate::terminal::say;

/// This very program, though its file be replaced.
pub(crate) const OURSELVES: &str = "/proc/self/exe";

/// From one try of a store that cannot be read to the next.
const STORE_AGAIN: Duration = Duration::from_secs(2);

/// The parts, joined.
pub(crate) struct House {
    pub parts: DriverParts,
    pub source: Arc<dyn Source>,
    pub edge: Arc<EdgeKeeper>,
}

/// What every target is made with.
pub(crate) struct Ground {
    pub state_dir: PathBuf,
    /// The folder that paths in manifests begin from.
    pub root: PathBuf,
    pub owner: OwnerId,
    pub open_files: (u64, u64),
    pub clock: Arc<SteadyClock>,
    pub secrets: Arc<dyn Secrets>,
}

impl House {
    pub(crate) async fn build(
        places: &Places,
        asked: &Run,
        state_dir: &Path,
        open_files: (u64, u64),
    ) -> anyhow::Result<Self> {
        let store = {
            let state_dir = state_dir.to_owned();
            tokio::task::spawn_blocking(move || SledStore::open(&state_dir)).await??
        };
        let store = Arc::new(store);
        let clock = Arc::new(steady_clock(store.as_ref()).await?);
        let edge = EdgeKeeper::start(state_dir, asked.listen.clone(), asked.owner.clone()).await?;
        let settings = SourceConfig { root: config::absolute(&asked.dir), settle: asked.settle, rescan: asked.resync };
        let vault = Vault::open(&vault_dir(state_dir), config::variables());
        let vault = Arc::new(vault.context("the folder of secrets cannot be opened")?);
        let secrets = || Arc::clone(&vault) as Arc<dyn Secrets>;
        let source: Arc<dyn Source> = DirectorySource::start(settings, Arc::new(ManifestReader::default()), secrets());
        let runtimes = {
            let ground = Ground {
                state_dir: state_dir.to_owned(),
                root: trueup_source::root_of(&config::absolute(&asked.dir)),
                owner: asked.owner.clone(),
                open_files,
                clock: Arc::clone(&clock),
                secrets: secrets(),
            };
            Box::new(move |spec: &TargetSpec| runtime(spec, &ground))
        };
        let listen: Vec<_> = asked.listen.iter().map(ToString::to_string).collect();
        let parts = DriverParts {
            source: Arc::clone(&source),
            store,
            runtimes,
            ingress: Some(edge.ingress()),
            secrets: secrets(),
            seed: clock.now().as_millis(),
            clock,
            owner: asked.owner.clone(),
            state_dir: Some(state_dir.to_owned()),
            status_files: config::status_files(places),
            resync: asked.resync,
            rollouts_max: asked.max_rollouts,
            about: Identity {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                source: config::absolute(&asked.dir).display().to_string(),
                listen: Some(listen.join(",")),
            },
            edge_fault: edge.fault(),
        };
        Ok(Self { parts, source, edge })
    }
}

/// Waits until the store can be read: what runs goes on without us, and without memory nothing could be decided.
async fn readable(store: &SledStore) -> anyhow::Result<DaemonRecord> {
    loop {
        match store.load().await {
            Ok(memory) => return Ok(memory.daemon),
            Err(StoreError::Unavailable(why)) => {
                say(&format!("waiting for the store, while apps and edge go on: {why}"));
                tokio::time::sleep(STORE_AGAIN).await;
            }
            Err(error @ StoreError::Locked(_)) => return Err(error.into()),
        }
    }
}

/// Time goes on from where the last daemon left it.
async fn steady_clock(store: &SledStore) -> anyhow::Result<SteadyClock> {
    let boot_id = clock::boot_id().context("the boot id cannot be read; is /proc mounted?")?;
    let mut record = readable(store).await?;
    let before = record.clone();
    let clock = SteadyClock::continued(&mut record, &boot_id);
    if record != before
        && let Err(error) = store.save_daemon(&record).await
    {
        tracing::warn!(%error, "the clock's anchor is not saved");
    }
    Ok(clock)
}

/// Where the values of secrets are kept.
pub(crate) fn vault_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("secrets")
}

/// What reaches a target.
fn runtime(spec: &TargetSpec, ground: &Ground) -> RuntimeParts {
    match &spec.kind {
        TargetKind::Process => match processes(&spec.name, ground) {
            Ok(runtime) => parts(runtime),
            Err(error) => out_of_sight(&error),
        },
        TargetKind::Docker(settings) => match containers(spec, settings, ground) {
            Ok(runtime) => parts(runtime),
            Err(error) => out_of_sight(&error),
        },
        TargetKind::Fly(settings) => {
            let folder = home(&spec.name, &ground.state_dir).join("fly");
            match machines::open(&spec.name, settings, folder, ground) {
                Ok(runtime) => machines::parts(runtime),
                Err(error) => out_of_sight(&error),
            }
        }
    }
}

/// What looks at a target and makes nothing; nothing where there can be nothing of ours.
pub(crate) fn looking(
    spec: &TargetSpec,
    state_dir: &Path,
    owner: &OwnerId,
    clock: &Arc<SteadyClock>,
) -> std::io::Result<Option<Looked>> {
    let looked = |runtime: Arc<dyn Runtime>| Some(Looked { runtime, ingress: None });
    // Who only looks builds nothing, and gives nothing to anybody.
    let ground = |open_files| Ground {
        state_dir: state_dir.to_owned(),
        root: PathBuf::new(),
        owner: owner.clone(),
        open_files,
        clock: Arc::clone(clock),
        secrets: Arc::new(NoSecrets),
    };
    match &spec.kind {
        TargetKind::Process if home(&spec.name, state_dir).join("instances").exists() => {
            Ok(looked(Arc::new(processes(&spec.name, &ground(raise_open_files()))?)))
        }
        TargetKind::Docker(settings) if may_be_there(settings) => {
            Ok(looked(Arc::new(containers(spec, settings, &ground((0, 0)))?)))
        }
        TargetKind::Fly(settings) => {
            let folder = home(&spec.name, state_dir).join("fly");
            if !machines::was_used(&folder) {
                return Ok(None);
            }
            let parts = machines::parts(machines::open(&spec.name, settings, folder, &ground((0, 0)))?);
            Ok(Some(Looked { runtime: parts.runtime, ingress: parts.ingress }))
        }
        TargetKind::Process | TargetKind::Docker(_) => Ok(None),
    }
}

/// Whether there is a socket; of an engine elsewhere only a call tells.
fn may_be_there(settings: &DockerSpec) -> bool {
    match settings.address() {
        Address::Socket(path) => Path::new(path).exists(),
        Address::Tcp(_) => true,
    }
}

/// An adapter behind each of the seams that it serves.
fn parts<T: Runtime + Inspect + Nudges + 'static>(runtime: T) -> RuntimeParts {
    let runtime = Arc::new(runtime);
    RuntimeParts {
        runtime: Arc::clone(&runtime) as Arc<dyn Runtime>,
        inspect: Some(Arc::clone(&runtime) as Arc<dyn Inspect>),
        nudges: Some(runtime),
        ingress: None,
    }
}

fn out_of_sight(error: &std::io::Error) -> RuntimeParts {
    let why = format!("the target's folder cannot be opened: {error}");
    RuntimeParts { runtime: Arc::new(OutOfSight { why }), inspect: None, nudges: None, ingress: None }
}

fn containers(spec: &TargetSpec, settings: &DockerSpec, ground: &Ground) -> std::io::Result<DockerRuntime> {
    let clock = Arc::clone(&ground.clock);
    DockerRuntime::open(DockerConfig {
        folder: home(&spec.name, &ground.state_dir).join("docker"),
        owner: ground.owner.clone(),
        target: spec.name.clone(),
        settings: settings.clone(),
        root: ground.root.clone(),
        env: Arc::new(config::variable),
        secrets: Arc::clone(&ground.secrets),
        now: Arc::new(move || clock.now()),
    })
}

/// The process runtime of a target; each target has a folder of its own.
fn processes(target: &TargetName, ground: &Ground) -> std::io::Result<ProcessRuntime> {
    let clock = Arc::clone(&ground.clock);
    ProcessRuntime::open(ProcessConfig {
        state_dir: home(target, &ground.state_dir),
        owner: ground.owner.clone(),
        program: PathBuf::from(OURSELVES),
        base_env: config::base_env(),
        open_files: Some(ground.open_files),
        secrets: Arc::clone(&ground.secrets),
        now: Arc::new(move || clock.now()),
    })
}

/// Where a target's instances lie.
fn home(target: &TargetName, state_dir: &Path) -> PathBuf {
    if *target == TargetName::local() { state_dir.to_owned() } else { state_dir.join("targets").join(target.as_str()) }
}

/// A target whose adapter could not be made: nothing of it can be seen, so nothing is done.
struct OutOfSight {
    why: String,
}

impl Runtime for OutOfSight {
    fn survey(&self) -> trueup_seams::BoxFuture<'_, Survey> {
        Box::pin(async { Survey::from([(Place::here(), Err(ObserveError { detail: self.why.clone() }))]) })
    }

    fn apply<'a>(&'a self, _: &'a TargetStep) -> trueup_seams::BoxFuture<'a, StepOutcome> {
        Box::pin(async { StepOutcome::Unknown { why: trueup_types::Doubt::TargetDark(self.why.clone()) } })
    }
}

/// Raises our own limit of open files as far as it goes; answers what it was, which is what instances get.
pub(crate) fn raise_open_files() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    let found = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays");
    }
    found
}
