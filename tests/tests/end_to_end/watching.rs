//! Rollouts as people and scripts follow them: what keeps one is named, and who has to act is told so.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use trueup_tests::daemon::{app_of, condition, word};
use trueup_tests::manifest::Badness;
use trueup_tests::{Bench, Daemon, DemoApp};

/// Longest that anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn what_fails_its_probes_is_named_while_it_is_rolled_out_and_a_second_try_says_what_it_is() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1").rollout("drain", "200ms");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    bench.write(&app.bad("v2", Badness::NeverHealthy));
    daemon
        .eventually("the rollout begins", PATIENCE, |status| app_of(status, "web")["status"]["release"]["number"] == 2);
    let (code, said, talk) = bench.ask(&["rollout", "status", "web"]);
    assert_eq!(code, 3, "{said}{talk}");
    assert!(said.contains("0 of 2 new instances pass their probes; web-r2-"), "what keeps it is named: {said}");
    assert!(!said.contains("2 of 2"), "nothing of it is well: {said}");

    let (code, _, talk) = bench.ask(&["retry", "web"]);
    assert_eq!(code, 0, "{talk}");
    let (_, said, _) = bench.ask(&["rollout", "status", "web", "--no-watch"]);
    assert!(said.starts_with("Waiting for app"), "who asks after the word hears of the second try: {said}");
    daemon
        .eventually("it is tried again", PATIENCE, |status| app_of(status, "web")["status"]["release"]["number"] == 3);
    let (_, events, _) = bench.ask(&["events", "--for", "app/web"]);
    assert!(events.contains("the rollout of r3 begins: r2 is tried again"), "{events}");
}

#[test]
fn what_exits_is_named_while_it_is_rolled_out_and_so_is_a_daemon_that_is_not_there() {
    let bench = Bench::new();
    let (code, said, talk) = bench.ask(&["rollout", "status", "web", "--timeout", "300ms"]);
    assert_eq!(code, 1, "{talk}");
    assert!(said.contains("to be known; there is no status at"), "{said}");
    let app = DemoApp::new("web", "v1").rollout("drain", "200ms");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    // Tried often enough that whoever looks finds the rollout under way.
    let bad = app.bad("v2", Badness::ExitsAtOnce).manifest();
    bench.write_text("web.yaml", &bad.replace("  stop:", "  restart: {maxRetries: 10}\n  stop:"));
    daemon
        .eventually("the rollout begins", PATIENCE, |status| app_of(status, "web")["status"]["release"]["number"] == 2);
    let (code, said, talk) = bench.ask(&["rollout", "status", "web"]);
    assert_eq!(code, 3, "{said}{talk}");
    let named = said.lines().any(|line| line.contains(" new instances ") && line.contains(": it has exited"));
    assert!(named, "what keeps it is named: {said}");
}

#[test]
fn who_waits_for_a_canary_is_told_when_it_is_a_persons_turn() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1").rollout("strategy", "canary").rollout("bake", "300ms");
    let app = app.rollout("steps", "[{weight: 25, approve: true}]");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    bench.write(&app.at("v2"));
    daemon.eventually("it waits for a person", PATIENCE, |status| {
        condition(&app_of(status, "web"), "AwaitingApproval") == "True"
    });
    let (_, apps, _) = bench.ask(&["get", "apps"]);
    assert!(apps.contains("AwaitingApproval"), "{apps}");
    for words in [&["wait", "app/web"][..], &["wait", "app/web", "--revision", "2"], &["rollout", "status", "web"]] {
        let (code, said, talk) = bench.ask(words);
        assert_eq!(code, 4, "{words:?}: {said}{talk}");
        assert!(said.contains("it waits for `trueup promote`"), "{words:?}: {said}");
    }
    daemon.terminate();
    let config = bench.config_dir();
    let config = config.to_str().expect("a path of text");
    let (code, said, talk) = bench.ask(&["run", config, "--once", "--listen", &bench.listen.to_string()]);
    assert_eq!(code, 4, "nobody could give the word: {said}{talk}");
    assert!(said.starts_with("app/web AwaitingApproval: r2 gets 25 % of the traffic"), "{said}");

    let daemon = Daemon::start(&bench);
    daemon.eventually("it waits for a person still", PATIENCE, |status| {
        condition(&app_of(status, "web"), "AwaitingApproval") == "True"
    });
    assert_eq!(daemon.app("web")["status"]["release"]["share"], 25);
    let (code, _, talk) = bench.ask(&["promote", "web"]);
    assert_eq!(code, 0, "{talk}");
    let (code, said, talk) = bench.ask(&["rollout", "status", "web"]);
    assert_eq!(code, 0, "who asks after the word is not told of the time before it: {said}{talk}");
    daemon.await_live("web", 2);
    assert_eq!(condition(&daemon.app("web"), "AwaitingApproval"), "absent");
}

