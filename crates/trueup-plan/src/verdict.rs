//! How the app stands, and which deadline comes next.
//!
//! Reads everything that was decided and adds nothing to it: one [`Verdict`], from which conditions are computed at the
//! edge of the program.

use std::collections::BTreeSet;

use trueup_types::analysis::Tally;
use trueup_types::observed::Health;
use trueup_types::record::{AppRecord, DeployPhase, Rollout};
use trueup_types::verdict::{Counts, Stall, State};
use trueup_types::{Revision, Timestamp, Verdict, Wake, WakeReason};

use crate::census::{Census, Role, Vigour};
use crate::rollout::{Heading, Mode, Scene, answers};
use crate::routes::{Key, key};
use crate::{canary, judge, notes, share};

/// How the app stands.
pub(crate) fn of(
    record: &AppRecord,
    scene: &Scene<'_>,
    heading: &Heading,
    census: &Census<'_>,
    serving: &BTreeSet<Key>,
    acting: bool,
) -> Verdict {
    let desired = scene.desired.replicas();
    let counts = counts(desired, census, serving);
    let done = census.count(Role::Fresh, |vigour| vigour == Vigour::Completed);
    let well = serving_well(scene, heading, census, serving);
    let state = state(record, scene, heading, &Standing { counts, done, well, acting });
    let degraded = degraded(scene, heading, census, &state);
    let mut message = message(record, scene, heading, &state, &counts, degraded.as_deref());
    let newer = heading.release.as_ref().is_some_and(|release| !answers(record, scene.desired, release));
    if state == State::Baking && newer {
        message.push_str("; a newer release waits for the end of the bake, or for `promote`");
    }
    message.extend(hindrance(record, heading, census, &state).map(|why| format!("; {why}")));
    Verdict {
        state,
        generation: record.generation,
        revision: heading.release.as_ref().map(|release| release.revision),
        counts,
        serving: well >= desired,
        reverted: heading.rejected && record.current.is_some(),
        pinned: record.pin.is_some(),
        degraded,
        message,
    }
}

struct Standing {
    counts: Counts,
    done: u32,
    well: u32,
    acting: bool,
}

fn counts(desired: u32, census: &Census<'_>, serving: &BTreeSet<Key>) -> Counts {
    let count = |wanted: &dyn Fn(&crate::census::Member<'_>) -> bool| {
        u32::try_from(census.members.iter().filter(|member| wanted(member)).count()).unwrap_or(u32::MAX)
    };
    Counts {
        desired,
        updated: census.count(Role::Fresh, Vigour::runs),
        ready: count(&|member| member.vigour.passes()),
        available: count(&|member| member.vigour == Vigour::Steady && serving.contains(&key(member))),
    }
}

/// How many serve well at this moment: passing, and in the live table where what the app heads for has routes.
fn serving_well(scene: &Scene<'_>, heading: &Heading, census: &Census<'_>, serving: &BTreeSet<Key>) -> u32 {
    let routed_app = !share::exposure(scene.desired, heading, census).routes.is_empty();
    let well = census.members.iter().filter(|member| {
        let there = if routed_app { member.routed } else { serving.contains(&key(member)) };
        there && (member.vigour.passes() || member.vigour == Vigour::Completed)
    });
    u32::try_from(well.count()).unwrap_or(u32::MAX)
}

fn state(record: &AppRecord, scene: &Scene<'_>, heading: &Heading, standing: &Standing) -> State {
    if let Some(stall) = &heading.stall {
        return State::Stalled(stall.clone());
    }
    if let Some(hold) = &heading.hold {
        return State::Waiting(hold.clone());
    }
    if heading.hook.is_some() && matches!(record.rollout, Rollout::Underway { .. }) {
        return State::Progressing;
    }
    match heading.mode {
        Mode::Rolling => State::Progressing,
        Mode::Baking => State::Baking,
        Mode::Reverting => State::Reverting,
        Mode::Fallen => State::Stalled(Stall::NothingToRevertTo),
        Mode::Held => State::Stalled(Stall::Held),
        Mode::Empty if standing.counts.desired == 0 => State::Ready,
        Mode::Empty => State::Progressing,
        Mode::Steady if standing.done > 0 && standing.done >= standing.counts.desired => State::Completed,
        Mode::Steady => {
            let blocked = scene.permits.destroy.clone().or(scene.permits.create.clone()).err();
            let short = standing.well < standing.counts.desired;
            match blocked {
                Some(hold) if short => State::Waiting(hold),
                Some(_) | None if short || (standing.acting && record.current.is_none()) => State::Progressing,
                Some(_) | None => State::Ready,
            }
        }
    }
}

