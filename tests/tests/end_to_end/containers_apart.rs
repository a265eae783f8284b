//! What apps in containers have between them, and what is theirs alone: a network, a share of the traffic, a label that
//! somebody altered, a port that is taken.

use trueup_tests::daemon::{app_of, condition, incarnations, word};
use trueup_tests::manifest::Badness;
use trueup_tests::{Daemon, DemoApp, Load, Mix, processes};

use super::containers::{Dock, PATIENCE};

#[test]
fn three_apps_share_a_network_and_a_fourth_on_another_target_does_not() {
    let Some(dock) = Dock::with("shared", ", network: shared-apps, extraHosts: {outside.test: 192.0.2.7}") else {
        return;
    };
    let other = format!(
        "apiVersion: trueup.dev/v1\nkind: Target\nmetadata: {{name: alone}}\nspec:\n  docker: {{host: \"{}\"}}\n",
        dock.engine.host()
    );
    dock.bench.write_text("alone.yaml", &other);
    let names = ["net-one", "net-two", "net-three"];
    for name in names {
        dock.write(&DemoApp::new(name, "v1").replicas(1), &[]);
    }
    dock.write(&DemoApp::new("net-four", "v1").replicas(1), &[("target: shared", "target: alone")]);
    let daemon = Daemon::start(&dock.bench);
    for name in names.into_iter().chain(["net-four"]) {
        daemon.await_live(name, 1);
    }
    let asked = |from: &str, host: &str| {
        let ask = format!("wget -q -O - http://{host}:8080/version 2>&1; grep 192.0.2.7 /etc/hosts");
        dock.engine.run_in(&format!("trueup-{from}-r1-0"), &ask)
    };
    for from in names {
        for to in names {
            let said = asked(from, to);
            assert!(said.contains("v1") && said.contains("outside.test"), "{from} asks {to}: {said}");
        }
    }
    assert!(!asked("net-four", "net-one").contains("v1"), "who is on another network finds nobody");
    // What one of them is replaced by is found under the same name.
    dock.write(&DemoApp::new("net-two", "v2").replicas(1), &[]);
    daemon.await_live("net-two", 2);
    daemon.eventually("only the new one answers to it", PATIENCE, |_| {
        let old = dock.containers().contains_key("net-two-r1-0");
        !old && asked("net-one", "net-two").contains("v2")
    });
    for name in names {
        std::fs::remove_file(dock.bench.config_dir().join(format!("{name}.yaml"))).expect("it is removed");
    }
    daemon.eventually("the network goes with the last of them", PATIENCE, |_| {
        // More than a fifth of the apps at once wants a word.
        let _ = dock.bench.ask(&["approve", "prune"]);
        dock.engine.api("GET", "/networks/shared-apps", &[], b"").0 == 404
    });
    assert_eq!(word(&daemon.app("net-four")), "Ready");
}

#[test]
fn a_canary_of_containers_gets_its_share_and_then_all() {
    let Some(dock) = Dock::new("canary") else { return };
    let canary = |version: &str| {
        let steps = "[{weight: 30, approve: true}, {weight: 60, pause: 400ms}]";
        DemoApp::new("dock-canary", version).rollout("strategy", "canary").rollout("steps", steps).rollout("bake", "1s")
    };
    dock.write(&canary("v1"), &[]);
    let daemon = Daemon::start(&dock.bench);
    daemon.await_live("dock-canary", 1);
    let load = Load::start(dock.bench.listen, "dock-canary.localhost", Mix::FULL);
    dock.write(&canary("v2"), &[]);
    daemon.eventually("both answer", PATIENCE, |_| load.answered_by("v2") > 20 && load.answered_by("v1") > 20);
    let message = daemon.app("dock-canary")["status"]["verdict"]["message"].to_string();
    assert!(message.contains("30 % of the traffic"), "{message}");
    let (code, _, talk) = dock.bench.ask(&["promote", "dock-canary"]);
    assert_eq!(code, 0, "{talk}");
    daemon.await_live("dock-canary", 2);
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new());
    dock.settles(&daemon, 2, 2);
}

