//! Takes in a person's word: the record that holds it, or why it is denied.

use std::sync::Arc;

use trueup_types::desired::DesiredApp;
use trueup_types::order::{Denial, Order};
use trueup_types::record::{AppRecord, CanaryAt, Evidence, Outcome, Pin, Rejection, Rollout, Word};
use trueup_types::time::Stopwatch;
use trueup_types::{EnvOf, Release, Revision, Timestamp};

use crate::{canary, judge, notes, pin};

/// The record after a person's word; `desired` is the manifest's app, where there is one.
///
/// # Errors
/// [`Denial`] says why the app cannot do that now; the record stays as it was.
pub fn command(
    record: &AppRecord,
    desired: Option<&DesiredApp>,
    order: &Order,
    by: &str,
    now: Timestamp,
) -> Result<AppRecord, Denial> {
    let mut next = record.clone();
    let word = Word { by: by.to_owned(), at: now };
    match order {
        Order::Rollback { to, env } => rollback(&mut next, desired, (*to, *env), word)?,
        Order::Retry => retry(&mut next, desired)?,
        Order::Resume => resume(&mut next, desired)?,
        Order::Suspend => {
            if next.suspended.is_some() {
                return Err(Denial::AlreadySuspended);
            }
            next.suspended = Some(word);
        }
        Order::Restart => {
            if next.current.is_none() {
                return Err(Denial::NoRelease);
            }
            if let Some(pin) = &next.pin {
                return Err(Denial::HeldByPin(pin.to));
            }
            next.restarts = next.restarts.saturating_add(1);
        }
        Order::Promote => promote(&mut next, desired, Extent::Step, now)?,
        Order::PromoteFully => promote(&mut next, desired, Extent::Canary, now)?,
        Order::Abort => abort(&mut next, by, now)?,
        Order::Reconcile => next.backoff.until = None,
    }
    Ok(next)
}

fn rollback(
    record: &mut AppRecord,
    desired: Option<&DesiredApp>,
    (to, env): (Option<Revision>, EnvOf),
    word: Word,
) -> Result<(), Denial> {
    let to = match to {
        Some(to) => to,
        None if record.current.is_none() => return Err(Denial::NoRelease),
        None => notes::way_back(record).ok_or(Denial::NothingEarlier)?,
    };
    let release = record.release(to).ok_or(Denial::NoSuchRelease(to))?;
    if !notes::was_good(record, to) {
        return Err(Denial::NeverGood(to));
    }
    let release = match (env, desired) {
        (EnvOf::Then, _) => Arc::clone(release),
        (EnvOf::Now, Some(desired)) => in_the_environment_of_now(record, release, desired)?,
        (EnvOf::Now, None) => return Err(Denial::NoEnvironment),
    };
    // A person's word makes it a new try, which may be reverted again.
    record.rejected.remove(&(release.digest, release.target.clone()));
    record.reverted_generation = None;
    record.pin = Some(Pin { to, template: desired.map(|desired| desired.template_digest), env, word });
    Ok(())
}

/// What a release of then is with the environment of now, unless that is what runs, or what the manifest asks for: that
/// may be rejected, and nobody who goes back asks for it.
fn in_the_environment_of_now(
    record: &AppRecord,
    then: &Arc<Release>,
    desired: &DesiredApp,
) -> Result<Arc<Release>, Denial> {
    let to = then.revision;
    let release = pin::dressed(then, EnvOf::Now, desired);
    let runs = record.current_release().filter(|current| current.revision != to);
    if runs.is_some_and(|runs| (runs.digest, &runs.target) == (release.digest, &release.target)) {
        return Err(Denial::OnlyEnvironment(to));
    }
    let wanted = release.target == desired.placement.target
        && release.template == *desired.template
        && release.inputs == desired.inputs_with(release.inputs.restarts);
    if wanted && release.digest != then.digest {
        return Err(Denial::WhatIsWanted(to));
    }
    Ok(release)
}

fn retry(record: &mut AppRecord, desired: Option<&DesiredApp>) -> Result<(), Denial> {
    let wanted = desired.map(|desired| (desired.release_digest(record.restarts), desired.placement.target.clone()));
    let there = wanted.and_then(|key| record.rejected.remove(&key));
    if there.is_none() {
        return Err(Denial::NothingRejected);
    }
    // A person's word makes it a new try, which may be reverted again.
    record.reverted_generation = None;
    record.refused = None;
    Ok(())
}

fn resume(record: &mut AppRecord, desired: Option<&DesiredApp>) -> Result<(), Denial> {
    let said = record.suspended.take().is_some();
    // What a manifest says it says for itself; what one said that is gone, somebody has to take back.
    let written = desired.is_none() && std::mem::take(&mut record.suspend);
    if !said && !written && record.pin.take().is_none() {
        return Err(Denial::NothingToResume);
    }
    Ok(())
}

/// How much of a canary a person ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Step,
    Canary,
}

fn promote(record: &mut AppRecord, desired: Option<&DesiredApp>, extent: Extent, now: Timestamp) -> Result<(), Denial> {
    if let Rollout::Underway { canary: at, .. } = &record.rollout {
        let step = desired.and_then(|desired| canary::step(record, desired, at));
        // What nobody has seen on any traffic yet is not let past a step.
        if step.is_none() || !at.begun() {
            return Err(Denial::NotBaking);
        }
        let steps = desired.map_or(0, |desired| u32::try_from(desired.policy.steps.len()).unwrap_or(u32::MAX));
        if let Rollout::Underway { canary: at, .. } = &mut record.rollout {
            match extent {
                Extent::Step => at.promoted = true,
                Extent::Canary => *at = CanaryAt { step: steps, ..CanaryAt::default() },
            }
        }
        return Ok(());
    }
    match &record.rollout {
        Rollout::Baking { to, .. } => {
            let to = *to;
            record.rollout = Rollout::Idle;
            notes::live(record, to, now);
            Ok(())
        }
        Rollout::Underway { .. } => Err(Denial::NotBaking),
        Rollout::Idle | Rollout::Reverting { .. } => Err(Denial::NoRollout),
    }
}

fn abort(record: &mut AppRecord, by: &str, now: Timestamp) -> Result<(), Denial> {
    let to = match &record.rollout {
        Rollout::Underway { to, .. } | Rollout::Baking { to, .. } => *to,
        Rollout::Idle | Rollout::Reverting { .. } => return Err(Denial::NoRollout),
    };
    let Some(release) = record.release(to).cloned() else { return Err(Denial::NoRollout) };
    let evidence = Evidence::Aborted { by: by.to_owned() };
    let cause = Some(judge::sentence(&evidence));
    pin::end_with_its_rollout(record);
    record.rejected.insert((release.digest, release.target.clone()), Rejection { revision: to, at: now, evidence });
    if record.current.is_some() {
        notes::close(record, to, Outcome::Reverted, cause, now);
        record.rollout = Rollout::Reverting { from: to, since: now, spent: Stopwatch::started(now) };
    } else {
        notes::close(record, to, Outcome::Failed, cause, now);
        record.rollout = Rollout::Idle;
    }
    Ok(())
}
