//! The laws, judged by what truly is at the moment a step lands, and by a memory of our own.
//!
//! Shares nothing with the planner or its `audit`. Who acts on an old look is judged by what it could believe: that those
//! pass which passed when they were looked at, and no others.

mod hooks;

use trueup_plan::audit;
use trueup_types::observed::{Health, Phase, RouteSight};
use trueup_types::record::Rollout;
use trueup_types::step::{InstanceStep, StepAction, TargetStep};
use trueup_types::{AppRoutes, Step};

use super::state::{Being, Doing, State, Wish};
use super::tick::{Decided, Notes, Sight};
use super::world::{DRAIN, World};

/// Judges a decision before any of it is carried out: the laws that it breaks.
pub fn decision(world: &World, state: &State, decided: &Decided) -> Vec<String> {
    let mut broken = Vec::new();
    let Decided { wanted, observed, permits, before, plan, .. } = decided;
    let refused = audit(before, wanted, observed, permits, plan);
    broken.extend(refused.iter().map(|why| format!("the audit refuses the plan: {why}")));
    let after = &plan.record;
    if after.generation < before.generation || after.highest < before.highest {
        broken.push("law 10: generation or revision goes back".to_owned());
    }
    if before.current.is_some() && after.current.is_none() {
        broken.push("law 10: the last good release is forgotten".to_owned());
    }
    if before.rejected.keys().any(|key| !after.rejected.contains_key(key)) {
        broken.push("law 10: a rejection is forgotten".to_owned());
    }
    let reverts = |rollout: &Rollout| matches!(rollout, Rollout::Reverting { .. });
    if reverts(&after.rollout) && !reverts(&before.rollout) {
        let fresh_wish = state.ghost.seen != seen(state);
        if state.ghost.reverted && !fresh_wish {
            broken.push("law 7: reverted twice for one wish".to_owned());
        }
        let good = after.current_release().map(|release| world.version(release.digest));
        if !good.is_some_and(|version| state.ghost.good & (1 << version) != 0 || decided.adopted) {
            broken.push("law 7: a revert to what was never good".to_owned());
        }
    }
    promoted(world, decided, &mut broken);
    blamed(world, state, decided, &mut broken);
    traffic(world, state, decided, &mut broken);
    broken
}

/// A bad release is never promoted.
fn promoted(world: &World, decided: &Decided, broken: &mut Vec<String>) {
    let (before, after) = (&decided.before, &decided.plan.record);
    if before.current == after.current {
        return;
    }
    if let Some(release) = after.current_release() {
        let version = world.version(release.digest);
        if !world.is_good(version) {
            let kind = world.kind(version);
            broken.push(format!("{} is promoted, though it is bad (its instances are {kind:?})", release.revision));
        }
    }
}

/// A good release is rejected only for what was its own fault.
fn blamed(world: &World, state: &State, decided: &Decided, broken: &mut Vec<String>) {
    let (before, after) = (&decided.before, &decided.plan.record);
    for ((digest, _), rejection) in after.rejected.iter().filter(|(key, _)| !before.rejected.contains_key(*key)) {
        let version = world.version(*digest);
        if world.is_good(version) && state.ghost.excused & (1 << version) == 0 {
            let cause = trueup_plan::sentence(&rejection.evidence);
            broken.push(format!("{} is good, and is rejected: {cause}", rejection.revision));
        }
    }
}

/// A daemon that has nothing to do leaves no passing instance of the good release without traffic where nothing serves.
fn traffic(world: &World, state: &State, decided: &Decided, broken: &mut Vec<String>) {
    let Decided { plan, permits, .. } = decided;
    let RouteSight::Seen(_) = decided.observed.routes else { return };
    let idle = decided.is_idle() && decided.sight == Sight::Fresh;
    let Wish::Present { .. } = state.wish else { return };
    if !idle || state.doubt || state.blind || !world.shape.routed || permits.destroy.is_err() {
        return;
    }
    if state.replicas(world) == 0 || plan.record.suspended.is_some() || world.alone() {
        return;
    }
    let good = plan.record.current_release();
    let served = state.serving().any(|being| being.passes() && state.share.routes_to(&being.id));
    let spare = state.serving().find(|being| {
        let ours = good.is_some_and(|good| good.revision == being.id.revision && good.digest == being.release.digest);
        being.passes() && ours
    });
    if let (false, Some(spare)) = (served, spare) {
        broken.push(format!("law 4: {} passes, nothing serves, and nothing is done", spare.id));
    }
}

fn seen(state: &State) -> Option<(u8, u8)> {
    match state.wish {
        Wish::Present { version, size } => Some((version, size)),
        Wish::Gone => None,
    }
}