#[test]
fn a_table_that_is_watched_shows_each_turn() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1").replicas(1).rollout("drain", "200ms");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let mut watch = bench.trueup();
    let mut watch = watch.args(["get", "apps", "-w"]).stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("it is piped")).lines();
    let mut next = |part: &str| {
        let found = lines.by_ref().map(|line| line.expect("it goes on")).find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("it ended without {part}"))
    };
    assert!(next("web").contains(" Ready "), "as it stands at first");
    bench.write(&app.at("v2"));
    let baking = next("Baking");
    assert!(baking.contains(" r2 "), "{baking}");
    next("Ready");
    watch.kill().expect("it can be stopped");
    watch.wait().expect("it ends");
    assert_eq!(word(&daemon.app("web")), "Ready");
}

#[test]
fn an_app_that_waits_for_another_says_so_and_goes_before_it() {
    let bench = Bench::new();
    // It is healthy when it is told to be.
    let open = bench.path("open");
    let waits = format!("[sh, -c, 'until test -e {}; do sleep 0.05; done; exec trueup demo-app']", open.display());
    let db = DemoApp::new("db", "v1").replicas(1).rollout("healthyDeadline", "15s");
    let db = DemoApp { routed: false, ..db };
    bench
        .write_text("db.yaml", &db.manifest().replace("[trueup, demo-app]", &waits).replace("grace: 2s", "grace: 20s"));
    let web = DemoApp { depends_on: vec!["db".to_owned()], ..DemoApp::new("web", "v1").replicas(1) };
    bench.write(&web.clone().rollout("drain", "200ms"));
    let daemon = Daemon::start(&bench);
    daemon.eventually("it waits", PATIENCE, |status| {
        condition(&app_of(status, "web"), "DependencyNotReady") == "True"
            && app_of(status, "db") != serde_json::Value::Null
    });
    let (_, apps, _) = bench.ask(&["get", "apps"]);
    assert!(apps.contains("DependencyNotReady"), "{apps}");
    let (_, events, _) = bench.ask(&["events", "--for", "app/web"]);
    assert!(events.contains("not Ready yet: db; nothing of it runs yet"), "{events}");
    let (code, said, _) = bench.ask(&["rollout", "status", "web", "--no-watch"]);
    assert_eq!(code, 0);
    assert!(said.contains("rollout to finish: not Ready yet: db..."), "{said}");
    std::fs::write(&open, "").expect("it is written");
    daemon.await_live("web", 1);

    // A directory that is empty all of a sudden would be doubted.
    bench.write(&DemoApp { routed: false, ..DemoApp::new("other", "v1").replicas(0) });
    daemon.eventually("it is known", PATIENCE, |status| word(&app_of(status, "other")) == "Ready");
    // Both go: what depends on the other goes first.
    for app in ["web", "db"] {
        std::fs::remove_file(bench.config_dir().join(format!("{app}.yaml"))).expect("it was there");
    }
    daemon
        .eventually("both are gone", PATIENCE, |status| status["apps"].as_array().is_some_and(|apps| apps.len() == 1));
    let (_, events, _) = bench.ask(&["events", "--no-headers"]);
    let place = |part: &str| {
        let found = events.lines().position(|line| line.contains("InstanceRemoved") && line.contains(part));
        found.unwrap_or_else(|| panic!("{part} was not removed: {events}"))
    };
    assert!(place("web-r1-0") < place("db-r1-0"), "{events}");
}
