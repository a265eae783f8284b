//! `cargo xtask prove`: builds the proof optimised, with every assertion on, and runs it.

use std::process::Command;

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
    let command = command(words);
    shell::run(Command::new(&command[0]).args(&command[1..]))
}

/// The command that does.
pub fn command(words: &[String]) -> Vec<String> {
    let package = ["run", "--locked", "--profile", "proof", "--package", "trueup-prove", "--"].map(str::to_owned);
    let cargo = cargo().get_program().to_string_lossy().into_owned();
    [cargo].into_iter().chain(package).chain(words.iter().cloned()).collect()
}
