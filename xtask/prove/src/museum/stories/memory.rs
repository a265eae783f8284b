//! What is remembered when it matters, and what is done when it is lost.

use std::time::Duration;

use trueup_sim::AppSketch;
use trueup_sim::behaviour::SICK_AFTER_MS;
use trueup_sim::faults::CallFault;
use trueup_types::TableGeneration;
use trueup_types::verdict::State;

use super::Told;
use super::stage::{PATIENCE, in_a_house, name, sure, version, web};

pub fn nothing_is_younger_than_memory() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        // The second create never answers: it hangs while the first is there.
        stage.house.world.lock().faults.script_calls([None, Some(CallFault::Hangs)]);
        stage.put(&version(&app, "v2"));
        stage.until("the first is there", PATIENCE, |stage| stage.told("create web-r2-0")).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        stage.kill().await;
        let highest = stage.house.store.with_record(&name("web"), |record| record.highest.0);
        sure(highest == Some(2), &format!("r2 was created, and the store knows {highest:?}"))
    })
}

pub fn what_is_oldest_was_good() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(SICK_AFTER_MS, "20000"));
        stage
            .until("it bakes", PATIENCE, |stage| stage.app("web").is_some_and(|app| app.verdict.state == State::Baking))
            .await?;
        stage.kill().await;
        stage.house.store.lose();
        stage.start().await;
        stage.reverted("web").await?;
        sure(stage.versions("web") == ["v1".to_owned()].into(), "what runs is not the good release")
    })
}

pub fn a_restart_keeps_the_routes_of_others() -> Told {
    in_a_house(async |stage| {
        let (app, api) = (web(1), AppSketch::web("api"));
        stage.put(&api);
        stage.begin(&app).await?;
        stage.live("api", 1).await?;
        stage.kill().await;
        stage.start().await;
        stage.put(&version(&app, "v2"));
        stage.live("web", 2).await?;
        sure(stage.routes_to("api-r1-0"), "the other app is not routed any more")
    })
}

pub fn tables_go_on_from_the_live_number() -> Told {
    in_a_house(async |stage| {
        let app = web(1);
        stage.begin(&app).await?;
        stage.kill().await;
        // After years of changes.
        stage.house.world.lock().table.generation = TableGeneration(1_000_000);
        stage.house.store.lose();
        stage.start().await;
        stage.put(&version(&app, "v2"));
        stage.until("traffic has moved", Duration::from_secs(120), |stage| stage.routes_to("web-r2-0")).await
    })
}
