//! The edge beside HAProxy and nginx: the same work, the same threads, in the same run.
//!
//! A wrk with 64 kept connections, an nginx that answers 60 bytes, loopback, HTTP/1.1. One proxy is loaded at a time; each
//! round loads all of them once, in alternating order, and ratios are taken within a round, so that whatever else the host
//! does weighs on both.

use std::path::Path;

use trueup_tests::Bench;

use crate::measure::Setting;
use crate::peer::Peer;
use crate::report::say;
use crate::row::{Figure, Row};
use crate::samples::Samples;
use crate::stop::Claim;
use crate::wrk::{self, Run};

/// The host that is routed.
pub const HOST: &str = "bench.localhost";
/// Whose tables the edge takes.
pub const OWNER: &str = "bench";
/// Seconds that open the pools before anything is counted.
const WARM_SECONDS: u64 = 1;

/// What the proxies are asked to do.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// Threads of the proxy.
    pub threads: usize,
    /// Whether requests are logged to a file.
    pub access_log: bool,
}

/// The kinds of work, by the name of their rows.
const WORKS: [(&str, Work); 4] = [
    ("1t", Work { threads: 1, access_log: false }),
    ("1tlog", Work { threads: 1, access_log: true }),
    ("2t", Work { threads: 2, access_log: false }),
    ("2tlog", Work { threads: 2, access_log: true }),
];

/// What is read of a lap: the end of its row's name, its unit, and where it is.
type Reading = (&'static str, &'static str, fn(&Lap) -> f64);

/// All readings.
const READINGS: [Reading; 4] = [
    ("rps", "requests/s", |lap| lap.run.rate),
    ("p50", "ms", |lap| lap.run.p50_millis),
    ("p99", "ms", |lap| lap.run.p99_millis),
    ("cpu", "us/request", |lap| lap.micros),
];

/// What is promised of a ratio to HAProxy: of which reading, and how much.
const PROMISES: [(Reading, Figure); 2] = [(READINGS[0], Figure::AtLeast(0.95)), (READINGS[2], Figure::AtMost(1.5))];

/// What one proxy did in one round.
struct Lap {
    run: Run,
    micros: f64,
}

/// Measures the edge and its peers.
///
/// # Errors
/// When a proxy does not start, or fails a request.
pub fn run(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    for program in ["wrk", "nginx"] {
        if !installed(program) {
            say(&format!("LEFT OUT: {program} is not installed; `cargo xtask bench --install` does it"));
            return Ok(vec![Row::left_out("edge", &format!("{program} is not installed"))]);
        }
    }
    if !installed("haproxy") {
        say("LEFT OUT: HAProxy is not installed, so there is no ratio; `cargo xtask bench --install` installs it");
    }
    let bench = Bench::new();
    let folder = bench.path("");
    let _claim = Claim::on(&folder);
    let backend = Peer::backend(&folder)?;
    let mut rows = Vec::new();
    for (name, work) in WORKS.into_iter().filter(|(name, _)| setting.asks(&format!("edge-{name}"))) {
        say(&format!("  edge-{name}"));
        rows.extend(measure(setting, name, work, &folder, &backend)?);
    }
    Ok(rows)
}

fn measure(setting: &Setting, name: &str, work: Work, folder: &Path, backend: &Peer) -> anyhow::Result<Vec<Row>> {
    let mut peers = vec![Peer::trueup(folder, backend.address, work)?];
    if installed("haproxy") {
        peers.push(Peer::haproxy(folder, backend.address, work)?);
    }
    peers.push(Peer::nginx(folder, backend.address, work)?);
    let seconds = if setting.quick { 2 } else { 5 };
    for peer in &peers {
        wrk::load(peer.address, HOST, work.threads, WARM_SECONDS)?;
    }
    let mut laps: Vec<Vec<Lap>> = peers.iter().map(|_| Vec::new()).collect();
    for round in 0..setting.samples(6, 2) {
        let mut order: Vec<_> = (0..peers.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let before = peers[index].cpu();
            let run = wrk::load(peers[index].address, HOST, work.threads, seconds)?;
            let micros = peers[index].cpu().saturating_sub(before).as_secs_f64() * 1e6 / run.requests;
            laps[index].push(Lap { run, micros });
        }
    }
    Ok(rows(name, &peers, &laps))
}

fn rows(name: &str, peers: &[Peer], laps: &[Vec<Lap>]) -> Vec<Row> {
    let median = |laps: &[Lap], value: fn(&Lap) -> f64| Samples::of(laps.iter().map(value).collect()).median();
    let mut rows = Vec::new();
    for (what, unit, value) in READINGS {
        let mut row = Row::new(&format!("edge-{name}-{what}"), median(&laps[0], value), unit, laps[0].len());
        for (peer, laps) in peers.iter().zip(laps).skip(1) {
            row = row.beside(peer.name, median(laps, value));
        }
        rows.push(row);
    }
    let haproxy = peers.iter().position(|peer| peer.name == "haproxy");
    for ((what, _, value), figure) in PROMISES {
        let name = format!("edge-{name}-{what}-ratio");
        let Some(haproxy) = haproxy else {
            rows.push(Row::left_out(&name, "haproxy is not installed").figure(figure));
            continue;
        };
        let ratios = laps[0].iter().zip(&laps[haproxy]).map(|(ours, theirs)| value(ours) / value(theirs));
        let ratios = Samples::of(ratios.collect());
        let row = Row::new(&name, ratios.median(), "x HAProxy", ratios.count()).figure(figure);
        rows.push(row.beside("lowest", ratios.percentile(1)).beside("highest", ratios.max()));
    }
    rows
}

fn installed(program: &str) -> bool {
    let places = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    places.iter().any(|place| Path::new(place).join(program).is_file())
}
