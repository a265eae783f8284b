//! What `fly releases` lists of us, where flyctl takes our machines for its own: one record a release, and what became of it.

use std::sync::Arc;
use std::time::Duration;

use trueup_fly_sim::{Asked, Behaviour, Fault, Health, Said, Scenario, Span};
use trueup_sim::AppSketch;

use crate::daemon::Scene;
use crate::stand::{image, rule, sketch};

fn web(image: &str) -> AppSketch {
    let mut web = sketch("web", image).replicas(2);
    web.policy.bake = Duration::from_secs(20);
    web.policy.healthy_deadline = Duration::from_secs(40);
    web.policy.progress_deadline = Duration::from_secs(80);
    web
}

fn platform() -> Scenario {
    let never = Behaviour { health: Health::Never, ..image("r/app:never*") };
    let turns = Behaviour { health: Health::FailsAfter(Span::millis(30_000)), ..image("r/app:turns*") };
    Scenario { images: vec![never, turns], ..Scenario::default() }
}

/// Each record of the only app, oldest first: its number, its image, its status.
async fn records(scene: &Scene) -> Vec<(u64, String, String)> {
    let path = format!("/api/v1/apps/{}/releases", scene.fly_app());
    let (status, said) = scene.platform.ask(Asked::new("GET", &path)).await;
    assert_eq!(status, 200, "{said}");
    let word = |one: &serde_json::Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let one =
        |one: &serde_json::Value| (one["version"].as_u64().unwrap_or(0), word(one, "image_ref"), word(one, "status"));
    said["releases"].as_array().expect("a list").iter().rev().map(one).collect()
}

fn wanted(records: &[(u64, &str, &str)]) -> Vec<(u64, String, String)> {
    let one = |(version, image, status): &(u64, &str, &str)| (*version, (*image).to_owned(), (*status).to_owned());
    records.iter().map(one).collect()
}

/// Waits until the records are these, and stay so: what is told again and again is seen as well.
async fn until_records(scene: &Scene, these: &[(u64, &str, &str)]) {
    let these = wanted(these);
    until_said(scene, &these).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(records(scene).await, these, "it is said once and for all");
}

