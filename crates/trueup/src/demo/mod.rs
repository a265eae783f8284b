//! `trueup demo`: the whole tour, on a bare machine, with live output.
//!
//! It copies the quickstart aside, starts a real daemon on it, keeps requests coming, and does to it what hurts: updates,
//! a bad update, a killed instance, a killed daemon. Each part ends with what it cost: the requests that failed.

mod load;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use trueup_types::Revision;

use crate::cli::Demo;
use crate::terminal::{Tone, out, toned};
use load::Load;
use stage::Stage;

/// Longest that one part may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the daemon is left dead.
const DEAD_FOR: Duration = Duration::from_secs(2);

/// Runs the tour.
pub(crate) async fn run(asked: &Demo) -> anyhow::Result<ExitCode> {
    let mut stage = Stage::set()?;
    let told = tour(&mut stage).await;
    if told.is_err() {
        out(&stage.tail());
    }
    if asked.keep && told.is_ok() {
        out(&format!("\nEverything still runs. Look around with --state-dir {}, then", stage.state_dir().display()));
        out(&format!("  trueup down --yes --state-dir {}", stage.state_dir().display()));
        stage.keep();
    } else {
        stage.clear().await;
    }
    told.map(|()| ExitCode::SUCCESS)
}

async fn tour(stage: &mut Stage) -> anyhow::Result<()> {
    first_deploy(stage).await?;
    let load = Load::start(stage.listen(), "shop.localhost");
    good_update(stage, &load).await?;
    bad_update(stage, &load).await?;
    killed_instance(stage, &load).await?;
    killed_daemon(stage, &load).await?;
    let total = load.finish().await;
    out("");
    let verdict = format!("{} requests in {} s, {} failed.", total.all(), stage.elapsed().as_secs(), total.failed);
    out(&toned(&verdict, if total.failed == 0 { Tone::Good } else { Tone::Bad }));
    ensure!(total.failed == 0, "requests failed: {}", total.first_failure.unwrap_or_default());
    Ok(())
}

async fn first_deploy(stage: &mut Stage) -> anyhow::Result<()> {
    stage.title("1. First deploy: two apps, the shop waits for the catalogue");
    stage.start()?;
    stage
        .until(PATIENCE, "both apps are Ready", |status| {
            let ready = |name: &str| stage::app(status, name).is_some_and(|app| app.status.word == "Ready");
            ready("catalogue") && ready("shop")
        })
        .await?;
    stage.table("apps")?;
    stage.tell(&format!("open http://shop.localhost:{}/ if you like", stage.listen().port()));
    Ok(())
}

async fn good_update(stage: &mut Stage, load: &Load) -> anyhow::Result<()> {
    stage.title("2. A good update, v2, under load");
    let before = load.so_far();
    stage.set_env(&[("DEMO_VERSION", "v2"), ("DEMO_COLOUR", "seagreen")])?;
    stage.until_live("shop", Revision(2), PATIENCE).await?;
    stage.tell(&load.since(&before));
    Ok(())
}

async fn bad_update(stage: &mut Stage, load: &Load) -> anyhow::Result<()> {
    stage.title("3. A bad update, v3: healthy at first, dead two seconds later");
    let before = load.so_far();
    stage.set_env(&[("DEMO_VERSION", "v3"), ("DEMO_COLOUR", "crimson"), ("DEMO_EXIT_AFTER", "2500ms")])?;
    stage
        .until(PATIENCE, "v3 was taken back by itself", |status| {
            let app = stage::app(status, "shop");
            app.is_some_and(|app| {
                app.status.word == "Reverted" && app.status.rejected.iter().any(|one| one.revision == Revision(3))
            })
        })
        .await?;
    stage.evidence("shop")?;
    stage.tell(&load.since(&before));
    Ok(())
}

async fn killed_instance(stage: &mut Stage, load: &Load) -> anyhow::Result<()> {
    stage.title("4. An instance is killed with -9");
    let before = load.so_far();
    let (name, life) = stage.kill_instance("shop")?;
    stage
        .until(PATIENCE, &format!("{name} was started again"), |status| {
            let app = stage::app(status, "shop");
            let again = |app: &trueup_types::status::AppStatus| {
                app.status
                    .instances
                    .iter()
                    .any(|one| one.name == name && one.incarnation != life && one.health == "Passing")
            };
            app.is_some_and(again)
        })
        .await?;
    stage.tell(&load.since(&before));
    Ok(())
}

async fn killed_daemon(stage: &mut Stage, load: &Load) -> anyhow::Result<()> {
    stage.title("5. The fix, v4, rolls forward; and the daemon is killed with -9 in the middle of it");
    let before = load.so_far();
    stage.set_env(&[("DEMO_VERSION", "v4"), ("DEMO_COLOUR", "rebeccapurple")])?;
    stage
        .until(PATIENCE, "v4 is on its way", |status| {
            stage::app(status, "shop")
                .is_some_and(|app| app.status.instances.iter().any(|one| one.revision == Revision(4)))
        })
        .await?;
    stage.kill_daemon()?;
    tokio::time::sleep(DEAD_FOR).await;
    stage.tell(&format!("dead for {} s; {}", DEAD_FOR.as_secs(), load.since(&before)));
    stage.start()?;
    stage.until_live("shop", Revision(4), PATIENCE).await?;
    stage.table("releases")?;
    stage.tell(&load.since(&before));
    Ok(())
}
