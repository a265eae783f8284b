//! A load that counts every failure: short requests on kept and on fresh connections, five-second requests, and open
//! WebSockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    /// Loops of short requests on kept connections.
    pub kept: usize,
    /// Loops of short requests, each on a fresh connection.
    pub fresh: usize,
    /// Loops of five-second requests.
    pub slow: usize,
    /// Open WebSockets.
    pub sockets: usize,
}

/// From one short request of a loop to the next: those of [`Mix::FULL`] make 420 a second together, as long as each is answered
/// in this time, and two cores are left for the daemon.
const PACE: Duration = Duration::from_micros(14_286);

impl Mix {
    /// All kinds.
    pub const FULL: Self = Self { kept: 4, fresh: 2, slow: 3, sockets: 4 };
}

/// A load under way.
pub struct Load {
    runtime: Runtime,
    shared: Arc<Shared>,
    loops: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    good: AtomicU64,
    slow_good: AtomicU64,
    failures: Mutex<Vec<String>>,
    cuts: Mutex<Vec<Cut>>,
    versions: Mutex<BTreeMap<String, u64>>,
}

/// A WebSocket that the other side ended.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The instance that it was open to.
    pub instance: String,
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_millis: u64,
}

/// What a load came to.
#[derive(Debug)]
pub struct Outcome {
    /// Short requests answered with 200.
    pub good: u64,
    /// Five-second requests answered with 200.
    pub slow_good: u64,
    /// Everything else, with when and how.
    pub failures: Vec<String>,
    /// WebSockets that were ended.
    pub cuts: Vec<Cut>,
    /// Answers by version.
    pub versions: BTreeMap<String, u64>,
}

impl Load {
    /// Starts a load on a host behind an edge.
    ///
    /// # Panics
    /// When no runtime can be made.
    #[must_use]
    pub fn start(edge: SocketAddr, host: &str, mix: Mix) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let shared = Arc::<Shared>::default();
        let mut loops = Vec::new();
        for kept in [true, false] {
            for _ in 0..if kept { mix.kept } else { mix.fresh } {
                loops.push(runtime.spawn(short_loop(client(edge, host, kept), host.to_owned(), Arc::clone(&shared))));
            }
        }
        for _ in 0..mix.slow {
            loops.push(runtime.spawn(slow_loop(client(edge, host, true), host.to_owned(), Arc::clone(&shared))));
        }
        for _ in 0..mix.sockets {
            loops.push(runtime.spawn(socket_loop(edge, host.to_owned(), Arc::clone(&shared))));
        }
        Self { runtime, shared, loops }
    }

    /// Failures so far.
    ///
    /// # Panics
    /// When a loop panicked.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.shared.failures.lock().expect("no loop panics").clone()
    }

    /// Short requests answered so far.
    #[must_use]
    pub fn good(&self) -> u64 {
        self.shared.good.load(Ordering::Relaxed)
    }

    /// Short requests that were answered by a version so far.
    ///
    /// # Panics
    /// When a loop panicked.
    #[must_use]
    pub fn answered_by(&self, version: &str) -> u64 {
        self.shared.versions.lock().expect("no loop panics").get(version).copied().unwrap_or_default()
    }

    /// Ends the load: what is under way is finished, and counted.
    ///
    /// # Panics
    /// When a loop panicked.
    #[must_use]
    pub fn finish(self) -> Outcome {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.runtime.block_on(async {
            for one in self.loops {
                one.await.expect("no loop panics");
            }
        });
        Outcome {
            good: self.shared.good.load(Ordering::Relaxed),
            slow_good: self.shared.slow_good.load(Ordering::Relaxed),
            failures: self.shared.failures.lock().expect("no loop panics").clone(),
            cuts: self.shared.cuts.lock().expect("no loop panics").clone(),
            versions: self.shared.versions.lock().expect("no loop panics").clone(),
        }
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn fail(&self, what: String) {
        let line = format!("{} {what}", now_millis());
        println!("FAILED REQUEST: {line}");
        self.failures.lock().expect("no loop panics").push(line);
    }

    fn count(&self, version: &str) {
        self.good.fetch_add(1, Ordering::Relaxed);
        *self.versions.lock().expect("no loop panics").entry(version.to_owned()).or_default() += 1;
    }
}

