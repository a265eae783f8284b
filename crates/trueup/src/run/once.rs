//! `run --once`: converge, print how it went, leave.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::MultiProgress;
use tokio_util::sync::CancellationToken;
use trueup_driver::{Driver, Settled};

use crate::terminal::{Progress, out};
use crate::wait::{INVALID, REVERTED, verdict};

/// From one look to the next.
const GLANCE: Duration = Duration::from_millis(50);

/// Waits until nothing is under way any more; the exit code is `wait`'s.
pub(crate) async fn converge(driver: &Arc<Driver>, bars: &MultiProgress, leave: &CancellationToken) -> ExitCode {
    let mut progress = Progress::among(bars);
    let settled = loop {
        if let Some(settled) = driver.settled() {
            break settled;
        }
        let status = driver.handle().status();
        let busy = status.apps.iter().filter(|app| !matches!(app.status.word.as_str(), "Ready" | "Completed"));
        let busy: Vec<_> = busy.map(|app| format!("{} {}", app.metadata.name, app.status.word)).collect();
        progress.show(&format!(
            "{} of {} apps settled; {}",
            status.apps.len() - busy.len(),
            status.apps.len(),
            busy.join(", ")
        ));
        tokio::select! {
            () = leave.cancelled() => return ExitCode::FAILURE,
            () = tokio::time::sleep(GLANCE) => {}
        }
    };
    progress.done();
    for one in &settled {
        let why = if code(one) == 0 { String::new() } else { format!(": {}", one.message) };
        out(&format!("app/{} {}{why}", one.app, one.word));
    }
    let faults = driver.handle().status().daemon.faults;
    for one in &faults {
        one.errors.iter().for_each(|error| out(&format!("{}:{error}", one.file)));
    }
    ExitCode::from(if faults.is_empty() { worst(&settled) } else { 1 })
}

/// An error outweighs a revert, which outweighs waiting for a person.
fn worst(settled: &[Settled]) -> u8 {
    let codes: Vec<_> = settled.iter().map(code).collect();
    let rank = |code: u8| match code {
        1 => 3,
        REVERTED => 2,
        0 => 0,
        _ => 1,
    };
    codes.into_iter().max_by_key(|code| rank(*code)).unwrap_or(0)
}

fn code(one: &Settled) -> u8 {
    if one.word == INVALID {
        return 1;
    }
    verdict(&one.state, one.reverted, one.awaits).unwrap_or(1)
}
