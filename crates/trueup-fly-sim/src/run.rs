//! Really runs what machines are told to run, as processes of this host.
//!
//! The cloud stays the one that decides: a machine that has started gets a process, one that is to stop gets its signal, one
//! that has stopped has none left. What a process does by itself, ending or answering its checks, is told to the cloud. Each
//! has a port of its own, told by `$PORT`, where `forward` reaches it; what a config says of ports counts for the model only.
//!
//! A machine whose config names no command has no process, and behaves as its image says.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::deed::{Deed, Which};
use crate::knobs::Health;
use crate::machine::State;
use crate::sim::FlySim;

/// How many orders and reports may wait.
const ROOM: usize = 64;
/// Longest line of a log; a longer one is broken.
const LINE_BYTES_MAX: usize = 8 << 10;
/// From one look at a process's port to the next, and how long one may take.
const PROBE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// How much of the answer to a probe is read: the status is in its first line.
const PROBE_BYTES: usize = 16;

/// Where each machine's process listens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ports(Arc<Mutex<BTreeMap<String, u16>>>);

impl Ports {
    pub(crate) fn of(&self, machine: &str) -> Option<u16> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(machine).copied()
    }

    fn set(&self, machine: &str, port: Option<u16>) {
        let mut ports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match port {
            Some(port) => ports.insert(machine.to_owned(), port),
            None => ports.remove(machine),
        };
    }
}

/// What a machine needs on this host.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub id: String,
    pub state: State,
    pub boot: u32,
    pub words: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// What it is asked to stop with.
    pub signal: Signal,
    /// What it is sent besides.
    pub signals: Vec<Signal>,
    /// The path of its first http check.
    pub path: Option<String>,
}

/// A process, and who minds it.
struct Life {
    boot: u32,
    orders: mpsc::Sender<Signal>,
    told: bool,
}

/// A process has ended.
struct Ended {
    id: String,
    boot: u32,
    code: i32,
}

/// Runs what machines are told to run, for as long as it is polled; dropped, it takes all processes with it.
pub(crate) async fn run(sim: Arc<FlySim>, base_env: Vec<(String, String)>, ports: Ports) {
    let (report, mut reports) = mpsc::channel(ROOM);
    let mut runner =
        Runner { sim: Arc::clone(&sim), base_env, ports, lives: BTreeMap::new(), minds: JoinSet::new(), report };
    let mut changes = sim.watch();
    loop {
        changes.borrow_and_update();
        let all = sim.with(|cloud| cloud.wanted());
        runner.leave_none_but(&all);
        for wanted in all {
            runner.make_true(wanted).await;
        }
        tokio::select! {
            // The simulation is ours: it lives as long as we do.
            _ = changes.changed() => {}
            Some(_) = runner.minds.join_next(), if !runner.minds.is_empty() => {}
            Some(ended) = reports.recv() => runner.ended(&ended),
        }
    }
}

struct Runner {
    sim: Arc<FlySim>,
    base_env: Vec<(String, String)>,
    ports: Ports,
    lives: BTreeMap<String, Life>,
    minds: JoinSet<()>,
    report: mpsc::Sender<Ended>,
}

impl Runner {
    /// What belongs to machines that are gone goes.
    fn leave_none_but(&mut self, all: &[Wanted]) {
        for (id, life) in &self.lives {
            if all.iter().all(|wanted| wanted.id != *id) {
                // Whoever minds it may have ended: then so has it.
                let _ = life.orders.try_send(Signal::KILL);
            }
        }
    }

    async fn make_true(&mut self, wanted: Wanted) {
        let life = self.lives.get_mut(&wanted.id).filter(|life| life.boot == wanted.boot);
        if let Some(life) = &life {
            for signal in &wanted.signals {
                // Whoever minds it may have ended: then so has it.
                let _ = life.orders.try_send(*signal);
            }
        }
        let order = match (wanted.state, life) {
            (State::Started, None) if !wanted.words.is_empty() => return self.spawn(wanted).await,
            (State::Stopping | State::Restarting | State::Replacing, Some(life)) if !life.told => {
                life.told = true;
                Some((life, wanted.signal))
            }
            (
                State::Starting
                | State::Stopped
                | State::Suspended
                | State::Failed
                | State::Destroying
                | State::Destroyed,
                Some(life),
            ) => Some((life, Signal::KILL)),
            (
                State::Created
                | State::Starting
                | State::Started
                | State::Stopping
                | State::Stopped
                | State::Suspending
                | State::Suspended
                | State::Restarting
                | State::Replacing
                | State::Failed
                | State::LaunchFailed
                | State::Destroying
                | State::Destroyed,
                _,
            ) => None,
        };
        if let Some((life, signal)) = order {
            // Whoever minds it may have ended: then so has it.
            let _ = life.orders.try_send(signal);
        }
    }

