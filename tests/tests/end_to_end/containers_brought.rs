//! How images come to a real engine, end to end: built of a folder beside the manifests, or pulled from a registry that asks
//! for a password, and from one that is down for a while.

use serde_json::Value;
use trueup_tests::daemon::{app_of, word};
use trueup_tests::engine::registry::Registry;
use trueup_tests::{Daemon, DemoApp, bench};

use super::containers::{DEMO, Dock, PATIENCE};

fn messages(status: &Value, reason: &str) -> Vec<String> {
    let events = status["events"].as_array().cloned().unwrap_or_default();
    let of = events.iter().filter(|one| one["reason"] == reason);
    of.filter_map(|one| one["message"].as_str().map(str::to_owned)).collect()
}

#[test]
fn what_is_built_rolls_when_its_folder_changes_and_not_otherwise() {
    let Some(dock) = Dock::new("built") else { return };
    let shop = dock.bench.config_dir().join("shop");
    std::fs::create_dir(&shop).expect("a folder");
    let put = |name: &str, text: &str| std::fs::write(shop.join(name), text).expect("it is written");
    let recipe = |run: &str| format!("FROM {DEMO}\nARG COLOUR\nCOPY motto /motto\nRUN {run}\n");
    put("Dockerfile", &recipe("echo it is $COLOUR"));
    put("motto", "one");
    put(".dockerignore", "notes\n");
    let app = DemoApp::new("dock-built", "v1").replicas(1);
    let image = format!("image: {DEMO}");
    let build = "build: {context: shop, args: {COLOUR: green}}";
    dock.write(&app, &[(&image, build)]);
    let daemon = Daemon::start(&dock.bench);
    daemon.await_live("dock-built", 1);
    let said = messages(&daemon.status(), "Underway");
    assert!(said.iter().any(|line| line == "it is green"), "the log is among the events: {said:?}");

    // What is left out, and what is written anew as it was, changes nothing.
    put("notes", "more");
    put("motto", "one");
    let config = dock.bench.config_dir();
    let (code, plan, talk) = dock.bench.ask(&["plan", config.to_str().expect("a path of text")]);
    assert_eq!((code, plan.trim()), (0, "Nothing would change."), "{talk}");
    // Beside the folder that is watched: what is changed there may be rolled out before anybody asks.
    let draft = dock.bench.config_dir().with_file_name("draft");
    let copied = std::process::Command::new("cp").arg("-r").arg(&config).arg(&draft).status().expect("it copies");
    assert!(copied.success());
    let (code, plan, talk) = dock.bench.ask(&["plan", draft.to_str().expect("a path of text")]);
    assert_eq!((code, plan.trim()), (0, "Nothing would change."), "wherever it lies: {talk}");
    std::fs::write(draft.join("shop/motto"), "two").expect("it is written");
    let (code, plan, _) = dock.bench.ask(&["plan", draft.to_str().expect("a path of text")]);
    assert!(code == 1 && plan.contains("app/dock-built rolls to a new release"), "{plan}");
    put("motto", "two");
    daemon.await_live("dock-built", 2);
    dock.settles(&daemon, 2, 1);
    let before = dock.containers();

    put("Dockerfile", &recipe("echo the oven is cold; exit 7"));
    daemon.await_reverted("dock-built", 3);
    let app = daemon.app("dock-built");
    let cause = app["status"]["rejected"].to_string();
    assert!(cause.contains("the oven is cold") && cause.contains("code: 7"), "{cause}");
    assert_eq!(dock.containers(), before, "what serves was not touched");
    put("Dockerfile", &recipe("echo it is $COLOUR"));
    daemon.eventually("it wants what it has", PATIENCE, |status| {
        let app = app_of(status, "dock-built");
        word(&app) == "Ready" && app["status"]["lastGood"] == 2 && app["status"]["release"]["number"] == 2
    });
    assert_eq!(dock.containers(), before);
}

