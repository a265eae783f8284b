//! `trueup run`: puts the parts together and sees to them until told to leave.
//!
//! Source, store, runtimes and edge are made here and handed to the driver, which knows them only by their seams. Around it:
//! the lock of the state directory, the control socket, signals, and systemd's notifications.

pub(crate) mod alone;
mod edge_keeper;
mod lock;
mod machines;
mod once;
mod options;
mod service;
mod underway;
pub(crate) mod wiring;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use indicatif::MultiProgress;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use trueup_driver::Driver;

pub(crate) use wiring::OURSELVES;

use crate::cli::{Places, Run};
use crate::terminal::{interactive, say};
use crate::{config, plan, terminal};

/// Runs the daemon to its end.
pub(crate) async fn run(places: &Places, asked: &Run) -> anyhow::Result<ExitCode> {
    let asked = &options::with_config(asked)?;
    let state_dir = config::state_dir(places);
    let _lock = lock::take(&state_dir)?;
    if let Some(file) = &asked.plan {
        plan::pinned::hold(file, &asked.dir, &asked.owner, &state_dir).await?;
    }
    let files = wiring::raise_open_files();
    let house = wiring::House::build(places, asked, &state_dir, files).await?;
    let leave = CancellationToken::new();
    let driver = Arc::new(Driver::new(house.parts).await.context("the store cannot be read")?);
    let served =
        tokio::spawn(trueup_server::serve(trueup_server::socket_path(&state_dir), driver.handle(), leave.clone()));
    let keeper = tokio::spawn(house.edge.clone().keep(leave.clone()));
    let running = {
        let (driver, leave) = (Arc::clone(&driver), leave.clone());
        tokio::spawn(async move { driver.run(leave).await })
    };
    let source = Arc::clone(&house.source);
    let signals = tokio::spawn(heed_signals(leave.clone(), move || source.relist())?);
    say(&format!(
        "trueup {} keeps {} true; the edge listens on {}",
        env!("CARGO_PKG_VERSION"),
        asked.dir.display(),
        listens(asked)
    ));
    let service = tokio::spawn(service::notify(Arc::clone(&driver), leave.clone()));
    let bars = MultiProgress::new();
    let underway = tokio::spawn(underway::show(Arc::clone(&driver), bars.clone(), leave.clone()));
    let code = if asked.once {
        let code = once::converge(&driver, &bars, &leave).await;
        leave.cancel();
        code
    } else {
        leave.cancelled().await;
        ExitCode::SUCCESS
    };
    running.await.context("the driver ends")?;
    served.await.context("the control socket ends")??;
    for task in [keeper, service, underway] {
        task.await.context("a chore ends")?;
    }
    signals.abort();
    // `down` has taken the apps; the edge goes with them.
    if driver.handle().status().daemon.conditions.iter().any(|one| one.kind == "Down") {
        house.edge.take_down().await;
    } else if interactive() {
        say("the apps and the edge go on; `trueup run` takes them up again, and `trueup down` beside it stops them");
    }
    Ok(code)
}

/// Where the edge of a state directory keeps its own.
pub(crate) fn edge_dir(state_dir: &Path) -> PathBuf {
    edge_keeper::dir(state_dir)
}

/// Which build of trueup this is.
pub(crate) fn build() -> anyhow::Result<String> {
    edge_keeper::build()
}

fn listens(asked: &Run) -> String {
    let all: Vec<_> = asked.listen.iter().map(ToString::to_string).collect();
    all.join(", ")
}

/// SIGTERM and SIGINT: finish the step in hand and leave. SIGHUP: list the manifests again now.
fn heed_signals(
    leave: CancellationToken,
    relist: impl Fn() + Send + 'static,
) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => relist(),
            }
        }
        terminal::say("leaving: the steps in hand are finished");
        leave.cancel();
    })
}
