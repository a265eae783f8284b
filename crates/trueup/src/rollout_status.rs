//! `trueup rollout status NAME`: kubectl's sentences, one for each thing that changed, and the exit codes of `wait`.

use std::process::ExitCode;

use trueup_types::AppName;
use trueup_types::status::{AppState, InstanceStatus};
use trueup_types::verdict::State;

use crate::cli::{Places, RolloutStatus};
use crate::status_reader;
use crate::terminal::{out, say};
use crate::wait::{AWAITING, GLANCE, REVERTED, code, message};

/// The phase of a release of which something is restored.
const LIVE: &str = "Live";

/// Runs `trueup rollout status`.
pub(crate) async fn run(places: &Places, asked: &RolloutStatus) -> anyhow::Result<ExitCode> {
    let deadline = tokio::time::Instant::now() + asked.timeout;
    let mut told = String::new();
    loop {
        let status = status_reader::read(places);
        let app = status.as_ref().ok().and_then(|status| status.app(asked.name.as_str()));
        let sentence = match (&status, app) {
            (_, Some(app)) => sentence(&asked.name, &app.status),
            (Ok(_), None) => format!("Waiting for app \"{}\" to be known...", asked.name),
            (Err(why), None) => format!("Waiting for app \"{}\" to be known; {why}...", asked.name),
        };
        if sentence != told {
            out(&sentence);
            told = sentence;
        }
        let code = app.and_then(|app| code(&app.status));
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

/// How far a rollout is, as kubectl would say it of a deployment, and what keeps it.
fn sentence(name: &AppName, app: &AppState) -> String {
    let message = message(app);
    match code(app) {
        Some(0) => return format!("app \"{name}\" successfully rolled out"),
        Some(REVERTED) => return format!("app \"{name}\" was reverted: {message}"),
        Some(AWAITING) => return format!("app \"{name}\" waits for you: {message}"),
        Some(_) => return format!("app \"{name}\" does not go on: {message}"),
        None => {}
    }
    let waiting = format!("Waiting for app \"{name}\" rollout to finish");
    match &app.verdict.state {
        State::Progressing => format!("{waiting}: {}...", progress(app)),
        State::Baking => format!("{waiting}: the new release serves and is watched..."),
        State::Waiting(hold) => format!("{waiting}: {hold}..."),
        State::Ready
        | State::Completed
        | State::Reverting
        | State::Stalled(_)
        | State::Suspended
        | State::Removing
        | State::Gone
        | State::Orphaned
        | State::Unknown(_) => format!("{waiting}: {message}..."),
    }
}

fn progress(app: &AppState) -> String {
    let counts = &app.replicas;
    let Some(release) = &app.release else { return app.verdict.message.clone() };
    let new = || app.instances.iter().filter(|one| one.revision == release.number);
    // Where a canary stands, what is restored, and which hook runs: the message says more than counts do.
    if app.word == "RunningHook" || release.share.is_some() || release.phase == LIVE {
        return app.verdict.message.clone();
    }
    // What was promised is not what was seen: one that fails its probes has been created, and is not coming up.
    let unwell = new().filter(|one| one.health != "Passing").find_map(unwell).unwrap_or_default();
    let created = new().count();
    if u32::try_from(created).is_ok_and(|created| created < counts.desired) {
        return format!("{created} out of {} new instances have been created{unwell}", counts.desired);
    }
    let passing = new().filter(|one| one.health == "Passing").count();
    format!("{passing} of {} new instances pass their probes{unwell}", counts.desired)
}

/// What is known against an instance that does not pass.
fn unwell(one: &InstanceStatus) -> Option<String> {
    let why = match (&one.health_detail, one.restarts) {
        (Some(detail), _) => detail.clone(),
        (None, 0) => return None,
        (None, 1) => "it has exited".to_owned(),
        (None, times) => format!("it has exited {times} times"),
    };
    Some(format!("; {}: {why}", one.name))
}
