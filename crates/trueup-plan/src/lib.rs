//! Decides: what is wanted, what is seen and what is remembered go in; a plan comes out.
//!
//! [`plan`] is a pipeline of pure steps, a file each: `rollout` (which release are we heading for), with `passage` and
//! `judge` (is the new one bad, and what follows), `hooks` (what runs once for a release) and `canary` (how much of the traffic it gets) → `census` (every instance in exactly one bucket) → `routes` (who
//! serves), with `share` (what the ingress is told) → `drain` (who leaves, since when) → `steps` (what closes the gap, within `surge`) → `verdict` (how it stands,
//! when to look again). [`absorb`] takes in what came of the steps, [`command`] a person's word; [`adopt`] makes a record
//! from labels when memory is lost, and [`learn`] takes in what a canary's [`analyses`] were answered. [`audit`] checks the laws by other means, and [`explain`] says it all in words.
//!
//! Pure: no I/O, no clock, no dice, and nothing to fail at.

mod absorb;
mod adopt;
mod audit;
mod canary;
mod census;
mod command;
mod drain;
mod explain;
mod gone;
mod hooks;
mod judge;
pub mod limits;
mod notes;
mod passage;
mod pin;
mod places;
mod rollout;
mod routes;
mod share;
mod steps;
mod surge;
mod verdict;

use std::borrow::Cow;
use std::collections::BTreeSet;

use trueup_museum::{Bug, planted};
use trueup_types::desired::{DesiredApp, Hold, Permits};
use trueup_types::record::Rollout;
use trueup_types::{AppRecord, Instance, Observed, Plan, Timestamp, Wake, WakeReason, Wanted};

pub use absorb::absorb;
pub use adopt::adopt;
pub use audit::audit;
pub use canary::{Standing, analyses, by_count, learn};
pub use command::command;
pub use explain::explain;
pub use judge::sentence;

use crate::census::Census;
use crate::rollout::Scene;
use crate::steps::Gap;

/// Decides for one app: the next record, the steps that close the gap, how it stands, and when to look again.
pub fn plan(wanted: &Wanted, observed: &Observed, permits: &Permits, record: &AppRecord, now: Timestamp) -> Plan {
    let observed = &*tidy(observed);
    let mut plan = match wanted {
        Wanted::Present(desired) => present(desired, observed, permits, record, now),
        Wanted::Gone { prune, .. } => gone::plan(*prune, observed, permits, record, now),
        Wanted::Held { why } => gone::held(why, observed, record, now),
    };
    // Nobody can be woken in the past.
    if let Wake::At(at, _) = &mut plan.wake {
        *at = (*at).max(now);
    }
    plan
}

/// The same sight with everything in it once, in name order: how a listing was put together decides nothing.
fn tidy(observed: &Observed) -> Cow<'_, Observed> {
    let key = |one: &Instance| (one.sighting.id.clone(), one.target.clone());
    let sorted = |all: &[Instance]| all.is_sorted_by(|a, b| (&a.sighting.id, &a.target) < (&b.sighting.id, &b.target));
    if planted(Bug::TrustsListingOrder) || (sorted(&observed.instances) && sorted(&observed.tasks)) {
        return Cow::Borrowed(observed);
    }
    let mut tidied = observed.clone();
    for all in [&mut tidied.instances, &mut tidied.tasks] {
        all.sort_by_key(key);
        all.dedup_by_key(|one| key(one));
    }
    Cow::Owned(tidied)
}

