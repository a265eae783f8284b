//! A person goes back, on real processes: with the environment of then, and with that of now.

use std::time::Duration;

use trueup_tests::daemon::{app_of, word};
use trueup_tests::{Bench, Daemon, DemoApp};

/// A program that says which one it is, beside the environment's `DEMO_VERSION`.
fn written(bench: &Bench, program: &str, app: &DemoApp) {
    let shell = format!("[sh, -c, 'echo this is the {program} program; exec trueup demo-app']");
    bench.write_text("web.yaml", &app.manifest().replace("[trueup, demo-app]", &shell));
}

/// What the only instance of the app wrote since it began.
fn wrote(bench: &Bench) -> String {
    let (code, said, talk) = bench.ask(&["logs", "web"]);
    assert_eq!(code, 0, "{talk}");
    said
}

fn pinned(daemon: &Daemon, last_good: u64) {
    daemon.eventually(&format!("it is pinned, as r{last_good}"), Duration::from_secs(60), |status| {
        let web = app_of(status, "web");
        let instances = web["status"]["instances"].as_array().map_or(0, Vec::len);
        word(&web) == "Pinned" && web["status"]["lastGood"] == last_good && instances == 1
    });
}

#[test]
fn the_program_of_then_runs_with_the_environment_of_now() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1").replicas(1).rollout("drain", "200ms");
    written(&bench, "old", &app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    written(&bench, "new", &app.at("v2"));
    daemon.await_live("web", 2);
    let (code, said, talk) = bench.ask(&["rollback", "web", "--current-env"]);
    let receipt = "app/web rolls back to the release before, with the environment of now";
    assert_eq!((code, said.trim()), (0, receipt), "{talk}");
    // The word outlives whoever heard it.
    daemon.kill();
    let daemon = Daemon::start(&bench);
    pinned(&daemon, 3);
    let said = wrote(&bench);
    assert!(said.contains("the old program") && said.contains("demo-app v2"), "{said}");

    let (_, shown, _) = bench.ask(&["describe", "app", "web"]);
    assert!(shown.contains("Pinned:") && shown.matches("with the environment of now").count() >= 3, "{shown}");
    let (_, releases, _) = bench.ask(&["get", "releases", "web"]);
    assert!(releases.contains("rollback to r1 by "), "{releases}");
    let (code, plan, _) = bench.ask(&["plan", bench.config_dir().to_str().expect("a path of text")]);
    assert_eq!(code, 0, "{plan}");
    assert!(plan.contains("went back to r1, with the environment of now; it holds until"), "{plan}");

    let (code, _, talk) = bench.ask(&["rollback", "web", "--to", "1"]);
    assert_eq!(code, 0, "{talk}");
    pinned(&daemon, 4);
    let said = wrote(&bench);
    assert!(said.contains("the old program") && said.contains("demo-app v1"), "{said}");
    let (code, _, talk) = bench.ask(&["restart", "web"]);
    assert!(code == 1 && talk.contains("it is pinned to r1"), "{talk}");
    let (code, _, talk) = bench.ask(&["resume", "web"]);
    assert_eq!(code, 0, "{talk}");
    daemon.await_live("web", 5);
    let (code, _, talk) = bench.ask(&["rollback", "web", "--to", "3", "--current-env"]);
    assert_eq!(code, 0, "{talk}");
    pinned(&daemon, 6);
}

#[test]
fn what_would_change_nothing_is_refused_with_the_reason() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1").replicas(1).rollout("drain", "200ms");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    bench.write(&app.at("v2"));
    daemon.await_live("web", 2);
    let (code, _, talk) = bench.ask(&["rollback", "web", "--current-env"]);
    assert!(code == 1 && talk.contains("release r1 differs from what runs only in its environment"), "{talk}");
    assert_eq!(word(&daemon.app("web")), "Ready");
}
