//! One instance of real processes, and what the tests do with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::process::Pid;
use tokio::time::Instant;
use trueup_process::{ProcessConfig, ProcessRuntime};
use trueup_seams::{Inspect as _, LogQuery, Runtime as _};
use trueup_sim::AppSketch;
use trueup_types::observed::{ExitWhy, Phase, Sighting};
use trueup_types::step::{InstanceStep, StepOutcome, TargetStep};
use trueup_types::template::{Port, Protocol, Stop};
use trueup_types::{AppName, InstanceId, OwnerId, Place, Release, Revision, Template, Timestamp};

pub fn open(folder: &Folder) -> ProcessRuntime {
    open_with(folder, PathBuf::from(env!("CARGO_BIN_EXE_trueup-test-shim")))
}

/// A runtime whose shim is this program.
pub fn open_with(folder: &Folder, program: PathBuf) -> ProcessRuntime {
    let config = ProcessConfig {
        state_dir: folder.path().to_owned(),
        owner: OwnerId::new("test").expect("a name"),
        program,
        base_env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        open_files: None,
        secrets: Arc::new(trueup_seams::NoSecrets),
        now: Arc::new(now),
    };
    ProcessRuntime::open(config).expect("the folder can be made")
}

/// A state directory that takes what still runs with it.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for instance in std::fs::read_dir(self.path().join("instances")).into_iter().flatten().flatten() {
            for life in std::fs::read_dir(instance.path()).into_iter().flatten().flatten() {
                let text = std::fs::read_to_string(life.path().join("shim.json")).unwrap_or_default();
                let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                let pid = value["main"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
                if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw)
                    && !life.path().join("exit.json").exists()
                {
                    let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
                }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock of these tests")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is set");
    Timestamp::from_millis(u64::try_from(since.as_millis()).expect("a sane clock"))
}

pub fn release(app: &AppName, revision: Revision, script: &str) -> Arc<Release> {
    let mut sketch = AppSketch::web(app.as_str());
    sketch.template = Template {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        ports: vec![Port { name: "http".parse().expect("a name"), port: None, protocol: Protocol::Http }],
        ..Template::default()
    };
    Arc::new(sketch.release(revision))
}

/// One instance on a runtime.
pub struct One {
    pub runtime: ProcessRuntime,
    pub id: InstanceId,
}

impl One {
    pub async fn started(folder: &Folder, script: &str) -> Self {
        let one = Self { runtime: open(folder), id: "web-r1-0".parse().expect("a name") };
        let release = release(&one.id.app, one.id.revision, script);
        let created = one.create(release).await;
        assert_eq!(created, StepOutcome::Done);
        one
    }

    pub async fn create(&self, release: Arc<Release>) -> StepOutcome {
        self.apply(InstanceStep::Create { id: self.id.clone(), place: Place::here(), release }).await
    }

    pub async fn apply(&self, step: InstanceStep) -> StepOutcome {
        self.runtime.apply(&TargetStep::Instance(step)).await
    }

    pub async fn seen(&self) -> Option<Sighting> {
        let survey = self.runtime.survey().await;
        let sight = survey.into_values().next().expect("one place").expect("it is in sight");
        sight.instances.into_iter().find(|one| one.id == self.id)
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Sighting) -> bool) -> Sighting {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let seen = self.seen().await;
            if let Some(one) = seen.as_ref().filter(|one| holds(one)) {
                return one.clone();
            }
            assert!(Instant::now() < deadline, "{what}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn exited(&self) -> (Option<i32>, ExitWhy) {
        let seen = self.until("it exits", |one| matches!(one.phase, Phase::Exited { .. })).await;
        let Phase::Exited { code, why, .. } = seen.phase else { unreachable!("waited for") };
        (code, why)
    }

    pub async fn stop(&self, timeout: Duration) {
        let seen = self.seen().await.expect("it is there");
        let stop = Stop { timeout, ..Stop::default() };
        let step = InstanceStep::Stop { id: self.id.clone(), incarnation: seen.incarnation, stop };
        assert_eq!(self.apply(step).await, StepOutcome::Done);
    }

    pub async fn log(&self) -> Vec<String> {
        let query = LogQuery { instance: self.id.clone(), since: None, lines_max: 100, previous: false, after: None };
        let lines = self.runtime.logs(&query).await.expect("there is a log");
        lines.into_iter().map(|line| line.text).collect()
    }

    pub async fn said(&self, what: &str) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let log = self.log().await;
            if log.iter().any(|line| line.contains(what)) {
                return log;
            }
            assert!(Instant::now() < deadline, "`{what}` was not said: {log:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The process that a file of its first life names so.
    pub fn pid(&self, folder: &Folder, who: &str) -> Pid {
        let path = folder.path().join("instances").join(self.id.to_string()).join("life-1/shim.json");
        let text = std::fs::read_to_string(path).expect("the shim has written it");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let pid = value[who]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        Pid::from_raw(pid.expect("a number")).expect("a process id")
    }
}
