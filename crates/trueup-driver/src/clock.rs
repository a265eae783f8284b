//! Steady time: the wall clock once a boot, then the boot clock; never backward.
//!
//! The one file of the daemon that reads a clock. A [`Clock`] is handed to whoever needs the moment; the simulated world
//! has its own.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};
use trueup_museum::{Bug, planted};
use trueup_seams::DaemonRecord;
use trueup_types::Timestamp;

/// Where the moment comes from.
pub trait Clock: Send + Sync {
    /// The moment it is; never earlier than one it has given before.
    fn now(&self) -> Timestamp;

    /// What a calendar on the wall says, for windows alone: it may jump, and it may differ from [`Self::now`].
    fn wall(&self) -> Timestamp {
        self.now()
    }
}

/// The boot clock, anchored to the wall once a boot.
#[derive(Debug)]
pub struct SteadyClock {
    /// Steady time at the boot clock's zero, in milliseconds.
    anchor: u64,
    /// The highest ever given, in milliseconds.
    latest: AtomicU64,
}

impl SteadyClock {
    /// Continues the clock of a daemon's record, and notes its anchor there.
    ///
    /// Within one boot the anchor stays, whatever was done to the wall clock; after a reboot the wall gives a new one,
    /// which is never earlier than the highest time ever handed out.
    #[must_use]
    pub fn continued(record: &mut DaemonRecord, boot_id: &str) -> Self {
        let (wall, boot) = (millis(ClockId::Realtime), millis(ClockId::Boottime));
        if record.boot_id != boot_id || planted(Bug::TrustsWallClock) {
            record.boot_id = boot_id.to_owned();
            let now = wall.max(record.clock_latest.as_millis());
            record.clock_anchor = Timestamp::from_millis(now.saturating_sub(boot));
        }
        let anchor = record.clock_anchor.as_millis();
        Self { anchor, latest: AtomicU64::new(record.clock_latest.as_millis()) }
    }

    /// A clock of its own, for programs without a record.
    #[must_use]
    pub fn fresh() -> Self {
        Self::continued(&mut DaemonRecord::default(), "now")
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        let now = self.anchor.saturating_add(millis(ClockId::Boottime));
        Timestamp::from_millis(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(millis(ClockId::Realtime))
    }
}

fn millis(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The id of this boot, as the kernel gives it.
///
/// # Errors
/// When `/proc` is not there.
pub fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_over_a_reboot() {
        let ahead = Timestamp::from_millis(9_000_000_000_000);
        let mut record = DaemonRecord { clock_latest: ahead, boot_id: "before".to_owned(), ..DaemonRecord::default() };
        let clock = SteadyClock::continued(&mut record, "after");
        assert!(clock.now() >= ahead);
        assert!(clock.wall() < ahead, "a window asks the wall, wherever steady time has got to");
        assert_eq!(record.boot_id, "after");
    }

    #[test]
    fn the_anchor_stays_within_a_boot() {
        let anchor = Timestamp::from_millis(1_234);
        let mut record = DaemonRecord { clock_anchor: anchor, boot_id: "same".to_owned(), ..DaemonRecord::default() };
        let _ = SteadyClock::continued(&mut record, "same");
        assert_eq!(record.clock_anchor, anchor);
    }
}
