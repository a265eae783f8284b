//! What runs once for a release, and what comes between.

use std::time::Duration;

use trueup_sim::AppSketch;
use trueup_sim::behaviour::EXIT_AFTER_MS;
use trueup_types::Label;
use trueup_types::observed::ExitWhy;
use trueup_types::order::Order;
use trueup_types::template::Hook;

use super::Told;
use super::stage::{PATIENCE, Stage, in_a_house, instance, sure, version, web};

/// The instance that runs the hook.
const HOOK: &str = "web-r2-pre0";

/// The next release of an app, with a migration that takes a minute.
fn migrated(app: &AppSketch) -> AppSketch {
    let mut next = version(app, "v2");
    next.template.hooks.pre_deploy = vec![Hook {
        name: Label::new("migrate").expect("a literal name"),
        command: vec![format!("{EXIT_AFTER_MS}=60000")],
        timeout: Duration::from_secs(600),
    }];
    next
}

/// Begins a release whose migration is under way.
async fn migrating(stage: &mut Stage) -> Told {
    let app = web(2);
    stage.begin(&app).await?;
    stage.put(&migrated(&app));
    stage.until("the hook runs", PATIENCE, |stage| stage.life(HOOK).is_some()).await
}

pub fn a_hook_that_was_cut_off_is_not_run_again() -> Told {
    in_a_house(async |stage| {
        migrating(stage).await?;
        let now = stage.house.world.now();
        for all in stage.house.world.lock().instances.values_mut() {
            all.get_mut(&instance(HOOK)).into_iter().for_each(|one| one.end = Some((now, None, ExitWhy::HostLost)));
        }
        stage.order("web", Order::Reconcile).await?;
        stage.reverted("web").await?;
        sure(stage.versions("web") == ["v1".to_owned()].into(), "a release whose migration was cut off runs")
    })
}

pub fn a_hook_that_is_gone_is_not_done() -> Told {
    in_a_house(async |stage| {
        migrating(stage).await?;
        for all in stage.house.world.lock().instances.values_mut() {
            all.remove(&instance(HOOK));
        }
        stage.order("web", Order::Reconcile).await?;
        stage.reverted("web").await?;
        sure(stage.versions("web") == ["v1".to_owned()].into(), "a release whose migration nobody saw end runs")
    })
}
