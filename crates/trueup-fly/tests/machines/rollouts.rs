//! Rollouts by the house's own planner, under the model of the platform's proxy: whatever happens, somebody answers.

use std::time::Duration;

use serde_json::json;
use trueup_fly_sim::{Behaviour, Exits, Health, Scenario, Span};
use trueup_sim::AppSketch;
use trueup_types::template::{Autostop, AutostopMode};

use crate::daemon::Scene;
use crate::stand::{image, sketch};

pub fn web(image: &str) -> AppSketch {
    let mut web = sketch("web", image).replicas(2);
    web.policy.bake = Duration::from_secs(20);
    web.policy.healthy_deadline = Duration::from_secs(60);
    web.policy.progress_deadline = Duration::from_secs(120);
    web
}

pub fn bad_images() -> Vec<Behaviour> {
    vec![
        Behaviour { health: Health::Never, ..image("r/app:never*") },
        Behaviour {
            exits: Some(Exits { after: Span::millis(500), code: 3, ..Exits::default() }),
            ..image("r/app:crash*")
        },
        Behaviour { unpullable: Some(trueup_fly_sim::Unpullable::Failed), ..image("r/app:gone*") },
        Behaviour { unpullable: Some(trueup_fly_sim::Unpullable::Vanishes), ..image("r/app:vanish*") },
        Behaviour { answers: 500, ..image("r/app:wrong*") },
    ]
}

/// Rolls out good releases and, after each, these bad ones: somebody answers at every moment, and what served is left alone.
pub async fn come_and_go(scene: &Scene, bad: &[&str]) {
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    // The proxy has heard of all by then.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let from = scene.platform.sim.now();
    let mut revision = 1;
    for round in 2..4 {
        revision += 1;
        scene.want(&web(&format!("r/app:{round}")));
        scene.live("web", revision).await;
        scene.until("the old are gone", |scene| scene.fleet().len() == 2).await;
        let fleet = scene.fleet();
        let served = |(_, image, state, cordoned): &(String, String, String, bool)| {
            *image == format!("r/app:{round}") && state == "started" && !cordoned
        };
        assert!(fleet.iter().all(served), "{fleet:?}");
        for bad in bad {
            let before = scene.lives();
            revision += 1;
            scene.want(&web(&format!("r/app:{bad}{round}")));
            scene.rejected("web", revision).await;
            assert_eq!(scene.lives(), before, "what served was neither restarted nor replaced");
        }
        scene.want(&web(&format!("r/app:{round}")));
    }
    let traffic = scene.platform.sim.traffic(&scene.fly_app());
    assert!(scene.fewest(from) >= 1, "there was a moment with nobody: {traffic:#?}");
}

