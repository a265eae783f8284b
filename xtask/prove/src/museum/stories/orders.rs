//! A person's word, and what it is worth.

use std::time::Duration;

use trueup_sim::behaviour::{CANNOT_START, NEVER_HEALTHY};
use trueup_types::desired::Prune;
use trueup_types::order::{EnvOf, Order};

use super::Told;
use super::stage::{PATIENCE, Stage, in_a_house, instance, name, sure, version, web};

/// Waits until this version runs, alone, and nothing is under way.
async fn runs(stage: &Stage, wanted: &str) -> Told {
    stage
        .until(&format!("{wanted} runs alone"), PATIENCE, |stage| {
            stage.versions("web") == [wanted.to_owned()].into() && stage.house.settled()
        })
        .await
}

pub fn a_rollback_goes_to_what_was_good() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(CANNOT_START, "1"));
        stage.reverted("web").await?;
        stage.put(&version(&app, "v3"));
        stage.live("web", 3).await?;
        stage.order("web", Order::Rollback { to: None, env: EnvOf::Then }).await?;
        runs(stage, "v1").await
    })
}

pub fn a_rollback_holds() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2"));
        stage.live("web", 2).await?;
        stage.order("web", Order::Rollback { to: None, env: EnvOf::Then }).await?;
        runs(stage, "v1").await?;
        stage.wait(300).await?;
        runs(stage, "v1").await
    })
}

pub fn an_edit_ends_a_rollback() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2"));
        stage.live("web", 2).await?;
        stage.order("web", Order::Rollback { to: None, env: EnvOf::Then }).await?;
        runs(stage, "v1").await?;
        stage.put(&version(&app, "v3"));
        runs(stage, "v3").await
    })
}

pub fn what_is_suspended_is_left_alone() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(2)).await?;
        stage.order("web", Order::Suspend).await?;
        stage.house.world.steal(&instance("web-r1-1"));
        stage
            .all_the_while("one of two is missing", Duration::from_secs(120), |stage| stage.running("web").len() == 1)
            .await
    })
}

pub fn what_is_suspended_outlives_its_manifest() -> Told {
    in_a_house(async |stage| {
        let mut app = web(2);
        stage.begin(&app).await?;
        app.policy.suspend = true;
        stage.put(&app);
        stage.wait(60).await?;
        stage.remove(&[name("web")]);
        stage.all_the_while("both run on", Duration::from_secs(120), |stage| stage.running("web").len() == 2).await?;
        stage.order("web", Order::Resume).await?;
        stage.until("both go", PATIENCE, |stage| stage.running("web").is_empty()).await
    })
}

pub fn an_orphan_is_left_running() -> Told {
    in_a_house(async |stage| {
        let mut app = web(2);
        app.prune = Prune::Orphan;
        stage.begin(&app).await?;
        stage.remove(&[name("web")]);
        stage.all_the_while("both run on", Duration::from_secs(120), |stage| stage.running("web").len() == 2).await?;
        sure(stage.routes_to("web-r1-0"), "it is not routed any more")
    })
}

pub fn a_fix_does_not_wait_for_what_it_mends() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(NEVER_HEALTHY, "1"));
        stage.until("the bad one is there", PATIENCE, |stage| stage.running("web").len() == 4).await?;
        stage.put(&version(&app, "v3"));
        // Long before the bad one's own deadline.
        stage.until("the fix is live", Duration::from_secs(150), |stage| stage.is_live("web", 3)).await
    })
}
