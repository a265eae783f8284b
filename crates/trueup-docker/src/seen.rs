//! What the last survey saw, and what may have changed since: so that a step asks the engine only what is not known.
//!
//! Absence is believed where a survey was whole and nothing of ours has touched the instance since; whoever else makes it
//! takes its name, which an engine gives away once.

use std::collections::BTreeMap;

use trueup_types::InstanceId;

use crate::known::Known;
use crate::moment::WallMillis;

/// What the last survey saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// The containers, by id; nothing before the first whole survey.
    known: Option<BTreeMap<String, Known>>,
    /// Instances that steps were about since, and the count of deeds when each ended; one that is under way has no end.
    touched: BTreeMap<InstanceId, Option<u64>>,
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

    /// Keeps what a whole survey saw that began at this count of deeds, but for the instances whose steps fell into it.
    pub(crate) fn keep(&mut self, mut known: BTreeMap<String, Known>, began: u64) {
        self.touched.retain(|_, ended| ended.is_none_or(|ended| ended > began));
        known.retain(|_, one| !self.touched.contains_key(&one.sighting.id));
        self.known = Some(known);
    }

    /// Where an instance is of which a step begins: what was seen of it holds no more.
    pub(crate) fn leave(&mut self, id: &InstanceId) -> Whereabouts {
        let at = self.whereabouts(id);
        self.touched.insert(id.clone(), None);
        self.known.iter_mut().for_each(|known| known.retain(|_, known| known.sighting.id != *id));
        at
    }

    /// A step about an instance has ended, with this count of deeds: a survey that begins from here on sees what came of it.
    pub(crate) fn end(&mut self, id: &InstanceId, deeds: u64) {
        self.touched.insert(id.clone(), Some(deeds));
    }

    /// Where an instance is.
    pub(crate) fn whereabouts(&self, id: &InstanceId) -> Whereabouts {
        let Some(known) = self.known.as_ref().filter(|_| !self.touched.contains_key(id)) else {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survey_that_a_step_fell_into_tells_nothing_of_its_instance_and_all_of_the_others() {
        let [web, api] = ["web-r1-0", "api-r1-0"].map(|name| name.parse::<InstanceId>().expect("a name"));
        let mut seen = Seen::default();
        assert_eq!(seen.whereabouts(&web), Whereabouts::Unknown);
        seen.keep(BTreeMap::new(), 0);
        assert_eq!(seen.leave(&web), Whereabouts::Nowhere);
        // One that ends while it is under way, and one that began within the step.
        for began in [0, 1] {
            seen.keep(BTreeMap::new(), began);
            assert_eq!([&web, &api].map(|id| seen.whereabouts(id)), [Whereabouts::Unknown, Whereabouts::Nowhere]);
        }
        seen.end(&web, 2);
        seen.keep(BTreeMap::new(), 1);
        assert_eq!(seen.whereabouts(&web), Whereabouts::Unknown, "it had begun before the step ended");
        seen.keep(BTreeMap::new(), 2);
        assert_eq!(seen.whereabouts(&web), Whereabouts::Nowhere);
    }
}
