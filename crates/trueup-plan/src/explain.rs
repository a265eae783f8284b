//! Says in words what was wanted, seen and remembered, and so decided: for `trueup why`, and for the table tests.

use trueup_types::desired::{Permits, Wanted};
use trueup_types::observed::{Health, Phase};
use trueup_types::record::{AppRecord, Rollout};
use trueup_types::verdict::State;
use trueup_types::{Instance, Observed, Plan, RouteSight, Timestamp, Wake};

/// The lines of a decision: wanted, seen, remembered, then each step, then how it stands.
#[must_use]
pub fn explain(
    wanted: &Wanted,
    observed: &Observed,
    permits: &Permits,
    before: &AppRecord,
    plan: &Plan,
    now: Timestamp,
) -> Vec<String> {
    let mut lines = vec![want(wanted, before), see(observed, now), remember(before)];
    let held = [("create", &permits.create), ("destroy", &permits.destroy), ("roll", &permits.start_rollout)];
    lines.extend(
        held.iter().filter_map(|(what, permit)| permit.as_ref().err().map(|hold| format!("may not {what}: {hold}"))),
    );
    lines.extend(decided(plan, now));
    lines
}

/// The decision alone: steps, state and wake.
#[must_use]
pub(crate) fn decided(plan: &Plan, now: Timestamp) -> Vec<String> {
    let mut lines: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
    lines.push(format!("{}: {}", state(&plan.verdict.state), plan.verdict.message));
    if let Wake::At(at, why) = plan.wake {
        lines.push(format!("look again in {} ms ({why})", at.since(now).as_millis()));
    }
    lines
}

fn want(wanted: &Wanted, before: &AppRecord) -> String {
    match wanted {
        Wanted::Present(desired) => format!(
            "wanted: {} × {} on {}, {}",
            desired.replicas(),
            desired.release_digest(before.restarts).short(),
            desired.placement.target,
            desired.policy.strategy.as_str()
        ),
        Wanted::Gone { .. } => "wanted: gone".to_owned(),
        Wanted::Held { why } => format!("wanted: unknown, {why}"),
    }
}

fn see(observed: &Observed, now: Timestamp) -> String {
    let all: Vec<_> = observed.instances.iter().chain(&observed.tasks).collect();
    if all.is_empty() {
        return "seen: nothing".to_owned();
    }
    let all: Vec<_> = all.into_iter().map(|one| instance(observed, one, now)).collect();
    format!("seen: {}", all.join(", "))
}

fn instance(observed: &Observed, one: &Instance, now: Timestamp) -> String {
    let phase = match &one.sighting.phase {
        Phase::Created => "created".to_owned(),
        Phase::Starting => "starting".to_owned(),
        Phase::Running { .. } => match &one.health {
            Health::Waiting => "waiting".to_owned(),
            Health::Passing { since } => format!("passing for {} ms", now.since(*since).as_millis()),
            Health::Failed { last, .. } => format!("failing ({})", last.detail),
            Health::Unknown => "of unknown health".to_owned(),
        },
        Phase::Asleep => "asleep".to_owned(),
        Phase::Exited { code: Some(code), .. } => format!("exited {code}"),
        Phase::Exited { code: None, .. } => "exited".to_owned(),
        Phase::Vanishing { .. } => "going".to_owned(),
    };
    let traffic = match &observed.routes {
        RouteSight::Seen(seen) if seen.share.routes_to(&one.sighting.id) => " routed",
        RouteSight::Seen(_) | RouteSight::Unknown(_) => "",
    };
    format!("{} {phase}{traffic}", one.sighting.id)
}

fn remember(record: &AppRecord) -> String {
    let current = record.current.map_or_else(|| "no good release".to_owned(), |current| format!("{current} is good"));
    let rollout = match &record.rollout {
        Rollout::Idle => String::new(),
        Rollout::Underway { to, .. } => format!(", rolling to {to}"),
        Rollout::Baking { to, .. } => format!(", baking {to}"),
        Rollout::Reverting { from, .. } => format!(", going back from {from}"),
    };
    let rejected = match record.rejected.len() {
        0 => String::new(),
        count => format!(", {count} rejected"),
    };
    let pin = record.pin.as_ref().map_or_else(String::new, |pin| format!(", pinned to {}{}", pin.to, pin.env.told()));
    format!("remembered: {current}{rollout}{rejected}{pin}")
}

fn state(state: &State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Completed => "completed",
        State::Progressing => "progressing",
        State::Baking => "baking",
        State::Reverting => "reverting",
        State::Waiting(_) => "waiting",
        State::Stalled(_) => "stalled",
        State::Suspended => "suspended",
        State::Removing => "removing",
        State::Gone => "gone",
        State::Orphaned => "orphaned",
        State::Unknown(_) => "unknown",
    }
}
