//! Kills the daemon at every boundary of every scenario, as Sieve does with operators, and goes further.
//!
//! Each scenario is played undisturbed first, and every call that the daemon makes of the world is written down: looks,
//! steps, tables, saves. Then it is played again once for each boundary {before the call, after its effect, after its
//! answer, after the save, before the flush} with the daemon killed right there and another one started; and again with
//! two deaths in one run. The laws are checked at each effect; the end, and how often anything was made, started,
//! stopped and removed, must be that of the undisturbed run. `rule` says what may differ, and why.

pub mod book;
pub mod case;
pub mod choice;
mod ending;
mod hooked;
mod nature;
mod paced;
mod person;
pub mod play;
pub mod rule;
pub mod scenario;
mod table;
pub mod vigil;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use trueup_museum::{Bug, Planted};
use trueup_sim::CallKind;

use crate::tier::{Effort, Row, Scale, Tier, Violation};
use crate::{panics, workers};

use book::{Book, Reference};
use case::{Case, deaths_at};
use play::{Death, Keep, Outcome, Trouble, play};
use scenario::Variant;

/// The tier.
pub const TIER: Tier =
    Tier { name: "crashes", what: "kills the daemon at every boundary of every scenario", run, replay };

/// Second deaths that are tried after each first one.
const SECOND_DEATHS: u64 = 8;
/// Boundaries that every run tries, at least.
const SINGLES_MIN: u64 = 15_000;
/// A prime, to step through what is numbered without a pattern.
const STRIDE: u64 = 1_000_003;
/// How long a daemon is dead that is not started again at once.
const PAUSES: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(40), Duration::from_secs(1_300)];

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let all = Variant::all();
    let variants = all.iter().copied().filter(|one| effort.scale == Scale::Long || one.is_common()).collect();
    let book = Book::of(variants);
    let calm = book.play_all(effort);
    if !calm.violations.is_empty() {
        // What is wrong by itself is no measure for what is disturbed.
        return Ok(vec![calm]);
    }
    let taken = |variant: u64, death: &Death| effort.scale == Scale::Long || choice::is_taken(variant, death);
    let once = singles(effort, &book.cases(taken));
    let cases = book.cases(|_, _| true);
    let late = later(effort, &cases);
    let twice = pairs(effort, &cases);
    Ok(vec![calm, once, late, twice])
}

/// Every boundary that is taken, once.
fn singles(effort: &Effort, cases: &[(&Reference, Death)]) -> Row {
    let count = u64::try_from(cases.len()).unwrap_or(u64::MAX);
    let mut row = workers::each(effort, "single crashes", count, |number| {
        let (reference, death) = nth(cases, number);
        reference.dies(vec![*death]).map(|_| 1)
    });
    row.floor = count.max(SINGLES_MIN);
    row
}

/// Boundaries at which the daemon stays dead for a while, and the world goes on.
fn later(effort: &Effort, cases: &[(&Reference, Death)]) -> Row {
    let count = effort.of(1_500, 60_000);
    let mut row = workers::each(effort, "single crashes, dead for a while", count, |number| {
        let (reference, death) = nth(cases, number * STRIDE);
        let pause = PAUSES[usize::try_from(number).unwrap_or(usize::MAX) % PAUSES.len()];
        reference.dies(vec![Death { pause, ..*death }]).map(|_| 1)
    });
    row.floor = count;
    row
}

/// Two deaths in one run: the second at any boundary of the life after the first.
fn pairs(effort: &Effort, cases: &[(&Reference, Death)]) -> Row {
    let firsts = effort.of(180, 33_000);
    let mut row = workers::each(effort, "crash pairs", firsts, |number| {
        let (reference, first) = nth(cases, number * STRIDE);
        let life = reference.dies(vec![*first])?;
        let seconds = deaths_of(&life);
        let count = u64::try_from(seconds.len()).unwrap_or(u64::MAX);
        let tries = SECOND_DEATHS.min(count);
        for part in 0..tries {
            // Evenly spread, beginning elsewhere each time.
            let index = (part * count / tries + number) % count;
            let second = seconds[usize::try_from(index).unwrap_or(usize::MAX)];
            reference.dies(vec![*first, second])?;
        }
        Ok(tries)
    });
    row.floor = effort.of(1_300, 250_000);
    row
}

/// The case of a number, counted round.
fn nth<'c, 'r>(cases: &'c [(&'r Reference, Death)], number: u64) -> &'c (&'r Reference, Death) {
    let count = u64::try_from(cases.len()).unwrap_or(u64::MAX);
    &cases[usize::try_from(number % count).unwrap_or(usize::MAX)]
}