/// Takes a decision into our own memory.
pub fn remember(world: &World, state: &mut State, decided: &Decided) {
    let (before, after) = (&decided.before, &decided.plan.record);
    let wish = seen(state);
    let ghost = &mut state.ghost;
    if wish.is_some() && !state.doubt && ghost.seen != wish {
        ghost.seen = wish;
        ghost.reverted = false;
    }
    if let Some(release) = after.current_release() {
        ghost.good |= 1 << world.version(release.digest);
    }
    for (digest, _) in after.rejected.keys() {
        ghost.rejected |= 1 << world.number(*digest);
    }
    let reverts = |rollout: &Rollout| matches!(rollout, Rollout::Reverting { .. });
    ghost.reverted |= reverts(&after.rollout) && !reverts(&before.rollout);
}

/// Judges a step before it lands.
pub fn step(world: &World, state: &State, decided: &Decided, step: &Step, notes: &mut Notes) {
    let judge = Judge { world, state, decided };
    let found = match &step.action {
        StepAction::Route { share } => judge.route(share),
        StepAction::Target { step: TargetStep::Instance(step), .. } if step.id().task.is_some() => judge.hook(step),
        StepAction::Target { step: TargetStep::Instance(step), .. } => match step {
            InstanceStep::Create { .. } => judge.create(step),
            InstanceStep::Start { .. } => judge.start(step),
            InstanceStep::Stop { .. } | InstanceStep::Remove { .. } => judge.leave(step),
        },
    };
    notes.broken.extend(found);
}

struct Judge<'a> {
    world: &'a World,
    state: &'a State,
    decided: &'a Decided,
}

