//! Failed requests over rollouts under load: good ones, bad ones of every kind, and the daemon's death in the middle.
//!
//! The load is that of the end-to-end tests: short requests on kept and fresh connections, five-second requests, and
//! open WebSockets.

use std::time::Duration;

use trueup_tests::load::Outcome;
use trueup_tests::manifest::BADNESSES;
use trueup_tests::{Bench, Daemon, DemoApp, Load, Mix};

use crate::measure::Setting;
use crate::row::{Figure, Row};
use crate::stop::Claim;

/// A daemon with an app behind its edge, under load.
struct Scene {
    load: Load,
    daemon: Daemon,
    app: DemoApp,
    _claim: Claim,
    bench: Bench,
}

/// Counts failed requests.
///
/// # Errors
/// Never: what goes wrong panics in the helpers, and becomes a broken row.
pub fn run(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let rounds = u64::try_from(setting.samples(10, 3))?;
    let mut rows = Vec::new();
    if setting.asks("failed-good") {
        rows.push(good(setting, rounds));
    }
    if setting.asks("failed-bad") {
        rows.push(bad(setting));
    }
    if setting.asks("failed-kill") {
        rows.push(killed(setting, rounds));
    }
    Ok(rows)
}

fn good(setting: &Setting, rounds: u64) -> Row {
    let scene = Scene::set(setting);
    for round in 2..=rounds + 1 {
        scene.bench.write(&scene.app.at(&format!("v{round}")));
        scene.daemon.await_live("web", round);
    }
    row("failed-good", rounds, "good rollouts", &scene.load.finish())
}

fn bad(setting: &Setting) -> Row {
    let scene = Scene::set(setting);
    for (revision, badness) in (2..).zip(BADNESSES) {
        scene.bench.write(&scene.app.bad(&format!("{badness:?}"), badness));
        scene.daemon.await_reverted("web", revision);
    }
    row("failed-bad", BADNESSES.len() as u64, "bad rollouts, one of each kind", &scene.load.finish())
}

fn killed(setting: &Setting, rounds: u64) -> Row {
    let Scene { load, mut daemon, app, _claim, bench } = Scene::set(setting);
    let mut dice = fastrand::Rng::with_seed(13);
    for round in 2..=rounds + 1 {
        bench.write(&app.at(&format!("v{round}")));
        // Anywhere from the edit to the end of the bake.
        std::thread::sleep(Duration::from_millis(dice.u64(0..4_500)));
        daemon.kill();
        daemon = Daemon::start_at(&bench, &setting.program);
        daemon.await_live("web", round);
    }
    row("failed-kill", rounds, "kill -9 of the daemon in mid-rollout", &load.finish())
}

impl Scene {
    fn set(setting: &Setting) -> Self {
        let bench = Bench::new();
        let claim = Claim::on(bench.config_dir().parent().expect("the folder has a parent"));
        let app = DemoApp::new("web", "v1");
        bench.write(&app);
        let daemon = Daemon::start_at(&bench, &setting.program);
        daemon.await_live("web", 1);
        let load = Load::start(bench.listen, "web.localhost", Mix::FULL);
        Self { load, daemon, app, _claim: claim, bench }
    }
}

fn row(name: &str, rounds: u64, what: &str, outcome: &Outcome) -> Row {
    for failure in &outcome.failures {
        crate::report::say(&format!("failed: {failure}"));
    }
    let rounds = usize::try_from(rounds).unwrap_or(usize::MAX);
    Row::new(name, outcome.failures.len() as f64, "failed requests", rounds)
        .figure(Figure::AtMost(0.0))
        .beside("requests", outcome.good as f64)
        .beside("of 5 s", outcome.slow_good as f64)
        .note(what)
}
