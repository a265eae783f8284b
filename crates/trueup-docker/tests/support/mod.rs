//! One instance on a real engine, and the releases that it is made of.

#[path = "../../../../tests/src/engine/mod.rs"]
#[allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "shared with the end-to-end tests, which use other parts of it"
)]
pub mod engine;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use engine::{Engine, IMAGE};
use tokio::time::Instant;
use trueup_docker::{DockerConfig, DockerRuntime};
use trueup_seams::{Inspect as _, LogLine, LogQuery, ObserveError, Runtime as _};
use trueup_sim::AppSketch;
use trueup_types::observed::{ExitWhy, Phase, Sighting};
use trueup_types::step::{InstanceStep, StepOutcome, TargetStep};
use trueup_types::target::DockerSpec;
use trueup_types::template::{Port, Protocol, Stop};
use trueup_types::{AppName, InstanceId, OwnerId, Place, Release, Revision, TargetName, Template, Timestamp};

/// Longest that anything on a loaded machine may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "the clock of these tests")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is set");
    Timestamp::from_millis(u64::try_from(since.as_millis()).expect("a sane clock"))
}

pub fn open(engine: &Engine, folder: &Path, owner: &str, settings: DockerSpec) -> DockerRuntime {
    open_as(engine, folder, owner, "here", settings)
}

pub fn open_as(engine: &Engine, folder: &Path, owner: &str, target: &str, settings: DockerSpec) -> DockerRuntime {
    let config = DockerConfig {
        folder: folder.to_owned(),
        owner: OwnerId::new(owner).expect("a name"),
        target: TargetName::new(target).expect("a name"),
        settings: DockerSpec { host: Some(settings.host.unwrap_or_else(|| engine.host())), ..settings },
        root: folder.to_owned(),
        env: Arc::new(|name| (name == "PATH").then(|| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())),
        secrets: Arc::new(trueup_seams::NoSecrets),
        now: Arc::new(now),
    };
    DockerRuntime::open(config).expect("the folder can be made")
}

/// A release of busybox that runs a script.
pub fn release(app: &AppName, revision: Revision, script: &str) -> Release {
    let mut sketch = AppSketch::web(app.as_str());
    sketch.template = Template {
        image: Some(IMAGE.to_owned()),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        ports: vec![Port { name: "http".parse().expect("a name"), port: None, protocol: Protocol::Http }],
        ..Template::default()
    };
    sketch.release(revision)
}

/// One instance on a runtime of its own owner: no test sees another's.
pub struct One {
    pub runtime: DockerRuntime,
    pub id: InstanceId,
    pub folder: tempfile::TempDir,
    engine: &'static Engine,
    owner: String,
    settings: DockerSpec,
}

impl One {
    pub fn new(engine: &'static Engine, owner: &str) -> Self {
        Self::with(engine, owner, DockerSpec::default())
    }

    pub fn with(engine: &'static Engine, owner: &str, settings: DockerSpec) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = open(engine, folder.path(), owner, settings.clone());
        let id = "web-r1-0".parse().expect("a name");
        Self { runtime, id, folder, engine, owner: owner.to_owned(), settings }
    }

    pub async fn started(engine: &'static Engine, owner: &str, script: &str) -> Self {
        let one = Self::new(engine, owner);
        assert_eq!(one.create(one.release(script)).await, StepOutcome::Done);
        one
    }

    /// Another daemon, after this one has died.
    pub fn again(mut self) -> Self {
        self.runtime = open(self.engine, self.folder.path(), &self.owner, self.settings.clone());
        self
    }

    pub fn release(&self, script: &str) -> Release {
        release(&self.id.app, self.id.revision, script)
    }

    /// The name of its container.
    pub fn container(&self) -> String {
        format!("{}-{}", self.owner, self.id)
    }

    pub async fn create(&self, release: Release) -> StepOutcome {
        self.create_as(&self.id, release).await
    }

    /// Creates it, and waits for what takes long; what was said of that is answered, too.
    pub async fn create_in_time(&self, release: &Release) -> (StepOutcome, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        loop {
            match self.create(release.clone()).await {
                StepOutcome::Underway { said, why, .. } => {
                    all.push(why);
                    all.extend(said);
                }
                outcome @ (StepOutcome::Done
                | StepOutcome::AlreadyTrue
                | StepOutcome::Retry { .. }
                | StepOutcome::Refused { .. }
                | StepOutcome::Unknown { .. }) => return (outcome, all),
            }
            assert!(Instant::now() < deadline, "it does not end: {all:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn create_as(&self, id: &InstanceId, release: Release) -> StepOutcome {
        let step = InstanceStep::Create { id: id.clone(), place: Place::here(), release: Arc::new(release) };
        self.apply(step).await
    }

    pub async fn apply(&self, step: InstanceStep) -> StepOutcome {
        self.runtime.apply(&TargetStep::Instance(step)).await
    }

    pub async fn survey(&self) -> Result<Vec<Sighting>, ObserveError> {
        let survey = self.runtime.survey().await;
        survey.into_values().next().expect("one place").map(|sight| sight.instances)
    }

    pub async fn seen(&self) -> Option<Sighting> {
        let seen = self.survey().await.expect("it is in sight");
        seen.into_iter().find(|one| one.id == self.id)
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Sighting) -> bool) -> Sighting {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.seen().await;
            if let Some(one) = seen.as_ref().filter(|one| holds(one)) {
                return one.clone();
            }
            assert!(Instant::now() < deadline, "{what}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn running(&self) -> Sighting {
        self.until("it runs", |one| matches!(one.phase, Phase::Running { .. })).await
    }

    pub async fn exited(&self) -> (Option<i32>, ExitWhy) {
        let seen = self.until("it exits", |one| matches!(one.phase, Phase::Exited { .. })).await;
        let Phase::Exited { code, why, .. } = seen.phase else { unreachable!("waited for") };
        (code, why)
    }

    pub async fn stop(&self, timeout: Duration) -> StepOutcome {
        let seen = self.seen().await.expect("it is there");
        let stop = Stop { timeout, ..Stop::default() };
        self.apply(InstanceStep::Stop { id: self.id.clone(), incarnation: seen.incarnation, stop }).await
    }

    pub async fn remove(&self) -> StepOutcome {
        let seen = self.seen().await.expect("it is there");
        self.apply(InstanceStep::Remove { id: self.id.clone(), incarnation: seen.incarnation }).await
    }

    pub fn query(&self) -> LogQuery {
        LogQuery { instance: self.id.clone(), since: None, lines_max: 100, previous: false, after: None }
    }

    pub async fn said(&self, what: &str) -> Vec<LogLine> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.runtime.logs(&self.query()).await.expect("there is a log");
            if log.iter().any(|line| line.text.contains(what)) {
                return log;
            }
            assert!(Instant::now() < deadline, "`{what}` was not said: {log:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for One {
    /// Takes away what is left of it: the engine outlives the test.
    fn drop(&mut self) {
        let filter = format!("%7B%22label%22%3A%5B%22dev.trueup.owner%3D{}%22%5D%7D", self.owner);
        let (_, listed) = self.engine.api("GET", &format!("/containers/json?all=1&filters={filter}"), &[], b"");
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap_or_default();
        for id in listed.as_array().into_iter().flatten().filter_map(|one| one["Id"].as_str()) {
            let _ = self.engine.api("DELETE", &format!("/containers/{id}?force=1&v=1"), &[], b"");
        }
    }
}