impl Judge<'_> {
    fn fresh(&self) -> bool {
        self.decided.sight == Sight::Fresh
    }

    /// Whether the look showed an instance passing.
    fn seen(&self, being: &Being) -> bool {
        self.decided.observed.instances.iter().any(|one| {
            let up = matches!(one.sighting.phase, Phase::Running { .. });
            one.sighting.id == being.id && up && matches!(one.health, Health::Passing { .. })
        })
    }

    /// Whether who acts may believe that an instance passes: before the first probe it knows nothing worse of any.
    fn believed(&self, being: &Being) -> bool {
        being.passes() || (self.state.blind && being.up())
    }

    /// How many of those that an old look showed passing a table routes to, whether they are there still or not.
    fn promised(&self, share: &AppRoutes) -> u32 {
        let seen = self.decided.observed.instances.iter().filter(|one| {
            let up = matches!(one.sighting.phase, Phase::Running { .. });
            up && matches!(one.health, Health::Passing { .. }) && share.routes_to(&one.sighting.id)
        });
        u32::try_from(seen.count()).expect("few")
    }

    /// Whether an instance is of the last good release.
    fn good(&self, being: &Being) -> bool {
        let good = self.decided.plan.record.current_release();
        good.is_some_and(|good| good.revision == being.id.revision && good.digest == being.release.digest)
    }

    fn binding(&self) -> Option<u32> {
        let Wish::Present { .. } = self.state.wish else { return None };
        let replicas = self.state.replicas(self.world);
        let sole = replicas == 1 && self.world.shape.surge == 0 && self.world.shape.unavailable > 0;
        (replicas > 0 && !self.world.alone() && !sole).then(|| self.world.least(replicas))
    }

    fn route(&self, share: &AppRoutes) -> Vec<String> {
        let mut broken = Vec::new();
        let state = self.state;
        let served = |share: &AppRoutes, passes: &dyn Fn(&Being) -> bool| {
            let serving = state.beings.iter().filter(|being| share.routes_to(&being.id) && passes(being));
            u32::try_from(serving.count()).expect("few")
        };
        let (before, after) = if self.fresh() {
            (served(&state.share, &Being::passes), served(share, &|being| self.believed(being)))
        } else {
            // Who acts on an old look takes away only from what it saw.
            let table = match &self.decided.observed.routes {
                RouteSight::Seen(seen) => &seen.share,
                RouteSight::Unknown(_) => &*state.share,
            };
            (self.promised(table), self.promised(share))
        };
        if self.decided.permits.destroy.is_err() && after < before {
            broken.push(format!("law 9: routes are taken away though nothing may be: {before} to {after}"));
        }
        for backend in share.entries.iter().flat_map(|entry| &entry.backends).filter(|_| self.fresh()) {
            let there = state.find(&backend.instance).map(|at| state.beings[at].address());
            if there.is_none() || there != backend.address {
                broken.push(format!("{} does not answer where the table says", backend.instance));
            }
        }
        let Some(least) = self.binding() else { return broken };
        if after < before && after < least {
            broken.push(format!("law 3: routing goes from {before} passing to {after}, below {least}"));
        }
        if before > 0 && after == 0 {
            broken.push("law 4: the last passing one is unrouted".to_owned());
        }
        // Where none passes, one that is only thought to fail may still answer.
        let fails = |being: &Being| matches!(being.doing, Doing::Sick { .. });
        let proven = self.decided.plan.record.current.is_some();
        if self.fresh() && proven && served(&state.share, &fails) > 0 && served(share, &Being::up) == 0 {
            broken.push("law 4: nobody passes, and all that run are unrouted".to_owned());
        }
        broken
    }

    fn create(&self, step: &InstanceStep) -> Vec<String> {
        let InstanceStep::Create { id, release, .. } = step else { return Vec::new() };
        let mut broken = self.total(id);
        broken.extend(self.unprepared(id, release));
        let (state, record) = (self.state, &self.decided.plan.record);
        let version = self.world.version(release.digest);
        if id.revision != release.revision || id.app != release.app {
            broken.push(format!("law 6: {id} is not a name of {}", release.revision));
        }
        if self.fresh() && state.find(id).is_some() {
            broken.push(format!("law 6: {id} is created over what is there"));
        }
        if state.ghost.rejected & (1 << self.world.number(release.digest)) != 0 {
            broken.push(format!("law 7: {id} is of a rejected digest"));
        }
        let Wish::Present { version: wanted, .. } = state.wish else {
            broken.push(format!("law 7: {id} is created for an app that is gone"));
            return broken;
        };
        let baking = matches!(record.rollout, Rollout::Baking { to, .. } if to == id.revision);
        let good = state.ghost.good & (1 << version) != 0;
        if !(baking || good || wanted == version || record.pin.is_some()) {
            broken.push(format!("law 7: {id} is of a superseded generation"));
        }
        broken
    }

    fn start(&self, step: &InstanceStep) -> Vec<String> {
        let mut broken = Vec::new();
        if self.fresh() && self.state.find(step.id()).is_none() {
            broken.push(format!("law 6: {} is started and is not there", step.id()));
        }
        if self.state.find(step.id()).is_some_and(|at| !self.state.beings[at].runs()) {
            broken.extend(self.total(step.id()));
        }
        broken
    }

    /// Law 3: how many run, with one more.
    fn total(&self, id: &trueup_types::InstanceId) -> Vec<String> {
        let Wish::Present { .. } = self.state.wish else { return Vec::new() };
        if !self.fresh() {
            return Vec::new();
        }
        let surge = if self.world.alone() { 0 } else { self.world.shape.surge.max(1) };
        let most = self.state.replicas(self.world) + surge;
        let total = u32::try_from(self.state.serving().filter(|being| being.runs()).count()).expect("few") + 1;
        if total > most {
            vec![format!("law 3: {id} would be the {total}th to run, most is {most}")]
        } else {
            Vec::new()
        }
    }

    fn leave(&self, step: &InstanceStep) -> Vec<String> {
        let (verb, id, state) = (step.verb(), step.id(), self.state);
        let Some(being) = state.find(id).map(|at| &state.beings[at]) else {
            return if self.fresh() { vec![format!("law 6: {verb} {id}, which is not there")] } else { Vec::new() };
        };
        let meant = match step {
            InstanceStep::Stop { incarnation, .. } | InstanceStep::Remove { incarnation, .. } => incarnation,
            InstanceStep::Create { .. } | InstanceStep::Start { .. } => return Vec::new(),
        };
        if *meant != being.incarnation {
            // Another life is meant than the one that is there: nothing will happen.
            return if self.fresh() { vec![format!("{verb} {id} means a life that is over")] } else { Vec::new() };
        }
        let mut broken = Vec::new();
        if self.decided.permits.destroy.is_err() {
            broken.push(format!("law 9: {verb} {id} though nothing may be destroyed"));
        }
        let old_routes = self.decided.sight == Sight::Old;
        if state.share.lists(id) && !old_routes {
            broken.push(format!("law 5: {verb} {id} while it is in the table"));
        }
        if being.busy && being.doing != Doing::Going && state.now.since(being.unrouted) < DRAIN && !old_routes {
            broken.push(format!("law 5: {verb} {id} before its drain has ended"));
        }
        broken.extend(self.stands_in(verb, being));
        broken
    }

    /// Laws 3 and 4: what passes goes only where enough others do.
    fn stands_in(&self, verb: &str, being: &Being) -> Option<String> {
        let least = self.binding()?;
        let passes = if self.fresh() { being.passes() } else { self.seen(being) };
        if !passes {
            return None;
        }
        let others = if self.fresh() {
            self.state.serving().filter(|other| other.id != being.id && self.believed(other)).count()
        } else {
            let seen = self.decided.observed.instances.iter().filter(|one| one.sighting.id != being.id);
            seen.filter(|one| matches!(one.health, Health::Passing { .. })).count()
        };
        let others = u32::try_from(others).expect("few");
        let good = self.good(being);
        if good && others == 0 {
            return Some(format!("law 4: {verb} {}, the last good one that passes", being.id));
        }
        let proven = good || self.decided.plan.record.current.is_none();
        let short = !self.world.shape.routed && proven && others < least;
        short.then(|| format!("law 3: {verb} {} leaves {others} passing, below {least}", being.id))
    }
}
