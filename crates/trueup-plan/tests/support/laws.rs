//! Watches the small world for broken laws, by means of its own: what truly is, before each step lands.
//!
//! Shares nothing with the planner's `audit`, and remembers by itself what was good, what was rejected, and when each
//! instance left the table.

use std::collections::{BTreeMap, BTreeSet};

use trueup_types::desired::{DesiredApp, Permits, Wanted};
use trueup_types::observed::{ExitWhy, RouteSight};
use trueup_types::policy::Strategy;
use trueup_types::record::{AppRecord, Rollout};
use trueup_types::route::AppRoutes;
use trueup_types::step::{InstanceStep, Step, StepAction, TargetStep};
use trueup_types::{
    Generation, InstanceId, Observed, Plan, Release, ReleaseDigest, Revision, TargetName, Task, Timestamp,
};

use super::being::{Being, Life};
use super::model::Model;

/// What was seen of the laws so far.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    pub broken: Vec<String>,
    good: BTreeSet<Revision>,
    rejected: BTreeSet<(ReleaseDigest, TargetName)>,
    reverted: BTreeSet<Generation>,
    unrouted: BTreeMap<InstanceId, Timestamp>,
    hooks_begun: BTreeSet<InstanceId>,
}

impl Watch {
    /// Notes a broken law.
    pub fn note(&mut self, what: String) {
        self.broken.push(what);
    }

    /// A person's word: what was rejected may be tried again, and reverted once more.
    pub fn person_spoke(&mut self) {
        self.rejected.clear();
        self.reverted.clear();
    }

    /// The store is lost: what was rejected may be found bad once more.
    pub fn memory_is_lost(&mut self, current: Option<Revision>) {
        self.rejected.clear();
        self.reverted.clear();
        self.good = current.into_iter().collect();
    }

    /// Somebody else took it away: what ran a hook may be made again, where nobody had seen it yet.
    pub fn vanished(&mut self, id: &InstanceId) {
        self.hooks_begun.remove(id);
    }

    /// Watches a decision: memory never goes back, reverts go to what was good and once a generation.
    pub fn plan(
        &mut self,
        before: &AppRecord,
        observed: &Observed,
        plan: &Plan,
        wanted: &Wanted,
        permits: &Permits,
        now: Timestamp,
    ) {
        let after = &plan.record;
        if after.generation < before.generation || after.highest < before.highest {
            self.note("law 10: generation or revision goes back".to_owned());
        }
        if before.current.is_some() && after.current.is_none() {
            self.note("law 10: the last good release is forgotten".to_owned());
        }
        let begins = |record: &AppRecord| matches!(record.rollout, Rollout::Reverting { .. });
        if begins(after) && !begins(before) {
            if !after.current.is_some_and(|good| self.good.contains(&good)) {
                self.note(format!("law 7: a revert to {:?}, which was never good", after.current));
            }
            if !self.reverted.insert(after.generation) {
                self.note(format!("law 7: {} is reverted twice", after.generation));
            }
        }
        self.good.extend(after.current);
        self.rejected.extend(after.rejected.keys().cloned());
        let known: Vec<_> = after.rejected.keys().cloned().collect();
        self.rejected.retain(|key| known.contains(key));
        if let RouteSight::Seen(seen) = &observed.routes {
            for one in &observed.instances {
                if seen.share.routes_to(&one.sighting.id) {
                    self.unrouted.remove(&one.sighting.id);
                } else {
                    self.unrouted.entry(one.sighting.id.clone()).or_insert(now);
                }
            }
        }
        let mute = matches!(wanted, Wanted::Held { .. });
        if mute && !plan.steps.is_empty() {
            self.note("law 9: something is done though nobody knows what is wanted".to_owned());
        }
        let _ = permits;
    }

    /// Watches a step before it lands.
    pub fn step(&mut self, model: &Model, step: &Step) {
        match &step.action {
            StepAction::Route { share } => self.route(model, share),
            StepAction::Target { target, step: TargetStep::Instance(step) } => match step {
                InstanceStep::Create { .. } => self.create(model, step),
                InstanceStep::Start { id, .. } => {
                    if !model.beings.contains_key(&(target.clone(), id.clone())) {
                        self.note(format!("law 6: {id} is started and is not there"));
                    }
                    if id.task.is_some() {
                        self.begin_hook(id);
                    }
                    self.total(model, id);
                }
                InstanceStep::Stop { id, .. } | InstanceStep::Remove { id, .. } => self.leave(model, target, id, step),
            },
        }
    }

    fn route(&mut self, model: &Model, share: &AppRoutes) {
        let serving = |share: &AppRoutes| {
            model.beings.iter().filter(|((_, id), being)| share.routes_to(id) && model.passes(being)).count()
        };
        let (before, after) = (serving(&model.share), serving(share));
        if model.permits.destroy.is_err() && after < before {
            self.note(format!("law 9: routes are taken away though nothing may be: {before} to {after}"));
        }
        let Some(desired) = binding(model) else { return };
        let least = usize::try_from(least(&desired)).expect("a small number");
        if after < before && after < least {
            self.note(format!("law 3: routing goes from {before} passing to {after}, below {least}"));
        }
        if before > 0 && after == 0 {
            self.note("law 4: the last passing one is unrouted".to_owned());
        }
    }

