//! Rollouts under load, on real processes and sockets: good ones, bad ones, and the daemon's own death in the middle.
//!
//! Short requests on kept and fresh connections, five-second requests and open WebSockets run throughout. Nothing may
//! fail, no WebSocket may be cut before its drain time, and a bad rollout may not touch what was running.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use trueup_tests::daemon::{app_of, incarnations};
use trueup_tests::load::Outcome;
use trueup_tests::manifest::BADNESSES;
use trueup_tests::{Bench, Daemon, DemoApp, Load, Mix, processes};

/// The drain of [`DemoApp`]'s manifest, in milliseconds.
const DRAIN_MILLIS: u64 = 6_500;
/// How far the test's clock and the daemon's may differ, in milliseconds.
const CLOCKS_MILLIS: u64 = 200;

/// Good rollouts.
const GOOD: u64 = 20;
/// Rounds of every kind of bad rollout: five kinds, so 20 in all.
const BAD_ROUNDS: u64 = 4;
/// Deaths of the daemon.
const KILLS: u64 = 20;

#[test]
fn good_rollouts_fail_no_request_and_cut_no_websocket_early() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let load = Load::start(bench.listen, "web.localhost", Mix::FULL);
    let mut unrouted = Unrouted::default();
    for round in 2..=GOOD + 1 {
        bench.write(&app.at(&format!("v{round}")));
        daemon.await_live("web", round);
        unrouted.note(&daemon, round);
    }
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new(), "{GOOD} good rollouts");
    assert!(outcome.good > 1_000 && outcome.slow_good > 5, "the load was a load: {outcome:?}");
    assert_eq!(outcome.versions.len(), usize::try_from(GOOD).expect("small") + 1, "every version served");
    unrouted.check(&outcome);
    one_set_of_processes(&bench, &daemon, "web", GOOD + 1, 2);
}

#[test]
fn bad_rollouts_revert_and_leave_what_runs_untouched() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "good");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let before = processes::demo_servers(&bench.state_dir());
    let lives = incarnations(&daemon.app("web"), 1);
    assert_eq!(lives.len(), 2, "two instances serve");
    let load = Load::start(bench.listen, "web.localhost", Mix::FULL);
    let mut revision = 1;
    for round in 0..BAD_ROUNDS {
        for badness in BADNESSES {
            revision += 1;
            bench.write(&app.bad(&format!("bad-{round}-{badness:?}"), badness));
            daemon.await_reverted("web", revision);
            assert_eq!(incarnations(&daemon.app("web"), 1), lives, "{badness:?} touched the old instances");
        }
    }
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new(), "{} bad rollouts", BAD_ROUNDS * 5);
    let good_cut = outcome.cuts.iter().filter(|cut| cut.instance.starts_with("web-r1-")).count();
    assert_eq!(good_cut, 0, "no WebSocket to an instance that never left was cut: {:?}", outcome.cuts);
    daemon.eventually("only the good ones run", Duration::from_secs(30), |_| {
        processes::demo_servers(&bench.state_dir()) == before
    });
}

#[test]
fn the_daemons_death_in_mid_rollout_fails_no_request() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1");
    bench.write(&app);
    let mut daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let load = Load::start(bench.listen, "web.localhost", Mix::FULL);
    let mut dice = fastrand::Rng::with_seed(0x7275_6575);
    for round in 2..=KILLS + 1 {
        bench.write(&app.at(&format!("v{round}")));
        // Anywhere from the edit to the end of the bake.
        std::thread::sleep(Duration::from_millis(dice.u64(0..4_500)));
        daemon.kill();
        daemon = Daemon::start(&bench);
        daemon.await_live("web", round);
    }
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new(), "{KILLS} deaths of the daemon");
    one_set_of_processes(&bench, &daemon, "web", KILLS + 1, 2);
}

