//! What the last survey saw, and what may have changed since: so that a step asks the engine only what is not known.
//!
//! Absence is believed where a survey was whole and nothing of ours has touched the instance since; whoever else makes it
//! takes its name, which an engine gives away once.
//!
//! An engine tells an end before its listing shows it: what was told is looked at closely, whatever the listing says.

use std::collections::BTreeMap;

use trueup_types::InstanceId;

use crate::known::Known;
use crate::moment::WallMillis;

/// Ends that were told, by container; each telling has a number of its own.
type Told = BTreeMap<String, u64>;

/// What a survey begins with.
#[derive(Default)]
pub(crate) struct Before {
    known: BTreeMap<String, Known>,
    told: Told,
}

impl Before {
    /// What is known of a container.
    pub(crate) fn of(&self, container: &str) -> Option<&Known> {
        self.known.get(container)
    }

    /// Whether an end was told of it since it was last looked at.
    pub(crate) fn may_have_ended(&self, container: &str) -> bool {
        self.told.contains_key(container)
    }
}

/// What the last survey saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// The containers, by id; nothing before the first whole survey.
    known: Option<BTreeMap<String, Known>>,
    /// Instances that steps were about since, and the count of deeds when each ended; one that is under way has no end.
    touched: BTreeMap<InstanceId, Option<u64>>,
    /// Containers of which an end was told that no whole survey has looked at since, each with the number of that telling.
    told: Told,
    tellings: u64,
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
    /// What was seen of the containers, and of which of them an end was told since.
    pub(crate) fn before(&self) -> Before {
        Before { known: self.known.clone().unwrap_or_default(), told: self.told.clone() }
    }

    /// An engine tells that a container has ended.
    pub(crate) fn tell_end(&mut self, container: &str) {
        self.tellings += 1;
        self.told.insert(container.to_owned(), self.tellings);
    }

    /// Keeps what a whole survey saw that began with that, and at this count of deeds, but for the instances whose steps fell
    /// into it.
    pub(crate) fn keep(&mut self, mut known: BTreeMap<String, Known>, before: &Before, began: u64) {
        self.told.retain(|container, number| before.told.get(container) != Some(number));
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
        seen.keep(BTreeMap::new(), &Before::default(), 0);
        assert_eq!(seen.leave(&web), Whereabouts::Nowhere);
        // One that ends while it is under way, and one that began within the step.
        for began in [0, 1] {
            seen.keep(BTreeMap::new(), &Before::default(), began);
            assert_eq!([&web, &api].map(|id| seen.whereabouts(id)), [Whereabouts::Unknown, Whereabouts::Nowhere]);
        }
        seen.end(&web, 2);
        seen.keep(BTreeMap::new(), &Before::default(), 1);
        assert_eq!(seen.whereabouts(&web), Whereabouts::Unknown, "it had begun before the step ended");
        seen.keep(BTreeMap::new(), &Before::default(), 2);
        assert_eq!(seen.whereabouts(&web), Whereabouts::Nowhere);
    }

    #[test]
    fn what_was_told_to_end_is_looked_at_until_a_whole_survey_has_that_began_after_the_word() {
        let mut seen = Seen::default();
        let told = |seen: &Seen| seen.before().may_have_ended("ab");
        assert!(!told(&seen));
        seen.tell_end("ab");
        let first = seen.before();
        // Another end, while the survey that knows of the first is under way.
        seen.tell_end("ab");
        seen.keep(BTreeMap::new(), &first, 0);
        assert!(told(&seen));
        let second = seen.before();
        seen.keep(BTreeMap::new(), &second, 0);
        assert!(!told(&seen));
    }
}
