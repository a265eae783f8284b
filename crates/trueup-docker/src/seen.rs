//! What the last survey saw, and what may have changed since: so that a step asks the engine only what is not known.
//!
//! Absence is believed where a survey was whole and nothing of ours has touched the instance since; whoever else makes it
//! takes its name, which an engine gives away once.

use std::collections::{BTreeMap, BTreeSet};

use trueup_types::InstanceId;

use crate::known::Known;
use crate::moment::WallMillis;

/// What the last survey saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// The containers, by id; nothing before the first whole survey.
    known: Option<BTreeMap<String, Known>>,
    /// Instances that steps were about since.
    touched: BTreeSet<InstanceId>,
    /// When the engine last answered a listing.
    answered: Option<WallMillis>,
    /// When it could last not be reached: from its last answer before that, to its first after.
    pub dark: Option<(WallMillis, WallMillis)>,
    failing: bool,
}

/// Where an instance is, as far as the last survey tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// In this container.
    At(String),
    /// In none.
    Nowhere,
    /// It has to be listed.
    Unknown,
}

impl Seen {
    /// What was seen of the containers.
    pub(crate) fn known(&self) -> BTreeMap<String, Known> {
        self.known.clone().unwrap_or_default()
    }

    /// Keeps what a whole survey saw that no step fell into.
    pub(crate) fn keep(&mut self, known: BTreeMap<String, Known>) {
        self.known = Some(known);
        self.touched.clear();
    }

    /// Where an instance is of which a step begins: what was seen of it holds no more.
    pub(crate) fn leave(&mut self, id: &InstanceId) -> Whereabouts {
        let at = self.whereabouts(id);
        self.touched.insert(id.clone());
        self.known.iter_mut().for_each(|known| known.retain(|_, known| known.sighting.id != *id));
        at
    }

    /// Where an instance is.
    pub(crate) fn whereabouts(&self, id: &InstanceId) -> Whereabouts {
        let Some(known) = self.known.as_ref().filter(|_| !self.touched.contains(id)) else {
            return Whereabouts::Unknown;
        };
        let mut at = known.iter().filter(|(_, known)| known.sighting.id == *id).map(|(container, _)| container);
        match (at.next(), at.next()) {
            (None, _) => Whereabouts::Nowhere,
            (Some(container), None) => Whereabouts::At(container.clone()),
            // A copy of it carries its labels, too.
            (Some(_), Some(_)) => Whereabouts::Unknown,
        }
    }

    /// Remembers when the engine was out of reach: what ended then ended with it.
    pub(crate) fn note_sight(&mut self, answered: bool, now: WallMillis) {
        if answered {
            if let (true, Some(last)) = (self.failing, self.answered) {
                self.dark = Some((last, now));
            }
            self.answered = Some(now);
        }
        self.failing = !answered;
    }
}
