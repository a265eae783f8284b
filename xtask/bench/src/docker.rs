//! Containers: 20 services fresh, unchanged and one of them changed, beside the raw API of the engine and docker-compose; and
//! updates under load, with five-second requests and WebSockets among them. Peers that are not installed are left out aloud.
//!
//! The engine is one of the tests' own, and so are the images: nothing is fetched.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use trueup_tests::bench::free_port;
use trueup_tests::engine::{Engine, IMAGE, engine};
use trueup_tests::load::Outcome;
use trueup_tests::{Bench, Daemon, DemoApp, Load, Mix};

use crate::compose::{Compose, service};
use crate::heard::Heard;
use crate::measure::Setting;
use crate::row::{Figure, Row};
use crate::samples::Samples;
use crate::stop::Claim;
use crate::{calls, stack};

/// How many services.
const SERVICES: usize = 20;
/// Calls of the raw API at a time: more gain nothing on two cores.
const PARALLEL: usize = 8;
/// What each service runs: it opens a port and answers.
const SERVE: &str = "[httpd, -f, -p, '8080', -h, /etc]";
/// Requests a second under which updates are to fail none.
const RATE: f64 = 400.0;
/// The image with the demo server.
const DEMO: &str = "trueup-demo:bench";
/// The label of what a daemon makes here.
const OURS: &str = "dev.trueup.target%3Dmany";
/// Longest that anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// From one look at the engine to the next.
pub(crate) const GLANCE: Duration = Duration::from_millis(5);

/// Measures them.
///
/// # Errors
/// When the engine does not do what it should.
pub fn run(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let Some(engine) = engine() else {
        return Ok(vec![Row::left_out("docker", "an engine of the tests' own cannot be started here")]);
    };
    let mut rows = Vec::new();
    let many_rows = ["docker-fresh", "docker-noop", "docker-one", "docker-compose", "docker-stack"];
    if many_rows.iter().any(|name| setting.asks(name)) {
        rows.extend(many(setting, engine)?);
    }
    if setting.asks("docker-calls") {
        rows.extend(calls::rows(setting, engine, SERVICES)?);
    }
    if setting.asks("docker-failed") {
        rows.push(failed(setting, engine)?);
    }
    Ok(rows)
}

/// A daemon with a target on the engine.
pub(crate) struct Dock {
    pub(crate) daemon: Daemon,
    _claim: Claim,
    pub(crate) bench: Bench,
    target: &'static str,
}

impl Dock {
    /// One whose target, and whose services, are called so.
    pub(crate) fn start(setting: &Setting, host: &str, target: &'static str) -> Self {
        let bench = Bench::new();
        let claim = Claim::on(bench.config_dir().parent().expect("the folder has a parent"));
        let text = format!(
            "apiVersion: trueup.dev/v1\nkind: Target\nmetadata: {{name: {target}}}\nspec:\n  docker: {{host: \"{host}\"}}\n"
        );
        bench.write_text("target.yaml", &text);
        let daemon = Daemon::start_at(&bench, &setting.program);
        Self { daemon, _claim: claim, bench, target }
    }

    /// Writes one of many services.
    pub(crate) fn write(&self, index: usize, version: u32) {
        let target = self.target;
        let rollout = "{strategy: rolling, minHealthy: 0s, bake: 0s, drain: 0s}";
        let text = format!(
            "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: {target}-{index:02}}}\nspec:\n  target: {target}\n  image: {IMAGE}\n  \
             command: {SERVE}\n  ports: [{{name: http, port: 8080}}]\n  stop: {{timeout: 8s}}\n  env: {{DEMO_VERSION: v{version}}}\n  \
             rollout: {rollout}\n"
        );
        self.bench.write_text(&format!("{target}-{index:02}.yaml"), &text);
    }

    /// Waits until so many are Ready.
    pub(crate) fn await_ready(&self, services: usize) {
        self.daemon.eventually("all are Ready", PATIENCE, |status| {
            let apps = status["apps"].as_array().cloned().unwrap_or_default();
            apps.len() == services && apps.iter().all(|app| trueup_tests::daemon::word(app) == "Ready")
        });
    }
}

