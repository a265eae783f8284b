//! What we did and saw on a target lately, as far as a listing must show it: a listing that does not is older than that.
//!
//! Each answer of a runtime that says "done" is kept for a while and held against the next listings, and so is what a
//! listing showed: a life that has ended, or that another took the place of, never comes back. A listing that still shows
//! it, or that lacks the instance we made, shows an app as it was: nothing is decided by it. A third party may have undone
//! what we did, so that after [`BELIEVE_AFTER`] a listing is believed all the same; what no third party can undo is held
//! against listings for [`KEEP`]. Knows nothing of why anything was done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trueup_types::observed::{Incarnation, Phase, Sighting};
use trueup_types::step::{InstanceStep, StepOutcome, TargetStep};
use trueup_types::{AppName, InstanceId, Timestamp};

/// A listing that contradicts a deed is believed so long after it: platforms catch up with themselves within seconds.
pub const BELIEVE_AFTER: Duration = Duration::from_secs(10);
/// An end that was seen is held against listings so long: longer than any lags, and no longer than memory should be.
const KEEP: Duration = Duration::from_secs(300);

/// A listing by app.
pub type Listing = BTreeMap<AppName, Vec<Sighting>>;

/// What was done and seen lately.
#[derive(Debug, Default)]
pub struct Deeds {
    /// What we made or started: it is listed.
    begun: BTreeMap<InstanceId, Timestamp>,
    /// The lives that are over, each with what a listing may still show of it, and until when that holds.
    over: BTreeMap<(InstanceId, Incarnation), (Over, Timestamp)>,
}

/// How far a life is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Over {
    /// It was told to go, or has gone: it is listed as nothing that runs.
    Ended,
    /// Nothing is left of it, or another is in its place: it is listed no more.
    Gone,
}

impl Deeds {
    /// Keeps what came of a step.
    pub fn keep(&mut self, step: &TargetStep, outcome: &StepOutcome, now: Timestamp) {
        let TargetStep::Instance(step) = step;
        let soon = now.after(BELIEVE_AFTER);
        match (step, outcome) {
            (InstanceStep::Create { id, .. }, StepOutcome::Done | StepOutcome::AlreadyTrue) => {
                for (_, (over, until)) in self.over.iter_mut().filter(|((of, _), _)| of == id) {
                    (*over, *until) = (Over::Gone, (*until).max(soon));
                }
                self.begun.insert(id.clone(), now);
            }
            (InstanceStep::Start { id, ended }, StepOutcome::Done) => {
                self.over(id, ended, Over::Gone, soon);
                self.begun.insert(id.clone(), now);
            }
            (InstanceStep::Stop { id, incarnation, .. }, StepOutcome::Done) => {
                self.over(id, incarnation, Over::Ended, soon);
            }
            (InstanceStep::Remove { id, incarnation }, StepOutcome::Done) => {
                self.over(id, incarnation, Over::Gone, soon);
                self.begun.remove(id);
            }
            (
                InstanceStep::Create { .. }
                | InstanceStep::Start { .. }
                | InstanceStep::Stop { .. }
                | InstanceStep::Remove { .. },
                _,
            ) => {}
        }
    }

    fn over(&mut self, id: &InstanceId, life: &Incarnation, over: Over, until: Timestamp) {
        let kept = self.over.entry((id.clone(), life.clone())).or_insert((over, until));
        *kept = (kept.0.max(over), kept.1.max(until));
    }

    /// Keeps what a listing shows to be over that the one `before` did not; nothing of an app that it shows as it was.
    pub fn learn(
        &mut self,
        before: &Listing,
        listing: &Listing,
        stale: &BTreeMap<AppName, InstanceId>,
        now: Timestamp,
    ) {
        for (app, seen) in listing.iter().filter(|(app, _)| !stale.contains_key(*app)) {
            let earlier = before.get(app).map(Vec::as_slice).unwrap_or_default();
            for one in seen {
                let Some(then) = earlier.iter().find(|then| then.id == one.id) else { continue };
                if then.incarnation != one.incarnation {
                    self.over(&one.id, &then.incarnation, Over::Gone, now.after(KEEP));
                } else if is_over(&one.phase) && !is_over(&then.phase) {
                    self.over(&one.id, &one.incarnation, Over::Ended, now.after(KEEP));
                }
            }
        }
    }

