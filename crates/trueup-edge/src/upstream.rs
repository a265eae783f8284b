//! Connections to backends: made, pooled and watched, one pool for each thread.
//!
//! `proxy` asks for a [`Lease`], sends one request over it, and the response's body brings it back. Every connection is
//! driven by a task of its own, which also keeps the deadline of an answer: its timer is re-armed only when it fires,
//! so that a request costs no timer at all.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::body::Upload;
use crate::clock::coarse_millis;
use crate::limits::{POOL_IDLE, POOL_IDLE_MAX};
use crate::listen::keepalive;

/// One thread's unused connections.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
    sweeping: Cell<bool>,
    connect: Duration,
    response: Duration,
}

#[derive(Debug)]
struct Idle {
    lease: Lease,
    /// Coarse time since when nobody uses it.
    since: u64,
}

/// The use of one connection, for one request.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) sender: SendRequest<Upload>,
    pub(crate) watch: Rc<Watch>,
    pub(crate) address: SocketAddr,
    /// Whether it has served before, and so may have died meanwhile.
    pub(crate) reused: bool,
}

/// The deadline of the answer that a connection awaits.
#[derive(Debug)]
pub(crate) struct Watch {
    limit: Duration,
    /// Coarse time; 0 while nothing is awaited.
    deadline: Cell<u64>,
    expired: Cell<bool>,
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(connect: Duration, response: Duration) -> Rc<Self> {
        Rc::new(Self { idle: RefCell::default(), sweeping: Cell::new(false), connect, response })
    }

    /// The connection that was used last, if one is alive.
    pub(crate) fn take(&self, address: SocketAddr) -> Option<Lease> {
        let mut pool = self.idle.borrow_mut();
        let idle = pool.get_mut(&address)?;
        // The last used first: it is the least likely to be closed by its backend.
        let mut busy = Vec::new();
        let mut found = None;
        while let Some(mut entry) = idle.pop() {
            if entry.lease.sender.is_closed() {
                continue;
            }
            if entry.lease.sender.is_ready() {
                entry.lease.reused = true;
                found = Some(entry.lease);
                break;
            }
            busy.push(entry);
        }
        idle.extend(busy);
        found
    }

    /// A new connection.
    ///
    /// # Errors
    /// Those of the dial; `TimedOut` after the connect timeout.
    pub(crate) async fn dial(&self, address: SocketAddr) -> io::Result<Lease> {
        let dialled = timeout(self.connect, TcpStream::connect(address)).await;
        let tcp = dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        // Without it a request in two pieces would wait for the peer's delayed acknowledgement.
        tcp.set_nodelay(true)?;
        SockRef::from(&tcp).set_tcp_keepalive(&keepalive())?;
        let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await.map_err(io::Error::other)?;
        let watch = Rc::new(Watch { limit: self.response, deadline: Cell::new(0), expired: Cell::new(false) });
        tokio::task::spawn_local(drive(connection.with_upgrades(), Rc::clone(&watch)));
        Ok(Lease { sender, watch, address, reused: false })
    }

    /// Takes a connection back whose response has come to its end.
    pub(crate) fn put(pool: &Rc<Self>, lease: Lease) {
        if lease.sender.is_closed() {
            return;
        }
        let mut idle = pool.idle.borrow_mut();
        let entries = idle.entry(lease.address).or_default();
        if entries.len() < POOL_IDLE_MAX {
            entries.push(Idle { lease, since: coarse_millis() });
        }
        if !pool.sweeping.replace(true) {
            tokio::task::spawn_local(sweep(Rc::clone(pool)));
        }
    }

    /// Closes unused connections to addresses that are not kept.
    pub(crate) fn retain(&self, kept: impl Fn(&SocketAddr) -> bool) {
        self.idle.borrow_mut().retain(|address, _| kept(address));
    }

    fn close_stale(&self) {
        let now = coarse_millis();
        let limit = u64::try_from(POOL_IDLE.as_millis()).unwrap_or(u64::MAX);
        self.idle.borrow_mut().retain(|_, idle| {
            idle.retain(|entry| !entry.lease.sender.is_closed() && now.saturating_sub(entry.since) < limit);
            !idle.is_empty()
        });
    }
}

/// Closes what nobody uses, for as long as there is any.
async fn sweep(pool: Rc<Pool>) {
    while !pool.idle.borrow().is_empty() {
        // Half the time, so that nothing stays much longer than it should.
        sleep(POOL_IDLE / 4).await;
        pool.close_stale();
    }
    pool.sweeping.set(false);
}

// === impl Watch ===

impl Watch {
    /// From here on an answer is awaited.
    pub(crate) fn expect_answer(&self) {
        let limit = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX);
        self.deadline.set(coarse_millis().saturating_add(limit));
    }

    /// The request goes on: an answer that is awaited may take longer.
    pub(crate) fn put_off(&self) {
        if self.deadline.get() > 0 {
            self.expect_answer();
        }
    }

    /// The answer has begun.
    pub(crate) fn answered(&self) {
        self.deadline.set(0);
    }

    /// Whether the connection was given up because no answer came in time.
    pub(crate) fn expired(&self) -> bool {
        self.expired.get()
    }

    /// How long to look away; nothing when the time is over.
    fn rest(&self) -> Option<Duration> {
        match self.deadline.get() {
            // Whatever is asked from here on is due later than this.
            0 => Some(self.limit),
            deadline => deadline.checked_sub(coarse_millis()).filter(|rest| *rest > 0).map(Duration::from_millis),
        }
    }
}

/// Drives a connection to its end, or until an answer is overdue.
async fn drive(connection: impl Future<Output = hyper::Result<()>>, watch: Rc<Watch>) {
    let mut connection = pin!(connection);
    let mut alarm = pin!(sleep(watch.limit));
    let mut armed = false;
    poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to a backend broke off");
            }
            return Poll::Ready(());
        }
        // An armed timer wakes this task by itself; polling it each time would cost more than the request's own work.
        while !armed || alarm.is_elapsed() {
            if alarm.as_mut().poll(cx).is_pending() {
                armed = true;
                break;
            }
            let Some(rest) = watch.rest() else {
                watch.expired.set(true);
                return Poll::Ready(());
            };
            alarm.as_mut().reset(Instant::now() + rest);
            armed = false;
        }
        Poll::Pending
    })
    .await;
}
