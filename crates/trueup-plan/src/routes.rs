//! Chooses who serves, and so who receives traffic.
//!
//! Given the census, returns the set that serves: fresh and steady first, others that serve already to make up the number;
//! when none passes, whoever is routed stays. An app without routes is served by the same choice, with nothing to tell an
//! ingress; `share` says what one is told. Knows nothing of drains or surges; `drain` reads our answer,
//! never the reverse.

use std::collections::BTreeSet;

use trueup_museum::{Bug, planted};
use trueup_types::desired::DesiredApp;
use trueup_types::number::Percent;
use trueup_types::{InstanceId, TargetName};

use crate::census::{Census, Member, Role, Vigour};
use crate::rollout::{Heading, Mode};
use crate::surge::Surge;
use crate::{canary, places, share};

/// Names an instance over all targets.
pub(crate) type Key = (TargetName, InstanceId);

/// The key of a member.
pub(crate) fn key(member: &Member<'_>) -> Key {
    (member.seen.target.clone(), member.id().clone())
}

/// Who serves.
pub(crate) fn serving(desired: &DesiredApp, heading: &Heading, census: &Census<'_>) -> BTreeSet<Key> {
    let wanted = usize::try_from(desired.replicas()).unwrap_or(usize::MAX);
    let surge = heading.surge(desired);
    // Elsewhere than in a rollout a replacement starts first, but where two never run side by side.
    let room = if surge.alone() { surge.room(census, desired.replicas()) } else { 0 };
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let routed_app = !share::exposure(desired, heading, census).routes.is_empty();
    let (misplaced, by_count) = (places::misplaced(desired, census), desired.policy.by_count.is_some());
    let relieved = heading.mode == Mode::Baking && surge.keeps_old && is_full(census, surge, desired.replicas());
    let choice = Choice { census, wanted, room, routed_app, misplaced, by_count, relieved };
    let chosen = match heading.mode {
        Mode::Empty | Mode::Fallen => choice.remaining(),
        Mode::Reverting if planted(Bug::RevertKillsFirst) => census.of(Role::Fresh).collect(),
        Mode::Steady | Mode::Reverting | Mode::Held | Mode::Baking => choice.prefer(Role::Fresh, Eagerness::Passing),
        Mode::Rolling => choice.while_rolling(desired, surge, heading.weight),
    };
    chosen.into_iter().map(key).collect()
}

/// Whether nothing can come up any more, and something is there that is of no release.
fn is_full(census: &Census<'_>, surge: Surge, replicas: u32) -> bool {
    surge.free(census, replicas) == 0 && census.count(Role::Stale, Vigour::runs) > 0
}

/// Whether one that passes, but not yet for `minHealthy`, may serve where nothing better does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Eagerness {
    Steady,
    Passing,
}

struct Choice<'c, 'a> {
    census: &'c Census<'a>,
    wanted: usize,
    room: usize,
    routed_app: bool,
    misplaced: BTreeSet<Key>,
    /// Its ingress cannot weigh.
    by_count: bool,
    /// Those that are kept serve in place of what somebody altered: it has to make room for what is to replace it.
    relieved: bool,
}

impl<'c, 'a> Choice<'c, 'a> {
    /// Whether it serves at this moment.
    fn serves(&self, member: &Member<'_>) -> bool {
        if self.routed_app { member.routed } else { member.vigour.runs() }
    }

    /// Whether it may serve: steady, or serving already and not known to be bad.
    fn eligible(&self, member: &Member<'_>) -> bool {
        let steady = matches!(member.vigour, Vigour::Steady | Vigour::Completed);
        steady || (self.serves(member) && (member.vigour.passes() || member.vigour == Vigour::Unknown))
    }

    /// Whether one of a release that is not promoted yet may serve: where nothing says who serves, the gate does.
    fn proven(&self, member: &Member<'_>) -> bool {
        let steady = matches!(member.vigour, Vigour::Steady | Vigour::Completed);
        steady || (self.routed_app && self.eligible(member))
    }

