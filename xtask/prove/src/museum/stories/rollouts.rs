//! A new release comes up, and takes over when it may.

use std::time::Duration;

use trueup_sim::AppSketch;
use trueup_sim::behaviour::{EXIT_AFTER_MS, EXITS_IN_LIVES, HEALTHY_AFTER_MS, NEVER_HEALTHY, SICK_AFTER_MS};
use trueup_sim::faults::CallFault;
use trueup_types::Quantity;
use trueup_types::number::Percent;
use trueup_types::policy::{CanaryStep, Strategy};

use super::Told;
use super::stage::{PATIENCE, Stage, in_a_house, sure, version, web};

pub fn an_exit_is_counted_once() -> Told {
    in_a_house(async |stage| {
        let app = web(1);
        stage.begin(&app).await?;
        // Once created it exits once; its start is refused again and again, and each time it is looked at.
        let busy = std::iter::repeat_n(Some(CallFault::RefusedForNow), 6);
        stage.house.world.lock().faults.script_calls(std::iter::once(None).chain(busy));
        stage.put(&version(&app, "v2").env(EXIT_AFTER_MS, "2000").env(EXITS_IN_LIVES, "1"));
        stage.live("web", 2).await
    })
}

pub fn time_in_the_dark_counts_for_nothing() -> Told {
    in_a_house(async |stage| {
        let app = web(1);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(HEALTHY_AFTER_MS, "750000"));
        stage.wait(100).await?;
        stage.darken(true);
        stage.wait(600).await?;
        stage.darken(false);
        stage.live("web", 2).await
    })
}

pub fn the_gate_is_time_and_not_a_moment() -> Told {
    in_a_house(async |stage| {
        let mut app = web(2);
        app.template.health[0].interval = Duration::from_secs(1);
        app.template.health[0].failures = 1;
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(SICK_AFTER_MS, "2500"));
        stage
            .all_the_while("nothing is sent to what passes for a moment", Duration::from_secs(400), |stage| {
                !stage.routes_to("web-r2-0") && !stage.routes_to("web-r2-1")
            })
            .await?;
        stage.reverted("web").await
    })
}

pub fn what_comes_up_gets_nothing() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(HEALTHY_AFTER_MS, "60000"));
        stage
            .all_the_while("nothing is sent to what comes up", Duration::from_secs(55), |stage| {
                !stage.routes_to("web-r2-0")
            })
            .await?;
        stage.live("web", 2).await
    })
}

pub fn what_was_never_asked_gets_nothing() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(NEVER_HEALTHY, "1"));
        stage
            .all_the_while("nothing is sent to what never passed", Duration::from_secs(60), |stage| {
                !stage.routes_to("web-r2-0") && !stage.routes_to("web-r2-1")
            })
            .await
    })
}

pub fn a_surge_is_a_bound() -> Told {
    in_a_house(async |stage| {
        let mut app = web(4).strategy(Strategy::Rolling);
        app.policy.max_surge = Quantity::Count(1);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2"));
        stage
            .until("it is live, and never more than five run", PATIENCE, |stage| {
                stage.running("web").len() > 5 || stage.is_live("web", 2)
            })
            .await?;
        sure(stage.is_live("web", 2), "more than five run at once")
    })
}

pub fn a_number_is_given_out_once() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(NEVER_HEALTHY, "1"));
        stage.reverted("web").await?;
        stage.put(&version(&app, "v3"));
        stage.live("web", 3).await
    })
}

pub fn what_it_depends_on_comes_first() -> Told {
    in_a_house(async |stage| {
        stage.put(&AppSketch::worker("db").env(NEVER_HEALTHY, "1"));
        stage.put(&web(2).depends_on("db"));
        stage.start().await;
        stage
            .all_the_while("nothing begins before it", Duration::from_secs(120), |stage| {
                stage.running("web").is_empty()
            })
            .await
    })
}

pub fn no_more_rollouts_than_may_be_at_once() -> Told {
    in_a_house(async |stage| {
        stage.house.rollouts_max = 1;
        let apps: Vec<_> = ["a", "b", "c"].map(AppSketch::web).into();
        for app in &apps {
            stage.put(app);
        }
        stage.start().await;
        for app in &apps {
            stage.live(app.name.as_str(), 1).await?;
        }
        for app in &apps {
            stage.put(&version(app, "v2").env(HEALTHY_AFTER_MS, "20000"));
        }
        let rolling = |stage: &super::stage::Stage| {
            let under_way = |app: &&AppSketch| {
                let run = stage.running(app.name.as_str());
                let record = stage.house.store.record(&app.name);
                let bakes =
                    record.is_some_and(|record| matches!(record.rollout, trueup_types::record::Rollout::Baking { .. }));
                run.len() > 1 && !bakes
            };
            apps.iter().filter(under_way).count()
        };
        stage.all_the_while("one rollout at a time", Duration::from_secs(60), |stage| rolling(stage) <= 1).await
    })
}

