//! A real daemon on a temporary folder, as a person would run it: its options, its log, its end.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use trueup_tests::Bench;

use crate::manifest;
use crate::stop::Claim;

/// From one look at the status to the next.
const GLANCE: Duration = Duration::from_millis(100);
/// From one look at a file that is about to appear to the next; the resolution of what is measured by it.
const STEP: Duration = Duration::from_micros(500);
/// Longest anything that is measured may take; beyond it something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon and its folder; dropped, everything of it is stopped and removed.
pub struct Place {
    child: Child,
    // Before the folder, which it reads.
    _claim: Claim,
    /// Its folder.
    pub bench: Bench,
}

impl Place {
    /// Writes so many sleeping apps, and starts a daemon on them.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, apps: usize) -> anyhow::Result<Self> {
        let bench = Bench::new();
        let claim = Claim::on(bench.config_dir().parent().context("the folder has a parent")?);
        for index in 0..apps {
            bench.write_text(&file(index), &manifest::sleeper(&name(index), 1));
        }
        let log = std::fs::File::create(bench.path("daemon.log"))?;
        let mut command = bench.trueup_at(program);
        command.arg("run").arg(bench.config_dir()).arg("--listen").arg(bench.listen.to_string());
        // First releases are not counted, later ones shall not wait for each other.
        command.args(["--max-rollouts", "64"]).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self { child, _claim: claim, bench })
    }

    /// The daemon's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until so many apps are Ready with a release that has proven itself.
    ///
    /// # Errors
    /// When the daemon ends, or they do not get there in `patience`.
    pub fn await_ready(&mut self, apps: usize, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let status = self.status();
            let all = status["apps"].as_array().map(Vec::as_slice).unwrap_or_default();
            let there = |app: &&Value| app["status"]["word"] == "Ready" && app["status"]["lastGood"].is_u64();
            let ready = all.iter().filter(there).count();
            if ready == apps && !status.is_null() {
                return Ok(());
            }
            if let Some(ended) = self.child.try_wait()? {
                bail!("the daemon ended with {ended}: {}", self.tail());
            }
            ensure!(Instant::now() < deadline, "{ready} of {apps} apps are Ready after {patience:?}: {}", self.tail());
            std::thread::sleep(GLANCE);
        }
    }

    /// Where an instance lies.
    #[must_use]
    pub fn instance(&self, app: usize, revision: usize) -> PathBuf {
        self.bench.state_dir().join("instances").join(format!("{}-r{revision}-0", name(app)))
    }

    /// One app's object in the status.
    #[must_use]
    pub fn app(&self, index: usize) -> Value {
        trueup_tests::daemon::app_of(&self.status(), &name(index))
    }

    fn status(&self) -> Value {
        let text = std::fs::read_to_string(self.bench.status_file()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// The last lines of the daemon's log.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(self.bench.path("daemon.log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // First the daemon, or it would replace what is stopped next. It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The name of an app by its number.
#[must_use]
pub fn name(index: usize) -> String {
    format!("app-{index:04}")
}

/// The file of an app by its number.
#[must_use]
pub fn file(index: usize) -> String {
    format!("{}.yaml", name(index))
}

/// Milliseconds from a moment until something is found.
///
/// # Errors
/// When it is not found in ten seconds.
pub fn millis_until<T>(began: Instant, what: &str, find: impl Fn() -> Option<T>) -> anyhow::Result<f64> {
    while find().is_none() {
        ensure!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(STEP);
    }
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}
