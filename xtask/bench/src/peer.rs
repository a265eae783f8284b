//! Proxies that do the same work in the same run: trueup's edge, HAProxy, nginx; and the backend behind them.
//!
//! Each is configured for the work of [`crate::edge`]: one host is routed to one backend over kept connections, with
//! `X-Forwarded-For` added, on a given number of threads.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};
use trueup_edge::EdgeClient;
use trueup_seams::Ingress as _;
use trueup_tests::bench::free_port;
use trueup_tests::processes;
use trueup_types::{
    AppName, AppRoutes, Backend, InstanceId, Ordinal, OwnerId, Revision, RouteEntry, RouteTable, StepOutcome,
    TableGeneration,
};

use crate::edge::{HOST, OWNER, Work};
use crate::procfs;

/// Longest a proxy may take to accept.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a proxy has to go when it is asked to.
const FAREWELL: Duration = Duration::from_secs(2);

/// A proxy that runs; dropped, it is stopped.
pub struct Peer {
    /// What it is called.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    folder: std::path::PathBuf,
    child: Child,
}

impl Peer {
    /// The backend: nginx, with a short text.
    ///
    /// # Errors
    /// When it does not start.
    pub fn backend(within: &Path) -> anyhow::Result<Self> {
        let location = format!("return 200 \"{}\";", "x".repeat(60));
        Self::nginx_with(within, "backend", "", &location, 1, "off")
    }

    /// trueup's edge as `trueup edge` runs it, with a table that routes the host.
    ///
    /// # Errors
    /// When it does not start, or refuses the table.
    pub fn trueup(within: &Path, backend: SocketAddr, work: Work) -> anyhow::Result<Self> {
        let folder = make(within, "trueup")?;
        let address = free_port();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("edge").arg(&folder).arg(address.to_string()).arg(work.threads.to_string());
        if work.access_log {
            command.arg("--access-log");
        }
        let peer = Self::launch("trueup", folder, address, &mut command)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = EdgeClient::new(peer.folder.clone(), OwnerId::new(OWNER)?);
        let outcome = runtime.block_on(client.apply(&table(backend)?));
        ensure!(matches!(outcome, StepOutcome::Done), "the edge took its table with {outcome:?}");
        Ok(peer)
    }

    /// HAProxy.
    ///
    /// # Errors
    /// When it does not start.
    pub fn haproxy(within: &Path, backend: SocketAddr, work: Work) -> anyhow::Result<Self> {
        let folder = make(within, "haproxy")?;
        let address = free_port();
        let log = if work.access_log { "log stdout format raw local0\n  option httplog" } else { "no log" };
        let config = folder.join("haproxy.cfg");
        let text = format!(
            "global
  nbthread {}
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
  {log}
frontend in
  bind {address}
  use_backend out if {{ hdr(host) -i {HOST} }}
backend out
  server one {backend}
",
            work.threads
        );
        std::fs::write(&config, text)?;
        Self::launch("haproxy", folder, address, Command::new("haproxy").arg("-db").arg("-f").arg(&config))
    }

    /// nginx.
    ///
    /// # Errors
    /// When it does not start.
    pub fn nginx(within: &Path, backend: SocketAddr, work: Work) -> anyhow::Result<Self> {
        let upstream = format!("upstream out {{ server {backend}; keepalive 128; keepalive_requests 1000000000; }}");
        let location = "proxy_pass http://out; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                        proxy_set_header Host $host; \
                        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
        let log = if work.access_log { "access.log" } else { "off" };
        Self::nginx_with(within, "nginx", &upstream, location, work.threads, log)
    }

    fn nginx_with(
        within: &Path,
        name: &'static str,
        upstream: &str,
        location: &str,
        workers: usize,
        log: &str,
    ) -> anyhow::Result<Self> {
        let folder = make(within, name)?;
        let address = free_port();
        let root = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temp: String = temp.map(|kind| format!("{kind}_temp_path {kind};")).concat();
        let reuse = if workers > 1 { " reuseport" } else { "" };
        let config = folder.join("nginx.conf");
        let text = format!(
            "daemon off; {root} worker_processes {workers}; pid nginx.pid; error_log error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {log}; {temp}
  keepalive_timeout 75s; keepalive_requests 1000000000;
  {upstream}
  server {{ listen {address}{reuse}; server_name {HOST}; location / {{ {location} }} }}
}}
"
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder).arg("-c").arg(&config).arg("-e").arg(folder.join("error.log"));
        Self::launch(name, folder, address, &mut command)
    }

    fn launch(
        name: &'static str,
        folder: std::path::PathBuf,
        address: SocketAddr,
        command: &mut Command,
    ) -> anyhow::Result<Self> {
        let out = std::fs::File::create(folder.join("out"))?;
        // The working directory says whose it is, where a command line is rewritten.
        command.current_dir(&folder).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        let mut peer = Self { name, address, folder, child };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let said = || std::fs::read_to_string(peer.folder.join("out")).unwrap_or_default();
            ensure!(began.elapsed() < PATIENCE, "{name} does not accept: {}", said());
            if let Some(ended) = peer.child.try_wait()? {
                anyhow::bail!("{name} ended with {ended}: {}", said());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(peer)
    }

    /// The processor time of all its processes.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let all = processes::of_state(&self.folder);
        let times = all.iter().filter_map(|one| procfs::cpu(u32::try_from(one.pid).ok()?).ok());
        times.sum()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Asked first, so that it waits for its own children; what does not go is killed.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < FAREWELL {
            std::thread::sleep(Duration::from_millis(10));
        }
        processes::kill_all(&self.folder);
        let _ = self.child.wait();
    }
}

fn make(within: &Path, name: &str) -> anyhow::Result<std::path::PathBuf> {
    let folder = within.join(name);
    // Left by an earlier one of the same name.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn table(backend: SocketAddr) -> anyhow::Result<RouteTable> {
    let app = AppName::new("bench")?;
    let instance = InstanceId::new(&app, Revision(1), Ordinal(0));
    let backends = vec![Backend { instance, address: Some(backend), weight: 1 }];
    let entries = vec![RouteEntry { host: HOST.to_owned(), path: "/".to_owned(), backends }];
    let apps = vec![Arc::new(AppRoutes { app, entries })];
    Ok(RouteTable { owner: OwnerId::new(OWNER)?, generation: TableGeneration(1), apps })
}
