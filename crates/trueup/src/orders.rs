//! A person's word: one request through the control socket, one line in answer.

use trueup_server::ControlClient;
use trueup_types::AppName;
use trueup_types::order::Order;

use crate::cli::Places;
use crate::config;
use crate::terminal::{confirm, interactive, out, say};

/// Gives one order to one app.
pub(crate) async fn give(places: &Places, app: &AppName, order: Order) -> anyhow::Result<()> {
    let client = ControlClient::new(&config::state_dir(places))?;
    let receipt = client.order(app, order, &config::who()).await?;
    out(&receipt.message);
    Ok(())
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
    out(&format!("{} apps may go: {}", gone.len(), names.join(", ")));
    Ok(())
}

/// Stops everything of a state directory.
pub(crate) async fn down(places: &Places, yes: bool) -> anyhow::Result<()> {
    let state_dir = config::state_dir(places);
    let client = ControlClient::new(&state_dir)?;
    let status = client.status().await?;
    let question = format!("stop {} apps, the edge and the daemon of {}?", status.apps.len(), state_dir.display());
    if !yes {
        anyhow::ensure!(interactive(), "{question} Say --yes where nobody can be asked");
        if !confirm(&question) {
            say("nothing was stopped");
            return Ok(());
        }
    }
    client.down(&config::who()).await?;
    out(&format!("{} apps are down; `trueup run` brings them back", status.apps.len()));
    Ok(())
}
