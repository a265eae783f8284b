//! The museum of bugs: plants each bug that a real system had, and shows what catches it.
//!
//! `exhibit` says of each bug which story walks straight to it; `kept` holds, of each tier that meets it by itself, the
//! case in which it did. Every story and every kept case is played twice: with its bug it has to break, and without it
//! has to hold, so that a bug is caught for its own sake. A bug that its story misses is a violation, and so is a tier
//! that no longer meets what the page says: a test is missing, or has been lost.

pub mod catcher;
mod exhibit;
mod kept;
mod page;
mod stories;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use trueup_museum::Bug;

use self::catcher::Catcher;
use self::kept::Kept;
use crate::panics::hush;
use crate::tier::{Effort, Row, Scale, Tier, Violation};
use crate::workers;

/// Bugs that there have to be.
const FLOOR: u64 = 40;

/// The tier.
pub const TIER: Tier = Tier { name: "museum", what: "bugs of real systems, planted one at a time", run, replay };

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let kept = Kept::read()?;
    Ok(vec![sound(effort), caught(effort), met(effort, &kept), page_row(&kept)])
}

/// Each bug is caught by its story.
fn caught(effort: &Effort) -> Row {
    let count = u64::try_from(Bug::ALL.len()).unwrap_or(u64::MAX);
    let mut row = workers::each(effort, "bugs caught by their stories", count, |number| {
        hush();
        let bug = *nth(Bug::ALL, number);
        match stories::sample(Some(bug)) {
            Some(_) => Ok(1),
            None => Err(Violation {
                what: format!("{} is planted, and its story holds: a test is missing", bug.name()),
                replay: bug.name().to_owned(),
            }),
        }
    });
    row.floor = count.max(FLOOR);
    row
}

/// Each tier still meets what the page says that it meets.
fn met(effort: &Effort, kept: &Kept) -> Row {
    let all = kept.all();
    let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let by: Mutex<BTreeMap<&'static str, u32>> = Mutex::default();
    let moved = AtomicU64::new(0);
    let mut row = workers::each(effort, "bugs met by tiers", count, |number| {
        hush();
        let (bug, tier, case) = *nth(&all, number);
        let missed = |what: String| Violation { what, replay: format!("{}:{}", bug.name(), tier.name) };
        let play = |bug: Option<Bug>| tier.play(case, bug).map_err(|why| missed(format!("`{case}`: {why:#}")));
        if play(Some(bug))?.is_none() {
            // The house has changed around the case; what counts is that the tier still meets the bug.
            moved.fetch_add(1, Ordering::Relaxed);
            let Some(found) = tier.ask(Some(bug)) else {
                return Err(missed(format!("{} no longer finds {}: a test has been lost", tier.name, bug.name())));
            };
            let without = tier.play(&found.replay, None).map_err(|why| missed(format!("{}: {why:#}", found.what)))?;
            if let Some(wrong) = without {
                return Err(missed(format!("`{}` is wrong without {} too: {wrong}", found.replay, bug.name())));
            }
        }
        if let Some(wrong) = play(None)? {
            return Err(missed(format!("`{case}` of {} is wrong without a bug: {wrong}", tier.name)));
        }
        *by.lock().expect("no worker panics").entry(tier.name).or_default() += 1;
        Ok(1)
    });
    row.floor = count;
    let by: Vec<_> = by.into_inner().expect("no worker panics").into_iter().collect();
    row.note = by.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ");
    let moved = moved.into_inner();
    if moved > 0 {
        row.note += &format!("; {moved} cases no longer do, `--replay keep` looks for others");
    }
    row
}

fn nth<T>(all: &[T], number: u64) -> &T {
    &all[usize::try_from(number).expect("as many cases as there are")]
}

/// Without a bug every story holds.
fn sound(effort: &Effort) -> Row {
    let stories = stories::all();
    let count = u64::try_from(stories.len()).unwrap_or(u64::MAX);
    let mut row = workers::each(effort, "stories without a bug", count, |number| {
        hush();
        stories::told(*nth(&stories, number)).map_or(Ok(1), Err)
    });
    row.floor = count;
    row
}

fn page_row(kept: &Kept) -> Row {
    let begun = Instant::now();
    let stale = Violation { what: "docs/museum.md is not up to date".to_owned(), replay: "write-docs".to_owned() };
    let violations = if page::up_to_date(kept) { Vec::new() } else { vec![stale] };
    Row {
        what: "pages up to date".to_owned(),
        done: 1,
        floor: 1,
        violations,
        seconds: begun.elapsed().as_secs_f64(),
        note: String::new(),
    }
}

