//! How much of the traffic a canary gets, step by step.
//!
//! Once all new instances have met their gate, `passage` asks here at each tick whether a step still holds the rollout,
//! and `routes` shares traffic by the weight that is answered. A step begins when the *seen* table shares by its weight;
//! from then on its watched time counts, and the new release is judged as in a bake. Steps are taken one at a time and
//! never back; a first release, a person's rollback and a revert take none.

use trueup_museum::{Bug, planted};
use trueup_types::analysis::{Analysis, Answer, Tally};
use trueup_types::desired::DesiredApp;
use trueup_types::exposure::Exposure;
use trueup_types::number::Percent;
use trueup_types::policy::{CanaryStep, Policy, Strategy};
use trueup_types::record::{AppRecord, CanaryAt, DeployPhase, Evidence, Rollout};
use trueup_types::time::Stopwatch;
use trueup_types::{Backend, Label, Release, Revision, RouteEntry, RouteSight, Timestamp};

use crate::census::{Census, Member, Role};
use crate::judge::{self, Bake};
use crate::notes;
use crate::rollout::Scene;
use crate::share;
use crate::surge::Surge;

/// What a canary's step says of this tick.
#[derive(Debug)]
pub(crate) enum Canary {
    /// There is none, or it is through: everything goes to the new release.
    Over,
    /// So much goes to the new release, and no more.
    Holds(Percent),
    /// What fails cannot be judged until probes have answered once more; so much goes to the new release meanwhile.
    Unsure(Percent),
    /// The new release is bad.
    Bad(Evidence),
}

/// The step that a rollout stands at, if it is a canary's and is not through.
pub(crate) fn step<'d>(record: &AppRecord, desired: &'d DesiredApp, at: &CanaryAt) -> Option<&'d CanaryStep> {
    let shares = desired.policy.strategy == Strategy::Canary && Surge::of(desired, None).keeps_old;
    // Traffic is shared where there are ways in to both: those of the last good release are in force until the last step.
    let ways_in = |exposure: &Exposure| !exposure.routes.is_empty();
    let good = record.current_release().is_some_and(|good| ways_in(&good.exposure) || planted(Bug::AsksWantedRoutes));
    let routed = good && ways_in(&desired.exposure);
    let step = usize::try_from(at.step).ok().and_then(|step| desired.policy.steps.get(step));
    step.filter(|_| shares && routed && record.pin.is_none())
}

/// Moves a canary by at most one step; `crashed` is an exit by itself that was counted at this tick.
pub(crate) fn advance(
    at: &mut CanaryAt,
    record: &AppRecord,
    scene: &Scene<'_>,
    (release, good): (&Release, Option<&Release>),
    crashed: Option<&trueup_types::Instance>,
) -> Canary {
    let Some(step) = step(record, scene.desired, at) else { return Canary::Over };
    let census = Census::take(scene.observed, Some(release), good, scene.desired.policy.min_healthy, scene.now);
    if at.shared.is_none() && shares_by(scene, &census, good, step.weight) {
        at.shared = Some(Stopwatch::started(scene.now));
    }
    let mut watch = at.shared.unwrap_or_else(|| Stopwatch::started(scene.now));
    let met = notes::entered(record, release.revision, DeployPhase::Route);
    let judged = if at.begun() { judge::bakes(scene, release, good, crashed, met) } else { Bake::Good };
    let unsure = match judged {
        Bake::Bad(evidence) => return Canary::Bad(evidence),
        // Time in which nobody sees where traffic goes proves nothing.
        Bake::Good if matches!(scene.observed.routes, RouteSight::Unknown(_)) => {
            watch.skip(scene.now);
            false
        }
        Bake::Good => {
            watch.advance(scene.observed.sighted_since, scene.now);
            false
        }
        Bake::BothFail => {
            watch.skip(scene.now);
            false
        }
        Bake::Unsure => {
            watch.skip(scene.now);
            true
        }
    };
    if at.shared.is_some() {
        at.shared = Some(watch);
    }
    if let Some(evidence) = condemned(step, at) {
        return Canary::Bad(evidence);
    }
    let content = step.analysis.iter().all(|one| at.tallies.get(&one.name).is_some_and(Tally::content));
    let waited = at.shared.is_some() && watch.reached(step.pause) && !step.approve && content;
    if unsure || !(waited || at.promoted) {
        return if unsure { Canary::Unsure(step.weight) } else { Canary::Holds(step.weight) };
    }
    *at = CanaryAt { step: at.step.saturating_add(1), ..CanaryAt::default() };
    self::step(record, scene.desired, at).map_or(Canary::Over, |next| Canary::Holds(next.weight))
}