/// The containers with a label, by id, and whether each runs.
pub(crate) fn listed(engine: &Engine, label: &str) -> Vec<(String, bool)> {
    let filter = format!("%7B%22label%22%3A%5B%22{label}%22%5D%7D");
    let all = engine.ask("GET", &format!("/containers/json?all=1&filters={filter}"), "");
    let one = |one: &Value| (one["Id"].as_str().unwrap_or_default().to_owned(), one["State"] == "running");
    all.as_array().into_iter().flatten().map(one).collect()
}

/// Milliseconds until all run, so many of them new, and these among them no more.
fn until(
    engine: &Engine,
    (began, mut heard): (Instant, Heard),
    label: &str,
    new: usize,
    gone: &BTreeSet<String>,
) -> anyhow::Result<f64> {
    loop {
        heard.next(PATIENCE);
        let took = millis(began);
        ensure!(began.elapsed() < PATIENCE, "not all {SERVICES} containers run after {PATIENCE:?}");
        if !heard.says(new, gone) {
            continue;
        }
        let there = listed(engine, label);
        if there.len() == SERVICES && there.iter().all(|(id, runs)| *runs && !gone.contains(id)) {
            return Ok(took);
        }
    }
}

/// Takes away whatever has a label.
fn clear(engine: &Engine, label: &str) {
    for (id, _) in listed(engine, label) {
        let _ = engine.api("DELETE", &format!("/containers/{id}?force=1"), &[], b"");
    }
}

/// The floor and ours, fresh, as often as that, in turn: the middle of each, what the floor is for one, and what was made last.
fn fresh(setting: &Setting, engine: &Engine, rounds: usize) -> anyhow::Result<(Floor, f64, Dock)> {
    let (mut floors, mut took) = (Vec::new(), Vec::new());
    let mut last = None;
    for _ in 0..rounds {
        drop(last.take());
        clear(engine, OURS);
        floors.push(Floor::measure(engine));
        let dock = Dock::start(setting, &engine.host(), "many");
        let heard = Heard::of(engine, OURS)?;
        let began = Instant::now();
        (0..SERVICES).for_each(|index| dock.write(index, 1));
        took.push(until(engine, (began, heard), OURS, SERVICES, &BTreeSet::new())?);
        dock.await_ready(SERVICES);
        last = Some(dock);
    }
    let middle = |of: Vec<f64>| Samples::of(of).median();
    let floor = Floor {
        fresh: middle(floors.iter().map(|floor| floor.fresh).collect()),
        one: middle(floors.iter().map(|floor| floor.one).collect()),
    };
    Ok((floor, middle(took), last.expect("there is a round")))
}

pub(crate) fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1_000.0
}

fn many(setting: &Setting, engine: &Engine) -> anyhow::Result<Vec<Row>> {
    let peer = Bench::new();
    let composed = match Compose::new(engine, &peer.path("")) {
        Ok(compose) => Ok(beside(&compose)?),
        Err(why) => Err(why),
    };
    let peers = [("docker-compose", composed), ("docker-stack", stack::beside(&peer.path(""), SERVICES)?)];
    let rounds = setting.samples(3, 1);
    let (floor, fresh, dock) = fresh(setting, engine, rounds)?;
    let config = dock.bench.config_dir();
    let samples = setting.samples(20, 5);
    let mut noop = Vec::new();
    for _ in 0..samples {
        let began = Instant::now();
        let mut command = dock.bench.trueup_at(&setting.program);
        let output = command.arg("plan").arg(&config).output()?;
        noop.push(millis(began));
        ensure!(output.status.code() == Some(0), "the plan of what is there is not empty");
    }
    noop.sort_by(f64::total_cmp);
    let mut one = Vec::new();
    for round in 2..=u32::try_from(setting.samples(5, 2))? + 1 {
        let old = listed(engine, "dev.trueup.app%3Dmany-00").into_iter().map(|(id, _)| id).collect();
        let heard = Heard::of(engine, OURS)?;
        let began = Instant::now();
        dock.write(0, round);
        one.push(until(engine, (began, heard), OURS, 1, &old)?);
        dock.await_ready(SERVICES);
    }
    let row = |name: &str, value: f64, floor: f64, most: f64, at: usize| {
        let row = Row::new(name, value / floor, "x the floor", if at == 0 { rounds } else { one.len() })
            .figure(Figure::AtMost(most));
        let row = row.beside("ms", value).beside("floor, ms", floor);
        with_peers(row, &peers, at)
    };
    let settled = "from the edit, the time that a file must hold still among it";
    let noop_row = Row::new("docker-noop", noop[noop.len() / 2], "ms", samples).figure(Figure::AtMost(10.0));
    let mut rows = vec![
        row("docker-fresh", fresh, floor.fresh, 1.1, 0).note(format!("{SERVICES} services, {settled}")),
        with_peers(noop_row, &peers, 1)
            .note("`trueup plan` of 20 services beside the daemon, from start to end of the program; p50"),
        row("docker-one", Samples::of(one.clone()).median(), floor.one, 1.2, 2)
            .beside("fastest, ms", Samples::of(one.clone()).percentile(1))
            .note(format!("one of {SERVICES} replaced, {settled}; p50")),
    ];
    rows.extend(peers.into_iter().map(|(name, peer)| peer_row(name, peer)));
    Ok(rows)
}

