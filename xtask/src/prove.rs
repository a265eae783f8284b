//! `cargo xtask prove`: builds the proof optimised, with every assertion on, and runs it.
//!
//! What takes an hour and more is built for several minutes longer, across crates, and runs a quarter faster for it.

use std::process::Command;

use clap::Args;

use crate::shell::{self, cargo};

#[derive(Args)]
pub struct Options {
    /// What the proof is told: `--only TIER`, `--minutes N`, `--ci`, `--from SEED`, `--replay CASE`, `--list`; `-- --help` tells more
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

/// Whether it takes an hour and more: the full number of the tiers that play whole histories.
fn is_long(words: &[String]) -> bool {
    let is = |word: &&str| words.iter().any(|said| said == word || said.starts_with(&format!("{word}=")));
    let short = ["--ci", "--replay", "--minutes", "--list", "--help", "-h"].iter().any(is);
    let all = !is(&"--only");
    !short && (all || ["seeds", "crashes", "--only=seeds", "--only=crashes"].iter().any(is))
}

/// The command that does.
pub fn command(words: &[String]) -> Vec<String> {
    let profile = if is_long(words) { "proof-long" } else { "proof" };
    let package = ["run", "--locked", "--profile", profile, "--package", "trueup-prove", "--"].map(str::to_owned);
    let cargo = cargo().get_program().to_string_lossy().into_owned();
    [cargo].into_iter().chain(package).chain(words.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(words: &str) -> String {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        command(&words)[4].clone()
    }

    #[test]
    fn only_what_takes_hours_is_built_for_longer() {
        for long in ["", "--only seeds", "--only=crashes", "--only model --only seeds --out /dev/null"] {
            assert_eq!(profile(long), "proof-long", "{long}");
        }
        for short in
            ["--ci", "--only seeds --ci", "--only seeds --replay seed:7", "--minutes 5", "--list", "--only torture"]
        {
            assert_eq!(profile(short), "proof", "{short}");
        }
    }
}
