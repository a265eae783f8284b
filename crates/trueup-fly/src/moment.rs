//! Moments as the platform writes them, and what they are in steady time.
//!
//! The platform writes a wall clock that agrees with ours to well within a second. Steady time may differ from it, so a
//! moment is turned by how long ago it was.

use std::sync::Arc;

use chrono::DateTime;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use trueup_types::Timestamp;

/// Tells what time it is.
pub type Clock<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// The clocks that a runtime looks at.
#[derive(Clone)]
pub(crate) struct Clocks {
    /// Steady time.
    pub now: Clock<Timestamp>,
    /// The wall clock.
    pub wall: Clock<WallMillis>,
}

/// A moment of the wall clock, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct WallMillis(pub u64);

impl WallMillis {
    /// What the wall clock of this host says.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Realtime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Self(seconds * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000)
    }

    /// Reads RFC 3339.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let at = DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis();
        u64::try_from(at).ok().filter(|at| *at > 0).map(Self)
    }

    /// Reads what may be RFC 3339 or milliseconds: exits were told by the one, and are by the other.
    pub(crate) fn read_either(value: &Value) -> Option<Self> {
        value.as_str().and_then(Self::read).or_else(|| value.as_u64().map(Self))
    }

    /// So many milliseconds later.
    pub(crate) fn after(self, wait: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Clocks {
    /// A moment of the wall clock, in steady time; never later than now.
    pub(crate) fn steady(&self, wall: WallMillis) -> Timestamp {
        let ago = (self.wall)().0.saturating_sub(wall.0);
        Timestamp::from_millis((self.now)().as_millis().saturating_sub(ago))
    }

    /// A moment of steady time, on the wall clock.
    pub(crate) fn wall_of(&self, at: Timestamp) -> WallMillis {
        let ago = u64::try_from((self.now)().since(at).as_millis()).unwrap_or(u64::MAX);
        WallMillis((self.wall)().0.saturating_sub(ago))
    }
}
