//! What the world is answered while a new release is watched: it may be wrong though every check passes.

use std::time::Duration;

use trueup_fly_sim::{Behaviour, Fault, Rule, Said, Scenario};
use trueup_sim::AppSketch;

use crate::daemon::Scene;
use crate::stand::{image, sketch};

fn web(image: &str) -> AppSketch {
    let mut web = sketch("web", image).replicas(2);
    web.policy.bake = Duration::from_secs(30);
    web.policy.healthy_deadline = Duration::from_secs(60);
    web.policy.progress_deadline = Duration::from_secs(120);
    web
}

/// Images that pass every check, and answer the world with another status.
fn images() -> Vec<Behaviour> {
    let answers = |pattern: &str, status| Behaviour { answers: status, ..image(pattern) };
    vec![answers("r/app:broken*", 500), answers("r/app:hidden*", 404), answers("r/app:busy*", 429)]
}

async fn scene(faults: Vec<Rule>) -> Scene {
    Scene::new(Scenario { images: images(), faults, ..Scenario::default() }).await
}

/// Every request of the world for an app fares so.
fn world(fault: Fault) -> Rule {
    let operation = Rule::REQUEST.to_owned();
    Rule { operation, app: None, machine: None, times: None, skip: 0, permille: 1_000, fault }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_answers_the_world_wrongly_is_taken_back_within_its_bake() {
    let scene = scene(Vec::new()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    let before = scene.serving();
    scene.want(&web("r/app:broken"));
    scene.rejected("web", 2).await;
    assert_eq!(scene.serving(), before, "the old ones serve again, in the same lives");
    let told = scene.house.app("web").expect("it is there").status.rejected[0].cause.clone();
    let url = format!("https://{}.fly.dev/health answered 500", scene.fly_app());
    assert!(told.contains(&url), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_answers_with_its_own_error_while_the_machines_pass_is_evidence() {
    let scene = scene(Vec::new()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    scene.want(&web("r/app:2"));
    scene.until("it is promoted", |scene| scene.house.app("web").is_some_and(|app| app.status.word == "Baking")).await;
    scene.platform.sim.carry_out(trueup_fly_sim::Deed::Fault(world(Fault::Answers(Said::status(502)))));
    scene.rejected("web", 2).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_or_was_no_better_before_takes_nothing_back() {
    // Nobody is reached; each answer is cut; none ever comes; it is asked too often.
    for (fault, next) in [(Some(Fault::Cut), "r/app:2"), (Some(Fault::Hangs), "r/app:2"), (None, "r/app:busy")] {
        let scene = scene(Vec::new()).await;
        scene.want(&web("r/app:1"));
        scene.live("web", 1).await;
        scene.want(&web(next));
        scene
            .until("it is promoted", |scene| scene.house.app("web").is_some_and(|app| app.status.word == "Baking"))
            .await;
        if let Some(fault) = fault {
            scene.platform.sim.carry_out(trueup_fly_sim::Deed::Fault(world(fault)));
        }
        scene.live("web", 2).await;
    }
    let scene = scene(Vec::new()).await;
    scene.want(&web("r/app:hidden1"));
    scene.live("web", 1).await;
    scene.want(&web("r/app:hidden2"));
    scene.live("web", 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_without_a_network_of_its_own_takes_nothing_back() {
    let scene = scene(Vec::new()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    scene.want(&web("r/app:broken"));
    scene.until("it is begun", |scene| scene.fleet().len() > 2).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.deafen();
    scene.live("web", 2).await;
    assert!(scene.unheard() > 5, "it was asked all the same");
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_before_is_known_to_a_daemon_that_was_killed() {
    let mut scene = scene(Vec::new()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    scene.want(&web("r/app:broken"));
    scene.until("it is promoted", |scene| scene.house.app("web").is_some_and(|app| app.status.word == "Baking")).await;
    scene.killed(false).await;
    scene.rejected("web", 2).await;
}

#[tokio::test(start_paused = true)]
async fn where_no_old_one_is_kept_the_way_back_is_made_anew() {
    let scene = scene(Vec::new()).await;
    let rolling = |image: &str| {
        let mut web = web(image);
        web.policy.strategy = trueup_types::policy::Strategy::Rolling;
        web.policy.max_surge = trueup_types::number::Quantity::Count(1);
        web
    };
    scene.want(&rolling("r/app:1"));
    scene.live("web", 1).await;
    scene.want(&rolling("r/app:broken"));
    scene.rejected("web", 2).await;
    assert!(scene.serving().iter().all(|(_, image, _, _)| image == "r/app:1"), "{:?}", scene.serving());
}
