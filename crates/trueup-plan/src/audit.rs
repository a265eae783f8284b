//! Checks a plan against the laws, by other means than those that made it.
//!
//! Reads the sightings and the steps directly, and shares no code with the pipeline. A violation is a bug: the driver
//! acts on nothing of the plan.

mod owners;
mod steps;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use trueup_types::desired::{DesiredApp, Permits, Wanted};
use trueup_types::observed::{Health, Phase};
use trueup_types::policy::Strategy;
use trueup_types::record::{AppRecord, Outcome, ReleaseNote, Rollout, Stage};
use trueup_types::route::AppRoutes;
use trueup_types::step::{InstanceStep, StepAction, TargetStep};
use trueup_types::{Instance, InstanceId, Observed, Plan, Release, RouteSight, TargetName, Task, Violation};

/// The laws that this plan would break; empty when it may be carried out.
#[must_use]
pub fn audit(
    before: &AppRecord,
    wanted: &Wanted,
    observed: &Observed,
    permits: &Permits,
    plan: &Plan,
) -> Vec<Violation> {
    let observed = &*each_once(observed);
    let scene = Scene { before, wanted, observed, permits, plan, routed: routed(observed) };
    let mut found = Vec::new();
    scene.capacity(&mut found);
    scene.owners(&mut found);
    scene.routing(&mut found);
    scene.departures(&mut found);
    scene.ownership(&mut found);
    scene.releases(&mut found);
    scene.doubt(&mut found);
    scene.memory(&mut found);
    scene.hooks(&mut found);
    scene.steps(&mut found);
    found
}

struct Scene<'a> {
    before: &'a AppRecord,
    wanted: &'a Wanted,
    observed: &'a Observed,
    permits: &'a Permits,
    plan: &'a Plan,
    routed: BTreeSet<InstanceId>,
}

/// The same sight with everything in it once: a listing that shows twice what is there makes it no more.
fn each_once(observed: &Observed) -> Cow<'_, Observed> {
    let mut names = BTreeSet::new();
    if observed.instances.iter().all(|one| names.insert(key(one))) {
        return Cow::Borrowed(observed);
    }
    let mut once = observed.clone();
    let mut names = BTreeSet::new();
    once.instances.retain(|one| names.insert((one.target.clone(), one.sighting.id.clone())));
    Cow::Owned(once)
}

/// Names an instance over all targets.
type Key<'a> = (&'a TargetName, &'a InstanceId);

fn key(one: &Instance) -> Key<'_> {
    (&one.target, &one.sighting.id)
}

fn routed(observed: &Observed) -> BTreeSet<InstanceId> {
    match &observed.routes {
        RouteSight::Seen(seen) => backends(&seen.share),
        RouteSight::Unknown(_) => BTreeSet::new(),
    }
}

fn backends(share: &AppRoutes) -> BTreeSet<InstanceId> {
    let all = share.entries.iter().flat_map(|entry| &entry.backends);
    all.filter(|backend| backend.weight > 0).map(|backend| backend.instance.clone()).collect()
}

fn up(one: &Instance) -> bool {
    match one.sighting.phase {
        Phase::Running { .. } | Phase::Asleep => true,
        Phase::Created | Phase::Starting | Phase::Exited { .. } | Phase::Vanishing { .. } => false,
    }
}

/// Whether nothing of it runs: it ended, or was made and never started.
fn down(one: &Instance) -> bool {
    match one.sighting.phase {
        Phase::Created | Phase::Exited { .. } => true,
        Phase::Starting | Phase::Running { .. } | Phase::Asleep | Phase::Vanishing { .. } => false,
    }
}

/// Whether it answers well; one that its platform put to sleep does when it is asked.
fn passing(one: &Instance) -> bool {
    one.sighting.phase == Phase::Asleep || (up(one) && matches!(one.health, Health::Passing { .. }))
}

