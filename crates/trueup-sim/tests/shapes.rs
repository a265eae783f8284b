//! A commit that changes what an app is like, and not only its version: its ways in, the names of its ports, its disk.

use std::time::Duration;

use trueup_sim::behaviour::NEVER_HEALTHY;
use trueup_sim::{AppSketch, House};
use trueup_types::exposure::Route;
use trueup_types::order::{EnvOf, Order};
use trueup_types::policy::{CanaryStep, Strategy};
use trueup_types::template::{Port, Volume};
use trueup_types::verdict::State;
use trueup_types::{AppName, Label, Percent, PortName, Quantity};

const PATIENCE: Duration = Duration::from_secs(1_500);

fn name(text: &str) -> AppName {
    AppName::new(text).expect("a name")
}

fn port(text: &str) -> PortName {
    PortName::new(text).expect("a name")
}

/// A house in which an app is live in its first version.
async fn house_with(app: &AppSketch) -> House {
    let mut house = House::new();
    put(&house, app);
    house.start().await;
    house.until_live(app.name.as_str(), 1).await;
    house
}

fn put(house: &House, app: &AppSketch) {
    let desired = app.build();
    house.world.lock().wants.learn(&desired.name, Some(&desired), house.world.now());
    house.source.put(desired);
}

/// Waits until an app is live in its second version, or back; the laws held all the while.
async fn ends(house: &House, app: &AppSketch, revision: u64) {
    // What is wanted counts for the laws as long as it is told.
    let told = async {
        loop {
            let desired = app.build();
            house.world.lock().wants.learn(&desired.name, Some(&desired), house.world.now());
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::select! {
        () = house.until_live(app.name.as_str(), revision) => {}
        () = told => {}
    }
    lawful(house);
}

fn lawful(house: &House) {
    let broken = house.world.lock().violations.clone();
    assert!(broken.is_empty(), "{broken:?}\n{}", house.story());
    let bugs: Vec<_> = house.control().status().events.into_iter().filter(|event| event.reason == "Bug").collect();
    assert!(bugs.is_empty(), "{bugs:?}\n{}", house.story());
}

fn rolling(app: AppSketch) -> AppSketch {
    let mut app = app.strategy(Strategy::Rolling);
    app.policy.max_surge = Quantity::Count(1);
    app
}

fn canary(app: AppSketch) -> AppSketch {
    let mut app = app.strategy(Strategy::Canary);
    let step = |weight| CanaryStep {
        weight: Percent::new(weight).expect("a share"),
        pause: Duration::from_secs(20),
        approve: false,
        analysis: Vec::new(),
    };
    app.policy.steps = vec![step(10), step(50)];
    app
}

fn renamed(app: &AppSketch, to: &str) -> AppSketch {
    let mut app = app.clone().env("VERSION", "v2");
    app.template.ports.iter_mut().for_each(|one| one.name = port(to));
    app.exposure.routes.iter_mut().for_each(|route| route.port = port(to));
    app
}

/// The same with one more way in, to a port of its own.
fn with_admin(app: &AppSketch) -> AppSketch {
    let mut app = app.clone();
    app.template.ports.push(Port { name: port("admin"), ..app.template.ports[0].clone() });
    let admin = Route { path: "/admin".to_owned(), port: port("admin"), ..app.exposure.routes[0].clone() };
    app.exposure.routes.push(admin);
    app
}

fn with_disk(app: &AppSketch) -> AppSketch {
    let mut app = app.clone();
    let data = Label::new("data").expect("a name");
    app.template.volumes = vec![Volume { name: data, path: "/data".to_owned(), size_bytes: None }];
    app.policy.stop_first = Some("the volume `data` has one owner".to_owned());
    app
}

#[tokio::test(start_paused = true)]
async fn a_port_may_be_renamed_in_any_order() {
    for app in [rolling(AppSketch::web("web")), canary(AppSketch::web("web")), AppSketch::web("web")] {
        let app = app.replicas(2);
        let house = house_with(&app).await;
        let next = renamed(&app, "front");
        put(&house, &next);
        ends(&house, &next, 2).await;
        assert_eq!(house.world.routed(&app.name).len(), 2, "{}", house.story());
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_and_its_way_in_may_change_in_any_order() {
    for app in [rolling(AppSketch::web("web")), canary(AppSketch::web("web")), AppSketch::web("web")] {
        let app = app.replicas(2);
        let house = house_with(&app).await;
        let mut next = renamed(&app, "front");
        next.exposure.routes[0].host = "other.localhost".to_owned();
        next.exposure.routes[0].path = "/other".to_owned();
        put(&house, &next);
        ends(&house, &next, 2).await;
        assert_eq!(house.world.routed(&app.name).len(), 2, "{}", house.story());
    }
}

#[tokio::test(start_paused = true)]
async fn a_way_in_may_go_with_its_port_and_come_back() {
    for app in [rolling(AppSketch::web("web")), canary(AppSketch::web("web")), AppSketch::web("web")] {
        let (less, more) = (app.clone().replicas(2), with_admin(&app.replicas(2)));
        for (one, other) in [(&less, &more), (&more, &less)] {
            let house = house_with(one).await;
            let next = other.clone().env("VERSION", "v2");
            put(&house, &next);
            ends(&house, &next, 2).await;
            let ways = house.world.lock().table.apps[0].entries.clone();
            assert_eq!(ways.len(), next.exposure.routes.len());
            assert!(ways.iter().all(|way| way.backends.len() == 2), "{ways:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ways_in_may_come_and_go_with_a_version() {
    let worker = |app: &AppSketch| {
        let mut app = app.clone();
        app.exposure.routes.clear();
        app.template.ports.clear();
        app
    };
    for app in [rolling(AppSketch::web("web")), canary(AppSketch::web("web")), AppSketch::web("web")] {
        let web = app.replicas(2);
        for (one, other) in [(worker(&web), web.clone()), (web.clone(), worker(&web))] {
            let house = house_with(&one).await;
            let next = other.clone().env("VERSION", "v2");
            put(&house, &next);
            ends(&house, &next, 2).await;
            assert_eq!(house.world.routed(&next.name).len(), next.exposure.routes.len() * 2, "{}", house.story());
            // Back by a word.
            let to = Order::Rollback { to: None, env: EnvOf::Then };
            let said = tokio::time::timeout(PATIENCE, house.control().order(&next.name, to, "somebody")).await;
            said.expect("it is answered").expect("there is one to go back to");
            ends(&house, &next, 3).await;
            assert_eq!(house.world.routed(&next.name).len(), one.exposure.routes.len() * 2, "{}", house.story());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_version_that_came_with_ways_in_takes_them_along() {
    let worker = AppSketch::worker("web").replicas(2);
    let house = house_with(&worker).await;
    let bad = AppSketch::web("web").replicas(2).env("VERSION", "v2").env(NEVER_HEALTHY, "1");
    put(&house, &bad);
    house
        .until("it is reverted and Ready", PATIENCE, |house| {
            let verdict = house.app("web").map(|app| app.status.verdict);
            verdict.is_some_and(|verdict| verdict.reverted && verdict.state == State::Ready && verdict.serving)
        })
        .await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn a_disk_has_one_owner_whatever_the_manifest_says_by_now() {
    let app = AppSketch::web("web");
    let disk = with_disk(&app);
    let house = house_with(&disk).await;
    let next = app.clone().env("VERSION", "v2");
    put(&house, &next);
    ends(&house, &next, 2).await;
    for word in [Order::Rollback { to: None, env: EnvOf::Then }, Order::Resume] {
        let said = tokio::time::timeout(PATIENCE, house.control().order(&name("web"), word, "somebody")).await;
        said.expect("it is answered").expect("it is obeyed");
        tokio::time::sleep(Duration::from_secs(600)).await;
        lawful(&house);
    }
    assert_eq!(house.running("web").len(), 1, "{}", house.story());
}
