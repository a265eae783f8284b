//! A release that is bad, and the way back from it.

use std::time::Duration;

use trueup_sim::AppSketch;
use trueup_sim::behaviour::{CANNOT_START, EXIT_AFTER_MS, EXITS_IN_LIVES, NEVER_HEALTHY, SICK_AFTER_MS};
use trueup_types::Quantity;
use trueup_types::order::Order;
use trueup_types::policy::Strategy;
use trueup_types::verdict::State;

use super::Told;
use super::stage::{PATIENCE, in_a_house, name, sure, version, web};

pub fn a_rejected_release_is_left_alone() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(NEVER_HEALTHY, "1"));
        stage.reverted("web").await?;
        stage.still().await?;
        let creates = stage.house.world.lock().creates[&name("web")];
        sure(creates == 4, &format!("{creates} creates for two releases of two"))
    })
}

pub fn an_edit_is_reverted_once() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(CANNOT_START, "1"));
        stage.reverted("web").await?;
        // The same edit is another release now, and as bad.
        stage.order("web", Order::Restart).await?;
        stage.until("it is tried once more", PATIENCE, |stage| stage.told("create web-r3-0")).await?;
        stage
            .all_the_while("no second revert of one edit", Duration::from_secs(700), |stage| {
                stage.app("web").is_some_and(|app| app.verdict.state != State::Reverting)
            })
            .await?;
        sure(stage.versions("web").contains("v1"), "the good release is gone")
    })
}

pub fn a_release_that_turns_bad_in_its_bake_goes_back() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(SICK_AFTER_MS, "20000"));
        stage.reverted("web").await?;
        sure(stage.versions("web") == ["v1".to_owned()].into(), "what runs is not the good release")
    })
}

pub fn a_crash_in_the_bake_goes_back() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(EXIT_AFTER_MS, "20000").env(EXITS_IN_LIVES, "1"));
        stage.reverted("web").await
    })
}

pub fn what_both_suffer_is_not_blamed_on_the_new() -> Told {
    in_a_house(async |stage| {
        let mut app = web(2);
        app.policy.bake = Duration::from_secs(300);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2"));
        stage
            .until("it bakes", PATIENCE, |stage| stage.app("web").is_some_and(|app| app.verdict.state == State::Baking))
            .await?;
        stage.wait(10).await?;
        let all = stage.running("web");
        // The old ones are asked first: what they share is down for both.
        stage.sicken(all.iter().filter(|id| id.contains("-r1-")), true);
        stage.wait(45).await?;
        stage.sicken(&all, true);
        stage.wait(60).await?;
        // The new ones are well first: who is asked first when all is well again decides nothing here.
        stage.sicken(all.iter().filter(|id| id.contains("-r2-")), false);
        stage.wait(15).await?;
        stage.sicken(&all, false);
        stage.live("web", 2).await
    })
}

pub fn a_revert_touches_no_healthy_instance() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        let before = stage.house.running("web");
        stage.put(&version(&app, "v2").env(NEVER_HEALTHY, "1"));
        stage.reverted("web").await?;
        let after = stage.house.running("web");
        sure(before == after, &format!("{before:?} ran before, {after:?} after\n{}", stage.house.story()))
    })
}

/// Four, replaced one by one.
fn rolling() -> AppSketch {
    let mut app = web(4).strategy(Strategy::Rolling);
    app.policy.max_surge = Quantity::Count(1);
    app
}

pub fn what_serves_stays_until_the_good_ones_are_back() -> Told {
    in_a_house(async |stage| {
        let app = rolling();
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2"));
        stage.until("half of it is new", PATIENCE, |stage| stage.routes_to("web-r2-1")).await?;
        stage.order("web", Order::Abort).await?;
        stage.reverted("web").await?;
        sure(stage.versions("web") == ["v1".to_owned()].into(), "what runs is not the good release")
    })
}

pub fn a_revert_waits_for_nobody() -> Told {
    in_a_house(async |stage| {
        let (db, app) = (AppSketch::worker("db"), web(2).depends_on("db"));
        stage.begin(&db).await?;
        stage.put(&app);
        stage.live("web", 1).await?;
        stage.put(&version(&app, "v2").env(NEVER_HEALTHY, "1"));
        stage.until("the bad one is there", PATIENCE, |stage| stage.running("web").len() == 4).await?;
        stage.remove(&[name("db")]);
        stage
            .until("it is back though its dependency is gone", Duration::from_secs(500), |stage| {
                let verdict = stage.app("web").map(|app| app.verdict);
                verdict.is_some_and(|verdict| verdict.reverted && verdict.state == State::Ready)
            })
            .await
    })
}

pub fn an_update_keeps_to_its_limits() -> Told {
    in_a_house(async |stage| {
        let app = rolling();
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2"));
        stage.live("web", 2).await
    })
}
