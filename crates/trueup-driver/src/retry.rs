//! Waits between tries of what failed: the one file that names `backoff`.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// First wait; short, since most failures are.
const FIRST: Duration = Duration::from_millis(100);
/// Longest wait; a target that comes back is noticed within it.
const MOST: Duration = Duration::from_secs(30);

/// A wait is spread by so many hundredths to either side, so that many that fail together come back apart.
const SPREAD_PERCENT: u32 = 50;

/// Growing waits with jitter, for ever.
#[derive(Debug)]
pub struct Retry {
    inner: ExponentialBackoff,
    dice: fastrand::Rng,
}

impl Retry {
    /// Waits with jitter from a stream of one's own: the crate's jitter cannot be given a seed.
    #[must_use]
    pub fn new(dice: fastrand::Rng) -> Self {
        let inner = ExponentialBackoff {
            initial_interval: FIRST,
            current_interval: FIRST,
            max_interval: MOST,
            max_elapsed_time: None,
            randomization_factor: 0.0,
            ..ExponentialBackoff::default()
        };
        Self { inner, dice }
    }

    /// The wait before the next try.
    pub fn wait(&mut self) -> Duration {
        let plain = self.inner.next_backoff().unwrap_or(MOST);
        plain * self.dice.u32(100 - SPREAD_PERCENT..=100 + SPREAD_PERCENT) / 100
    }

    /// It went well: the next wait is the first again.
    pub fn reset(&mut self) {
        self.inner.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        let mut retry = Retry::new(fastrand::Rng::with_seed(7));
        let waits: Vec<_> = (0..40).map(|_| retry.wait()).collect();
        assert!(waits[0] <= FIRST * 2);
        assert!(waits.iter().all(|wait| *wait <= MOST * 2));
        assert!(waits[39] >= MOST / 4, "{waits:?}");
    }
}