fn client(edge: SocketAddr, host: &str, kept: bool) -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().resolve(host, edge).timeout(Duration::from_secs(20));
    let builder = if kept { builder } else { builder.pool_max_idle_per_host(0) };
    builder.build().expect("a client")
}

/// Asks at a steady pace, not so long after each answer: a slow answer makes no smaller load. What was missed is made good.
async fn short_loop(client: reqwest::Client, host: String, shared: Arc<Shared>) {
    let mut pace = tokio::time::interval(PACE);
    while !shared.stopped() {
        pace.tick().await;
        match get(&client, &format!("http://{host}/version")).await {
            Ok(version) => shared.count(&version),
            Err(why) => shared.fail(format!("short: {why}")),
        }
    }
}

async fn slow_loop(client: reqwest::Client, host: String, shared: Arc<Shared>) {
    while !shared.stopped() {
        match get(&client, &format!("http://{host}/slow?seconds=5")).await {
            Ok(_) => drop(shared.slow_good.fetch_add(1, Ordering::Relaxed)),
            Err(why) => {
                shared.fail(format!("slow: {why}"));
                // Where nobody listens the answer comes at once: one that is out for a second fails no thousand times.
                tokio::time::sleep(PACE).await;
            }
        }
    }
}

async fn get(client: &reqwest::Client, url: &str) -> Result<String, String> {
    let answer = client.get(url).send().await.map_err(|error| spelled(&error))?;
    let status = answer.status();
    let body = answer.text().await.map_err(|error| spelled(&error))?;
    if status.is_success() { Ok(body.trim().to_owned()) } else { Err(format!("{status}: {}", body.trim())) }
}

/// An error with all of its causes.
fn spelled(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Holds one WebSocket open, and opens another when it ends.
async fn socket_loop(edge: SocketAddr, host: String, shared: Arc<Shared>) {
    while !shared.stopped() {
        if let Err(why) = hold_socket(edge, &host, &shared).await {
            shared.fail(format!("websocket: {why}"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The demo server greets a WebSocket with its instance's name, then echoes.
async fn hold_socket(edge: SocketAddr, host: &str, shared: &Shared) -> Result<(), String> {
    let stream = tokio::net::TcpStream::connect(edge).await.map_err(|error| format!("connect: {error}"))?;
    // The path must not resolve anything: the stream is open, the host is only a header.
    let request = format!("ws://{host}/ws").into_client_request().map_err(|error| error.to_string())?;
    let opened = tokio_tungstenite::client_async(request, stream).await;
    let (mut socket, _) = opened.map_err(|error| format!("open: {error}"))?;
    let greeting = match socket.next().await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => return Err(format!("no greeting: {other:?}")),
    };
    while !shared.stopped() {
        if socket.send(Message::text("ping")).await.is_err() {
            return ended(&greeting, shared);
        }
        match tokio::time::timeout(Duration::from_secs(10), socket.next()).await {
            Ok(Some(Ok(Message::Text(_)))) => {}
            Ok(_) => return ended(&greeting, shared),
            Err(_) => return Err(format!("no echo from {greeting} in 10 s")),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Ours to end; the other side may already be gone.
    let _ = socket.close(None).await;
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "an ended socket is no failed request; the caller opens another")]
fn ended(instance: &str, shared: &Shared) -> Result<(), String> {
    let cut = Cut { instance: instance.to_owned(), at_millis: now_millis() };
    shared.cuts.lock().expect("no loop panics").push(cut);
    Ok(())
}

/// Milliseconds since 1970-01-01T00:00:00Z.
///
/// # Panics
/// When the clock is set before that.
#[must_use]
pub fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is set");
    u64::try_from(since.as_millis()).expect("a sane clock")
}
