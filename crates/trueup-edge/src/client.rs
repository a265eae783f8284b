//! The daemon's side: speaks to every live edge of a directory as if they were one ingress.
//!
//! An edge that has handed its listeners over still routes what it has, so tables go to all, counts are summed over all,
//! and one that nobody can reach makes the whole answer unknown: a drain must not end on half a count.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use trueup_seams::{BoxFuture, Ingress, ObserveError};
use trueup_types::desired::Doubt;
use trueup_types::route::{RouteTable, TableSight};
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::{InstanceId, OwnerId};

use crate::error::EdgeError;
use crate::limits::{CONTROL_TIMEOUT, LEAVE_TIMEOUT, PUSH_ROUNDS_MAX};
use crate::sockets::{self, Silence};
use crate::wire::{Answer, Ask, EdgeReport, Outcome, Stamp};

/// How often a leaving edge is looked at.
const LEAVE_LOOK: Duration = Duration::from_millis(50);

/// Speaks to the edges of one directory.
#[derive(Debug, Clone)]
pub struct EdgeClient {
    dir: PathBuf,
    owner: OwnerId,
    /// The tables of the last look: an edge does not send again what is here.
    known: Arc<Mutex<Known>>,
}

/// Tables by their stamps.
type Known = Vec<(Stamp, Arc<RouteTable>)>;

/// What one edge sees.
struct Seen {
    table: Arc<RouteTable>,
    in_flight: Vec<(InstanceId, u32)>,
}

/// How the edges of a directory stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeStatus {
    /// All that live, newest first.
    pub edges: Vec<EdgeReport>,
}

impl EdgeStatus {
    /// The newest edge that accepts connections.
    #[must_use]
    pub fn accepting(&self) -> Option<&EdgeReport> {
        self.edges.iter().find(|edge| edge.accepting)
    }
}

/// The live edges of a directory, newest first; what dead ones have left behind is removed.
///
/// # Errors
/// [`EdgeError::Unreachable`] when one lives and does not answer; [`EdgeError::Path`] when the directory cannot be read.
pub async fn live_edges(dir: &Path) -> Result<Vec<EdgeReport>, EdgeError> {
    let mut edges = Vec::new();
    for (_, path) in sockets::list(dir)? {
        match sockets::ask(&path, &Ask::Status).await {
            Ok(Answer::Report(report)) => edges.push(report),
            Ok(other) => return Err(unexpected(&other)),
            Err(Silence::Gone) => {}
            Err(Silence::Unsure(why)) => return Err(EdgeError::Unreachable(why)),
        }
    }
    Ok(edges)
}

impl EdgeClient {
    /// Speaks to the edges of `dir`, which serve `owner`.
    #[must_use]
    pub fn new(dir: PathBuf, owner: OwnerId) -> Self {
        Self { dir, owner, known: Arc::default() }
    }

    /// How the edges stand; an empty list when none lives.
    ///
    /// # Errors
    /// As [`live_edges`].
    pub async fn status(&self) -> Result<EdgeStatus, EdgeError> {
        Ok(EdgeStatus { edges: live_edges(&self.dir).await? })
    }

    /// The newest edge that accepts connections, be others silent: one that drains may hang for as long as it lives.
    ///
    /// # Errors
    /// [`EdgeError::Unreachable`] when none is known to accept and one does not answer, which may be the one that does;
    /// [`EdgeError::Path`] when the directory cannot be read.
    pub async fn accepting(&self) -> Result<Option<EdgeReport>, EdgeError> {
        let mut silent = None;
        for (_, path) in sockets::list(&self.dir)? {
            match sockets::ask(&path, &Ask::Status).await {
                Ok(Answer::Report(report)) if report.accepting => return Ok(Some(report)),
                Ok(Answer::Report(_)) | Err(Silence::Gone) => {}
                Ok(other) => silent = Some(unexpected(&other)),
                Err(Silence::Unsure(why)) => silent = Some(EdgeError::Unreachable(why)),
            }
        }
        silent.map_or(Ok(None), Err)
    }