#[test]
fn new_binaries_of_daemon_and_edge_fail_no_request() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1");
    bench.write(&app);
    let mut daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let lives = incarnations(&daemon.app("web"), 1);
    let load = Load::start(bench.listen, "web.localhost", Mix::FULL);
    let mut edges = BTreeSet::from([accepting_edge(&bench)]);
    for round in 1..=5 {
        let next = bench.path(&format!("trueup-{round}"));
        let mut image = std::fs::read(trueup_tests::bench::binary()).expect("the binary reads");
        // An ELF file ignores what follows it; the file is another build all the same.
        image.extend_from_slice(format!("build {round}").as_bytes());
        std::fs::write(&next, image).expect("the copy is written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&next, mode).expect("the copy may run");
        daemon.terminate();
        daemon = Daemon::start_at(&bench, &next);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !edges.insert(accepting_edge(&bench)) {
            assert!(Instant::now() < deadline, "the edge was not handed over to build {round}; {}", daemon.tail());
            std::thread::sleep(Duration::from_millis(50));
        }
        let served = load.good();
        daemon.eventually("the load goes on", Duration::from_secs(10), |_| load.good() > served + 100);
    }
    assert_eq!(incarnations(&daemon.app("web"), 1), lives, "an upgrade of trueup touched an app");
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new(), "5 new binaries, 5 edge upgrades");
}

/// The newest edge process: the one that accepts.
fn accepting_edge(bench: &Bench) -> (u64, i32) {
    let all = processes::of_state(&bench.state_dir());
    let edges = all.into_iter().filter(|one| one.command.contains(" edge"));
    edges.map(|one| (one.start, one.pid)).max().unwrap_or_default()
}

/// One process for each wanted instance, all of one revision, and nothing else of the app.
fn one_set_of_processes(bench: &Bench, daemon: &Daemon, app: &str, revision: u64, replicas: usize) {
    let wanted = |name: &str| name.starts_with(&format!("{app}-r{revision}-"));
    daemon.eventually("one set of processes is left", Duration::from_secs(60), |_| {
        let servers = processes::demo_servers(&bench.state_dir());
        servers.len() == replicas && servers.iter().all(|(name, pids)| wanted(name) && pids.len() == 1)
    });
    daemon.eventually("the status agrees", Duration::from_secs(10), |status| {
        let app = app_of(status, app);
        app["status"]["instances"].as_array().is_some_and(|all| all.len() == replicas)
    });
}

/// When each revision was unrouted at the earliest: when its successor's traffic began to move.
#[derive(Default)]
struct Unrouted {
    by_revision: std::collections::BTreeMap<u64, u64>,
}

impl Unrouted {
    /// Notes from the history when `revision` took over, which is when the one before was unrouted.
    fn note(&mut self, daemon: &Daemon, revision: u64) {
        let app = daemon.app("web");
        let history = app["status"]["history"].as_array().cloned().unwrap_or_default();
        let release = history.iter().find(|one| one["revision"] == revision).cloned().unwrap_or_default();
        let phases = release["phases"].as_array().cloned().unwrap_or_default();
        let route = phases.iter().find(|phase| phase["phase"] == "Route");
        let began = route.and_then(|phase| phase["started"].as_u64());
        let began = began.unwrap_or_else(|| panic!("r{revision} has no Route phase: {release:#}"));
        self.by_revision.insert(revision - 1, began);
    }

    fn check(&self, outcome: &Outcome) {
        for cut in &outcome.cuts {
            let name = cut.instance.strip_prefix("web-r").and_then(|rest| rest.split_once('-'));
            let revision: u64 = name.and_then(|(revision, _)| revision.parse().ok()).expect("an instance name");
            // The socket of the last revision is cut by nobody but the test itself.
            let Some(unrouted) = self.by_revision.get(&revision) else {
                panic!("a WebSocket to the live {} was cut", cut.instance);
            };
            let held = cut.at_millis.saturating_sub(*unrouted);
            assert!(held + CLOCKS_MILLIS >= DRAIN_MILLIS, "{} was cut {held} ms after it was unrouted", cut.instance);
        }
    }
}
