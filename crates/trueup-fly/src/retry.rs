//! Waits between tries of one call: the one file of this crate that names `backoff`.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// First wait; most failures are a connection that was just closed.
const FIRST: Duration = Duration::from_millis(200);
/// Longest wait within a call, whose patience is some twenty seconds.
const MOST: Duration = Duration::from_secs(4);
/// A wait is spread by so many hundredths to either side.
const SPREAD_PERCENT: u32 = 30;

/// Growing waits with jitter.
pub(crate) struct Retry {
    inner: ExponentialBackoff,
    dice: fastrand::Rng,
}

impl Retry {
    pub(crate) fn new() -> Self {
        let inner = ExponentialBackoff {
            initial_interval: FIRST,
            current_interval: FIRST,
            multiplier: 2.0,
            max_interval: MOST,
            max_elapsed_time: None,
            randomization_factor: 0.0,
            ..ExponentialBackoff::default()
        };
        Self { inner, dice: fastrand::Rng::new() }
    }

    /// The wait before the next try.
    pub(crate) fn wait(&mut self) -> Duration {
        let plain = self.inner.next_backoff().unwrap_or(MOST);
        plain * self.dice.u32(100 - SPREAD_PERCENT..=100 + SPREAD_PERCENT) / 100
    }
}
