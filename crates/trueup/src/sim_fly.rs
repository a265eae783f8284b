//! `trueup sim fly`: a local Machines API on a loopback port, until told to leave.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use trueup_fly_sim::{FlySim, Machines, Pace, Scenario, serve};

use crate::cli::SimFly;
use crate::terminal::{out, say};
use crate::{config, log_to_stderr};

/// Serves until SIGINT or SIGTERM.
pub(crate) async fn run(asked: &SimFly) -> anyhow::Result<()> {
    let scenario = asked.scenario.as_deref().map(read).transpose()?.unwrap_or_default();
    if asked.check {
        out("the scenario is sound");
        return Ok(());
    }
    // Any token opens it.
    ensure!(!asked.run || asked.listen.ip().is_loopback(), "with --run it listens on a loopback address alone");
    log_to_stderr();
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let listener =
        TcpListener::bind(asked.listen).await.with_context(|| format!("cannot listen on {}", asked.listen))?;
    let base = format!("http://{}", listener.local_addr()?);
    let pace = if asked.by_hand { Pace::ByHand } else { Pace::Flowing { speed: asked.speed } };
    let sim = Arc::new(FlySim::new(scenario, pace));
    out(&format!(
        "A simulated Fly is at {base}\n\n  export FLY_FLAPS_BASE_URL={base} FLY_API_BASE_URL={base} FLY_API_TOKEN=anything"
    ));
    let machines = if asked.run { Machines::Run { base_env: config::base_env() } } else { Machines::Model };
    tokio::select! {
        never = serve(listener, sim, machines) => match never {},
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    say("the simulated Fly is gone, with all that was on it");
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Scenario> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let value = trueup_manifest::to_json(&text).ok_or_else(|| anyhow!("{} is no YAML", file.display()))?;
    serde_json::from_value(value).with_context(|| format!("{} is no scenario", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_read_from_yaml_and_a_wrong_word_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bad.yaml");
        std::fs::write(&file, "latency: {pull: 2s}\nimages: [{image: '*:bad', health: never}]\n")
            .expect("it is written");
        assert_eq!(read(&file).expect("it is sound").images.len(), 1);
        std::fs::write(&file, "latency: {pul: 2s}\n").expect("it is written");
        let why = format!("{:#}", read(&file).expect_err("nobody knows `pul`"));
        assert!(why.contains("unknown field `pul`"), "{why}");
    }
}
