//! Where everything of an instance lies.
//!
//! ```text
//! instances/web-r12-0/spec.json           what it is; written once, synced
//!                     root/               its working directory, with the manifest's files
//!                     life-3/life.json    one start: command, environment, ports; the incarnation
//!                            claim        made by whoever comes first: the shim, or a daemon that calls it off
//!                            shim.json    who lives it: the shim and the main process
//!                            stop.json    it has been asked to stop
//!                            refusal      why the program could not be started at all
//!                            exit.json    how it ended
//!                            log, log.1   what it wrote, and before that
//!                            log.index    byte positions and moments
//! ```

use std::path::{Path, PathBuf};

use trueup_types::InstanceId;

/// The folder of one target's instances.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self(state_dir.join("instances"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn instance(&self, id: &InstanceId) -> InstancePaths {
        InstancePaths(self.0.join(id.to_string()))
    }

    /// Where a folder is made before it gets its name, or waits to be deleted after it has lost it.
    pub(crate) fn aside(&self, id: &InstanceId, what: &str) -> PathBuf {
        self.0.join(format!(".{id}.{what}"))
    }
}

/// The folder of one instance.
#[derive(Debug, Clone)]
pub(crate) struct InstancePaths(pub(crate) PathBuf);

impl InstancePaths {
    pub(crate) fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    pub(crate) fn life(&self, number: u32) -> LifePaths {
        LifePaths(self.0.join(format!("life-{number}")))
    }

    /// The numbers of its lives that are on the disk, oldest first.
    pub(crate) fn lives(&self) -> std::io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            let number: Option<u32> =
                name.to_str().and_then(|name| name.strip_prefix("life-")).and_then(|text| text.parse().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// The folder of one life.
#[derive(Debug, Clone)]
pub(crate) struct LifePaths(pub(crate) PathBuf);

impl LifePaths {
    pub(crate) fn life(&self) -> PathBuf {
        self.0.join("life.json")
    }

    pub(crate) fn claim(&self) -> PathBuf {
        self.0.join("claim")
    }

    /// Where a claim is written before it is made; each process has its own.
    pub(crate) fn claim_aside(&self) -> PathBuf {
        self.0.join(format!("claim.{}", std::process::id()))
    }

    pub(crate) fn shim(&self) -> PathBuf {
        self.0.join("shim.json")
    }

    pub(crate) fn stop(&self) -> PathBuf {
        self.0.join("stop.json")
    }

    pub(crate) fn bell(&self) -> PathBuf {
        self.0.join("bell")
    }

    pub(crate) fn refusal(&self) -> PathBuf {
        self.0.join("refusal")
    }

    pub(crate) fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(crate) fn log_before(&self) -> PathBuf {
        self.0.join("log.1")
    }

    /// Where the copy of a log is made before it gets its name.
    pub(crate) fn log_aside(&self) -> PathBuf {
        self.0.join("log.1.aside")
    }

    pub(crate) fn log_index(&self) -> PathBuf {
        self.0.join("log.index")
    }
}
