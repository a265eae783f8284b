//! The command line as people use it: every mistake reported at once, plans that are empty when all is well, examples that
//! run as they are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use trueup_tests::daemon::{app_of, word};
use trueup_tests::manifest::Badness;
use trueup_tests::{Bench, Daemon, DemoApp, processes};

const SIX_MISTAKES: &str = r"apiVersion: trueup.dev/v1
kind: App
metadata:
  name: Shop
spec:
  comand: [trueup, demo-app]
  command: [trueup, demo-app]
  replicas: many
  env:
    DEBUG: no
  ports: [{name: http, protocol: http}]
  routes: [{host: shop.localhost, port: grpc}]
  rollout: {healthyDeadline: 10m, progressDeadline: 5m, bake: soon}
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace").to_owned()
}

fn examples() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root().join("examples")).expect("there are examples").flatten();
    let mut folders: Vec<_> = folders.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("it reads").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("it is copied");
    }
}

#[test]
fn six_mistakes_are_six_errors_each_with_its_place_and_its_remedy() {
    let bench = Bench::new();
    bench.write_text("shop.yaml", SIX_MISTAKES);
    let config = bench.config_dir();
    let config = config.to_str().expect("a path of text");
    let (code, json, _) = bench.ask(&["validate", "-o", "json", config]);
    assert_eq!(code, 1);
    let errors: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let errors: Vec<_> = errors.as_array().expect("a list").iter().filter(|one| one["severity"] == "error").collect();
    let lines: Vec<_> = errors.iter().map(|one| one["line"].as_u64().expect("a line")).collect();
    for wanted in [4, 6, 8, 10, 12, 13] {
        assert!(lines.contains(&wanted), "line {wanted} is not reported: {json}");
    }
    for error in &errors {
        assert!(error["column"].as_u64().is_some_and(|column| column > 0), "{error}");
        assert!(error["help"].as_str().is_some_and(|help| !help.is_empty()), "no remedy: {error}");
    }
    let (_, _, talk) = bench.ask(&["validate", config]);
    assert!(talk.contains("shop.yaml:6:3") && talk.contains("command"), "the text shows the place:\n{talk}");
}

#[test]
fn a_usage_asks_for_nothing_that_the_environment_says() {
    let bench = Bench::new();
    let (code, _, talk) = bench.ask(&["wait"]);
    assert_eq!(code, 2);
    assert!(talk.contains("Usage: trueup wait <OBJECT>"), "{talk}");
    assert!(!talk.contains("--state-dir"), "{talk}");
    let (code, said, _) = bench.ask(&["wait", "--help"]);
    assert!(code == 0 && said.contains("TRUEUP_STATE_DIR="), "help says where it comes from: {said}");
    let empty = bench.trueup().arg("doctor").env("TRUEUP_STATUS_FILE", "").output().expect("the binary runs");
    let talk = String::from_utf8_lossy(&empty.stderr);
    assert!(empty.status.success(), "what is set to nothing is not set: {talk}");
    let listen = bench.trueup().arg("run").env("TRUEUP_LISTEN", "nowhere").output().expect("the binary runs");
    let talk = String::from_utf8_lossy(&listen.stderr);
    assert!(talk.contains("invalid value 'nowhere' for '--listen"), "what the environment says is judged: {talk}");
}

#[test]
fn every_example_converges_and_then_its_plan_is_empty() {
    // Those that need an engine or a platform are run where there is one.
    let apart = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name == "docker" || name.starts_with("fly-")
    };
    for example in examples().into_iter().filter(|path| !apart(path)) {
        let bench = Bench::new();
        copy(&example, &bench.config_dir());
        let config = bench.config_dir();
        let config = config.to_str().expect("a path of text");
        let (code, _, talk) = bench.ask(&["validate", config]);
        assert_eq!(code, 0, "{}: {talk}", example.display());
        let (code, plan, _) = bench.ask(&["plan", config]);
        assert_eq!(code, 1, "before anything runs there is something to do:\n{plan}");
        let daemon = Daemon::start(&bench);
        daemon.eventually("all of it is Ready", Duration::from_secs(60), |status| {
            let apps = status["apps"].as_array().cloned().unwrap_or_default();
            !apps.is_empty() && apps.iter().all(|app| word(app) == "Ready")
        });
        let (code, plan, talk) = bench.ask(&["plan", config]);
        assert_eq!((code, plan.trim()), (0, "Nothing would change."), "{}: {talk}", example.display());
        daemon.terminate();
        let (code, plan, talk) = bench.ask(&["plan", config]);
        assert_eq!((code, plan.trim()), (0, "Nothing would change."), "without a daemon {}: {talk}", example.display());
    }
}