fn degraded(scene: &Scene<'_>, heading: &Heading, census: &Census<'_>, state: &State) -> Option<String> {
    let role = if heading.mode == Mode::Rolling && heading.good.is_some() { Role::Kept } else { Role::Fresh };
    let failing = census.of(role).find(|member| member.vigour == Vigour::Failing);
    let down = census.of(role).find(|member| member.vigour == Vigour::Down);
    match (state, failing, down) {
        (
            State::Ready
            | State::Progressing
            | State::Baking
            | State::Reverting
            | State::Stalled(Stall::Held | Stall::RevertFailed),
            Some(member),
            _,
        ) => Some(format!("{} fails its probes", member.id())),
        (State::Ready | State::Progressing, None, Some(member)) if heading.mode == Mode::Steady => {
            Some(format!("{} is down and is started again", member.id()))
        }
        (State::Ready, None, None) if census.count(role, Vigour::passes) < scene.desired.replicas() => {
            let unknown = census.of(role).find(|member| member.vigour == Vigour::Unknown);
            unknown.map(|member| format!("the health of {} is not known", member.id()))
        }
        _ => None,
    }
}

/// What is in the way of what is being done, where that is not told already.
fn hindrance(record: &AppRecord, heading: &Heading, census: &Census<'_>, state: &State) -> Option<String> {
    let progressing = *state == State::Progressing && heading.hook.is_none();
    let rolling = progressing && heading.mode == Mode::Rolling;
    let going_back = matches!(state, State::Reverting | State::Stalled(Stall::RevertFailed | Stall::Held));
    let trouble = rolling.then(|| trouble(record, census)).flatten();
    trouble.or_else(|| record.backoff.why.clone().filter(|_| progressing || going_back))
}

/// What keeps a new release from meeting its gate, as far as can be seen: one of its instances that failed.
fn trouble(record: &AppRecord, census: &Census<'_>) -> Option<String> {
    let failing = census.of(Role::Fresh).find_map(|member| match &member.seen.health {
        Health::Failed { last, .. } if member.vigour == Vigour::Failing => {
            Some(format!("{} fails its probes: {}", member.id(), last.detail))
        }
        Health::Failed { .. } | Health::Waiting | Health::Passing { .. } | Health::Unknown => None,
    });
    failing.or_else(|| {
        let down = census.of(Role::Fresh).find(|member| member.vigour == Vigour::Down)?;
        let exits = record.exits.get(down.id())?;
        let code = exits.code.map_or_else(String::new, |code| format!(" with code {code}"));
        let often = if exits.count > 1 { format!(", {} times", exits.count) } else { String::new() };
        Some(format!("{} exited{code}{often}", down.id()))
    })
}

/// How far a canary has come, and what it waits for.
fn canary(record: &AppRecord, scene: &Scene<'_>, release: &str) -> String {
    let Rollout::Underway { canary: at, .. } = &record.rollout else { return release.to_owned() };
    let Some(step) = canary::step(record, scene.desired, at) else { return release.to_owned() };
    let (number, all) = (at.step.saturating_add(1), scene.desired.policy.steps.len());
    let what = match &scene.desired.policy.by_count {
        Some(_) => format!("{release} gets whole instances for {} % of the traffic", step.weight.get()),
        None => format!("{release} gets {} % of the traffic", step.weight.get()),
    };
    let what = format!("{what}, step {number} of {all}");
    let restless = step.analysis.iter().find(|one| !at.tallies.get(&one.name).is_some_and(Tally::content));
    if let Some(one) = restless {
        let last = at.tallies.get(&one.name).and_then(|tally| tally.last.clone());
        let last = last.unwrap_or_else(|| "no answer yet".to_owned());
        return format!("{what}; analysis {}: {last}", one.name);
    }
    if step.approve {
        return format!("{what}; it waits for `trueup promote`");
    }
    format!("{what}, watched for {}", humantime::format_duration(step.pause))
}

