//! `trueup rollout status NAME`: kubectl's sentences, one for each thing that changed, and the exit codes of `wait`.

use std::process::ExitCode;

use trueup_types::AppName;
use trueup_types::status::AppState;
use trueup_types::verdict::State;

use crate::cli::{Places, RolloutStatus};
use crate::status_reader;
use crate::terminal::{out, say};
use crate::wait::{GLANCE, REVERTED, verdict};

/// Runs `trueup rollout status`.
pub(crate) async fn run(places: &Places, asked: &RolloutStatus) -> anyhow::Result<ExitCode> {
    let deadline = tokio::time::Instant::now() + asked.timeout;
    let mut told = String::new();
    loop {
        let status = status_reader::read(places);
        let app = status.as_ref().ok().and_then(|status| status.app(asked.name.as_str()));
        let sentence = app.map_or_else(|| unknown(&asked.name), |app| sentence(&asked.name, &app.status));
        if sentence != told {
            out(&sentence);
            told = sentence;
        }
        let code = app.and_then(|app| verdict(&app.status.verdict.state, app.status.verdict.reverted));
        if let Some(code) = code {
            return Ok(ExitCode::from(code));
        }
        if asked.no_watch {
            return Ok(ExitCode::SUCCESS);
        }
        if tokio::time::Instant::now() >= deadline {
            say(&format!("error: timed out after {}", humantime::format_duration(asked.timeout)));
            return Ok(ExitCode::FAILURE);
        }
        tokio::time::sleep(GLANCE).await;
    }
}

fn unknown(name: &AppName) -> String {
    format!("Waiting for app \"{name}\" to be known...")
}

/// How far a rollout is, as kubectl would say it of a deployment.
fn sentence(name: &AppName, app: &AppState) -> String {
    let state = &app.verdict.state;
    let message = &app.verdict.message;
    match verdict(state, app.verdict.reverted) {
        Some(0) => return format!("app \"{name}\" successfully rolled out"),
        Some(REVERTED) => return format!("app \"{name}\" was reverted: {message}"),
        Some(_) => return format!("app \"{name}\" does not go on: {message}"),
        None => {}
    }
    let waiting = format!("Waiting for app \"{name}\" rollout to finish");
    let counts = &app.replicas;
    match state {
        State::Progressing if message.contains("of the traffic") => format!("{waiting}: {message}..."),
        State::Progressing if counts.updated < counts.desired => {
            format!("{waiting}: {} out of {} new instances have been created...", counts.updated, counts.desired)
        }
        State::Progressing => {
            format!("{waiting}: {} of {} instances are available...", counts.available, counts.desired)
        }
        State::Baking => format!("{waiting}: the new release serves and is watched..."),
        State::Ready
        | State::Completed
        | State::Reverting
        | State::Waiting(_)
        | State::Stalled(_)
        | State::Suspended
        | State::Removing
        | State::Gone
        | State::Orphaned
        | State::Unknown(_) => format!("{waiting}: {message}..."),
    }
}