impl Scene<'_> {
    fn instance_steps(&self) -> impl Iterator<Item = (&TargetName, &InstanceStep)> {
        self.plan.steps.iter().filter_map(|step| match &step.action {
            StepAction::Target { target, step: TargetStep::Instance(step) } => Some((target, step)),
            StepAction::Route { .. } => None,
        })
    }

    fn route_step(&self) -> Option<&AppRoutes> {
        self.plan.steps.iter().find_map(|step| match &step.action {
            StepAction::Route { share } => Some(share),
            StepAction::Target { .. } => None,
        })
    }

    /// The one of this name on this target: a name says nothing of what bears it elsewhere.
    fn find(&self, (target, id): Key<'_>) -> Option<&Instance> {
        self.observed.instances.iter().chain(&self.observed.tasks).find(|one| key(one) == (target, id))
    }

    /// Whether laws 3 and 4 do not bind: nothing is wanted, or the order is to stop first, or a sole one may be missing.
    fn exempt(&self) -> bool {
        match self.wanted {
            Wanted::Gone { .. } => true,
            Wanted::Held { .. } => false,
            Wanted::Present(desired) => {
                let (replicas, policy) = (desired.replicas(), &desired.policy);
                let surge = policy.max_surge.of_rounded_up(replicas);
                let in_place = replicas == 1 && surge == 0 && policy.max_unavailable.of_rounded_down(1) >= 1;
                replicas == 0 || in_place || policy.strategy == Strategy::Recreate || self.stands_alone(desired)
            }
        }
    }

    /// The release that the app heads for; a rollout that has made nothing yet heads nowhere.
    fn headed_for(&self) -> Option<&Arc<Release>> {
        let record = &self.plan.record;
        match &record.rollout {
            Rollout::Idle | Rollout::Reverting { .. } | Rollout::Underway { stage: Stage::Prepare, .. } => {
                record.current_release()
            }
            Rollout::Underway { to, .. } | Rollout::Baking { to, .. } => record.release(*to),
        }
    }

    /// Whether two of what the app heads for cannot stand side by side.
    fn stands_alone(&self, desired: &DesiredApp) -> bool {
        let wanted = desired.policy.stop_first.is_some();
        let of = |release: &Arc<Release>| {
            let own = release.stop_first.is_some() || !release.template.volumes.is_empty();
            own || (wanted && release.template == *desired.template)
        };
        self.headed_for().map_or(wanted, of)
    }

    /// Whether nobody is to reach the app any more: what is wanted, what is watched, or what it goes back to has no routes.
    fn unrouted_on_purpose(&self, share: &AppRoutes) -> bool {
        let Wanted::Present(desired) = self.wanted else { return false };
        let record = &self.plan.record;
        let pinned = record.pin.as_ref().and_then(|pin| record.release(pin.to));
        let watched = match &record.rollout {
            Rollout::Baking { to, .. } => record.release(*to),
            Rollout::Idle | Rollout::Underway { .. } | Rollout::Reverting { .. } => None,
        };
        let older = [pinned, record.current_release(), watched].into_iter().flatten();
        let wants_none =
            desired.exposure.routes.is_empty() || older.into_iter().any(|one| one.exposure.routes.is_empty());
        share.entries.is_empty() && wants_none
    }

    /// Law 3: no step lowers passing, routed capacity below wanted − maxUnavailable, nor raises the total above
    /// wanted + maxSurge + 1.
    fn capacity(&self, found: &mut Vec<Violation>) {
        let Wanted::Present(desired) = self.wanted else { return };
        let (replicas, policy) = (desired.replicas(), &desired.policy);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let creates = self
            .instance_steps()
            .filter(|(_, step)| matches!(step, InstanceStep::Create { id, .. } if id.task.is_none()));
        let creates = count(creates.count());
        let total = count(self.observed.instances.iter().filter(|one| up(one)).count());
        let most = replicas + policy.max_surge.of_rounded_up(replicas) + 1;
        if creates > 0 && total + creates > most {
            found.push(law(3, format!("{creates} creates beside {total} running exceed {most}")));
        }
        let Some(share) = self.route_step() else { return };
        if self.exempt() || self.unrouted_on_purpose(share) {
            return;
        }
        let serves = |ids: &BTreeSet<InstanceId>| {
            count(self.observed.instances.iter().filter(|one| passing(one) && ids.contains(&one.sighting.id)).count())
        };
        let (before, after) = (serves(&self.routed), serves(&backends(share)));
        let least = replicas.saturating_sub(policy.max_unavailable.of_rounded_down(replicas));
        // What is to have no ways in any more gives up those that it had one by one.
        let exposure = self.headed_for().map_or(&desired.exposure, |release| &release.exposure);
        let to_have_none = exposure.routes.is_empty();
        if after < before && after < least && !to_have_none {
            found.push(law(3, format!("routing goes from {before} passing to {after}, below {least}")));
        }
    }

    /// Law 4: the last passing instance is never unrouted.
    fn routing(&self, found: &mut Vec<Violation>) {
        let Some(share) = self.route_step() else { return };
        if self.exempt() || self.unrouted_on_purpose(share) {
            return;
        }
        let serves = |ids: &BTreeSet<InstanceId>| {
            self.observed.instances.iter().any(|one| passing(one) && ids.contains(&one.sighting.id))
        };
        if serves(&self.routed) && !serves(&backends(share)) {
            found.push(law(4, "the last passing instance would be unrouted".to_owned()));
        }
    }

    /// Laws 4 and 5: nothing routed is stopped or removed, and no passing one before others that pass can stand in.
    fn departures(&self, found: &mut Vec<Violation>) {
        let mut stopped = BTreeSet::new();
        for (target, step) in self.instance_steps() {
            let (id, removes) = match step {
                InstanceStep::Stop { id, .. } => (id, false),
                InstanceStep::Remove { id, .. } => (id, true),
                InstanceStep::Create { .. } | InstanceStep::Start { .. } => continue,
            };
            if self.is_routed((target, id)) {
                found.push(law(5, format!("{id} would go while it is routed")));
            }
            let runs = self.find((target, id)).is_some_and(|one| !down(one));
            if removes && runs {
                found.push(law(5, format!("{id} would be removed while it runs")));
            }
            stopped.insert((target, id));
        }
        let Wanted::Present(desired) = self.wanted else { return };
        if self.exempt() {
            return;
        }
        stopped.retain(|one| self.find(*one).is_some_and(passing));
        let left = self.observed.instances.iter().filter(|one| passing(one) && !stopped.contains(&key(one)));
        let least =
            desired.replicas().saturating_sub(desired.policy.max_unavailable.of_rounded_down(desired.replicas()));
        let left = u32::try_from(left.count()).unwrap_or(u32::MAX);
        if !stopped.is_empty() && left < least && !self.unserving(&stopped) {
            found.push(law(4, format!("{left} passing would be left, below {least}")));
        }
    }

    /// Whether the live table sends anything to an instance. It knows names; where one name is on two targets the address
    /// says which of them is meant.
    fn is_routed(&self, (target, id): Key<'_>) -> bool {
        let twin = self.observed.instances.iter().any(|one| one.sighting.id == *id && one.target != *target);
        let (true, RouteSight::Seen(seen), Some(one)) = (twin, &self.observed.routes, self.find((target, id))) else {
            return self.routed.contains(id);
        };
        let here = |address| one.sighting.addresses.values().any(|one| *one == address);
        let backends = seen.share.entries.iter().flat_map(|entry| &entry.backends);
        backends.filter(|one| one.instance == *id && one.weight > 0).any(|one| one.address.is_none_or(here))
    }

    /// Whether all that go were never promoted: a rollout that is left takes its unrouted instances with it.
    fn unserving(&self, stopped: &BTreeSet<Key<'_>>) -> bool {
        stopped.iter().all(|one| !self.good(*one) && !self.is_routed(*one))
    }

    /// Whether an instance is of the last good release, by its name, its place and its label.
    fn good(&self, (target, id): Key<'_>) -> bool {
        let named = self.before.current == Some(id.revision);
        let is = |good: &Release| {
            let labelled = self.find((target, id)).is_none_or(|one| good.digest == one.sighting.release);
            good.target == *target && labelled
        };
        named && self.before.current_release().is_none_or(|good| is(good))
    }

    /// Law 6: what is touched was seen under our label, or is created under our own name.
    fn ownership(&self, found: &mut Vec<Violation>) {
        for (target, step) in self.instance_steps() {
            let seen = self.find((target, step.id())).is_some();
            match step {
                InstanceStep::Create { id, release, .. } => {
                    let named = id.app == release.app && id.revision == release.revision;
                    if seen || !named {
                        found.push(law(6, format!("{id} would be created over what is there")));
                    }
                }
                InstanceStep::Start { id, .. } | InstanceStep::Stop { id, .. } | InstanceStep::Remove { id, .. } => {
                    if !seen {
                        found.push(law(6, format!("{id} was not seen and would be touched")));
                    }
                }
            }
        }
    }

    /// Law 7: a rejected digest is not created again, and a generation is reverted once.
    fn releases(&self, found: &mut Vec<Violation>) {
        let record = &self.plan.record;
        for (_, step) in self.instance_steps() {
            let InstanceStep::Create { id, release, .. } = step else { continue };
            let undoes = id.task == Some(Task::OnRevert);
            if record.rejected.contains_key(&(release.digest, release.target.clone())) && !undoes {
                found.push(law(7, format!("{id} is of a rejected digest")));
            }
        }
        let was = matches!(self.before.rollout, Rollout::Reverting { .. });
        let is = matches!(record.rollout, Rollout::Reverting { .. });
        if is && !was && self.before.reverted_generation == Some(record.generation) {
            found.push(law(7, format!("{} would be reverted twice", record.generation)));
        }
        if is && !was && record.current.is_none() {
            found.push(law(7, "a revert to nothing that was ever good".to_owned()));
        }
    }

    /// Law 9: while anything is in doubt nothing is destroyed.
    fn doubt(&self, found: &mut Vec<Violation>) {
        let held = matches!(self.wanted, Wanted::Held { .. });
        if held && !self.plan.steps.is_empty() {
            found.push(law(9, "steps are taken though nobody knows what is wanted".to_owned()));
        }
        if self.permits.destroy.is_ok() {
            return;
        }
        for (_, step) in self.instance_steps() {
            match step {
                InstanceStep::Stop { id, .. } | InstanceStep::Remove { id, .. } => {
                    found.push(law(9, format!("{id} would go though nothing may be destroyed")));
                }
                InstanceStep::Create { .. } | InstanceStep::Start { .. } => {}
            }
        }
    }

    /// Law 13: a hook is run once, and nothing of a new release is created before its `preDeploy` hooks have ended well.
    fn hooks(&self, found: &mut Vec<Violation>) {
        let record = &self.plan.record;
        for (_, step) in self.instance_steps() {
            let (InstanceStep::Create { id, .. } | InstanceStep::Start { id, .. }) = step else { continue };
            let there = self.observed.tasks.iter().filter(|one| one.sighting.id == *id);
            let ran = there.into_iter().any(|one| one.sighting.phase != Phase::Created);
            if id.task.is_some() && (ran || record.hooks.get(id).is_some_and(|run| run.ended.is_some())) {
                found.push(law(13, format!("{id} would be run a second time")));
            }
            let InstanceStep::Create { release, .. } = step else { continue };
            let live = |note: &ReleaseNote| note.revision == id.revision && note.outcome == Some(Outcome::Live);
            let proven = record.current == Some(id.revision) || record.history.iter().any(live);
            let again = record.history.iter().any(|note| note.revision == id.revision && note.again.is_some());
            if id.task.is_some() || proven || again {
                continue;
            }
            let well = |task: &InstanceId| {
                let end = record.hooks.get(task).and_then(|run| run.ended.as_ref());
                end.is_some_and(|end| end.failure.is_none())
            };
            if let Some((task, _)) = release.tasks(Task::PreDeploy).find(|(task, _)| !well(task)) {
                found.push(law(13, format!("{id} would be created before {task} has ended well")));
            }
        }
    }

    /// Law 10: generation, revision and the last good release never go back.
    fn memory(&self, found: &mut Vec<Violation>) {
        let record = &self.plan.record;
        if record.generation < self.before.generation || record.highest < self.before.highest {
            found.push(law(10, "generation or revision would go back".to_owned()));
        }
        if self.before.current.is_some() && record.current.is_none() {
            found.push(law(10, "the last good release would be forgotten".to_owned()));
        }
    }
}

fn law(law: u8, detail: String) -> Violation {
    Violation { law, detail }
}
