//! How memory is spelled in keys and payloads, and read back.
//!
//! `app/<name>`, `release/<app>/<revision>`, `daemon`, `event/<sequence>` and `root`; payloads are JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use trueup_seams::{DaemonRecord, Memory, StoreError};
use trueup_types::record::AppRecord;
use trueup_types::{AppName, Release, Revision};

use crate::envelope;
use crate::journal::Entry;
use crate::ledger::{Ledger, Root};

/// Most events that are kept: as many as the status document shows.
pub const EVENTS_MAX: usize = 1_000;

/// The key of the root record.
pub(crate) const ROOT: &str = "root";
/// The key of the daemon's own record.
pub(crate) const DAEMON: &str = "daemon";

/// The releases that are stored, shared with who loaded or saved them.
pub(crate) type Releases = BTreeMap<AppName, BTreeMap<Revision, Arc<Release>>>;

/// The key of an app's record.
pub(crate) fn app_key(app: &AppName) -> String {
    format!("app/{app}")
}

/// The key of a release, padded so that keys sort as numbers do.
pub(crate) fn release_key(app: &AppName, revision: Revision) -> String {
    format!("release/{app}/{:020}", revision.0)
}

/// The key of an event.
pub(crate) fn event_key(sequence: u64) -> String {
    format!("event/{sequence:020}")
}

/// The payload of a value.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|why| StoreError::Unavailable(format!("a record cannot be written: {why}")))
}

/// All that a store held, believed or not: that is for the root to tell.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// The root record, if there is one.
    pub root: Option<Root>,
    /// What the root must sum up to.
    pub ledger: Ledger,
    /// The memory itself; its `rebuilt` is the root's.
    pub memory: Memory,
    /// The sequences of the events.
    pub events: BTreeSet<u64>,
}

impl Contents {
    /// The releases, shared with `memory`.
    pub(crate) fn releases(&self) -> Releases {
        self.memory.apps.iter().map(|(app, record)| (app.clone(), record.releases.clone())).collect()
    }

    /// Reads all entries; one line says what is wrong with the first that cannot be read.
    pub(crate) fn read(entries: &[Entry]) -> Result<Self, String> {
        let mut contents = Self::default();
        let mut releases: Vec<Release> = Vec::new();
        for (key, sealed) in entries {
            let key = std::str::from_utf8(key).map_err(|_| "a key is not text".to_owned())?;
            if key.starts_with("event/") {
                contents.take_event(key, sealed);
                continue;
            }
            let payload = envelope::open(key, sealed).map_err(|why| why.to_string())?;
            if key == ROOT {
                contents.root = Some(decode(key, payload)?);
                continue;
            }
            contents.ledger.put(key, payload);
            match key.split_once('/') {
                Some(("app", name)) => {
                    let name = AppName::new(name).map_err(|why| why.to_string())?;
                    contents.memory.apps.insert(name, decode(key, payload)?);
                }
                Some(("release", _)) => {
                    let release: Release = decode(key, payload)?;
                    if release_key(&release.app, release.revision) != key {
                        return Err(format!("value of `{key}` is another release"));
                    }
                    releases.push(release);
                }
                Some(_) => return Err(format!("key `{key}` is not one of ours")),
                None if key == DAEMON => contents.memory.daemon = decode::<DaemonRecord>(key, payload)?,
                None => return Err(format!("key `{key}` is not one of ours")),
            }
        }
        for release in releases {
            let revision = release.revision;
            let record: &mut AppRecord = contents
                .memory
                .apps
                .get_mut(&release.app)
                .ok_or_else(|| format!("release {revision} of {} belongs to no record", release.app))?;
            record.releases.insert(revision, Arc::new(release));
        }
        contents.memory.rebuilt = contents.root.as_ref().and_then(|root| root.rebuilt.clone());
        Ok(contents)
    }

    /// Events may be lost: one that cannot be read is.
    fn take_event(&mut self, key: &str, sealed: &[u8]) {
        let event = envelope::open(key, sealed).map_err(|why| why.to_string());
        match event.and_then(|payload| decode::<trueup_types::status::Event>(key, payload)) {
            Ok(event) => {
                self.events.insert(event.sequence);
                self.memory.events.push(event);
            }
            Err(why) => tracing::warn!(key, why, "an event was lost"),
        }
    }
}

fn decode<T: DeserializeOwned>(key: &str, payload: &[u8]) -> Result<T, String> {
    serde_json::from_slice(payload).map_err(|why| format!("value of `{key}` cannot be read: {why}"))
}
