//! Apps that are wanted so many times in each of several places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use trueup_sim::{AppSketch, House};
use trueup_types::{AppName, DesiredApp, Place};

/// Longest that anything takes here, in simulated time.
const PATIENCE: Duration = Duration::from_secs(600);

fn web() -> AppName {
    AppName::new("web").expect("a name")
}

fn wanted(spread: &[(&str, u32)], change: impl FnOnce(AppSketch) -> AppSketch) -> Arc<DesiredApp> {
    let desired = change(AppSketch::web("web")).build();
    let mut desired = DesiredApp::clone(&desired);
    desired.placement.spread =
        spread.iter().map(|(place, count)| (Place::new(place).expect("a name"), *count)).collect();
    let (policy, exposure) = (&desired.policy, &desired.exposure);
    desired.intent =
        DesiredApp::intent_of(desired.template_digest, policy, exposure, &desired.placement, desired.prune);
    Arc::new(desired)
}

/// Which instances there are, by place.
fn there(house: &House) -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, one) in house.world.lock().instances.values().flatten() {
        places.entry(one.place.to_string()).or_default().push(id.to_string());
    }
    places
}

fn counted(house: &House) -> Vec<(String, usize)> {
    there(house).into_iter().map(|(place, ids)| (place, ids.len())).collect()
}

async fn until_spread(house: &House, spread: &[(&str, usize)]) {
    let spread: Vec<_> = spread.iter().map(|(place, count)| ((*place).to_owned(), *count)).collect();
    house.until(&format!("{spread:?}"), PATIENCE, |house| house.settled() && counted(house) == spread).await;
}

fn lawful(house: &House) {
    let violations = house.world.lock().violations.clone();
    assert_eq!(violations, Vec::<String>::new(), "{}", house.story());
}

#[tokio::test(start_paused = true)]
async fn an_app_lives_in_each_of_its_places_and_moves_one_by_one() {
    let mut house = House::new();
    house.source.put(wanted(&[("fra", 1), ("iad", 2)], |web| web));
    house.start().await;
    house.until_live("web", 1).await;
    until_spread(&house, &[("fra", 1), ("iad", 2)]).await;
    let before = house.running("web");
    house.source.put(wanted(&[("fra", 2), ("iad", 1)], |web| web));
    until_spread(&house, &[("fra", 2), ("iad", 1)]).await;
    let stayed = house.running("web").iter().filter(|one| before.contains(one)).count();
    assert_eq!((stayed, house.world.routed(&web()).len()), (2, 3), "{}", house.story());
    house.source.put(wanted(&[("nrt", 3)], |web| web));
    until_spread(&house, &[("nrt", 3)]).await;
    let creates = house.world.lock().creates[&web()];
    assert_eq!(creates, 7, "none is made that is not needed: {}", house.story());
    lawful(&house);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(house.world.lock().creates[&web()], creates, "and it is still: {}", house.story());
}

#[tokio::test(start_paused = true)]
async fn a_new_release_rolls_in_all_places_and_comes_to_where_it_is_wanted_then() {
    let mut house = House::new();
    house.source.put(wanted(&[("fra", 1), ("iad", 2)], |web| web));
    house.start().await;
    house.until_live("web", 1).await;
    house.source.put(wanted(&[("fra", 2), ("iad", 2)], |web| web.env("VERSION", "v2")));
    house.until_live("web", 2).await;
    until_spread(&house, &[("fra", 2), ("iad", 2)]).await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn where_two_never_stand_side_by_side_each_comes_where_one_has_left() {
    let mut house = House::new();
    let disk = |mut web: AppSketch| {
        web.policy.stop_first = Some("it has a disk".to_owned());
        web
    };
    house.source.put(wanted(&[("fra", 1), ("iad", 2)], disk));
    house.start().await;
    house.until_live("web", 1).await;
    house.source.put(wanted(&[("fra", 1), ("iad", 2)], |web| disk(web).env("VERSION", "v2")));
    let limits = [("fra", 1), ("iad", 2)];
    let crowded = |house: &House| {
        let (now, state) = (house.world.now(), house.world.lock());
        limits.iter().any(|(place, most)| {
            let all = state.instances.values().flat_map(BTreeMap::values);
            all.filter(|one| one.place.as_str() == *place && !one.exited(now)).count() > *most
        })
    };
    let through =
        |house: &House| house.app("web").is_some_and(|app| app.status.last_good.is_some_and(|good| good.0 == 2));
    house.until("it is through, or two are side by side", PATIENCE, |house| through(house) || crowded(house)).await;
    assert!(!crowded(&house), "{}", house.story());
    until_spread(&house, &[("fra", 1), ("iad", 2)]).await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_dies_while_one_moves_goes_on() {
    let mut house = House::new();
    house.source.put(wanted(&[("fra", 1), ("iad", 2)], |web| web));
    house.start().await;
    house.until_live("web", 1).await;
    house.source.put(wanted(&[("fra", 3)], |web| web));
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(1_700)).await;
        house.kill().await;
        house.start().await;
    }
    until_spread(&house, &[("fra", 3)]).await;
    lawful(&house);
}