    async fn spawn(&mut self, wanted: Wanted) {
        let Wanted { id, boot, words, env, path, .. } = wanted;
        if let Some(older) = self.lives.remove(&id) {
            // It was replaced faster than it ended. Whoever minds it may have ended.
            let _ = older.orders.try_send(Signal::KILL);
        }
        let Some(port) = free_port().await else { return };
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .envs(self.base_env.iter().cloned())
            .envs(env)
            .env("PORT", port.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let (orders, inbox) = mpsc::channel(ROOM);
        match command.spawn() {
            Ok(child) => {
                self.ports.set(&id, Some(port));
                self.sim.with(|cloud| cloud.runs(&id, true));
                self.lives.insert(id.clone(), Life { boot, orders, told: false });
                let (sim, report) = (Arc::clone(&self.sim), self.report.clone());
                self.minds.spawn(mind(sim, child, Ended { id, boot, code: 0 }, (port, path), inbox, report));
            }
            Err(why) => {
                self.sim.with(|cloud| {
                    cloud.write(&id, "error", &format!("{} cannot be run: {why}", words[0]));
                    cloud.runs(&id, true);
                    cloud.process_ended(&id, boot, 127);
                });
                self.sim.changed();
            }
        }
    }

    fn ended(&mut self, ended: &Ended) {
        if self.lives.get(&ended.id).is_some_and(|life| life.boot == ended.boot) {
            self.lives.remove(&ended.id);
            self.ports.set(&ended.id, None);
        }
        self.sim.with(|cloud| cloud.process_ended(&ended.id, ended.boot, ended.code));
        self.sim.changed();
    }
}

/// Minds a process: passes orders on, writes its log, looks at its port, and reports its end.
async fn mind(
    sim: Arc<FlySim>,
    mut child: Child,
    mut ended: Ended,
    (port, path): (u16, Option<String>),
    mut orders: mpsc::Receiver<Signal>,
    report: mpsc::Sender<Ended>,
) {
    let id = ended.id.clone();
    let _group = Group(child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let beside = async {
        tokio::join!(copy(&sim, &id, stdout), copy(&sim, &id, stderr), probe(&sim, &id, port, path.as_deref()));
    };
    tokio::pin!(beside);
    let mut quiet = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            Some(signal) = orders.recv() => {
                if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
                    // It may have ended in the meantime.
                    let _ = kill_process_group(pid, signal);
                }
            }
            () = &mut beside, if !quiet => quiet = true,
        }
    };
    ended.code = status.map_or(1, |status| {
        use std::os::unix::process::ExitStatusExt as _;
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    });
    // Without a runner nobody needs to know.
    let _ = report.send(ended).await;
}

/// A process and its children; dropped, they are gone.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Mostly nobody is left.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Writes what a process says into its app's log, line by line.
async fn copy(sim: &FlySim, id: &str, from: Option<impl AsyncRead + Unpin>) {
    let Some(mut from) = from else { return };
    let (mut line, mut chunk) = (Vec::new(), vec![0; LINE_BYTES_MAX]);
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        for byte in &chunk[..count] {
            if *byte != b'\n' {
                line.push(*byte);
            }
            if *byte == b'\n' || line.len() >= LINE_BYTES_MAX {
                let text = String::from_utf8_lossy(&line).into_owned();
                sim.with(|cloud| cloud.write(id, "info", &text));
                line.clear();
            }
        }
    }
}

/// Looks at a port again and again, and tells the cloud whenever it turns.
async fn probe(sim: &FlySim, id: &str, port: u16, path: Option<&str>) {
    let tell = |goes| {
        let of = Which { machine: Some(id.to_owned()), ..Which::default() };
        sim.carry_out(Deed::Health { of, goes });
    };
    let mut known = false;
    tell(Health::Never);
    loop {
        let good = tokio::time::timeout(PROBE.1, look(port, path)).await.unwrap_or(false);
        if good != known {
            known = good;
            tell(if good { Health::Passes } else { Health::Never });
        }
        tokio::time::sleep(PROBE.0).await;
    }
}

/// Whether somebody listens, and answers with a 2xx where there is something to ask for.
async fn look(port: u16, path: Option<&str>) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return false };
    let Some(path) = path else { return true };
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n");
    let mut answer = [0; PROBE_BYTES];
    let asked = stream.write_all(request.as_bytes()).await.is_ok();
    asked && stream.read_exact(&mut answer).await.is_ok() && answer.starts_with(b"HTTP/1.") && answer[9] == b'2'
}

/// A port that nobody listens at, as far as one can know.
async fn free_port() -> Option<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.ok()?;
    listener.local_addr().ok().map(|address| address.port())
}
