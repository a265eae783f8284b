//! Which lives were told to stop: an engine does not remember who stopped a container.
//!
//! A small file for each, written before the engine is asked, so that an exit that comes while no daemon looks is still
//! known to be of our doing, and a stop that a daemon began is seen through by the next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use trueup_types::Incarnation;
use trueup_types::template::Stop;

use crate::moment::WallMillis;
use trueup_host::files::{self, Durability};

/// One life that was told to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    version: u32,
    pub incarnation: Incarnation,
    /// When, by the wall clock.
    at_millis: u64,
    pub stop: Stop,
}

const VERSION: u32 = 1;

impl Asked {
    pub(crate) fn new(incarnation: Incarnation, at: WallMillis, stop: Stop) -> Self {
        Self { version: VERSION, incarnation, at_millis: at.0, stop }
    }

    pub(crate) fn at(&self) -> WallMillis {
        WallMillis(self.at_millis)
    }
}

/// All of them, by the id of their container.
pub(crate) struct AskedBook {
    folder: PathBuf,
    lives: Mutex<BTreeMap<String, Asked>>,
}

impl AskedBook {
    /// Reads what earlier daemons wrote; makes nothing.
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        let folder = folder.join("asked");
        let mut lives = BTreeMap::new();
        let there = match std::fs::read_dir(&folder) {
            Ok(there) => there.collect::<Result<Vec<_>, _>>()?,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(why) => return Err(why),
        };
        for entry in there {
            let path = entry.path();
            let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json"));
            let Some(id) = id.map(str::to_owned) else { continue };
            match files::read::<Asked>(&path) {
                Ok(Some(asked)) if asked.version <= VERSION => drop(lives.insert(id, asked)),
                Ok(Some(_)) | Ok(None) => {}
                // Without it an exit counts against its release, which a person may undo; that is better than no daemon.
                Err(error) => tracing::warn!(%error, "what was told to stop cannot be read"),
            }
        }
        Ok(Self { folder, lives: Mutex::new(lives) })
    }

    /// Writes one down.
    pub(crate) fn note(&self, container: &str, asked: Asked) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        files::write(&self.path(container), &asked, Durability::Synced)?;
        self.lives.lock().expect("no holder panics").insert(container.to_owned(), asked);
        Ok(())
    }

    /// What this container was told, if it was told in this life.
    pub(crate) fn of(&self, container: &str, life: &Incarnation) -> Option<Asked> {
        let lives = self.lives.lock().expect("no holder panics");
        lives.get(container).filter(|asked| asked.incarnation == *life).cloned()
    }

    /// Forgets all containers that a whole listing does not show.
    pub(crate) fn keep_only(&self, there: &BTreeSet<&str>) {
        let mut lives = self.lives.lock().expect("no holder panics");
        lives.retain(|container, _| {
            let stays = there.contains(container.as_str());
            if !stays {
                // What cannot be removed is read again by the next daemon, and forgotten again.
                let _ = std::fs::remove_file(self.path(container));
            }
            stays
        });
    }

    fn path(&self, container: &str) -> PathBuf {
        self.folder.join(format!("{container}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_to_stop_is_known_to_the_next_daemon_until_it_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let book = AskedBook::open(folder.path()).expect("it opens");
        let (life, other) = (Incarnation("a-1".into()), Incarnation("a-2".into()));
        book.note("a", Asked::new(life.clone(), WallMillis(7), Stop::default())).expect("it is written");
        drop(book);
        let book = AskedBook::open(folder.path()).expect("it opens");
        assert_eq!(book.of("a", &life).map(|asked| asked.at()), Some(WallMillis(7)));
        assert_eq!(book.of("a", &other), None, "another life of it was told nothing");
        book.keep_only(&BTreeSet::from(["a"]));
        assert!(book.of("a", &life).is_some());
        book.keep_only(&BTreeSet::new());
        let book = AskedBook::open(folder.path()).expect("it opens");
        assert_eq!(book.of("a", &life), None);
    }
}
