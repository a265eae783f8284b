//! What a reader of the house found in what it remembers: words that are refused, what is down, memory that was lost.

use std::time::Duration;

use trueup_sim::{AppSketch, House};
use trueup_types::AppName;
use trueup_types::desired::Prune;
use trueup_types::order::Order;

const PATIENCE: Duration = Duration::from_secs(1_200);

fn name(text: &str) -> AppName {
    AppName::new(text).expect("a name")
}

async fn house_with(app: &AppSketch) -> House {
    let mut house = House::new();
    house.source.put(app.build());
    house.start().await;
    house.until_live(app.name.as_str(), 1).await;
    house
}

/// What is asked of a house while it goes on.
async fn while_it_runs<T>(asked: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, asked).await.expect("it is answered")
}

#[tokio::test(start_paused = true)]
async fn what_is_down_keeps_its_memory_though_it_is_looked_at_again() {
    let mut house = house_with(&AppSketch::web("web")).await;
    house.source.put(AppSketch::web("api").build());
    house.until_live("api", 1).await;
    let control = house.control();
    while_it_runs(control.order(&name("api"), Order::Suspend, "somebody")).await.expect("it is suspended");
    let before = house.store.record(&name("web")).expect("it is remembered");
    let down = while_it_runs(control.down("somebody")).await;
    assert!(down.is_err(), "one that is suspended stays");
    assert!(house.running("web").is_empty());
    let after = house.store.record(&name("web")).expect("it is remembered");
    assert_eq!((after.current, after.releases), (before.current, before.releases));
    house.stop().await;
    house.start().await;
    house.until_live("web", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_word_that_cannot_be_saved_is_not_carried_out() {
    let apps: Vec<_> = (0..5).map(|number| AppSketch::web(&format!("web{number}"))).collect();
    let mut house = House::new();
    apps.iter().for_each(|app| house.source.put(app.build()));
    house.start().await;
    for app in &apps {
        house.until_live(app.name.as_str(), 1).await;
    }
    let control = house.control();
    house.store.fill(true);
    while_it_runs(control.down("somebody")).await.expect_err("nobody would remember it");
    house.source.commit([], &apps.iter().map(|app| app.name.clone()).collect::<Vec<_>>());
    tokio::time::sleep(Duration::from_secs(90)).await;
    while_it_runs(control.approve_prune("somebody")).await.expect_err("nobody would remember it");
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(apps.iter().all(|app| house.running(app.name.as_str()).len() == 1), "{}", house.story());
    house.store.fill(false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(while_it_runs(control.approve_prune("somebody")).await.expect("it is remembered").len(), apps.len());
    house.until("they go", PATIENCE, |house| apps.iter().all(|app| house.running(app.name.as_str()).is_empty())).await;
}

#[tokio::test(start_paused = true)]
async fn deletions_wait_for_a_word_over_a_restart_once_memory_was_lost() {
    let mut house = house_with(&AppSketch::web("web")).await;
    house.source.put(AppSketch::web("api").build());
    house.until_live("api", 1).await;
    house.kill().await;
    house.store.lose();
    house.source.remove(&name("web"));
    for _ in 0..2 {
        house.start().await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(house.running("web").len(), 1, "{}", house.story());
        house.stop().await;
    }
    house.start().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(while_it_runs(house.control().approve_prune("somebody")).await.expect("one waits"), [name("web")]);
    house.until("it goes", PATIENCE, |house| house.running("web").is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_be_left_running_is_heard_while_an_app_is_suspended() {
    let mut app = AppSketch::web("web");
    let house = house_with(&app).await;
    let control = house.control();
    while_it_runs(control.order(&app.name, Order::Suspend, "somebody")).await.expect("it is suspended");
    app.prune = Prune::Orphan;
    house.source.put(app.build());
    tokio::time::sleep(Duration::from_secs(60)).await;
    while_it_runs(control.order(&app.name, Order::Resume, "somebody")).await.expect("it goes on");
    tokio::time::sleep(Duration::from_secs(60)).await;
    house.source.remove(&app.name);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(house.running("web").len(), 1, "{}", house.story());
}
