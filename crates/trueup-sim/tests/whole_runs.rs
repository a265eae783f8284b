//! What whole runs from seeds and sequences of operations found in this house, each kept as the shortest case.

use std::time::Duration;

use trueup_sim::behaviour::{EXIT_AFTER_MS, HEALTHY_AFTER_MS, SICK_AFTER_MS};
use trueup_sim::faults::{CallFault, SightFault};
use trueup_sim::{AppSketch, House};
use trueup_types::policy::Strategy;
use trueup_types::target::TargetSpec;
use trueup_types::verdict::State;
use trueup_types::{AppName, TargetName};

const PATIENCE: Duration = Duration::from_secs(3_600);

fn name(text: &str) -> AppName {
    AppName::new(text).expect("a name")
}

fn elsewhere(house: &House) -> TargetName {
    let target = TargetName::new("elsewhere").expect("a name");
    house.source.target(TargetSpec { name: target.clone(), ..TargetSpec::local() }, true);
    target
}

fn reverted(house: &House) -> bool {
    let app = house.app("web");
    app.is_some_and(|app| app.status.verdict.reverted && app.status.verdict.state == State::Ready) && house.settled()
}

#[tokio::test(start_paused = true)]
async fn an_app_whose_routes_are_taken_out_is_unrouted_and_runs_on() {
    let mut house = House::new();
    let mut app = AppSketch::web("web").replicas(2);
    house.source.put(app.build());
    house.start().await;
    house.until_live("web", 1).await;
    let before = house.running("web");
    app.exposure.routes.clear();
    house.source.put(app.build());
    house.until("nobody is routed to", PATIENCE, |house| house.world.routed(&name("web")).is_empty()).await;
    house.until("it is settled", PATIENCE, House::settled).await;
    assert_eq!(house.app("web").expect("there").status.verdict.state, State::Ready, "{}", house.story());
    assert_eq!(house.running("web"), before);
}

#[tokio::test(start_paused = true)]
async fn a_revert_goes_back_to_the_target_that_the_old_ones_have_left() {
    let mut house = House::new();
    let target = elsewhere(&house);
    let mut app = AppSketch::web("web").replicas(2).strategy(Strategy::Rolling);
    house.source.put(app.build());
    house.start().await;
    house.until_live("web", 1).await;
    app.target = target.clone();
    // It dies within its bake, when nothing is left where it came from.
    house.source.put(app.env("VERSION", "v2").env(EXIT_AFTER_MS, "40000").build());
    house.until("it is reverted", PATIENCE, reverted).await;
    let there = house.running("web");
    assert!(there.len() == 2 && there.iter().all(|(id, _)| id.starts_with("web-r1-")), "{}", house.story());
    assert!(house.world.lock().instances[&target].is_empty());
    let effects = house.world.lock().journal.len();
    tokio::time::sleep(PATIENCE).await;
    assert_eq!(house.world.lock().journal.len(), effects, "it is still: {}", house.story());
}

#[tokio::test(start_paused = true)]
async fn what_was_left_on_another_target_is_found_when_memory_is_lost() {
    let mut house = House::new();
    let target = elsewhere(&house);
    let mut app = AppSketch::web("web").replicas(1);
    house.source.put(app.build());
    house.start().await;
    house.until_live("web", 1).await;
    house.kill().await;
    house.store.put_back_unnoticed(trueup_seams::Memory::default());
    app.target = target.clone();
    house.source.put(app.build());
    house.start().await;
    house
        .until("it has moved", PATIENCE, |house| {
            let state = house.world.lock();
            state.instances[&TargetName::local()].is_empty() && state.instances[&target].len() == 1
        })
        .await;
    assert!(house.world.lock().violations.is_empty(), "{}", house.story());
}

#[tokio::test(start_paused = true)]
async fn who_finds_in_the_table_what_it_never_made_unroutes_nobody_before_it_has_looked_everywhere() {
    let mut house = House::new();
    let target = elsewhere(&house);
    let mut app = AppSketch::web("web").replicas(2);
    house.source.put(app.build());
    house.start().await;
    house.until_live("web", 1).await;
    let early = house.store.copy();
    app.target = target.clone();
    house.source.put(app.clone().env("VERSION", "v2").build());
    house.until_live("web", 2).await;
    house.kill().await;
    house.store.put_back_unnoticed(early);
    house.darken(&target, true);
    house.start().await;
    app.target = TargetName::local();
    house.source.put(app.env("VERSION", "v3").build());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(house.world.routed(&name("web")).len(), 2, "they still serve: {}", house.story());
    house.darken(&target, false);
    house.until_live("web", 3).await;
    assert!(house.world.lock().violations.is_empty(), "{}", house.story());
}