#[tokio::test(start_paused = true)]
async fn releases_come_and_go_and_somebody_answers_at_every_moment() {
    let scene = Scene::new(Scenario { images: bad_images(), ..Scenario::default() }).await;
    come_and_go(&scene, &["never", "crash", "gone", "vanish"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_deleted_leaves_nothing() {
    let scene = Scene::new(Scenario::default()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    scene.drop_app("web");
    scene.until("nothing is left", |scene| scene.platform.apps().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_turns_bad_after_the_switch_gives_way_to_the_old_which_was_never_stopped() {
    let bad = Behaviour { health: Health::FailsAfter(Span::millis(40_000)), ..image("r/app:turns") };
    let scene = Scene::new(Scenario { images: vec![bad], ..Scenario::default() }).await;
    let with_bake = |image: &str| {
        let mut web = web(image);
        web.policy.bake = Duration::from_secs(120);
        web
    };
    scene.want(&with_bake("r/app:1"));
    scene.live("web", 1).await;
    let before = scene.lives();
    scene.want(&with_bake("r/app:turns"));
    scene.rejected("web", 2).await;
    assert_eq!(scene.lives(), before, "the old ones serve again, in the same lives");
}

/// The platform puts new machines to sleep while their checks are waited for, before anybody has seen them well.
#[tokio::test(start_paused = true)]
async fn one_that_is_put_to_sleep_while_its_checks_are_waited_for_is_woken_and_judged_by_them() {
    for (next, good) in [("r/app:2", true), ("r/app:never", false)] {
        let scene = Scene::new(Scenario { images: bad_images(), ..Scenario::default() }).await;
        let sleepy = |image: &str| {
            let mut web = web(image);
            web.template.autostop = Some(Autostop { mode: AutostopMode::Stop, min_running: 0 });
            web
        };
        scene.want(&sleepy("r/app:1"));
        scene.live("web", 1).await;
        let before = scene.serving();
        scene.want(&sleepy(next));
        let up = |scene: &Scene| {
            let new = scene.fleet().into_iter().filter(|(_, image, state, _)| image == next && state == "started");
            new.map(|(id, ..)| id).collect::<Vec<_>>()
        };
        scene.until("the new ones are up", |scene| up(scene).len() == 2).await;
        for id in up(&scene) {
            scene.platform.do_to(json!({"autostop": {"of": {"machine": id}}}));
        }
        if good {
            scene.live("web", 2).await;
        } else {
            scene.rejected("web", 2).await;
            assert_eq!(scene.serving(), before, "who never passed was never let in");
        }
    }
}

/// The proxy lets go of one at its first check that fails; its probe bears nine more, eighteen seconds.
fn patient(image: &str) -> AppSketch {
    let mut web = web(image);
    web.policy.bake = Duration::from_secs(120);
    web.template.health[0].failures = 10;
    web
}

#[tokio::test(start_paused = true)]
async fn when_all_the_new_ones_turn_bad_the_old_are_asked_before_anybody_has_judged() {
    let bad = Behaviour { health: Health::FailsAfter(Span::millis(60_000)), ..image("r/app:turns") };
    let scene = Scene::new(Scenario { images: vec![bad], ..Scenario::default() }).await;
    scene.want(&patient("r/app:1"));
    scene.live("web", 1).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let from = scene.platform.sim.now();
    scene.want(&patient("r/app:turns"));
    scene.rejected("web", 2).await;
    let alone = scene.longest_with_nobody(from);
    // The next question of the public, and the slowest edge of the proxy.
    let least = Duration::from_secs(2 + 5);
    assert!(alone <= least + Duration::from_secs(2), "{alone:?}: {:#?}", scene.platform.sim.traffic(&scene.fly_app()));
}

#[tokio::test(start_paused = true)]
async fn the_old_take_no_part_any_more_where_the_new_come_back() {
    let shaky = Health::Flaps { up: Span::millis(60_000), down: Span::millis(8_000) };
    let shaky = Behaviour { health: shaky, ..image("r/app:shaky") };
    let scene = Scene::new(Scenario { images: vec![shaky], ..Scenario::default() }).await;
    scene.want(&patient("r/app:1"));
    scene.live("web", 1).await;
    scene.want(&patient("r/app:shaky"));
    let both = |scene: &Scene| {
        scene.serving().len() == 4 && scene.house.app("web").is_some_and(|app| app.status.word == "Baking")
    };
    let new_alone = |scene: &Scene| scene.serving().iter().all(|(_, image, _, _)| image == "r/app:shaky");
    scene.until("the new serve alone", |scene| scene.serving().len() == 2 && new_alone(scene)).await;
    scene.until("the old take part", both).await;
    scene.until("the new serve alone again", |scene| scene.serving().len() == 2 && new_alone(scene)).await;
    scene.live("web", 2).await;
}

/// What the platform is asked for in a rollout of ten: each deed once for each machine, and looks where they may show
/// something: for each of the two batches of machines one wait and what follows it, and else each ten seconds.
#[tokio::test(start_paused = true)]
async fn a_rollout_of_ten_does_each_deed_once_and_looks_no_more_than_it_must() {
    let scene = Scene::new(Scenario::default()).await;
    scene.want(&web("r/app:1").replicas(10));
    scene.live("web", 1).await;
    let (before, began) = (scene.platform.sim.calls(), scene.platform.sim.now());
    scene.want(&web("r/app:2").replicas(10));
    scene.live("web", 2).await;
    let after = scene.platform.sim.calls();
    let made = |operation: &str| after.get(operation).unwrap_or(&0) - before.get(operation).unwrap_or(&0);
    let deeds = ["create", "uncordon", "cordon", "stop", "delete"].map(|verb| made(&format!("Machines_{verb}")));
    assert_eq!(deeds, [10; 5], "each deed once for each machine: {before:?} {after:?}");
    let seconds = scene.platform.sim.now().since(began).as_secs();
    let all: u64 = after.keys().map(|operation| made(operation)).sum();
    let looks = all - deeds.iter().sum::<u64>();
    assert!(looks <= 4 + 2 * seconds.div_ceil(10), "{looks} looks in {seconds} s: {before:?} {after:?}");
    assert!(made("Machines_wait") <= 2 && made("Machines_show") == 0, "{before:?} {after:?}");
}

/// Fifty good and twenty-five bad releases, these bad in one way; four such make two hundred and a hundred.
async fn fifty_good_and_half_as_many(bad: &str) {
    let scene = Scene::new(Scenario { images: bad_images(), ..Scenario::default() }).await;
    scene.want(&web("r/app:0"));
    scene.live("web", 1).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut revision = 1;
    for round in 1..=50 {
        let from = scene.platform.sim.now();
        revision += 1;
        scene.want(&web(&format!("r/app:{round}")));
        scene.live("web", revision).await;
        if round % 2 == 0 {
            let before = scene.lives();
            revision += 1;
            scene.want(&web(&format!("r/app:{bad}{round}")));
            scene.rejected("web", revision).await;
            assert_eq!(scene.lives(), before, "what served was neither restarted nor replaced");
        }
        assert!(scene.fewest(from) >= 1, "there was a moment with nobody in round {round}");
    }
}

/// Those that are bad before they serve never get a request; these have all of them when they are found out, and give them
/// back.
#[tokio::test(start_paused = true)]
async fn twenty_that_answer_the_world_wrongly_give_way_to_old_ones_that_were_never_restarted() {
    let scene = Scene::new(Scenario { images: bad_images(), ..Scenario::default() }).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let before = scene.lives();
    for round in 2..=21 {
        let from = scene.platform.sim.now();
        scene.want(&web(&format!("r/app:wrong{round}")));
        let old = |(_, image, _, _): &(String, String, String, bool)| image == "r/app:1";
        scene
            .until("the new ones serve alone", |scene| !scene.serving().is_empty() && !scene.serving().iter().any(old))
            .await;
        scene.rejected("web", round).await;
        assert_eq!(scene.lives(), before, "the old ones serve again, in the same lives");
        assert!(scene.fewest(from) >= 1, "there was a moment with nobody in round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn fifty_good_rollouts_and_half_as_many_never_well_leave_nobody_at_no_moment() {
    fifty_good_and_half_as_many("never").await;
}

#[tokio::test(start_paused = true)]
async fn fifty_good_rollouts_and_half_as_many_that_crash_leave_nobody_at_no_moment() {
    fifty_good_and_half_as_many("crash").await;
}

#[tokio::test(start_paused = true)]
async fn fifty_good_rollouts_and_half_as_many_without_an_image_leave_nobody_at_no_moment() {
    fifty_good_and_half_as_many("gone").await;
}

#[tokio::test(start_paused = true)]
async fn fifty_good_rollouts_and_half_as_many_that_vanish_leave_nobody_at_no_moment() {
    fifty_good_and_half_as_many("vanish").await;
}