fn message(
    record: &AppRecord,
    scene: &Scene<'_>,
    heading: &Heading,
    state: &State,
    counts: &Counts,
    degraded: Option<&str>,
) -> String {
    let release = heading.release.as_ref().map_or_else(|| "nothing".to_owned(), |release| release.revision.to_string());
    let cause = rejected_cause(record, heading);
    if let (Some(pending), Rollout::Underway { to, .. }) = (&heading.hook, &record.rollout) {
        let stays = heading.release.as_ref().map_or_else(String::new, |_| format!("; {release} stays as it is"));
        return format!("{to} waits for {}{stays}", pending.told());
    }
    match state {
        State::Ready if counts.desired == 0 && heading.release.is_none() => {
            "scaled to 0; its release is untried, and is judged when it is scaled up".to_owned()
        }
        State::Ready if counts.desired == 0 => format!("{release} is scaled to 0"),
        State::Ready if heading.rejected => format!("{cause}; {release} serves"),
        State::Ready => degraded.map_or_else(|| format!("{release} serves"), |why| format!("{why}; {release} serves")),
        State::Completed => format!("{release} has done its work"),
        State::Progressing if heading.mode == Mode::Steady => {
            let why = degraded.unwrap_or("instances are missing");
            format!("{why}; {release} is being restored, {} of {} pass", counts.ready, counts.desired)
        }
        State::Progressing if heading.weight.is_some() => canary(record, scene, &release),
        State::Progressing => format!("{release} is rolled out, {} of {} updated", counts.updated, counts.desired),
        State::Baking => match &heading.hook {
            Some(pending) => format!("{release} is promoted and watched, with {}", pending.told()),
            None => format!("{release} is promoted and watched"),
        },
        State::Reverting => match &heading.hook {
            Some(pending) => format!("{cause}; back at {release}, and waiting for {}", pending.told()),
            None => format!("{cause}; going back to {release}"),
        },
        State::Waiting(hold) if heading.release.is_none() => format!("{hold}; nothing of it runs yet"),
        State::Waiting(hold) => format!("{hold}; {release} stays"),
        State::Stalled(Stall::NothingToRevertTo) => format!("{cause}; there is no good release to go back to"),
        State::Stalled(Stall::RevertFailed) => format!("{cause}; going back to {release} does not end, holding"),
        State::Stalled(Stall::Held) => {
            format!("{cause}; reverting is off, {release} serves and the rest waits for you")
        }
        State::Stalled(Stall::Bug(why)) => format!("{why}; nothing is done"),
        State::Suspended => format!("suspended; {release} is left as it is"),
        State::Removing => "its manifest is gone; it is taken down".to_owned(),
        State::Gone => "nothing of it is left".to_owned(),
        State::Orphaned => "its manifest is gone; it is left running and forgotten".to_owned(),
        State::Unknown(doubt) => format!("{doubt}; nothing is changed"),
    }
}

/// One line on the newest rejected release.
fn rejected_cause(record: &AppRecord, heading: &Heading) -> String {
    let newest = record.rejected.values().max_by_key(|rejection| (rejection.at, rejection.revision));
    match newest {
        Some(one) if heading.rejected || heading.stall.is_some() => {
            format!("{} failed: {}", one.revision, crate::judge::sentence(&one.evidence))
        }
        Some(_) | None => String::new(),
    }
}

fn deadline(due: Option<Timestamp>) -> Wake {
    due.map_or(Wake::OnChange, |due| Wake::At(due, WakeReason::Deadline))
}

/// When the next one that fails, and is too young yet to be blamed, will be old enough; it was old enough at this phase
/// if it was there.
fn next_judged(record: &AppRecord, scene: &Scene<'_>, to: Revision, phase: DeployPhase) -> Wake {
    let entered = notes::entered(record, to, phase);
    deadline(record.release(to).and_then(|release| judge::next_judged(scene, release, entered)))
}

/// The deadline that comes next.
pub(crate) fn deadlines(record: &AppRecord, scene: &Scene<'_>, heading: &Heading) -> Wake {
    let policy = &scene.desired.policy;
    match &record.rollout {
        Rollout::Idle => Wake::OnChange,
        Rollout::Underway { to, canary: at, waits, .. } if heading.weight.is_some() => {
            let due = canary::due(record, scene.desired, at);
            let due = due.map_or(Wake::OnChange, |due| Wake::At(due, WakeReason::Pause));
            let waits = waits.values().map(|watch| watch.due(policy.healthy_deadline)).min();
            due.or(next_judged(record, scene, *to, DeployPhase::Route)).or(deadline(waits))
        }
        Rollout::Underway { progress, waits, .. } => {
            let waits = waits.values().map(|watch| watch.due(policy.healthy_deadline));
            deadline(waits.chain([progress.due(policy.progress_deadline)]).min())
        }
        Rollout::Baking { to, bake, .. } => {
            let judged = next_judged(record, scene, *to, DeployPhase::Bake);
            let promoted = notes::entered(record, *to, DeployPhase::Bake);
            let young = record.release(*to).and_then(|release| judge::youngest_due(scene, release, promoted));
            let young = young.filter(|due| *due > scene.now);
            // Past its end the bake waits for health, which is an event, and for those that began anew within it.
            let due = Some(bake.due(policy.bake)).filter(|_| !bake.reached(policy.bake)).max(young);
            due.map_or(Wake::OnChange, |due| Wake::At(due, WakeReason::Bake)).or(judged)
        }
        Rollout::Reverting { .. } if heading.stall.is_some() => Wake::OnChange,
        Rollout::Reverting { spent, .. } => Wake::At(spent.due(policy.progress_deadline), WakeReason::Deadline),
    }
}
