//! Remembers records, releases and events, and guards against its own engine.
//!
//! The driver hands [`SledStore`] a record and is answered when it lies on the disk. Each request goes to one owner
//! thread (`owner`), which drains its queue into one transaction, one sync and one watermark. What is stored is spelled
//! in `layout`, sealed by `envelope` and summed up by `ledger`; `guarded` decides whether what lies on the disk can be
//! believed, by the ledger's root and by a watermark outside the store; `engine` lives with what sled does and `journal` alone names it.
//!
//! Knows nothing of planning, and never fails a start: what cannot be believed is set aside, and the loss is said.

mod disk;
mod engine;
mod engine_error;
mod envelope;
mod ground;
mod guarded;
mod hand;
#[cfg(feature = "proof")]
pub mod in_memory;
mod journal;
mod layout;
mod ledger;
mod leftover;
mod owner;
#[cfg(any(test, feature = "proof"))]
pub mod sleeper;
pub mod spelling;
mod up;
mod watermark;

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use trueup_seams::store::StoreResult;
use trueup_seams::{BoxFuture, DaemonRecord, Memory, Store, StoreError, StoreHealth};
use trueup_types::AppName;
use trueup_types::record::AppRecord;
use trueup_types::status::Event;

use owner::{Owner, Request};

pub use ground::ASIDE_MAX;
pub use layout::EVENTS_MAX;

/// Most requests that wait for the owner thread; further callers wait for their turn without one.
///
/// Four full commit groups: more would only make the last answer older.
const QUEUE_MAX: usize = 1_024;

/// Longest wait for an answer; longer than the engine's own limit of patience, so that its word comes first.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// Longest wait for the owner thread to close the engine when the store is dropped.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(10);

/// A store in a directory, served by one owner thread; closed when dropped.
#[derive(Debug)]
pub struct SledStore {
    requests: Sender<Request>,
    turns: Arc<Semaphore>,
    health: Arc<Mutex<StoreHealth>>,
    closed: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl SledStore {
    /// Opens the store at `<state_dir>/store`, with its watermark at `<state_dir>/store.watermark`; blocks meanwhile.
    ///
    /// A store that cannot be believed is set aside as `store.aside-<n>` and an empty one begun; [`Memory::rebuilt`]
    /// says so. A disk that refuses gives a degraded store which heals by itself; until then it answers `Unavailable`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process holds it; [`StoreError::Unavailable`] when `state_dir` itself, or
    /// the owner thread, cannot be made.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let unavailable = |why: std::io::Error| StoreError::Unavailable(format!("{}: {why}", state_dir.display()));
        disk::create_private(state_dir).map_err(unavailable)?;
        let lock = disk::lock(&state_dir.join("store.lock"))?;
        let health = Arc::new(Mutex::new(StoreHealth::Good));
        let (requests, inbox) = std::sync::mpsc::channel();
        let (on_open, opened) = std::sync::mpsc::sync_channel(1);
        let (on_close, closed) = std::sync::mpsc::sync_channel(1);
        let (dir, shared) = (state_dir.to_owned(), Arc::clone(&health));
        let bugs = trueup_museum::Carried::here();
        let life = move || {
            bugs.plant();
            match Owner::open(&dir, inbox, shared) {
                Ok(owner) => {
                    let _ = on_open.send(Ok(()));
                    owner.run();
                }
                Err(error) => {
                    let _ = on_open.send(Err(error));
                }
            }
            drop(lock);
            let _ = on_close.send(());
        };
        std::thread::Builder::new().name("store".to_owned()).spawn(life).map_err(unavailable)?;
        opened.recv().map_err(|_| StoreError::Unavailable("the store's thread ended while it opened".to_owned()))??;
        Ok(Self { requests, turns: Arc::new(Semaphore::new(QUEUE_MAX)), health, closed: Mutex::new(closed) })
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<StoreResult<T>>) -> Request) -> StoreResult<T> {
        let gone = || self.silent("the store's thread has ended".to_owned());
        let _turn = self.turns.acquire().await.map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).map_err(|_| gone())?;
        match tokio::time::timeout(ANSWER_WAIT_MAX, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(self.silent(format!("no answer within {}s", ANSWER_WAIT_MAX.as_secs()))),
        }
    }

    /// The owner thread cannot say how it stands, so it is said here.
    fn silent(&self, why: String) -> StoreError {
        let health = StoreHealth::Degraded { why: why.clone() };
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
        StoreError::Unavailable(why)
    }
}

impl Store for SledStore {
    fn load(&self) -> BoxFuture<'_, StoreResult<Memory>> {
        Box::pin(self.ask(|reply| Request::Load { reply }))
    }

    fn save<'a>(&'a self, app: &'a AppName, record: &'a AppRecord) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let payload = layout::encode(record)?;
            let releases = record.releases.clone();
            self.ask(|reply| Request::Save { app: app.clone(), payload, releases, reply }).await
        })
    }

    fn forget<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.ask(|reply| Request::Forget { app: app.clone(), reply }))
    }

    fn save_daemon<'a>(&'a self, record: &'a DaemonRecord) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let payload = layout::encode(record)?;
            self.ask(|reply| Request::SaveDaemon { payload, reply }).await
        })
    }

    fn append_events<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let newest = events.iter().rev().take(EVENTS_MAX).rev();
            let encoded: Result<_, _> = newest.map(|event| Ok((event.sequence, layout::encode(event)?))).collect();
            let events = encoded?;
            self.ask(|reply| Request::AppendEvents { events, reply }).await
        })
    }

    fn settled(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.ask(|reply| Request::Settled { reply }))
    }

    fn health(&self) -> StoreHealth {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if self.requests.send(Request::Close).is_err() {
            return;
        }
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.recv_timeout(CLOSE_WAIT_MAX) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the store did not close in time; the next start looks at what it left");
        }
    }
}
