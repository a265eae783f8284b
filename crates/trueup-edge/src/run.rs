//! Runs an edge process: from its start, over taking the listeners of an older one, to its last connection.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use trueup_types::OwnerId;

use crate::access;
use crate::control;
use crate::edge::Edge;
use crate::error::EdgeError;
use crate::limits::{CONTROL_CONNECTIONS_MAX, CONTROL_TIMEOUT, Limits};
use crate::live::{Live, Swap};
use crate::sockets::{self, ControlSocket, Silence, StartLock};
use crate::wire::{self, Answer, Ask};
use crate::worker::{Gauge, Mode, Reins, Shared};

/// What an edge process is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeConfig {
    /// Where it keeps its table, its control socket and its access log; made if it is missing.
    pub dir: PathBuf,
    /// Whose tables it takes.
    pub owner: OwnerId,
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Threads that serve; one for each core is best, and at least one is started.
    pub threads: usize,
    /// The identity of the binary, its hash for example; reported, never compared.
    pub build: String,
    /// Whether requests are logged.
    pub access_log: bool,
}

/// Listeners of an older edge that this one takes over.
struct Inheritance {
    listeners: Vec<(SocketAddr, TcpListener)>,
    stream: UnixStream,
}

/// Runs an edge until it may leave; blocks. Takes over from a living older edge of the directory, if there is one.
///
/// Returns when another edge has taken over and the last connection has ended, or after SIGTERM, SIGINT or `leave_all`.
///
/// # Errors
/// Each [`EdgeError`] of a start; [`EdgeError::ThreadEnded`] later. An older edge goes on serving when this one fails.
pub fn run(config: EdgeConfig) -> Result<(), EdgeError> {
    run_within(config, Limits::STANDARD)
}

/// As [`run`], with other bounds.
///
/// # Errors
/// Those of [`run`].
pub fn run_within(config: EdgeConfig, limits: Limits) -> Result<(), EdgeError> {
    sockets::make_dir(&config.dir)?;
    raise_descriptors();
    let log = match config.access_log {
        true => Some(access::start(&config.dir).map_err(|source| in_dir(&config.dir, source))?),
        false => None,
    };
    let (queue, writer) = log.unzip();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let runtime = runtime.map_err(EdgeError::System)?;
    let outcome = runtime.block_on(live(config, limits, queue));
    // Its last queue goes with the runtime; then it writes what it has and ends.
    drop(runtime);
    if let Some(writer) = writer
        && writer.join().is_err()
    {
        tracing::error!("the writer of the access log panicked");
    }
    outcome
}

async fn live(config: EdgeConfig, limits: Limits, access: Option<access::Queue>) -> Result<(), EdgeError> {
    let lock = StartLock::take(&config.dir)?;
    let threads = config.threads.max(1);
    let shared = Arc::new(Shared {
        live: Live::load(config.dir.clone(), &config.owner, threads),
        limits,
        access,
        connections: (0..threads).map(|_| Gauge::default()).collect(),
        ended: Notify::new(),
    });
    let (ended, mut endings) = mpsc::channel(1);
    let reins = (0..threads).map(|index| Reins::start(index, Arc::clone(&shared), ended.clone()));
    let reins = reins.collect::<Result<Vec<_>, _>>().map_err(EdgeError::System)?;
    drop(ended);
    let older = sockets::list(&config.dir)?;
    let sequence = older.first().map_or(1, |(newest, _)| newest + 1);
    let edge = Rc::new(Edge::new(shared, sequence, config.build.clone(), reins));
    // Before anything is taken over: a table that is handed to the older edge from here on is handed to this one too.
    let socket = ControlSocket::open(&config.dir, sequence)?;
    let outcome = tokio::select! {
        outcome = take_part(&edge, &config, older, lock) => outcome,
        outcome = serve_control(&edge, &socket, &mut endings) => outcome,
    };
    drop(socket);
    edge.end().await;
    // The last lines of the log come before a thread's end.
    while endings.recv().await.is_some() {}
    outcome
}

/// Takes over or begins to listen, and then stays until it may leave.
async fn take_part(
    edge: &Edge,
    config: &EdgeConfig,
    older: Vec<(u64, PathBuf)>,
    lock: StartLock,
) -> Result<(), EdgeError> {
    match inherit(edge, older).await? {
        Some(inheritance) => take_over(edge, config, inheritance).await?,
        None => edge.listen(&config.listen, Vec::new()).await?,
    }
    lock.release();
    stay(edge).await
}