    fn prefer(&self, role: Role, eagerness: Eagerness) -> Vec<&'c Member<'a>> {
        let mut chosen: Vec<_> = self.census.of(role).filter(|member| self.eligible(member)).collect();
        // Those that surely pass, of these those that are where they are wanted, and of these those that serve: they stay
        // before any that would have to be brought in.
        chosen.sort_by_key(|member| {
            let misplaced = !self.misplaced.is_empty() && self.misplaced.contains(&key(member));
            (!certain(member), misplaced, !self.serves(member))
        });
        // Nobody goes while it is not known who of them passes.
        if chosen.iter().filter(|member| certain(member)).count() >= self.wanted {
            chosen.truncate(self.wanted);
        }
        let relieves = |member: &&Member<'_>| self.relieved && member.role == Role::Kept;
        let others = self.census.members.iter().filter(|member| member.role != role && self.serves(member));
        let others = self.census.members.iter().filter(relieves).chain(others.filter(|member| !relieves(member)));
        fill(&mut chosen, others.filter(|member| self.eligible(member)), self.wanted.saturating_sub(self.room));
        if chosen.is_empty() && eagerness == Eagerness::Passing {
            chosen.extend(self.census.of(role).filter(|member| member.vigour.passes()).take(self.wanted));
        }
        if chosen.is_empty() {
            fill(&mut chosen, self.way_back(), self.wanted);
        }
        if chosen.is_empty() && self.wanted > self.room && !planted(Bug::UnroutesEverybody) {
            // Where two never run side by side some make room all the same: else nothing better could ever come.
            let most = if self.room == 0 { usize::MAX } else { self.wanted - self.room };
            let (failing, others): (Vec<_>, Vec<_>) =
                self.staying(role).into_iter().partition(|member| member.vigour == Vigour::Failing);
            // One too many of those that surely fail only keeps out what may pass.
            let number = self.wanted.saturating_sub(others.len());
            chosen.extend(others.into_iter().chain(failing.into_iter().take(number)).take(most));
        }
        chosen
    }

    /// Those that serve where nobody passes; one that fails and is to go gives way to those that stay.
    fn staying(&self, role: Role) -> Vec<&'c Member<'a>> {
        let of = |role| self.census.of(role).filter(|member: &&Member<'_>| member.vigour.runs());
        // Before the first of the new ones is there the good ones are those that stay.
        let role = if of(role).next().is_some() { role } else { Role::Kept };
        let ours = || of(role);
        let serving = self.census.members.iter().filter(|member| self.serves(member) && member.vigour.runs());
        let given_up = |member: &&Member<'_>| {
            member.role == Role::Stale && matches!(member.vigour, Vigour::Failing | Vigour::Waiting)
        };
        let (going, staying): (Vec<_>, Vec<_>) = serving.partition(given_up);
        if !staying.is_empty() {
            return staying;
        }
        if !going.is_empty() && ours().next().is_some() {
            return ours().take(self.wanted).collect();
        }
        going
    }

    /// Those of the last good release that pass, be it only just: they serve where nothing better does.
    fn way_back(&self) -> impl Iterator<Item = &'c Member<'a>> + Clone {
        self.census.of(Role::Kept).filter(|member| member.vigour.passes())
    }

    /// Where nothing is good, whatever serves and passes goes on.
    fn remaining(&self) -> Vec<&'c Member<'a>> {
        let members = self.census.members.iter();
        let mut chosen = Vec::new();
        let serving = members.filter(|member| self.serves(member) && self.eligible(member));
        fill(&mut chosen, serving, self.wanted);
        chosen
    }

    /// A canary's new ones and the old ones beside them, as many of each as are wanted; where none passes, whoever serves.
    fn shared_by(&self, weight: Percent, floor: u32, steady: &[&'c Member<'a>]) -> Vec<&'c Member<'a>> {
        let serving = self.prefer(Role::Kept, Eagerness::Steady);
        let mut old: Vec<_> = serving.iter().copied().filter(|member| member.role != Role::Fresh).collect();
        if old.is_empty() {
            // One that has just come back is better than more than its share for what nobody has seen enough of.
            old.extend(self.way_back().take(self.wanted));
        }
        let mut fresh: Vec<_> = steady.iter().copied().take(self.wanted).collect();
        if self.by_count && weight != Percent::NONE && weight != Percent::ALL {
            self.whole(weight, floor, &mut fresh, &mut old);
        }
        let shared: Vec<_> = match weight {
            Percent::NONE => old,
            Percent::ALL if !steady.is_empty() => fresh,
            _ => fresh.into_iter().chain(old).collect(),
        };
        if shared.is_empty() { serving } else { shared }
    }

    /// Leaves so many of each that whole instances make the share.
    fn whole(&self, weight: Percent, floor: u32, fresh: &mut Vec<&'c Member<'a>>, old: &mut Vec<&'c Member<'a>>) {
        // Nobody goes while it is not known who passes, nor where there is nobody to share with.
        if old.is_empty() || !fresh.iter().chain(old.iter()).all(|member| certain(member)) {
            return;
        }
        let there = (count(fresh.iter().copied()), count(old.iter().copied()));
        let (ours, theirs) = canary::numbers(weight, u32::try_from(self.wanted).unwrap_or(u32::MAX), floor, there);
        // Those that serve already stay before any that would have to be brought in.
        fresh.sort_by_key(|member| !self.serves(member));
        fresh.truncate(usize::try_from(ours).unwrap_or(usize::MAX));
        old.truncate(usize::try_from(theirs).unwrap_or(usize::MAX));
    }

