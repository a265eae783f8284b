//! The three answers that are no rollout: the app is gone, nobody knows, or a person said to leave it alone.

use trueup_museum::{Bug, planted};
use trueup_types::desired::{DesiredApp, Doubt, Permits, Prune};
use trueup_types::observed::Phase;
use trueup_types::record::{AppRecord, Rollout};
use trueup_types::route::AppRoutes;
use trueup_types::step::{InstanceStep, Step, StepAction, TargetStep, Why};
use trueup_types::template::Stop;
use trueup_types::verdict::{Counts, State};
use trueup_types::{Instance, Observed, Plan, Release, RouteSight, Timestamp, Verdict, Wake, WakeReason};

use crate::census::{Census, Member, Vigour};
use crate::limits;

/// Drain of an app whose manifest is gone and whose record says no more: BEHAVIOUR.md's default.
const DRAIN_WHEN_FORGOTTEN: std::time::Duration = std::time::Duration::from_secs(30);

/// Takes an app down: unroute, drain, stop, remove. Suspended apps and orphans are left as they are.
pub(crate) fn plan(prune: Prune, observed: &Observed, permits: &Permits, record: &AppRecord, now: Timestamp) -> Plan {
    let mut record = record.clone();
    let census = Census::take(observed, None, None, std::time::Duration::ZERO, now);
    if record.suspended.is_some() || was_suspended(&record, observed) {
        return still(record, &census, State::Suspended, "suspended; its manifest is gone, and it is left as it is");
    }
    if prune == Prune::Orphan && !planted(Bug::DeletesOrphans) {
        // It goes nowhere any more, and holds nobody's place.
        record.rollout = Rollout::Idle;
        return still(record, &census, State::Orphaned, "its manifest is gone; it is left running and forgotten");
    }
    if let Err(hold) = &permits.destroy {
        let message = format!("its manifest is gone; {hold}");
        let mut plan = still(record, &census, State::Waiting(hold.clone()), &message);
        plan.wake = Wake::At(now.after(limits::PERMIT_AGAIN), WakeReason::Permit);
        return plan;
    }
    record.rollout = Rollout::Idle;
    let routed = match &observed.routes {
        RouteSight::Seen(seen) => !seen.share.entries.is_empty(),
        // Not seen is not absent: forgotten now, what is left of it in the table would stay for ever.
        RouteSight::Unknown(_) => true,
    };
    if census.members.is_empty() && observed.tasks.is_empty() && !routed {
        return still(record, &census, State::Gone, "nothing of it is left");
    }
    let again =
        if census.members.is_empty() && observed.tasks.is_empty() { limits::PERMIT_AGAIN } else { limits::LOOK_AGAIN };
    let mut wake = Wake::At(now.after(again), WakeReason::LookAgain);
    let mut steps = Vec::new();
    if let RouteSight::Seen(seen) = &observed.routes
        && routed
    {
        let share = AppRoutes::none(&seen.share.app);
        steps.push(Step { action: StepAction::Route { share }, why: Why::Gone });
    }
    // One that is routed again will have been out of the table since then, and no longer.
    let drains = |member: &Member<'_>| !member.listed || planted(Bug::CountsOldDrain);
    record.draining.retain(|id, _| census.members.iter().any(|member| member.id() == id && drains(member)));
    for member in &census.members {
        steps.extend(depart(&mut record, observed, member, now, &mut wake));
    }
    steps.extend(observed.tasks.iter().filter_map(go));
    let mut plan = still(record, &census, State::Removing, "its manifest is gone; it is taken down");
    plan.steps = steps;
    plan.wake = wake;
    plan
}

/// Whether its manifest said to leave it alone when it was last there, and anything is left to be left alone.
fn was_suspended(record: &AppRecord, observed: &Observed) -> bool {
    let routed = matches!(&observed.routes, RouteSight::Seen(seen) if !seen.share.entries.is_empty());
    let there = !observed.instances.is_empty() || !observed.tasks.is_empty() || routed;
    record.suspend && there && !planted(Bug::ForgetsWrittenSuspend)
}

