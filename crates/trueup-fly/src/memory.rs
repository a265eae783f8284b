//! What no listing tells: a small folder of ours, beside the daemon's memory.
//!
//! Which app there is which app here, which lives were told to stop, and what the proxy was told when. Each is written
//! before the platform is asked, so that what a daemon began is known to the next; each is found or guessed again where the
//! folder is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use serde::{Deserialize, Serialize};
use trueup_host::files::{self, Durability};
use trueup_types::route::AppRoutes;
use trueup_types::{AppName, Incarnation, Ordinal, Revision, TableGeneration};

use crate::moment::WallMillis;
use crate::public::Word;
use crate::record::Recorded;
use crate::secrets::Set;

/// The version of what we write.
const VERSION: u32 = 1;

/// An app there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Home {
    /// Its name there.
    pub fly: String,
    /// Whether we made it, or set out to: only then do we take it away.
    pub ours: bool,
}

/// A life that was told to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    pub life: Incarnation,
    pub at: WallMillis,
    /// Whether the platform has said that it heard. What nobody heard runs on, and is told again.
    pub heard: bool,
}

/// What the proxy was told of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told {
    pub registered: bool,
    pub at: WallMillis,
}

/// One that is kept through a bake, and was stopped to save its price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Nap {
    /// The life that it was stopped in.
    pub life: Incarnation,
    /// Whether it was told to get up since.
    pub woken: bool,
}

/// The disk that a removal of ours freed last, or was to free, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Freed {
    pub disk: String,
    pub at: WallMillis,
    /// Of which revision the machine was that left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Revision>,
}

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Kept {
    version: u32,
    pub homes: BTreeMap<AppName, Home>,
    pub asked: BTreeMap<String, Asked>,
    pub told: BTreeMap<String, Told>,
    /// The machines that were stopped for the time of a bake.
    pub naps: BTreeMap<String, Nap>,
    /// The machines that were seen to pass their checks.
    pub proven: BTreeSet<String>,
    /// Which place in its row a disk was given to last, by the app's name there and the disk's id.
    pub disks: BTreeMap<String, BTreeMap<String, Ordinal>>,
    /// The last disk that was freed, by the app's name there.
    pub freed: BTreeMap<String, Freed>,
    /// When a disk was asked for whose making nobody has answered yet, by the app's name there, its region and its name.
    pub making: BTreeMap<String, WallMillis>,
    /// What we have set of secrets, by the app's name there.
    pub secrets: BTreeMap<String, Set>,
    pub words: BTreeMap<AppName, Word>,
    /// The names for which we asked for certificates: those go with their routes.
    pub certified: BTreeMap<AppName, BTreeSet<String>>,
    /// The records of releases, by the app's name there, oldest first.
    pub records: BTreeMap<String, Vec<Recorded>>,
    pub generation: TableGeneration,
    pub shares: Vec<AppRoutes>,
}

/// The folder, with its one file.
pub(crate) struct Memory {
    path: PathBuf,
    kept: Mutex<Kept>,
}

impl Memory {
    /// Reads what earlier daemons wrote; makes nothing.
    ///
    /// # Errors
    /// When it is there and cannot be read, or is of a later version.
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("fly.json");
        let kept = files::read::<Kept>(&path)?.unwrap_or_default();
        if kept.version > VERSION {
            let why = format!("{}: of version {}, later than ours; upgrade this daemon", path.display(), kept.version);
            return Err(std::io::Error::other(why));
        }
        Ok(Self { path, kept: Mutex::new(kept) })
    }

    /// Looks at it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Kept) -> T) -> T {
        look(&self.kept())
    }

    /// Changes it, and writes it where it has changed.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> std::io::Result<T> {
        let mut kept = self.kept();
        let before = serde_json::to_vec(&*kept)?;
        let value = change(&mut kept);
        kept.version = VERSION;
        if serde_json::to_vec(&*kept)? != before {
            if let Some(folder) = self.path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            files::write(&self.path, &*kept, Durability::Synced)?;
        }
        Ok(value)
    }

    /// Remembers that a machine was seen to pass its checks. Unwritten, a daemon to come would wake it once.
    pub(crate) fn prove(&self, machine: &str) {
        if !self.look(|kept| kept.proven.contains(machine))
            && let Err(error) = self.change(|kept| kept.proven.insert(machine.to_owned()))
        {
            tracing::debug!(%error, machine, "that it has passed is not remembered yet");
        }
    }

    /// Forgets all machines that are not among these.
    pub(crate) fn keep_only(&self, there: &dyn Fn(&str) -> bool) {
        let known = |kept: &Kept| {
            let told = kept.asked.keys().chain(kept.told.keys()).chain(kept.naps.keys());
            told.chain(&kept.proven).all(|one| there(one))
        };
        if self.look(known) {
            return;
        }
        let forgotten = self.change(|kept| {
            kept.asked.retain(|machine, _| there(machine));
            kept.told.retain(|machine, _| there(machine));
            kept.naps.retain(|machine, _| there(machine));
            kept.proven.retain(|machine| there(machine));
        });
        if let Err(error) = forgotten {
            tracing::debug!(%error, "what is gone is not forgotten yet");
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_is_known_to_the_next_daemon_until_it_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory::open(folder.path()).expect("it opens");
        let asked = Asked { life: Incarnation("m-1".into()), at: WallMillis(7), heard: false };
        memory.change(|kept| kept.asked.insert("m".to_owned(), asked.clone())).expect("it is written");
        let again = Memory::open(folder.path()).expect("it opens");
        assert_eq!(again.look(|kept| kept.asked.get("m").cloned()), Some(asked));
        again.keep_only(&|machine| machine != "m");
        let again = Memory::open(folder.path()).expect("it opens");
        assert_eq!(again.look(|kept| kept.asked.len()), 0);
    }

    #[test]
    fn what_a_later_version_wrote_is_not_guessed_at() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("fly.json"), r#"{"version": 2}"#).expect("it is written");
        assert!(Memory::open(folder.path()).is_err_and(|why| why.to_string().contains("upgrade")));
    }
}
