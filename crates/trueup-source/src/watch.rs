//! Watches folders, and wakes the source. The one file that names notify.
//!
//! Each folder is watched by itself, as the walk found it, so that `.git` costs nothing. Of an event only the names are
//! looked at, to leave out what no listing reads: what lies beside the root, and what editors write aside. An overflow
//! carries no names, and a full listing follows anyway. When the system has no watches left the source polls, and says
//! so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use trueup_museum::{Bug, Carried, planted};

use crate::arrival::Arrivals;
use crate::interest::Interest;

/// Whether there is more to watch than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    AsBefore,
    More,
}

/// The folders that are watched.
pub(crate) struct Watches {
    wake: Arc<Notify>,
    interest: Arc<RwLock<Interest>>,
    arrivals: Arc<Mutex<Arrivals>>,
    watcher: Option<RecommendedWatcher>,
    folders: BTreeMap<PathBuf, u64>,
    degraded: Option<String>,
}

impl Watches {
    pub(crate) fn new(wake: &Arc<Notify>) -> Self {
        Self {
            wake: Arc::clone(wake),
            interest: Arc::default(),
            arrivals: Arc::default(),
            watcher: None,
            folders: BTreeMap::new(),
            degraded: None,
        }
    }

    /// Why changes may go unnoticed until the next poll, in one line.
    pub(crate) fn degraded(&self) -> Option<&str> {
        self.degraded.as_deref()
    }

    /// What was renamed into its place.
    pub(crate) fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches these folders, by path and inode, and no others.
    pub(crate) fn set(&mut self, interest: &Interest) -> Watched {
        self.interest.write().unwrap_or_else(PoisonError::into_inner).clone_from(interest);
        let wanted: BTreeMap<&PathBuf, &u64> = interest.watched().collect();
        if self.watcher.is_none() {
            match start(&self.wake, &self.interest, &self.arrivals) {
                Ok(watcher) => self.watcher = Some(watcher),
                Err(why) => {
                    self.degraded = Some(format!("no watcher: {why}"));
                    return Watched::AsBefore;
                }
            }
        }
        let Some(watcher) = &mut self.watcher else { return Watched::AsBefore };
        self.folders.retain(|path, inode| {
            let kept = wanted.get(path).is_some_and(|there| *there == inode);
            if !kept {
                // Gone with its folder, as a rule.
                let _ = watcher.unwatch(path);
            }
            kept
        });
        self.degraded = None;
        let mut watched = Watched::AsBefore;
        for (path, inode) in wanted {
            if self.folders.contains_key(path) {
                continue;
            }
            match add(watcher, path) {
                Ok(()) => {
                    self.folders.insert(path.clone(), *inode);
                    watched = Watched::More;
                }
                Err(why) => self.degraded = Some(why),
            }
        }
        watched
    }
}

fn start(
    wake: &Arc<Notify>,
    interest: &Arc<RwLock<Interest>>,
    arrivals: &Arc<Mutex<Arrivals>>,
) -> notify::Result<RecommendedWatcher> {
    let (wake, interest, arrivals) = (Arc::clone(wake), Arc::clone(interest), Arc::clone(arrivals));
    let bugs = Carried::here();
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        bugs.plant();
        let concerns = |event: notify::Event| {
            let interest = interest.read().unwrap_or_else(PoisonError::into_inner);
            let seen = event.paths.is_empty() || event.paths.iter().any(|path| interest.concerns(path));
            let lost = event.paths.is_empty() && planted(Bug::DropsPathlessRescan);
            let concerns = !lost && (event.need_rescan() || (is_change(event.kind) && seen));
            if concerns {
                arrivals.lock().unwrap_or_else(PoisonError::into_inner).take(&event);
            }
            concerns
        };
        if event.map_or(true, concerns) {
            wake.notify_one();
        }
    })
}

/// Our own reading is an event too.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Any
        | EventKind::Other
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_) => true,
        EventKind::Access(
            AccessKind::Any | AccessKind::Read | AccessKind::Open(_) | AccessKind::Close(_) | AccessKind::Other,
        ) => false,
    }
}

/// A folder that is gone is no matter: the listing after this one does not name it.
fn add(watcher: &mut RecommendedWatcher, path: &Path) -> Result<(), String> {
    let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive) else { return Ok(()) };
    let path = path.display();
    match error.kind {
        ErrorKind::PathNotFound => Ok(()),
        ErrorKind::Io(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(()),
        ErrorKind::MaxFilesWatch => {
            Err(format!("the system has no watches left (fs.inotify.max_user_watches): {path}"))
        }
        ErrorKind::Io(why) => Err(format!("{path}: {why}")),
        ErrorKind::Generic(why) => Err(format!("{path}: {why}")),
        ErrorKind::WatchNotFound | ErrorKind::InvalidConfig(_) => Err(format!("{path} cannot be watched")),
    }
}
