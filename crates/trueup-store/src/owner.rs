//! The one thread that owns the engine: drains its queue into groups, and commits each group once.
//!
//! Requests come from [`crate::SledStore`]. A group is one transaction, one sync and one watermark; then all of it is
//! answered. After any failure the engine is dropped and opened again from the disk, with back-off: a sled that met a
//! full disk never recovers in place. While it is down each request is answered `Unavailable` at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use trueup_seams::store::StoreResult;
use trueup_seams::{Memory, StoreError, StoreHealth};
use trueup_types::{AppName, Release, Revision};

use crate::engine_error::EngineError;
use crate::ground::Paths;
use crate::guarded;
use crate::journal::Writes;
use crate::up::Up;

/// Most requests in one commit: a thousand apps are four syncs, and no answer waits for more than one of them.
const GROUP_MAX: usize = 256;

/// First wait before a store that cannot save is tried again.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(200);

/// Longest such wait: a freed disk heals within it.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long events may wait for a commit that carries them along before they are written by themselves.
const EVENTS_WAIT: Duration = Duration::from_secs(1);

/// Where a request's answer goes.
type Reply<T> = oneshot::Sender<StoreResult<T>>;

/// What the owner thread is asked.
#[derive(Debug)]
pub(crate) enum Request {
    Load { reply: Reply<Memory> },
    Save { app: AppName, payload: Vec<u8>, releases: BTreeMap<Revision, Arc<Release>>, reply: Reply<()> },
    Forget { app: AppName, reply: Reply<()> },
    SaveDaemon { payload: Vec<u8>, reply: Reply<()> },
    AppendEvents { events: Vec<(u64, Vec<u8>)>, reply: Reply<()> },
    Settled { reply: Reply<()> },
    Close,
}

/// The owner of the engine.
#[derive(Debug)]
pub(crate) struct Owner {
    paths: Paths,
    inbox: Receiver<Request>,
    health: Arc<Mutex<StoreHealth>>,
    state: State,
}

#[derive(Debug)]
enum State {
    Up(Box<Up<Paths>>),
    Down { why: String, wait: Duration, retry_at: Instant },
}

impl State {
    fn down(why: String, wait: Duration) -> Self {
        Self::Down { why, wait, retry_at: Instant::now() + wait }
    }
}

/// What is committed together.
#[derive(Debug, Default)]
struct Group {
    writes: Writes,
    replies: Vec<Reply<()>>,
}

// === impl Owner ===

impl Owner {
    /// Opens the store; one that cannot save starts degraded.
    pub(crate) fn open(
        state_dir: &Path,
        inbox: Receiver<Request>,
        health: Arc<Mutex<StoreHealth>>,
    ) -> Result<Self, StoreError> {
        let paths = Paths::new(state_dir);
        let state = match guarded::open(&paths) {
            Ok(opened) => State::Up(Box::new(Up::new(&paths, opened))),
            Err(EngineError::Locked(why)) => return Err(StoreError::Locked(why)),
            Err(EngineError::Refused(why) | EngineError::Failed(why) | EngineError::Broken(why)) => {
                State::down(why, RETRY_WAIT_MIN)
            }
        };
        let owner = Self { paths, inbox, health, state };
        owner.publish_health();
        Ok(owner)
    }

