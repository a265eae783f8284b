//! The edge process as a whole: its listeners, its threads, and how far it is on its way out.
//!
//! `run` starts it, `control` brings what it is asked. Lives on the main thread and serves no request itself.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::sync::{Mutex, Notify};
use trueup_types::route::RouteTable;

use crate::error::EdgeError;
use crate::limits::LISTENERS_MAX;
use crate::listen::{self, Claim};
use crate::live::Swap;
use crate::wire::EdgeReport;
use crate::worker::{Command, Mode, Queued, Reins, Shared};

/// One edge process.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sequence: u64,
    build: String,
    threads: Vec<Reins>,
    /// Our copies of the listeners, for handing over.
    doors: RefCell<Vec<(SocketAddr, TcpListener)>>,
    mode: Cell<Mode>,
    /// Held while listeners come and go: one change after the other.
    changing: Mutex<()>,
    /// Rung when the mode has changed.
    pub(crate) changed: Notify,
}

impl Edge {
    pub(crate) fn new(shared: Arc<Shared>, sequence: u64, build: String, threads: Vec<Reins>) -> Self {
        Self {
            shared,
            sequence,
            build,
            threads,
            doors: RefCell::default(),
            mode: Cell::new(Mode::Serving),
            changing: Mutex::new(()),
            changed: Notify::new(),
        }
    }

    /// How far it is on its way out.
    pub(crate) fn mode(&self) -> Mode {
        self.mode.get()
    }

    pub(crate) fn report(&self) -> EdgeReport {
        EdgeReport {
            pid: std::process::id(),
            sequence: self.sequence,
            build: self.build.clone(),
            accepting: self.mode() == Mode::Serving && !self.doors.borrow().is_empty(),
            listen: self.addresses(),
            generation: self.shared.live.generation(),
            connections: self.shared.open(),
            unsaved: self.shared.live.unsaved(),
        }
    }

    /// Where it listens, each address once.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<_> = self.doors.borrow().iter().map(|(address, _)| *address).collect();
        addresses.dedup();
        addresses
    }

    /// Our listeners, to hand over.
    pub(crate) fn listeners(&self) -> std::io::Result<Vec<(SocketAddr, TcpListener)>> {
        self.doors.borrow().iter().map(|(address, door)| Ok((*address, door.try_clone()?))).collect()
    }

    /// Makes a table live, and lets the threads close what left it.
    pub(crate) async fn apply(&self, table: RouteTable) -> Swap {
        let swap = self.shared.live.apply(table);
        if swap == Swap::Done {
            for thread in &self.threads {
                // A thread that has ended takes the whole edge down; that is told elsewhere.
                let _ = thread.tell(Command::Swapped).await;
            }
        }
        swap
    }

    /// Listens on `wanted` and no other address; `adopted` are listeners that an older edge has handed over.
    ///
    /// # Errors
    /// [`EdgeError::Listen`] when one cannot be had: nothing has changed then.
    pub(crate) async fn listen(
        &self,
        wanted: &[SocketAddr],
        adopted: Vec<(SocketAddr, TcpListener)>,
    ) -> Result<(), EdgeError> {
        let _alone = self.changing.lock().await;
        if self.mode() != Mode::Serving {
            return Err(EdgeError::Refused("the edge is on its way out; ask the newer one".to_owned()));
        }
        let held = self.addresses();
        let fresh = self.open(wanted, &held, adopted)?;
        for (number, (address, listener)) in fresh.into_iter().enumerate() {
            let copy = listener.try_clone().map_err(|source| EdgeError::Listen { address, source })?;
            // Every listener must be accepted on: the kernel spreads connections over all of an address.
            let thread = &self.threads[number % self.threads.len()];
            let told = thread.tell(Command::Listen(vec![copy])).await;
            told.map_err(|source| EdgeError::Listen { address, source })?;
            self.doors.borrow_mut().push((address, listener));
        }
        let surplus: Vec<_> = held.into_iter().filter(|address| !wanted.contains(address)).collect();
        self.close(surplus, Queued::Accepted).await;
        tracing::info!(listen = ?self.addresses(), "the edge listens");
        Ok(())
    }

    /// Another edge has taken `taken` over: accepts no longer, and stays for what it has.
    pub(crate) async fn handed_over(&self, taken: &[SocketAddr]) {
        let _alone = self.changing.lock().await;
        self.shared.live.keep_no_longer();
        let (taken, left): (Vec<_>, Vec<_>) = self.addresses().into_iter().partition(|one| taken.contains(one));
        self.close(taken, Queued::Taken).await;
        self.close(left, Queued::Accepted).await;
        self.enter(Mode::Draining).await;
    }

    /// Accepts no longer, and ends what it has as soon as it may.
    pub(crate) async fn leave(&self) {
        let _alone = self.changing.lock().await;
        if self.mode() != Mode::Leaving {
            self.close(self.addresses(), Queued::Accepted).await;
            self.enter(Mode::Leaving).await;
        }
    }

    /// Ends the threads, with whatever is still open.
    pub(crate) async fn end(&self) {
        for thread in &self.threads {
            // An ending thread does not answer.
            let _ = thread.tell(Command::End).await;
        }
    }

    async fn enter(&self, mode: Mode) {
        tracing::info!(?mode, connections = self.shared.open(), "the edge accepts no longer");
        for thread in &self.threads {
            let _ = thread.tell(Command::Mode(mode)).await;
        }
        self.mode.set(mode);
        self.changed.notify_one();
    }

    async fn close(&self, addresses: Vec<SocketAddr>, queue: Queued) {
        if addresses.is_empty() {
            return;
        }
        // Our copies first: a socket that nobody accepts on would still take connections.
        self.doors.borrow_mut().retain(|(address, _)| !addresses.contains(address));
        for thread in &self.threads {
            let _ = thread.tell(Command::Stop { addresses: addresses.clone(), queue }).await;
        }
    }

    /// A listener for each thread and each wanted address that is not held, made of adopted ones where there are any.
    fn open(
        &self,
        wanted: &[SocketAddr],
        held: &[SocketAddr],
        adopted: Vec<(SocketAddr, TcpListener)>,
    ) -> Result<Vec<(SocketAddr, TcpListener)>, EdgeError> {
        let count = self.threads.len() * wanted.len();
        if count > LISTENERS_MAX {
            return Err(EdgeError::Listeners { count });
        }
        let mut fresh = adopted;
        for address in wanted.iter().filter(|address| !held.contains(address)) {
            let have = fresh.iter().filter(|(one, _)| one == address).count();
            let claim = if have == 0 { Claim::Exclusive } else { Claim::Joined };
            for listener in listen::open(*address, self.threads.len().saturating_sub(have), claim)? {
                let bound = listener.local_addr();
                fresh.push((bound.map_err(|source| EdgeError::Listen { address: *address, source })?, listener));
            }
        }
        Ok(fresh)
    }
}