/// What a peer took for the same: fresh, unchanged, one changed, in milliseconds; or why nobody knows.
pub(crate) type Peer = Result<[f64; 3], String>;

/// A peer has a row of its own, be it only to say that it was left out.
fn peer_row(name: &str, peer: Peer) -> Row {
    match peer {
        Ok([fresh, noop, one]) => {
            let row = Row::new(name, fresh, "ms", 1).beside("unchanged, ms", noop).beside("one changed, ms", one);
            row.note(format!("{SERVICES} services by a peer, fresh"))
        }
        Err(why) => Row::left_out(name, &why),
    }
}

fn with_peers(row: Row, peers: &[(&str, Peer)], at: usize) -> Row {
    let known = peers.iter().filter_map(|(name, peer)| Some((name, peer.as_ref().ok()?)));
    known.fold(row, |row, (name, took)| row.beside(&format!("{name}, ms"), took[at]))
}

/// What the engine itself takes for the same, with as many calls at a time as it bears.
struct Floor {
    fresh: f64,
    one: f64,
}

impl Floor {
    fn measure(engine: &Engine) -> Self {
        let next = std::sync::atomic::AtomicUsize::new(0);
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL {
                scope.spawn(|| {
                    while next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < SERVICES {
                        drop(begin(engine));
                    }
                });
            }
        });
        let fresh = millis(began);
        let mut rounds = Vec::new();
        let mut there: Vec<_> = listed(engine, "bench%3Dfloor").into_iter().map(|(id, _)| id).collect();
        for _ in 0..5 {
            let old = there.pop().expect("there are more of them than rounds");
            let began = Instant::now();
            there.insert(0, begin(engine));
            let _ = engine.api("POST", &format!("/containers/{old}/stop?t=8"), &[], b"");
            let _ = engine.api("DELETE", &format!("/containers/{old}"), &[], b"");
            rounds.push(millis(began));
        }
        clear(engine, "bench%3Dfloor");
        rounds.sort_by(f64::total_cmp);
        Self { fresh, one: rounds[rounds.len() / 2] }
    }
}