/// An analysis that was answered badly as often in a row as is borne.
fn condemned(step: &CanaryStep, at: &CanaryAt) -> Option<Evidence> {
    step.analysis.iter().find_map(|one| {
        let tally = at.tallies.get(&one.name).filter(|tally| tally.bad >= one.failures)?;
        let detail = tally.last.clone().unwrap_or_default();
        Some(Evidence::Analysis { name: one.name.clone(), detail })
    })
}

/// The analyses of the step that a rollout stands at, once the live table shares by its weight.
#[must_use]
pub fn analyses<'d>(record: &AppRecord, desired: &'d DesiredApp) -> Option<(Standing, &'d [Analysis])> {
    let Rollout::Underway { to, canary: at, .. } = &record.rollout else { return None };
    let step = step(record, desired, at).filter(|step| at.shared.is_some() && !step.analysis.is_empty())?;
    Some((Standing { revision: *to, step: at.step }, &step.analysis))
}

/// Which step of which canary: an answer counts only for the one that it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The new release.
    pub revision: Revision,
    /// The step, from 0.
    pub step: u32,
}

/// Takes the answer to an analysis into the record; one that was asked for another step is dropped.
pub fn learn(record: &mut AppRecord, standing: Standing, name: &Label, answer: Answer) {
    let Rollout::Underway { to, canary: at, .. } = &mut record.rollout else { return };
    if (Standing { revision: *to, step: at.step }) == standing && at.shared.is_some() {
        at.tallies.entry(name.clone()).or_default().count(answer);
    }
}

/// When the step that a rollout stands at is over, if time alone ends it.
pub(crate) fn due(record: &AppRecord, desired: &DesiredApp, at: &CanaryAt) -> Option<Timestamp> {
    let step = step(record, desired, at).filter(|step| !step.approve)?;
    at.shared.as_ref().filter(|shared| !shared.reached(step.pause)).map(|shared| shared.due(step.pause))
}

/// Whether the live table shows that a step has begun, be it that memory is older than that: whoever shared the traffic so
/// died before it was saved.
pub(crate) fn is_shared(at: &CanaryAt, record: &AppRecord, scene: &Scene<'_>, census: &Census<'_>) -> bool {
    let partly = |step: &&CanaryStep| step.weight != Percent::NONE && step.weight != Percent::ALL;
    let beside = census.members.iter().any(|member| member.role != Role::Fresh && member.vigour.passes());
    let step = step(record, scene.desired, at).filter(partly);
    beside
        && !planted(Bug::TakesStepBack)
        && step.is_some_and(|step| shares_by(scene, census, record.current_release().map(AsRef::as_ref), step.weight))
}

/// Whether the live table gives the fresh ones this share of the traffic, on every way in that leads to any of them; or all
/// of it, where no other passes that the rest could go to.
fn shares_by(scene: &Scene<'_>, census: &Census<'_>, good: Option<&Release>, weight: Percent) -> bool {
    let RouteSight::Seen(seen) = &scene.observed.routes else { return false };
    let alone = !census.members.iter().any(|member| member.role != Role::Fresh && member.vigour.passes());
    let weight = if alone { Percent::ALL } else { weight };
    let by_count = scene.desired.policy.by_count.is_some() && !alone;
    let most = by_count.then(|| {
        let passing = |fresh: bool| {
            let of = |member: &&Member<'_>| (member.role == Role::Fresh) == fresh && member.vigour.passes();
            u32::try_from(census.members.iter().filter(of).count()).unwrap_or(u32::MAX)
        };
        let wanted = scene.desired.replicas();
        let there = (passing(true).min(wanted), passing(false).min(wanted));
        u64::from(numbers(weight, wanted, floor(scene.desired, census), there).0)
    });
    let shares = |entry: &RouteEntry| {
        let (ours, all) = share_of(entry, census);
        match most {
            Some(most) => (1..=most).contains(&ours) && all > ours,
            None => all > 0 && ours * 100 == all * u64::from(weight.get()),
        }
    };
    let reaches = |entry: &&RouteEntry| share_of(entry, census).0 > 0 || has_a_way(entry, census, good);
    let mut ways = seen.share.entries.iter().filter(reaches).peekable();
    ways.peek().is_some() && ways.all(shares)
}

