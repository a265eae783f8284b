//! What holds an app back, or what it waits for, is told in its tables and its conditions.

use std::time::Duration;

use trueup_tests::daemon::{app_of, condition, incarnations, word};
use trueup_tests::{Bench, Daemon, DemoApp};

/// Longest that anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn an_app_that_waits_for_its_hook_says_so_until_it_has_ended() {
    let bench = Bench::new();
    // It runs until it is told to end.
    let done = bench.path("done");
    let waits = format!("until test -e {}; do sleep 0.05; done", done.display());
    let app = DemoApp::new("web", "v1").replicas(1).hook("preDeploy", "migrate", &waits);
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.eventually("its hook runs", PATIENCE, |status| {
        let web = app_of(status, "web");
        word(&web) == "RunningHook" && condition(&web, "HookRunning") == "True"
    });
    let (_, apps, _) = bench.ask(&["get", "apps"]);
    assert!(apps.contains("RunningHook"), "{apps}");
    let (_, shown, _) = bench.ask(&["describe", "app", "web"]);
    assert!(shown.contains("the preDeploy hook migrate of r1 runs in web-r1-pre0"), "{shown}");
    std::fs::write(&done, "").expect("it is written");
    daemon.await_live("web", 1);
    assert_eq!(condition(&daemon.app("web"), "HookRunning"), "absent");
}

#[test]
fn of_two_that_may_not_roll_together_one_waits_for_the_other() {
    let bench = Bench::new();
    let apps = ["one", "two"].map(|name| DemoApp::new(name, "v1").replicas(1).rollout("drain", "200ms"));
    apps.iter().for_each(|app| bench.write(app));
    let daemon = Daemon::start_with(&bench, &["--max-rollouts", "1"]);
    apps.iter().for_each(|app| daemon.await_live(&app.name, 1));
    // Long enough to be seen.
    apps.iter().for_each(|app| bench.write(&app.at("v2").rollout("minHealthy", "2s")));
    daemon.eventually("one waits for the other", PATIENCE, |status| {
        let words = ["one", "two"].map(|name| word(&app_of(status, name)));
        words.contains(&"RolloutCap".to_owned()) && words.contains(&"Progressing".to_owned())
    });
    let (_, shown, _) = bench.ask(&["get", "apps", "-o", "wide"]);
    assert!(shown.contains("1 rollout is under way, the most at a time; r1 stays"), "{shown}");
    apps.iter().for_each(|app| daemon.await_live(&app.name, 2));
}

#[test]
fn an_app_that_waits_for_its_window_says_which_and_goes_on_serving() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1").replicas(1).rollout("drain", "200ms");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    // One minute of a leap day.
    let seldom = "[{cron: \"0 0 29 2 *\", timeZone: UTC, duration: 1m}]";
    bench.write(&app.at("v2").rollout("windows", seldom));
    daemon.eventually("it is held", PATIENCE, |status| word(&app_of(status, "web")) == "RolloutWindow");
    let web = daemon.app("web");
    assert_eq!((condition(&web, "Ready"), condition(&web, "RolloutHeld")), ("True".to_owned(), "True".to_owned()));
    let (_, apps, _) = bench.ask(&["get", "apps"]);
    assert!(apps.contains("RolloutWindow"), "{apps}");
    let (_, shown, _) = bench.ask(&["describe", "app", "web"]);
    assert!(shown.contains("RolloutHeld") && shown.contains("rollouts may begin at 20"), "{shown}");
    bench.write(&app.at("v2"));
    daemon.await_live("web", 2);
    assert_eq!(condition(&daemon.app("web"), "RolloutHeld"), "absent");
}

#[test]
fn a_pattern_of_the_target_gives_hosts_and_a_new_one_restarts_nothing() {
    let bench = Bench::new();
    let pattern = |hosts: &str| {
        bench.write_text(
            "target.yaml",
            &format!(
                "apiVersion: trueup.dev/v1\nkind: Target\nmetadata: {{name: local}}\nspec: {{process: {{}}, hosts: \"{hosts}\"}}\n"
            ),
        );
    };
    pattern("stage-{stage}-{app}.localhost");
    let manifest = DemoApp::new("web", "v1").replicas(1).manifest();
    let labelled = manifest.replace("  name: web\n", "  name: web\n  labels: {stage: main}\n");
    let routed = labelled.replace("{host: web.localhost, path: /}", "{}");
    assert!(routed.contains("routes: [{}]") && routed.contains("stage: main"), "{routed}");
    bench.write_text("web.yaml", &routed);
    let config = bench.config_dir();
    let config = config.to_str().expect("a path of text");
    let (code, shown, talk) = bench.ask(&["plan", config]);
    assert!(code == 1 && shown.contains("stage-main-web.localhost"), "{shown}{talk}");
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let before = incarnations(&daemon.app("web"), 1);
    let (_, shown, talk) = bench.ask(&["get", "routes"]);
    assert!(shown.contains("stage-main-web.localhost"), "{shown}{talk}");

    pattern("{app}-of-{stage}.localhost");
    daemon.eventually("its route has another host", PATIENCE, |status| {
        app_of(status, "web")["status"]["routes"].to_string().contains("web-of-main.localhost")
    });
    assert_eq!(incarnations(&daemon.app("web"), 1), before);
    bench.write_text(
        "web.yaml",
        &labelled.replace("stage: main", "team: blue").replace("{host: web.localhost, path: /}", "{}"),
    );
    let (code, _, talk) = bench.ask(&["validate", config]);
    assert!(code != 0 && talk.contains("`{team}`") && talk.contains("metadata.labels"), "{talk}");
}
