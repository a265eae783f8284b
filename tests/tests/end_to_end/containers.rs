//! Rollouts, reverts and drift on real containers: the demo server in an image, on an engine of the tests' own.
//!
//! All of these share one engine; each has a target of its own there.

use std::collections::BTreeMap;
use std::sync::Once;
use std::time::Duration;

use serde_json::Value;
use trueup_tests::daemon::{app_of, condition, incarnations, word};
use trueup_tests::engine::{Engine, Registry, engine};
use trueup_tests::manifest::Badness;
use trueup_tests::{Bench, Daemon, DemoApp, Load, Mix, bench};

/// The image with the demo server.
const DEMO: &str = "trueup-demo:v1";
/// Longest that anything may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One test's place on the shared engine.
struct Dock {
    engine: &'static Engine,
    bench: Bench,
    target: &'static str,
}

impl Dock {
    fn new(target: &'static str) -> Option<Self> {
        static IMAGE: Once = Once::new();
        let engine = engine()?;
        IMAGE.call_once(|| engine.make_image_with(DEMO, "demo", Some(&bench::binary())));
        let bench = Bench::new();
        let text = format!(
            "apiVersion: trueup.dev/v1\nkind: Target\nmetadata: {{name: {target}}}\nspec:\n  docker: {{host: \"{}\"}}\n",
            engine.host()
        );
        bench.write_text("target.yaml", &text);
        Some(Self { engine, bench, target })
    }

    /// Writes an app's manifest, for containers, with some lines changed.
    fn write(&self, app: &DemoApp, changes: &[(&str, &str)]) {
        let image = format!("  target: {}\n  image: {DEMO}\n  command: [/bin/trueup, demo-app]\n", self.target);
        let mut text = app.clone().env("DEMO_ADDRESS", "0.0.0.0").manifest();
        text = text.replace("  command: [trueup, demo-app]\n", &image);
        for (from, to) in changes {
            assert!(text.contains(from), "there is no `{from}` in\n{text}");
            text = text.replace(from, to);
        }
        self.bench.write_text(&format!("{}.yaml", app.name), &text);
    }

    /// The containers of the target: id and state by instance.
    fn containers(&self) -> BTreeMap<String, (String, String)> {
        let filter = format!("%7B%22label%22%3A%5B%22dev.trueup.target%3D{}%22%5D%7D", self.target);
        let listed = self.engine.ask("GET", &format!("/containers/json?all=1&filters={filter}"), "");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |one: &Value| (text(&one["Labels"]["dev.trueup.instance"]), (text(&one["Id"]), text(&one["State"])));
        listed.as_array().into_iter().flatten().map(one).collect()
    }

    /// Waits until as many containers run as are wanted, and no other is left.
    fn settles(&self, daemon: &Daemon, revision: u64, replicas: usize) {
        daemon.eventually(&format!("{replicas} containers of r{revision} are left"), PATIENCE, |_| {
            let there = self.containers();
            let fine = |name: &str, state: &str| name.contains(&format!("-r{revision}-")) && state == "running";
            there.len() == replicas && there.iter().all(|(name, (_, state))| fine(name, state))
        });
    }
}

#[test]
fn good_rollouts_of_containers_fail_no_request() {
    let Some(dock) = Dock::new("good") else { return };
    let app = DemoApp::new("dock-good", "v1");
    dock.write(&app, &[]);
    let mut daemon = Daemon::start(&dock.bench);
    daemon.await_live("dock-good", 1);
    let load = Load::start(dock.bench.listen, "dock-good.localhost", Mix::FULL);
    for round in 2..=3 {
        dock.write(&app.at(&format!("v{round}")), &[]);
        daemon.await_live("dock-good", round);
    }
    // The daemon dies in mid-rollout; the engine neither notices nor cares.
    dock.write(&app.at("v4"), &[]);
    daemon.eventually("the rollout is under way", PATIENCE, |status| {
        app_of(status, "dock-good")["status"]["instances"].as_array().is_some_and(|all| all.len() > 2)
    });
    daemon.kill();
    daemon = Daemon::start(&dock.bench);
    daemon.await_live("dock-good", 4);
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new());
    assert_eq!(outcome.versions.len(), 4, "every version served: {:?}", outcome.versions);
    dock.settles(&daemon, 4, 2);
}

