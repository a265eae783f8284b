//! The words of `sim`: platforms that are simulated on this host.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Simulating {
    /// A local Machines API, as faithful as what is publicly known allows, with its faults as knobs
    Fly(SimFly),
}

#[derive(Debug, Args)]
pub(crate) struct SimFly {
    /// Where it listens; a port of 0 is chosen, and told
    #[arg(long, default_value = "127.0.0.1:4280", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// How it behaves, and what goes wrong
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// So many simulated seconds in each real one
    #[arg(long, default_value_t = 1.0, value_parser = speed, value_name = "N")]
    pub speed: f64,
    /// Time stands still, but for what is asked of /_sim/clock
    #[arg(long, conflicts_with = "speed")]
    pub by_hand: bool,
    /// Really run the commands of machines, as processes of this host: whoever reaches the port runs what they like
    #[arg(long, conflicts_with = "by_hand")]
    pub run: bool,
    /// Read the scenario, say whether it is sound, and leave
    #[arg(long, requires = "scenario")]
    pub check: bool,
}

/// Parses `10`, or `0.5`.
fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if speed.is_finite() && (0.001..=1_000_000.0).contains(&speed) {
        Ok(speed)
    } else {
        Err(format!("`{text}` is not between 0.001 and 1000000"))
    }
}