#[test]
fn a_label_that_somebody_altered_and_a_port_that_is_taken_leave_what_serves_alone() {
    let Some(dock) = Dock::new("altered") else { return };
    let app = DemoApp::new("dock-altered", "v1");
    dock.write(&app, &[]);
    let daemon = Daemon::start(&dock.bench);
    daemon.await_live("dock-altered", 1);
    dock.settles(&daemon, 1, 2);
    let lives = incarnations(&daemon.app("dock-altered"), 1);
    let load = Load::start(dock.bench.listen, "dock-altered.localhost", Mix::FULL);

    // The port is taken by something of its own when the program would listen.
    let busy = "command: [/bin/sh, -c, 'httpd -p $PORT; exec /bin/trueup demo-app']";
    dock.write(&app.at("v2"), &[("command: [/bin/trueup, demo-app]", busy)]);
    daemon.await_reverted("dock-altered", 2);
    assert_eq!(incarnations(&daemon.app("dock-altered"), 1), lives);

    // An engine alters no label of a container: who wants another one makes another container.
    let first = dock.containers()["dock-altered-r1-0"].0.clone();
    let image = dock.engine.ask("GET", &format!("/containers/{first}/json"), "")["Config"]["Image"].clone();
    let labels = dock.engine.ask("GET", &format!("/containers/{first}/json"), "")["Config"]["Labels"].clone();
    let mut altered = labels.clone();
    altered["dev.trueup.digest"] =
        labels["dev.trueup.digest"].as_str().expect("a digest").replace(['0', '1'], "2").into();
    let _ = dock.engine.ask("POST", &format!("/containers/{first}/rename?name=put-aside"), "");
    let body = serde_json::json!({"Image": image, "Entrypoint": ["sleep", "600"], "Labels": altered});
    let made = dock.engine.ask("POST", "/containers/create?name=trueup-dock-altered-r1-0", &body.to_string());
    let made = made["Id"].as_str().expect("an id").to_owned();
    let _ = dock.engine.ask("DELETE", &format!("/containers/{first}?force=1"), "");
    daemon.eventually("the altered one is replaced", PATIENCE, |status| {
        let app = app_of(status, "dock-altered");
        let there = dock.containers();
        let running = there.values().filter(|(_, state)| state == "running").count();
        !there.values().any(|(id, _)| *id == made) && running == 2 && condition(&app, "Ready") == "True"
    });
    // The instance that was removed served requests; they are the only ones that may have failed.
    let _ = load.finish();
}

#[test]
fn a_secret_reaches_its_container_and_its_labels_hold_no_value() {
    let Some(mut dock) = Dock::new("sealed") else { return };
    let secret =
        "apiVersion: trueup.dev/v1\nkind: Secret\nmetadata: {name: keys}\nspec: {fromEnv: {API_TOKEN: SHOP_TOKEN}}\n";
    dock.bench.write_text("keys.yaml", secret);
    let ask = [("  rollout:\n", "  envFrom: [{secret: keys}]\n  rollout:\n")];
    dock.write(&DemoApp::new("dock-sealed", "v1").replicas(1), &ask);
    let mut lived = Vec::new();
    for (revision, value) in [(1, "correct-horse"), (2, "battery-staple")] {
        dock.bench.tell("SHOP_TOKEN", value);
        // A daemon's environment is what it was started with.
        let daemon = Daemon::start(&dock.bench);
        daemon.await_live("dock-sealed", revision);
        dock.settles(&daemon, revision, 1);
        let id = dock.containers()[&format!("dock-sealed-r{revision}-0")].0.clone();
        let config = dock.engine.ask("GET", &format!("/containers/{id}/json"), "")["Config"].clone();
        let env = config["Env"].to_string();
        assert!(env.contains(&format!("API_TOKEN={value}")), "{env}");
        assert!(!config["Labels"].to_string().contains(value), "{}", config["Labels"]);
        assert!(!daemon.status().to_string().contains(value));
        daemon.terminate();
        lived.push(id);
    }
    assert_ne!(lived[0], lived[1], "a changed value is a new release");
}

#[test]
fn an_app_moves_from_processes_to_containers_and_back_and_answers_throughout() {
    let Some(dock) = Dock::new("moved") else { return };
    let app = DemoApp::new("dock-moved", "v1");
    let servers = || processes::demo_servers(&dock.bench.state_dir()).into_keys().collect::<Vec<_>>();
    dock.bench.write(&app);
    let daemon = Daemon::start(&dock.bench);
    daemon.await_live("dock-moved", 1);
    assert_eq!(servers(), ["dock-moved-r1-0", "dock-moved-r1-1"]);
    assert!(dock.containers().is_empty());
    let load = Load::start(dock.bench.listen, "dock-moved.localhost", Mix::FULL);

    dock.write(&app.at("v2"), &[]);
    daemon.await_live("dock-moved", 2);
    dock.settles(&daemon, 2, 2);
    daemon.eventually("what ran as processes is gone", PATIENCE, |_| servers().is_empty());

    dock.bench.write(&app.at("v3"));
    daemon.await_live("dock-moved", 3);
    daemon.eventually("what ran in containers is gone", PATIENCE, |_| dock.containers().is_empty());
    assert_eq!(servers(), ["dock-moved-r3-0", "dock-moved-r3-1"]);

    // One that fails over there never leaves where it is.
    dock.write(&app.bad("v4", Badness::NeverHealthy), &[]);
    daemon.await_reverted("dock-moved", 4);
    assert_eq!(servers(), ["dock-moved-r3-0", "dock-moved-r3-1"]);
    daemon.eventually("what failed in containers is gone", PATIENCE, |_| dock.containers().is_empty());

    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new());
    assert!(outcome.slow_good > 0, "{outcome:?}");
    assert_eq!(outcome.versions.into_keys().collect::<Vec<_>>(), ["v1", "v2", "v3"]);
}
