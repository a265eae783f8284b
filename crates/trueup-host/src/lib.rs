//! Where things are done: on this host, and later over SSH.
//!
//! A runtime asks a [`Host`] to run a command or to move a small file and knows nothing of how. [`LocalHost`] does it
//! here. SSH is not a runtime: it is another place for the same ones. A [`tree::Tree`] is a folder that is shipped, a
//! [`World`] one boot of a host. Knows nothing of apps and plans.

mod causes;
pub mod files;
pub mod ignore;
mod local;
pub mod tree;
mod world;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

pub use causes::spelled;
pub use local::LocalHost;
pub use tree::Tree;
pub use world::World;

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A place with a shell and a disk.
pub trait Host: Send + Sync {
    /// Runs a command to its end and gives back what it wrote.
    ///
    /// # Cancel safety
    /// Dropped, the command and its process group are killed.
    ///
    /// # Errors
    /// When it cannot be started. A command that fails, or is killed at its timeout, is an [`Output`].
    fn exec<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>>;

    /// Writes a small file: aside, synced, then renamed; its folder must be there.
    ///
    /// # Errors
    /// When the disk refuses.
    fn put<'a>(&'a self, path: &'a Path, bytes: &'a [u8], mode: u32) -> BoxFuture<'a, Result<(), HostError>>;

    /// Reads a file of at most `bytes_max`.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or is longer.
    fn get<'a>(&'a self, path: &'a Path, bytes_max: u64) -> BoxFuture<'a, Result<Vec<u8>, HostError>>;
}

/// A command, with nothing inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program, looked up in `env`'s PATH unless it has a slash.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Where it runs.
    pub workdir: Option<PathBuf>,
    /// What it reads on standard input; nothing at all where it is empty.
    pub stdin: Vec<u8>,
    /// After this long its process group is killed.
    pub timeout: Duration,
    /// Most bytes kept of standard output and standard error together; the rest is read and dropped.
    pub output_max: usize,
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; 128 + signal for a signal; `None` when it was killed at its timeout.
    pub code: Option<i32>,
    /// Standard output, as far as it was kept.
    pub stdout: Vec<u8>,
    /// Standard error, as far as it was kept.
    pub stderr: Vec<u8>,
}

/// Why a host did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The command could not be started.
    #[error("`{program}` cannot be started")]
    CannotStart {
        /// Which.
        program: String,
        /// What the system said.
        #[source]
        why: std::io::Error,
    },
    /// A file could not be read or written.
    #[error("{} cannot be {verb}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// What the system said.
        #[source]
        why: std::io::Error,
    },
    /// A file is longer than was asked for.
    #[error("{} has {bytes} bytes, at most {bytes_max} are read", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
}
