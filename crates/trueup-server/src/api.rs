//! What crosses the socket, in both directions.

use serde::{Deserialize, Serialize};
use trueup_seams::LogQuery;
use trueup_types::TargetName;
use trueup_types::order::Order;

/// Most bytes of a request: a preview carries every app of a directory.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Who speaks; the user's name, as far as the command line knows it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct By {
    pub by: String,
}

/// One word to one app.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Given {
    pub by: String,
    pub order: Order,
}

/// Which lines of whom.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogsAsked {
    pub target: TargetName,
    pub query: LogQuery,
}
