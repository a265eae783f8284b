//! The museum of bugs: plants each bug that a real system had, and shows what catches it.
//!
//! `exhibit` says of each bug which story walks straight to it and which tiers meet it by themselves; `catcher` asks
//! them. A bug that its catcher misses is a violation: a test is missing, or has been lost. The same samples run without
//! any bug too, and must then find nothing, so that a bug is caught for its own sake.

mod catcher;
mod exhibit;
mod page;
mod stories;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Mutex, Once};
use std::time::Instant;

use trueup_museum::Bug;

use self::catcher::{Catcher, STORY};
use crate::tier::{Effort, Row, Scale, Tier, Violation};
use crate::workers;

/// Bugs that there have to be.
const FLOOR: u64 = 40;

/// The tier.
pub const TIER: Tier = Tier { name: "museum", what: "bugs of real systems, planted one at a time", run, replay };

thread_local! {
    /// Whether this thread tells of its panics: a planted bug may well end in one.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Keeps the panics of planted bugs off the terminal, on this thread.
fn hush() {
    static HUSHED: Once = Once::new();
    HUSHED.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                tell(panic);
            }
        }));
    });
    QUIET.set(true);
}

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let caught: Mutex<BTreeMap<&'static str, u32>> = Mutex::default();
    let mut rows = vec![sound(effort)];
    let count = u64::try_from(Bug::ALL.len())?;
    let mut row = workers::each(effort, "bugs caught", count, |number| {
        hush();
        let bug = usize::try_from(number).ok().and_then(|number| Bug::ALL.get(number)).copied();
        let bug = bug.expect("as many cases as bugs");
        let missed = |what: String| Violation { what, replay: bug.name().to_owned() };
        for name in asked(bug, effort.scale) {
            let catcher = catcher::named(name).ok_or_else(|| missed(format!("there is no tier `{name}`")))?;
            if catcher.ask(Some(bug)).is_empty() {
                return Err(missed(format!("{} is planted, and {name} finds nothing: a test is missing", bug.name())));
            }
            *caught.lock().expect("no worker panics").entry(name).or_default() += 1;
        }
        Ok(1)
    });
    row.floor = count.max(FLOOR);
    let by: Vec<_> = caught.into_inner()?.into_iter().map(|(name, count)| format!("{name} {count}")).collect();
    row.note = format!("by {}", by.join(", "));
    rows.push(row);
    rows.push(page_row());
    Ok(rows)
}

/// Who has to catch a bug: in CI the first that is named, else all of them.
fn asked(bug: Bug, scale: Scale) -> Vec<&'static str> {
    let tiers = exhibit::of(bug).tiers.iter().copied();
    match scale {
        Scale::Ci => tiers.chain([STORY]).take(1).collect(),
        Scale::Long => tiers.chain([STORY]).collect(),
    }
}

/// Without a bug every story holds; the other tiers run without one by themselves.
fn sound(effort: &Effort) -> Row {
    let stories = stories::all();
    let count = u64::try_from(stories.len()).unwrap_or(u64::MAX);
    let mut row = workers::each(effort, "stories without a bug", count, |number| {
        hush();
        let story = usize::try_from(number).ok().and_then(|number| stories.get(number)).expect("as many as stories");
        stories::told(*story).map_or(Ok(1), Err)
    });
    row.floor = count;
    row
}

fn page_row() -> Row {
    let begun = Instant::now();
    let stale = Violation { what: "docs/museum.md is not up to date".to_owned(), replay: "write-docs".to_owned() };
    let violations = if page::up_to_date() { Vec::new() } else { vec![stale] };
    Row {
        what: "pages up to date".to_owned(),
        done: 1,
        floor: 1,
        violations,
        seconds: begun.elapsed().as_secs_f64(),
        note: String::new(),
    }
}

/// `write-docs` writes the page; the name of a story or of a catcher runs it without a bug; a bug's name plants it and
/// tries every catcher on it, and `matrix` does so for all bugs, a line each.
fn replay(case: &str) -> anyhow::Result<bool> {
    hush();
    if case == "write-docs" {
        page::write()?;
        println!("{} bugs are on the page", Bug::ALL.len());
        return Ok(true);
    }
    if case == "matrix" {
        return Ok(matrix(catcher::ALL));
    }
    if let Some(one) = case.strip_prefix("matrix:").and_then(catcher::named) {
        return Ok(matrix(std::slice::from_ref(one)));
    }
    if let Some(story) = stories::all().into_iter().find(|story| story.name == case) {
        let found = stories::told(story);
        println!("{}", found.as_ref().map_or("it holds", |one| one.what.as_str()));
        return Ok(found.is_none());
    }
    if let Some(catcher) = catcher::named(case) {
        let found = catcher.ask(None);
        found.iter().for_each(|one| println!("{}", one.what));
        return Ok(found.is_empty());
    }
    let bug = Bug::ALL.iter().copied().find(|bug| bug.name() == case);
    let bug = bug.ok_or_else(|| anyhow::anyhow!("there is no bug `{case}`; docs/museum.md has them all"))?;
    println!("{}: {}\nseen in {}", bug.name(), bug.story(), bug.seen());
    let mut caught = false;
    for catcher in catcher::ALL {
        let begun = Instant::now();
        let found = catcher.ask(Some(bug));
        let seconds = begun.elapsed().as_secs_f64();
        match found.first() {
            Some(first) => println!("=== {} catches it ({seconds:.1} s)\n{}", catcher.name, first.what),
            None => println!("=== {} finds nothing ({seconds:.1} s)", catcher.name),
        }
        caught |= !found.is_empty();
    }
    Ok(caught)
}

/// Tries these catchers on every bug, and prints who catches what.
fn matrix(catchers: &'static [Catcher]) -> bool {
    let effort = Effort::new(Scale::Ci, None);
    let count = u64::try_from(Bug::ALL.len()).unwrap_or(u64::MAX);
    let row = workers::each(&effort, "bugs", count, |number| {
        hush();
        let Some(bug) = usize::try_from(number).ok().and_then(|number| Bug::ALL.get(number)) else { return Ok(0) };
        let tried = catchers.iter().map(|catcher| {
            let begun = Instant::now();
            let found = catcher.ask(Some(*bug)).into_iter().next();
            let line = found.as_ref().map(|one| one.what.lines().next().unwrap_or_default().to_owned());
            (catcher.name, begun.elapsed().as_secs_f64(), line)
        });
        let told: Vec<_> = tried
            .map(|(name, seconds, line)| match line {
                Some(line) => format!("  {name:<10} {seconds:>5.1} s  {line}"),
                None => format!("  {name:<10} {seconds:>5.1} s  -"),
            })
            .collect();
        println!("{}\n{}", bug.name(), told.join("\n"));
        Ok(1)
    });
    row.violations.is_empty()
}
