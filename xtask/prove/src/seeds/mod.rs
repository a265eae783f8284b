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

use crate::tier::{Effort, Row, Scale, Tier, Violation};
use crate::{panics, workers};

use case::{Case, Remembers};
use play::{Keep, Played, play};

/// Seeds of each CI run, and of the long one, which begins where those of CI end.
const SEEDS: (u64, u64) = (20_000, 1_000_000);
/// Seeds over the real store.
const OVER_SLED: (u64, u64) = (400, 20_000);
/// The first of those: other histories than those in memory.
const OVER_SLED_FROM: u64 = 1 << 40;
/// Seeds that are run twice, from the first on, in CI as well.
const TWICE: u64 = 1_000;
/// Seeds that show whether a planted bug is caught.
const SAMPLE: u64 = 300;

/// The tier.
pub const TIER: Tier =
    Tier { name: "seeds", what: "whole histories of trouble from seeds, healed at the end", run, replay };

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let mut twice = workers::each(effort, "seeds run twice, same history", TWICE, repeated);
    twice.floor = TWICE;
    twice.note = "each time on a thread of its own; all that happened, was decided and was saved".to_owned();
    let seeds = many_seeds(effort, &twice);
    // Where time is limited most of it is for fresh seeds.
    let count = if effort.is_limited() { OVER_SLED.0 } else { effort.of(OVER_SLED.0, OVER_SLED.1) };
    let mut sled = workers::each_waiting(effort, "seeds over the real store", count, |seed| {
        checked(OVER_SLED_FROM + seed, Remembers::OnDisk).map(|_| 1)
    });
    sled.floor = effort.of(OVER_SLED.0, OVER_SLED.1);
    sled.note = "each daemon opens it, and a second one is turned away".to_owned();
    Ok(vec![seeds, twice, sled])
}

/// The seeds of a scale; those of CI begin with the ones that were run `twice`, which count among them.
fn many_seeds(effort: &Effort, twice: &Row) -> Row {
    let (first, count) = (effort.of(TWICE, SEEDS.0), effort.of(SEEDS.0 - TWICE, SEEDS.1));
    let end = first + count;
    let first = effort.from.unwrap_or(first).clamp(first, end);
    let count = end - first;
    let (effects, troubles, furthest) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(first));
    let mut row = workers::each(effort, "seeds", count, |number| {
        let seed = first + number;
        furthest.fetch_max(seed, Ordering::Relaxed);
        let played = checked(seed, Remembers::InMemory)?;
        effects.fetch_add(played.effects, Ordering::Relaxed);
        troubles.fetch_add(played.troubles, Ordering::Relaxed);
        Ok(1)
    });
    let each = |sum: AtomicU64| sum.into_inner() as f64 / row.done.max(1) as f64;
    let (troubles, effects, furthest) = (each(troubles), each(effects), furthest.into_inner());
    row.note = format!(
        "{first} to {furthest}; {troubles:.1} troubles and {effects:.0} effects each, all under the guard of the store"
    );
    row.floor = effort.of(SEEDS.0, SEEDS.1);
    if effort.scale == Scale::Ci {
        row.done += twice.done;
        row.note = format!("{}, and those run twice", row.note);
    }
    row
}

/// Runs a seed; answers what happened in it. A daemon that panics is a find like any other.
fn checked(seed: u64, memory: Remembers) -> Result<Played, Violation> {
    let panicked = |what| Violation { what, replay: memory.spelled(seed) };
    let played = panics::over(|| play(&Case::of(seed, memory), Keep::Wrong)).map_err(panicked)?;
    if played.wrong.is_empty() {
        return Ok(played);
    }
    Err(Violation { what: played.wrong.join("\n"), replay: memory.spelled(seed) })
}

/// Runs a seed twice, each time on a thread that has seen nothing before; neither may find anything wrong.
fn repeated(seed: u64) -> Result<u64, Violation> {
    let case = Case::of(seed, Remembers::InMemory);
    let wrong = |what: String| Violation { what, replay: Remembers::InMemory.spelled(seed) };
    let apart = |keep| std::thread::scope(|scope| scope.spawn(|| panics::over(|| play(&case, keep))).join());
    let alone = |keep| apart(keep).expect("its panics are caught").map_err(wrong);
    let (first, second) = (alone(Keep::History)?, alone(Keep::History)?);
    if first.hash != second.hash {
        let (first, second) = (alone(Keep::All)?, alone(Keep::All)?);
        let differ = first.story.lines().zip(second.story.lines()).find(|(one, other)| one != other);
        return Err(wrong(format!("two runs differ, first in {differ:?}")));
    }
    if first.wrong.is_empty() { Ok(1) } else { Err(wrong(first.wrong.join("\n"))) }
}

/// What a few hundred seeds find first, with a bug planted or without.
pub fn sample(bug: Option<Bug>) -> Option<Violation> {
    let _planted = bug.map(Planted::new);
    (0..SAMPLE).find_map(|seed| checked(seed, Remembers::InMemory).err())
}

/// Runs one seed again, with a bug planted or without; answers what is wrong.
///
/// # Errors
/// When the case is no seed.
pub fn again(case: &str, bug: Option<Bug>) -> anyhow::Result<Option<String>> {
    let _planted = bug.map(Planted::new);
    let (memory, case) = remembers(case);
    Ok(checked(seed(case)?, memory).err().map(|wrong| wrong.what))
}

/// Runs a range of seeds and prints a line for each that is wrong.
fn many(first: u64, last: u64, memory: Remembers) -> anyhow::Result<bool> {
    anyhow::ensure!(first < last, "there is no seed from {first} to before {last}");
    let effort = Effort::new(Scale::Ci, None);
    let row = workers::each(&effort, "seeds", last.saturating_sub(first), |offset| {
        checked(first + offset, memory).map(|_| 1)
    });
    for one in &row.violations {
        println!("{} {}", one.replay, one.what.replace('\n', " | "));
    }
    println!("{} of {} are well, {:.1} s", row.done, last.saturating_sub(first), row.seconds);
    Ok(row.violations.is_empty())
}

/// What a case remembers with, and the rest of it.
fn remembers(case: &str) -> (Remembers, &str) {
    case.strip_prefix("sled:").map_or((Remembers::InMemory, case), |rest| (Remembers::OnDisk, rest))
}

fn seed(case: &str) -> anyhow::Result<u64> {
    let seed = case.strip_prefix("seed:").and_then(|number| number.parse().ok());
    seed.ok_or_else(|| anyhow::anyhow!("a case is `seed:NUMBER` or `seeds:FIRST..LAST`, after `sled:` or not"))
}

fn replay(case: &str) -> anyhow::Result<bool> {
    let (memory, case) = remembers(case);
    if let Some((first, last)) = case.strip_prefix("seeds:").and_then(|range| range.split_once("..")) {
        return many(first.parse()?, last.parse()?, memory);
    }
    let case = Case::of(seed(case)?, memory);
    let played = panics::over(|| play(&case, Keep::All)).map_err(anyhow::Error::msg)?;
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
