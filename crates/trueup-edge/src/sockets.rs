//! The control sockets of a directory: who is alive, and what a dead edge has left behind.
//!
//! Each edge has `edge-<sequence>.sock`; the sequence grows, so the newest is the highest. A socket appears under its
//! name only when it listens already: one that refuses is a dead edge's, and is removed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::error::EdgeError;
use crate::limits::{CONTROL_TIMEOUT, SOCKET_PATH_BYTES_MAX};
use crate::wire::{self, Answer, Ask};

/// Held by an edge while it starts, so that two never take over at once; the kernel lets go of it with the process.
#[derive(Debug)]
pub(crate) struct StartLock(File);

/// A control socket that listens; its file is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
}

/// Why an edge did not answer.
#[derive(Debug)]
pub(crate) enum Silence {
    /// It is dead, or has left.
    Gone,
    /// Nobody knows what it did.
    Unsure(String),
}

/// Makes the directory, for its owner alone.
pub(crate) fn make_dir(dir: &Path) -> Result<(), EdgeError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| EdgeError::Path { path: dir.to_owned(), source })
}

impl StartLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`EdgeError::Starting`] when another edge holds it.
    pub(crate) fn take(dir: &Path) -> Result<Self, EdgeError> {
        let path = dir.join("start.lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|source| EdgeError::Path { path, source })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(_) => Err(EdgeError::Starting { dir: dir.to_owned() }),
        }
    }

    /// Lets others start.
    pub(crate) fn release(self) {
        drop(self.0);
    }
}

impl ControlSocket {
    /// Listens as the edge of this sequence.
    ///
    /// # Errors
    /// [`EdgeError::SocketPath`] for a path that no socket can have; [`EdgeError::Path`] else.
    pub(crate) fn open(dir: &Path, sequence: u64) -> Result<Self, EdgeError> {
        let path = dir.join(format!("edge-{sequence}.sock"));
        // As long as the final name, so that one check serves for both.
        let aside = dir.join(format!("new--{sequence}.sock"));
        let length = path.as_os_str().as_bytes().len();
        if length > SOCKET_PATH_BYTES_MAX {
            return Err(EdgeError::SocketPath { path, length });
        }
        let _ = fs::remove_file(&aside);
        let open = || {
            let listener = UnixListener::bind(&aside)?;
            fs::set_permissions(&aside, fs::Permissions::from_mode(0o600))?;
            fs::rename(&aside, &path)?;
            Ok(listener)
        };
        let listener = open().map_err(|source| EdgeError::Path { path: path.clone(), source })?;
        Ok(Self { listener, path })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Who finds it first removes it; both are right.
        let _ = fs::remove_file(&self.path);
    }
}

/// The control sockets in a directory, newest first; a directory that does not exist has none.
pub(crate) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, EdgeError> {
    let failed = |source| EdgeError::Path { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut sockets = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let sequence = name.strip_prefix("edge-").and_then(|rest| rest.strip_suffix(".sock"));
        if let Some(sequence) = sequence.and_then(|text| text.parse().ok()) {
            sockets.push((sequence, path));
        }
    }
    sockets.sort();
    sockets.reverse();
    Ok(sockets)
}

/// Asks one edge one thing; every question may be asked twice.
pub(crate) async fn ask(path: &Path, ask: &Ask) -> Result<Answer, Silence> {
    let exchange = async {
        match ask_once(path, ask).await {
            // It hung up: an edge that has just left is gone, one that lives is asked again.
            Err(Silence::Unsure(_)) => ask_once(path, ask).await,
            other @ (Ok(_) | Err(Silence::Gone)) => other,
        }
    };
    let late = |_| Err(Silence::Unsure(format!("no answer within {} s", CONTROL_TIMEOUT.as_secs())));
    timeout(CONTROL_TIMEOUT, exchange).await.unwrap_or_else(late)
}

async fn ask_once(path: &Path, ask: &Ask) -> Result<Answer, Silence> {
    let mut stream = connect(path).await?;
    let unsure = |error: io::Error| Silence::Unsure(error.to_string());
    wire::write(&mut stream, ask).await.map_err(unsure)?;
    wire::read(&mut stream).await.map_err(unsure)
}

/// Opens a conversation; removes what a dead edge has left behind.
pub(crate) async fn connect(path: &Path) -> Result<UnixStream, Silence> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(stream),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Silence::Gone),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let _ = fs::remove_file(path);
            Err(Silence::Gone)
        }
        Err(error) => Err(Silence::Unsure(error.to_string())),
    }
}
