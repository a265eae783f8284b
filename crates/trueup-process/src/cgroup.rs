//! Memory and process limits, by control groups of version 1 or 2, where this host lets us.
//!
//! Under systemd the shipped unit asks for `Delegate=yes` and `DelegateSubgroup=daemon`, so that our own group is a leaf
//! and its parent may hold the instances' groups. Elsewhere root usually may; in a container usually not. `doctor` says.

use std::path::{Path, PathBuf};

use trueup_types::InstanceId;
use trueup_types::template::Resources;

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// The group of the daemon itself, where the unit made one.
const OWN_LEAF: &str = "daemon";

/// What this host lets us limit.
#[derive(Debug, Clone)]
pub enum Cgroups {
    /// One hierarchy.
    V2 {
        /// The group in which ours are made.
        parent: PathBuf,
    },
    /// One hierarchy for each controller.
    V1 {
        /// Where memory is limited.
        memory: PathBuf,
        /// Where processes are counted.
        pids: PathBuf,
    },
    /// None, and why, in one line.
    Unavailable(String),
}

impl Cgroups {
    /// Finds out, by making a group and removing it.
    #[must_use]
    pub fn detect() -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let found = v2(&own).or_else(|| v1(&own));
        let found = found.unwrap_or_else(|| Self::Unavailable(format!("no control groups are mounted at {MOUNT}")));
        match found.try_out() {
            Ok(()) => found,
            Err(why) => Self::Unavailable(why),
        }
    }

    fn folders(&self) -> Vec<&Path> {
        match self {
            Self::V2 { parent } => vec![parent],
            Self::V1 { memory, pids } => vec![memory, pids],
            Self::Unavailable(_) => Vec::new(),
        }
    }

    fn try_out(&self) -> Result<(), String> {
        if let Self::V2 { parent } = self {
            let control = parent.join("cgroup.subtree_control");
            let enabled = std::fs::write(&control, "+memory +pids");
            enabled.map_err(|why| format!("{} cannot be written: {why}", control.display()))?;
        }
        for folder in self.folders() {
            let trial = folder.join(format!("trueup-trial-{}", std::process::id()));
            let made = std::fs::create_dir(&trial).and_then(|()| std::fs::remove_dir(&trial));
            made.map_err(|why| format!("{} cannot be made: {why}", trial.display()))?;
        }
        Ok(())
    }

    /// Makes the groups of an instance; gives back the files that take its process id. None without limits, or where
    /// they cannot be had.
    ///
    /// # Errors
    /// One line: a group that could be made before cannot be made or limited.
    pub(crate) fn prepare(&self, id: &InstanceId, limits: &Resources) -> Result<Vec<PathBuf>, String> {
        if limits.memory_bytes.is_none() && limits.pids.is_none() {
            return Ok(Vec::new());
        }
        let (memory_file, pids_file) = match self {
            Self::V2 { .. } => ("memory.max", "pids.max"),
            Self::V1 { .. } => ("memory.limit_in_bytes", "pids.max"),
            Self::Unavailable(_) => return Ok(Vec::new()),
        };
        let mut procs = Vec::new();
        for parent in self.folders() {
            let folder = parent.join(format!("trueup-{id}"));
            let cannot = |why: std::io::Error| format!("{} cannot be set up: {why}", folder.display());
            std::fs::create_dir_all(&folder).map_err(cannot)?;
            for (file, limit) in [(memory_file, limits.memory_bytes), (pids_file, limits.pids.map(u64::from))] {
                let path = folder.join(file);
                if let Some(limit) = limit.filter(|_| path.exists()) {
                    std::fs::write(&path, limit.to_string()).map_err(cannot)?;
                }
            }
            procs.push(folder.join("cgroup.procs"));
        }
        Ok(procs)
    }

    /// Removes the groups of an instance; one that still holds a process stays, and goes with the next of that name.
    pub(crate) fn remove(&self, id: &InstanceId) {
        for parent in self.folders() {
            let _ = std::fs::remove_dir(parent.join(format!("trueup-{id}")));
        }
    }
}

fn v2(own: &str) -> Option<Cgroups> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = [MOUNT.to_owned(), format!("{MOUNT}/unified")];
    let mount = mount.iter().find(|mount| Path::new(mount).join("cgroup.controllers").exists())?;
    let own = Path::new(mount).join(path.trim_start_matches('/'));
    let leaf = own.file_name().is_some_and(|name| name == OWN_LEAF);
    let parent = if leaf { own.parent()?.to_owned() } else { own };
    let controllers = std::fs::read_to_string(parent.join("cgroup.controllers")).ok()?;
    let has = |name: &str| controllers.split_whitespace().any(|one| one == name);
    (has("memory") && has("pids")).then_some(Cgroups::V2 { parent })
}

fn v1(own: &str) -> Option<Cgroups> {
    let folder = |controller: &str| {
        let mut fields = own.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
        let line =
            fields.find(|line| line.get(1).is_some_and(|names| names.split(',').any(|one| one == controller)))?;
        let folder = Path::new(MOUNT).join(controller).join(line.get(2)?.trim_start_matches('/'));
        folder.is_dir().then_some(folder)
    };
    Some(Cgroups::V1 { memory: folder("memory")?, pids: folder("pids")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_limits_no_group_is_made_and_where_none_can_be_none_is_joined() {
        let id: InstanceId = "web-r1-0".parse().expect("a name");
        let nothing = Cgroups::Unavailable("not here".to_owned());
        let limits = Resources { pids: Some(10), ..Resources::default() };
        assert_eq!(nothing.prepare(&id, &limits), Ok(Vec::new()));
        let folder = tempfile::tempdir().expect("a folder");
        let groups = Cgroups::V2 { parent: folder.path().to_owned() };
        assert_eq!(groups.prepare(&id, &Resources::default()), Ok(Vec::new()));
        let procs = groups.prepare(&id, &limits).expect("a folder can be made");
        assert_eq!(procs, [folder.path().join("trueup-web-r1-0/cgroup.procs")]);
    }
}
