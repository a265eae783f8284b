//! `trueup wait app/NAME --for=ready`: 0 ready at the wanted revision, 1 error or timeout, 3 reverted, 4 awaiting approval.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use trueup_types::record::Outcome;
use trueup_types::status::{AppState, AppStatus, ConditionStatus};
use trueup_types::verdict::State;
use trueup_types::{AppName, Hold};

use crate::cli::{Places, Wait};
use crate::status_reader;
use crate::terminal::{Progress, out, say};

/// The app went back to an older release.
pub(crate) const REVERTED: u8 = 3;
/// The app waits for a person.
pub(crate) const AWAITING: u8 = 4;
/// The word of an app whose newest manifest does not parse: the last good one serves, and it is not what was asked for.
pub(crate) const INVALID: &str = "ManifestInvalid";
/// From one look at the file to the next.
pub(crate) const GLANCE: Duration = Duration::from_millis(100);

/// Runs `trueup wait`.
pub(crate) async fn run(places: &Places, asked: &Wait) -> anyhow::Result<ExitCode> {
    let Some(name) = asked.object.strip_prefix("app/") else {
        bail!("`{}` is not app/NAME", asked.object);
    };
    let name = AppName::new(name)?;
    let deadline = tokio::time::Instant::now() + asked.timeout;
    let mut progress = Progress::new();
    let mut last = String::from("it is not known yet");
    loop {
        if let Ok(status) = status_reader::read(places)
            && let Some(app) = status.app(name.as_str())
        {
            last = format!("{}: {}", app.status.word, message(&app.status));
            progress.show(&format!("app/{name} {last}"));
            if let Some(code) = ended(app, asked) {
                progress.done();
                out(&format!("app/{name} {last}"));
                return Ok(ExitCode::from(code));
            }
        }
        if tokio::time::Instant::now() >= deadline {
            progress.done();
            say(&format!("app/{name} was not ready within {}; {last}", humantime::format_duration(asked.timeout)));
            return Ok(ExitCode::FAILURE);
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// The exit code, once the app has got somewhere.
fn ended(app: &AppStatus, asked: &Wait) -> Option<u8> {
    let state = &app.status;
    // A revision that is over already needs no more waiting.
    if let Some(revision) = asked.revision {
        let note = state.history.iter().find(|note| note.revision == revision)?;
        return match note.outcome {
            Some(Outcome::Live) => Some(0),
            Some(Outcome::Reverted) => Some(REVERTED),
            Some(Outcome::Failed | Outcome::Superseded | Outcome::RolledBack) => Some(1),
            None => awaits(state).then_some(AWAITING),
        };
    }
    code(state)
}

/// What an app has come to: nothing while it is on its way.
pub(crate) fn code(app: &AppState) -> Option<u8> {
    if app.word == INVALID {
        return Some(1);
    }
    verdict(&app.verdict.state, app.verdict.reverted, awaits(app))
}

/// Why it stands as it does.
pub(crate) fn message(app: &AppState) -> &str {
    let said = app.conditions.iter().find(|one| one.kind == INVALID && app.word == INVALID);
    said.map_or(&app.verdict.message, |one| &one.message)
}

/// Whether a canary goes on at a person's word.
pub(crate) fn awaits(app: &AppState) -> bool {
    app.conditions.iter().any(|one| one.kind == "AwaitingApproval" && one.status == ConditionStatus::True)
}

/// What a state comes to: nothing while it is on its way.
pub(crate) fn verdict(state: &State, reverted: bool, awaits: bool) -> Option<u8> {
    match state {
        State::Progressing if awaits => Some(AWAITING),
        State::Ready | State::Completed if reverted => Some(REVERTED),
        State::Ready | State::Completed => Some(0),
        State::Waiting(Hold::PruneBlocked { .. }) => Some(AWAITING),
        State::Stalled(_) | State::Suspended => Some(1),
        State::Progressing
        | State::Baking
        | State::Reverting
        | State::Waiting(_)
        | State::Removing
        | State::Gone
        | State::Orphaned
        | State::Unknown(_) => None,
    }
}
