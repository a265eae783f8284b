//! Notices a daemon that is busy for ever while no time passes.
//!
//! Simulated time moves only when nobody has anything to do: one tick that asks for the next at the same moment, again
//! and again, would stop it for good. Such a daemon reads its clock on and on, and is found by that. Knows nothing of
//! what it does.

use trueup_types::Timestamp;

/// Most readings of the clock at one moment: a tick takes about twenty, so this is thousands of apps, all at once.
const READINGS_AT_ONCE_MAX: u32 = 500_000;

/// How often a daemon has read its clock since the last time it moved.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    at: Timestamp,
    readings: u32,
}

impl Pulse {
    /// Takes in a reading; answers whether that is no more than there may be.
    pub(crate) fn beat(&mut self, now: Timestamp) -> bool {
        if self.restless().is_some() {
            return false;
        }
        if now > self.at {
            (self.at, self.readings) = (now, 0);
        }
        self.readings += 1;
        self.readings <= READINGS_AT_ONCE_MAX
    }

    /// What was too much, if anything ever was.
    pub(crate) fn restless(&self) -> Option<String> {
        let at = self.at.since(crate::clock::EPOCH).as_millis();
        let told = || format!("at +{at}ms it is busy for ever: {READINGS_AT_ONCE_MAX} readings of the clock and more");
        (self.readings > READINGS_AT_ONCE_MAX).then(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_without_end_is_noticed_and_stays_so_and_a_long_life_is_not() {
        let at = Timestamp::from_millis;
        let mut pulse = Pulse::default();
        assert!((0..2 * u64::from(READINGS_AT_ONCE_MAX)).all(|moment| pulse.beat(at(moment))));
        assert_eq!(pulse.restless(), None);
        let now = at(9_000_000);
        assert_eq!((0..=READINGS_AT_ONCE_MAX).filter(|_| !pulse.beat(now)).count(), 1);
        assert!(!pulse.beat(at(9_000_001)));
        assert!(pulse.restless().is_some());
    }
}
