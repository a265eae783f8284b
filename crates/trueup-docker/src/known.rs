//! What is remembered of one container from look to look: it is looked at closely only where a listing says another word of
//! it, and what has not changed keeps its moments, since the engine's clock and ours drift apart by a little.

use bollard::models::ContainerSummary;
use trueup_types::observed::Sighting;
use trueup_types::{Health, Timestamp};

use crate::labels::INSTANCE;
use crate::moment::WallMillis;

/// Two moments nearer than this are one, in milliseconds: checks are a second apart at least.
const DRIFT_MILLIS: u64 = 500;

/// How far the words for an age may be from what they should be, in milliseconds: they are rounded, and read a while later.
const WORDS_MILLIS: u64 = 2_000;
/// From which age on one that was looked at then cannot be another life without its words telling, in milliseconds.
const SETTLED_MILLIS: u64 = 3_000;
const _: () = assert!(SETTLED_MILLIS > WORDS_MILLIS);

/// One container, looked at closely.
#[derive(Clone)]
pub(crate) struct Known {
    /// What the listing said of it then; any other word of it asks for another look.
    pub mark: Mark,
    pub sighting: Sighting,
    /// Since when it is in its state.
    pub since: Option<WallMillis>,
    /// When it was looked at.
    pub looked: WallMillis,
}

/// What a listing says that changes with each change of a container: its state, since when (in words that a new start
/// sets back), how healthy it is, its ports, its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    words: String,
    /// The seconds among them: they change without anything else.
    seconds: Option<u64>,
}

impl Mark {
    pub(crate) fn of(entry: &ContainerSummary) -> Self {
        let label = entry.labels.as_ref().and_then(|labels| labels.get(INSTANCE));
        let mut seconds = None;
        let mut status: Vec<_> = entry.status.as_deref().unwrap_or_default().split(' ').collect();
        for at in 1..status.len() {
            let number = status[at - 1].parse().ok().filter(|_| status[at].starts_with("second"));
            if number.is_some() {
                (seconds, status[at - 1], status[at]) = (number, "some", "seconds");
            }
        }
        let words = format!("{:?} {status:?} {:?} {:?} {label:?}", entry.state, entry.ports, entry.names);
        Self { words, seconds }
    }

    /// That of no listing: what has it is looked at again.
    pub(crate) fn none() -> Self {
        Self { words: String::new(), seconds: None }
    }
}

impl Known {
    /// Whether a listing says no more of it than that it has grown older.
    ///
    /// What was looked at so early that another life would say nearly the same is looked at again, at ages of powers of two.
    pub(crate) fn still(&self, mark: &Mark, now: WallMillis) -> bool {
        if self.mark.words != mark.words {
            return false;
        }
        let (Some(before), Some(seconds)) = (self.mark.seconds, mark.seconds) else { return true };
        match self.since.filter(|since| self.looked.0.saturating_sub(since.0) >= SETTLED_MILLIS) {
            Some(since) => now.0.saturating_sub(since.0).abs_diff(seconds * 1_000) <= WORDS_MILLIS,
            None => before.checked_ilog2() == seconds.checked_ilog2(),
        }
    }

    /// A newer sighting of the same life, with the moments of what has not changed.
    pub(crate) fn dates(&self, newer: &mut Sighting) {
        let known = &self.sighting;
        if known.incarnation != newer.incarnation {
            return;
        }
        newer.created = known.created;
        if std::mem::discriminant(&newer.phase) == std::mem::discriminant(&known.phase) {
            newer.phase = known.phase.clone();
        }
        match (&known.healthcheck, &mut newer.healthcheck) {
            (Some(Health::Passing { since: began }), Some(Health::Passing { since })) => *since = *began,
            (Some(Health::Failed { since: began, last: before }), Some(Health::Failed { since, last })) => {
                *since = *began;
                if near(before.at, last.at) {
                    last.at = before.at;
                }
            }
            (None | Some(Health::Waiting | Health::Unknown | Health::Passing { .. } | Health::Failed { .. }), _) => {}
        }
    }
}

fn near(one: Timestamp, other: Timestamp) -> bool {
    one.as_millis().abs_diff(other.as_millis()) < DRIFT_MILLIS
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::moment::Clocks;

    fn mark(status: &str) -> Mark {
        Mark::of(&ContainerSummary { status: Some(status.to_owned()), ..ContainerSummary::default() })
    }

    /// One that began at 100 s, looked at when it was so old, in seconds.
    fn looked_at(age: u64, status: &str) -> Known {
        let container = serde_json::from_str(r#"{"Id": "ab", "State": {"Status": "running"}}"#).expect("it is JSON");
        let id = "web-r1-0".parse().expect("a name");
        let digest = trueup_types::ReleaseDigest::of("one");
        let written = crate::labels::Written { id, digest, release: None };
        let clocks = Clocks { now: Arc::new(|| Timestamp::ZERO) };
        let sighting = crate::lift::sighting(&container, &written, &crate::lift::Around::default(), &clocks);
        let looked = WallMillis(100_000 + age * 1_000);
        Known { mark: mark(status), sighting, since: Some(WallMillis(100_000)), looked }
    }

    #[test]
    fn one_that_only_grows_older_is_left_alone_and_a_new_start_is_looked_at() {
        let up = |seconds: u64| mark(&format!("Up {seconds} seconds"));
        let at = |age: u64| WallMillis(100_000 + age * 1_000);
        let old = looked_at(4, "Up 4 seconds");
        assert!((4..60).all(|age| old.still(&up(age), at(age)) && old.still(&up(age - 1), at(age))));
        // However soon after the look it began anew: by then its words are too young for its age.
        assert!((5..60).all(|age| !old.still(&up(age - 3), at(age))));
        assert!(!old.still(&mark("Up 1 second"), at(50)));
        assert!(!old.still(&mark("Up Less than a second"), at(50)));
        assert!(!old.still(&mark("Up About a minute"), at(61)));
        assert!(!old.still(&mark("Up 9 seconds (unhealthy)"), at(9)));
        // One that was looked at young is looked at again as it grows: it may be another life.
        let young = looked_at(1, "Up 1 second");
        assert!(!young.still(&up(2), at(2)) && !young.still(&up(4), at(4)));
        // A clock that goes elsewhere tells nothing.
        assert!(!old.still(&up(40), at(400)));
        let gone = Known { mark: mark("Exited (7) 9 seconds ago"), ..looked_at(9, "") };
        assert!(gone.still(&mark("Exited (7) 20 seconds ago"), at(20)));
        assert!(!gone.still(&mark("Exited (8) 20 seconds ago"), at(20)));
    }
}
