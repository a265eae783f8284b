//! What would be done: the planner's own answer on a copy of what is remembered, with nothing carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{conditions, images, routing};
use trueup_seams::{AppPreview, Asking, Change, ControlError, Ingress, Memory, Runtime};
use trueup_types::desired::{DesiredApp, Permits, Wanted};
use trueup_types::record::{AppRecord, Rollout};
use trueup_types::step::{InstanceStep, StepAction, TargetStep};
use trueup_types::verdict::State;
use trueup_types::{
    AppName, AppRoutes, Health, Instance, Observed, Plan, RouteSeen, RouteSight, TargetName, Timestamp,
};

/// What one plan would do, with what its image turns out to be where `runtime` knows.
pub(crate) async fn looked_up(
    runtime: Option<&dyn Runtime>,
    before: Option<&DesiredApp>,
    after: Option<DesiredApp>,
    scene: (&AppName, &Observed, &AppRecord),
    now: Timestamp,
) -> AppPreview {
    let (app, observed, record) = scene;
    let (Some(runtime), Some(written)) = (runtime, after.as_ref()) else {
        return of(app, before, after.as_ref(), observed, record, now);
    };
    let meant = images::meant(runtime, &Arc::new(written.clone()), record, Asking::ToShow).await;
    let mut preview = of(app, before, Some(&meant.desired), observed, record, now);
    preview.notes.extend(meant.told);
    if matches!(preview.change, Change::Create | Change::Roll)
        && let Some(image) = &written.template.image
    {
        match runtime.resolve(image).await {
            Ok(digest) => preview.digest = digest,
            Err(why) => preview.notes.push(format!("what {image} is cannot be told: {why}")),
        }
    }
    preview.after = after;
    preview
}

/// What one plan would do; `before` is what is in force.
#[must_use]
pub fn of(
    app: &AppName,
    before: Option<&DesiredApp>,
    after: Option<&DesiredApp>,
    observed: &Observed,
    record: &AppRecord,
    now: Timestamp,
) -> AppPreview {
    let wanted = after.map_or(Wanted::Gone { cause: trueup_types::Cause::Removed, prune: record.prune }, |after| {
        Wanted::Present(std::sync::Arc::new(after.clone()))
    });
    let plan = trueup_plan::plan(&wanted, observed, &Permits::all(), record, now);
    let counts = count(&plan);
    let change = change(before, after, record, &plan);
    let old = observed.instances.len();
    let rolls = change == Change::Roll;
    let wanted_count = after.map_or(0, DesiredApp::replicas);
    AppPreview {
        app: app.clone(),
        change,
        before: before.cloned(),
        after: after.cloned(),
        digest: None,
        create: match change {
            Change::Roll => wanted_count.saturating_sub(count_of(old)),
            Change::Create => wanted_count,
            Change::None | Change::Adjust | Change::Repair | Change::Remove => {
                counts.get("create").copied().unwrap_or(0)
            }
        },
        replace: if rolls { wanted_count.min(count_of(old)) } else { 0 },
        restart: counts.get("start").copied().unwrap_or(0),
        remove: if after.is_none() { count_of(old) } else { leaving(&plan, rolls) },
        downtime: after.filter(|_| rolls && old > 0).and_then(downtime),
        notes: notes(&plan).into_iter().chain(after.filter(|_| rolls).and_then(by_count)).collect(),
        steps: plan.steps.iter().map(ToString::to_string).collect(),
    }
}

/// A target as one looks at it who does nothing: with its own ingress, where it has one.
pub struct Looked {
    /// What is there.
    pub runtime: Arc<dyn Runtime>,
    /// Who routes to it.
    pub ingress: Option<Arc<dyn Ingress>>,
}

