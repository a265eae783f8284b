//! Lets the events of a history happen to the world.

use std::sync::Arc;

use trueup_sim::world::SimInstance;
use trueup_types::desired::{Doubt, Prune};
use trueup_types::observed::{ExitWhy, Phase};
use trueup_types::order::Order;
use trueup_types::{AppName, InstanceId, Release, Revision, TableGeneration, TargetName, TemplateDigest};

use super::event::{Event, Harm, Loss, Refused};
use super::play::Act;
use super::setting::Setting;

/// Lets an event happen.
pub async fn happen(act: &mut Act, setting: &Setting, event: &Event, wrong: &mut Vec<String>) {
    act.collect();
    act.stage.note(&event.to_string());
    match event {
        Event::Edit { app, wish } => {
            let cast = setting.cast(app).expect("histories edit apps of their setting");
            act.wishes.insert(app.clone(), wish.clone());
            act.orphans.remove(app);
            act.stage.want(app, Some(cast.manifest(wish)));
        }
        Event::Remove { app } => {
            act.wishes.remove(app);
            if setting.cast(app).is_some_and(|cast| cast.sketch.prune == Prune::Orphan) {
                act.orphans.insert(app.clone());
            }
            act.stage.want(app, None);
        }
        Event::Word { app, order } => say(act, setting, app, order).await,
        Event::Befall { app, index, harm } => befall(act, app, *index, *harm),
        Event::Refuse { app, what } => refuse(act, app, *what),
        Event::End { killed } => {
            // Its last words would go with it.
            wrong.extend(act.stage.bugs());
            act.stage.end(*killed).await;
            act.refused = false;
        }
        Event::Start => act.start().await,
        Event::Store(loss) => {
            store(act, setting, *loss);
            if act.refused {
                act.start().await;
            }
        }
        Event::Odds(odds) => {
            act.hindered = true;
            act.stage.world.lock().faults.turn(*odds);
            if odds.stale_permille > 0 {
                // A late listing may show one that has exited as it was, and without a bake nobody watches it any longer.
                let unwatched = setting.casts.iter().filter(|cast| cast.sketch.policy.bake.is_zero());
                let unwatched: Vec<_> = unwatched.map(|cast| cast.sketch.name.clone()).collect();
                act.doubt_releases(setting, &unwatched);
            }
        }
        Event::Doubt(doubt) => {
            let why = || Doubt::SourceUnavailable("the directory cannot be read".to_owned());
            act.stage.source.doubt(doubt.then(why));
        }
        Event::Hush(hushed) => act.stage.source.hush(*hushed),
        Event::Reboot => reboot(act, wrong).await,
        Event::Sleep(time) => act.stage.sleep(*time).await,
        Event::ApprovePrune => {
            if let Some(control) = act.stage.control() {
                // There may be nothing to approve.
                let _ = control.approve_prune("somebody").await;
            }
        }
        Event::Dark { .. } | Event::EdgeDark(_) | Event::EdgeEmptied | Event::EdgeLost | Event::Busy { .. } => {
            world(act, event);
        }
    }
}

/// What happens to the world alone.
fn world(act: &mut Act, event: &Event) {
    act.hindered = true;
    let routed = event.app().map(|app| act.stage.world.routed(app)).unwrap_or_default();
    let now = act.stage.world.now();
    let mut state = act.stage.world.lock();
    match event {
        Event::Dark { target, dark } => state.darken(target, *dark, now),
        Event::EdgeDark(dark) => state.ingress_dark = *dark,
        Event::EdgeEmptied => {
            state.table.apps.clear();
            state.table.generation = TableGeneration(state.table.generation.0 + 5);
        }
        Event::EdgeLost => {
            state.table.apps.clear();
            state.table.generation = TableGeneration(0);
        }
        Event::Busy { app, index, count } => {
            // New requests reach only who is in the table, and those that end were on their way.
            let of_app = |id: &&InstanceId| id.app == *app;
            let ours: Vec<InstanceId> = if *count > 0 {
                routed.into_iter().collect()
            } else {
                state
                    .in_flight
                    .iter()
                    .filter(|(_, busy)| **busy > 0)
                    .map(|(id, _)| id)
                    .filter(of_app)
                    .cloned()
                    .collect()
            };
            if let Some(id) = ours.get(index % ours.len().max(1)) {
                state.in_flight.insert(id.clone(), *count);
            }
        }
        Event::Edit { .. }
        | Event::Remove { .. }
        | Event::Word { .. }
        | Event::Befall { .. }
        | Event::Refuse { .. }
        | Event::End { .. }
        | Event::Start
        | Event::Store(_)
        | Event::Odds(_)
        | Event::Doubt(_)
        | Event::Hush(_)
        | Event::Reboot
        | Event::Sleep(_)
        | Event::ApprovePrune => {}
    }
}

