//! `cargo xtask test`: installs what the tests need, builds everything once, and runs everything.

use clap::Args;

use crate::components::{self, FOR_TESTS};
use crate::prove;
use crate::shell::{self, cargo, say};

/// The tiers of the proof that hold, over the sample that fits a CI run. The others find what is not mended yet;
/// `cargo xtask prove` runs all of them.
const PROVEN: &[&str] = &["operations", "torture", "museum"];

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
    // The binary first: the end-to-end tests start it.
    run_cargo(&["build", "--locked", "--package", "trueup"])?;
    // The proof opens the museum of bugs, and so is built apart.
    let apart = ["--exclude", "trueup-tests", "--exclude", "trueup-prove"];
    run_cargo(&[&["test", "--locked", "--workspace"][..], &apart].concat())?;
    run_cargo(&["test", "--locked", "--profile", "proof", "--package", "trueup-prove"])?;
    let tiers = PROVEN.iter().flat_map(|tier| ["--only", tier]);
    let words: Vec<_> = tiers.chain(["--ci"]).map(str::to_owned).collect();
    prove::run(&words)?;
    // One at a time: they load both cores, and count failed requests.
    run_cargo(&["test", "--locked", "--package", "trueup-tests", "--", "--test-threads=1", "--nocapture"])
}

fn run_cargo(words: &[&str]) -> anyhow::Result<()> {
    shell::run(cargo().args(words))
}

#[expect(clippy::disallowed_methods, reason = "the one place of the chores that reads the environment")]
fn ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
