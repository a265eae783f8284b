//! Notices that nobody watched: the host slept, or this process did not run.
//!
//! What runs regularly beats. A gap between two beats that is far longer than the routine is time in which nothing was
//! seen, whatever the last sight said: a tick hands on since when there was none, so that no bake ends and no deadline
//! passes in it. Knows nothing of apps.

use std::sync::Mutex;
use std::time::Duration;

use trueup_types::Timestamp;

/// Longest from one beat to the next in a daemon that runs: chores beat each second, but for a store that is slow.
const GAP_MAX: Duration = Duration::from_secs(10);

/// Since when somebody has watched.
#[derive(Debug)]
pub(crate) struct Heartbeat(Mutex<Beats>);

#[derive(Debug)]
struct Beats {
    last: Timestamp,
    since: Timestamp,
}

impl Heartbeat {
    /// The first beat.
    pub(crate) fn begun(now: Timestamp) -> Self {
        Self(Mutex::new(Beats { last: now, since: now }))
    }

    /// Beats, and answers since when there was no gap.
    pub(crate) fn beat(&self, now: Timestamp) -> Timestamp {
        let mut beats = self.0.lock().expect("no holder panics");
        if now.since(beats.last) > GAP_MAX {
            beats.since = now;
        }
        beats.last = beats.last.max(now);
        beats.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_ends_what_was_watched_and_a_slow_beat_does_not() {
        let at = Timestamp::from_millis;
        let heart = Heartbeat::begun(at(1_000));
        assert_eq!(heart.beat(at(2_000)), at(1_000));
        assert_eq!(heart.beat(at(12_000)), at(1_000));
        assert_eq!(heart.beat(at(22_001)), at(22_001), "the host slept");
        assert_eq!(heart.beat(at(23_000)), at(22_001));
    }
}
