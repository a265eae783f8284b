//! Why an edge does not start, or does not do as asked.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::limits::SOCKET_PATH_BYTES_MAX;

/// Why an edge does not start, or does not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The directory is too deep for a Unix socket; choose a shorter state directory.
    #[error("the socket path `{}` has {length} bytes, at most {SOCKET_PATH_BYTES_MAX} are possible", path.display())]
    SocketPath {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// The edge's directory, or a file in it, refuses.
    #[error("`{}` cannot be used", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another edge of the directory is starting at this moment; look again.
    #[error("another edge of `{}` is starting", dir.display())]
    Starting {
        /// The directory.
        dir: PathBuf,
    },
    /// An address cannot be listened on; what was listened on before still is.
    #[error("cannot listen on {address}: {}", explain(source))]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// More listeners than a hand-over can carry.
    #[error("{count} listeners (threads times addresses) are more than {}", crate::limits::LISTENERS_MAX)]
    Listeners {
        /// How many.
        count: usize,
    },
    /// The living edge of the directory serves another owner.
    #[error("the edge of this directory serves the owner `{owner}`")]
    Foreign {
        /// Whom.
        owner: String,
    },
    /// A thread of the edge has ended; the edge goes down, to be started again.
    #[error("a thread of the edge has ended")]
    ThreadEnded,
    /// The system refuses a thread, a runtime or a signal handler.
    #[error("the edge cannot run")]
    System(#[source] io::Error),
    /// No edge answers.
    #[error("the edge does not answer: {0}")]
    Unreachable(String),
    /// The edge answers that it cannot, in one line.
    #[error("{0}")]
    Refused(String),
}

fn explain(error: &io::Error) -> String {
    match error.kind() == io::ErrorKind::AddrInUse {
        true => "another process listens there".to_owned(),
        false => error.to_string(),
    }
}