/// The listeners of the newest older edge that accepts; nothing when there is none, or it does not answer.
async fn inherit(edge: &Edge, older: Vec<(u64, PathBuf)>) -> Result<Option<Inheritance>, EdgeError> {
    for (sequence, path) in older {
        let Ok(Answer::Report(report)) = sockets::ask(&path, &Ask::Status).await else { continue };
        if !report.accepting {
            continue;
        }
        let failed = |error: std::io::Error| EdgeError::Unreachable(error.to_string());
        let receive = async {
            let mut stream = match sockets::connect(&path).await {
                Ok(stream) => stream,
                Err(Silence::Gone) => return Ok(None),
                Err(Silence::Unsure(why)) => return Err(EdgeError::Unreachable(why)),
            };
            wire::write(&mut stream, &Ask::HandOver).await.map_err(failed)?;
            let Answer::Listeners { addresses, table } = wire::read(&mut stream).await.map_err(failed)? else {
                return Err(EdgeError::Unreachable("it does not hand its listeners over".to_owned()));
            };
            let owner = table.owner.clone();
            if edge.apply(table).await == Swap::Foreign {
                return Err(EdgeError::Foreign { owner: owner.to_string() });
            }
            let mut listeners = Vec::with_capacity(addresses.len());
            for address in addresses {
                listeners.push((address, wire::receive_listener(&stream).await.map_err(failed)?));
            }
            Ok(Some(Inheritance { listeners, stream }))
        };
        let late = |_| Err(EdgeError::Unreachable("the older edge does not answer".to_owned()));
        let inheritance = timeout(CONTROL_TIMEOUT, receive).await.unwrap_or_else(late)?;
        tracing::info!(from = sequence, "taking over from an older edge");
        return Ok(inheritance);
    }
    Ok(None)
}

/// Accepts on what was inherited and wanted, and then tells the older edge to stop: there is no moment without either.
async fn take_over(edge: &Edge, config: &EdgeConfig, inheritance: Inheritance) -> Result<(), EdgeError> {
    let Inheritance { mut listeners, mut stream } = inheritance;
    // A wanted port 0 means the one that the older edge was given.
    let mut wanted = config.listen.clone();
    for address in wanted.iter_mut().filter(|address| address.port() == 0) {
        if let Some((bound, _)) = listeners.iter().find(|(bound, _)| bound.ip() == address.ip()) {
            *address = *bound;
        }
    }
    listeners.retain(|(address, _)| wanted.contains(address));
    let mut taken: Vec<_> = listeners.iter().map(|(address, _)| *address).collect();
    taken.dedup();
    edge.listen(&wanted, listeners).await?;
    let told = async {
        wire::write(&mut stream, &Ask::Taken(taken)).await?;
        wire::read::<Answer>(&mut stream).await
    };
    if !matches!(timeout(CONTROL_TIMEOUT, told).await, Ok(Ok(Answer::Done))) {
        // It may have died in between; the listeners are here either way.
        tracing::warn!("the older edge did not confirm that it stopped accepting");
    }
    Ok(())
}

/// Stays until the edge may leave: SIGTERM and SIGINT begin that, as a hand-over and `leave` do.
async fn stay(edge: &Edge) -> Result<(), EdgeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(EdgeError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(EdgeError::System)?;
    let mut deadline = None;
    loop {
        if edge.mode() != Mode::Serving && edge.shared.open() == 0 {
            return Ok(());
        }
        if edge.mode() == Mode::Leaving && deadline.is_none() {
            deadline = Some(Instant::now() + edge.shared.limits.leave);
        }
        tokio::select! {
            _ = terminate.recv() => edge.leave().await,
            _ = interrupt.recv() => edge.leave().await,
            () = edge.changed.notified() => {}
            () = edge.shared.ended.notified() => {}
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                tracing::warn!(connections = edge.shared.open(), "leaving with connections open: their time is over");
                return Ok(());
            }
        }
    }
}

/// Answers on the control socket; returns only when a thread has ended.
async fn serve_control(
    edge: &Rc<Edge>,
    socket: &ControlSocket,
    endings: &mut mpsc::Receiver<()>,
) -> Result<(), EdgeError> {
    let permits = Arc::new(Semaphore::new(CONTROL_CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            _ = endings.recv() => return Err(EdgeError::ThreadEnded),
            accepted = socket.listener.accept() => accepted,
        };
        match (accepted, Arc::clone(&permits).try_acquire_owned()) {
            (Ok((stream, _)), Ok(permit)) => {
                tokio::task::spawn_local(control::converse(Rc::clone(edge), stream, permit));
            }
            (Ok(_), Err(_)) => tracing::warn!("too many control connections; one was closed"),
            (Err(error), _) => {
                tracing::warn!(%error, "a control connection could not be accepted");
                tokio::time::sleep(crate::limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Each request takes two descriptors; the usual soft limit of 1,024 would be the edge's.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}

fn in_dir(dir: &Path, source: std::io::Error) -> EdgeError {
    EdgeError::Path { path: dir.to_owned(), source }
}
