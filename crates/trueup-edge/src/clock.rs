//! Cheap time: the kernel's coarse clocks, read without a system call, a few milliseconds late.
//!
//! Idle times and access log stamps need no more; timers are tokio's own.

use rustix::time::{ClockId, Timespec, clock_gettime};
use trueup_types::Timestamp;

/// Milliseconds of a clock that never goes back; 0 is never answered, so that 0 can mean "not set".
pub(crate) fn coarse_millis() -> u64 {
    millis(clock_gettime(ClockId::MonotonicCoarse)).max(1)
}

/// Microseconds of the precise monotonic clock, for durations in the access log.
pub(crate) fn precise_micros() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000
}

/// The wall clock, for display.
pub(crate) fn wall() -> Timestamp {
    Timestamp::from_millis(millis(clock_gettime(ClockId::RealtimeCoarse)))
}

fn millis(now: Timespec) -> u64 {
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}
