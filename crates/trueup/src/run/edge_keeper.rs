//! Sees to the edge: starts it where there is none, lets a newer build take over, tells it where to listen.
//!
//! The edge is a process of its own that outlives us: nothing here ever stops it, but `down`.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;
use trueup_edge::EdgeClient;
use trueup_seams::Ingress;
use trueup_types::OwnerId;

use super::wiring::OURSELVES;
use crate::terminal::say;

/// From one look at the edge to the next.
const GLANCE: Duration = Duration::from_millis(500);
/// Longest a new edge may take to accept.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// From one look at a starting edge to the next.
const START_GLANCE: Duration = Duration::from_millis(10);
/// How much of its log is quoted when it does not start.
const QUOTE_BYTES: usize = 600;

/// What sees to the edge of one state directory.
pub(crate) struct EdgeKeeper {
    state_dir: PathBuf,
    dir: PathBuf,
    listen: Vec<SocketAddr>,
    owner: OwnerId,
    build: String,
    client: Arc<EdgeClient>,
    fault: Arc<Mutex<Option<String>>>,
    /// Edges that we started and must wait for when they end.
    children: Mutex<Vec<Child>>,
}

impl EdgeKeeper {
    /// Has an edge of our build listening, or says why there is none.
    pub(crate) async fn start(state_dir: &Path, listen: Vec<SocketAddr>, owner: OwnerId) -> anyhow::Result<Arc<Self>> {
        let dir = dir(state_dir);
        std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let keeper = Arc::new(Self {
            state_dir: state_dir.to_owned(),
            client: Arc::new(EdgeClient::new(dir.clone(), owner.clone())),
            dir,
            listen,
            owner,
            build: build()?,
            fault: Arc::default(),
            children: Mutex::new(Vec::new()),
        });
        let there = keeper.client.accepting().await.is_ok_and(|edge| edge.is_some());
        match keeper.see_to_it().await {
            Ok(()) => {}
            // Requests are still served, by the edge of before.
            Err(error) if there => keeper.degraded(Some(format!("{error:#}; the edge of before goes on"))),
            Err(error) => return Err(error),
        }
        Ok(keeper)
    }

    /// How requests are routed.
    pub(crate) fn ingress(&self) -> Arc<dyn Ingress> {
        Arc::clone(&self.client) as Arc<dyn Ingress>
    }

    /// Why it is not as it was asked to be.
    pub(crate) fn fault(&self) -> Arc<Mutex<Option<String>>> {
        Arc::clone(&self.fault)
    }

    /// Sees to it until the daemon leaves.
    pub(crate) async fn keep(self: Arc<Self>, leave: CancellationToken) {
        let mut wait = GLANCE;
        loop {
            tokio::select! {
                () = leave.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            match self.see_to_it().await {
                Ok(()) => {
                    self.degraded(None);
                    wait = GLANCE;
                }
                Err(error) => {
                    self.degraded(Some(format!("{error:#}")));
                    wait = (wait * 2).min(START_PATIENCE);
                }
            }
        }
    }

    /// Ends every edge, once nothing is routed any more.
    pub(crate) async fn take_down(&self) {
        if let Err(error) = self.client.leave_all().await {
            say(&format!("warning: the edge could not be told to leave: {error}"));
        }
    }

    fn degraded(&self, why: Option<String>) {
        let mut fault = self.fault.lock().expect("no holder panics");
        if *fault != why {
            if let Some(why) = &why {
                tracing::warn!(why, "the edge is not as it should be");
            }
            *fault = why;
        }
    }

    async fn see_to_it(&self) -> anyhow::Result<()> {
        self.reap();
        match self.client.accepting().await {
            // One that is silent may be the one that accepts: then the next takes its listeners over, or finds them taken.
            Ok(None) | Err(_) => self.spawn().await,
            Ok(Some(edge)) if edge.build != self.build => self.spawn().await,
            Ok(Some(edge)) if !same(&edge.listen, &self.listen) => {
                let told = self.client.listen(&self.listen).await;
                told.with_context(|| format!("the edge keeps {}", spelled(&edge.listen)))
            }
            Ok(Some(_)) => Ok(()),
        }
    }

    fn reap(&self) {
        let mut children = self.children.lock().expect("no holder panics");
        children.retain_mut(|child| child.try_wait().is_ok_and(|ended| ended.is_none()));
    }

    /// Starts an edge of our build; it takes the listeners of the one before, if there is one.
    async fn spawn(&self) -> anyhow::Result<()> {
        let log = self.dir.join("edge.log");
        let file = std::fs::File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        let mut command = Command::new(OURSELVES);
        command.arg0("trueup").args(["--state-dir".as_ref(), self.state_dir.as_os_str()]).arg("edge");
        for address in &self.listen {
            command.arg("--listen").arg(address.to_string());
        }
        command.args(["--owner", self.owner.as_str()]).env_clear().env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let mut child = command.spawn().context("the edge cannot be started")?;
        let deadline = tokio::time::Instant::now() + START_PATIENCE;
        loop {
            let accepting = self.client.accepting().await;
            if matches!(&accepting, Ok(Some(edge)) if edge.build == self.build) {
                self.children.lock().expect("no holder panics").push(child);
                return Ok(());
            }
            if child.try_wait()?.is_some() {
                bail!("the edge cannot listen on {}: {}", spelled(&self.listen), quoted(&log));
            }
            if tokio::time::Instant::now() >= deadline {
                match accepting {
                    // It is in nobody's way, and would be when it came up late.
                    Ok(_) => drop(child.kill()),
                    // It may be the one that accepts, and too busy to say so: the next look goes by what it says then.
                    Err(_) => self.children.lock().expect("no holder panics").push(child),
                }
                bail!("the edge did not come up within {} s: {}", START_PATIENCE.as_secs(), quoted(&log));
            }
            tokio::time::sleep(START_GLANCE).await;
        }
    }
}

/// Where the edge of a state directory keeps its own.
pub(crate) fn dir(state_dir: &Path) -> PathBuf {
    state_dir.join("edge")
}

/// Which build we are: by our file, so that another one of the same version counts too.
pub(crate) fn build() -> anyhow::Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    let file = std::fs::metadata(OURSELVES).context("our own program cannot be read")?;
    Ok(format!("{}+{:x}.{:x}.{:x}", env!("CARGO_PKG_VERSION"), file.size(), file.mtime(), file.mtime_nsec()))
}

fn same(one: &[SocketAddr], other: &[SocketAddr]) -> bool {
    one.len() == other.len() && one.iter().all(|address| other.contains(address))
}

fn spelled(addresses: &[SocketAddr]) -> String {
    let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    all.join(", ")
}

/// The last words of a log.
fn quoted(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let text = text.trim();
    let start = text.len().saturating_sub(QUOTE_BYTES);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    if text.is_empty() { "it said nothing".to_owned() } else { text[start..].to_owned() }
}
