//! What is written in an instance's folder; each file says its version.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trueup_types::{Incarnation, InstanceId, OwnerId, Place, PortName, Release, Timestamp};

use crate::identity::Identity;
use crate::moment::BootMillis;
use trueup_host::World;

/// The version of all files here. A newer one than ours is an error, never a guess.
pub(crate) const VERSION: u32 = 1;

/// What an instance is: `spec.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec {
    pub version: u32,
    pub owner: OwnerId,
    pub id: InstanceId,
    pub place: Place,
    pub created: Timestamp,
    pub release: Arc<Release>,
}

/// One start, ready to be lived: `life.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Life {
    pub version: u32,
    pub incarnation: Incarnation,
    /// The ports of this life, in the template's order.
    pub ports: Vec<(PortName, u16)>,
    /// The program and its arguments, whole.
    pub command: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    pub workdir: PathBuf,
    pub user: Option<User>,
    /// `RLIMIT_NOFILE`, soft and hard, where it is to be set.
    pub open_files: Option<(u64, u64)>,
    /// Files that take the process id before the program starts.
    pub cgroups: Vec<PathBuf>,
    /// How long what is left of the group has, once the main process has ended by itself, in milliseconds.
    pub linger_ms: u64,
}

/// Whom to run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

/// Who lives it: `shim.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lived {
    pub version: u32,
    pub world: World,
    pub shim: Identity,
    pub main: Identity,
    pub since: BootMillis,
}

/// It has been asked to stop: `stop.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    pub version: u32,
    pub at: BootMillis,
    pub signal: String,
    pub timeout_ms: u64,
}

/// Who made the claim: `claim`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Claim {
    pub world: World,
    pub by: Identity,
}

/// How it ended: `exit.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ended {
    pub version: u32,
    pub world: World,
    pub at: BootMillis,
    /// 128 + signal for a signal.
    pub code: Option<i32>,
    pub how: How,
}

/// Of whose doing an end is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum How {
    ByItself,
    Asked,
    CannotStart {
        detail: String,
    },
    /// It never began: a daemon called it off.
    CalledOff,
}