/// What may be asked for by name:
///
/// - a bug: plants it, and shows what each tier finds; `BUG:TIER` plays the case that is kept, with it and without,
/// - a story or a tier: runs it without a bug,
/// - `matrix` or `matrix:TIER`: all bugs, a line for each tier, every sample asked anew,
/// - `keep` or `keep:TIER`: looks for cases to keep and writes them and the page; `write-docs` writes the page alone.
fn replay(case: &str) -> anyhow::Result<bool> {
    hush();
    let (word, tier) = case.split_once(':').map_or((case, None), |(word, tier)| (word, Some(tier)));
    let tier = tier.map(|name| catcher::named(name).ok_or_else(|| anyhow::anyhow!("no tier `{name}` catches")));
    let tier = tier.transpose()?;
    match word {
        "write-docs" => written(&Kept::read()?),
        "keep" => written(&Kept::write(tier)?),
        "matrix" => Ok(matrix(tier)),
        _ => match (Bug::ALL.iter().find(|bug| bug.name() == word), tier) {
            (Some(bug), Some(tier)) => again(*bug, tier),
            (Some(bug), None) => Ok(planted(*bug)),
            (None, _) => alone(word),
        },
    }
}

fn written(kept: &Kept) -> anyhow::Result<bool> {
    page::write(kept)?;
    println!("{} bugs are on the page, and {} cases are kept", Bug::ALL.len(), kept.all().len());
    Ok(true)
}

/// Runs a story or a tier's sample without a bug.
fn alone(name: &str) -> anyhow::Result<bool> {
    let found = match (stories::all().into_iter().find(|story| story.name == name), catcher::named(name)) {
        (Some(story), _) => stories::told(story),
        (None, Some(catcher)) => catcher.ask(None),
        (None, None) => anyhow::bail!("there is no bug `{name}`; docs/museum.md has them all"),
    };
    println!("{}", found.as_ref().map_or("it holds", |one| one.what.as_str()));
    Ok(found.is_none())
}

/// Plays the case that is kept of a bug and a tier, with the bug and without.
fn again(bug: Bug, tier: &Catcher) -> anyhow::Result<bool> {
    let kept = Kept::read()?;
    let case = kept.case(bug, tier.name).ok_or_else(|| anyhow::anyhow!("{} keeps no such case", tier.name))?;
    let (with, without) = (tier.play(case, Some(bug))?, tier.play(case, None)?);
    println!("{case}\n=== with {}\n{}", bug.name(), with.as_deref().unwrap_or("nothing is wrong"));
    println!("=== without\n{}", without.as_deref().unwrap_or("nothing is wrong"));
    Ok(with.is_some() && without.is_none())
}

/// Plants a bug and shows what every tier's sample finds first.
fn planted(bug: Bug) -> bool {
    println!("{}: {}\nseen in {}", bug.name(), bug.story(), bug.seen());
    let mut caught = false;
    for catcher in catcher::ALL {
        let begun = Instant::now();
        let found = catcher.ask(Some(bug));
        let seconds = begun.elapsed().as_secs_f64();
        match &found {
            Some(found) => {
                println!("=== {} catches it ({seconds:.1} s): {}\n{}", catcher.name, found.replay, found.what)
            }
            None => println!("=== {} finds nothing ({seconds:.1} s)", catcher.name),
        }
        caught |= found.is_some();
    }
    caught
}

/// Asks one tier or all about every bug, and prints who catches what.
fn matrix(only: Option<&'static Catcher>) -> bool {
    let catchers: Vec<_> = catcher::ALL.iter().filter(|one| only.is_none_or(|only| only.name == one.name)).collect();
    let effort = Effort::new(Scale::Ci, None);
    let count = u64::try_from(Bug::ALL.len()).unwrap_or(u64::MAX);
    let row = workers::each(&effort, "bugs", count, |number| {
        hush();
        let bug = *nth(Bug::ALL, number);
        let told = catchers.iter().map(|catcher| {
            let begun = Instant::now();
            let found = catcher.ask(Some(bug));
            let seconds = begun.elapsed().as_secs_f64();
            let line = found.as_ref().map_or("-", |one| one.what.lines().next().unwrap_or_default());
            format!("  {:<10} {seconds:>5.1} s  {line}", catcher.name)
        });
        println!("{}\n{}", bug.name(), told.collect::<Vec<_>>().join("\n"));
        Ok(1)
    });
    row.violations.is_empty()
}
