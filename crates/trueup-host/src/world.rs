//! Which boot this is: what was there in another one is gone.

use serde::{Deserialize, Serialize};

/// Which boot of which world of process ids: another one, and no process of before is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct World {
    boot_id: String,
    pid_namespace: u64,
}

impl World {
    /// The one that we are in.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn here() -> std::io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let pid_namespace = std::fs::metadata("/proc/self/ns/pid")?.ino();
        Ok(Self { boot_id, pid_namespace })
    }
}
