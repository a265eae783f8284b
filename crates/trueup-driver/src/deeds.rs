//! What we did on a target lately, as far as a listing must show it: a listing that does not is older than the deed.
//!
//! Each answer of a runtime that says "done" is kept for a while and held against the next listings. One that still
//! shows the life we ended, or lacks the instance we made, shows an app as it was: nothing is decided by it. A third
//! party may have undone what we did, so that after [`BELIEVE_AFTER`] a listing is believed all the same. Knows nothing
//! of why anything was done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trueup_types::observed::{Incarnation, Sighting};
use trueup_types::step::{InstanceStep, StepOutcome, TargetStep};
use trueup_types::{AppName, InstanceId, Timestamp};

/// A listing that contradicts a deed is believed so long after it: platforms catch up with themselves within seconds.
pub const BELIEVE_AFTER: Duration = Duration::from_secs(10);

/// A listing by app.
pub type Listing = BTreeMap<AppName, Vec<Sighting>>;

/// What was done lately, the last deed for each name.
#[derive(Debug, Default)]
pub struct Deeds(BTreeMap<InstanceId, (Deed, Timestamp)>);

#[derive(Debug, PartialEq, Eq)]
enum Deed {
    /// A life was begun, in place of this one if there was one: it is listed, and that one no more.
    Begun(Option<Incarnation>),
    /// This life was ended, or had ended: it is listed no more.
    Ended(Incarnation),
}

impl Deeds {
    /// Keeps what came of a step.
    pub fn keep(&mut self, step: &TargetStep, outcome: &StepOutcome, now: Timestamp) {
        let TargetStep::Instance(step) = step;
        let deed = match (step, outcome) {
            (InstanceStep::Create { id, .. }, StepOutcome::Done | StepOutcome::AlreadyTrue) => {
                Deed::Begun(self.ended(id).cloned())
            }
            (InstanceStep::Start { ended, .. }, StepOutcome::Done) => Deed::Begun(Some(ended.clone())),
            (InstanceStep::Remove { incarnation, .. }, StepOutcome::Done) => Deed::Ended(incarnation.clone()),
            (
                InstanceStep::Create { .. }
                | InstanceStep::Start { .. }
                | InstanceStep::Stop { .. }
                | InstanceStep::Remove { .. },
                _,
            ) => return,
        };
        self.0.insert(step.id().clone(), (deed, now));
    }

    /// The life of this name that we ended last.
    fn ended(&self, id: &InstanceId) -> Option<&Incarnation> {
        match &self.0.get(id)?.0 {
            Deed::Begun(before) => before.as_ref(),
            Deed::Ended(life) => Some(life),
        }
    }

    /// The apps that a listing shows as they were before our last deeds, each with the instance that tells.
    pub fn contradicted(&mut self, listing: &Listing, now: Timestamp) -> BTreeMap<AppName, InstanceId> {
        self.0.retain(|_, (_, at)| now.since(*at) < BELIEVE_AFTER);
        let lists = |id: &InstanceId, deed: &Deed| {
            let ours = || listing.get(&id.app).into_iter().flatten().filter(|one| one.id == *id);
            let gone = |life: &Incarnation| ours().all(|one| one.incarnation != *life);
            match deed {
                Deed::Begun(before) => ours().next().is_some() && before.as_ref().is_none_or(gone),
                Deed::Ended(life) => gone(life),
            }
        };
        let old = self.0.iter().filter(|(id, (deed, _))| !lists(id, deed));
        old.map(|(id, _)| (id.app.clone(), id.clone())).collect()
    }

