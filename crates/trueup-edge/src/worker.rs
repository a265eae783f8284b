//! One thread of the edge: its own runtime, its own listeners, its own pool; it shares tables and counters only.
//!
//! `edge` starts the threads and sends [`Command`]s; accepted connections go to `connection`. No work moves from one
//! thread to another.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::access::{self, Line};
use crate::connection;
use crate::flight::Flight;
use crate::limits::{ACCEPT_PAUSE, Limits};
use crate::live::Live;
use crate::upstream::Pool;

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) live: Live,
    pub(crate) limits: Limits,
    pub(crate) access: Option<access::Queue>,
    /// Open connections and tunnels, a line for each thread.
    pub(crate) connections: Vec<Gauge>,
    /// Rung when a connection ends while the edge wants to go.
    pub(crate) ended: Notify,
}

/// A count on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Gauge(AtomicUsize);

/// How far a thread is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Not at all.
    Serving,
    /// Another edge accepts; what is open is served.
    Draining,
    /// Idle connections are closed, the rest end as soon as they may.
    Leaving,
}

/// What a thread is told; each is answered when it is done.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accepts on these as well.
    Listen(Vec<std::net::TcpListener>),
    /// Accepts no longer on these; `Taken` listeners live on in another process, with their queues.
    Stop { addresses: Vec<SocketAddr>, queue: Queued },
    /// The table was swapped: connections to backends that left it are closed.
    Swapped,
    /// Is on its way out so far.
    Mode(Mode),
    /// Ends, with whatever is still open.
    End,
}

/// What becomes of connections that nobody has accepted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    /// They are accepted before the listener is closed, which would reset them.
    Accepted,
    /// Another process holds the listener too, and accepts them.
    Taken,
}

/// Speaks to a thread.
#[derive(Debug, Clone)]
pub(crate) struct Reins(mpsc::Sender<(Command, oneshot::Sender<io::Result<()>>)>);

/// One thread's own things.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    shared: Arc<Shared>,
    pool: Rc<Pool>,
    mode: Cell<Mode>,
    log: Option<Rc<access::Buffer>>,
    seats: Cell<u64>,
    wakers: RefCell<BTreeMap<u64, Waker>>,
}

/// One open connection or tunnel; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    worker: Rc<Worker>,
    number: u64,
    woken: Cell<bool>,
}

#[derive(Debug)]
struct Door {
    address: SocketAddr,
    listener: Rc<TcpListener>,
    task: JoinHandle<()>,
}

/// Says that a thread has ended, by panic too.
#[derive(Debug)]
struct Ending(mpsc::Sender<()>);

// === impl Shared ===

impl Shared {
    /// Open connections and tunnels of all threads.
    pub(crate) fn open(&self) -> usize {
        self.connections.iter().map(|gauge| gauge.0.load(Ordering::Acquire)).sum()
    }
}

// === impl Reins ===

impl Reins {
    /// Starts a thread; when it ends, in whatever way, `ended` hears of it and is dropped.
    pub(crate) fn start(index: usize, shared: Arc<Shared>, ended: mpsc::Sender<()>) -> io::Result<Self> {
        // Commands are rare and each is waited for.
        let (sender, commands) = mpsc::channel(16);
        let ending = Ending(ended);
        std::thread::Builder::new().name(format!("edge-{index}")).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
            match runtime {
                Ok(runtime) => runtime.block_on(Worker::run(index, shared, commands)),
                Err(error) => tracing::error!(index, %error, "a thread has no runtime"),
            }
            drop(ending);
        })?;
        Ok(Self(sender))
    }

    /// Gives a command and waits until it is carried out.
    ///
    /// # Errors
    /// Those of the command; `BrokenPipe` when the thread has ended.
    pub(crate) async fn tell(&self, command: Command) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.send((command, done)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Full means that another thread has said so already.
        let _ = self.0.try_send(());
    }
}

// === impl Worker ===

