//! Keeps the corpus of the planner: for each way in which a tick can go, the shortest input that was found to go it.
//!
//! `cargo test -p trueup-prove -- --ignored the_corpus_is_grown` looks for ways that no input of it goes yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use trueup_types::Plan;
use trueup_types::desired::Wanted;
use trueup_types::policy::Strategy;
use trueup_types::record::Rollout;
use trueup_types::verdict::{Stall, State};

use super::{Life, live};
use crate::fuzz::mutate;

/// Inputs that are tried when the corpus is grown.
const TRIES: u64 = 200_000;
/// Tries to make a new one smaller.
const SMALLER_TRIES: usize = 3_000;

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
        State::Stalled(Stall::Bug(_) | Stall::Refused(_)) => "stalled",
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
    format!("{}-{from}-{to}-{}", strategy(life), standing(&plan.verdict.state))
}

/// The ways that an input goes.
fn ways(data: &[u8]) -> BTreeSet<String> {
    let mut ways = BTreeSet::new();
    live(data, &mut |life, plan| {
        ways.insert(way(life, plan));
    });
    ways
}

fn kept() -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder()).expect("it is committed").flatten();
    let named = entries.map(|entry| {
        let name = entry.file_name().into_string().expect("a plain name");
        (name, std::fs::read(entry.path()).expect("it can be read"))
    });
    named.collect()
}

#[test]
fn each_input_of_the_corpus_goes_the_way_that_it_is_named_for() {
    let kept = kept();
    let found = |name: &str| name.starts_with("found-");
    for (name, data) in kept.iter().filter(|(name, _)| !found(name)) {
        assert!(ways(data).contains(name), "{name} goes {:?}", ways(data));
    }
    for strategy in ["bluegreen", "rolling", "recreate", "stopfirst"] {
        for passage in ["idle-underway", "underway-baking", "baking-idle", "baking-reverting", "reverting-idle"] {
            let way = format!("{strategy}-{passage}-");
            assert!(kept.keys().any(|name| name.starts_with(&way)), "none goes {way}");
        }
    }
}

#[test]
fn the_corpus_sees_every_step() {
    let mut seen = BTreeSet::new();
    for data in kept().values() {
        live(data, &mut |_, plan| {
            let steps = plan.steps.iter().map(|step| step.action.to_string());
            seen.extend(steps.filter_map(|step| step.split(' ').next().map(str::to_owned)));
        });
    }
    let verbs = ["create", "start", "stop", "remove", "route"].map(str::to_owned);
    assert!(seen.is_superset(&BTreeSet::from(verbs)), "{seen:?}");
}

#[test]
#[ignore = "looks for long, and writes what it finds beside the rest"]
fn the_corpus_is_grown() {
    let mut kept = kept();
    let mut met: BTreeSet<_> = kept.values().flat_map(|data| ways(data)).collect();
    let mut pool: Vec<_> = kept.values().cloned().collect();
    for number in 0..TRIES {
        let mut dice = fastrand::Rng::with_seed(number);
        let data = mutate::input(&pool, u64::MAX, &mut dice);
        for way in ways(&data) {
            if met.insert(way.clone()) {
                let smallest = mutate::smallest(&data, |less| ways(less).contains(&way), SMALLER_TRIES);
                std::fs::write(folder().join(&way), &smallest).expect("the corpus can be written");
                pool.push(data.clone());
                kept.insert(way, smallest);
            }
        }
    }
}
