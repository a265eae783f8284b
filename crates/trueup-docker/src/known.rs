//! What is remembered of one container from look to look: it is looked at closely only where a listing says another word of
//! it, and what has not changed keeps its moments, since the engine's clock and ours drift apart by a little.

use bollard::models::ContainerSummary;
use trueup_types::observed::Sighting;
use trueup_types::{Health, Timestamp};

use crate::labels::INSTANCE;

/// Two moments nearer than this are one, in milliseconds: checks are a second apart at least.
const DRIFT_MILLIS: u64 = 500;

/// One container, looked at closely.
#[derive(Clone)]
pub(crate) struct Known {
    /// What the listing said of it then; any other word of it asks for another look.
    pub mark: Mark,
    pub sighting: Sighting,
}

/// What a listing says that changes with each change of a container: its state, since when (in words that a new start
/// sets back, to the power of two: else each young container would be looked at each second), how healthy it is, its
/// ports, its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(String);

impl Mark {
    pub(crate) fn of(entry: &ContainerSummary) -> Self {
        let label = entry.labels.as_ref().and_then(|labels| labels.get(INSTANCE));
        let status = entry.status.as_deref().map(coarse);
        Self(format!("{:?} {status:?} {:?} {:?} {label:?}", entry.state, entry.ports, entry.names))
    }
}

/// The words of an engine for how long something lasts, with its seconds rounded down to a power of two: `Up 7 seconds` is
/// `Up 4 seconds`.
fn coarse(status: &str) -> String {
    let mut words: Vec<_> = status.split(' ').map(str::to_owned).collect();
    for at in 1..words.len() {
        let seconds = words[at - 1].parse::<u64>().ok().filter(|_| words[at].starts_with("second"));
        if let Some(power) = seconds.and_then(u64::checked_ilog2) {
            words[at - 1] = (1_u64 << power).to_string();
        }
    }
    words.join(" ")
}

impl Known {
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
    use super::*;

    fn mark(status: &str) -> Mark {
        Mark::of(&ContainerSummary { status: Some(status.to_owned()), ..ContainerSummary::default() })
    }

    #[test]
    fn one_that_grows_older_is_looked_at_ever_less_often_and_a_new_start_at_once() {
        let all: Vec<_> = (2..60).map(|seconds| mark(&format!("Up {seconds} seconds"))).collect();
        let looks = all.windows(2).filter(|two| two[0] != two[1]).count();
        assert_eq!(looks, 4, "at 4, 8, 16 and 32 seconds");
        assert_ne!(mark("Up 1 second"), mark("Up Less than a second"));
        assert_ne!(mark("Up 40 seconds"), mark("Up 1 second"));
        assert_ne!(mark("Up 40 seconds"), mark("Up About a minute"));
        assert_eq!(mark("Exited (7) 9 seconds ago"), mark("Exited (7) 15 seconds ago"));
        assert_ne!(mark("Exited (7) 9 seconds ago"), mark("Exited (8) 9 seconds ago"));
        assert_ne!(mark("Up 9 seconds (healthy)"), mark("Up 9 seconds (unhealthy)"));
    }
}
