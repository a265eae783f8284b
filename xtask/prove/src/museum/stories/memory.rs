//! What is remembered when it matters, and what is done when it is lost.

use std::time::Duration;

use trueup_seams::Memory;
use trueup_sim::AppSketch;
use trueup_sim::behaviour::SICK_AFTER_MS;
use trueup_sim::faults::CallFault;
use trueup_types::desired::Prune;
use trueup_types::order::Order;
use trueup_types::target::TargetSpec;
use trueup_types::verdict::State;
use trueup_types::{TableGeneration, TargetName};

use super::Told;
use super::stage::{PATIENCE, Stage, in_a_house, name, sure, version, web};

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

/// The daemon is killed, begins again with what it knew before, and nobody says so.
async fn go_back(stage: &mut Stage, earlier: Memory) {
    stage.kill().await;
    stage.house.store.put_back_unnoticed(earlier);
    stage.start().await;
}

pub fn a_number_that_memory_forgot_is_given_to_no_other_table() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.put(&app);
        stage.start().await;
        // The number of the first table is saved within a second or two, and the second one is told at the gate.
        stage.until("both run", PATIENCE, |stage| stage.running("web").len() == 2).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let earlier = stage.house.store.copy();
        stage.live("web", 1).await?;
        go_back(stage, earlier).await;
        stage.live("web", 1).await?;
        // It is to go: the ingress does not hear it, then gives no answer, and then nobody sees it for a while.
        let silent = [Some(CallFault::LostBefore), Some(CallFault::Hangs)];
        stage.house.world.lock().faults.script_tables(silent);
        stage.remove(&[name("web")]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.house.world.lock().ingress_dark = true;
        for number in 1..=3 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            stage.put(&version(&app, &format!("v{number}")));
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        stage.house.world.lock().ingress_dark = false;
        stage.until("the newest serves", PATIENCE, |stage| stage.versions("web") == ["v3".to_owned()].into()).await
    })
}

pub fn what_an_orphan_needed_may_go() -> Told {
    in_a_house(async |stage| {
        let mut app = web(1).depends_on("api");
        app.prune = Prune::Orphan;
        stage.put(&AppSketch::web("api"));
        stage.put(&app);
        stage.start().await;
        stage.until("api bakes", PATIENCE, |stage| stage.app("api").is_some_and(|app| app.word == "Baking")).await?;
        let earlier = stage.house.store.copy();
        stage.live("web", 1).await?;
        stage.kill().await;
        stage.house.store.put_back_unnoticed(earlier);
        stage.remove(&[name("web")]);
        stage.start().await;
        stage.remove(&[name("api")]);
        stage.until("api is gone", PATIENCE, |stage| stage.running("api").is_empty()).await?;
        sure(stage.running("web").len() == 1, "it was to be left running")
    })
}

pub fn what_the_table_names_is_looked_for_everywhere() -> Told {
    in_a_house(async |stage| {
        let elsewhere = TargetName::new("elsewhere").expect("a literal name");
        stage.house.source.target(TargetSpec { name: elsewhere.clone(), ..TargetSpec::local() }, true);
        let mut app = web(2);
        stage.begin(&app).await?;
        let earlier = stage.house.store.copy();
        app.target = elsewhere.clone();
        stage.put(&version(&app, "v2"));
        stage.live("web", 2).await?;
        stage.house.darken(&elsewhere, true);
        go_back(stage, earlier).await;
        app.target = TargetName::local();
        stage.put(&version(&app, "v3"));
        tokio::time::sleep(Duration::from_secs(60)).await;
        sure(stage.routes_to("web-r2-0") && stage.routes_to("web-r2-1"), "who serves in the dark is unrouted")?;
        stage.house.darken(&elsewhere, false);
        stage.live("web", 3).await
    })
}

pub fn what_is_down_is_remembered() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(1)).await?;
        stage.put(&AppSketch::web("api"));
        stage.live("api", 1).await?;
        stage.order("api", Order::Suspend).await?;
        // One that is suspended stays, so that this takes as long as it may; meanwhile everything is looked at again.
        let down = stage.house.control().down("somebody").await;
        sure(down.is_err() && stage.running("web").is_empty(), "it is not taken down")?;
        let remembered = stage.house.store.record(&name("web")).is_some_and(|record| record.current.is_some());
        sure(remembered, "what was good is forgotten")?;
        // The world was not told that nothing is wanted any more.
        stage.house.world.lock().violations.clear();
        Ok(())
    })
}

pub fn a_word_that_is_refused_is_not_obeyed() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(1)).await?;
        stage.house.store.fill(true);
        let down = stage.house.control().down("somebody").await;
        sure(down.is_err(), "nobody will remember it, and it is taken for said")?;
        stage.all_the_while("it serves", Duration::from_secs(60), |stage| stage.routes_to("web-r1-0")).await
    })
}