/// Whether a way in of the last good release can lead to a fresh one: not where the new one has done away with it.
fn has_a_way(entry: &RouteEntry, census: &Census<'_>, good: Option<&Release>) -> bool {
    let Some(in_force) = good.map(|good| &good.exposure) else { return true };
    let route = in_force.routes.iter().find(|route| route.key() == (entry.host.as_str(), entry.path.as_str()));
    let leads = |route| census.of(Role::Fresh).any(|member| share::address(member, route, in_force).is_some());
    route.is_none_or(leads)
}

/// What a way in sends to the fresh ones, and to all.
fn share_of(entry: &RouteEntry, census: &Census<'_>) -> (u64, u64) {
    let fresh = |backend: &&Backend| census.of(Role::Fresh).any(|member| *member.id() == backend.instance);
    let all = entry.backends.iter().map(|backend| u64::from(backend.weight)).sum();
    (entry.backends.iter().filter(fresh).map(|backend| u64::from(backend.weight)).sum(), all)
}

/// The weights of one fresh and of one other backend, so that all fresh ones together get `weight` percent.
///
/// The smallest whole numbers that do it exactly.
pub(crate) fn weights(weight: Percent, fresh: u32, others: u32) -> (u32, u32) {
    let share = u32::from(weight.get());
    let (ours, theirs) = (share.saturating_mul(others), (100 - share.min(100)).saturating_mul(fresh));
    let common = divisor(ours, theirs).max(1);
    (ours / common, theirs / common)
}

/// How many have to serve at the least: as many of those that serve and pass as may not be taken from an app.
pub(crate) fn floor(desired: &DesiredApp, census: &Census<'_>) -> u32 {
    if planted(Bug::SharesBelowCapacity) {
        return 0;
    }
    let serve = census.members.iter().filter(|member| member.routed && member.vigour.passes()).count();
    let (wanted, policy) = (desired.replicas(), &desired.policy);
    let least = wanted.saturating_sub(policy.max_unavailable.of_rounded_down(wanted));
    u32::try_from(serve).unwrap_or(u32::MAX).min(least)
}

/// How many fresh ones and how many others serve where an ingress cannot weigh, of so many that can (`fresh`, `others`): the
/// numbers whose share is nearest to `weight`.
///
/// There are never fewer than `floor`, if there can be as many: where the others have become few, the fresh ones that serve
/// already go on, whatever their share. But for that, one fresh one less would be at most its share; and within that there are as
/// many as are wanted, if there can be.
pub(crate) fn numbers(weight: Percent, wanted: u32, floor: u32, (fresh, others): (u32, u32)) -> (u32, u32) {
    let share = u64::from(weight.get().min(99)).max(1);
    let choices = (1..=u64::from(fresh)).flat_map(|ours| {
        let exact = ours * (100 - share) / share;
        let short = u64::from(wanted).saturating_sub(ours);
        [exact, exact + 1, short].map(|theirs| (ours, theirs.clamp(1, u64::from(others).max(1))))
    });
    let best = choices.min_by(|one, other| {
        let rank = |(ours, theirs): &(u64, u64)| {
            let all = ours + theirs;
            let exceeds = *ours > 1 && (ours - 1) * 100 > all * share;
            (u64::from(floor).saturating_sub(all), exceeds, u64::from(wanted).saturating_sub(all))
        };
        let off = |(ours, theirs): &(u64, u64)| ((ours * 100).abs_diff((ours + theirs) * share), ours + theirs);
        let ((a, all_a), (b, all_b)) = (off(one), off(other));
        rank(one).cmp(&rank(other)).then((a * all_b).cmp(&(b * all_a))).then(all_b.cmp(&all_a))
    });
    let (ours, theirs) = best.unwrap_or((0, u64::from(others)));
    let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    (count(ours), count(theirs))
}

