//! `cargo xtask test`: installs what the tests need, builds everything once, and runs everything.

use std::time::{Duration, Instant};

use clap::Args;

use crate::behind::Behind;
use crate::components::{self, FOR_TESTS};
use crate::prove;
use crate::shell::{self, cargo, say};

/// The tiers of the proof that use real files and clocks, over what fits a CI run; `cargo xtask prove` runs all at length.
const REAL: &[&str] = &["torture", "fuzz", "museum"];
/// Those whose world and time are simulated, and to whom it is all one how fast they run.
const SIMULATED: &[&str] = &["crashes", "ambiguity", "operations", "seeds", "model"];

/// The tests that start the program, and real engines; run by name alone.
const END_TO_END: &str = "end_to_end";

#[derive(Args)]
pub struct Options {
    /// Only the tests of this crate
    #[arg(long, short)]
    package: Option<String>,
}

/// Runs the tests.
///
/// # Errors
/// When a component cannot be installed under `CI=true`, or when anything fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let ci = ci();
    components::install(FOR_TESTS, ci)?;
    if !ci {
        say("CI is not set: a test that lacks a component says LEFT OUT and passes");
    }
    if let Some(package) = &options.package {
        let of_it = ["test", "--locked", "--package", package.as_str()];
        run_cargo(&of_it)?;
        // What is only run by name is of this crate, too.
        let by_name = package == "trueup-tests";
        return if by_name { run_cargo(&[&of_it[..], &["--test", END_TO_END]].concat()) } else { Ok(()) };
    }
    let mut laps = Laps::default();
    let outcome = everything(&mut laps);
    laps.tell();
    outcome
}

fn everything(laps: &mut Laps) -> anyhow::Result<()> {
    // One selection of packages throughout: with another, cargo would choose other features, and build most of it again.
    // The proof opens the museum of bugs, and so is built apart.
    let all = ["--locked", "--workspace", "--exclude", "trueup-prove"];
    let build = [&["build"][..], &all, &["--bins", "--tests"]].concat();
    laps.lap("the program and every test, built", || run_cargo(&build))?;
    laps.lap("every crate's tests", || run_cargo(&[&["test"][..], &all, &["--tests"]].concat()))?;
    let proof = ["test", "--locked", "--profile", "proof", "--package", "trueup-prove"];
    laps.lap("the proof, built, and its own tests", || run_cargo(&proof))?;
    laps.lap("the proof's tiers on real files", || prove::run(&sample_of(REAL)))?;
    // These wait far more than they compute, several at a time, and leave the processors to what only computes.
    let simulated = Behind::start(&prove::command(&sample_of(SIMULATED)))?;
    let together = ["--test", END_TO_END, "--", "--test-threads=6", "--nocapture"];
    laps.lap("end to end", || {
        let words = [&["test"][..], &all, &together].concat();
        shell::run(cargo().args(words).env("TRUEUP_BUILT", "1"))
    })?;
    laps.lap("the proof's simulated tiers, what was left of them", || simulated.finish())
}

/// What the proof is told so that it runs what a CI run takes of some tiers.
fn sample_of(tiers: &[&str]) -> Vec<String> {
    tiers.iter().flat_map(|tier| ["--only", tier]).chain(["--ci"]).map(str::to_owned).collect()
}

fn run_cargo(words: &[&str]) -> anyhow::Result<()> {
    shell::run(cargo().args(words))
}

/// How long each part took: a whole run has a bound, and who goes beyond it wants to know where.
#[derive(Default)]
struct Laps(Vec<(String, Duration)>);

impl Laps {
    #[expect(clippy::disallowed_methods, reason = "the one place of the chores that reads a clock")]
    fn lap(&mut self, what: &str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let begun = Instant::now();
        let outcome = work();
        self.0.push((what.to_owned(), begun.elapsed()));
        outcome
    }

    fn tell(&self) {
        let all: Duration = self.0.iter().map(|(_, took)| *took).sum();
        self.0.iter().for_each(|(what, took)| say(&format!("{:>5} s  {what}", took.as_secs())));
        say(&format!("{:>5} s  in all", all.as_secs()));
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place of the chores that reads the environment")]
fn ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