/// Makes one container as an adapter would, and starts it.
fn begin(engine: &Engine) -> String {
    let body = json!({
        "Image": IMAGE,
        "Entrypoint": ["httpd", "-f", "-p", "8080", "-h", "/etc"],
        "Labels": {"bench": "floor"},
        "ExposedPorts": {"8080/tcp": {}},
        "HostConfig": {"Init": true, "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]}},
    });
    let made = engine.ask("POST", "/containers/create", &body.to_string());
    let id = made["Id"].as_str().expect("an id").to_owned();
    let _ = engine.ask("POST", &format!("/containers/{id}/start"), "");
    id
}

/// All services as docker-compose reads them, the first at this version.
fn dozens(first: &str) -> String {
    let of = |index: usize| {
        let version = if index == 0 { first } else { "v1" };
        service(&format!("many-{index:02}"), IMAGE, SERVE, version, None)
    };
    (0..SERVICES).map(of).collect()
}

/// docker-compose at the same: fresh, unchanged, one changed, in milliseconds.
fn beside(compose: &Compose) -> anyhow::Result<[f64; 3]> {
    let mut took = [0.0; 3];
    for (took, first) in took.iter_mut().zip(["v1", "v1", "v2"]) {
        let began = Instant::now();
        compose.up(&dozens(first))?;
        *took = millis(began);
    }
    Ok(took)
}

fn failed(setting: &Setting, engine: &Engine) -> anyhow::Result<Row> {
    engine.make_image_with(DEMO, "bench", Some(&setting.program));
    let rounds = u64::try_from(setting.samples(20, 3))?;
    let dock = Dock::start(setting, &engine.host(), "dock");
    let app = DemoApp::new("updated", "v1").env("DEMO_ADDRESS", "0.0.0.0");
    let write = |version: u64| {
        let image = format!("  target: dock\n  image: {DEMO}\n  command: [/bin/trueup, demo-app]\n");
        let text = app.at(&format!("v{version}")).manifest().replace("  command: [trueup, demo-app]\n", &image);
        dock.bench.write_text("updated.yaml", &text);
    };
    write(1);
    dock.daemon.await_live("updated", 1);
    let (load, began) = (Load::start(dock.bench.listen, "updated.localhost", Mix::FULL), Instant::now());
    for round in 2..=rounds + 1 {
        write(round);
        dock.daemon.await_live("updated", round);
    }
    let took = began.elapsed();
    let outcome = load.finish();
    for failure in &outcome.failures {
        crate::report::say(&format!("failed: {failure}"));
    }
    let rate = outcome.good as f64 / took.as_secs_f64();
    let row = Row::new("docker-failed", outcome.failures.len() as f64, "failed requests", usize::try_from(rounds)?);
    let row = row
        .figure(Figure::AtMost(0.0))
        .beside("requests", outcome.good as f64)
        .beside("of 5 s", outcome.slow_good as f64);
    let enough = if rate < RATE { format!("; LESS LOAD than the {RATE} requests/s that count") } else { String::new() };
    let note = format!("updates of containers under load, with WebSockets{enough}");
    let row = row.beside("requests/s", rate).beside("WebSockets", Mix::FULL.sockets as f64).note(note.clone());
    let peer = Bench::new();
    let compose = match Compose::new(engine, &peer.path("")) {
        Ok(compose) => compose,
        Err(why) => return Ok(row.note(format!("{note}; LEFT OUT beside it: {why}"))),
    };
    let theirs = composed(&compose, rounds)?;
    let all = theirs.good as f64 + theirs.failures.len() as f64;
    Ok(row
        .beside("docker-compose, failed", theirs.failures.len() as f64)
        .beside("docker-compose, failed %", theirs.failures.len() as f64 / all * 100.0))
}

/// The same updates by docker-compose, on a port of its own.
fn composed(compose: &Compose, rounds: u64) -> anyhow::Result<Outcome> {
    let at = free_port();
    let one = |version: u64| service("updated", DEMO, "[/bin/trueup, demo-app]", &format!("v{version}"), Some(at));
    compose.up(&one(1))?;
    let load = Load::start(at, "updated.localhost", Mix::FULL);
    for round in 2..=rounds + 1 {
        compose.up(&one(round))?;
        // As much time between two updates as a careful person leaves.
        std::thread::sleep(Duration::from_secs(2));
    }
    Ok(load.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_is_not_there_has_a_row_that_says_so() {
        let peers =
            [("docker-compose", Ok([4_000.0, 700.0, 1_000.0])), ("docker-stack", Err("not installed".to_owned()))];
        let row = with_peers(Row::new("docker-one", 1.0, "ms", 1), &peers, 2);
        assert_eq!(row.beside.into_iter().collect::<Vec<_>>(), [("docker-compose, ms".to_owned(), 1_000.0)]);
        let rows = peers.map(|(name, peer)| peer_row(name, peer));
        assert_eq!((rows[0].value, rows[1].value), (Some(4_000.0), None));
        assert_eq!(rows[1].note, "LEFT OUT: not installed");
    }
}
