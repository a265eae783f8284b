//! Waits between tries of what failed: the one file that names `backoff`.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// First wait; short, since most failures are.
const FIRST: Duration = Duration::from_millis(100);
/// Longest wait; a target that comes back is noticed within it.
const MOST: Duration = Duration::from_secs(30);

/// Growing waits with jitter, for ever.
#[derive(Debug)]
pub struct Retry {
    inner: ExponentialBackoff,
}

impl Default for Retry {
    fn default() -> Self {
        let inner = ExponentialBackoff {
            initial_interval: FIRST,
            current_interval: FIRST,
            max_interval: MOST,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { inner }
    }
}

impl Retry {
    /// The wait before the next try.
    pub fn wait(&mut self) -> Duration {
        self.inner.next_backoff().unwrap_or(MOST)
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
        let mut retry = Retry::default();
        let waits: Vec<_> = (0..40).map(|_| retry.wait()).collect();
        assert!(waits[0] <= FIRST * 2);
        assert!(waits.iter().all(|wait| *wait <= MOST * 2));
        assert!(waits[39] >= MOST / 4, "{waits:?}");
    }
}
