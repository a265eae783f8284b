//! The engine and the daemon killed as the kernel would, each at moments by chance, in mid-rollout: the end is the same, and
//! what serves has not been touched. An engine of its own: nobody else can use it meanwhile.
//!
//! `TRUEUP_KILLS` says how many of each; a CI run does a few.

use std::collections::BTreeMap;
use std::time::Duration;

use trueup_tests::daemon::{app_of, incarnations};
use trueup_tests::engine::Engine;
use trueup_tests::{Daemon, DemoApp};

use super::containers::{Dock, PATIENCE};

/// Kills of each in a CI run.
const KILLS: u64 = 2;
/// The seed of the moments.
const SEED: u64 = 5;
/// The moments are within a rollout and its bake.
const WITHIN_MILLIS: u64 = 5_000;

/// The process of each container of the app that nobody changes, by instance. Those of the other may go at any moment.
fn still(dock: &Dock) -> BTreeMap<String, i64> {
    let pid = |id: &str| dock.engine.ask("GET", &format!("/containers/{id}/json"), "")["State"]["Pid"].as_i64();
    let ours = dock.containers().into_iter().filter(|(name, _)| name.starts_with("dock-still"));
    ours.filter_map(|(name, (id, _))| Some((name, pid(&id)?))).collect()
}

#[test]
fn kills_of_the_engine_and_of_the_daemon_change_neither_the_end_nor_what_serves() {
    let Some(engine) = Engine::alone() else { return };
    let dock = Dock::on(engine, "killed", "");
    let kills = std::env::var("TRUEUP_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    // One that nobody changes, and one that is rolled out each time.
    dock.write(&DemoApp::new("dock-still", "v1"), &[]);
    let app = DemoApp::new("dock-killed", "v1").rollout("healthyDeadline", "20s").rollout("progressDeadline", "60s");
    dock.write(&app, &[]);
    let mut daemon = Daemon::start(&dock.bench);
    daemon.await_live("dock-still", 1);
    daemon.await_live("dock-killed", 1);
    let (before, lives) = (still(&dock), incarnations(&daemon.app("dock-still"), 1));
    let mut dice = fastrand::Rng::with_seed(SEED);
    for round in 0..2 * kills {
        let revision = round + 2;
        dock.write(&app.at(&format!("v{revision}")), &[]);
        // A moment by chance, not a wait for something.
        std::thread::sleep(Duration::from_millis(dice.u64(0..WITHIN_MILLIS)));
        if round % 2 == 0 {
            engine.kill();
            engine.start_again();
        } else {
            daemon.kill();
            daemon = Daemon::start(&dock.bench);
        }
        daemon.eventually(&format!("round {round}: r{revision} is live"), PATIENCE, |status| {
            let app = app_of(status, "dock-killed");
            app["status"]["lastGood"] == revision && app["status"]["word"] == "Ready"
        });
        assert_eq!(still(&dock), before, "round {round}: what serves was touched");
    }
    assert_eq!(incarnations(&daemon.app("dock-still"), 1), lives);
    daemon.eventually("nothing is left of the others", PATIENCE, |_| {
        let there = dock.containers();
        let newest = format!("dock-killed-r{}-", 2 * kills + 1);
        there.len() == 4 && there.keys().all(|name| name.starts_with("dock-still-r1-") || name.starts_with(&newest))
    });
}