async fn until_said(scene: &Scene, these: &[(u64, String, String)]) {
    for _ in 0..600 {
        if records(scene).await == these {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{:?} in place of {these:?}\n{}", records(scene).await, scene.house.story());
}

/// What each machine says of the record of its release: its image, the record's id, its number.
async fn marks(scene: &Scene) -> Vec<(String, Option<String>, String)> {
    let path = format!("/v1/apps/{}/machines", scene.fly_app());
    let (_, said) = scene.platform.ask(Asked::new("GET", &path)).await;
    let mut marks: Vec<_> = said
        .as_array()
        .expect("a list")
        .iter()
        .map(|machine| {
            let config = &machine["config"];
            let word = |name: &str| config["metadata"][name].as_str().map(str::to_owned);
            let image = config["image"].as_str().unwrap_or_default().to_owned();
            (image, word("fly_release_id"), word("fly_release_version").unwrap_or_default())
        })
        .collect();
    marks.sort();
    marks
}

fn mark(image: &str, id: Option<&str>, version: &str) -> (String, Option<String>, String) {
    (image.to_owned(), id.map(str::to_owned), version.to_owned())
}

#[tokio::test(start_paused = true)]
async fn each_release_has_one_record_which_says_what_became_of_it_and_its_machines_say_which() {
    let scene = Scene::beside_flyctl(platform()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    until_records(&scene, &[(1, "r/app:1", "complete")]).await;
    scene.want(&web("r/app:never"));
    scene.until("the new ones are there", |scene| scene.fleet().len() == 4).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(records(&scene).await[1..], wanted(&[(2, "r/app:never", "running")]));
    scene.rejected("web", 2).await;
    let given_up = [(1, "r/app:1", "complete"), (2, "r/app:never", "failed")];
    until_records(&scene, &given_up).await;
    assert_eq!(marks(&scene).await, vec![mark("r/app:1", Some("rel_1"), "1"); 2]);
    // It turns bad once it serves.
    scene.want(&web("r/app:turns"));
    scene.until("it is judged", |scene| scene.house.app("web").is_some_and(|app| app.status.word == "Baking")).await;
    scene.rejected("web", 3).await;
    let turned = (3, "r/app:turns", "failed");
    until_records(&scene, &[given_up[0], given_up[1], turned]).await;
    // One is on its way, and another is wanted.
    scene.want(&web("r/app:never4"));
    scene.until("the new ones are there", |scene| scene.fleet().len() == 4).await;
    scene.want(&web("r/app:5"));
    scene.live("web", 5).await;
    let overtaken = (4, "r/app:never4", "interrupted");
    let last = (5, "r/app:5", "complete");
    until_records(&scene, &[given_up[0], given_up[1], turned, overtaken, last]).await;
    assert_eq!(marks(&scene).await, vec![mark("r/app:5", Some("rel_5"), "5"); 2]);
    // What takes the place of one that is lost belongs to the same.
    let lost = scene.fleet()[0].0.clone();
    scene.platform.do_to(serde_json::json!({"act": {"of": {"machine": lost}, "verb": "destroy"}}));
    scene.until("it is made good", |scene| scene.fleet().iter().filter(|one| one.0 != lost).count() == 2).await;
    assert_eq!(marks(&scene).await, vec![mark("r/app:5", Some("rel_5"), "5"); 2]);
    assert_eq!(records(&scene).await.len(), 5);
    scene.drop_app("web");
    scene.until("nothing is left", |scene| scene.platform.apps().is_empty()).await;
}

/// Going back makes machines of a release anew whose record has long been complete.
#[tokio::test(start_paused = true)]
async fn where_no_old_one_is_kept_the_way_back_makes_no_second_record() {
    for strategy in [trueup_types::policy::Strategy::Rolling, trueup_types::policy::Strategy::Recreate] {
        let scene = Scene::beside_flyctl(platform()).await;
        let way = |image: &str| {
            let mut web = web(image);
            web.policy.strategy = strategy;
            web.policy.max_surge = trueup_types::number::Quantity::Count(1);
            web.policy.bake = Duration::from_secs(60);
            web
        };
        scene.want(&way("r/app:1"));
        scene.live("web", 1).await;
        scene.want(&way("r/app:turns"));
        scene.rejected("web", 2).await;
        until_records(&scene, &[(1, "r/app:1", "complete"), (2, "r/app:turns", "failed")]).await;
        assert_eq!(marks(&scene).await, vec![mark("r/app:1", Some("rel_1"), "1"); 2], "{strategy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_dies_leaves_no_record_behind_as_it_was_and_none_is_made_twice() {
    // Where it is cut off, and whether that is while the release is judged.
    let places = [
        ("POST /api/v1/releases", false),
        ("PATCH /api/v1/releases", false),
        ("POST /v1/apps/", false),
        ("PATCH /api/v1/releases", true),
    ];
    for (begins, judged) in places {
        for arrives in [true, false] {
            let mut scene = Scene::beside_flyctl(platform()).await;
            scene.want(&web("r/app:1"));
            scene.live("web", 1).await;
            until_said(&scene, &wanted(&[(1, "r/app:1", "complete")])).await;
            if !judged {
                scene.trap(begins, arrives);
            }
            scene.want(&web("r/app:2"));
            if judged {
                let baking = |scene: &Scene| scene.house.app("web").is_some_and(|app| app.status.word == "Baking");
                scene.until("it is judged", baking).await;
                scene.trap(begins, arrives);
            }
            let reached = Arc::clone(&scene.reached);
            reached.notified().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            scene.killed(false).await;
            scene.live("web", 2).await;
            until_records(&scene, &[(1, "r/app:1", "complete"), (2, "r/app:2", "complete")]).await;
            let said = format!("{begins}, {arrives}, {judged}");
            assert_eq!(marks(&scene).await, vec![mark("r/app:2", Some("rel_2"), "2"); 2], "{said}");
            scene.house.kill().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_has_forgotten_all_reads_off_the_machines_which_record_is_theirs() {
    let mut scene = Scene::beside_flyctl(platform()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    until_records(&scene, &[(1, "r/app:1", "complete")]).await;
    scene.want(&web("r/app:2"));
    scene.until("it is judged", |scene| scene.house.app("web").is_some_and(|app| app.status.word == "Baking")).await;
    scene.killed(true).await;
    scene.live("web", 2).await;
    until_records(&scene, &[(1, "r/app:1", "complete"), (2, "r/app:2", "complete")]).await;
}

/// A service that nobody needs to be well: nothing fails for it, and nothing waits for it longer than once.
#[tokio::test(start_paused = true)]
async fn where_no_record_can_be_had_the_rollout_goes_on_without() {
    let mut took = Vec::new();
    let faults = [
        None,
        Some(("Releases_create", Fault::Answers(Said::status(500)))),
        Some(("Releases_create", Fault::Answers(Said::status(403)))),
        Some(("Releases_create", Fault::Hangs)),
        Some(("Releases_update", Fault::Answers(Said::status(500)))),
        Some(("Releases_update", Fault::Hangs)),
    ];
    for fault in faults {
        let scene = Scene::beside_flyctl(platform()).await;
        if let Some((operation, fault)) = &fault {
            scene.platform.sim.carry_out(trueup_fly_sim::Deed::Fault(rule(operation, 1_000, fault.clone())));
        }
        let from = scene.platform.sim.now();
        scene.want(&web("r/app:1"));
        scene.live("web", 1).await;
        took.push(scene.platform.sim.now().since(from));
        // As long as it is told again, at most.
        let told_again = matches!(fault, Some(("Releases_update", _)));
        tokio::time::sleep(Duration::from_secs(if told_again { 700 } else { 60 })).await;
        let asked = |operation: &str| scene.platform.sim.calls().get(operation).copied().unwrap_or(0);
        assert_eq!(asked("Releases_create"), 1, "{fault:?}");
        assert!(asked("Releases_update") <= 16, "{fault:?}: {}", asked("Releases_update"));
        assert!(asked("Releases_list") <= 8, "{fault:?}: {}", asked("Releases_list"));
        let made = fault.is_none_or(|(operation, _)| operation != "Releases_create");
        let id = made.then_some("rel_1");
        assert_eq!(marks(&scene).await, vec![mark("r/app:1", id, "1"); 2]);
    }
    let longest = took.iter().max().expect("there are some");
    assert!(*longest <= took[0] + Duration::from_secs(5), "{took:?}");
}

/// One that does not answer costs each app its own few seconds, and none another's.
#[tokio::test(start_paused = true)]
async fn apps_that_roll_at_once_wait_for_their_records_side_by_side() {
    let mut took = Vec::new();
    for hangs in [false, true] {
        let scene = Scene::beside_flyctl(platform()).await;
        if hangs {
            scene.platform.sim.carry_out(trueup_fly_sim::Deed::Fault(rule("Releases_create", 1_000, Fault::Hangs)));
        }
        let from = scene.platform.sim.now();
        let names = ["one", "two", "three", "four"];
        for name in names {
            scene.want(&sketch(name, "r/app:1"));
        }
        for name in names {
            scene.live(name, 1).await;
        }
        took.push(scene.platform.sim.now().since(from));
    }
    assert!(took[1] <= took[0] + Duration::from_secs(5), "{took:?}");
}

/// How a release is rolled out is told as it looks when its first machine is made.
#[tokio::test(start_paused = true)]
async fn a_record_names_a_strategy_in_flyctls_words() {
    let scene = Scene::beside_flyctl(platform()).await;
    let recreated = |image: &str| {
        let mut web = web(image);
        web.policy.strategy = trueup_types::policy::Strategy::Recreate;
        web
    };
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    scene.want(&web("r/app:2"));
    scene.live("web", 2).await;
    scene.want(&recreated("r/app:3"));
    scene.live("web", 3).await;
    let path = format!("/api/v1/apps/{}/releases", scene.fly_app());
    let (_, said) = scene.platform.ask(Asked::new("GET", &path)).await;
    let words: Vec<_> = said["releases"].as_array().expect("a list").iter().map(|one| &one["strategy"]).collect();
    assert_eq!(words, ["IMMEDIATE", "BLUEGREEN", "BLUEGREEN"]);
    let disk = Scene::beside_flyctl(platform()).await;
    disk.want(&crate::disks::db("r/db:1", 1));
    disk.live("web", 1).await;
    let path = format!("/api/v1/apps/{}/releases", disk.fly_app());
    let (_, said) = disk.platform.ask(Asked::new("GET", &path)).await;
    assert_eq!(said["releases"][0]["strategy"], "ROLLING");
}

/// What was made without a word is found once it is known what became of it.
#[tokio::test(start_paused = true)]
async fn a_record_that_was_made_without_a_word_is_found_and_told_how_it_ended() {
    let scene = Scene::beside_flyctl(platform()).await;
    let deaf = rule("Releases_create", 1, Fault::CommitsThenHangs);
    scene.platform.sim.carry_out(trueup_fly_sim::Deed::Fault(deaf));
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    until_records(&scene, &[(1, "r/app:1", "complete")]).await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_ask_for_it_is_spared_each_of_these_calls() {
    let scene = Scene::new(platform()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    scene.want(&web("r/app:2"));
    scene.live("web", 2).await;
    let calls = scene.platform.sim.calls();
    let odd = |name: &&&str| name.starts_with("Releases_") || name.ends_with("_lease");
    assert_eq!(calls.keys().filter(odd).count(), 0, "{calls:?}");
    let marked = |(_, id, version): &(String, Option<String>, String)| id.is_some() || !version.is_empty();
    assert!(!marks(&scene).await.iter().any(marked), "and so are its machines");
}
