//! Simulated time: tokio's own, so that a paused runtime jumps from wake to wake.

use std::time::Duration;

use tokio::time::Instant;
use trueup_types::Timestamp;

/// Where simulated time begins: far from zero, so that a timestamp of zero is recognisably nobody's.
pub const EPOCH: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// A clock over tokio's time.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    began: Instant,
}

impl SimClock {
    /// A clock that shows [`EPOCH`] at this moment; needs a tokio runtime.
    #[must_use]
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// The moment it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let passed = self.began.elapsed();
        // Whole milliseconds, rounded down: a wake at a timestamp is then never early.
        EPOCH.after(Duration::from_millis(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)))
    }
}