    /// Whether a listing lacks anything that the one before had and that we did not take away.
    pub fn lacks(&self, before: &Listing, listing: &Listing) -> bool {
        let there: BTreeSet<_> = listing.values().flatten().map(|one| &one.id).collect();
        let taken =
            |one: &Sighting| self.0.get(&one.id).is_some_and(|(deed, _)| *deed == Deed::Ended(one.incarnation.clone()));
        before.values().flatten().any(|one| !there.contains(&one.id) && !taken(one))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trueup_types::desired::Inputs;
    use trueup_types::exposure::Exposure;
    use trueup_types::observed::Phase;
    use trueup_types::release::Origin;
    use trueup_types::template::Template;
    use trueup_types::{Ordinal, Place, Release, ReleaseDigest, Revision, TargetName};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn id(ordinal: u32) -> InstanceId {
        InstanceId::new(&AppName::new("web").expect("a name"), Revision(1), Ordinal(ordinal))
    }

    fn listing(lives: &[(u32, &str)]) -> Listing {
        let one = |(ordinal, life): &(u32, &str)| Sighting {
            id: id(*ordinal),
            incarnation: Incarnation((*life).into()),
            release: ReleaseDigest::of("a release"),
            place: Place::here(),
            phase: Phase::Starting,
            addresses: BTreeMap::new(),
            checks: None,
            healthcheck: None,
            created: NOW,
            template: None,
        };
        BTreeMap::from([(id(0).app, lives.iter().map(one).collect())])
    }

    fn removed(ordinal: u32, life: &str) -> Deeds {
        let step = InstanceStep::Remove { id: id(ordinal), incarnation: Incarnation(life.into()) };
        let mut deeds = Deeds::default();
        deeds.keep(&TargetStep::Instance(step), &StepOutcome::Done, NOW);
        deeds
    }

    #[test]
    fn a_listing_that_shows_what_we_removed_is_not_believed_for_a_while() {
        let mut deeds = removed(0, "a");
        assert_eq!(deeds.contradicted(&listing(&[(0, "a"), (1, "b")]), NOW).len(), 1);
        assert!(deeds.contradicted(&listing(&[(1, "b")]), NOW).is_empty());
        assert!(deeds.contradicted(&listing(&[(0, "c")]), NOW).is_empty(), "another life under that name is news");
        assert!(deeds.contradicted(&listing(&[(0, "a")]), NOW.after(BELIEVE_AFTER)).is_empty());
    }

    #[test]
    fn a_listing_that_shows_what_lay_under_a_name_before_is_older_than_what_we_made_there() {
        let mut deeds = removed(0, "a");
        let release = Release {
            app: id(0).app,
            revision: Revision(1),
            digest: ReleaseDigest::of("a release"),
            target: TargetName::local(),
            template: Template::default(),
            exposure: Exposure::default(),
            inputs: Inputs::default(),
            origin: Origin::default(),
        };
        let step = InstanceStep::Create { id: id(0), place: Place::here(), release: Arc::new(release) };
        deeds.keep(&TargetStep::Instance(step), &StepOutcome::Done, NOW);
        assert_eq!(deeds.contradicted(&listing(&[(0, "a")]), NOW).len(), 1, "the life that we removed");
        assert_eq!(deeds.contradicted(&listing(&[]), NOW).len(), 1, "neither of the two");
        assert!(deeds.contradicted(&listing(&[(0, "b")]), NOW).is_empty());
        let step = InstanceStep::Start { id: id(0), ended: Incarnation("b".into()) };
        deeds.keep(&TargetStep::Instance(step), &StepOutcome::Done, NOW);
        assert_eq!(deeds.contradicted(&listing(&[(0, "b")]), NOW).len(), 1, "the life that had ended");
        assert_eq!(deeds.contradicted(&listing(&[]), NOW).len(), 1, "what we started is there");
        assert!(deeds.contradicted(&listing(&[(0, "c")]), NOW).is_empty());
    }

    #[test]
    fn what_goes_missing_is_doubted_but_for_what_we_took_away() {
        let deeds = removed(0, "a");
        let before = listing(&[(0, "a"), (1, "b")]);
        assert!(!deeds.lacks(&before, &listing(&[(1, "b")])));
        assert!(deeds.lacks(&before, &listing(&[(0, "a")])));
        assert!(deeds.lacks(&before, &listing(&[])));
    }
}
