//! Hooks on machines: each runs once in a machine of its own, which serves nobody, and people read what it wrote and how it
//! ended.

use std::time::Duration;

use serde_json::Value;
use trueup_fly_sim::{Behaviour, Exits, Scenario, Span};
use trueup_seams::LogQuery;
use trueup_sim::AppSketch;
use trueup_types::Label;
use trueup_types::hook::Hook;

use crate::daemon::Scene;
use crate::stand::{image, swift};

fn hook(name: &str) -> Hook {
    let command = vec!["/app/shop".to_owned(), name.to_owned()];
    Hook { name: Label::new(name).expect("a name"), command, timeout: Duration::from_secs(60) }
}

fn web(image: &str) -> AppSketch {
    let mut web = swift(image);
    web.template.hooks.pre_deploy = vec![hook("migrate")];
    web.template.hooks.post_deploy = vec![hook("smoke")];
    web
}

/// An image whose migration takes ten seconds, and one whose migration ends with this code.
fn platform() -> Scenario {
    let migration = |pattern: &str, code: i32, says: &str| Behaviour {
        env: [("TRUEUP_HOOK".to_owned(), "preDeploy/migrate".to_owned())].into(),
        exits: Some(Exits { after: Span::millis(10_000), code, ..Exits::default() }),
        prints: vec![says.to_owned()],
        ..image(pattern)
    };
    let (slow, bad) = (migration("r/app:2", 0, "up to 2"), migration("r/app:bad", 17, "relation exists"));
    Scenario { images: vec![slow, bad], ..Scenario::default() }
}

/// The machine of an instance, as the platform has it.
fn machine(scene: &Scene, name: &str) -> Option<Value> {
    scene.platform.machines().into_iter().find(|machine| machine["name"] == *name)
}

fn word(machine: Option<Value>, key: &str) -> String {
    machine.and_then(|machine| machine[key].as_str().map(str::to_owned)).unwrap_or_default()
}

async fn log(scene: &Scene, name: &str) -> Vec<String> {
    let instance = name.parse().expect("a name");
    let query = LogQuery { instance, since: None, lines_max: 100, previous: false, after: None };
    let target = trueup_types::TargetName::new("prod").expect("a name");
    let lines = scene.house.control().logs(&target, &query).await.expect("it is given");
    lines.into_iter().map(|line| line.text).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hook_runs_once_in_a_machine_of_its_own_before_any_other_of_its_release() {
    let scene = Scene::new(platform()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    let made = scene.platform.sim.calls()["Machines_create"];
    let before = scene.lives();
    scene.want(&web("r/app:2"));
    scene.until("the migration runs", |scene| word(machine(scene, "web-r2-pre0"), "state") == "started").await;
    assert_eq!(machine(&scene, "web-r2-0"), None, "nothing of the release is made before it has ended");
    assert_eq!(scene.lives(), before, "who serves goes on, and the hook serves nobody");
    scene.until("it has ended", |scene| machine(scene, "web-r2-0").is_some()).await;
    assert_eq!(word(machine(&scene, "web-r2-pre0"), "state"), "stopped");
    assert_eq!(log(&scene, "web-r2-pre0").await[0], "up to 2");
    scene.live("web", 2).await;
    assert_eq!(scene.platform.sim.calls()["Machines_create"] - made, 3, "one serves, and each hook has had one");
    let shown = scene.house.app("web").expect("it is shown").status.hooks;
    let of_2: Vec<_> = shown.iter().filter(|hook| hook.revision.0 == 2).collect();
    assert!(of_2.len() == 2 && of_2.iter().all(|hook| hook.ended.is_some() && hook.failure.is_none()), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_gives_its_release_up_and_says_how_it_ended_and_what_it_wrote() {
    let scene = Scene::new(platform()).await;
    scene.want(&web("r/app:1"));
    scene.live("web", 1).await;
    let before = scene.lives();
    scene.want(&web("r/app:bad"));
    scene.rejected("web", 2).await;
    assert_eq!(scene.lives(), before, "nobody was touched");
    assert_eq!(machine(&scene, "web-r2-0"), None, "nothing of the release was ever made");
    let status = scene.house.app("web").expect("it is shown").status;
    let cause = &status.rejected[0].cause;
    assert!(cause.contains("preDeploy hook migrate") && cause.contains("it exited with code 17"), "{cause}");
    let failed = status.hooks.iter().find(|hook| hook.revision.0 == 2).and_then(|hook| hook.failure.clone());
    assert_eq!(failed.as_deref(), Some("it exited with code 17"));
    assert!(log(&scene, "web-r2-pre0").await.contains(&"relation exists".to_owned()));
}
