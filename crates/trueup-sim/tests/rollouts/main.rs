//! The real driver and planner in the simulated world: what a daemon does, told as sentences.

mod windows;

use std::time::Duration;

use trueup_sim::behaviour::{
    CANNOT_START, EXIT_AFTER_MS, EXITS_IN_LIVES, HEALTHY_AFTER_MS, NEVER_HEALTHY, SICK_AFTER_MS,
};
use trueup_sim::{AppSketch, House};
use trueup_types::AppName;
use trueup_types::order::{EnvOf, Order};
use trueup_types::policy::{RevertMode, Strategy};
use trueup_types::verdict::State;

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

fn lawful(house: &House) {
    let violations = house.world.lock().violations.clone();
    assert!(violations.is_empty(), "{violations:#?}\n{}", house.story());
}

async fn idle(house: &House) {
    let before = house.world.lock().journal.len();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(house.world.lock().journal.len(), before, "a converged app is left alone\n{}", house.story());
}

#[tokio::test(start_paused = true)]
async fn a_first_release_comes_up_and_then_nothing_happens() {
    let house = house_with(&AppSketch::web("web").replicas(2)).await;
    assert_eq!(house.running("web").len(), 2);
    assert_eq!(house.world.routed(&name("web")).len(), 2);
    idle(&house).await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn every_strategy_reaches_the_new_release_and_leaves_one_set() {
    for strategy in [Strategy::BlueGreen, Strategy::Rolling, Strategy::Recreate] {
        let app = AppSketch::web("web").replicas(3).strategy(strategy).env(HEALTHY_AFTER_MS, "700");
        let house = house_with(&app).await;
        if strategy == Strategy::Recreate {
            house.world.lock().exempt.insert(name("web"));
        }
        house.source.put(app.clone().env("VERSION", "v2").build());
        house.until_live("web", 2).await;
        let running = house.running("web");
        assert!(
            running.len() == 3 && running.iter().all(|(id, _)| id.starts_with("web-r2-")),
            "{strategy:?}: {running:?}"
        );
        idle(&house).await;
        lawful(&house);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_release_of_any_kind_reverts_and_the_old_instances_never_leave() {
    let kinds = [
        (EXIT_AFTER_MS, "0"),
        (EXIT_AFTER_MS, "2000"),
        (NEVER_HEALTHY, "1"),
        (SICK_AFTER_MS, "20000"),
        (CANNOT_START, "1"),
    ];
    for strategy in [Strategy::BlueGreen, Strategy::Rolling] {
        for (key, value) in kinds {
            let app = AppSketch::web("web").replicas(2).strategy(strategy);
            let house = house_with(&app).await;
            let before = house.running("web");
            house.source.put(app.clone().env("VERSION", "v2").env(key, value).build());
            house
                .until(&format!("{key} under {strategy:?} is reverted"), PATIENCE, |house| {
                    let status = house.app("web").expect("the app is there").status;
                    status.verdict.reverted && status.verdict.state == State::Ready && house.settled()
                })
                .await;
            let after = house.running("web");
            // A rolling release that turns bad in its bake has replaced the old ones already.
            if strategy == Strategy::BlueGreen || key != SICK_AFTER_MS {
                assert_eq!(after, before, "{key} under {strategy:?} touched what was running\n{}", house.story());
            }
            assert!(after.len() == 2 && after.iter().all(|(id, _)| id.starts_with("web-r1-")), "{after:?}");
            assert_eq!(house.app("web").expect("there").status.rejected.len(), 1);
            idle(&house).await;
            lawful(&house);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_release_that_fails_is_stopped_kept_for_evidence_and_replaced_by_the_fix() {
    let mut house = House::new();
    let app = AppSketch::web("web");
    house.source.put(app.clone().env(EXIT_AFTER_MS, "0").build());
    house.start().await;
    house
        .until("it is stalled", PATIENCE, |house| {
            house.app("web").is_some_and(|app| matches!(app.status.verdict.state, State::Stalled(_)))
        })
        .await;
    assert!(house.running("web").is_empty());
    idle(&house).await;
    assert_eq!(house.app("web").expect("there").status.instances.len(), 1, "its remains are evidence");
    house.source.put(app.env("VERSION", "v2").build());
    house.until_live("web", 2).await;
    assert_eq!(house.app("web").expect("there").status.instances.len(), 1);
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_exits_is_started_again_at_once() {
    let app = AppSketch::web("web").replicas(2);
    let house = house_with(&app).await;
    let (id, life) = house.running("web")[0].clone();
    house.world.crash(&id.parse().expect("a name"), 1).expect("it runs");
    // The world says nothing of this crash: a look is asked for.
    house.control().order(&name("web"), Order::Reconcile, "test").await.expect("it is looked at");
    house
        .until("it runs again", Duration::from_secs(5), |house| {
            house.running("web").iter().any(|(other, now)| *other == id && *now != life)
        })
        .await;
    house.until("it is settled", PATIENCE, House::settled).await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn one_that_flaps_is_given_more_and_more_time_and_does_not_revert() {
    let app = AppSketch::web("web").replicas(2);
    let house = house_with(&app).await;
    house.source.put(app.clone().env("VERSION", "v2").env(EXIT_AFTER_MS, "100000").env(EXITS_IN_LIVES, "1").build());
    house.until_live("web", 2).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    house.until("it is settled", PATIENCE, House::settled).await;
    let status = house.app("web").expect("there").status;
    assert!(!status.verdict.reverted && status.instances.iter().all(|one| one.restarts == 1), "{}", house.story());
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn scaling_restarts_nothing_and_zero_routes_to_nobody() {
    let app = AppSketch::web("web").replicas(2);
    let house = house_with(&app).await;
    let before = house.running("web");
    house.source.put(app.clone().replicas(4).build());
    house.until("four run", PATIENCE, |house| house.running("web").len() == 4 && house.settled()).await;
    assert!(before.iter().all(|one| house.running("web").contains(one)));
    house.source.put(app.clone().replicas(1).build());
    house.until("one runs", PATIENCE, |house| house.running("web").len() == 1 && house.settled()).await;
    house.world.lock().exempt.insert(name("web"));
    house.source.put(app.replicas(0).build());
    house.until("none runs", PATIENCE, |house| house.running("web").is_empty() && house.settled()).await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn a_fix_forward_during_a_rollout_takes_over_at_once() {
    let app = AppSketch::web("web").replicas(2);
    let house = house_with(&app).await;
    house.source.put(app.clone().env("VERSION", "v2").env(NEVER_HEALTHY, "1").build());
    house.until("the bad one is there", PATIENCE, |house| house.running("web").len() == 4).await;
    house.source.put(app.clone().env("VERSION", "v3").build());
    house.until_live("web", 3).await;
    assert_eq!(house.running("web").len(), 2);
    assert!(house.app("web").expect("there").status.rejected.is_empty(), "what was superseded was not judged");
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn a_killed_daemon_finishes_what_it_began_wherever_it_stood() {
    for moment in (0..90_000).step_by(2_777) {
        let app = AppSketch::web("web").replicas(2).env(HEALTHY_AFTER_MS, "900");
        let mut house = house_with(&app).await;
        house.source.put(app.clone().env("VERSION", "v2").build());
        tokio::time::sleep(Duration::from_millis(moment)).await;
        house.kill().await;
        tokio::time::sleep(Duration::from_secs(700)).await;
        house.start().await;
        house.until_live("web", 2).await;
        let creates = house.world.lock().creates[&name("web")];
        assert_eq!(creates, 4, "killed at +{moment} ms: two for each release\n{}", house.story());
        assert_eq!(house.running("web").len(), 2);
        lawful(&house);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_store_restarts_nothing() {
    let app = AppSketch::web("web").replicas(2);
    let mut house = house_with(&app).await;
    let before = house.running("web");
    house.kill().await;
    house.store.lose();
    house.start().await;
    house.until("it is settled", PATIENCE, House::settled).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(house.running("web"), before, "{}", house.story());
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn a_removed_manifest_takes_its_app_with_it_and_many_wait_for_a_word() {
    let mut house = House::new();
    let apps: Vec<_> = (0..10).map(|index| AppSketch::worker(&format!("app-{index}"))).collect();
    house.source.put_all(apps.iter().map(AppSketch::build));
    house.start().await;
    house.until("all are settled", PATIENCE, House::settled).await;
    house.source.remove(&apps[0].name);
    house.until("one goes", PATIENCE, |house| house.app("app-0").is_none() && house.running("app-0").is_empty()).await;
    for app in &apps[1..8] {
        house.source.remove(&app.name);
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    let left: usize = apps.iter().map(|app| house.running(app.name.as_str()).len()).sum();
    // They vanish one by one here, so the first three of nine may go.
    assert_eq!(left, 6, "{}", house.story());
    let approved = house.control().approve_prune("test").await.expect("some wait");
    assert_eq!(approved.len(), 4);
    house
        .until("they go", PATIENCE, |house| {
            apps.iter().map(|app| house.running(app.name.as_str()).len()).sum::<usize>() == 2
        })
        .await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn a_dependency_comes_first_and_rollback_pins_until_resumed() {
    let mut house = House::new();
    let db = AppSketch::web("db").env(HEALTHY_AFTER_MS, "30000");
    let api = AppSketch::web("api").depends_on("db");
    house.source.put_all([api.build(), db.build()]);
    house.start().await;
    house
        .until("api waits", PATIENCE, |house| {
            house.app("api").is_some_and(|app| app.status.word == "DependencyNotReady")
        })
        .await;
    assert!(house.running("api").is_empty());
    house.until_live("api", 1).await;
    house.source.put(api.clone().env("VERSION", "v2").build());
    house.until_live("api", 2).await;
    house
        .control()
        .order(&name("api"), Order::Rollback { to: None, env: EnvOf::Then }, "test")
        .await
        .expect("r1 is good");
    house.until_live("api", 3).await;
    let status = house.app("api").expect("there").status;
    assert_eq!(status.word, "Pinned", "{}", house.story());
    house.control().order(&name("api"), Order::Resume, "test").await.expect("it is pinned");
    house.until_live("api", 4).await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn what_depends_on_another_goes_before_it() {
    let mut house = House::new();
    let db = AppSketch::web("db");
    let api = AppSketch::web("api").depends_on("db");
    house.source.put_all([api.build(), db.build()]);
    house.start().await;
    house.until_live("api", 1).await;
    house.world.lock().in_flight.insert("api-r1-0".parse().expect("a name"), 1);
    house.kill().await;
    house.start().await;
    house.world.lock().exempt.extend([name("db"), name("api")]);
    house.source.remove(&name("db"));
    house.source.remove(&name("api"));
    house
        .until("db waits", PATIENCE, |house| house.app("db").is_some_and(|app| app.status.word == "DependentsGoFirst"))
        .await;
    house.until("api is gone", PATIENCE, |house| house.running("api").is_empty()).await;
    assert_eq!(house.running("db").len(), 1, "{}", house.story());
    house.until("db is gone", PATIENCE, |house| house.running("db").is_empty()).await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn a_dark_target_reverts_nothing_and_ends_no_bake() {
    let app = AppSketch::web("web").replicas(2);
    let house = house_with(&app).await;
    house.source.put(app.clone().env("VERSION", "v2").build());
    house.until("it bakes", PATIENCE, |house| house.app("web").is_some_and(|app| app.status.word == "Baking")).await;
    let local = trueup_types::TargetName::local();
    house.darken(&local, true);
    tokio::time::sleep(Duration::from_secs(1_200)).await;
    house.darken(&local, false);
    house.until("it bakes on", PATIENCE, |house| house.app("web").is_some_and(|app| app.status.word == "Baking")).await;
    house.until_live("web", 2).await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn revert_hold_routes_back_and_waits_for_a_person() {
    let mut app = AppSketch::web("web").replicas(2);
    app.policy.revert = RevertMode::Hold;
    let house = house_with(&app).await;
    house.source.put(app.clone().env("VERSION", "v2").env(SICK_AFTER_MS, "20000").build());
    house.until("it is held", PATIENCE, |house| house.app("web").is_some_and(|app| app.status.word == "Stalled")).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(house.running("web").len(), 4, "the failed ones stay for a person to look at");
    assert!(house.world.routed(&name("web")).iter().all(|id| id.revision.0 == 1));
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn a_bake_of_no_length_ends_at_once() {
    let mut app = AppSketch::web("web").replicas(2);
    app.policy.bake = Duration::ZERO;
    app.policy.min_healthy = Duration::ZERO;
    let house = house_with(&app).await;
    let begun = tokio::time::Instant::now();
    house.source.put(app.env("VERSION", "v2").build());
    house.until_live("web", 2).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "no routine look was waited for: {:?}", begun.elapsed());
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn a_newer_release_waits_for_the_bake_and_then_begins_at_once() {
    let app = AppSketch::web("web").replicas(2);
    let house = house_with(&app).await;
    house.source.put(app.clone().env("VERSION", "v2").build());
    house.until("it bakes", PATIENCE, |house| house.app("web").is_some_and(|app| app.status.word == "Baking")).await;
    house.source.put(app.env("VERSION", "v3").build());
    let live = |house: &House| house.app("web").and_then(|app| app.status.last_good).map_or(0, |good| good.0);
    house.until("the bake ends", PATIENCE, |house| live(house) == 2).await;
    let ended = tokio::time::Instant::now();
    house
        .until("the newer one begins", PATIENCE, |house| house.running("web").iter().any(|(id, _)| id.contains("-r3-")))
        .await;
    assert!(ended.elapsed() < Duration::from_secs(1), "no routine look was waited for: {:?}", ended.elapsed());
    house.until_live("web", 3).await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_runs_on_over_every_routine_look() {
    let mut app = AppSketch::web("web").replicas(2);
    app.prune = trueup_types::desired::Prune::Orphan;
    let mut house = house_with(&app).await;
    let before = house.running("web");
    house.source.remove(&name("web"));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(house.running("web"), before, "what is left running is not taken for a leftover\n{}", house.story());
    house.stop().await;
    house.start().await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(house.running("web"), before, "nor by the next daemon\n{}", house.story());
    lawful(&house);
}