fn depart(
    record: &mut AppRecord,
    observed: &Observed,
    member: &Member<'_>,
    now: Timestamp,
    wake: &mut Wake,
) -> Option<Step> {
    if member.listed || matches!(observed.routes, RouteSight::Unknown(_)) {
        return None;
    }
    let since = *record.draining.entry(member.id().clone()).or_insert(now);
    let due = since.after(DRAIN_WHEN_FORGOTTEN);
    if member.in_flight > 0 && due > now {
        *wake = wake.or(Wake::At(due.min(now.after(limits::LOOK_AGAIN)), WakeReason::Drain));
        return None;
    }
    go(member.seen)
}

/// Stops it, or removes what is left of it.
fn go(one: &Instance) -> Option<Step> {
    let (id, incarnation) = (one.sighting.id.clone(), one.sighting.incarnation.clone());
    let step = match &one.sighting.phase {
        Phase::Vanishing { .. } => return None,
        Phase::Created | Phase::Exited { .. } => InstanceStep::Remove { id, incarnation },
        Phase::Starting | Phase::Running { .. } | Phase::Asleep => {
            let release: Option<&Release> = one.sighting.template.as_deref();
            let stop = release.map_or_else(Stop::default, |release| release.template.stop.clone());
            InstanceStep::Stop { id, incarnation, stop }
        }
    };
    let action = StepAction::Target { target: one.target.clone(), step: TargetStep::Instance(step) };
    Some(Step { action, why: Why::Gone })
}

/// Nobody knows what is wanted: nothing is changed.
pub(crate) fn held(why: &Doubt, observed: &Observed, record: &AppRecord, now: Timestamp) -> Plan {
    let mut record = record.clone();
    freeze(&mut record);
    let census = Census::take(observed, None, None, std::time::Duration::ZERO, now);
    still(record, &census, State::Unknown(why.clone()), &format!("{why}; nothing is changed"))
}

/// A person, or the manifest, said: observe and report, change nothing.
pub(crate) fn suspended(desired: &DesiredApp, observed: &Observed, mut record: AppRecord, now: Timestamp) -> Plan {
    if record.intent != Some(desired.intent) {
        record.generation = record.generation.next();
        record.intent = Some(desired.intent);
    }
    // Whether it may go without its manifest is asked when there is none any more.
    record.prune = desired.prune;
    record.suspend = desired.policy.suspend;
    freeze(&mut record);
    let good = record.current_release().cloned();
    let census = Census::take(observed, good.as_deref(), None, desired.policy.min_healthy, now);
    let mut plan = still(record, &census, State::Suspended, "suspended; it is left as it is");
    plan.verdict.counts.desired = desired.replicas();
    plan
}

/// Time does not count while nothing may be done. Looking again changes nothing, so that nothing is saved for it.
fn freeze(record: &mut AppRecord) {
    match &mut record.rollout {
        Rollout::Idle => {}
        Rollout::Underway { progress, waits, .. } => {
            progress.stop();
            waits.values_mut().for_each(|watch| watch.stop());
        }
        Rollout::Baking { bake, .. } => bake.stop(),
        Rollout::Reverting { spent, .. } => spent.stop(),
    }
}

fn still(record: AppRecord, census: &Census<'_>, state: State, message: &str) -> Plan {
    let count = |wanted: fn(Vigour) -> bool| {
        u32::try_from(census.members.iter().filter(|member| wanted(member.vigour)).count()).unwrap_or(u32::MAX)
    };
    let ready = count(Vigour::passes);
    let counts = Counts { desired: 0, updated: count(Vigour::runs), ready, available: ready };
    let verdict = Verdict {
        state,
        generation: record.generation,
        revision: record.current,
        counts,
        serving: ready > 0,
        reverted: false,
        pinned: record.pin.is_some(),
        degraded: None,
        message: message.to_owned(),
    };
    Plan { record, steps: Vec::new(), verdict, wake: Wake::OnChange }
}