#[test]
fn a_plan_says_what_would_happen_and_nothing_happens() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let elsewhere = bench.path("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    std::fs::write(elsewhere.join("web.yaml"), app.at("v2").manifest()).expect("it is written");
    std::fs::write(elsewhere.join("api.yaml"), DemoApp::new("api", "v1").manifest()).expect("it is written");
    let before = processes::demo_servers(&bench.state_dir());
    let (code, plan, _) = bench.ask(&["plan", elsewhere.to_str().expect("a path of text")]);
    assert_eq!(code, 1);
    assert!(plan.contains("app/web rolls") && plan.contains("v1 -> v2") && plan.contains("replace 2"), "{plan}");
    assert!(plan.contains("app/api is created") && plan.contains("no downtime"), "{plan}");
    assert_eq!(processes::demo_servers(&bench.state_dir()), before);
    let (code, _, talk) = bench.ask(&["plan", "/no/such/folder"]);
    assert_eq!(code, 2, "{talk}");
}

#[test]
fn once_converges_leaves_and_says_how_it_went() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1");
    bench.write(&app);
    let once = |bench: &Bench| {
        let mut command = bench.trueup();
        command.arg("run").arg(bench.config_dir()).args(["--once", "--listen", &bench.listen.to_string()]);
        let output = command.output().expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(once(&bench), (Some(0), "app/web Ready\n".to_owned()));
    assert_eq!(processes::demo_servers(&bench.state_dir()).len(), 2, "what it started goes on");
    bench.write(&app.bad("v2", Badness::ExitsAtOnce));
    let (code, said) = once(&bench);
    assert_eq!(code, Some(3), "it was reverted: {said}");
}

#[test]
fn a_persons_word_is_done_and_shown() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    bench.write(&app.at("v2"));
    let (code, said, talk) = bench.ask(&["wait", "app/web", "--revision", "2", "--timeout", "60s"]);
    assert_eq!(code, 0, "{said}{talk}");
    let (code, said, talk) = bench.ask(&["rollback", "web"]);
    assert_eq!((code, said.trim()), (0, "app/web rolls back to the release before"), "{talk}");
    daemon.eventually("it is pinned to what r1 was", Duration::from_secs(60), |status| {
        let web = app_of(status, "web");
        word(&web) == "Pinned" && web["status"]["lastGood"] == 3
    });
    let (code, _, talk) = bench.ask(&["retry", "web"]);
    assert!(code == 1 && talk.contains("nothing is rejected"), "{talk}");
    let (code, _, talk) = bench.ask(&["restart", "nobody"]);
    assert!(code == 1 && talk.contains("trueup get apps"), "{talk}");
    let (code, logs, talk) = bench.ask(&["logs", "web"]);
    assert!(code == 0 && logs.contains("demo-app v1"), "{logs}{talk}");
    let (_, why, _) = bench.ask(&["why", "web"]);
    assert!(why.contains("wanted:") && why.contains("remembered:"), "{why}");
    let (code, _, talk) = bench.ask(&["down", "--yes"]);
    assert_eq!(code, 0, "{talk}");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !processes::of_state(&bench.state_dir()).is_empty() {
        assert!(std::time::Instant::now() < deadline, "{:?}", processes::of_state(&bench.state_dir()));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_process_target_says_by_name_what_it_does_not_serve() {
    let bench = Bench::new();
    let text = DemoApp::new("web", "v1").manifest().replace("  replicas: 2\n", "  regions: {iad: 1}\n  image: web:1\n");
    bench.write_text("web.yaml", &text);
    let (code, _, talk) = bench.ask(&["validate", bench.config_dir().to_str().expect("a path of text")]);
    assert_eq!(code, 1);
    for field in ["image", "regions"] {
        assert!(talk.contains(&format!("`{field}` is not served by process targets")), "{field}: {talk}");
    }
}

#[test]
fn the_starter_runs_as_it_is() {
    let bench = Bench::new();
    let config = bench.config_dir();
    let config = config.to_str().expect("a path of text");
    let (code, _, talk) = bench.ask(&["init", config]);
    assert_eq!(code, 0, "{talk}");
    let (code, _, talk) = bench.ask(&["validate", config]);
    assert_eq!(code, 0, "{talk}");
    let (code, _, talk) = bench.ask(&["init", config]);
    assert!(code == 1 && talk.contains("is there already"), "nothing is overwritten: {talk}");
    let schema = Command::new("grep").args(["-c", "apiVersion"]).arg(format!("{config}/.schema/app.json")).status();
    assert!(schema.is_ok_and(|status| status.success()), "the schema lies beside it");
}
