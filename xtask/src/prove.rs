//! `cargo xtask prove`: builds the proof optimised, with every assertion on, and runs it.

use clap::Args;

use crate::shell::{self, cargo};

#[derive(Args)]
pub struct Options {
    /// What the proof is told: `--only TIER`, `--minutes N`, `--ci`, `--replay CASE`, `--list`; `-- --help` tells more
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// Builds and proves.
///
/// # Errors
/// When it does not build, when something is violated, or when less was done than has to be.
pub fn run(words: &[String]) -> anyhow::Result<()> {
    let package = ["run", "--locked", "--profile", "proof", "--package", "trueup-prove", "--"];
    shell::run(cargo().args(package).args(words))
}
