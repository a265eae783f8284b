//! A person's word: one request through the control socket, one line in answer.

use std::time::Duration;

use trueup_server::ControlClient;
use trueup_types::order::Order;
use trueup_types::{AppName, Timestamp};

use crate::cli::Places;
use crate::table::counted;
use crate::terminal::{confirm, interactive, out, say};
use crate::{config, status_reader};

/// Longest that an order waits for the status to show a decision that knows of it.
const SHOWN_WAIT: Duration = Duration::from_secs(2);
/// From one look to the next.
const GLANCE: Duration = Duration::from_millis(50);

/// Gives one order to one app; who asks next is not told of the time before it.
pub(crate) async fn give(places: &Places, app: &AppName, order: Order) -> anyhow::Result<()> {
    let client = ControlClient::new(&config::state_dir(places))?;
    let known = decided(places, app).is_some();
    let receipt = client.order(app, order, &config::who()).await?;
    out(&receipt.message);
    let deadline = tokio::time::Instant::now() + SHOWN_WAIT;
    while known && decided(places, app) < Some(receipt.at) {
        if tokio::time::Instant::now() >= deadline {
            say("it is taken down; what comes of it the status does not show yet");
            break;
        }
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}

/// Of when the last decision about an app is that the status shows.
fn decided(places: &Places, app: &AppName) -> Option<Timestamp> {
    let status = status_reader::read(places).ok()?;
    status.app(app.as_str())?.status.decisions.first().map(|decision| decision.at)
}

/// Looks at one app now, or lists everything again.
pub(crate) async fn reconcile(places: &Places, app: Option<&AppName>) -> anyhow::Result<()> {
    let client = ControlClient::new(&config::state_dir(places))?;
    client.relist().await?;
    match app {
        Some(app) => out(&client.order(app, Order::Reconcile, &config::who()).await?.message),
        None => out("the manifests are listed again, and every app is looked at"),
    }
    Ok(())
}

/// Lets go what the mass-delete guard holds.
pub(crate) async fn approve_prune(places: &Places) -> anyhow::Result<()> {
    let client = ControlClient::new(&config::state_dir(places))?;
    let gone = client.approve_prune(&config::who()).await?;
    let names: Vec<_> = gone.iter().map(AppName::as_str).collect();
    out(&format!("{} may go: {}", counted(gone.len(), "app"), names.join(", ")));
    Ok(())
}

/// Stops everything of a state directory.
pub(crate) async fn down(places: &Places, yes: bool) -> anyhow::Result<()> {
    let state_dir = config::state_dir(places);
    let client = ControlClient::new(&state_dir)?;
    let status = client.status().await?;
    let question =
        format!("stop {}, the edge and the daemon of {}?", counted(status.apps.len(), "app"), state_dir.display());
    if !yes {
        anyhow::ensure!(interactive(), "{question} Say --yes where nobody can be asked");
        if !confirm(&question) {
            say("nothing was stopped");
            return Ok(());
        }
    }
    client.down(&config::who()).await?;
    let (are, them) = if status.apps.len() == 1 { ("is", "it") } else { ("are", "them") };
    out(&format!("{} {are} down; `trueup run` brings {them} back", counted(status.apps.len(), "app")));
    Ok(())
}
