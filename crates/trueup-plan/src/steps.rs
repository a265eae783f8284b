//! What closes the gap, within surge and limits.
//!
//! In this order: what is routed, what comes up, what goes. Routing is first, so that a dead instance is unrouted before
//! it is started again at another address. Something goes only when the *seen* table has let it go: a plan never rests
//! on its own steps.

use std::collections::BTreeSet;
use std::sync::Arc;

use trueup_museum::{Bug, planted};
use trueup_types::desired::Hold;
use trueup_types::observed::{ExitWhy, Health};
use trueup_types::record::AppRecord;
use trueup_types::route::AppRoutes;
use trueup_types::step::{InstanceStep, Step, StepAction, TargetStep, Why};
use trueup_types::template::RestartPolicy;
use trueup_types::{Backend, InstanceId, Ordinal, Place, Release, RouteSight, Timestamp, Wake, WakeReason};

use crate::census::{Census, Member, Role, Vigour};
use crate::rollout::{Heading, Mode, Scene};
use crate::routes::{Key, key};
use crate::{drain, limits, places};

/// The steps of one tick, and when waiting ends.
pub(crate) struct Gap<'s, 'a> {
    pub scene: &'s Scene<'a>,
    pub heading: &'s Heading,
    pub census: &'s Census<'a>,
    pub leaving: &'s BTreeSet<Key>,
    pub share: AppRoutes,
    pub extra: u32,
}

/// How many more than wanted are needed for a while: one, where one of a baked release has failed too long; be it that
/// the app is on its way back to it. Where that one is there and passes, the failing one goes before the next is replaced;
/// where it fails as long as the others, it has been tried, and makes room for the next try. One more, too, where all pass
/// and one is to be in another place.
pub(crate) fn extra(scene: &Scene<'_>, heading: &Heading, census: &Census<'_>, serving: &BTreeSet<Key>) -> (u32, Wake) {
    let wanted = usize::try_from(scene.desired.replicas()).unwrap_or(usize::MAX);
    let well = census.of(Role::Fresh).filter(|member| member.vigour.passes() && serving.contains(&key(member))).count();
    let restoring = matches!(heading.mode, Mode::Steady | Mode::Reverting | Mode::Held);
    if heading.mode == Mode::Steady
        && well >= wanted
        && places::one_moves(scene.desired, heading.surge(scene.desired), census, serving)
    {
        return (1, Wake::OnChange);
    }
    if !restoring || well >= wanted {
        return (0, Wake::OnChange);
    }
    let failing = census.of(Role::Fresh).filter_map(|member| match &member.seen.health {
        Health::Failed { since, .. } if member.vigour == Vigour::Failing => {
            Some((*since).max(scene.observed.sighted_since).after(scene.desired.policy.healthy_deadline))
        }
        Health::Failed { .. } | Health::Waiting | Health::Passing { .. } | Health::Unknown => None,
    });
    match (failing.clone().min(), failing.max()) {
        (Some(due), Some(last)) if due <= scene.now => replacing(census, wanted, last, scene.now),
        (Some(due), _) => (0, Wake::At(due, WakeReason::Deadline)),
        (None, _) => (0, Wake::OnChange),
    }
}

/// Whether one more is needed where one has failed too long, the last of those that fail being due at `last`.
fn replacing(census: &Census<'_>, wanted: usize, last: Timestamp, now: Timestamp) -> (u32, Wake) {
    let there = || census.of(Role::Fresh).filter(|member| member.vigour != Vigour::Going);
    let coming = there().any(|member| !member.vigour.passes() && member.vigour != Vigour::Failing);
    if there().count() <= wanted || coming {
        return (1, Wake::OnChange);
    }
    // One that came as the replacement may fail at first, and has as long as any other.
    if last <= now { (0, Wake::OnChange) } else { (1, Wake::At(last, WakeReason::Deadline)) }
}

impl Gap<'_, '_> {
    /// All steps, in order.
    pub(crate) fn close(&self, record: &mut AppRecord) -> (Vec<Step>, Wake) {
        let mut wake = Wake::OnChange;
        let mut steps: Vec<_> = self.route().into_iter().collect();
        let (starts, waiting) = self.starts(record, &mut wake);
        let starting = u32::try_from(starts.len()).unwrap_or(u32::MAX).saturating_add(waiting);
        steps.extend(starts);
        steps.extend(self.creates(record, starting, &mut wake));
        steps.extend(self.departures(record, &mut wake));
        (steps, wake)
    }