/// Every death that the calls of a life allow.
fn deaths_of(life: &Outcome) -> Vec<Death> {
    let calls = CallKind::ALL.into_iter().zip(life.counts);
    calls.flat_map(|(kind, count)| (0..count).flat_map(move |number| deaths_at(kind, number))).collect()
}

/// Variants that between them go through most of what a daemon does.
const SAMPLE: [&str; 9] = [
    "update-bluegreen-2-quick",
    "update-rolling-3-quick",
    "bad-sickens-bluegreen-2-quick",
    "bad-exits-worker-2-quick",
    "delete-bluegreen-2-quick",
    "moved-rolling-2-quick",
    "suspend-bluegreen-2-quick",
    "fix-forward-rolling-2-quick",
    "capped-bluegreen-2-quick",
];
/// Boundaries of each that are tried in a sample.
const SAMPLE_EACH: usize = 24;

/// What a small sample of the tier finds first on this thread, with a bug planted.
///
/// The undisturbed runs are played with the bug too: what they break of the laws by themselves is found as well.
pub fn sample(bug: Option<Bug>) -> Option<Violation> {
    SAMPLE.into_iter().find_map(|name| {
        let variant = Variant::find(name).expect("the sample names variants that there are");
        // What should be is known from a house without the bug.
        let sound = Reference::of(variant);
        let _planted = bug.map(Planted::new);
        let step = sound.deaths.len() / SAMPLE_EACH + 1;
        let deaths = sound.deaths.iter().step_by(step).map(|death| vec![*death]);
        std::iter::once(Vec::new()).chain(deaths).find_map(|deaths| sound.dies(deaths).err())
    })
}

/// Plays one case again, with a bug planted or without; answers what is wrong.
///
/// # Errors
/// When there is no such case.
pub fn again(text: &str, bug: Option<Bug>) -> anyhow::Result<Option<String>> {
    let case = Case::parse(text)?;
    let sound = Reference::of(case.variant);
    let _planted = bug.map(Planted::new);
    Ok(sound.dies(case.deaths).err().map(|wrong| wrong.what))
}

/// Plays one case and tells all of it; `NAMES*/PART` plays every single death, dead for a while too, of the variants of
/// these names whose case has this part in it, and tells those that are wrong.
fn replay(text: &str) -> anyhow::Result<bool> {
    if let Some((names, part)) = text.split_once("*/") {
        return Ok(sweep(names, part.trim_matches('*')));
    }
    let case = Case::parse(text)?;
    let reference = Reference::of(case.variant);
    let trouble = Trouble { deaths: case.deaths.clone(), ..Trouble::default() };
    let outcome = panics::over(|| play(&case.variant, &trouble, Keep::Story)).map_err(anyhow::Error::msg)?;
    let wrong = rule::after_deaths(&reference.outcome, &outcome, &case);
    tell(&outcome, &wrong);
    Ok(wrong.is_empty())
}

fn sweep(names: &str, part: &str) -> bool {
    let book = Book::of(Variant::all().into_iter().filter(|one| one.name().starts_with(names)).collect());
    let deaths = |reference: &Reference| -> Vec<Death> {
        let pauses = || std::iter::once(Duration::ZERO).chain(PAUSES);
        let all = reference.deaths.iter().flat_map(|death| pauses().map(move |pause| Death { pause, ..*death }));
        let named =
            |death: &Death| Case { variant: reference.variant, deaths: vec![*death] }.to_string().contains(part);
        all.filter(named).collect()
    };
    let (played, wrong) = (AtomicU64::new(0), AtomicU64::new(0));
    let effort = Effort::new(Scale::Long, None);
    workers::each(&effort, "variants", book.count(), |number| {
        let reference = book.reference(number);
        for death in deaths(reference) {
            played.fetch_add(1, Ordering::Relaxed);
            if let Err(violation) = reference.dies(vec![death]) {
                wrong.fetch_add(1, Ordering::Relaxed);
                println!("{}\n  {}", violation.replay, violation.what);
            }
        }
        Ok(1)
    });
    let (wrong, played) = (wrong.into_inner(), played.into_inner());
    println!("{wrong} of {played} cases are wrong");
    wrong == 0 && played > 0
}

/// Prints all that is known of a run.
pub fn tell(outcome: &Outcome, wrong: &[String]) {
    println!("{}\nat the end:", outcome.story);
    for (key, value) in &outcome.ending.state {
        println!("  {key}: {value}");
    }
    for (tally, count) in outcome.ending.counts.iter() {
        println!("  {tally}: {count}");
    }
    wrong.iter().for_each(|one| println!("WRONG {one}"));
}