#[test]
fn a_registry_that_wants_a_password_and_is_away_for_a_while_gives_its_images_in_the_end() {
    let Some(dock) = Dock::new("asked") else { return };
    let address = bench::free_port();
    let registry = Registry::start(dock.engine, "registry-asked", address.port(), true);
    let images = ["v1", "v2"].map(|tag| registry.push(dock.engine, DEMO, &format!("shop/web:{tag}")));
    let password = |password: &str| {
        dock.bench.write_text(
            "registry.yaml",
            &format!(
                "apiVersion: trueup.dev/v1\nkind: Registry\nmetadata: {{name: ours}}\nspec:\n  host: \"{address}\"\n  \
                 username: app\n  passwordFrom: {{exec: [echo, {password}]}}\n"
            ),
        );
    };
    password("wrong");
    let app = DemoApp::new("dock-asked", "v1").replicas(1);
    let of = |image: &str| format!("image: {image}");
    dock.write(&app, &[(&of(DEMO), &of(&images[0]))]);
    let daemon = Daemon::start(&dock.bench);
    daemon.eventually("it is refused, and who asked is said", PATIENCE, |status| {
        let message = app_of(status, "dock-asked")["status"]["verdict"]["message"].to_string();
        message.contains("`app` of the Registry `ours`") && message.contains("the command `echo`")
    });
    password("secret");
    // A manifest is read a moment after it was written: who tries again too soon is refused once more.
    daemon.eventually("it is live", PATIENCE, |status| {
        let app = app_of(status, "dock-asked");
        if word(&app) == "Stalled" {
            let _ = dock.bench.ask(&["retry", "dock-asked"]);
        }
        word(&app) == "Ready" && app["status"]["lastGood"].is_u64()
    });

    drop(registry);
    dock.write(&app.at("v2"), &[(&of(DEMO), &of(&images[1]))]);
    daemon.eventually("that it cannot be reached is said", PATIENCE, |status| {
        let message = app_of(status, "dock-asked")["status"]["verdict"]["message"].to_string();
        message.contains("cannot be pulled") && message.contains("connection refused")
    });
    let registry = Registry::start(dock.engine, "registry-asked", address.port(), true);
    daemon.eventually("it is live at its second image", PATIENCE, |status| {
        let app = app_of(status, "dock-asked");
        word(&app) == "Ready" && app["status"]["release"]["image"].to_string().contains("v2")
    });

    // A new name of the very same image is told from a new image, before and after.
    daemon.eventually("the one before has gone", PATIENCE, |_| dock.containers().len() == 1);
    let before = dock.containers();
    let third = registry.push(dock.engine, DEMO, "shop/web:v3");
    dock.write(&app.at("v2"), &[(&of(DEMO), &of(&third))]);
    let config = dock.bench.config_dir();
    daemon.eventually("it is seen to be the same", PATIENCE, |status| {
        let said = messages(status, "SameImage");
        said.iter().any(|line| line.contains(&third) && line.contains("nothing rolls"))
    });
    let (code, shown, talk) = dock.bench.ask(&["plan", config.to_str().expect("a path of text")]);
    assert_eq!((code, dock.containers()), (0, before), "{shown}{talk}");
    let elsewhere = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(config).expect("it is read") {
        let path = entry.expect("it is read").path();
        let text = std::fs::read_to_string(&path).expect("it is text").replace("\"v2\"", "\"v3\"");
        std::fs::write(elsewhere.path().join(path.file_name().expect("a name")), text).expect("it is written");
    }
    let (code, shown, talk) = dock.bench.ask(&["plan", elsewhere.path().to_str().expect("a path of text")]);
    assert!(code == 1 && shown.contains(&format!("image: {third} is sha256:")), "{shown}{talk}");
}

#[test]
fn who_stands_beside_a_daemon_sees_that_it_pulls() {
    let Some(dock) = Dock::new("seen") else { return };
    // A registry that takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("one is free");
    let image = format!("{}/shop/web:v1", silent.local_addr().expect("it is bound"));
    dock.write(&DemoApp::new("dock-seen", "v1").replicas(1), &[(DEMO, &image)]);
    let daemon = Daemon::start(&dock.bench);
    let line = format!("pulling {image}");
    daemon.eventually("the pull is told", PATIENCE, |_| daemon.tail().lines().any(|told| told == line));
    drop(silent);
    daemon.eventually("and its end", PATIENCE, |_| daemon.tail().contains(&format!("{line}: it has ended")));
}
