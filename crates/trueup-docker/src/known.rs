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
/// sets back), how healthy it is, its ports, its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(String);

impl Mark {
    pub(crate) fn of(entry: &ContainerSummary) -> Self {
        let label = entry.labels.as_ref().and_then(|labels| labels.get(INSTANCE));
        Self(format!("{:?} {:?} {:?} {:?} {label:?}", entry.state, entry.status, entry.ports, entry.names))
    }
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