    /// Serves until the store is closed.
    pub(crate) fn run(mut self) {
        loop {
            match self.next() {
                Ok(request) => {
                    if self.serve(request).is_break() {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.idle(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let State::Up(up) = &mut self.state
            && let Err(why) = up.write_events()
        {
            tracing::debug!(%why, "the last events were not written");
        }
    }

    fn next(&self) -> Result<Request, RecvTimeoutError> {
        match &self.state {
            // Requests that are refused do not put the next try off.
            State::Down { retry_at, .. } => {
                let wait = retry_at.saturating_duration_since(Instant::now());
                if wait.is_zero() { Err(RecvTimeoutError::Timeout) } else { self.inbox.recv_timeout(wait) }
            }
            State::Up(up) if up.has_events_waiting() => self.inbox.recv_timeout(EVENTS_WAIT),
            State::Up(_) => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn idle(&mut self) {
        match &mut self.state {
            State::Up(up) => {
                if let Err(why) = up.write_events() {
                    self.fail(&why, Group::default());
                }
            }
            State::Down { wait, .. } => {
                let wait = (*wait * 2).min(RETRY_WAIT_MAX);
                match guarded::open(&self.paths) {
                    Ok(opened) => {
                        tracing::info!("the store saves again");
                        self.state = State::Up(Box::new(Up::new(&self.paths, opened)));
                    }
                    Err(why) => self.state = State::down(why.to_string(), wait),
                }
                self.publish_health();
            }
        }
    }

    /// Serves one request and all that wait behind it, in one group.
    fn serve(&mut self, first: Request) -> std::ops::ControlFlow<()> {
        let up = match &mut self.state {
            State::Up(up) => up,
            State::Down { why, .. } => return refuse(first, why),
        };
        let mut group = Group::default();
        let mut flow = std::ops::ControlFlow::Continue(());
        let mut request = Some(first);
        while let Some(taken) = request {
            match taken {
                Request::Close => flow = std::ops::ControlFlow::Break(()),
                // A load shows what is saved, so the group ends before it.
                Request::Load { reply } => {
                    match up.commit(std::mem::take(&mut group.writes)).and_then(|()| up.load()) {
                        Ok(memory) => {
                            group.answer(&Ok(()));
                            let _ = reply.send(Ok(memory));
                        }
                        Err(why) => {
                            self.fail(&why, group);
                            let _ = reply.send(Err(StoreError::Unavailable(why.to_string())));
                            return flow;
                        }
                    }
                }
                Request::Save { app, payload, releases, reply } => {
                    up.save(&app, &payload, releases, &mut group.writes);
                    group.replies.push(reply);
                }
                Request::Forget { app, reply } => {
                    up.forget(&app, &mut group.writes);
                    group.replies.push(reply);
                }
                Request::SaveDaemon { payload, reply } => {
                    up.save_daemon(&payload, &mut group.writes);
                    group.replies.push(reply);
                }
                Request::AppendEvents { events, reply } => {
                    group.replies.push(reply);
                    if let Err(why) = up.append(events) {
                        self.fail(&why, group);
                        return flow;
                    }
                }
                Request::Settled { reply } => {
                    up.settle(&mut group.writes);
                    group.replies.push(reply);
                }
            }
            let full = flow.is_break() || group.replies.len() >= GROUP_MAX;
            request = if full { None } else { self.inbox.try_recv().ok() };
        }
        match up.commit(std::mem::take(&mut group.writes)) {
            Ok(()) => {
                self.publish_health();
                group.answer(&Ok(()));
            }
            Err(why) => self.fail(&why, group),
        }
        flow
    }

    /// The engine is not trusted any more: it is closed, and opened again from what lies on the disk.
    ///
    /// Health is told before the answers, so that who was refused finds it; closing, which may take long, comes last.
    fn fail(&mut self, why: &EngineError, mut group: Group) {
        tracing::error!(%why, "the store cannot save");
        let failed = std::mem::replace(&mut self.state, State::down(why.to_string(), RETRY_WAIT_MIN));
        self.publish_health();
        group.answer(&Err(StoreError::Unavailable(why.to_string())));
        drop(failed);
    }

    fn publish_health(&self) {
        let health = match &self.state {
            State::Up(_) => StoreHealth::Good,
            State::Down { why, .. } => StoreHealth::Degraded { why: why.clone() },
        };
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

// === impl Group ===

impl Group {
    fn answer(&mut self, answer: &StoreResult<()>) {
        for reply in self.replies.drain(..) {
            let _ = reply.send(answer.clone());
        }
    }
}

/// Answers a request while there is no engine.
fn refuse(request: Request, why: &str) -> std::ops::ControlFlow<()> {
    let error = StoreError::Unavailable(why.to_owned());
    match request {
        Request::Close => return std::ops::ControlFlow::Break(()),
        Request::Load { reply } => drop(reply.send(Err(error))),
        Request::Save { reply, .. }
        | Request::Forget { reply, .. }
        | Request::SaveDaemon { reply, .. }
        | Request::AppendEvents { reply, .. }
        | Request::Settled { reply } => drop(reply.send(Err(error))),
    }
    std::ops::ControlFlow::Continue(())
}
