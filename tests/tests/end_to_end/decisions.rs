//! Decisions of a real daemon are recorded, and made again without it.

use std::time::Duration;

use serde_json::Value;
use trueup_tests::daemon::{app_of, word};
use trueup_tests::manifest::Badness;
use trueup_tests::{Bench, Daemon, DemoApp};

/// A value that nobody else has.
const PASSWORD: &str = "correct-horse-battery";

#[test]
fn a_recorded_decision_is_made_again_without_a_daemon_and_holds_no_secret() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1").replicas(1).env("PASSWORD", PASSWORD).rollout("drain", "200ms");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    bench.write(&app.bad("v2", Badness::ExitsAtOnce));
    daemon.await_reverted("web", 2);
    let file = bench.path("web.json");
    let file_name = file.to_str().expect("a path of text");
    let (code, said, talk) = bench.ask(&["why", "web", "--record", file_name]);
    assert!(code == 0 && said.contains("decisions about app/web are in"), "{said}{talk}");
    let (code, _, talk) = bench.ask(&["why", "nobody", "--record", file_name]);
    assert!(code == 1 && talk.contains("there is no app `nobody`"), "{talk}");
    daemon.terminate();

    let text = std::fs::read_to_string(&file).expect("it is written");
    assert!(!text.contains(PASSWORD) && text.contains("\"PASSWORD\": \"masked-"), "{text}");
    let (code, said, talk) = bench.ask(&["why", "--replay", file_name]);
    assert_eq!(code, 0, "{said}{talk}");
    assert!(said.contains("wanted: 1 of template ") && said.contains("= the same answer"), "{said}");
    assert!(said.contains(", 0 of them decided otherwise"), "{said}");

    let mut otherwise: Value = serde_json::from_str(&text).expect("it is JSON");
    otherwise["decisions"][0]["answered"]["verdict"]["message"] = Value::from("something else");
    let changed = bench.path("changed.json");
    std::fs::write(&changed, otherwise.to_string()).expect("it is written");
    let (code, said, _) = bench.ask(&["why", "--replay", changed.to_str().expect("a path of text")]);
    assert!(code == 1 && said.contains("- verdict.message: \"something else\""), "{said}");
    assert!(said.contains(", 1 of them decided otherwise"), "{said}");

    otherwise["version"] = Value::from(99);
    std::fs::write(&changed, otherwise.to_string()).expect("it is written");
    let (code, _, talk) = bench.ask(&["why", "--replay", changed.to_str().expect("a path of text")]);
    assert!(code == 2 && talk.contains("written by a newer trueup"), "{talk}");
    let (code, _, talk) = bench.ask(&["why", "--replay", "/no/such/file"]);
    assert!(code == 2 && talk.contains("cannot be read"), "{talk}");
}

#[test]
fn why_is_told_to_programs_too() {
    let bench = Bench::new();
    bench.write(&DemoApp::new("web", "v1").replicas(1));
    let daemon = Daemon::start(&bench);
    daemon.eventually("web is Ready", Duration::from_secs(60), |status| word(&app_of(status, "web")) == "Ready");
    let (code, said, talk) = bench.ask(&["why", "web", "-o", "json"]);
    assert_eq!(code, 0, "{talk}");
    let decisions: Value = serde_json::from_str(&said).expect("it is JSON");
    assert!(decisions[0]["lines"].as_array().is_some_and(|lines| lines.len() > 3), "{said}");
}