    fn create(&mut self, model: &Model, step: &InstanceStep) {
        let InstanceStep::Create { id, release, .. } = step else { return };
        if id.revision != release.revision || id.app != release.app {
            self.note(format!("law 6: {id} is not a name of {}", release.revision));
        }
        let undoes = id.task == Some(Task::OnRevert);
        if self.rejected.contains(&(release.digest, release.target.clone())) && !undoes {
            self.note(format!("law 7: {id} is of a rejected digest"));
        }
        if model.permits.create.is_err() {
            self.note(format!("permit: {id} is created though nothing may be"));
        }
        let Some(desired) = model.desired() else {
            return self.note(format!("law 7: {id} is created for an app that is gone"));
        };
        let wanted = desired.release_digest(model.record.restarts);
        let baking = matches!(model.record.rollout, Rollout::Baking { to, .. } if to == id.revision);
        let pinned = model.record.pin.is_some();
        if !(baking || pinned || undoes || release.digest == wanted || self.good.contains(&release.revision)) {
            self.note(format!("law 7: {id} is of a superseded generation"));
        }
        let there = model.beings.keys().any(|(_, other)| other == id);
        if id.task.is_some() && !there {
            self.begin_hook(id);
        }
        if id.task.is_none() && !pinned && !self.good.contains(&release.revision) {
            self.prepared(model, id, release);
        }
        self.total(model, id);
    }

    /// What was refused was not begun.
    pub fn refused(&mut self, id: &InstanceId) {
        self.hooks_begun.remove(id);
    }

    /// Law 13: a hook is run once.
    fn begin_hook(&mut self, id: &InstanceId) {
        if !self.hooks_begun.insert(id.clone()) {
            self.note(format!("law 13: {id} is run a second time"));
        }
    }

    /// Law 13: nothing of a release is created before its `preDeploy` hooks have ended well.
    fn prepared(&mut self, model: &Model, id: &InstanceId, release: &Release) {
        let well = |being: &Being| matches!(being.state, Life::Down { code: Some(0), why: ExitWhy::ByItself, .. });
        for (task, _) in release.tasks(Task::PreDeploy) {
            if !model.beings.iter().any(|((_, other), being)| *other == task && well(being)) {
                self.note(format!("law 13: {id} is created before {task} has ended well"));
            }
        }
    }

    /// Law 3: how many run, with one more.
    fn total(&mut self, model: &Model, id: &InstanceId) {
        if id.task.is_some() {
            return;
        }
        let Some(desired) = model.desired() else { return };
        let surge = desired.policy.max_surge.of_rounded_up(desired.replicas());
        let most = usize::try_from(desired.replicas() + surge + 1).expect("a small number");
        let total = model.beings.values().filter(|being| being.hook.is_none() && runs(being)).count() + 1;
        if total > most {
            self.note(format!("law 3: {id} would be the {total}th to run, most is {most}"));
        }
    }

    fn leave(&mut self, model: &Model, target: &TargetName, id: &InstanceId, step: &InstanceStep) {
        let verb = step.verb();
        let Some(being) = model.beings.get(&(target.clone(), id.clone())) else {
            return self.note(format!("law 6: {verb} {id}, which is not there"));
        };
        if model.permits.destroy.is_err() {
            self.note(format!("law 9: {verb} {id} though nothing may be destroyed"));
        }
        if model.share.lists(id) {
            self.note(format!("law 5: {verb} {id} while it is in the table"));
        }
        let since = self.unrouted.get(id).copied().unwrap_or(model.now);
        let drain = model.desired().map_or(std::time::Duration::ZERO, |desired| desired.policy.drain);
        if model.in_flight.get(id).is_some_and(|count| *count > 0) && model.now.since(since) < drain {
            self.note(format!("law 5: {verb} {id} before its drain has ended"));
        }
        if matches!(model.wanted, Wanted::Gone { .. }) {
            // An app that comes back after it was gone begins anew.
            self.hooks_begun.remove(id);
        }
        let Some(desired) = binding(model) else { return };
        if desired.exposure.routes.is_empty() && model.passes(being) {
            let all = model.beings.values().filter(|being| model.passes(being)).count();
            let least = usize::try_from(least(&desired)).expect("a small number");
            let proven = model.record.current.map_or_else(|| model.steady(being), |_| of_good(model, being));
            if all <= least && proven {
                self.note(format!("law 3: {verb} {id} leaves {} passing, below {least}", all - 1));
            }
        }
        if model.passes(being) && !others_pass(model, id) && of_good(model, being) {
            self.note(format!("law 4: {verb} {id}, the last good one that passes"));
        }
    }
}

fn runs(being: &Being) -> bool {
    match being.state {
        Life::Up { .. } | Life::Going { .. } => true,
        Life::Made | Life::Down { .. } => false,
    }
}

fn others_pass(model: &Model, id: &InstanceId) -> bool {
    model.beings.iter().any(|((_, other), being)| other != id && model.passes(being))
}

fn of_good(model: &Model, being: &Being) -> bool {
    model.record.current_release().is_some_and(|good| good.digest == being.release.digest)
}

fn least(desired: &DesiredApp) -> u32 {
    let replicas = desired.replicas();
    replicas.saturating_sub(desired.policy.max_unavailable.of_rounded_down(replicas))
}

/// The app, where the laws of capacity bind.
fn binding(model: &Model) -> Option<std::sync::Arc<DesiredApp>> {
    let desired = model.desired()?;
    let policy = &desired.policy;
    let (most, surge) = (policy.max_unavailable.of_rounded_down(1), policy.max_surge.of_rounded_up(1));
    let sole = desired.replicas() == 1 && most > 0 && surge == 0;
    let exempt =
        sole || desired.replicas() == 0 || policy.strategy == Strategy::Recreate || policy.stop_first.is_some();
    (!exempt).then_some(desired)
}
