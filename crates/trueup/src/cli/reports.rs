//! The words of what explains itself: `why`, and `debug bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use trueup_types::AppName;

use super::Text;

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The app
    #[arg(required_unless_present = "replay", conflicts_with = "replay")]
    pub name: Option<AppName>,
    #[arg(long, short, value_enum, default_value_t = Text::Text, conflicts_with_all = ["record", "replay"])]
    pub output: Text,
    /// Write the last decisions with all that they rest on to FILE; no value of an environment is in it
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub record: Option<PathBuf>,
    /// Decide again, offline, what is in FILE: 0 the same answers, 1 others, 2 error
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Debugging {
    /// Pack version, host, status, manifests, decisions, evidence, events and logs into one file, without secrets
    Bundle(Bundle),
}

#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// The file [default: trueup-debug-TIME.tar.gz, here]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// At most so many lines of each log, the newest
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub lines: usize,
}
