//! Hands out complete snapshots of a directory of manifests.
//!
//! Any event (`watch`), or the passing of time, makes the directory be listed and read (`walk`); a listing counts once
//! it has held still (`settle`), soon where all that is new was renamed into its place (`arrival`); what counts is read by the [`Reader`] into apps, each file falling back on its last
//! good version (`catalogue`), and two apps never holding one name or one route (`claims`). Folders that apps ship, and secrets
//! that they ask for, are read beside them (`trees`, `secrets`). `life` turns the wheel.
//!
//! Events are hints. What cannot be seen is never taken for absent: it freezes pruning, and is said.
//! Knows nothing of YAML, of runtimes, nor of what becomes of an app that is gone.

#[cfg(test)]
extern crate self as trueup_source;

mod arrival;
mod catalogue;
mod claims;
mod interest;
mod life;
mod once;
mod reader;
mod secrets;
mod settle;
mod trees;
mod walk;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;
use trueup_seams::{NudgeSink, Secrets, Snapshot, Source};

use life::Life;

pub use once::read_once;
pub use reader::{FileOutcome, Reader, Resolved};
pub use secrets::read_secrets;
pub use trees::{root_of, shipped};
pub use walk::{DEPTH_MAX, FILE_BYTES_MAX, FILES_MAX};

/// How a directory is watched.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// The directory; a symlink is followed anew on each listing.
    pub root: PathBuf,
    /// How long a listing must hold still before it counts; 250 ms unless there is a reason. An eighth of it is enough where
    /// all that is new was renamed into its place, and nothing is missed or wrong.
    pub settle: Duration,
    /// How long without an event until everything is read again; 30 s unless there is a reason.
    pub rescan: Duration,
}

/// A directory of manifests, watched until this is dropped.
pub struct DirectorySource {
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

/// What the task that watches and those who ask have in common.
#[derive(Default)]
pub(crate) struct Shared {
    snapshot: RwLock<Arc<Snapshot>>,
    sinks: Mutex<Vec<NudgeSink>>,
    wake: Arc<Notify>,
}

impl DirectorySource {
    /// Starts watching; the first snapshot comes after one settle window.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(config: SourceConfig, reader: Arc<dyn Reader>, secrets: Arc<dyn Secrets>) -> Arc<Self> {
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(Life::new(config, reader, secrets, &shared.wake).run(Arc::clone(&shared)));
        Arc::new(Self { shared, task })
    }
}

impl Source for DirectorySource {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn listen(&self, sink: NudgeSink) {
        self.shared.sinks.lock().unwrap_or_else(PoisonError::into_inner).push(sink);
    }

    fn relist(&self) {
        self.shared.wake.notify_one();
    }
}

impl Drop for DirectorySource {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for DirectorySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectorySource").finish_non_exhaustive()
    }
}
