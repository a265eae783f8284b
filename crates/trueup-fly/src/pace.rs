//! How often we ask: a bucket for each action on each machine, app or organisation, shared by all that goes on at once.
//!
//! The platform counts, and refuses what is too much; whoever keeps below its limits is never refused. Waits are handed
//! out in order, so that nobody starves.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// From one call of an action on one thing to the next: 1 a second is documented ("Working with the Machines API"), and a
/// little less is kept, for clocks and networks are not exact.
const EACH: Duration = Duration::from_millis(1_020);
/// How many may go at once before that.
const BURST: u32 = 3;
/// The same for reading one machine: 5 a second, 10 at once.
const READ_EACH: Duration = Duration::from_millis(204);
const READ_BURST: u32 = 10;
/// Deletions of apps: 100 a minute.
const DELETE_EACH: Duration = Duration::from_millis(612);
const DELETE_BURST: u32 = 50;
/// Most buckets that are kept; those that are full are dropped then.
const BUCKETS_MAX: usize = 20_000;

/// Which bucket a call is drawn from: an action, and whom it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub action: &'static str,
    pub whom: String,
}

/// All buckets: for each the moment at which it will be full again.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    full_at: Mutex<BTreeMap<Key, Instant>>,
}

/// A call would have to wait longer than its caller does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSoon(pub Duration);

fn rate(action: &str) -> (Duration, u32) {
    match action {
        "Machines_show" => (READ_EACH, READ_BURST),
        "Apps_delete" => (DELETE_EACH, DELETE_BURST),
        _ => (EACH, BURST),
    }
}

impl Pace {
    /// Draws a turn, and says how long to wait for it; nothing is drawn where that is after `deadline`.
    fn draw(&self, key: &Key, deadline: Instant, now: Instant) -> Result<Duration, TooSoon> {
        let (each, burst) = rate(key.action);
        let mut full_at = self.full_at.lock().expect("no holder panics");
        if full_at.len() >= BUCKETS_MAX {
            full_at.retain(|_, full| *full > now);
        }
        let full = full_at.get(key).copied().unwrap_or(now).max(now);
        let wait = (full + each).saturating_duration_since(now).saturating_sub(each * burst);
        if now + wait > deadline {
            return Err(TooSoon(wait));
        }
        full_at.insert(key.clone(), full + each);
        Ok(wait)
    }

    /// Waits for a turn, where that comes before the deadline.
    ///
    /// # Errors
    /// [`TooSoon`] at once where it does not: nothing was drawn.
    pub(crate) async fn turn(&self, key: &Key, deadline: Instant) -> Result<(), TooSoon> {
        let wait = self.draw(key, deadline, Instant::now())?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// The platform has refused one: whoever counts sees others beside us, and the bucket is empty from now on.
    pub(crate) fn refused(&self, key: &Key, wait: Duration) {
        let (each, burst) = rate(key.action);
        let empty = Instant::now() + wait + each * burst.saturating_sub(1);
        let mut full_at = self.full_at.lock().expect("no holder panics");
        let full = full_at.entry(key.clone()).or_insert(empty);
        *full = (*full).max(empty);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(action: &'static str, whom: &str) -> Key {
        Key { action, whom: whom.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_in_turn() {
        let (pace, began) = (Pace::default(), Instant::now());
        let far = began + Duration::from_secs(100);
        let mut waits = Vec::new();
        for _ in 0..6 {
            pace.turn(&key("Machines_create", "web"), far).await.expect("a turn comes");
            waits.push(began.elapsed().as_millis());
        }
        assert_eq!(waits, [0, 0, 0, 1_020, 2_040, 3_060]);
        pace.turn(&key("Machines_create", "api"), far).await.expect("another app has a bucket of its own");
        assert_eq!(began.elapsed().as_millis(), 3_060);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let again = Instant::now();
        for _ in 0..4 {
            pace.turn(&key("Machines_create", "web"), far).await.expect("a turn comes");
        }
        assert_eq!(again.elapsed().as_millis(), 1_020, "a bucket holds no more than its burst");
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_wait_so_long_is_told_at_once_and_costs_nobody_a_turn() {
        let (pace, one) = (Pace::default(), key("Machines_stop", "m"));
        let soon = Instant::now() + Duration::from_millis(500);
        for _ in 0..3 {
            pace.turn(&one, soon).await.expect("a burst");
        }
        for _ in 0..5 {
            assert_eq!(pace.turn(&one, soon).await, Err(TooSoon(Duration::from_millis(1_020))));
        }
        pace.refused(&one, Duration::from_secs(5));
        let began = Instant::now();
        pace.turn(&one, began + Duration::from_secs(60)).await.expect("it comes");
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }
}