#[tokio::test(start_paused = true)]
async fn an_orphan_whose_memory_went_back_keeps_nobody_from_going() {
    let mut house = House::new();
    let mut web = AppSketch::web("web").depends_on("api");
    web.prune = trueup_types::desired::Prune::Orphan;
    house.source.put_all([AppSketch::web("api").build(), web.build()]);
    house.start().await;
    house.until("api bakes", PATIENCE, |house| house.app("api").is_some_and(|app| app.status.word == "Baking")).await;
    let early = house.store.copy();
    house.until_live("web", 1).await;
    house.kill().await;
    house.store.put_back_unnoticed(early);
    house.source.remove(&name("web"));
    house.start().await;
    house.source.remove(&name("api"));
    house.until("api is gone", PATIENCE, |house| house.running("api").is_empty()).await;
    assert_eq!(house.running("web").len(), 1, "it was to be left running: {}", house.story());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_go_while_a_slow_ingress_is_told_looks_again_later() {
    let mut house = House::new();
    house.pace.table = Duration::from_secs(2);
    house.source.put(AppSketch::web("web").replicas(2).build());
    house.start().await;
    house.until_live("web", 1).await;
    house.world.lock().exempt.insert(name("web"));
    // The ingress is told everything for another app, and forgets it all before it has said so; just then this one is to go.
    house.source.put(AppSketch::web("api").build());
    tokio::time::sleep(Duration::from_millis(100)).await;
    house.world.lock().table.apps.clear();
    house.source.remove(&name("web"));
    house.until("web is gone", PATIENCE, |house| house.running("web").is_empty()).await;
    assert_eq!(house.tether().restless(), None);
    assert!(house.world.lock().violations.is_empty(), "{}", house.story());
}

#[tokio::test(start_paused = true)]
async fn what_is_added_within_a_bake_is_given_the_time_to_come_up() {
    let mut house = House::new();
    let mut app = AppSketch::web("web").replicas(1).env(HEALTHY_AFTER_MS, "15000");
    // Its start takes longer than its probe is patient with one that was well.
    app.template.health[0].grace = Duration::ZERO;
    house.source.put(app.build());
    house.start().await;
    house.until("it bakes", PATIENCE, |house| house.app("web").is_some_and(|app| app.status.word == "Baking")).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    house.source.put(app.replicas(3).build());
    house.until_live("web", 1).await;
    house.until("three run", PATIENCE, |house| house.running("web").len() == 3).await;
    assert!(house.app("web").expect("there").status.rejected.is_empty(), "{}", house.story());
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_begins_unroutes_nobody_while_it_counts_good_answers() {
    let mut house = House::new();
    let mut app = AppSketch::web("web").replicas(2);
    app.template.health[0].successes = 2;
    house.source.put(app.build());
    house.start().await;
    house.until_live("web", 1).await;
    let tables = |house: &House| house.world.lock().table.generation;
    let before = tables(&house);
    house.kill().await;
    house.start().await;
    house.until("it is settled", PATIENCE, House::settled).await;
    assert_eq!(tables(&house), before, "{}", house.story());
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_shows_everything_twice_stalls_no_rollout() {
    let mut house = House::new();
    let app = AppSketch::web("web").replicas(3);
    house.source.put(app.build());
    house.start().await;
    house.until_live("web", 1).await;
    house.world.lock().faults.script_sights([Some(SightFault::Doubled); 3]);
    house.source.put(app.env("VERSION", "v2").build());
    house.until_live("web", 2).await;
    let events = house.control().status().events;
    assert!(events.iter().all(|event| event.reason != "Bug"), "{}", house.story());
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_suspended_in_mid_rollout_is_not_saved_for_ever() {
    let mut house = House::new();
    let mut app = AppSketch::web("web");
    house.source.put(app.build());
    house.start().await;
    house.until_live("web", 1).await;
    let next = app.clone().env("VERSION", "v2");
    house.source.put(next.build());
    house.until("both run", PATIENCE, |house| house.running("web").len() == 2).await;
    app = next;
    app.policy.suspend = true;
    house.source.put(app.build());
    house.until("it is settled", PATIENCE, House::settled).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let saves = house.store.saves();
    tokio::time::sleep(PATIENCE).await;
    assert_eq!(house.store.saves(), saves);
    app.policy.suspend = false;
    house.source.put(app.build());
    house.until_live("web", 2).await;
}

#[tokio::test(start_paused = true)]
async fn where_two_cannot_stand_side_by_side_and_all_fail_each_is_replaced_in_its_place() {
    for routed in [true, false] {
        let app = if routed { AppSketch::web("web") } else { AppSketch::worker("web") };
        let app = app.replicas(2).strategy(Strategy::Recreate);
        let mut house = House::new();
        house.source.put(app.build());
        house.start().await;
        house.until_live("web", 1).await;
        let before = house.running("web");
        for (id, _) in &before {
            house.world.sicken(&id.parse().expect("a name"), true);
        }
        house
            .until("both are replaced", PATIENCE, |house| {
                let now = house.running("web");
                now.len() == 2 && now.iter().all(|(_, life)| before.iter().all(|(_, old)| old != life))
            })
            .await;
        house.until("it is settled", PATIENCE, House::settled).await;
        assert_eq!(house.app("web").expect("there").status.verdict.state, State::Ready, "{}", house.story());
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_rollout_keeps_no_other_from_beginning() {
    let mut house = House::new();
    house.rollouts_max = 1;
    let (mut one, other) = (AppSketch::web("one"), AppSketch::web("other"));
    house.source.put_all([one.build(), other.build()]);
    house.start().await;
    house.until_live("one", 1).await;
    house.until_live("other", 1).await;
    one = one.env("VERSION", "v2");
    house.source.put(one.build());
    house.until("it rolls", PATIENCE, |house| house.running("one").len() == 2).await;
    one.policy.suspend = true;
    house.source.put(one.build());
    house.source.put(other.env("VERSION", "v2").build());
    house.until_live("other", 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_bake_does_not_end_in_the_sleep_of_the_host() {
    let mut house = House::new();
    let app = AppSketch::web("web").replicas(1);
    house.source.put(app.build());
    house.start().await;
    house.until_live("web", 1).await;
    // It turns bad within its bake, while nobody can ask.
    house.source.put(app.env("VERSION", "v2").env(SICK_AFTER_MS, "20000").build());
    house.until("it bakes", PATIENCE, |house| house.app("web").is_some_and(|app| app.status.word == "Baking")).await;
    tokio::time::advance(Duration::from_secs(3_600)).await;
    house.until("it is reverted", PATIENCE, reverted).await;
    let rejected = house.app("web").expect("there").status.rejected.clone();
    assert_eq!(rejected.len(), 1, "{}", house.story());
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_while_the_edge_is_dark_leaves_the_table_when_it_is_light() {
    let mut house = House::new();
    house.source.put(AppSketch::web("web").replicas(1).build());
    house.start().await;
    house.until_live("web", 1).await;
    let id = house.world.lock().instances[&TargetName::local()].keys().next().cloned().expect("one runs");
    house.world.lock().ingress_dark = true;
    house.world.steal(&id);
    house.source.remove(&name("web"));
    tokio::time::sleep(Duration::from_secs(600)).await;
    house.world.lock().ingress_dark = false;
    house.until("the table is empty", PATIENCE, |house| house.world.lock().table.apps.is_empty()).await;
    house.until("it is forgotten", PATIENCE, |house| house.store.record(&name("web")).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_number_that_memory_forgot_is_not_given_to_another_table() {
    let mut house = House::new();
    let app = AppSketch::web("web").replicas(2);
    house.source.put(app.build());
    house.start().await;
    house.until("the first table is told", PATIENCE, |house| house.running("web").len() == 2).await;
    // Its number is saved within a second or two.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let early = house.store.copy();
    house.until_live("web", 1).await;
    house.kill().await;
    house.store.put_back_unnoticed(early);
    house.start().await;
    house.until_live("web", 1).await;
    // It is to go: the ingress does not hear it, then gives no answer, and then nobody sees it for a while.
    house.world.lock().faults.script_tables([Some(CallFault::LostBefore), Some(CallFault::Hangs)]);
    house.source.remove(&name("web"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    house.world.lock().ingress_dark = true;
    for version in ["v1", "v2", "v3"] {
        tokio::time::sleep(Duration::from_secs(60)).await;
        house.source.put(app.clone().env("VERSION", version).build());
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    house.world.lock().ingress_dark = false;
    house.until("v3 is live", PATIENCE, |house| house.running("web").len() == 2 && house.settled()).await;
    assert!(house.world.lock().violations.is_empty(), "{}", house.story());
}
