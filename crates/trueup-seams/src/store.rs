//! What a store promises: what it has acknowledged stays, or its loss is noticed.

use std::collections::BTreeMap;

use trueup_types::record::{AppRecord, Word};
use trueup_types::status::Event;
use trueup_types::{AppName, TableGeneration, Timestamp};

use crate::BoxFuture;

/// What a store answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// Memory that outlives the daemon.
pub trait Store: Send + Sync {
    /// All that is remembered, each record with its releases.
    fn load(&self) -> BoxFuture<'_, StoreResult<Memory>>;

    /// Saves a record with its releases; returns when it is on the disk. Releases no longer named are dropped.
    fn save<'a>(&'a self, app: &'a AppName, record: &'a AppRecord) -> BoxFuture<'a, StoreResult<()>>;

    /// Forgets an app.
    fn forget<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StoreResult<()>>;

    /// Saves the daemon's own record; returns when it is on the disk.
    fn save_daemon<'a>(&'a self, record: &'a DaemonRecord) -> BoxFuture<'a, StoreResult<()>>;

    /// Appends events; the oldest beyond the bound go. Not synced: events may be lost.
    fn append_events<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>>;

    /// Every target has been seen since the store was rebuilt: later loads need not say [`Memory::rebuilt`] again.
    ///
    /// Until then each load says it, over any number of crashes; a store that is never rebuilt has nothing to do.
    fn settled(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async { Ok(()) })
    }

    /// How the store itself stands.
    fn health(&self) -> StoreHealth;
}

/// All that is remembered.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// The records, with their releases.
    pub apps: BTreeMap<AppName, AppRecord>,
    /// The daemon's own.
    pub daemon: DaemonRecord,
    /// The newest events, oldest first.
    pub events: Vec<Event>,
    /// Why it holds less than was once acknowledged, if it does: nothing is destroyed until every target has been seen.
    pub rebuilt: Option<String>,
}

/// What the daemon remembers of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DaemonRecord {
    /// The last table handed to the ingress.
    pub table: TableGeneration,
    /// `trueup down`: all apps are stopped until the next `run`.
    pub down: Option<Word>,
    /// Until when a person has approved a mass prune.
    pub prune_approved: Option<Word>,
    /// The apps that the approval names.
    pub prune_apps: Vec<AppName>,
    /// Memory was lost, and nobody has approved a deletion since: each waits for a word.
    pub prune_strict: bool,
    /// The boot of the clock's anchor.
    pub boot_id: String,
    /// The anchor: steady time at the boot clock's zero of that boot.
    pub clock_anchor: Timestamp,
    /// The highest steady time ever handed out, so that time never goes back.
    pub clock_latest: Timestamp,
}

/// How a store stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreHealth {
    /// It saves.
    Good,
    /// It cannot save; what runs is kept, new rollouts wait.
    Degraded {
        /// Why, one line.
        why: String,
    },
}

/// Why a store did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The disk is full, or refuses: run on without, try again.
    Unavailable(String),
    /// Another process holds it.
    Locked(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the store cannot save: {why}"),
            Self::Locked(why) => write!(f, "the store is held by another process: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}
