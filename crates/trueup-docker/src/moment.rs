//! Moments as an engine writes them, and what they are in steady time.
//!
//! An engine writes the wall clock of its host, which is ours. Steady time may differ from it, so a moment is turned by
//! how long ago it was.

use std::sync::Arc;

use chrono::DateTime;
use rustix::time::{ClockId, clock_gettime};
use trueup_types::Timestamp;

/// The clocks that a runtime looks at.
#[derive(Clone)]
pub(crate) struct Clocks {
    /// Steady time.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Clocks {
    /// A moment of the wall clock, in steady time; never later than now.
    pub(crate) fn steady(&self, wall: WallMillis) -> Timestamp {
        let ago = Self::wall().0.saturating_sub(wall.0);
        Timestamp::from_millis((self.now)().as_millis().saturating_sub(ago))
    }

    /// A moment of steady time, on the wall clock.
    pub(crate) fn wall_of(&self, at: Timestamp) -> WallMillis {
        WallMillis(Self::wall().0.saturating_sub((self.now)().since(at).as_millis().try_into().unwrap_or(u64::MAX)))
    }

    /// What the wall clock says.
    pub(crate) fn wall() -> WallMillis {
        WallMillis(millis(ClockId::Realtime))
    }

    /// When this host came up.
    pub(crate) fn booted() -> WallMillis {
        WallMillis(Self::wall().0.saturating_sub(millis(ClockId::Boottime)))
    }
}

/// A moment of the wall clock, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WallMillis(pub(crate) u64);

impl WallMillis {
    /// Reads what an engine wrote; `None` for the year 1, which it writes where nothing has happened.
    pub(crate) fn read(text: Option<&str>) -> Option<Self> {
        let at = DateTime::parse_from_rfc3339(text?).ok()?.timestamp_millis();
        u64::try_from(at).ok().filter(|at| *at > 0).map(Self)
    }
}

/// Nanoseconds since 1970-01-01T00:00:00Z of a moment as an engine writes it.
pub(crate) fn nanos(text: &str) -> Option<u64> {
    DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt().and_then(|at| u64::try_from(at).ok())
}

fn millis(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_with_and_without_an_offset_and_the_year_one_is_none() {
        let at = |text| WallMillis::read(Some(text)).map(|at| at.0);
        assert_eq!(at("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(at("1970-01-01T01:00:01.500000001+01:00"), Some(1_500));
        assert_eq!((at("0001-01-01T00:00:00Z"), at(""), WallMillis::read(None)), (None, None, None));
        assert_eq!(nanos("1970-01-01T00:00:00.000000007Z"), Some(7));
    }
}
