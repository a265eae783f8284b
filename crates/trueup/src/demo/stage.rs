//! Where the tour happens: a copy of the quickstart, a state directory, a free port, and a real daemon.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;
use trueup_types::status::{AppStatus, StatusDocument};
use trueup_types::{InstanceId, Revision};

use crate::cli::Places;
use crate::run::OURSELVES;
use crate::status_reader;
use crate::terminal::{Progress, Tone, out, toned};

const CATALOGUE: &str = include_str!("../../../../examples/quickstart/catalogue.yaml");
const SHOP: &str = include_str!("../../../../examples/quickstart/shop.yaml");
/// The environment that the quickstart begins with.
const FIRST_ENV: &str = "    DEMO_VERSION: v1\n";
/// From one look at the status to the next.
const GLANCE: Duration = Duration::from_millis(50);
/// Ports that are tried after 8080.
const PORTS: std::ops::Range<u16> = 18_080..18_180;
/// Lines of the daemon's log shown when the tour fails.
const TAIL_LINES: usize = 30;
/// Longest that `down` may take.
const DOWN_PATIENCE: Duration = Duration::from_secs(60);

/// The place, and the daemon in it.
pub(crate) struct Stage {
    folder: Option<tempfile::TempDir>,
    path: PathBuf,
    listen: SocketAddr,
    daemon: Option<Child>,
    began: Instant,
}

/// One app of a status.
pub(crate) fn app<'s>(status: &'s StatusDocument, name: &str) -> Option<&'s AppStatus> {
    status.apps.iter().find(|app| app.metadata.name.as_str() == name)
}

impl Stage {
    /// Copies the quickstart aside and finds a port.
    pub(crate) fn set() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("trueup-demo-").tempdir().context("no folder for the demo")?;
        let config = folder.path().join("quickstart");
        std::fs::create_dir(&config)?;
        std::fs::write(config.join("catalogue.yaml"), CATALOGUE)?;
        std::fs::write(config.join("shop.yaml"), SHOP)?;
        let path = folder.path().to_owned();
        Ok(Self { folder: Some(folder), path, listen: free_port()?, daemon: None, began: Instant::now() })
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path.join("state")
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn log(&self) -> PathBuf {
        self.path.join("daemon.log")
    }

    fn places(&self) -> Places {
        Places { state_dir: Some(self.state_dir()), status_file: None }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(OURSELVES);
        command.arg("--state-dir").arg(self.state_dir()).args(words).env_remove("TRUEUP_STATUS_FILE");
        command
    }

    pub(crate) fn title(&self, text: &str) {
        out(&format!("\n{text}"));
    }

    pub(crate) fn tell(&self, text: &str) {
        out(&format!("   {:>3} s  {text}", self.elapsed().as_secs()));
    }

    /// Starts the daemon.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.log())?;
        let mut command = self.command(&["run"]);
        command.arg(self.path.join("quickstart")).args(["--listen", &self.listen.to_string()]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.daemon = Some(command.spawn().context("the daemon cannot be started")?);
        self.tell(&format!("trueup run quickstart --listen {}", self.listen));
        Ok(())
    }

    /// Kills the daemon as the kernel would.
    pub(crate) fn kill_daemon(&mut self) -> anyhow::Result<()> {
        let mut daemon = self.daemon.take().context("the daemon runs")?;
        daemon.kill()?;
        daemon.wait()?;
        self.tell(&format!("kill -9 {} (the daemon)", daemon.id()));
        Ok(())
    }

    /// Kills the main process of an app's first instance; answers its name and its life.
    pub(crate) fn kill_instance(&self, name: &str) -> anyhow::Result<(InstanceId, String)> {
        let status = status_reader::read(&self.places())?;
        let app = app(&status.document, name).context("the app is there")?;
        let one = app.status.instances.iter().find(|one| one.phase == "Running").context("an instance runs")?;
        let pid = main_pid(&self.state_dir(), &one.name)?;
        kill_process(pid, Signal::KILL)?;
        self.tell(&format!("kill -9 {} ({})", pid.as_raw_nonzero(), one.name));
        Ok((one.name.clone(), one.incarnation.clone()))
    }