    /// The apps that a listing shows as they were before our last deeds, each with the instance that tells.
    pub fn contradicted(&mut self, listing: &Listing, now: Timestamp) -> BTreeMap<AppName, InstanceId> {
        self.begun.retain(|_, at| now.since(*at) < BELIEVE_AFTER);
        self.over.retain(|_, (_, until)| now < *until);
        let all = |id: &InstanceId| listing.get(&id.app).into_iter().flatten();
        let missing = self.begun.keys().filter(|id| all(id).all(|one| one.id != **id));
        let back = self.over.iter().filter(|((id, life), (over, _))| {
            let mut ours = all(id).filter(|one| one.id == *id && one.incarnation == *life);
            ours.any(|one| *over == Over::Gone || !goes(&one.phase))
        });
        missing.chain(back.map(|((id, _), _)| id)).map(|id| (id.app.clone(), id.clone())).collect()
    }

    /// Whether a listing lacks anything that the one before had and that we did not take away.
    pub fn lacks(&self, before: &Listing, listing: &Listing) -> bool {
        let there: BTreeSet<_> = listing.values().flatten().map(|one| &one.id).collect();
        let gone = |one: &Sighting| {
            let kept = self.over.get(&(one.id.clone(), one.incarnation.clone()));
            kept.is_some_and(|(over, _)| *over == Over::Gone)
        };
        before.values().flatten().any(|one| !there.contains(&one.id) && !gone(one))
    }
}

/// Whether a life of this phase has ended, for good.
fn is_over(phase: &Phase) -> bool {
    matches!(phase, Phase::Exited { .. })
}

/// Whether a life that was told to go may be shown like this.
fn goes(phase: &Phase) -> bool {
    matches!(phase, Phase::Vanishing { .. } | Phase::Exited { .. })
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
            stop_first: None,
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

    #[test]
    fn what_was_told_to_go_runs_no_more_in_what_is_newer() {
        let mut deeds = Deeds::default();
        let stop = trueup_types::template::Stop::default();
        let step = InstanceStep::Stop { id: id(0), incarnation: Incarnation("a".into()), stop };
        deeds.keep(&TargetStep::Instance(step), &StepOutcome::Done, NOW);
        assert_eq!(deeds.contradicted(&listing(&[(0, "a")]), NOW).len(), 1, "it is on its way up");
        for phase in [Phase::Vanishing { since: NOW }, exited()] {
            assert!(deeds.contradicted(&in_phase(listing(&[(0, "a")]), &phase), NOW).is_empty());
        }
        assert!(deeds.contradicted(&listing(&[]), NOW).is_empty());
        let later = NOW.after(BELIEVE_AFTER);
        assert!(deeds.contradicted(&listing(&[(0, "a")]), later).is_empty(), "it may not have heard it");
    }

    #[test]
    fn a_life_that_ended_or_gave_way_never_comes_back() {
        let none = BTreeMap::new();
        let later = NOW.after(BELIEVE_AFTER * 2);
        let mut deeds = Deeds::default();
        deeds.learn(&listing(&[(0, "a")]), &listing(&[(0, "b")]), &none, NOW);
        assert_eq!(deeds.contradicted(&listing(&[(0, "a")]), later).len(), 1, "another took its place");
        assert!(deeds.contradicted(&listing(&[(0, "b")]), later).is_empty());
        let mut deeds = Deeds::default();
        deeds.learn(&listing(&[(0, "a")]), &in_phase(listing(&[(0, "a")]), &exited()), &none, NOW);
        assert_eq!(deeds.contradicted(&listing(&[(0, "a")]), later).len(), 1, "it had exited");
        assert!(deeds.contradicted(&listing(&[(0, "a")]), NOW.after(KEEP)).is_empty(), "nothing is kept for ever");
        let mut deeds = Deeds::default();
        let stale = BTreeMap::from([(id(0).app, id(0))]);
        deeds.learn(&listing(&[(0, "b")]), &listing(&[(0, "a")]), &stale, NOW);
        assert!(deeds.contradicted(&listing(&[(0, "b")]), NOW).is_empty(), "nothing is learnt from what was");
    }

    fn exited() -> Phase {
        Phase::Exited { code: Some(1), at: NOW, why: trueup_types::observed::ExitWhy::ByItself }
    }

    fn in_phase(mut listing: Listing, phase: &Phase) -> Listing {
        listing.values_mut().flatten().for_each(|one| one.phase = phase.clone());
        listing
    }
}
