//! Plans that the planner never makes, and the law that each would break.

use trueup_plan::{audit, plan};
use trueup_types::Plan;
use trueup_types::record::Rollout;
use trueup_types::step::{Step, StepAction, Why};
use trueup_types::time::Stopwatch;

use crate::support::app::Sketch;
use crate::support::model::Model;
use crate::support::story::{next, settle};

/// A canary that stands at its first step.
fn canary() -> Model {
    let mut model = Model::new(Sketch::default());
    model.edit("1×v1 steps 10@30s,50@30s,80@30s");
    settle(&mut model);
    model.edit("1×v2");
    let begun = |model: &Model| matches!(&model.record.rollout, Rollout::Underway { canary, .. } if canary.begun());
    while !begun(&model) {
        advance(&mut model);
    }
    model
}

/// Goes on to the next moment at which something is due.
fn advance(model: &mut Model) {
    let ticked = model.tick(None);
    let due = next(model, &ticked).expect("it is under way");
    model.pass(due);
}

/// What is broken by the plan of this moment, changed.
fn broken(model: &Model, change: impl FnOnce(&mut Plan)) -> Vec<String> {
    let observed = model.look();
    let mut decided = plan(&model.wanted, &observed, &model.permits, &model.record, model.now);
    change(&mut decided);
    let found = audit(&model.record, &model.wanted, &observed, &model.permits, &decided);
    found.iter().map(|one| format!("law {}: {}", one.law, one.detail)).collect()
}

#[test]
fn a_canary_that_leaves_out_a_step_is_refused() {
    let model = canary();
    assert_eq!(broken(&model, |_| {}), Vec::<String>::new());
    let skips = broken(&model, |plan| {
        if let Rollout::Underway { canary, .. } = &mut plan.record.rollout {
            canary.step += 2;
        }
    });
    assert_eq!(skips, ["law 14: the canary would go from step 0 to 2"]);
    let promotes = broken(&model, |plan| {
        if let Rollout::Underway { to, began, .. } = plan.record.rollout.clone() {
            plan.record.rollout = Rollout::Baking { to, began, bake: Stopwatch::started(model.now) };
        }
    });
    assert_eq!(promotes, ["law 14: r2 would be promoted from step 0 of 2"]);
}

#[test]
fn a_canary_that_gets_more_than_its_share_is_refused() {
    let model = canary();
    let exceeds = broken(&model, |plan| {
        let mut share = model.share.clone();
        let backends = share.entries.iter_mut().flat_map(|entry| &mut entry.backends);
        backends.filter(|one| one.instance.revision.0 == 2).for_each(|one| one.weight += 1);
        plan.steps.push(Step { action: StepAction::Route { share }, why: Why::Rollout });
    });
    assert_eq!(exceeds, ["law 14: r2 would get 2 of 11 at a step of 10 %"]);
}

#[test]
fn a_canary_that_gets_less_than_its_share_is_refused() {
    let model = canary();
    let falls = broken(&model, |plan| {
        let mut share = model.share.clone();
        let backends = share.entries.iter_mut().flat_map(|entry| &mut entry.backends);
        backends.filter(|one| one.instance.revision.0 == 1).for_each(|one| one.weight += 1);
        plan.steps.push(Step { action: StepAction::Route { share }, why: Why::Rollout });
    });
    assert_eq!(falls, ["law 14: r2 would get 1 of 11 at a step of 10 %"]);
}

#[test]
fn what_is_watched_without_routes_is_unrouted_though_the_next_has_some() {
    let mut model = Model::new(Sketch::default());
    while !matches!(model.record.rollout, Rollout::Baking { .. }) {
        advance(&mut model);
    }
    // It gives up its routes while the edge cannot be told, and the edit after that has routes again.
    model.edge_dark = true;
    model.edit("1×v1 worker");
    model.tick(None);
    model.sketch.routed = true;
    model.edit("1×v2");
    model.edge_dark = false;
    assert_eq!(broken(&model, |_| {}), Vec::<String>::new());
}
