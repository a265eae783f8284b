//! Proves what trueup claims: that it never leaves anybody on a broken version, whatever goes wrong.
//!
//! Each [`tier`](tier::Tier) attacks the real planner, driver, queue and store in a way of its own; see [`TIERS`]. A
//! tier answers rows: how much was done, how much has to be, and every violation with the command that replays it.
//!
//! A library, so that the program and its own tests (`tests/`) are made of one compilation: it is the largest of all.

pub mod ambiguity;
pub mod crashes;
pub mod fuzz;
pub mod model;
pub mod museum;
pub mod operations;
mod panics;
mod report;
pub mod seeds;
pub mod tier;
pub mod torture;
mod waiting;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::report::Report;
use crate::tier::{Effort, Scale, Tier};

/// The model goes through states as fast as they can be made and forgotten.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The tiers, in the order in which they run.
const TIERS: &[Tier] = &[
    crashes::TIER,
    ambiguity::TIER,
    seeds::TIER,
    model::TIER,
    operations::TIER,
    torture::TIER,
    fuzz::TIER,
    museum::TIER,
];

#[derive(Parser)]
#[command(name = "cargo xtask prove", about = "Proves what trueup claims, tier by tier")]
struct Cli {
    /// Only this tier; may be given more than once
    #[arg(long, value_name = "TIER")]
    only: Vec<String>,
    /// The sample that every CI run takes: minutes instead of hours
    #[arg(long)]
    ci: bool,
    /// Stop after so many minutes, whatever is left
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Begin at this seed: what a run that was mended has behind it is not all of it, and the row says so
    #[arg(long, value_name = "SEED")]
    from: Option<u64>,
    /// Run one case again, and tell all of it; needs one `--only`
    #[arg(long, value_name = "CASE")]
    replay: Option<String>,
    /// Where the JSON is written
    #[arg(long, default_value = "target/prove.json", value_name = "FILE")]
    out: PathBuf,
    /// Name the tiers and leave
    #[arg(long)]
    list: bool,
    /// Be a process that a tier needs
    #[arg(long, hide = true, value_name = "WORD")]
    child: Option<String>,
}

/// The program: does what the command line says.
///
/// # Errors
/// Those of the proof itself; what it finds is told, and ends in a failure.
pub fn run() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    if let Some(word) = &cli.child {
        return torture::child(word).map(|()| ExitCode::SUCCESS);
    }
    if let Some(unknown) = cli.only.iter().find(|name| !TIERS.iter().any(|tier| tier.name == name.as_str())) {
        anyhow::bail!("there is no tier `{unknown}`; `--list` names them");
    }
    let chosen = || TIERS.iter().filter(|tier| cli.only.is_empty() || cli.only.iter().any(|name| name == tier.name));
    if cli.list {
        chosen().for_each(|tier| println!("{:<10} {}", tier.name, tier.what));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(case) = &cli.replay {
        let [name] = cli.only.as_slice() else { anyhow::bail!("--replay needs one --only TIER") };
        let tier = chosen().next().ok_or_else(|| anyhow::anyhow!("there is no tier `{name}`"))?;
        return Ok(if (tier.replay)(case)? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let scale = if cli.ci { Scale::Ci } else { Scale::Long };
    let mut effort = Effort::new(scale, cli.minutes.map(|minutes| Duration::from_secs(60 * minutes)));
    effort.from = cli.from;
    let mut report = Report::default();
    for tier in chosen() {
        eprintln!("{}: {}", tier.name, tier.what);
        report.add(tier.name, (tier.run)(&effort)?);
    }
    println!("{}", report.table());
    report.write(&cli.out)?;
    Ok(if report.holds(&effort) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
