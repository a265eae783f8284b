//! Lives, deaths and probes.

use std::time::Duration;

use trueup_sim::behaviour::HEALTHY_AFTER_MS;
use trueup_types::observed::ExitWhy;
use trueup_types::order::Order;
use trueup_types::verdict::State;

use super::Told;
use super::stage::{PATIENCE, Stage, in_a_house, sure, version, web};

/// Crashes the only instance so many times, each time as soon as it runs again.
async fn crash_often(stage: &Stage, times: u32) -> Told {
    for _ in 0..times {
        stage.until("it runs again", PATIENCE, |stage| stage.life("web-r1-0").is_some()).await?;
        stage.crash("web-r1-0").await?;
    }
    Ok(())
}

pub fn a_crash_loop_is_given_more_and_more_time() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(1)).await?;
        let begun = stage.passed();
        crash_often(stage, 12).await?;
        stage.until("it runs again", PATIENCE, |stage| stage.life("web-r1-0").is_some()).await?;
        let took = stage.passed().saturating_sub(begun);
        sure(took >= Duration::from_secs(5), &format!("twelve starts within {} ms", took.as_millis()))
    })
}

pub fn a_long_life_is_forgiven_its_past() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(1)).await?;
        crash_often(stage, 14).await?;
        stage.until("it runs again", PATIENCE, |stage| stage.life("web-r1-0").is_some()).await?;
        stage.wait(3_600).await?;
        stage.crash("web-r1-0").await?;
        stage
            .until("it is started again at once", Duration::from_secs(5), |stage| stage.life("web-r1-0").is_some())
            .await
    })
}

pub fn a_new_life_proves_itself_anew() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(2).env(HEALTHY_AFTER_MS, "20000")).await?;
        stage.reborn("web-r1-0").await?;
        stage
            .until("nothing is sent to it before it passes", Duration::from_secs(5), |stage| {
                !stage.routes_to("web-r1-0")
            })
            .await
    })
}

pub fn one_bad_answer_is_no_failure() -> Told {
    in_a_house(async |stage| {
        let mut app = web(1);
        app.policy.bake = Duration::from_secs(120);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2"));
        stage.until("it serves", PATIENCE, |stage| stage.routes_to("web-r2-0")).await?;
        let new = ["web-r2-0".to_owned()];
        for _ in 0..5 {
            // Shorter than from one question to the next.
            stage.sicken(&new, true);
            tokio::time::sleep(Duration::from_secs(9)).await;
            stage.sicken(&new, false);
            tokio::time::sleep(Duration::from_secs(12)).await;
        }
        stage.live("web", 2).await
    })
}

pub fn when_nobody_passes_somebody_is_asked_still() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(2)).await?;
        let all = stage.running("web");
        stage.sicken(&all, true);
        stage
            .all_the_while("requests have somewhere to go", Duration::from_secs(200), |stage| {
                stage.routes_to("web-r1-0") || stage.routes_to("web-r1-1")
            })
            .await?;
        stage.sicken(&all, false);
        stage.until("both serve again", PATIENCE, |stage| all.iter().all(|id| stage.routes_to(id))).await
    })
}

pub fn a_restart_of_the_daemon_moves_no_traffic() -> Told {
    in_a_house(async |stage| {
        let app = web(3);
        stage.begin(&app).await?;
        stage.kill().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        stage.start().await;
        stage.still().await
    })
}

pub fn what_its_host_took_along_has_as_long_anew() -> Told {
    in_a_house(async |stage| {
        let app = web(1);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2").env(HEALTHY_AFTER_MS, "240000"));
        stage.until("the new one runs", PATIENCE, |stage| stage.life("web-r2-0").is_some()).await?;
        stage.wait(120).await?;
        let now = stage.house.world.now();
        for all in stage.house.world.lock().instances.values_mut() {
            all.values_mut().for_each(|one| one.end = Some((now, None, ExitWhy::HostLost)));
        }
        stage.order("web", Order::Reconcile).await?;
        let baking = |stage: &Stage| stage.app("web").is_some_and(|app| app.verdict.state == State::Baking);
        stage.until("it is promoted, having had its time", PATIENCE, baking).await
    })
}