impl Worker {
    async fn run(
        index: usize,
        shared: Arc<Shared>,
        mut commands: mpsc::Receiver<(Command, oneshot::Sender<io::Result<()>>)>,
    ) {
        let limits = shared.limits;
        let log = shared.access.clone().map(access::Buffer::new);
        let worker = Rc::new(Self {
            index,
            shared,
            pool: Pool::new(limits.connect, limits.response),
            mode: Cell::new(Mode::Serving),
            log,
            seats: Cell::new(0),
            wakers: RefCell::default(),
        });
        let mut doors = Vec::new();
        while let Some((command, done)) = commands.recv().await {
            let last = matches!(command, Command::End);
            let outcome = worker.obey(command, &mut doors).await;
            if last {
                if let Some(log) = &worker.log {
                    log.flush();
                }
                return;
            }
            // Who asked may have given up; the command stands.
            let _ = done.send(outcome);
        }
    }

    async fn obey(self: &Rc<Self>, command: Command, doors: &mut Vec<Door>) -> io::Result<()> {
        match command {
            Command::Listen(listeners) => {
                for listener in listeners {
                    doors.push(Door::open(listener, self)?);
                }
            }
            Command::Stop { addresses, queue } => {
                let (closing, staying) =
                    std::mem::take(doors).into_iter().partition(|door: &Door| addresses.contains(&door.address));
                *doors = staying;
                for door in closing {
                    door.close(self, queue).await;
                }
            }
            Command::Swapped => {
                let live = &self.shared.live;
                self.pool.retain(|address| live.still_dials(address, 0));
            }
            Command::Mode(mode) => {
                self.mode.set(mode);
                for waker in self.wakers.borrow().values() {
                    waker.wake_by_ref();
                }
            }
            Command::End => {}
        }
        Ok(())
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn live(&self) -> &Live {
        &self.shared.live
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode.get()
    }

    /// Whether requests are logged.
    pub(crate) fn logs(&self) -> bool {
        self.log.is_some()
    }

    /// Logs a request that has ended.
    pub(crate) fn log(&self, line: &Line, flight: Option<&Flight>) {
        if let Some(log) = &self.log {
            log.push(line, flight);
        }
    }

    /// Counts one more connection or tunnel.
    pub(crate) fn seat(self: &Rc<Self>) -> Seat {
        let number = self.seats.get();
        self.seats.set(number + 1);
        self.shared.connections[self.index].0.fetch_add(1, Ordering::AcqRel);
        Seat { worker: Rc::clone(self), number, woken: Cell::new(false) }
    }
}

// === impl Seat ===

impl Seat {
    /// Says how its task is woken when the edge is on its way out; a task's waker stays the same.
    pub(crate) fn wake_through(&self, waker: &Waker) {
        if !self.woken.replace(true) {
            self.worker.wakers.borrow_mut().insert(self.number, waker.clone());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.worker.wakers.borrow_mut().remove(&self.number);
        self.worker.shared.connections[self.worker.index].0.fetch_sub(1, Ordering::AcqRel);
        if self.worker.mode.get() != Mode::Serving {
            self.worker.shared.ended.notify_one();
        }
    }
}

// === impl Door ===

impl Door {
    fn open(listener: std::net::TcpListener, worker: &Rc<Worker>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = Rc::new(TcpListener::from_std(listener)?);
        let task = tokio::task::spawn_local(accept(Rc::clone(&listener), Rc::clone(worker)));
        Ok(Self { address, listener, task })
    }

    async fn close(self, worker: &Rc<Worker>, queue: Queued) {
        self.task.abort();
        // Whether it was aborted or had ended is the same here: it holds the listener no longer.
        let _ = self.task.await;
        if queue == Queued::Accepted {
            let ready = |cx: &mut std::task::Context<'_>| match self.listener.poll_accept(cx) {
                std::task::Poll::Ready(accepted) => std::task::Poll::Ready(accepted.ok()),
                std::task::Poll::Pending => std::task::Poll::Ready(None),
            };
            while let Some((tcp, peer)) = std::future::poll_fn(ready).await {
                admit(worker, tcp, peer);
            }
        }
    }
}

async fn accept(listener: Rc<TcpListener>, worker: Rc<Worker>) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => admit(&worker, tcp, peer),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Out of descriptors or memory: the queue keeps the connections meanwhile.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(worker: &Rc<Worker>, tcp: TcpStream, peer: SocketAddr) {
    // Counted at once: an edge on its way out must not look empty while this one has not been polled.
    let seat = worker.seat();
    tokio::task::spawn_local(connection::attend(Rc::clone(worker), seat, tcp, peer));
}
