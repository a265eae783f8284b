//! `docker stack deploy` at the same services, on an engine of its own: one whose containers outlive it bears no swarm.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;
use trueup_tests::bench::free_port;
use trueup_tests::engine::{Engine, IMAGE};

use crate::compose::installed;
use crate::docker::{GLANCE, PATIENCE, Peer, listed, millis};

/// What it is called.
const STACK: &str = "beside";
/// What its containers carry.
const LABEL: &str = "com.docker.stack.namespace%3Dbeside";
/// The bridge that a swarm makes on its host, whichever engine it is of.
const BRIDGE: &str = "docker_gwbridge";

/// Longest that a swarm may take to go, each time.
const FAREWELL: Duration = Duration::from_secs(30);

/// One swarm of one engine; dropped, it is left, with what it made on the host.
struct Stack {
    engine: &'static Engine,
    file: PathBuf,
}

/// Deploys as many services, deploys them again, and then with one changed.
///
/// # Errors
/// When the engine or the command line says so.
pub fn beside(folder: &Path, services: usize) -> anyhow::Result<Peer> {
    if !installed("docker") {
        return Ok(Err("`docker stack deploy` is not installed: apt-get install docker.io".to_owned()));
    }
    if Path::new("/sys/class/net").join(BRIDGE).exists() {
        return Ok(Err(format!("an engine of this host is in a swarm already: it has the bridge {BRIDGE}")));
    }
    let Some(engine) = Engine::alone() else {
        return Ok(Err("an engine of its own cannot be started here".to_owned()));
    };
    engine.kill();
    engine.start_afresh();
    let swarm = json!({"ListenAddr": free_port().to_string(), "AdvertiseAddr": "127.0.0.1"});
    let _ = engine.ask("POST", "/swarm/init", &swarm.to_string());
    let stack = Stack { engine, file: folder.join("stack.yml") };

    let began = Instant::now();
    stack.deploy(services, "v1")?;
    let fresh = stack.until(began, services, &BTreeSet::new())?;
    let began = Instant::now();
    stack.deploy(services, "v1")?;
    let noop = millis(began);
    let old = listed(engine, "com.docker.swarm.service.name%3Dbeside_many-00").into_iter().map(|(id, _)| id).collect();
    let began = Instant::now();
    stack.deploy(services, "v2")?;
    Ok(Ok([fresh, noop, stack.until(began, services, &old)?]))
}

impl Stack {
    /// Deploys all of them, the first at this version. No virtual addresses: not every kernel has what they need.
    fn deploy(&self, services: usize, first: &str) -> anyhow::Result<()> {
        let one = |index: usize| {
            let version = if index == 0 { first } else { "v1" };
            format!(
                "  many-{index:02}:\n    image: {IMAGE}\n    init: true\n    command: [httpd, -f, -p, '8080', -h, /etc]\n    \
                 environment: {{DEMO_VERSION: {version}}}\n    deploy: {{endpoint_mode: dnsrr, update_config: {{order: \
                 start-first}}}}\n"
            )
        };
        let all: String = (0..services).map(one).collect();
        std::fs::write(&self.file, format!("version: \"3.8\"\nservices:\n{all}"))?;
        let file = self.file.to_str().context("a path of text")?;
        self.run(&["deploy", "--resolve-image", "never", "--compose-file", file, STACK])
    }

    fn run(&self, words: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new("docker");
        command.arg("stack").args(words).env("DOCKER_HOST", self.engine.host()).stdin(Stdio::null());
        let output = command.output().context("docker cannot be started")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "docker stack {words:?}: {}", said.lines().last().unwrap_or_default());
        Ok(())
    }

    /// Milliseconds until so many run, these among them no more; a swarm keeps what has ended.
    fn until(&self, began: Instant, services: usize, gone: &BTreeSet<String>) -> anyhow::Result<f64> {
        loop {
            let mut running = listed(self.engine, LABEL);
            running.retain(|(_, runs)| *runs);
            if running.len() == services && running.iter().all(|(id, _)| !gone.contains(id)) {
                return Ok(millis(began));
            }
            ensure!(began.elapsed() < PATIENCE, "{} of {services} tasks run after {PATIENCE:?}", running.len());
            std::thread::sleep(GLANCE);
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // What a measure that failed leaves goes with the engine, but for the bridge, which is the host's.
        let _ = self.run(&["rm", STACK]);
        within(FAREWELL, || listed(self.engine, LABEL).is_empty());
        let _ = self.engine.api("POST", "/swarm/leave?force=1", &[], b"");
        within(FAREWELL, || self.engine.api("DELETE", &format!("/networks/{BRIDGE}"), &[], b"").0 < 400);
        // It was not there before us.
        let _ = Command::new("busybox").args(["ip", "link", "del", BRIDGE]).stderr(Stdio::null()).status();
    }
}

/// Waits until something holds, at most so long.
fn within(patience: Duration, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() && Instant::now() < deadline {
        std::thread::sleep(GLANCE);
    }
}