    /// Rewrites the shop's environment, as an editor would.
    pub(crate) fn set_env(&self, pairs: &[(&str, &str)]) -> anyhow::Result<()> {
        let env: Vec<_> = pairs.iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
        ensure!(SHOP.contains(FIRST_ENV), "the quickstart's environment is where the demo expects it");
        let config = self.path.join("quickstart");
        let aside = config.join(".shop.yaml.aside");
        std::fs::write(&aside, SHOP.replace(FIRST_ENV, &env.concat()))?;
        std::fs::rename(aside, config.join("shop.yaml"))?;
        let shown: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.tell(&format!("edit shop.yaml: {}", shown.join(" ")));
        Ok(())
    }

    /// Waits until the status says so, showing how it goes.
    pub(crate) async fn until(
        &mut self,
        patience: Duration,
        what: &str,
        holds: impl Fn(&StatusDocument) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        let mut progress = Progress::new();
        loop {
            if let Ok(status) = status_reader::read(&self.places()) {
                if holds(&status.document) {
                    progress.done();
                    self.tell(&toned(what, Tone::Good));
                    return Ok(());
                }
                let lines =
                    status.document.apps.iter().map(|app| {
                        format!("{} {}: {}", app.metadata.name, app.status.word, app.status.verdict.message)
                    });
                progress.show(&format!("          {}", lines.collect::<Vec<_>>().join("; ")));
            }
            if let Some(daemon) = &mut self.daemon
                && let Some(ended) = daemon.try_wait()?
            {
                bail!("the daemon ended: {ended}");
            }
            ensure!(Instant::now() < deadline, "not within {patience:?}: {what}");
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits until a release has met its gate and its bake.
    pub(crate) async fn until_live(
        &mut self,
        name: &str,
        revision: Revision,
        patience: Duration,
    ) -> anyhow::Result<()> {
        self.until(patience, &format!("{name} is live at {revision}"), |status| {
            let app = app(status, name);
            app.is_some_and(|app| app.status.last_good == Some(revision) && app.status.word == "Ready")
        })
        .await
    }

    /// Shows a table, as `trueup get` prints it.
    pub(crate) fn table(&self, what: &str) -> anyhow::Result<()> {
        self.show(&["get", what], |_| true)
    }

    /// Shows what was found on the newest failed release.
    pub(crate) fn evidence(&self, name: &str) -> anyhow::Result<()> {
        let mut inside = false;
        self.show(&["describe", "app", name], move |line| {
            inside = (inside || line.starts_with("Evidence")) && !line.starts_with("Events");
            inside && !line.is_empty()
        })
    }

    fn show(&self, words: &[&str], mut wanted: impl FnMut(&str) -> bool) -> anyhow::Result<()> {
        let output = self.command(words).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| wanted(line)) {
            out(&format!("          {line}"));
        }
        Ok(())
    }

    /// The end of the daemon's log.
    pub(crate) fn tail(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Leaves everything as it is.
    pub(crate) fn keep(mut self) {
        if let Some(folder) = self.folder.take() {
            let _ = folder.keep();
        }
        self.daemon = None;
    }

    /// Stops everything, though the daemon be dead.
    pub(crate) async fn clear(mut self) {
        let running = self.daemon.as_mut().is_some_and(|daemon| daemon.try_wait().is_ok_and(|ended| ended.is_none()));
        if !running && self.start().is_err() {
            return;
        }
        let deadline = Instant::now() + DOWN_PATIENCE;
        // A daemon that has just begun does not answer yet.
        while Instant::now() < deadline {
            let down = self.command(&["down", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
            if down.is_ok_and(|status| status.success()) {
                break;
            }
            tokio::time::sleep(GLANCE).await;
        }
        if let Some(mut daemon) = self.daemon.take() {
            // `down` has ended it.
            let _ = daemon.wait();
        }
    }
}

/// The default port, or one that is free.
fn free_port() -> anyhow::Result<SocketAddr> {
    let candidates = std::iter::once(8_080).chain(PORTS);
    let mut addresses = candidates.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    addresses.find(|address| TcpListener::bind(address).is_ok()).context("no port is free")
}

/// The main process of an instance's newest life.
fn main_pid(state_dir: &Path, instance: &InstanceId) -> anyhow::Result<Pid> {
    let folder = state_dir.join("instances").join(instance.to_string());
    let lives = std::fs::read_dir(&folder)?.flatten().filter_map(|entry| {
        entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_prefix("life-"))
            .and_then(|number| number.parse::<u32>().ok())
    });
    let newest = lives.max().context("it has lived")?;
    let text = std::fs::read_to_string(folder.join(format!("life-{newest}")).join("shim.json"))?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    let pid = value["main"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    pid.and_then(Pid::from_raw).context("the shim has written who it is")
}
