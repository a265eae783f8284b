//! What we know of an instance becomes a sighting.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use trueup_types::observed::{Phase, Sighting};
use trueup_types::{Incarnation, Timestamp};

use crate::entry::{Entry, State};

/// The incarnation of the life of this number.
pub(crate) fn incarnation(created: Timestamp, number: u32) -> Incarnation {
    Incarnation(format!("{}-{number}", created.as_millis()).into())
}

/// One instance, as the driver sees it.
pub(crate) fn sighting(entry: &Entry) -> Sighting {
    let spec = &entry.spec;
    let ports = entry.life.iter().flat_map(|life| &life.ports);
    let addresses = ports.map(|(name, port)| (name.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, *port))));
    Sighting {
        id: spec.id.clone(),
        incarnation: incarnation(spec.created, entry.number),
        release: spec.release.digest,
        place: spec.place.clone(),
        phase: phase(&entry.state),
        addresses: addresses.collect(),
        checks: None,
        healthcheck: None,
        created: spec.created,
        template: Some(Arc::clone(&spec.release)),
    }
}

fn phase(state: &State) -> Phase {
    match state {
        State::Created => Phase::Created,
        State::Starting => Phase::Starting,
        State::Running { stopping: Some(since), .. } => Phase::Vanishing { since: *since },
        State::Running { since, stopping: None, .. } => Phase::Running { since: *since },
        State::Exited { code, at, why } => Phase::Exited { code: *code, at: *at, why: why.clone() },
    }
}
