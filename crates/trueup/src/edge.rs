//! `trueup edge`: the proxy process, which the daemon starts.

use std::process::ExitCode;

use trueup_edge::EdgeConfig;

use crate::cli::{Edge, Places};
use crate::{config, log_to_stderr, run};

/// Runs the proxy until it may leave.
pub(crate) fn run(places: &Places, asked: &Edge) -> anyhow::Result<ExitCode> {
    // A session of its own: no terminal and no death of the daemon reaches it. Where it leads one already, that is fine.
    let _ = rustix::process::setsid();
    log_to_stderr();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    trueup_edge::run(EdgeConfig {
        dir: run::edge_dir(&config::state_dir(places)),
        owner: asked.owner.clone(),
        listen: asked.listen.clone(),
        threads,
        build: run::build()?,
        access_log: true,
    })?;
    Ok(ExitCode::SUCCESS)
}
