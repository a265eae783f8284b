//! Processes that an engine has forgotten.
//!
//! An engine that is killed while it starts a container may come up without knowing of the start, though what it had asked
//! for goes on: the program runs, or waits to be begun, and the container counts as never started. It then answers each
//! start with "id already in use" (moby/moby#40613) or trips over a folder of the start before, and a removal takes the
//! container and leaves the process, with its hands on its volumes. On this host such a process is found by its control
//! group, which has the container's id in its name.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::engine::Fault;

/// What engines say where a process of the container runs that they do not know of.
const RUNS: [&str; 2] = ["id already in use", "cannot delete running task"];

/// What stands in the way of a start, from a start before that broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remnant {
    /// A process. Once it is gone, a start goes well.
    Process,
    /// A folder, which goes when the engine's own servant is started anew: this container never starts.
    Folder,
}

impl Remnant {
    /// What a start was refused for, if for this.
    pub(crate) fn of(fault: &Fault) -> Option<Self> {
        let Fault::Answer { message, .. } = fault else { return None };
        if RUNS.iter().any(|words| message.contains(words)) {
            return Some(Self::Process);
        }
        (message.contains("start shim") && message.contains("file exists")).then_some(Self::Folder)
    }
}

/// Kills what runs in a container's control group on this host; how many there were.
pub(crate) fn put_down(container: &str) -> usize {
    let Ok(all) = std::fs::read_dir("/proc") else { return 0 };
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| kill(*pid, container)).count()
}

/// Kills a process if it is of a container: its control group says whose it is, so that a number that was reused is not
/// hit. Whether it was.
pub(crate) fn kill(pid: i32, container: &str) -> bool {
    let Some(pid) = Pid::from_raw(pid) else { return false };
    let group = || std::fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).unwrap_or_default();
    if !group().contains(container) {
        return false;
    }
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    // What is held now is what was read of, or nothing of the container's.
    group().contains(container) && pidfd_send_signal(&process, Signal::KILL).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an engine said it (20.10.24) when it had been killed in the middle of a start.
    #[test]
    fn what_a_start_is_refused_for_is_told_apart() {
        let says = |message: &str| Remnant::of(&Fault::Answer { status: 409, message: message.to_owned() });
        assert_eq!(says("id already in use"), Some(Remnant::Process));
        let folder =
            "failed to start shim: mkdir /run/containerd/io.containerd.runtime.v2.task/moby/06: file exists: unknown";
        assert_eq!(says(folder), Some(Remnant::Folder));
        assert_eq!(says("driver failed programming external connectivity: port is already allocated"), None);
    }

    #[test]
    fn nobody_is_in_the_group_of_a_container_that_never_was() {
        assert_eq!(put_down(&"0a".repeat(32)), 0);
    }
}
