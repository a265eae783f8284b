//! Rollouts, reverts and drift on real containers: the demo server in an image, on an engine of the tests' own.
//!
//! All of these share one engine; each has a target of its own there.

use std::collections::BTreeMap;
use std::sync::Once;
use std::time::Duration;

use serde_json::Value;
use trueup_tests::daemon::{app_of, condition, incarnations, word};
use trueup_tests::engine::registry::Registry;
use trueup_tests::engine::{Engine, engine};
use trueup_tests::manifest::Badness;
use trueup_tests::{Bench, Daemon, DemoApp, Load, Mix, bench};

/// The image with the demo server.
pub(super) const DEMO: &str = "trueup-demo:v1";
/// Longest that anything may take on a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// One test's place on the shared engine.
pub(super) struct Dock {
    pub engine: &'static Engine,
    pub bench: Bench,
    pub target: &'static str,
}

impl Dock {
    pub(super) fn new(target: &'static str) -> Option<Self> {
        Self::with(target, "")
    }

    /// The same with more said of the target, after a comma.
    pub(super) fn with(target: &'static str, more: &str) -> Option<Self> {
        static IMAGE: Once = Once::new();
        let engine = engine()?;
        IMAGE.call_once(|| engine.make_image_with(DEMO, "demo", Some(&bench::binary())));
        Some(Self::place(engine, target, more))
    }

    /// The same on an engine that nobody else uses.
    pub(super) fn on(engine: &'static Engine, target: &'static str, more: &str) -> Self {
        engine.make_image_with(DEMO, "demo", Some(&bench::binary()));
        Self::place(engine, target, more)
    }

    fn place(engine: &'static Engine, target: &'static str, more: &str) -> Self {
        let bench = Bench::new();
        let text = format!(
            "apiVersion: trueup.dev/v1\nkind: Target\nmetadata: {{name: {target}}}\nspec:\n  docker: {{host: \"{}\"{more}}}\n",
            engine.host()
        );
        bench.write_text("target.yaml", &text);
        Self { engine, bench, target }
    }

    /// Writes an app's manifest, for containers, with some lines changed.
    pub(super) fn write(&self, app: &DemoApp, changes: &[(&str, &str)]) {
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
    pub(super) fn containers(&self) -> BTreeMap<String, (String, String)> {
        let filter = format!("%7B%22label%22%3A%5B%22dev.trueup.target%3D{}%22%5D%7D", self.target);
        let listed = self.engine.ask("GET", &format!("/containers/json?all=1&filters={filter}"), "");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |one: &Value| (text(&one["Labels"]["dev.trueup.instance"]), (text(&one["Id"]), text(&one["State"])));
        listed.as_array().into_iter().flatten().map(one).collect()
    }

    /// Waits until as many containers run as are wanted, and no other is left.
    pub(super) fn settles(&self, daemon: &Daemon, revision: u64, replicas: usize) {
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

#[test]
fn hooks_run_once_in_containers_of_their_own_and_a_volume_has_one_owner_at_a_time() {
    let Some(dock) = Dock::new("hooked") else { return };
    let app =
        DemoApp::new("dock-hooked", "v1").replicas(1).hook("preDeploy", "migrate", "echo migrating $DEMO_VERSION");
    let volume = [("  rollout:\n", "  volumes: [{name: data, path: /data}]\n  rollout:\n")];
    dock.write(&app, &volume);
    let daemon = Daemon::start(&dock.bench);
    for revision in 1..=2 {
        dock.write(&app.at(&format!("v{revision}")), &volume);
        daemon.await_live("dock-hooked", revision);
        let (code, said, talk) = dock.bench.ask(&["logs", "dock-hooked", "--hook", "migrate"]);
        assert!(code == 0 && said.contains(&format!("migrating v{revision}")), "{said}{talk}");
        let instance = format!("dock-hooked-r{revision}-0");
        let id = dock.containers()[&instance].0.clone();
        let there = dock.engine.ask("GET", &format!("/containers/{id}/json"), "");
        assert_eq!(there["Mounts"][0]["Name"], "trueup-dock-hooked-data-0", "each revision finds the same");
    }
    // What ran a hook is kept as long as its release is remembered.
    daemon.eventually("one serves, and each hook has had one container", PATIENCE, |_| {
        let there = dock.containers();
        let states: Vec<_> = there.iter().map(|(name, (_, state))| (name.as_str(), state.as_str())).collect();
        let hooks = [("dock-hooked-r1-pre0", "exited"), ("dock-hooked-r2-pre0", "exited")];
        states == [hooks[0], ("dock-hooked-r2-0", "running"), hooks[1]]
    });
    // The fate of the old one is in its events: it went before the new one came.
    let events = daemon.status()["events"].as_array().cloned().unwrap_or_default();
    let when = |reason: &str, instance: &str| {
        let one = events.iter().find(|one| {
            one["reason"] == reason && one["message"].as_str().is_some_and(|message| message.starts_with(instance))
        });
        one.and_then(|one| one["sequence"].as_u64()).unwrap_or_else(|| panic!("no {reason} of {instance}: {events:#?}"))
    };
    assert!(when("InstanceStopping", "dock-hooked-r1-0") < when("InstanceCreated", "dock-hooked-r2-0"));
}

#[test]
fn the_example_runs_on_an_engine() {
    let Some(engine) = engine() else { return };
    engine.make_image("busybox:1.37", "example");
    let bench = Bench::new();
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/docker");
    for entry in std::fs::read_dir(example).expect("it reads").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("it is text");
        let text = text.replace("unix:///var/run/docker.sock", &engine.host());
        bench.write_text(entry.file_name().to_str().expect("a name"), &text);
    }
    let config = bench.config_dir();
    let config = config.to_str().expect("a path of text");
    let daemon = Daemon::start(&bench);
    daemon.eventually("all of it is Ready", PATIENCE, |status| {
        let apps = status["apps"].as_array().cloned().unwrap_or_default();
        apps.len() == 2 && apps.iter().all(|app| word(app) == "Ready")
    });
    let (code, plan, talk) = bench.ask(&["plan", config]);
    assert_eq!((code, plan.trim()), (0, "Nothing would change."), "{talk}");
    daemon.terminate();
    let (code, plan, talk) = bench.ask(&["plan", config]);
    assert_eq!((code, plan.trim()), (0, "Nothing would change."), "without a daemon: {talk}");
}
