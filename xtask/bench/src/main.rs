//! Measures what trueup promises in figures: `cargo xtask bench` builds and runs it.
//!
//! A [`measure::Measure`] makes [`row::Row`]s; `report` shows them as a table and writes them as JSON. Read a measure in
//! the file of its name: `planner`, `noop` and `changed` work on the simulated world, the last two in processes of their
//! own; `edit`, `exit`, `revert` and `idle` on a real daemon in a [`place::Place`]; `edge` beside HAProxy and nginx;
//! `docker` on an engine of the tests' own, beside its raw API, docker-compose ([`compose`]) and a swarm ([`stack`]), with
//! the [`calls`] that it takes,
//! watched by its events ([`heard`]); `fly` on the simulated platform with its documented limits; `failed` under load.
//!
//! Knows nothing of how it was built: the binary that it measures is the one beside it.

mod calls;
mod changed;
mod compose;
mod docker;
mod edge;
mod edit;
mod exit;
mod failed;
mod fly;
mod heard;
mod idle;
mod manifest;
mod measure;
mod noop;
mod part;
mod peer;
mod place;
mod planner;
mod procfs;
mod report;
mod revert;
mod row;
mod samples;
mod stack;
mod stop;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::{Args, Parser};

use crate::measure::{MEASURES, Setting, within};
use crate::part::Part;

#[derive(Parser)]
#[command(name = "cargo xtask bench", about = "Measures what trueup promises in figures")]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
struct Asked {
    /// Only this measure or row; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Fewer samples: minutes instead of a quarter of an hour
    #[arg(long)]
    quick: bool,
    /// Where the JSON is written
    #[arg(long, default_value = "target/bench.json", value_name = "FILE")]
    out: PathBuf,
    /// Name the measures and leave
    #[arg(long)]
    list: bool,
    /// The trueup to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    if let Some(part) = cli.part {
        part::play(part)?;
        return Ok(ExitCode::SUCCESS);
    }
    let asked = cli.asked;
    if asked.list {
        for measure in MEASURES {
            println!("{:<8} {}", measure.name, measure.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    stop::on_interrupt();
    let setting = Setting { program: program(asked.program)?, quick: asked.quick, only: asked.only };
    known(&setting.only)?;
    let mut rows = Vec::new();
    for measure in MEASURES.iter().filter(|measure| setting.asks(measure.name)) {
        report::say(&format!("measuring {}: {}", measure.name, measure.about));
        let taken: Vec<_> =
            measure.take(&setting).into_iter().filter(|row| row.broken || setting.asks(&row.name)).collect();
        report::say(&report::table(&taken));
        rows.extend(taken);
        // What was measured stays, though a later measure is broken off.
        report::write(&asked.out, &rows, &setting)?;
    }
    println!("{}", report::table(&rows));
    report::say(&format!("written to {}", asked.out.display()));
    let broken = rows.iter().filter(|row| row.broken).count();
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A misspelled measure is an error, and not an empty table.
fn known(only: &[String]) -> anyhow::Result<()> {
    for name in only {
        let names: Vec<_> = MEASURES.iter().map(|measure| measure.name).collect();
        let known = names.iter().any(|measure| within(name, measure));
        ensure!(known, "there is no measure `{name}`; there are {}", names.join(", "));
    }
    Ok(())
}

fn program(asked: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let beside = || -> anyhow::Result<PathBuf> {
        let ours = std::env::current_exe().context("this program does not find itself")?;
        Ok(ours.with_file_name("trueup"))
    };
    let program = asked.map_or_else(beside, Ok)?;
    ensure!(program.is_file(), "{} is not there; `cargo xtask bench` builds it", program.display());
    Ok(std::path::absolute(program)?)
}
