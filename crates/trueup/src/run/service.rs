//! What systemd is told: READY, STATUS, and that we are still alive.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use trueup_driver::Driver;

/// From one word to the next, unless the watchdog wants it sooner.
const EVERY: Duration = Duration::from_secs(10);

/// Tells systemd until the daemon leaves; where nobody listens this costs nothing.
pub(crate) async fn notify(driver: Arc<Driver>, leave: CancellationToken) {
    tell(&[NotifyState::Ready]);
    // systemd kills us when it has heard nothing for this long; half of it is the custom.
    let every = sd_notify::watchdog_enabled().map_or(EVERY, |limit| (limit / 2).min(EVERY));
    loop {
        // The count is made behind the driver's own locks: a driver that hangs on them says nothing, and is restarted.
        let counting = Arc::clone(&driver);
        if let Ok((ready, all)) = tokio::task::spawn_blocking(move || counting.ready()).await {
            let line = format!("{ready} of {all} apps are Ready");
            tell(&[NotifyState::Watchdog, NotifyState::Status(&line)]);
        }
        tokio::select! {
            () = leave.cancelled() => break,
            () = tokio::time::sleep(every) => {}
        }
    }
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
