//! Hooks on real processes: migrations that fail touch nothing that runs, and each hook runs once, whoever dies.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use trueup_tests::daemon::incarnations;
use trueup_tests::{Bench, Daemon, DemoApp, Load, Mix, processes};

/// Releases whose migration fails.
const FAILING: u64 = 10;
/// Releases in whose hooks the daemon dies, and how often in each.
const ROUNDS: u64 = 10;
/// See [`ROUNDS`]; 50 deaths in all.
const DEATHS: u64 = 5;

/// An app whose hooks write down who ran them.
fn migrated(ledger: &Path, takes: &str) -> DemoApp {
    let write = format!("echo $TRUEUP_INSTANCE >> {}; sleep {takes}", ledger.display());
    let app = DemoApp::new("web", "v1").hook("preDeploy", "migrate", &write).hook("postDeploy", "smoke", &write);
    app.hook("onRevert", "restore", &write).rollout("bake", "1s").rollout("minHealthy", "100ms")
}

/// How often each instance wrote its line.
fn runs(ledger: &Path) -> BTreeMap<String, u32> {
    let mut runs = BTreeMap::new();
    for line in std::fs::read_to_string(ledger).unwrap_or_default().lines() {
        *runs.entry(line.to_owned()).or_default() += 1;
    }
    runs
}

fn once(names: impl IntoIterator<Item = String>) -> BTreeMap<String, u32> {
    names.into_iter().map(|name| (name, 1)).collect()
}

fn message(app: &Value) -> String {
    app["status"]["verdict"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_migration_that_fails_touches_nothing_that_runs_and_is_undone() {
    let bench = Bench::new();
    let ledger = bench.path("ledger");
    let app = migrated(&ledger, "0");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let lives = incarnations(&daemon.app("web"), 1);
    let load = Load::start(bench.listen, "web.localhost", Mix::FULL);
    let mut ran = vec!["web-r1-pre0".to_owned(), "web-r1-post0".to_owned()];
    let fails = format!("echo $TRUEUP_INSTANCE >> {}; echo no such table; exit 3", ledger.display());
    for round in 0..FAILING {
        let revision = round + 2;
        bench.write(&app.at(&format!("bad-{round}")).hook("preDeploy", "migrate", &fails));
        daemon.await_reverted("web", revision);
        ran.extend(["pre0", "undo0"].map(|hook| format!("web-r{revision}-{hook}")));
        let said = message(&daemon.app("web"));
        assert!(said.contains("preDeploy hook migrate: it exited with code 3"), "{said}");
    }
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new(), "{FAILING} migrations failed");
    assert_eq!(outcome.versions.keys().collect::<Vec<_>>(), ["v1"], "nothing of a failed release served");
    assert_eq!(incarnations(&daemon.app("web"), 1), lives, "what ran was touched");
    assert_eq!(runs(&ledger), once(ran), "each hook ran once");
    let (code, said, _) = bench.ask(&["logs", "web", "--hook", "migrate"]);
    assert_eq!((code, said.trim()), (0, "no such table"), "what the hook wrote is kept");
    let (_, described, _) = bench.ask(&["describe", "app", "web"]);
    assert!(described.contains("it exited with code 3") && described.contains("restore"), "{described}");
    assert!(described.contains("no such table"), "the evidence has its output: {described}");
}

#[test]
fn each_hook_runs_once_under_fifty_deaths_of_the_daemon() {
    let bench = Bench::new();
    let ledger = bench.path("ledger");
    let app = migrated(&ledger, "0.6");
    bench.write(&app);
    let mut daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let load = Load::start(bench.listen, "web.localhost", Mix::FULL);
    let mut dice = fastrand::Rng::with_seed(13);
    for round in 0..ROUNDS {
        bench.write(&app.at(&format!("v{}", round + 2)));
        for _ in 0..DEATHS {
            // The moment of the death is what is drawn; nothing is waited for.
            std::thread::sleep(Duration::from_millis(dice.u64(..900)));
            daemon.kill();
            daemon = Daemon::start(&bench);
        }
        daemon.await_live("web", round + 2);
    }
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new(), "{} deaths", ROUNDS * DEATHS);
    let hooks = (1..=ROUNDS + 1).flat_map(|round| ["pre0", "post0"].map(|hook| format!("web-r{round}-{hook}")));
    assert_eq!(runs(&ledger), once(hooks), "each hook ran once");
    daemon.eventually("only the last ones run", Duration::from_secs(30), |_| {
        processes::demo_servers(&bench.state_dir()).len() == 2
    });
}

#[test]
fn a_plan_says_which_hooks_run() {
    let bench = Bench::new();
    bench.write(&migrated(&bench.path("ledger"), "0"));
    let (code, said, _) = bench.ask(&["plan", &bench.config_dir().display().to_string()]);
    assert_eq!(code, 1, "{said}");
    for line in [
        "effect: create 2; no downtime",
        "hook: preDeploy migrate runs once, before any instance is created",
        "hook: postDeploy smoke runs once, after the promotion",
        "hook: onRevert restore runs once, only if it is reverted",
    ] {
        assert!(said.contains(line), "{line} is missing: {said}");
    }
}
