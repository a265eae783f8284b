//! One process, and no other that got its number later.
//!
//! The pidfd is opened first and the start time compared after: a number that was reused in between does not match, and
//! signals go only through the pidfd.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// Who a process is, within one [`trueup_host::World`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    pid: i32,
    /// Clock ticks since boot, field 22 of `/proc/<pid>/stat`.
    start_ticks: u64,
}

impl Identity {
    pub(crate) fn of(pid: Pid) -> std::io::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
        let start_ticks = start_ticks(&stat).ok_or_else(|| std::io::Error::other("an unreadable process status"))?;
        Ok(Self { pid: pid.as_raw_nonzero().get(), start_ticks })
    }

    /// Takes hold of the process; `None` when it is gone.
    pub(crate) fn grasp(self) -> Option<Grasp> {
        let pid = Pid::from_raw(self.pid)?;
        // Opening fails when there is no such process: that is the answer.
        let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
        (Self::of(pid).ok()? == self).then_some(Grasp { pid, pidfd })
    }
}

/// A hold on one process.
#[derive(Debug)]
pub(crate) struct Grasp {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Grasp {
    /// Whether it still runs; one that has ended and was not waited for does not.
    pub(crate) fn alive(&self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// Waits, but not for longer than this, for its end; whether it has ended.
    pub(crate) fn ends_within(&self, wait: Duration) -> bool {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let wait = Timespec::try_from(wait).unwrap_or_default();
        // Zero: nothing to report, so it runs. A failed poll proves nothing.
        poll(&mut fds, Some(&wait)).is_ok_and(|ready| ready > 0)
    }

    /// Signals the process alone.
    pub(crate) fn signal(&self, signal: Signal) {
        // It may have gone a moment ago.
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }

    /// Signals the group that it leads; only while it runs, since a group's number may be reused after.
    pub(crate) fn signal_group(&self, signal: Signal) {
        if self.alive() {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// A descriptor that becomes readable when it ends.
    pub(crate) fn watch(&self) -> std::io::Result<OwnedFd> {
        self.pidfd.as_fd().try_clone_to_owned()
    }
}

fn start_ticks(stat: &str) -> Option<u64> {
    // The command stands in parentheses and may hold anything, parentheses too.
    let behind = stat.rsplit_once(')')?.1;
    behind.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_hold_parentheses() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(start_ticks(&format!("17 (a) b) (c)) {fields}")), Some(4242));
    }

    #[test]
    fn a_process_is_grasped_only_as_itself() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep is there");
        let identity = Identity::of(Pid::from_child(&child)).expect("it runs");
        let grasp = identity.grasp().expect("it runs");
        assert!(grasp.alive());
        let another = Identity { start_ticks: identity.start_ticks + 1, ..identity };
        assert!(another.grasp().is_none(), "a reused number is not grasped");
        child.kill().expect("it can be killed");
        assert_eq!(child.wait().expect("it ends").code(), None);
        assert!(!grasp.alive());
        assert!(identity.grasp().is_none());
    }
}