/// What would be done where no daemon runs: each target is looked at once, and nothing is judged by probes.
///
/// # Errors
/// When a target cannot be seen.
pub async fn alone(
    memory: &Memory,
    targets: &BTreeMap<TargetName, Looked>,
    ingress: Option<&dyn Ingress>,
    wanted: Vec<DesiredApp>,
    now: Timestamp,
) -> Result<Vec<AppPreview>, ControlError> {
    let mut seen: BTreeMap<AppName, Vec<Instance>> = BTreeMap::new();
    for (target, looked) in targets {
        for (place, sight) in looked.runtime.survey().await {
            let sight = sight.map_err(|why| ControlError::Failed(format!("{target}, {place}: {why}")))?;
            for sighting in sight.instances {
                let app = sighting.id.app.clone();
                let one = Instance { sighting, target: target.clone(), health: Health::Unknown };
                seen.entry(app).or_default().push(one);
            }
        }
    }
    let mut routed: BTreeMap<AppName, RouteSight> = BTreeMap::new();
    let own = targets.values().filter_map(|looked| looked.ingress.as_deref());
    for ingress in ingress.into_iter().chain(own) {
        let Ok(sight) = ingress.observe().await else { continue };
        for share in sight.table.apps {
            let (app, share) = (share.app.clone(), AppRoutes::clone(&share));
            let seen = RouteSight::Seen(RouteSeen { share, in_flight: BTreeMap::new() });
            let before = routed.remove(&app);
            routed.insert(app, before.map_or(seen.clone(), |before| routing::together(before, seen)));
        }
    }
    let mut after: BTreeMap<_, _> = wanted.into_iter().map(|app| (app.name.clone(), app)).collect();
    let mut names: BTreeSet<_> = after.keys().chain(seen.keys()).chain(memory.apps.keys()).cloned().collect();
    let mut previews = Vec::new();
    while let Some(name) = names.pop_first() {
        let instances = seen.remove(&name).unwrap_or_default();
        let record = memory.apps.get(&name).cloned();
        let record = record.unwrap_or_else(|| trueup_plan::adopt(&name, &instances, now));
        let none = || RouteSeen { share: AppRoutes::none(&name), in_flight: BTreeMap::new() };
        let routes = routed.remove(&name).unwrap_or_else(|| RouteSight::Seen(none()));
        let observed = Observed::sorted(now, now, instances, routes);
        let next = after.remove(&name);
        let runtime = next.as_ref().and_then(|next| targets.get(&next.placement.target));
        let runtime = runtime.map(|looked| looked.runtime.as_ref());
        previews.push(looked_up(runtime, None, next, (&name, &observed, &record), now).await);
    }
    Ok(previews)
}

fn count_of(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn count(plan: &Plan) -> BTreeMap<&'static str, u32> {
    let mut counts = BTreeMap::new();
    for step in &plan.steps {
        if let StepAction::Target { step: TargetStep::Instance(step), .. } = &step.action
            && step.id().task.is_none()
        {
            *counts.entry(step.verb()).or_default() += 1;
        }
    }
    counts
}

fn leaving(plan: &Plan, rolls: bool) -> u32 {
    let goes = |step: &&trueup_types::Step| {
        let StepAction::Target { step: TargetStep::Instance(step), .. } = &step.action else { return false };
        step.id().task.is_none() && matches!(step, InstanceStep::Stop { .. } | InstanceStep::Remove { .. })
    };
    if rolls { 0 } else { count_of(plan.steps.iter().filter(goes).count()) }
}

fn change(before: Option<&DesiredApp>, after: Option<&DesiredApp>, record: &AppRecord, plan: &Plan) -> Change {
    let starts = matches!(plan.record.rollout, Rollout::Underway { .. }) && plan.record.highest > record.highest;
    match (before, after) {
        (_, None) => Change::Remove,
        (None, Some(_)) if record.current.is_none() && starts => Change::Create,
        (_, Some(_)) if starts => Change::Roll,
        (Some(before), Some(after)) if before.intent != after.intent => Change::Adjust,
        (None, Some(after)) if record.intent.is_some_and(|intent| intent != after.intent) => Change::Adjust,
        (_, Some(_)) if !plan.steps.is_empty() => Change::Repair,
        (_, Some(_)) => Change::None,
    }
}

/// Why nobody would serve for a while during a rollout of this app, if nobody would; one line.
#[must_use]
pub fn downtime(after: &DesiredApp) -> Option<String> {
    if let Some(why) = &after.policy.stop_first {
        return Some(format!("stop-first: {why}"));
    }
    (after.policy.strategy == trueup_types::Strategy::Recreate)
        .then(|| "the strategy is recreate: the old ones stop before the new ones start".to_owned())
}

/// What a canary's steps come to where its ingress cannot weigh.
fn by_count(after: &DesiredApp) -> Option<String> {
    trueup_plan::by_count(&after.policy, after.replicas())
}

fn notes(plan: &Plan) -> Vec<String> {
    let verdict = &plan.verdict;
    let mut notes = Vec::new();
    if verdict.reverted {
        notes.push(format!("the wanted release is rejected: {}", verdict.message));
    }
    let told = |pin| format!("{}; it holds until the template changes", conditions::pinned(pin));
    notes.extend(plan.record.pin.as_ref().map(told));
    match &verdict.state {
        State::Waiting(_) | State::Stalled(_) | State::Suspended | State::Unknown(_) => {
            notes.push(verdict.message.clone())
        }
        State::Ready
        | State::Completed
        | State::Progressing
        | State::Baking
        | State::Reverting
        | State::Removing
        | State::Gone
        | State::Orphaned => {}
    }
    notes
}
