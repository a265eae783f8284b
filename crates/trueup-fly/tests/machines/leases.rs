//! Leases on machines that flyctl takes for its own: while a rollout is under way nobody else changes them, and nothing
//! is left behind.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use trueup_fly_sim::{Asked, Fault, Said, Scenario};
use trueup_sim::AppSketch;

use crate::daemon::Scene;
use crate::rollouts::{bad_images, come_and_go, web};
use crate::stand::rule;

/// How long a lease lasts that nobody lengthens.
const TTL: Duration = Duration::from_secs(13);

/// With a bake of so many seconds.
fn baked(image: &str, seconds: u64) -> AppSketch {
    let mut web = web(image);
    web.policy.bake = Duration::from_secs(seconds);
    web
}

fn baking(scene: &Scene) -> bool {
    scene.house.app("web").is_some_and(|app| app.status.word == "Baking")
}

fn at(scene: &Scene, machine: &str, rest: &str) -> String {
    format!("/v1/apps/{}/machines/{machine}{rest}", scene.fly_app())
}

/// Each machine, and whether somebody holds its lease.
async fn held(scene: &Scene) -> BTreeMap<String, bool> {
    let mut held = BTreeMap::new();
    for (machine, ..) in scene.fleet() {
        let (status, said) = scene.platform.ask(Asked::new("GET", &at(scene, &machine, "/lease"))).await;
        assert!([200, 404].contains(&status), "{status} {said}");
        held.insert(machine, status == 200);
    }
    held
}

/// A deploy by hand: it takes a lease, or changes a machine without one.
async fn deployed_by_hand(scene: &Scene, machine: &str) -> [u16; 2] {
    let lease = Asked::new("POST", &at(scene, machine, "/lease")).json(&json!({"ttl": 13}));
    let update = Asked::new("POST", &at(scene, machine, "")).json(&json!({"config": {"image": "r/app:by-hand"}}));
    let (update, _) = scene.platform.ask(update).await;
    let (lease, _) = scene.platform.ask(lease).await;
    [update, lease]
}