    /// What is started again, and how many of the release that is wanted wait for their time to be: they hold their
    /// place, for one that crashes in a rollout is no reason to try it with more at once than it may.
    fn starts(&self, record: &mut AppRecord, wake: &mut Wake) -> (Vec<Step>, u32) {
        let doubt = matches!(self.scene.permits.create, Err(Hold::InDoubt(_)));
        if doubt || matches!(self.heading.mode, Mode::Fallen | Mode::Empty) {
            return (Vec::new(), 0);
        }
        let (mut steps, mut waiting) = (Vec::new(), 0);
        let free = self.heading.surge(self.scene.desired).free_to_replace(self.census, self.scene.desired.replicas());
        let free = usize::try_from(free).unwrap_or(usize::MAX);
        let ahead = drain::ahead(self.scene.desired, self.heading, self.census);
        let mut begun = BTreeSet::new();
        for member in self.census.members.iter().filter(|member| member.vigour == Vigour::Down) {
            if steps.len() >= free {
                break;
            }
            let Some((_, at, why)) = member.exited() else { continue };
            if self.leaving.contains(&key(member)) || member.role == Role::Stale || self.never_again(member, why) {
                continue;
            }
            if member.role == Role::Kept && steps.len() >= free.saturating_sub(ahead) {
                continue;
            }
            if self.is_taken(member, &begun) {
                continue;
            }
            let exits = record.exits.get(member.id()).map_or(0, |exits| exits.count);
            let wait = match why {
                ExitWhy::ByItself if exits > 1 && !planted(Bug::CrashLoopsHot) => {
                    limits::doubled(limits::BACKOFF_FIRST, exits - 1, limits::BACKOFF_MAX)
                }
                ExitWhy::CannotStart { .. } => limits::BACKOFF_MAX.min(limits::RETRY_FIRST * 100),
                ExitWhy::ByItself | ExitWhy::Asked | ExitWhy::HostLost => std::time::Duration::ZERO,
            };
            let put_off = record.backoff.instances.get(member.id()).copied();
            let put_off = put_off.filter(|_| !planted(Bug::RefusedStartStarves));
            let due = put_off.map_or(at.after(wait), |until| until.max(at.after(wait)));
            if due > self.scene.now {
                record.backoff.instances.insert(member.id().clone(), due);
                *wake = wake.or(Wake::At(due, WakeReason::Backoff));
                waiting += u32::from(member.role == Role::Fresh);
                continue;
            }
            let step = InstanceStep::Start { id: member.id().clone(), ended: member.seen.sighting.incarnation.clone() };
            steps.push(on(member, step, Why::Restart));
            begun.insert(key(member));
        }
        (steps, waiting)
    }

    /// Whether what one of a release would own of which no two stand side by side has as many owners there as are wanted,
    /// be they of another release: the app may be on its way to one whose instances can.
    fn is_taken(&self, member: &Member<'_>, begun: &BTreeSet<Key>) -> bool {
        let owns = |one: &Member<'_>| one.seen.sighting.template.as_ref().is_some_and(|release| release.stands_alone());
        if !owns(member) || planted(Bug::StartsSecondOwner) {
            return false;
        }
        let (target, place) = (&member.seen.target, &member.seen.sighting.place);
        let there = |one: &Member<'_>| (&one.seen.target, &one.seen.sighting.place) == (target, place);
        let runs = |one: &Member<'_>| one.vigour.runs() || one.vigour == Vigour::Going || begun.contains(&key(one));
        let others = self.census.members.iter().filter(|one| there(one) && key(one) != key(member));
        let owners = others.filter(|one| runs(one) && owns(one)).count();
        let wanted = self.scene.desired.placement.spread.get(place);
        u32::try_from(owners).is_ok_and(|owners| owners >= wanted.copied().unwrap_or(1).max(1))
    }

    fn never_again(&self, member: &Member<'_>, why: &ExitWhy) -> bool {
        let release = match member.role {
            Role::Fresh => self.heading.release.as_ref(),
            Role::Kept => self.heading.good.as_ref(),
            Role::Stale => None,
        };
        let policy = release.map_or(RestartPolicy::Always, |release| release.template.restart.policy);
        matches!(why, ExitWhy::ByItself) && policy == RestartPolicy::Never
    }

