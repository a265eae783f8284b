//! A real `trueup run`, its status file, and its death.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{Bench, binary};

/// From one look at the status to the next.
const GLANCE: Duration = Duration::from_millis(20);

/// A running daemon.
pub struct Daemon {
    child: Child,
    status_file: PathBuf,
    log: PathBuf,
}

impl Daemon {
    /// Starts a daemon and waits until it has written its status.
    ///
    /// # Panics
    /// When it does not come up in 20 s.
    #[must_use]
    pub fn start(bench: &Bench) -> Self {
        Self::start_at(bench, &binary())
    }

    /// The same with a binary elsewhere.
    ///
    /// # Panics
    /// When it does not come up in 20 s.
    #[must_use]
    pub fn start_at(bench: &Bench, program: &Path) -> Self {
        let before = written_at(&bench.status_file());
        let daemon = Self::launch(bench, program);
        daemon.eventually("the daemon writes its status", Duration::from_secs(20), |_| {
            written_at(&bench.status_file()) != before
        });
        daemon
    }

    /// The same with more words on its command line.
    ///
    /// # Panics
    /// When it does not come up in 20 s.
    #[must_use]
    pub fn start_with(bench: &Bench, words: &[&str]) -> Self {
        let before = written_at(&bench.status_file());
        let daemon = Self::launch_with(bench, &binary(), words);
        daemon.eventually("the daemon writes its status", Duration::from_secs(20), |_| {
            written_at(&bench.status_file()) != before
        });
        daemon
    }

    /// Starts a daemon and waits for nothing.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn launch(bench: &Bench, program: &Path) -> Self {
        Self::launch_with(bench, program, &[])
    }

    fn launch_with(bench: &Bench, program: &Path, words: &[&str]) -> Self {
        let log = bench.path("daemon.log");
        let file = std::fs::File::options().create(true).append(true).open(&log).expect("the log opens");
        let mut command = bench.trueup_at(program);
        command.arg("run").arg(bench.config_dir()).arg("--listen").arg(bench.listen.to_string());
        command.args(words).env("TRUEUP_LOG", "info,trueup=debug").stdin(Stdio::null());
        command.stdout(file.try_clone().expect("the log is shared")).stderr(file);
        let child = command.spawn().expect("the daemon starts");
        Self { child, status_file: bench.status_file(), log }
    }

    /// Kills it as the kernel would.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks it to leave, and waits until it has.
    ///
    /// # Panics
    /// When it does not leave in 20 s, or not with 0.
    pub fn terminate(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait().expect("it can be waited for").is_none() {
            assert!(Instant::now() < deadline, "the daemon did not leave within 20 s of SIGTERM; {}", self.tail());
            std::thread::sleep(GLANCE);
        }
        let status = self.child.wait().expect("it ended");
        assert!(status.success(), "the daemon left with {status}; {}", self.tail());
    }

    /// Waits until it has ended by itself, at most `patience`.
    ///
    /// # Panics
    /// When it goes on.
    pub fn await_end(&mut self, patience: Duration) -> i32 {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "the daemon still runs; {}", self.tail());
            std::thread::sleep(GLANCE);
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The status as it is written.
    #[must_use]
    pub fn status(&self) -> Value {
        let text = std::fs::read_to_string(&self.status_file).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// One app's object in the status.
    #[must_use]
    pub fn app(&self, name: &str) -> Value {
        app_of(&self.status(), name)
    }

    /// Waits until the status says so.
    ///
    /// # Panics
    /// When it does not within `patience`; prints the status and the end of the log.
    pub fn eventually(&self, what: &str, patience: Duration, holds: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + patience;
        loop {
            let status = self.status();
            if holds(&status) {
                return;
            }
            if Instant::now() >= deadline {
                let shown = serde_json::to_string_pretty(&status).unwrap_or_default();
                panic!("not within {patience:?}: {what}\n{shown}\n{}", self.tail());
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Waits until an app is Ready at this version with its bake over.
    ///
    /// # Panics
    /// When it does not get there in 60 s.
    pub fn await_live(&self, app: &str, revision: u64) {
        self.eventually(&format!("{app} is live at r{revision}"), Duration::from_secs(60), |status| {
            let app = app_of(status, app);
            app["status"]["lastGood"] == revision && word(&app) == "Ready"
        });
    }

    /// Waits until an app has gone back from this revision.
    ///
    /// # Panics
    /// When it does not in 60 s.
    pub fn await_reverted(&self, app: &str, revision: u64) {
        self.eventually(&format!("{app} is reverted from r{revision}"), Duration::from_secs(60), |status| {
            let app = app_of(status, app);
            let rejected = app["status"]["rejected"].as_array().cloned().unwrap_or_default();
            let there = rejected.iter().any(|one| one["revision"] == revision);
            there && condition(&app, "Ready") == "True" && condition(&app, "Reconciling") != "True"
        });
    }

    /// The end of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(60).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One app's object in a status.
#[must_use]
pub fn app_of(status: &Value, name: &str) -> Value {
    let apps = status["apps"].as_array().cloned().unwrap_or_default();
    apps.into_iter().find(|app| app["metadata"]["name"] == name).unwrap_or(Value::Null)
}

/// The one word for tables.
#[must_use]
pub fn word(app: &Value) -> String {
    app["status"]["word"].as_str().unwrap_or_default().to_owned()
}

/// The status of one condition of an app; `absent` when it has none of that type.
#[must_use]
pub fn condition(app: &Value, kind: &str) -> String {
    let conditions = app["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|one| one["type"] == kind);
    found.and_then(|one| one["status"].as_str()).unwrap_or("absent").to_owned()
}

/// The incarnations of an app's instances of one revision that are passing, by name.
#[must_use]
pub fn incarnations(app: &Value, revision: u64) -> Vec<(String, String)> {
    let instances = app["status"]["instances"].as_array().cloned().unwrap_or_default();
    let of_revision = instances.iter().filter(|one| one["revision"] == revision);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: Vec<_> = of_revision.map(|one| (text(&one["name"]), text(&one["incarnation"]))).collect();
    found.sort();
    found
}

fn written_at(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}
