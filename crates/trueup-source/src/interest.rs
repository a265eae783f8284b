//! What a listing hangs on: which folders to watch, and which of the names in them can change a listing.
//!
//! The walk fills it, `watch` asks it about each event. Without it a log beside the root, or what an editor writes aside,
//! would cost a listing, and delay the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use trueup_museum::{Bug, planted};

/// What to watch, and what counts there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interest {
    /// The folders to watch, with their inodes.
    pub folders: BTreeMap<PathBuf, u64>,
    /// The folder that the root's own name lies in; nothing else there counts.
    beside: Option<(PathBuf, u64)>,
    /// What counts wherever it lies and however it is spelled: the root itself, and what links lead to.
    named: BTreeSet<PathBuf>,
}

impl Interest {
    /// Only in the root itself: it could not be listed.
    pub(crate) fn in_root(root: &Path) -> Self {
        let mut interest = Self::default();
        interest.add_root(root);
        interest
    }

    /// The root's parent sees the root itself flip.
    pub(crate) fn add_root(&mut self, root: &Path) {
        self.named.insert(root.to_owned());
        let parent = root.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
        self.beside = parent.and_then(|parent| Some((parent.to_owned(), parent.metadata().ok()?.ino())));
    }

    /// A file that a link leads to is changed in its own folder.
    pub(crate) fn add_linked(&mut self, real: PathBuf) {
        if let Some(folder) = real.parent() {
            let inode = folder.metadata().map_or(0, |meta| meta.ino());
            self.folders.insert(folder.to_owned(), inode);
        }
        self.named.insert(real);
    }

    /// Every folder to watch.
    pub(crate) fn watched(&self) -> impl Iterator<Item = (&PathBuf, &u64)> {
        let beside = self.beside.iter().map(|(path, inode)| (path, inode));
        beside.filter(|(path, _)| !self.folders.contains_key(*path)).chain(&self.folders)
    }

    /// Whether a listing could see what happened to this path.
    pub(crate) fn concerns(&self, path: &Path) -> bool {
        if self.named.contains(path) || self.folders.contains_key(path) {
            return true;
        }
        let Some((folder, name)) = path.parent().zip(path.file_name()) else { return true };
        let name = name.to_string_lossy();
        // A swap of `..data` moves everything.
        let hidden = name.starts_with('.') && (!name.starts_with("..") || planted(Bug::MissesSymlinkSwap));
        // What lies in no folder of ours is watched by a spelling that we do not know: then everything counts.
        let beside = self.beside.as_ref().is_some_and(|(parent, _)| parent == folder);
        !hidden && (!beside || self.folders.contains_key(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_listing_reads_wakes_nobody_and_all_else_does() {
        let path = |text: &str| PathBuf::from(text);
        let mut interest = Interest {
            folders: [path("/srv/config"), path("/srv/config/web")].map(|one| (one, 1)).into(),
            beside: Some((path("/srv"), 1)),
            named: [path("/srv/config")].into(),
        };
        interest.add_linked(path("/srv/config/.kept.yaml"));
        for seen in [
            "/srv/config",
            "/srv/config/app.yaml",
            "/srv/config/web",
            "/srv/config/web/app.yaml",
            "/srv/config/..data",
            "/srv/config/.kept.yaml",
        ] {
            assert!(interest.concerns(&path(seen)), "{seen} is read by a listing");
        }
        for unseen in ["/srv/daemon.log", "/srv/config/.app.yaml.swp", "/srv/config/web/.git"] {
            assert!(!interest.concerns(&path(unseen)), "{unseen} is read by no listing");
        }
    }
}
