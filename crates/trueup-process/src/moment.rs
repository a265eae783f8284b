//! Moments that a shim and a daemon can compare: those of the boot clock.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use trueup_types::Timestamp;

/// A moment on the boot clock, which goes on through suspend and is the same for every process of one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct BootMillis(u64);

impl BootMillis {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
        Self(seconds * 1_000 + nanos / 1_000_000)
    }

    /// The same moment in steady time, given that it is `now` now; never later than that.
    pub(crate) fn steady(self, now: Timestamp) -> Timestamp {
        let ago = Self::now().0.saturating_sub(self.0);
        Timestamp::from_millis(now.as_millis().saturating_sub(ago))
    }
}