async fn say(act: &mut Act, setting: &Setting, app: &AppName, order: &Order) {
    let Some(control) = act.stage.control() else { return };
    // What it denies, it denies.
    let said = control.order(app, order.clone(), "somebody").await;
    act.stage.note(&match &said {
        Ok(receipt) => format!("  {}", receipt.message),
        Err(why) => format!("  denied: {why}"),
    });
    match order {
        // A person may promote what its bake would have rejected, and reject what it would have kept.
        Order::Promote | Order::PromoteFully => act.doubt_releases(setting, std::slice::from_ref(app)),
        Order::Abort => drop(act.harmed.insert(app.clone())),
        Order::Rollback { .. } | Order::Retry | Order::Resume | Order::Suspend | Order::Restart | Order::Reconcile => {}
    }
}

fn store(act: &mut Act, setting: &Setting, loss: Loss) {
    act.shelf.befall(loss);
    if matches!(loss, Loss::Wiped | Loss::PutBackUnnoticed) {
        act.stage.world.lock().forget_unnoticed();
    }
    match loss {
        Loss::Copied | Loss::Full(_) => {}
        // What is adopted was not judged: the oldest that runs is believed.
        Loss::Lost | Loss::Wiped | Loss::PutBack | Loss::PutBackUnnoticed => {
            let all: Vec<_> = setting.casts.iter().map(|cast| cast.sketch.name.clone()).collect();
            act.doubt_releases(setting, &all);
        }
    }
}

fn befall(act: &mut Act, app: &AppName, index: usize, harm: Harm) {
    let now = act.stage.world.now();
    let ours: Vec<(TargetName, InstanceId)> = {
        let state = act.stage.world.lock();
        let all = state.instances.iter().flat_map(|(target, all)| all.iter().map(move |one| (target, one)));
        let runs = |phase: Phase| matches!(phase, Phase::Running { .. });
        // Without a question nobody can know that one is sick.
        let asked = |release: &Release| harm != Harm::Sicken || !release.template.health.is_empty();
        let fit = |one: &SimInstance| (harm == Harm::Steal || runs(one.phase(now))) && asked(&one.release);
        let ours = all.filter(|(_, (id, one))| id.app == *app && fit(one));
        ours.map(|(target, (id, _))| (target.clone(), id.clone())).collect()
    };
    let Some((target, id)) = ours.get(index % ours.len().max(1)) else { return };
    act.harmed.insert(app.clone());
    match harm {
        Harm::Crash(code) => {
            act.stage.world.crash(id, code);
            act.stage.world.nudge(target, app);
        }
        Harm::Sicken => act.stage.world.sicken(id, true),
        Harm::Cure => act.stage.world.sicken(id, false),
        Harm::Steal => act.stage.world.steal(id),
        Harm::Alter => alter(act, target, id),
    }
}

/// A release that is good may be rejected for it, and one that is not may be kept.
fn refuse(act: &mut Act, app: &AppName, what: Option<Refused>) {
    act.tainted.insert(app.clone());
    act.harmed.insert(app.clone());
    let mut state = act.stage.world.lock();
    let begun = state.instances.values().flat_map(|all| all.keys()).filter(|id| id.app == *app);
    let newest = begun.map(|id| id.revision).max().unwrap_or_default();
    let newest = what.map(|what| match what {
        Refused::Begun => newest,
        Refused::All => Revision(u64::MAX),
    });
    state.faults.refuse(app, newest);
}

/// Something else stands under our label: what a person started by hand from other settings.
fn alter(act: &Act, target: &TargetName, id: &InstanceId) {
    let mut state = act.stage.world.lock();
    let Some(one) = state.instances.get_mut(target).and_then(|all| all.get_mut(id)) else { return };
    let mut template = one.release.template.clone();
    template.env.insert("ALTERED".to_owned(), "by hand".to_owned());
    let digest = Release::digest_of(TemplateDigest::of(&template), &one.release.inputs);
    one.release = Arc::new(Release { template, digest, ..Release::clone(&one.release) });
}

/// Everything that ran is down, through no fault of its own; the edge comes back with its last table.
async fn reboot(act: &mut Act, wrong: &mut Vec<String>) {
    wrong.extend(act.stage.bugs());
    act.stage.end(true).await;
    let now = act.stage.world.now();
    let mut state = act.stage.world.lock();
    for one in state.instances.values_mut().flat_map(|all| all.values_mut()) {
        if !one.exited(now) {
            one.asked = None;
            one.end = Some((now, None, ExitWhy::HostLost));
        }
    }
    state.in_flight.clear();
}