#[test]
fn bad_releases_of_containers_revert_and_leave_nothing() {
    let Some(dock) = Dock::new("bad") else { return };
    let app = DemoApp::new("dock-bad", "good");
    dock.write(&app, &[]);
    let daemon = Daemon::start(&dock.bench);
    daemon.await_live("dock-bad", 1);
    dock.settles(&daemon, 1, 2);
    let (before, lives) = (dock.containers(), incarnations(&daemon.app("dock-bad"), 1));
    let load = Load::start(dock.bench.listen, "dock-bad.localhost", Mix::FULL);

    let address = bench::free_port();
    let registry = Registry::start(dock.engine, "registry-bad", address.port(), false);
    let missing = format!("image: {}/nope:v1", registry.address);
    let image = format!("image: {DEMO}");
    let command = "command: [/bin/trueup, demo-app]";
    // What tail keeps in memory grows until the kernel ends it.
    let glutton = "command: [/bin/sh, -c, 'exec tail /dev/zero']\n  resources: {memory: 16Mi}";
    let bad = [
        ("image missing", app.at("bad-1"), vec![(image.as_str(), missing.as_str())]),
        ("no such command", app.at("bad-2"), vec![(command, "command: [/bin/no-such]")]),
        ("out of memory", app.at("bad-3"), vec![(command, glutton)]),
        ("exits", app.bad("bad-4", Badness::ExitsAtOnce), Vec::new()),
        ("never healthy", app.bad("bad-5", Badness::NeverHealthy), Vec::new()),
    ];
    for (revision, (what, app, changes)) in (2..).zip(bad) {
        dock.write(&app, &changes);
        daemon.await_reverted("dock-bad", revision);
        println!("reverted: {what}");
        assert_eq!(incarnations(&daemon.app("dock-bad"), 1), lives, "{what}: the old instances were touched");
    }
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new());
    dock.settles(&daemon, 1, 2);
    assert_eq!(dock.containers(), before, "the very containers of before, and no other");
}

#[test]
fn what_drifts_is_put_right_and_what_is_asked_for_is_there() {
    let Some(dock) = Dock::new("drift") else { return };
    let app = DemoApp::new("dock-drift", "v1");
    dock.write(&app, &[]);
    let daemon = Daemon::start(&dock.bench);
    daemon.await_live("dock-drift", 1);
    dock.settles(&daemon, 1, 2);
    let before = dock.containers();
    let (first, second) = {
        let mut ids = before.values().map(|(id, _)| id.clone());
        (ids.next().expect("two run"), ids.next().expect("two run"))
    };
    let healed = |what: &str, replicas: usize| {
        dock.settles(&daemon, 1, replicas);
        daemon.eventually(what, PATIENCE, |status| {
            let app = app_of(status, "dock-drift");
            let passing = |one: &Value| one["health"] == "Passing";
            let instances = app["status"]["instances"].as_array().cloned().unwrap_or_default();
            condition(&app, "Ready") == "True" && instances.len() == replicas && instances.iter().all(passing)
        });
    };
    let life = incarnations(&daemon.app("dock-drift"), 1);
    let _ = dock.engine.ask("POST", &format!("/containers/{first}/kill"), "");
    daemon.eventually("the killed one lives again", PATIENCE, |status| {
        let now = incarnations(&app_of(status, "dock-drift"), 1);
        now.len() == 2 && now != life
    });
    healed("the killed one passes again", 2);
    let _ = dock.engine.ask("DELETE", &format!("/containers/{second}?force=1"), "");
    daemon.eventually("the removed one is replaced", PATIENCE, |_| {
        let there = dock.containers();
        there.len() == 2 && !there.values().any(|(id, _)| *id == second)
    });
    healed("the new one passes", 2);
    let now = dock.containers();
    let _ = dock.engine.ask("POST", &format!("/containers/{first}/rename?name=somebody-was-here"), "");
    dock.write(&app.clone().replicas(3), &[]);
    healed("three are there", 3);
    let there = dock.containers();
    assert!(
        now.iter().all(|(name, was)| there.get(name) == Some(was)),
        "a name alone changes nothing: {now:?} {there:?}"
    );
    dock.write(&app.clone().replicas(1), &[]);
    healed("one is left", 1);
    assert_eq!(word(&daemon.app("dock-drift")), "Ready");
    let (code, said, _) = dock.bench.ask(&["logs", "dock-drift"]);
    assert!(code == 0 && said.contains("demo-app v1"), "its log is shown: {said}");
}