/// What the steps of a canary come to where its ingress cannot weigh, in one line.
#[must_use]
pub fn by_count(policy: &Policy, replicas: u32) -> Option<String> {
    let why = policy.by_count.as_ref().filter(|_| policy.strategy == Strategy::Canary && !policy.steps.is_empty())?;
    let step = |step: &CanaryStep| {
        let weight = step.weight;
        let (ours, theirs) = match weight {
            Percent::NONE => (0, replicas),
            Percent::ALL => (replicas, 0),
            _ => numbers(weight, replicas, 0, (replicas, replicas)),
        };
        format!("{} % becomes {ours} of {} instances", weight.get(), ours + theirs)
    };
    let steps: Vec<_> = policy.steps.iter().map(step).collect();
    Some(format!("{why}, so a canary's share is made of whole instances: {}", steps.join(", ")))
}

fn divisor(one: u32, other: u32) -> u32 {
    if other == 0 { one } else { divisor(other, one % other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(share: u8) -> Percent {
        Percent::new(share).expect("a share")
    }

    #[test]
    fn whole_instances_come_as_near_as_they_can() {
        let full = |share, wanted| numbers(percent(share), wanted, 0, (wanted, wanted));
        assert_eq!(full(10, 10), (1, 9));
        assert_eq!(full(50, 3), (3, 3));
        assert_eq!(full(10, 1), (1, 1));
        assert_eq!(full(10, 2), (1, 2));
        assert_eq!(full(12, 10), (1, 9), "not fewer than are wanted");
        assert_eq!(full(5, 10), (1, 10));
        assert_eq!(full(99, 4), (4, 1));
        for wanted in 1..12 {
            for share in 1..100_u8 {
                for others in 1..=wanted {
                    let (ours, theirs) = numbers(percent(share), wanted, 0, (wanted, others));
                    assert!(ours >= 1 && (1..=others).contains(&theirs), "{share} % of {wanted} beside {others}");
                    let beyond = (ours - 1) * 100 > (ours + theirs) * u32::from(share);
                    assert!(!beyond, "{share} % of {wanted} beside {others}: {ours} and {theirs}");
                    assert!(others < wanted || ours + theirs >= wanted, "{share} % of {wanted}: {ours} and {theirs}");
                }
            }
        }
    }

    #[test]
    fn whole_instances_are_never_fewer_than_may_not_be_taken() {
        assert_eq!(numbers(percent(20), 3, 3, (3, 1)), (2, 1), "the share would be one beside one");
        assert_eq!(numbers(percent(20), 3, 2, (3, 1)), (1, 1));
        assert_eq!(numbers(percent(20), 3, 3, (1, 1)), (1, 1), "there are no more");
        for wanted in 1..12 {
            for (share, others) in (1..100_u8).flat_map(|share| (1..=wanted).map(move |others| (share, others))) {
                for least in 0..=wanted {
                    let (ours, theirs) = numbers(percent(share), wanted, least, (wanted, others));
                    assert!(ours + theirs >= least, "{share} % of {wanted} beside {others}: {ours} and {theirs}");
                }
            }
        }
    }

    #[test]
    fn the_weights_share_exactly_whatever_the_numbers() {
        for share in 1..100_u8 {
            for (fresh, others) in [(1, 1), (3, 3), (3, 2), (1, 7), (40, 39)] {
                let (one, other) = weights(percent(share), fresh, others);
                let (ours, all) = (u64::from(one * fresh), u64::from(one * fresh + other * others));
                assert!(one > 0 && other > 0, "{share} % of {fresh} and {others}");
                assert_eq!(ours * 100, all * u64::from(share), "{share} % of {fresh} and {others}");
            }
        }
        assert_eq!(weights(percent(10), 1, 1), (1, 9));
        assert_eq!(weights(percent(50), 2, 2), (1, 1));
    }
}
