//! Tells targets how a rollout stands, and which releases of an app may be needed again: once a release is forgotten, and
//! once something of the app is gone from there, since a target can let nothing go that an instance is still made of.

use std::collections::BTreeSet;
use std::sync::Arc;

use trueup_seams::Watch;
use trueup_types::desired::Wanted;
use trueup_types::record::Rollout;
use trueup_types::step::{InstanceStep, StepAction, StepOutcome, StepResult, TargetStep};
use trueup_types::{AppName, AppRecord, Release, Revision, TargetName};

use crate::engine::Engine;

/// Tells all targets of an app, where its record has forgotten a release.
pub(crate) async fn tell_if_fewer(engine: &Engine, app: &AppName, before: &BTreeSet<Revision>, record: &AppRecord) {
    let forgotten = before.iter().any(|revision| !record.releases.contains_key(revision));
    if forgotten {
        tell_these(engine, app, record, record.homes.iter().collect()).await;
    }
}

/// Tells the targets that something was removed from.
pub(crate) async fn tell(engine: &Engine, app: &AppName, record: &AppRecord, outcomes: &[StepResult]) {
    let left = outcomes.iter().filter_map(|result| match (&result.step.action, &result.outcome) {
        (StepAction::Target { target, step: TargetStep::Instance(InstanceStep::Remove { .. }) }, StepOutcome::Done) => {
            Some(target)
        }
        (StepAction::Target { .. } | StepAction::Route { .. }, _) => None,
    });
    tell_these(engine, app, record, left.collect()).await;
}

/// Tells all targets of an app how its rollout stands, and the one where it is wanted under which names: those that are
/// in force too, until what is wanted has taken over.
pub(crate) fn stand(engine: &Engine, app: &AppName, record: &AppRecord, wanted: &Wanted) {
    let watch = match &record.rollout {
        Rollout::Underway { to, .. } => Watch::Coming(*to),
        Rollout::Baking { to, .. } => Watch::Baking(*to),
        Rollout::Idle | Rollout::Reverting { .. } => Watch::Nobody,
    };
    for target in record.homes.iter().filter_map(|home| engine.target(home)) {
        target.runtime.watch(app, watch);
    }
    let Wanted::Present(desired) = wanted else { return };
    if let Some(target) = engine.target(&desired.placement.target) {
        let in_force = record.current_release().filter(|current| current.target == desired.placement.target);
        let in_force = in_force.into_iter().flat_map(|release| &release.exposure.routes);
        let names: Vec<_> = desired.exposure.routes.iter().chain(in_force).cloned().collect();
        target.runtime.names(app, &names);
    }
}

async fn tell_these(engine: &Engine, app: &AppName, record: &AppRecord, targets: BTreeSet<&TargetName>) {
    if targets.is_empty() {
        return;
    }
    let kept: Vec<Arc<Release>> = record.releases.values().cloned().collect();
    for target in targets {
        if let Some(target) = engine.target(target) {
            target.runtime.keep(app, &kept).await;
        }
    }
}
