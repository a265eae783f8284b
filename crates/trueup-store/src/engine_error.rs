//! Why the engine did not do what was asked of it, sorted by what it tells of the files that lie on the disk.

use std::io;

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Somebody holds its files.
    #[error("{0}")]
    Locked(String),
    /// The disk is full, read-only or out of reach: nothing is wrong with what lies on it.
    #[error("{0}")]
    Refused(String),
    /// The disk failed a call: what lies on it may be whole, if it was a write.
    #[error("{0}")]
    Failed(String),
    /// Anything else, a panic or silence among it.
    #[error("{0}")]
    Broken(String),
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{
            OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull,
        };
        let refused = [OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull];
        let descriptors = [rustix::io::Errno::MFILE.raw_os_error(), rustix::io::Errno::NFILE.raw_os_error()];
        let out_of_files = error.raw_os_error().is_some_and(|code| descriptors.contains(&code));
        if error.to_string().contains("could not acquire lock") {
            Self::Locked(error.to_string())
        } else if refused.contains(&error.kind()) || out_of_files {
            Self::Refused(error.to_string())
        } else if is_input_output(&error) {
            Self::Failed(error.to_string())
        } else {
            Self::Broken(error.to_string())
        }
    }
}

/// Whether the disk itself failed. sled hands its errors on as texts, so the number is often gone.
fn is_input_output(error: &io::Error) -> bool {
    let code = rustix::io::Errno::IO.raw_os_error();
    error.raw_os_error() == Some(code) || error.to_string().contains(&format!("Os {{ code: {code}, "))
}
