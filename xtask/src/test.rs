//! `cargo xtask test`: installs what the tests need, builds everything once, and runs everything.

use std::time::{Duration, Instant};

use clap::Args;

use crate::components::{self, FOR_TESTS};
use crate::prove;
use crate::shell::{self, cargo, say};

/// The tiers of the proof, over what fits a CI run; `cargo xtask prove` runs them at length.
const PROVEN: &[&str] = &["crashes", "ambiguity", "operations", "seeds", "model", "torture", "fuzz", "museum"];

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
        return run_cargo(&["test", "--locked", "--package", package]);
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
    let tiers = PROVEN.iter().flat_map(|tier| ["--only", tier]);
    let words: Vec<_> = tiers.chain(["--ci"]).map(str::to_owned).collect();
    laps.lap("the proof's tiers", || prove::run(&words))?;
    // Several at a time on any machine: they wait far more than they compute.
    let together = ["--test", END_TO_END, "--", "--test-threads=4", "--nocapture"];
    laps.lap("end to end", || run_cargo(&[&["test"][..], &all, &together].concat()))
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
