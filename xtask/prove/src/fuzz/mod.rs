//! Fuzzes what reads from outside: texts, requests, files, and the planner with the laws as its judge.
//!
//! Each target is a file with one function over bytes, which panics when something is wrong. [`engine`] runs the committed
//! corpus of each (`xtask/prove/corpus/NAME/`) and what [`mutate`] makes of it, and cuts what fails down to its smallest.
//! Nothing here is guided by coverage.

mod control;
mod engine;
mod manifest;
mod mutate;
mod planner;
mod status;
mod store;

use std::path::PathBuf;

use crate::tier::{Effort, Row, Tier};
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

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let attempts = Attempts::new(FOUND.into())?;
    let mut rows = Vec::with_capacity(TARGETS.len());
    for target in TARGETS {
        rows.push(engine::row(effort, target, &attempts)?);
    }
    Ok(rows)
}

/// Runs one input again: `TARGET:HEX`, `TARGET:PATH`, or `last:PATH` for what a thread was busy with at the end.
fn replay(case: &str) -> anyhow::Result<bool> {
    let (name, input) = case.split_once(':').ok_or_else(|| anyhow::anyhow!("`{case}` is not TARGET:HEX-OR-PATH"))?;
    let path = PathBuf::from(input);
    let bytes = if path.is_file() { std::fs::read(&path)? } else { engine::unhex(input)? };
    let (name, bytes) = if name == "last" { engine::last(&bytes)? } else { (name.to_owned(), bytes) };
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.ok_or_else(|| anyhow::anyhow!("there is no target `{name}`"))?;
    println!("{} bytes:\n{}", bytes.len(), String::from_utf8_lossy(&bytes));
    let done = Attempts::new(FOUND.into())?.attempt(target, &bytes);
    match &done {
        Ok(()) => println!("well"),
        Err(wrong) => println!("wrong: {wrong}"),
    }
    Ok(done.is_ok())
}
