//! Reads the status file: no daemon is needed, and no permission but to read it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use trueup_driver::{Clock as _, HEARTBEAT, SteadyClock};
use trueup_types::Timestamp;
use trueup_types::status::{AppStatus, STATUS_VERSION, StatusDocument};

use crate::cli::Places;
use crate::config;
use crate::terminal::say;

/// Heartbeats that may be missed before a reader is warned.
const MISSED_MAX: u32 = 3;

/// Why there is no status to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("there is no status at {}: `trueup run DIR` writes it; --status-file or --state-dir says another", .0.display())]
    Missing(PathBuf),
    #[error("{} cannot be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        why: std::io::Error,
    },
    #[error("{} is not a status that this trueup can read", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        why: serde_json::Error,
    },
    #[error("{} is of version {version}, written by a newer trueup; this one reads up to {STATUS_VERSION}", path.display())]
    Newer { path: PathBuf, version: u32 },
}

/// A status, and how old it is.
pub(crate) struct Status {
    pub document: StatusDocument,
    pub now: Timestamp,
    /// Since the last heartbeat.
    pub silent: Duration,
}

impl Status {
    /// One app of it.
    pub(crate) fn app(&self, name: &str) -> Option<&AppStatus> {
        self.document.apps.iter().find(|app| app.metadata.name.as_str() == name)
    }

    /// Warns when the daemon has been silent for too long.
    pub(crate) fn warn_if_old(&self) {
        if self.silent > HEARTBEAT * MISSED_MAX {
            let silent = humantime::format_duration(Duration::from_secs(self.silent.as_secs()));
            say(&format!("warning: the daemon has not been heard of for {silent}; this is what it last wrote"));
        }
    }
}

/// Reads the status of the first place where there is one.
pub(crate) fn read(places: &Places) -> Result<Status, ReadError> {
    let files = config::status_files(places);
    let found = files.iter().find(|path| path.exists()).or(files.first());
    let path = found.cloned().unwrap_or_default();
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Err(ReadError::Missing(path)),
        Err(why) => return Err(ReadError::Unreadable { path, why }),
    };
    let document = parse(&path, &text)?;
    let modified = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
    let silent = modified.ok().and_then(age_of).unwrap_or_default();
    Ok(Status { document, now: SteadyClock::fresh().now(), silent })
}

fn parse(path: &std::path::Path, text: &[u8]) -> Result<StatusDocument, ReadError> {
    let malformed = |why| ReadError::Malformed { path: path.to_owned(), why };
    // The version first: a newer document may not have our shape.
    let value: serde_json::Value = serde_json::from_slice(text).map_err(malformed)?;
    let version = value.get("version").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if version > u64::from(STATUS_VERSION) {
        let version = u32::try_from(version).unwrap_or(u32::MAX);
        return Err(ReadError::Newer { path: path.to_owned(), version });
    }
    serde_json::from_value(value).map_err(malformed)
}

#[expect(clippy::disallowed_methods, reason = "a file's time can only be compared with the wall clock")]
fn age_of(modified: SystemTime) -> Option<Duration> {
    SystemTime::now().duration_since(modified).ok()
}
