//! Keeps the corpus of the planner: for each way in which a tick can go, the shortest input that was found to go it.
//!
//! `cargo xtask prove --only fuzz --replay grow` looks for ways that no input of it goes yet, and writes what it finds beside
//! the rest. What breaks a law meanwhile is told: nothing else would ever make that input again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use trueup_types::Plan;
use trueup_types::desired::Wanted;
use trueup_types::policy::Strategy;
use trueup_types::record::Rollout;
use trueup_types::verdict::{Stall, State};

use super::{Life, live};
use crate::fuzz::engine::{Attempts, Target};
use crate::fuzz::mutate;

/// Inputs that are tried when the corpus is grown.
const TRIES: u64 = 200_000;
/// Tries to make a new one smaller.
const SMALLER_TRIES: usize = 3_000;

/// Broken laws after which it is given up: one fault is found over and over.
const FOUND_MAX: usize = 20;
/// So many instances are many.
const MANY: u32 = 3;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/planner")
}

fn passage(rollout: &Rollout) -> &'static str {
    match rollout {
        Rollout::Idle => "idle",
        Rollout::Underway { .. } => "underway",
        Rollout::Baking { .. } => "baking",
        Rollout::Reverting { .. } => "reverting",
    }
}

fn strategy(life: &Life) -> &'static str {
    match &life.wanted {
        Wanted::Gone { .. } => "gone",
        Wanted::Held { .. } => "held",
        Wanted::Present(desired) if desired.policy.stop_first.is_some() => "stopfirst",
        Wanted::Present(desired) => match desired.policy.strategy {
            Strategy::BlueGreen => "bluegreen",
            Strategy::Rolling => "rolling",
            Strategy::Canary => "canary",
            Strategy::Recreate => "recreate",
        },
    }
}

fn standing(state: &State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Completed => "completed",
        State::Progressing => "progressing",
        State::Baking => "baking",
        State::Reverting => "reverting",
        State::Waiting(_) => "waiting",
        State::Stalled(Stall::NothingToRevertTo) => "fallen",
        State::Stalled(Stall::RevertFailed) => "stuck",
        State::Stalled(Stall::Held) => "held",
        State::Stalled(Stall::Bug(_)) => "stalled",
        State::Suspended => "suspended",
        State::Removing => "removing",
        State::Gone => "gone",
        State::Orphaned => "orphaned",
        State::Unknown(_) => "unknown",
    }
}

/// The way that a tick goes: from which passage to which, by which strategy, and how the app stands then.
fn way(life: &Life, plan: &Plan) -> String {
    let (from, to) = (passage(&life.record.rollout), passage(&plan.record.rollout));
    // In a world that is left alone many stand together, and limits count.
    let many = if life.calm && life.sketch.replicas >= MANY { "-many" } else { "" };
    format!("{}-{from}-{to}-{}{many}", strategy(life), standing(&plan.verdict.state))
}

/// The ways that an input goes.
pub fn ways(data: &[u8]) -> BTreeSet<String> {
    let mut ways = BTreeSet::new();
    live(data, &mut |life, plan| {
        ways.insert(way(life, plan));
    });
    ways
}

/// The first words of the steps that an input leads to.
pub fn verbs(data: &[u8]) -> BTreeSet<String> {
    let mut verbs = BTreeSet::new();
    live(data, &mut |_, plan| {
        let steps = plan.steps.iter().map(|step| step.action.to_string());
        verbs.extend(steps.filter_map(|step| step.split(' ').next().map(str::to_owned)));
    });
    verbs
}

/// The committed inputs, by name.
///
/// # Errors
/// Those of the file system.
pub fn kept() -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let named = std::fs::read_dir(folder())?.map(|entry| {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, std::fs::read(path)?))
    });
    named.collect()
}

/// Looks for inputs that go ways which none of the corpus goes, writes the shortest of each, and answers how often
/// something was wrong on the way; an input that broke a law is told, and is none of the corpus.
///
/// # Errors
/// Those of the file system.
pub fn grow(attempts: &Attempts, target: &Target, say: &mut dyn FnMut(String)) -> anyhow::Result<usize> {
    let kept = kept()?;
    // The planner has changed around some of them: they are looked for again.
    for (name, data) in kept.iter().filter(|(name, _)| !name.starts_with("found-")) {
        if !ways(data).contains(name) {
            std::fs::remove_file(folder().join(name))?;
            say(format!("{name} no longer goes its way"));
        }
    }
    let mut met: BTreeSet<_> =
        kept.iter().filter(|(name, data)| ways(data).contains(*name)).map(|(name, _)| name.clone()).collect();
    let mut pool: Vec<_> = kept.into_values().collect();
    let mut found = 0;
    for number in 0..TRIES {
        let mut dice = fastrand::Rng::with_seed(number);
        let data = mutate::input(&pool, u64::MAX, &mut dice);
        if let Err(wrong) = attempts.attempt(target, &data) {
            let one = attempts.tell(target, &data, &wrong);
            // At once: whoever ends this before its end has it all the same.
            say(format!("{}\n  cargo xtask prove --only fuzz --replay '{}'", one.what, one.replay));
            found += 1;
            if found >= FOUND_MAX {
                break;
            }
            continue;
        }
        for way in ways(&data) {
            if met.insert(way.clone()) {
                let goes = |less: &[u8]| attempts.attempt(target, less).is_ok() && ways(less).contains(&way);
                let smallest = mutate::smallest(&data, goes, SMALLER_TRIES);
                std::fs::write(folder().join(&way), &smallest)?;
                say(way);
                pool.push(data.clone());
            }
        }
    }
    Ok(found)
}