fn asked(scene: &Scene, operation: &str) -> u64 {
    scene.platform.sim.calls().get(operation).copied().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn who_deploys_by_hand_in_the_middle_of_a_rollout_is_refused_and_may_again_after_it() {
    let scene = Scene::beside_flyctl(Scenario::default()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    tokio::time::sleep(TTL).await;
    assert!(held(&scene).await.values().all(|held| !held), "nothing is under way");
    let old: Vec<_> = scene.fleet().into_iter().map(|(id, ..)| id).collect();
    scene.want(&web("r/app:2"));
    scene.until("the first new one is there", |scene| scene.fleet().len() > 2).await;
    let born = scene.fleet().into_iter().map(|(id, ..)| id).find(|id| !old.contains(id)).expect("it is there");
    assert!(held(&scene).await[&born], "it is born with one");
    scene.until("the new ones are there", |scene| scene.fleet().len() == 4).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (machine, ..) in scene.fleet() {
        assert_eq!(deployed_by_hand(&scene, &machine).await, [409, 409], "while it comes: {machine}");
    }
    scene.until("it is judged", baking).await;
    for (machine, ..) in scene.fleet() {
        assert_eq!(deployed_by_hand(&scene, &machine).await, [409, 409], "while it is judged: {machine}");
    }
    scene.live("web", 2).await;
    scene.until("the old are gone", |scene| scene.fleet().iter().all(|(id, ..)| !old.contains(id))).await;
    tokio::time::sleep(TTL).await;
    let free = held(&scene).await;
    assert_eq!(free.values().collect::<Vec<_>>(), [&false, &false], "each is free again");
    assert!(scene.serving().iter().all(|(_, image, ..)| image == "r/app:2"), "{:?}", scene.serving());
    let given_back = asked(&scene, "Machines_release_lease");
    assert!(given_back >= 2, "they are given back, and not left to end: {given_back}");
    let taken = asked(&scene, "Machines_create_lease");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(asked(&scene, "Machines_create_lease"), taken, "nobody takes one any more");
    for (machine, ..) in scene.fleet().into_iter().take(1) {
        assert_eq!(deployed_by_hand(&scene, &machine).await, [200, 201]);
    }
}

/// Born with one, or given one a moment later; and never let go in a bake of many times its length.
#[tokio::test(start_paused = true)]
async fn they_are_held_through_a_long_bake_at_the_pace_that_the_platform_allows() {
    let scene = Scene::beside_flyctl(Scenario::default()).await;
    let long = |image: &str| baked(image, 150).replicas(4);
    scene.want(&long("r/app:1"));
    scene.live("web", 1).await;
    scene.want(&long("r/app:2"));
    scene.until("it is judged", baking).await;
    let (before, from) = (asked(&scene, "Machines_create_lease"), scene.platform.sim.now());
    for second in 0..120 {
        let held = held(&scene).await;
        assert!(held.len() == 8 && held.values().all(|held| *held), "after {second} s: {held:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let took = scene.platform.sim.now().since(from).as_secs();
    let calls = asked(&scene, "Machines_create_lease") - before;
    assert!(calls <= 8 * (took / 4 + 1), "{calls} calls for 8 machines in {took} s");
    scene.live("web", 2).await;
    assert_eq!(scene.hasty(), 0, "nothing was asked too often");
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_daemon_holds_ends_by_itself_and_the_next_one_goes_on() {
    let mut scene = Scene::beside_flyctl(Scenario::default()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    // In the middle of the making, and while it is judged.
    for (round, judged) in [(2, false), (3, true)] {
        scene.want(&web(&format!("r/app:{round}")));
        scene.until("the new ones are there", |scene| scene.fleet().len() == 4 && (!judged || baking(scene))).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let machine = scene.fleet()[0].0.clone();
        assert!(held(&scene).await[&machine]);
        scene.killed(false).await;
        assert_eq!(deployed_by_hand(&scene, &machine).await, [409, 409], "it is held on");
        scene.live("web", round).await;
        scene.until("the old are gone", |scene| scene.fleet().len() == 2).await;
        tokio::time::sleep(TTL).await;
        assert!(held(&scene).await.values().all(|held| !held), "nothing is held");
    }
    let rejected = scene.house.app("web").expect("it is there").status.rejected.len();
    assert_eq!(rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_gone_for_good_locks_nobody_out() {
    let mut scene = Scene::beside_flyctl(Scenario::default()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    scene.want(&web("r/app:2"));
    scene.until("it is judged", baking).await;
    assert!(held(&scene).await.values().all(|held| *held));
    scene.house.kill().await;
    tokio::time::sleep(TTL).await;
    assert!(held(&scene).await.values().all(|held| !held), "each has ended by itself");
}

/// Somebody has just begun to deploy: what he holds is waited for, and nothing counts as a failure.
#[tokio::test(start_paused = true)]
async fn one_that_another_holds_is_waited_for() {
    let scene = Scene::beside_flyctl(Scenario::default()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    tokio::time::sleep(TTL).await;
    let lease = json!({"lease": {"of": {"app": scene.fly_app()}, "ttl": "70s", "owner": "somebody-else"}});
    scene.platform.do_to(lease);
    let from = scene.platform.sim.now();
    scene.want(&web("r/app:2"));
    scene.live("web", 2).await;
    scene.until("the old are gone", |scene| scene.fleet().len() == 2).await;
    let took = scene.platform.sim.now().since(from);
    assert!(took >= Duration::from_secs(70), "nothing of his was touched: {took:?}");
    assert!(scene.house.app("web").expect("it is there").status.rejected.is_empty());
    assert_eq!(scene.hasty(), 0, "nobody asked again and again");
}

/// Where no lease is to be had, and where those that are held cannot be lengthened, what is to be done is done without.
#[tokio::test(start_paused = true)]
async fn a_service_of_leases_that_fails_holds_nothing_up() {
    for status in [404, 429, 500, 403] {
        let scene = Scene::beside_flyctl(Scenario::default()).await;
        scene.want(&web("r/app:1"));
        scene.live("web", 1).await;
        scene.want(&web("r/app:2"));
        scene.until("it is judged", baking).await;
        let fault = rule("Machines_create_lease", 40, Fault::Answers(Said::status(status)));
        scene.platform.sim.carry_out(trueup_fly_sim::Deed::Fault(fault));
        scene.live("web", 2).await;
        scene.until("the old are gone", |scene| scene.fleet().len() == 2).await;
        assert!(scene.house.app("web").expect("it is there").status.rejected.is_empty(), "{status}");
    }
}

/// A machine that lost its lease behind our back gets another as soon as that is seen.
#[tokio::test(start_paused = true)]
async fn one_that_has_ended_too_early_is_taken_anew() {
    let scene = Scene::beside_flyctl(Scenario::default()).await;
    let long = |image: &str| baked(image, 60);
    scene.want(&long("r/app:1"));
    scene.live("web", 1).await;
    scene.want(&long("r/app:2"));
    scene.until("it is judged", baking).await;
    let lost: Value = json!({"lease": {"of": {"app": scene.fly_app()}, "ttl": "0s", "owner": "nobody"}});
    scene.platform.do_to(lost);
    assert!(held(&scene).await.values().all(|held| !held));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(held(&scene).await.values().all(|held| *held), "they are ours again");
    // Another was quicker: it is his until he lets go.
    scene.platform.do_to(json!({"lease": {"of": {"app": scene.fly_app()}, "ttl": "10s", "owner": "somebody-else"}}));
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert!(held(&scene).await.values().all(|held| *held), "they are ours once more");
    scene.live("web", 2).await;
}

/// Good and bad releases in turn under the model of the proxy: somebody answers at every moment, and nothing is refused.
#[tokio::test(start_paused = true)]
async fn releases_come_and_go_under_leases_and_somebody_answers_at_every_moment() {
    let scene = Scene::beside_flyctl(Scenario { images: bad_images(), ..Scenario::default() }).await;
    come_and_go(&scene, &["never", "wrong"]).await;
    assert_eq!((scene.hasty(), scene.refused()), (0, 0), "nothing was asked too often, nor without proof");
}