    fn while_rolling(&self, desired: &DesiredApp, surge: Surge, weight: Option<Percent>) -> Vec<&'c Member<'a>> {
        let steady: Vec<_> = self.census.of(Role::Fresh).filter(|member| self.proven(member)).collect();
        let superseded = |member: &Member<'_>| member.role == Role::Stale && self.serves(member);
        let old_serves = self
            .census
            .members
            .iter()
            .any(|member| (member.role == Role::Kept || superseded(member)) && self.eligible(member));
        if let Some(weight) = weight.filter(|_| surge.keeps_old) {
            return self.shared_by(weight, canary::floor(desired, self.census), &steady);
        }
        if surge.keeps_old {
            let shift = self.shifts(&steady) || !old_serves;
            if !shift && self.mixed_in_doubt() {
                return self
                    .census
                    .members
                    .iter()
                    .filter(|member| self.serves(member) && self.eligible(member))
                    .collect();
            }
            return self.prefer(if shift { Role::Fresh } else { Role::Kept }, Eagerness::Steady);
        }
        let room = usize::try_from(surge.room(self.census, desired.replicas())).unwrap_or(usize::MAX);
        let chosen = self.one_by_one(steady.clone(), room);
        // Nobody makes room while it is not known how those do that would serve on.
        if room > 0 && chosen.iter().any(|member| member.vigour == Vigour::Unknown) {
            return self.one_by_one(steady, 0);
        }
        chosen
    }

    /// Whether the new ones are to get everything: they are proven, and by more than their routes where others are routed
    /// beside them, as in a canary whose steps nobody remembers.
    fn shifts(&self, proven: &[&Member<'_>]) -> bool {
        let others = self.census.members.iter().filter(|member| member.role != Role::Fresh);
        let beside = others.into_iter().any(|member| member.routed && self.eligible(member));
        let steady = |member: &&&Member<'_>| matches!(member.vigour, Vigour::Steady | Vigour::Completed);
        proven.iter().filter(|member| !beside || steady(member)).count() >= self.wanted
    }

    /// Whether old and new ones are routed side by side, and nobody knows how the old ones do: all of them stay.
    fn mixed_in_doubt(&self) -> bool {
        let old = || self.census.of(Role::Kept).filter(|member| member.routed && self.eligible(member));
        old().next().is_some()
            && !old().any(|member| certain(member))
            && self.census.of(Role::Fresh).any(|member| member.routed && self.eligible(member))
    }

    /// The new ones that are proven, and old ones to make up the number, but for so many that make room.
    fn one_by_one(&self, mut chosen: Vec<&'c Member<'a>>, room: usize) -> Vec<&'c Member<'a>> {
        chosen.truncate(self.wanted);
        let number = self.wanted.saturating_sub(room);
        let mut kept: Vec<_> = self.census.of(Role::Kept).filter(|member| self.eligible(member)).collect();
        // The lowest ordinals stay longest, whatever order they were seen in.
        kept.sort_by_key(|member| member.id().ordinal);
        fill(&mut chosen, kept.into_iter(), number);
        // What a superseded rollout has brought in serves until the next one can take its place.
        let others = self.census.of(Role::Stale).filter(|member| self.serves(member) && self.eligible(member));
        fill(&mut chosen, others, number);
        if chosen.is_empty() {
            fill(&mut chosen, self.way_back(), number);
        }
        if chosen.is_empty() {
            chosen.extend(self.last_resort().take(number));
        }
        chosen
    }

    /// Those that serve where nobody passes, but no more than are wanted: the others only keep out what may pass. Those of
    /// the last good release come first, and those that surely fail last.
    fn last_resort(&self) -> impl Iterator<Item = &'c Member<'a>> {
        let serving = self.census.members.iter().filter(|member| self.serves(member) && member.vigour.runs());
        let mut serving: Vec<_> = serving.collect();
        serving.sort_by_key(|member| (member.role != Role::Kept, member.vigour == Vigour::Failing));
        serving.into_iter().take(self.wanted)
    }
}

/// Makes up the number: those that surely serve well until there are enough of them; where there are too few, all of
/// unknown health as well, for nobody knows who of them passes.
fn fill<'c, 'a: 'c>(
    chosen: &mut Vec<&'c Member<'a>>,
    others: impl Iterator<Item = &'c Member<'a>> + Clone,
    number: usize,
) {
    let sure = chosen.iter().filter(|member| certain(member)).count();
    chosen.extend(others.clone().filter(|member| certain(member)).take(number.saturating_sub(sure)));
    if chosen.iter().filter(|member| certain(member)).count() < number {
        chosen.extend(others.filter(|member| !certain(member)));
    }
}

/// Whether one surely serves well: it passes, or has done its work.
pub(crate) fn certain(member: &Member<'_>) -> bool {
    member.vigour.passes() || member.vigour == Vigour::Completed
}

/// How many there are.
pub(crate) fn count<'m, 'a: 'm>(members: impl Iterator<Item = &'m Member<'a>>) -> u32 {
    u32::try_from(members.count()).unwrap_or(u32::MAX)
}
