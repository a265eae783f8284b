//! Fuzzes what reads from outside: texts, requests, files, and the planner with the laws as its judge.
//!
//! Each target is a file with one function over bytes, which panics when something is wrong. [`engine`] runs the committed
//! corpus of each (`xtask/prove/corpus/NAME/`) and what [`mutate`] makes of it, and cuts what fails down to its smallest.
//! Nothing here is guided by coverage.

mod control;
mod engine;
mod manifest;
pub mod mutate;
pub mod planner;
mod status;
mod store;

use std::path::PathBuf;

use trueup_museum::{Bug, Planted};

use crate::tier::{Effort, Row, Tier, Violation};
use engine::{Attempts, Target};

/// The tier.
pub const TIER: Tier = Tier { name: "fuzz", what: "feeds bytes to whatever reads from outside", run, replay };

/// Every target, with how often it is run: the counts keep CI's share at some ten seconds each on two cores.
const TARGETS: &[Target] = &[
    Target { name: "manifest", of: manifest::target, ci: 10_000, long: 1_000_000 },
    Target { name: "control", of: control::target, ci: 2_000, long: 200_000 },
    Target { name: "status", of: status::target, ci: 20_000, long: 2_000_000 },
    Target { name: "store", of: store::target, ci: 10_000, long: 1_000_000 },
    Target { name: "planner", of: planner::target, ci: 10_000, long: 1_000_000 },
];

/// Where what fails is written: beside the rest of what the proof leaves.
const FOUND: &str = "target/prove-fuzz";

/// Inputs of each target for a planted bug, the corpus first.
const SAMPLE_EACH: u64 = 5_000;

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let attempts = Attempts::new(FOUND.into())?;
    let mut rows = Vec::with_capacity(TARGETS.len());
    let shares = (1..=u32::try_from(TARGETS.len())?).rev();
    for (of, target) in shares.zip(TARGETS) {
        rows.push(engine::row(&effort.part(of), target, &attempts)?);
    }
    Ok(rows)
}

/// What some inputs of each target find first, with a bug planted or without; the planner's first, which most bugs are of.
pub fn sample(bug: Option<Bug>) -> Option<Violation> {
    let _planted = bug.map(Planted::new);
    TARGETS.iter().rev().find_map(|target| engine::first(target, SAMPLE_EACH))
}

/// Runs one input again, with a bug planted or without; answers what is wrong.
///
/// # Errors
/// When there is no such target, or the input is not hexadecimal.
pub fn again(case: &str, bug: Option<Bug>) -> anyhow::Result<Option<String>> {
    let (name, input) = case.split_once(':').ok_or_else(|| anyhow::anyhow!("`{case}` is not TARGET:HEX"))?;
    let bytes = engine::unhex(input)?;
    let _planted = bug.map(Planted::new);
    Ok(engine::fails(named(name)?, &bytes).then(|| "it panicked".to_owned()))
}

fn grown() -> anyhow::Result<bool> {
    let attempts = Attempts::new(FOUND.into())?;
    let found = planner::corpus::grow(&attempts, named("planner")?, &mut |line| println!("{line}"))?;
    Ok(found == 0)
}

fn named(name: &str) -> anyhow::Result<&'static Target> {
    let target = TARGETS.iter().find(|target| target.name == name);
    target.ok_or_else(|| anyhow::anyhow!("there is no target `{name}`"))
}

/// Runs one input again: `TARGET:HEX`, `TARGET:PATH`, or `last:PATH` for what a thread was busy with at the end; `grow` looks
/// for inputs that the planner's corpus lacks.
fn replay(case: &str) -> anyhow::Result<bool> {
    if case == "grow" {
        return grown();
    }
    let (name, input) = case.split_once(':').ok_or_else(|| anyhow::anyhow!("`{case}` is not TARGET:HEX-OR-PATH"))?;
    let path = PathBuf::from(input);
    let bytes = if path.is_file() { std::fs::read(&path)? } else { engine::unhex(input)? };
    let (name, bytes) = if name == "last" { engine::last(&bytes)? } else { (name.to_owned(), bytes) };
    let target = named(&name)?;
    println!("{} bytes:\n{}", bytes.len(), String::from_utf8_lossy(&bytes));
    let done = Attempts::new(FOUND.into())?.attempt(target, &bytes);
    match &done {
        Ok(()) => println!("well"),
        Err(wrong) => println!("wrong: {wrong}"),
    }
    Ok(done.is_ok())
}