pub fn a_place_is_given_back() -> Told {
    in_a_house(async |stage| {
        stage.house.rollouts_max = 1;
        let (a, b) = (AppSketch::web("a"), AppSketch::web("b"));
        stage.put(&a);
        stage.begin(&b).await?;
        stage.live("a", 1).await?;
        stage.put(&version(&a, "v2"));
        stage.live("a", 2).await?;
        stage.put(&version(&b, "v2"));
        stage.until("the next one has its turn", Duration::from_secs(300), |stage| stage.is_live("b", 2)).await
    })
}

pub fn a_place_is_kept_over_a_restart() -> Told {
    in_a_house(async |stage| {
        stage.house.rollouts_max = 1;
        let (a, b) = (AppSketch::web("a"), AppSketch::web("b"));
        stage.put(&a);
        stage.begin(&b).await?;
        stage.live("a", 1).await?;
        stage.put(&version(&b, "v2").env(HEALTHY_AFTER_MS, "60000"));
        let begun = |stage: &super::stage::Stage| stage.running("b").len() > 1;
        stage.until("the one has begun", PATIENCE, begun).await?;
        stage.put(&version(&a, "v2"));
        stage.house.kill().await;
        stage.start().await;
        stage.all_the_while("the other waits", Duration::from_secs(50), |stage| stage.running("a").len() == 1).await?;
        stage.live("a", 2).await
    })
}

pub fn a_platform_is_asked_when_it_says() -> Told {
    in_a_house(async |stage| {
        let wait = Duration::from_secs(120);
        stage.house.world.lock().faults.script_calls([Some(CallFault::Limited(wait))]);
        stage.begin(&web(1)).await?;
        let created = stage.created("web-r1-0").unwrap_or_default();
        sure(created >= wait, &format!("it was asked again after {} ms", created.as_millis()))
    })
}

pub fn a_share_that_was_given_is_kept() -> Told {
    in_a_house(async |stage| {
        let mut app = web(2).strategy(Strategy::Canary);
        let half = Percent::new(50).expect("at most 100");
        app.policy.max_surge = Quantity::Share(Percent::ALL);
        let step = CanaryStep { weight: half, pause: Duration::from_secs(30), approve: false, analysis: Vec::new() };
        app.policy.steps = vec![step];
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2"));
        stage.until("old and new run", PATIENCE, |stage| stage.running("web").len() == 4).await?;
        let earlier = stage.house.store.copy();
        stage.until("the new ones have their share", PATIENCE, |stage| stage.routes_to("web-r2-0")).await?;
        stage.kill().await;
        stage.house.store.put_back_unnoticed(earlier);
        stage.start().await;
        let both = |stage: &Stage| stage.routes_to("web-r2-0") && stage.routes_to("web-r2-1");
        stage.all_the_while("they keep it", Duration::from_secs(20), both).await?;
        stage.live("web", 2).await
    })
}

pub fn a_share_leaves_enough_to_serve() -> Told {
    in_a_house(async |stage| {
        let mut app = web(3).strategy(Strategy::Canary);
        let fifth = Percent::new(20).expect("at most 100");
        app.policy.max_surge = Quantity::Share(Percent::ALL);
        app.policy.max_unavailable = Quantity::Count(0);
        app.policy.by_count = Some("the stage's ingress knows no weights".to_owned());
        let step = CanaryStep { weight: fifth, pause: Duration::from_secs(3), approve: false, analysis: Vec::new() };
        app.policy.steps = vec![step];
        stage.house.pace.step = Duration::from_secs(2);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2"));
        stage.until("old and new run", PATIENCE, |stage| stage.running("web").len() == 6).await?;
        stage.until("all but one of the old have gone", PATIENCE, |stage| stage.running("web").len() == 4).await?;
        stage.kill().await;
        stage.house.store.lose();
        stage.start().await;
        stage.live("web", 2).await
    })
}
