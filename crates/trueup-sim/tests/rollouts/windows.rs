//! When a rollout may begin, and what asks no window.

use std::time::Duration;

use trueup_sim::AppSketch;
use trueup_sim::behaviour::SICK_AFTER_MS;
use trueup_types::order::{EnvOf, Order};
use trueup_types::window::Window;

use super::{PATIENCE, house_with, lawful, name};

/// A minute at the beginning of each year, and never else.
const NEW_YEAR: &str = "0 0 1 1 *";

/// Windows of a minute.
fn windows(cron: &str) -> Vec<Window> {
    vec![Window { cron: cron.to_owned(), time_zone: "UTC".to_owned(), duration: Duration::from_secs(60) }]
}

#[tokio::test(start_paused = true)]
async fn a_rollout_begins_within_a_window_and_a_revert_at_any_time() {
    let mut app = AppSketch::web("web").replicas(2);
    app.policy.windows = windows(NEW_YEAR);
    let house = house_with(&app).await;
    let mut sick = app.clone().env("VERSION", "v2").env(SICK_AFTER_MS, "20000");
    house.source.put(sick.build());
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(house.app("web").expect("there").status.word, "RolloutWindow", "it is not New Year");
    sick.policy.windows = windows("* * * * *");
    house.source.put(sick.build());
    house.until("it bakes", PATIENCE, |house| house.app("web").is_some_and(|app| app.status.word == "Baking")).await;
    sick.policy.windows = windows(NEW_YEAR);
    house.source.put(sick.build());
    house
        .until("it goes back", PATIENCE, |house| house.app("web").is_some_and(|app| app.status.word == "Reverted"))
        .await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn a_persons_rollback_asks_no_window_and_what_follows_it_does() {
    let mut app = AppSketch::web("web").replicas(2);
    let house = house_with(&app).await;
    app.policy.windows = windows(NEW_YEAR);
    let mut next = app.clone().env("VERSION", "v2");
    next.policy.windows.clear();
    house.source.put(next.build());
    house.until_live("web", 2).await;
    next.policy.windows.clone_from(&app.policy.windows);
    house.source.put(next.build());
    house
        .control()
        .order(&name("web"), Order::Rollback { to: None, env: EnvOf::Then }, "test")
        .await
        .expect("r1 is good");
    house.until_live("web", 3).await;
    house.control().order(&name("web"), Order::Resume, "test").await.expect("it is pinned");
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(house.app("web").expect("there").status.word, "RolloutWindow", "it is not New Year");
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_ends_a_rollback_asks_for_a_window() {
    let app = AppSketch::web("web").replicas(2);
    let house = house_with(&app).await;
    let mut next = app.clone().env("VERSION", "v2");
    house.source.put(next.build());
    house.until_live("web", 2).await;
    let back = Order::Rollback { to: None, env: EnvOf::Then };
    house.control().order(&name("web"), back, "test").await.expect("r1 is good");
    house.until_live("web", 3).await;
    next.policy.windows =
        vec![Window { cron: "0 0 1 1 *".to_owned(), time_zone: "UTC".to_owned(), duration: Duration::from_secs(60) }];
    house.source.put(next.clone().env("VERSION", "v3").build());
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(house.app("web").expect("there").status.word, "RolloutWindow", "it is not New Year");
    lawful(&house);
}