    fn creates(&self, record: &AppRecord, starting: u32, wake: &mut Wake) -> Vec<Step> {
        let Some(release) = &self.heading.release else { return Vec::new() };
        let missing = self.missing(starting);
        if missing == 0 || self.scene.permits.create.is_err() || self.heading.mode == Mode::Fallen {
            return Vec::new();
        }
        if let Some(until) = record.backoff.until
            && until > self.scene.now
        {
            *wake = wake.or(Wake::At(until, WakeReason::Backoff));
            return Vec::new();
        }
        let holds = |member: &&Member<'_>| member.vigour != Vigour::Going || !planted(Bug::ReusesNameOfTheGoing);
        let used: BTreeSet<_> = self.census.members.iter().filter(holds).map(|one| one.id().clone()).collect();
        let places = self.places().into_iter().take(usize::try_from(missing).unwrap_or(usize::MAX));
        let mut steps = Vec::new();
        for (id, place) in free_names(release, &used).zip(places) {
            let step = InstanceStep::Create { id, place, release: Arc::clone(release) };
            let action = StepAction::Target { target: release.target.clone(), step: TargetStep::Instance(step) };
            steps.push(Step { action, why: self.why_create() });
        }
        steps
    }

    /// How many fresh ones are to be created in this tick, beside so many that are started or wait for it.
    fn missing(&self, starting: u32) -> u32 {
        let wanted = self.scene.desired.replicas();
        let have = self.census.count(Role::Fresh, |vigour| vigour != Vigour::Going);
        let missing = (wanted + self.extra).saturating_sub(have);
        let surge = self.heading.surge(self.scene.desired);
        let going = self
            .census
            .members
            .iter()
            .any(|one| one.role != Role::Fresh && (one.vigour.runs() || one.vigour == Vigour::Going));
        if surge.recreates && going {
            return 0;
        }
        let rolling = self.heading.mode == Mode::Rolling;
        let free = if rolling { surge.free(self.census, wanted) } else { surge.free_to_replace(self.census, wanted) };
        missing.min(free.saturating_sub(starting))
    }

