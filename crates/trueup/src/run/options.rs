//! `--config FILE`: the options of `run` from a YAML file; the command line wins.

use std::net::SocketAddr;

use anyhow::Context as _;
use serde::Deserialize;
use trueup_types::OwnerId;

use crate::cli::{Run, duration};

/// What the file may say.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct File {
    listen: Vec<SocketAddr>,
    resync: Option<String>,
    settle: Option<String>,
    owner: Option<OwnerId>,
    max_rollouts: Option<usize>,
}

/// The options, with what the file says where the command line says nothing of its own.
pub(crate) fn with_config(asked: &Run) -> anyhow::Result<Run> {
    let mut run = Run {
        dir: asked.dir.clone(),
        listen: asked.listen.clone(),
        once: asked.once,
        plan: asked.plan.clone(),
        resync: asked.resync,
        settle: asked.settle,
        owner: asked.owner.clone(),
        max_rollouts: asked.max_rollouts,
        config: asked.config.clone(),
    };
    let Some(path) = &asked.config else { return Ok(run) };
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let value = trueup_manifest::to_json(&text).with_context(|| format!("{} is not YAML", path.display()))?;
    let file: File = serde_json::from_value(value).with_context(|| path.display().to_string())?;
    let plain = defaults();
    if run.listen == plain.listen && !file.listen.is_empty() {
        run.listen = file.listen;
    }
    if let Some(resync) = file.resync.filter(|_| run.resync == plain.resync) {
        run.resync = duration(&resync).with_context(|| format!("{}: resync", path.display()))?;
    }
    if let Some(settle) = file.settle.filter(|_| run.settle == plain.settle) {
        run.settle = duration(&settle).with_context(|| format!("{}: settle", path.display()))?;
    }
    if let Some(owner) = file.owner.filter(|_| run.owner == plain.owner) {
        run.owner = owner;
    }
    if let Some(most) = file.max_rollouts.filter(|_| run.max_rollouts == plain.max_rollouts) {
        run.max_rollouts = most;
    }
    Ok(run)
}

/// What the command line says when it says nothing.
fn defaults() -> Run {
    use clap::Parser as _;
    #[derive(clap::Parser)]
    struct Bare {
        #[command(flatten)]
        run: Run,
    }
    Bare::parse_from(["trueup"]).run
}
