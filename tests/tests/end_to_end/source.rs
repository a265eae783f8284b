//! What the manifests may do to the apps: broken files, vanished files, vanished directories.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use trueup_tests::daemon::{app_of, condition, word};
use trueup_tests::{Bench, Daemon, DemoApp, processes};

/// Apps on one host in these tests.
const APPS: usize = 50;

fn sleeper(index: usize, version: &str) -> String {
    // No ports and no probes: fifty of them cost next to nothing.
    format!(
        "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: app-{index:02}}}\nspec:\n  profile: worker\n  \
         command: [sleep, \"86400\"]\n  env: {{VERSION: \"{version}\"}}\n  stop: {{timeout: 2s}}\n  \
         rollout: {{minHealthy: 100ms, bake: 100ms, healthyDeadline: 5s, progressDeadline: 20s, drain: 0s}}\n"
    )
}

fn fifty(bench: &Bench) -> Daemon {
    for index in 0..APPS {
        bench.write_text(&format!("app-{index:02}.yaml"), &sleeper(index, "v1"));
    }
    let daemon = Daemon::start(bench);
    daemon.eventually("fifty apps are Ready", Duration::from_secs(90), |status| ready(status) == APPS);
    daemon
}

fn ready(status: &Value) -> usize {
    let apps = status["apps"].as_array().cloned().unwrap_or_default();
    apps.iter().filter(|app| word(app) == "Ready").count()
}

fn sleepers(bench: &Bench) -> BTreeMap<String, i32> {
    let all = processes::of_state(&bench.state_dir());
    let sleeping = all.into_iter().filter(|one| one.command.starts_with("sleep "));
    sleeping.filter_map(|one| Some((one.instance?, one.pid))).collect()
}

#[test]
fn a_broken_manifest_leaves_the_others_reconciling() {
    let bench = Bench::new();
    let daemon = fifty(&bench);
    let before = sleepers(&bench);
    assert_eq!(before.len(), APPS);
    bench.write_text(
        "app-07.yaml",
        "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {name: app-07}\nspec: {comand: [x]}\n",
    );
    for index in (0..APPS).filter(|index| *index != 7) {
        bench.write_text(&format!("app-{index:02}.yaml"), &sleeper(index, "v2"));
    }
    daemon.eventually("49 roll to v2", Duration::from_secs(120), |status| {
        let rolled = |index: &usize| app_of(status, &format!("app-{index:02}"))["status"]["lastGood"] == 2;
        (0..APPS).filter(rolled).count() == APPS - 1 && sleepers(&bench).len() == APPS
    });
    let seven = daemon.app("app-07");
    assert_eq!(condition(&seven, "ManifestInvalid"), "True", "{seven:#}");
    assert_eq!(condition(&seven, "Ready"), "True", "the 50th is on its last good version");
    assert_eq!(sleepers(&bench).get("app-07-r1-0"), before.get("app-07-r1-0"), "and was not touched");
    let (code, table, _) = bench.ask(&["get", "apps"]);
    assert_eq!(code, 0);
    let line = table.lines().find(|line| line.starts_with("app-07 ")).unwrap_or_default();
    assert!(line.contains("ManifestInvalid"), "`get apps` shows it: {line}");
    let (_, description, _) = bench.ask(&["describe", "app", "app-07"]);
    assert!(description.contains("comand"), "`describe` names the key at fault: {description}");
    for words in [&["wait", "app/app-07"][..], &["rollout", "status", "app-07"]] {
        let (code, said, _) = bench.ask(words);
        assert_eq!(code, 1, "what was asked for does not serve: {said}");
        assert!(said.contains("comand"), "{said}");
    }
    daemon.terminate();
    let config = bench.config_dir();
    let (code, said, _) =
        bench.ask(&["run", &config.to_string_lossy(), "--once", "--listen", &bench.listen.to_string()]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("app-07.yaml") && said.contains("comand"), "{said}");
}

#[test]
fn a_directory_in_doubt_deletes_nothing() {
    let bench = Bench::new();
    let daemon = fifty(&bench);
    let before = sleepers(&bench);
    let config = bench.config_dir();
    // Emptied.
    let aside = bench.path("aside");
    std::fs::create_dir(&aside).expect("a folder");
    for entry in std::fs::read_dir(&config).expect("the folder reads").flatten() {
        std::fs::rename(entry.path(), aside.join(entry.file_name())).expect("it moves");
    }
    in_doubt(&bench, &daemon, &before, "emptied");
    // Missing.
    std::fs::remove_dir(&config).expect("it is empty");
    in_doubt(&bench, &daemon, &before, "missing");
    // Not a directory.
    std::fs::write(&config, "a file").expect("it is written");
    in_doubt(&bench, &daemon, &before, "a file");
    std::fs::remove_file(&config).expect("it goes");
    std::fs::rename(&aside, &config).expect("it comes back");
    daemon.eventually("the doubt is gone", Duration::from_secs(40), |status| !doubted(status));
    assert_eq!(sleepers(&bench), before, "and nothing was restarted");
}

fn doubted(status: &Value) -> bool {
    let conditions = status["daemon"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|one| one["type"] == "SourceUnavailable")
}

fn in_doubt(bench: &Bench, daemon: &Daemon, before: &BTreeMap<String, i32>, how: &str) {
    daemon.eventually(&format!("the doubt about a directory that is {how} is shown"), Duration::from_secs(40), doubted);
    // Longer than two scans would take to confirm an absence.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(&sleepers(bench), before, "a directory that is {how} deleted something");
}

#[test]
fn thirty_of_fifty_wait_for_approval() {
    let bench = Bench::new();
    let daemon = fifty(&bench);
    let before = sleepers(&bench);
    for index in 0..30 {
        std::fs::remove_file(bench.config_dir().join(format!("app-{index:02}.yaml"))).expect("it goes");
    }
    daemon.eventually("the guard holds them", Duration::from_secs(30), |status| {
        let conditions = status["daemon"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == "PruneBlocked")
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(sleepers(&bench), before, "nothing goes without approval");
    let (_, table, _) = bench.ask(&["get", "apps"]);
    assert_eq!(table.lines().filter(|line| line.contains("PruneBlocked")).count(), 30, "`get apps` shows it:\n{table}");
    let (_, description, _) = bench.ask(&["describe", "app", "app-03"]);
    assert!(description.contains("approve prune"), "`describe` says what to do: {description}");
    let (code, _, talk) = bench.ask(&["approve", "prune"]);
    assert_eq!(code, 0, "{talk}");
    daemon.eventually("thirty go, twenty stay", Duration::from_secs(60), |status| {
        status["apps"].as_array().is_some_and(|apps| apps.len() == 20) && sleepers(&bench).len() == 20
    });
    let stayed = before.iter().filter(|(name, _)| name.as_str() >= "app-30");
    let stayed: BTreeMap<_, _> = stayed.map(|(name, pid)| (name.clone(), *pid)).collect();
    assert_eq!(sleepers(&bench), stayed, "and the twenty were not touched");
}

#[test]
fn a_few_removed_manifests_take_their_apps_with_them() {
    let bench = Bench::new();
    bench.write(&DemoApp::new("web", "v1"));
    bench.write(&DemoApp::new("api", "v1"));
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    daemon.await_live("api", 1);
    std::fs::remove_file(bench.config_dir().join("web.yaml")).expect("it goes");
    daemon.eventually("web goes", Duration::from_secs(40), |status| {
        app_of(status, "web").is_null() && processes::demo_servers(&bench.state_dir()).len() == 2
    });
    assert_eq!(word(&daemon.app("api")), "Ready");
}