    /// A place for each missing instance, those where some are missing first.
    fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for (place, wanted) in &self.scene.desired.placement.spread {
            let there = self.census.of(Role::Fresh).filter(|one| one.seen.sighting.place == *place);
            let there = u32::try_from(there.filter(|one| one.vigour != Vigour::Going).count()).unwrap_or(u32::MAX);
            places.extend((there..*wanted).map(|_| place.clone()));
        }
        // Where room was made comes first: what keeps two from standing side by side, as a disk does, is there.
        places.sort_by_key(|place| {
            let there = self.census.members.iter().filter(|one| one.seen.sighting.place == *place);
            let there = there.filter(|one| one.vigour.runs()).count();
            let wanted = self.scene.desired.placement.spread.get(place).copied().unwrap_or_default();
            u32::try_from(there).is_ok_and(|there| there >= wanted)
        });
        // One that replaces a failing one beside it comes where the app is.
        let home = self.scene.desired.placement.spread.keys().next().cloned().unwrap_or_else(Place::here);
        places.extend((0..self.extra).map(|_| home.clone()));
        places
    }

    fn why_create(&self) -> Why {
        match self.heading.mode {
            Mode::Rolling => Why::Rollout,
            Mode::Reverting => Why::Revert,
            Mode::Steady | Mode::Baking | Mode::Held | Mode::Fallen | Mode::Empty if self.extra > 0 => Why::Replace,
            Mode::Steady | Mode::Baking | Mode::Held | Mode::Fallen | Mode::Empty => Why::ScaleUp,
        }
    }

    fn route(&self) -> Option<Step> {
        let RouteSight::Seen(seen) = &self.scene.observed.routes else { return None };
        let share = match &self.scene.permits.destroy {
            Ok(()) => self.share.clone(),
            Err(_) => self.without_taking_away(&seen.share),
        };
        if share.entries == seen.share.entries {
            return None;
        }
        let why = match self.heading.mode {
            Mode::Rolling | Mode::Baking => Why::Rollout,
            Mode::Reverting => Why::Revert,
            Mode::Steady | Mode::Held | Mode::Fallen | Mode::Empty => Why::Reroute,
        };
        Some(Step { action: StepAction::Route { share }, why })
    }

    /// The share, with everything that is routed and runs left in place.
    fn without_taking_away(&self, seen: &AppRoutes) -> AppRoutes {
        let runs = |id: &InstanceId| self.census.members.iter().any(|one| one.id() == id && one.vigour.runs());
        let mut share = self.share.clone();
        for old in &seen.entries {
            let kept: Vec<_> = old.backends.iter().filter(|one| runs(&one.instance)).cloned().collect();
            match share.entries.iter_mut().find(|new| (&new.host, &new.path) == (&old.host, &old.path)) {
                Some(entry) => {
                    let lists = |one: &Backend| entry.backends.iter().any(|other| other.instance == one.instance);
                    let missing: Vec<_> = kept.into_iter().filter(|one| !lists(one)).collect();
                    // Who stays beside others stays with its weight, and so do they: its share is not to grow.
                    for backend in entry.backends.iter_mut().filter(|_| !missing.is_empty()) {
                        let before = old.backends.iter().find(|one| one.instance == backend.instance);
                        backend.weight = before.map_or(backend.weight, |one| one.weight);
                    }
                    entry.backends.extend(missing);
                    entry.backends.sort_by(|a, b| a.instance.cmp(&b.instance));
                }
                None => share.entries.push(old.clone()),
            }
        }
        share
    }

    fn departures(&self, record: &AppRecord, wake: &mut Wake) -> Vec<Step> {
        if self.scene.permits.destroy.is_err() {
            return Vec::new();
        }
        let mut steps = Vec::new();
        for member in self.census.members.iter().filter(|member| self.leaving.contains(&key(member))) {
            if let Some(step) = self.departure(record, member, wake) {
                steps.push(step);
            }
        }
        steps
    }

    fn departure(&self, record: &AppRecord, member: &Member<'_>, wake: &mut Wake) -> Option<Step> {
        let (now, desired) = (self.scene.now, self.scene.desired);
        if let Err(due) = drain::drained(record, desired, &self.scene.observed.routes, member, now) {
            // What is in flight changes without an event.
            let look = now.after(limits::LOOK_AGAIN);
            *wake = due.map_or(*wake, |due| wake.or(Wake::At(due.min(look), WakeReason::Drain)));
            return None;
        }
        let (id, incarnation) = (member.id().clone(), member.seen.sighting.incarnation.clone());
        let why = self.why_leave(member);
        match member.vigour {
            Vigour::Going => None,
            // What is left of a first release that failed is evidence.
            Vigour::Down | Vigour::Completed if self.heading.mode == Mode::Fallen => None,
            Vigour::Down | Vigour::Completed => Some(on(member, InstanceStep::Remove { id, incarnation }, why)),
            Vigour::Steady | Vigour::Passing | Vigour::Unknown | Vigour::Waiting | Vigour::Failing => {
                let template = member.seen.sighting.template.as_ref().map(|release| &release.template);
                let stop = template.map_or_else(|| desired.template.stop.clone(), |template| template.stop.clone());
                Some(on(member, InstanceStep::Stop { id, incarnation, stop }, why))
            }
        }
    }

    fn why_leave(&self, member: &Member<'_>) -> Why {
        match (member.role, self.heading.mode) {
            (Role::Fresh, _) if member.vigour.passes() => Why::ScaleDown,
            (Role::Fresh, _) => Why::Replace,
            (Role::Stale, Mode::Reverting) => Why::Revert,
            (Role::Kept | Role::Stale, _) if member.routed || member.in_flight > 0 => Why::Drained,
            (Role::Kept | Role::Stale, _) => Why::Stale,
        }
    }
}

fn on(member: &Member<'_>, step: InstanceStep, why: Why) -> Step {
    let target = member.seen.target.clone();
    Step { action: StepAction::Target { target, step: TargetStep::Instance(step) }, why }
}

/// The names of a release that nothing has, the lowest ordinals first.
fn free_names(release: &Release, used: &BTreeSet<InstanceId>) -> impl Iterator<Item = InstanceId> {
    let names = (0..).map(|ordinal| InstanceId::new(&release.app, release.revision, Ordinal(ordinal)));
    names.filter(|id| !used.contains(id))
}

/// When the gate of something that passes already will be met.
pub(crate) fn gates(scene: &Scene<'_>, census: &Census<'_>) -> Wake {
    let due = census.members.iter().filter(|member| member.vigour == Vigour::Passing).filter_map(|member| {
        let Health::Passing { since } = &member.seen.health else { return None };
        Some((*since).max(scene.observed.sighted_since).after(scene.desired.policy.min_healthy))
    });
    due.min().map_or(Wake::OnChange, |due: Timestamp| Wake::At(due, WakeReason::Gate))
}
