//! Processes of this program that play one part: a simulated world that does nothing else, an edge with chosen threads.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use serde::de::DeserializeOwned;
use trueup_edge::EdgeConfig;
use trueup_types::OwnerId;

use crate::{changed, noop};

/// One part.
#[derive(Subcommand)]
pub enum Part {
    /// Passes over apps that change nothing
    #[command(hide = true)]
    Noop { apps: usize, passes: usize },
    /// Apps that all change
    #[command(hide = true)]
    Changed { apps: usize, at_once: usize },
    /// The edge, as `trueup edge` runs it, with chosen threads and log
    #[command(hide = true)]
    Edge {
        dir: PathBuf,
        listen: SocketAddr,
        threads: usize,
        #[arg(long)]
        access_log: bool,
    },
}

/// Plays a part; a measurement is printed as JSON.
///
/// # Errors
/// Those of the part.
pub fn play(part: Part) -> anyhow::Result<()> {
    match part {
        Part::Noop { apps, passes } => println!("{}", serde_json::to_string(&noop::part(apps, passes)?)?),
        Part::Changed { apps, at_once } => println!("{}", serde_json::to_string(&changed::part(apps, at_once)?)?),
        Part::Edge { dir, listen, threads, access_log } => {
            let owner = OwnerId::new(crate::edge::OWNER)?;
            let build = "bench".to_owned();
            trueup_edge::run(EdgeConfig { dir, owner, listen: vec![listen], threads, build, access_log })?;
        }
    }
    Ok(())
}

/// Has a part played by a process of its own, and reads what it measured.
///
/// # Errors
/// When it fails.
pub fn measured<T: DeserializeOwned>(words: &[String]) -> anyhow::Result<T> {
    let output = Command::new(std::env::current_exe()?).args(words).output().context("the part cannot be played")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} ended with {}: {}", words.join(" "), output.status, said.trim());
    serde_json::from_slice(&output.stdout).with_context(|| format!("{} said something else", words.join(" ")))
}