fn present(desired: &DesiredApp, observed: &Observed, permits: &Permits, before: &AppRecord, now: Timestamp) -> Plan {
    let mut record = before.clone();
    if (desired.policy.suspend || record.suspended.is_some()) && !planted(Bug::IgnoresSuspend) {
        return gone::suspended(desired, observed, record, now);
    }
    let scene = Scene { desired, observed, permits, now };
    hooks::notice(&mut record, observed, now);
    let heading = rollout::advance(&mut record, &scene);
    let min_healthy = desired.policy.min_healthy;
    let census = Census::take(observed, heading.release.as_deref(), heading.good.as_deref(), min_healthy, now);
    let mut serving = routes::serving(desired, &heading, &census);
    let (extra, extra_wake) = steps::extra(&scene, &heading, &census, &serving);
    let mut leaving = drain::leaving(desired, &heading, &census, &serving, extra);
    let (hung, hung_wake) = drain::hung(&scene, &heading, &census, &serving);
    leaving.extend(hung);
    // One that is replaced in place serves nobody any more.
    serving.retain(|key| !leaving.contains(key));
    let share = share::share(desired, &heading, &census, &serving, &leaving, &observed.routes);
    drain::mark(&mut record, &observed.routes, &census, &leaving, now);
    let gap = Gap { scene: &scene, heading: &heading, census: &census, leaving: &leaving, share, extra };
    let (mut steps, step_wake) = gap.close(&mut record);
    notes::trim(&mut record, observed, &desired.policy.history, now);
    steps.extend(heading.hook.iter().filter_map(|pending| pending.step.clone()));
    steps.extend(hooks::tidy(&mut record, &scene));
    forget_homes(&mut record, observed, desired, &heading);
    let verdict = verdict::of(&record, &scene, &heading, &census, &serving, !steps.is_empty());
    let wake = extra_wake
        .or(step_wake)
        .or(hung_wake)
        .or(steps::gates(&scene, &census))
        .or(verdict::deadlines(&record, &scene, &heading))
        .or(hooks::due(&record, &scene, heading.hook.as_ref()))
        .or(soon(&heading, &census, &steps, now))
        .or(after_transition(before, &record, now));
    Plan { record, steps, verdict, wake }
}

/// When to look though nothing is due: at what steps did, at what goes, for a permit, and for an answer.
fn soon(heading: &rollout::Heading, census: &Census<'_>, steps: &[trueup_types::Step], now: Timestamp) -> Wake {
    let going = census.members.iter().any(|member| member.vigour == census::Vigour::Going);
    let mut wake = Wake::OnChange;
    if !steps.is_empty() || going {
        wake = Wake::At(now.after(limits::LOOK_AGAIN), WakeReason::LookAgain);
    }
    if let Some(hold) = &heading.hold {
        let due = match hold {
            // A window opens by the wall's clock, which is not ours: what it says is only a hint of when to ask.
            Hold::Window { opens: Some(opens) } => {
                (*opens).clamp(now.after(limits::PERMIT_AGAIN), now.after(limits::PLACE_AGAIN))
            }
            Hold::RolloutCap { .. } | Hold::Window { opens: None } => now.after(limits::PLACE_AGAIN),
            Hold::PruneBlocked { .. }
            | Hold::Dependencies(_)
            | Hold::Dependents(_)
            | Hold::RouteHeld { .. }
            | Hold::StoreDegraded
            | Hold::InDoubt(_)
            | Hold::DestroyCap { .. } => now.after(limits::PERMIT_AGAIN),
        };
        wake = wake.or(Wake::At(due, WakeReason::Permit));
    }
    if heading.unsure {
        wake = wake.or(Wake::At(now.after(limits::ANSWER_AGAIN), WakeReason::Bake));
    }
    wake
}

/// At most one transition a tick: what follows from it is looked at in the next, at once.
fn after_transition(before: &AppRecord, after: &AppRecord, now: Timestamp) -> Wake {
    let moved = std::mem::discriminant(&before.rollout) != std::mem::discriminant(&after.rollout);
    if moved { Wake::At(now, WakeReason::LookAgain) } else { Wake::OnChange }
}

/// Keeps in mind the targets where something of the app still is, is wanted, or may have to come back to.
///
/// A release that is kept as the way back may live where nothing of the app is left: what is made again there has to be
/// seen.
fn forget_homes(record: &mut AppRecord, observed: &Observed, desired: &DesiredApp, heading: &rollout::Heading) {
    let there = |target: &_| observed.instances.iter().chain(&observed.tasks).any(|one| one.target == *target);
    let rolling = match &record.rollout {
        Rollout::Idle | Rollout::Reverting { .. } => None,
        Rollout::Underway { to, .. } | Rollout::Baking { to, .. } => record.release(*to),
    };
    let ahead = [heading.release.as_ref(), heading.good.as_ref(), record.current_release(), rolling];
    let ahead: BTreeSet<_> = ahead.into_iter().flatten().map(|release| release.target.clone()).collect();
    record.homes.retain(|target| *target == desired.placement.target || there(target));
    record.homes.extend(ahead);
}