    /// Makes the accepting edge listen on these addresses and no others; open connections are kept.
    ///
    /// # Errors
    /// [`EdgeError::Refused`] when an address cannot be listened on: what was listened on before still is.
    pub async fn listen(&self, addresses: &[SocketAddr]) -> Result<(), EdgeError> {
        let status = self.status().await?;
        let accepting = status.accepting().ok_or_else(|| EdgeError::Unreachable("no edge accepts".to_owned()))?;
        let path = self.dir.join(format!("edge-{}.sock", accepting.sequence));
        match sockets::ask(&path, &Ask::Listen(addresses.to_vec())).await {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::Refused(why)) => Err(EdgeError::Refused(why)),
            Ok(other) => Err(unexpected(&other)),
            Err(Silence::Gone) => Err(EdgeError::Unreachable("the edge has left".to_owned())),
            Err(Silence::Unsure(why)) => Err(EdgeError::Unreachable(why)),
        }
    }

    /// Lets every edge finish what it has in flight and go; returns when all have gone.
    ///
    /// # Errors
    /// [`EdgeError::Unreachable`] when one does not answer, or is still there well after its time.
    pub async fn leave_all(&self) -> Result<(), EdgeError> {
        let deadline = Instant::now() + LEAVE_TIMEOUT + CONTROL_TIMEOUT;
        loop {
            let sockets = sockets::list(&self.dir)?;
            let mut alive = 0;
            for (_, path) in sockets {
                match sockets::ask(&path, &Ask::Leave).await {
                    Ok(_) => alive += 1,
                    Err(Silence::Gone) => {}
                    // It may have gone in the middle of the answer; the next look tells.
                    Err(Silence::Unsure(why)) if Instant::now() >= deadline => return Err(EdgeError::Unreachable(why)),
                    Err(Silence::Unsure(_)) => alive += 1,
                }
            }
            if alive == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(EdgeError::Unreachable("an edge was told to leave and has not".to_owned()));
            }
            sleep(LEAVE_LOOK).await;
        }
    }

    /// Hands a table to every live edge, and to those that start meanwhile.
    async fn push(&self, table: &RouteTable) -> Result<Vec<Outcome>, String> {
        let ask = Ask::Apply(table.clone());
        let mut outcomes = BTreeMap::new();
        for _ in 0..PUSH_ROUNDS_MAX {
            let sockets = sockets::list(&self.dir).map_err(|error| error.to_string())?;
            let fresh: Vec<_> = sockets.into_iter().filter(|(sequence, _)| !outcomes.contains_key(sequence)).collect();
            if fresh.is_empty() {
                break;
            }
            for (sequence, path) in fresh {
                match sockets::ask(&path, &ask).await {
                    Ok(Answer::Outcome(outcome)) => drop(outcomes.insert(sequence, Some(outcome))),
                    Ok(other) => return Err(unexpected(&other).to_string()),
                    Err(Silence::Gone) => drop(outcomes.insert(sequence, None)),
                    Err(Silence::Unsure(why)) => return Err(why),
                }
            }
        }
        let outcomes: Vec<_> = outcomes.into_values().flatten().collect();
        if outcomes.is_empty() { Err("no edge lives".to_owned()) } else { Ok(outcomes) }
    }

    /// What every live edge sees, newest first.
    async fn sights(&self) -> Result<Vec<Seen>, String> {
        let known = self.known().clone();
        let ask = Ask::Observe(known.iter().map(|(stamp, _)| *stamp).collect());
        let (mut sights, mut tables) = (Vec::new(), Vec::new());
        for (_, path) in sockets::list(&self.dir).map_err(|error| error.to_string())? {
            let (stamp, table, in_flight) = match sockets::ask(&path, &ask).await {
                Ok(Answer::Sight { stamp, table, in_flight }) => (stamp, table, in_flight),
                Ok(other) => return Err(unexpected(&other).to_string()),
                Err(Silence::Gone) => continue,
                Err(Silence::Unsure(why)) => return Err(why),
            };
            let held = || known.iter().find(|(other, _)| *other == stamp).map(|(_, table)| Arc::clone(table));
            let table = table.map(Arc::new).or_else(held).ok_or("an edge kept its table to itself")?;
            tables.push((stamp, Arc::clone(&table)));
            sights.push(Seen { table, in_flight });
        }
        *self.known() = tables;
        Ok(sights)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panics while holding the known tables")
    }

    /// One sight of all edges. One that has missed a table is given it first: its zeros would promise nothing.
    async fn look(&self) -> Result<TableSight, String> {
        let mut sights = self.sights().await?;
        let Some(newest) = newest(&sights) else { return Err("no edge lives".to_owned()) };
        if newest.owner != self.owner {
            return Err(format!("the edge serves the owner `{}`", newest.owner));
        }
        if sights.iter().any(|sight| sight.table.generation != newest.generation) {
            self.push(&newest).await?;
            sights = self.sights().await?;
        }
        let mut in_flight: BTreeMap<InstanceId, u32> = BTreeMap::new();
        for (instance, count) in sights.into_iter().flat_map(|sight| sight.in_flight) {
            *in_flight.entry(instance).or_default() += count;
        }
        Ok(TableSight { table: Arc::unwrap_or_clone(newest), in_flight: in_flight.into_iter().collect() })
    }
}

impl Ingress for EdgeClient {
    fn observe(&self) -> BoxFuture<'_, Result<TableSight, ObserveError>> {
        Box::pin(async {
            let failed = |why| ObserveError { detail: format!("the edge cannot be seen: {why}") };
            self.look().await.map_err(failed)
        })
    }

    fn apply<'a>(&'a self, table: &'a RouteTable) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async {
            match self.push(table).await {
                Ok(outcomes) => join(&outcomes),
                Err(why) => StepOutcome::Unknown { why: Doubt::OutcomeUnknown(format!("the edge: {why}")) },
            }
        })
    }
}

/// The newest table that any edge has: one of them was given it, so it is the one that shall be.
fn newest(sights: &[Seen]) -> Option<Arc<RouteTable>> {
    sights.iter().map(|sight| &sight.table).max_by_key(|table| table.generation).map(Arc::clone)
}

/// One answer for many edges: the worst.
fn join(outcomes: &[Outcome]) -> StepOutcome {
    if outcomes.contains(&Outcome::Foreign) {
        StepOutcome::Refused { why: Refusal::Foreign }
    } else if outcomes.contains(&Outcome::Superseded) {
        StepOutcome::Refused { why: Refusal::Superseded }
    } else if outcomes.contains(&Outcome::Done) {
        StepOutcome::Done
    } else {
        StepOutcome::AlreadyTrue
    }
}

fn unexpected(answer: &Answer) -> EdgeError {
    match answer {
        Answer::Refused(why) => EdgeError::Refused(why.clone()),
        Answer::Sight { .. } | Answer::Outcome(_) | Answer::Report(_) | Answer::Listeners { .. } | Answer::Done => {
            EdgeError::Unreachable("it answered another question than was asked".to_owned())
        }
    }
}
