//! What a bake keeps is stopped meanwhile, where the app says so, and started before it is sent anything again.

use std::collections::BTreeSet;
use std::time::Duration;

use trueup_fly_sim::{Behaviour, Health, Scenario, Span};
use trueup_sim::AppSketch;
use trueup_types::template::BakeKeep;

use crate::daemon::Scene;
use crate::stand::{image, sketch};

fn web(image: &str) -> AppSketch {
    let mut web = sketch("web", image).replicas(2);
    web.template.bake_keep = Some(BakeKeep::Stopped);
    web.policy.bake = Duration::from_secs(120);
    web.policy.healthy_deadline = Duration::from_secs(60);
    web.policy.progress_deadline = Duration::from_secs(120);
    web
}

/// One whose checks turn, and one that passes them and answers the world wrongly.
fn images() -> Vec<Behaviour> {
    let turns = Behaviour { health: Health::FailsAfter(Span::millis(60_000)), ..image("r/app:turns") };
    let shaky = Health::Flaps { up: Span::millis(60_000), down: Span::millis(20_000) };
    let shaky = Behaviour { health: shaky, ..image("r/app:shaky") };
    let slow = Behaviour { boot: Some(Span::millis(25_000)), ..image("r/app:slow") };
    vec![turns, shaky, slow, Behaviour { answers: 500, ..image("r/app:broken") }]
}

async fn scene() -> Scene {
    Scene::new(Scenario { images: images(), ..Scenario::default() }).await
}

/// How many of an image are in a state.
fn count(scene: &Scene, image: &str, state: &str) -> usize {
    scene.fleet().iter().filter(|(_, is, at, _)| is == image && at == state).count()
}

fn ids(scene: &Scene, image: &str) -> BTreeSet<String> {
    scene.fleet().into_iter().filter(|(_, is, _, _)| is == image).map(|(id, ..)| id).collect()
}

/// Brings an app to the bake of a release, in which the old ones are stopped; from when on somebody was to answer.
async fn baking(scene: &Scene, first: &str, next: &str) -> trueup_fly_sim::Moment {
    scene.want(&web(first));
    scene.live("web", 1).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let from = scene.platform.sim.now();
    scene.want(&web(next));
    scene.until("the old are stopped", |scene| count(scene, first, "stopped") == 2).await;
    assert_eq!(count(scene, next, "started"), 2, "the new serve");
    let app = scene.house.app("web").expect("it is shown");
    assert_eq!(app.status.word, "Baking");
    from
}

#[tokio::test(start_paused = true)]
async fn what_a_bake_keeps_is_stopped_and_goes_when_it_is_over() {
    let scene = scene().await;
    let from = baking(&scene, "r/app:1", "r/app:2").await;
    let starts = scene.platform.sim.calls().get("Machines_start").copied().unwrap_or(0);
    scene.live("web", 2).await;
    scene.until("the old are gone", |scene| scene.fleet().len() == 2).await;
    assert_eq!(scene.platform.sim.calls().get("Machines_start").copied().unwrap_or(0), starts, "nobody woke them");
    assert!(scene.fewest(from) >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_answers_wrongly_gives_way_once_those_that_were_stopped_are_up() {
    // The proxy hears of a registration in ten seconds: a start may take longer.
    for old in ["r/app:1", "r/app:slow"] {
        let mut scene = scene().await;
        let from = baking(&scene, old, "r/app:broken").await;
        let before = ids(&scene, old);
        scene.rejected("web", 2).await;
        scene.until("the new are gone", |scene| scene.fleet().len() == 2).await;
        assert_eq!(ids(&scene, old), before, "the same machines serve again");
        assert!(scene.serving().iter().all(|(_, image, state, _)| image == old && state == "started"));
        let traffic = scene.platform.sim.traffic(&scene.fly_app());
        assert!(scene.fewest(from) >= 1, "the wrong ones stay until the old are up: {traffic:#?}");
        let calls = scene.platform.sim.calls();
        let told = ["Machines_start", "Machines_uncordon"].map(|verb| calls.get(verb).copied().unwrap_or(0));
        assert_eq!(told, [2, 6], "each is started once, and registered once");
        scene.house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_the_new_ones_turn_bad_those_that_were_stopped_are_started_at_once() {
    let scene = scene().await;
    let from = baking(&scene, "r/app:1", "r/app:turns").await;
    let before = ids(&scene, "r/app:1");
    scene.rejected("web", 2).await;
    assert_eq!(ids(&scene, "r/app:1"), before, "the same machines serve again");
    let alone = scene.longest_with_nobody(from);
    // The next question of the public, the start with the grace of its checks, and the slowest edge of the proxy.
    let least = Duration::from_secs(2 + 1 + 5 + 5);
    assert!(alone <= least + Duration::from_secs(3), "{alone:?}: {:#?}", scene.platform.sim.traffic(&scene.fly_app()));
}

#[tokio::test(start_paused = true)]
async fn they_are_stopped_again_where_the_new_come_back() {
    let scene = scene().await;
    let patient = |image: &str| {
        let mut web = web(image);
        web.template.health[0].failures = 20;
        web
    };
    scene.want(&patient("r/app:1"));
    scene.live("web", 1).await;
    scene.want(&patient("r/app:shaky"));
    scene.until("the old are stopped", |scene| count(scene, "r/app:1", "stopped") == 2).await;
    scene.until("the old take part", |scene| scene.serving().len() == 4).await;
    scene.until("they are stopped again", |scene| count(scene, "r/app:1", "stopped") == 2).await;
    scene.live("web", 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_was_killed_finds_them_asleep_and_one_that_has_forgotten_all_too() {
    for forgetful in [false, true] {
        let mut scene = scene().await;
        let from = baking(&scene, "r/app:1", "r/app:broken").await;
        let before = ids(&scene, "r/app:1");
        scene.killed(forgetful).await;
        if forgetful {
            // What it was answered before is forgotten, and so are wrong answers no evidence.
            scene.live("web", 2).await;
        } else {
            scene.rejected("web", 2).await;
            assert_eq!(ids(&scene, "r/app:1"), before, "the same machines serve again");
        }
        assert!(scene.fewest(from) >= 1, "{forgetful}");
        scene.house.kill().await;
    }
}
