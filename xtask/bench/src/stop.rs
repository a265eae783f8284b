//! Whatever was started is stopped: at the end of each measure, and on Ctrl-C or SIGTERM too.
//!
//! Everything that a measure starts names its folder in its command line, environment or working directory; the folder is
//! all that must be remembered to find it again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use tokio::signal::unix::{SignalKind, signal};
use trueup_tests::processes;

/// The exit code of what a person interrupted: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

static FOLDERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A folder whose processes end with it; dropped, it stops them.
pub struct Claim(PathBuf);

impl Claim {
    /// Remembers a folder.
    #[must_use]
    pub fn on(folder: &Path) -> Self {
        folders().insert(folder.to_owned());
        Self(folder.to_owned())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        processes::kill_all(&self.0);
        folders().remove(&self.0);
    }
}

/// Stops everything and leaves, when a person or the system says so.
pub fn on_interrupt() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be waited for");
            let mut terminate = signal(SignalKind::terminate()).expect("signals can be waited for");
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        crate::report::say("interrupted: stopping what was started");
        // Held to the end, so that nothing new is begun in a folder that goes.
        let folders = folders();
        for folder in folders.iter() {
            processes::kill_all(folder);
            // What cannot be removed is a few files in the temporary folder.
            let _ = std::fs::remove_dir_all(folder);
        }
        std::process::exit(INTERRUPTED);
    });
}

fn folders() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    FOLDERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
