//! Whole-system runs from seeds: a world, a history of edits and troubles, a heal phase, and a day of stillness.
//!
//! The real planner, driver and queue run in the simulated world; a seed gives the `setting` and its `history`. When
//! trouble stops the world must converge within a bound, to what the manifests and the rejections say (`oracle`), having
//! broken no law on the way, and must then stay as it is.

mod case;
pub mod dice;
mod event;
mod history;
mod on_disk;
mod oracle;
mod play;
pub mod scribe;
mod setting;
mod shelf;
mod shrink;
pub mod stage;
mod trouble;

use std::sync::atomic::{AtomicU64, Ordering};

use trueup_museum::{Bug, Planted};

use crate::tier::{Effort, Row, Tier, Violation};
use crate::workers;

use case::{Case, Remembers};
use play::{Keep, Played, play};

/// Seeds of each CI run, and of the long one.
const SEEDS: (u64, u64) = (20_000, 1_000_000);
/// Seeds over the real store.
const OVER_SLED: (u64, u64) = (400, 20_000);
/// The first of those: other histories than those in memory.
const OVER_SLED_FROM: u64 = 1 << 40;
/// Seeds that are run twice.
const TWICE: u64 = 1_000;
/// Seeds that show whether a planted bug is caught.
const SAMPLE: u64 = 300;

/// The tier.
pub const TIER: Tier =
    Tier { name: "seeds", what: "whole histories of trouble from seeds, healed at the end", run, replay };

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let count = effort.of(SEEDS.0, SEEDS.1);
    let (effects, troubles) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut seeds = workers::each(effort, "seeds", count, |seed| {
        let played = checked(seed, Remembers::Simulated)?;
        effects.fetch_add(played.effects, Ordering::Relaxed);
        troubles.fetch_add(played.troubles, Ordering::Relaxed);
        Ok(1)
    });
    seeds.floor = count;
    let each = |sum: AtomicU64| sum.into_inner() as f64 / seeds.done.max(1) as f64;
    seeds.note = format!("{:.1} troubles and {:.0} effects each", each(troubles), each(effects));
    let mut twice = workers::each(effort, "seeds run twice, same hash", TWICE, repeated);
    twice.floor = TWICE;
    let count = effort.of(OVER_SLED.0, OVER_SLED.1);
    let mut sled = workers::each(effort, "seeds over the real store", count, |seed| {
        checked(OVER_SLED_FROM + seed, Remembers::OnDisk).map(|_| 1)
    });
    sled.floor = count;
    sled.note = "each daemon opens it, and a second one is turned away".to_owned();
    Ok(vec![seeds, twice, sled])
}

/// Runs a seed; answers what happened in it.
fn checked(seed: u64, memory: Remembers) -> Result<Played, Violation> {
    let played = play(&Case::of(seed, memory), Keep::Wrong);
    if played.wrong.is_empty() {
        return Ok(played);
    }
    Err(Violation { what: played.wrong.join("\n"), replay: memory.spelled(seed) })
}

fn repeated(seed: u64) -> Result<u64, Violation> {
    let case = Case::of(seed, Remembers::Simulated);
    let (first, second) = (play(&case, Keep::All), play(&case, Keep::All));
    if first.hash == second.hash {
        return Ok(1);
    }
    let differ = first.story.lines().zip(second.story.lines()).find(|(one, other)| one != other);
    Err(Violation { what: format!("two runs differ first in {differ:?}"), replay: format!("seed:{seed}") })
}

/// What a few hundred seeds find, with a bug planted or without.
pub fn sample(bug: Option<Bug>) -> Vec<Violation> {
    let _planted = bug.map(Planted::new);
    (0..SAMPLE).filter_map(|seed| checked(seed, Remembers::Simulated).err()).collect()
}

/// Runs a range of seeds and prints a line for each that is wrong.
fn many(first: u64, last: u64, memory: Remembers) -> anyhow::Result<bool> {
    let effort = Effort::new(crate::tier::Scale::Ci, None);
    let row = workers::each(&effort, "seeds", last.saturating_sub(first), |offset| {
        checked(first + offset, memory).map(|_| 1)
    });
    for one in &row.violations {
        println!("{} {}", one.replay, one.what.replace('\n', " | "));
    }
    println!("{} of {} are well, {:.1} s", row.done, last.saturating_sub(first), row.seconds);
    Ok(row.violations.is_empty())
}

fn replay(case: &str) -> anyhow::Result<bool> {
    let (memory, case) = match case.strip_prefix("sled:") {
        Some(case) => (Remembers::OnDisk, case),
        None => (Remembers::Simulated, case),
    };
    if let Some((first, last)) = case.strip_prefix("seeds:").and_then(|range| range.split_once("..")) {
        return many(first.parse()?, last.parse()?, memory);
    }
    let seed = case.strip_prefix("seed:").and_then(|number| number.parse().ok());
    let seed =
        seed.ok_or_else(|| anyhow::anyhow!("a case is `seed:NUMBER` or `seeds:FIRST..LAST`, after `sled:` or not"))?;
    let case = Case::of(seed, memory);
    let played = play(&case, Keep::All);
    println!("{}", played.story);
    if played.wrong.is_empty() {
        println!("nothing is wrong");
        return Ok(true);
    }
    println!("=== wrong\n{}", played.wrong.join("\n"));
    let shortest = shrink::shrunk(&case);
    let again = play(&shortest, Keep::All);
    println!("=== the shortest that is still wrong\n{}\n=== wrong\n{}", again.story, again.wrong.join("\n"));
    Ok(false)
}
