//! A rollout of ten machines on the simulated Fly, which counts as the real one does: how many calls, and how long.
//!
//! A real daemon asks the simulation over a socket, in real time, with the platform's documented limits (each action on each
//! app or machine once a second, three at once) and the simulation's usual times.
//!
//! **The least calls.** Ten new ones are created, one call each; no call makes several. Ten are registered with the proxy
//! and ten taken out; ten are stopped and ten destroyed: 50 that change something, and each is answered by what it
//! made. To these come four looks, each a listing of the app, for one shows all ten: what is there before anything is made;
//! that all new ones pass before the first is registered; that they still do when the bake is over and the old ones are told
//! to stop; that the old ones are down before they are destroyed. What the proxy's edges know no call says, so waiting for
//! them needs none. That makes 54. A daemon that knew every moment beforehand would need no more; ours
//! has to ask when that is, and watches all the while for what nobody expects.
//!
//! **The least time.** Three creates go at once and one a second after that: seven seconds until the last. That one is
//! pulled and started, its first good answer comes after the grace, and the edges of the proxy have to hear of all: ten
//! seconds, as flyctl waits. Then comes the bake that the manifest asks for, in which the old ones are taken out, and the edges
//! hear of that as well; then these are stopped. Every other kind of call is about one machine each, and waits for nobody.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::Value;
use trueup_tests::daemon::word;
use trueup_tests::{Bench, Daemon, Fly};

use crate::measure::Setting;
use crate::row::{Figure, Row};
use crate::stop::Claim;

/// How many machines.
const MACHINES: u32 = 10;
/// What changes something, and is needed once for each machine.
const DEEDS: [&str; 5] =
    ["Machines_create", "Machines_uncordon", "Machines_cordon", "Machines_stop", "Machines_delete"];
/// Looks that are needed, whatever is known.
const LOOKS: u32 = 4;
/// Creates that the limit lets through at once; then one a second.
const BURST: u32 = 3;
/// Until a machine is pulled (3 s) and started (1 s): the simulation's usual times.
const COMES_UP: f64 = 4.0;
/// Until its checks pass: the first answer comes half a second after the start and is bad, the next after the grace.
const PASSES: f64 = 0.5 + GRACE;
/// Until the edges have heard of a change; twice in a rollout.
const PROPAGATION: f64 = 10.0;
/// Until one that was told to stop is down.
const STOPS: f64 = 0.5;
/// What the manifest asks for, in seconds.
const GRACE: f64 = 5.0;
const BAKE: f64 = 10.0;
/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// From one look at the simulation to the next; it does not count these.
const GLANCE: Duration = Duration::from_millis(20);

const TARGET: &str = "\
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: prod}
spec:
  fly: {organization: personal, primaryRegion: iad, appName: \"bench-{app}\"}
";

fn app(version: u64) -> String {
    format!(
        "\
apiVersion: trueup.dev/v1
kind: App
metadata: {{name: ten}}
spec:
  target: prod
  image: demo:v{version}
  regions: {{iad: {MACHINES}}}
  ports: [{{name: http, port: 8080}}]
  routes: [{{}}]
  health: [{{name: ready, http: {{path: /health}}, interval: 2s, timeout: 1s, grace: {GRACE}s}}]
  rollout: {{minHealthy: 0s, bake: {BAKE}s, drain: 0s}}
"
    )
}

/// Measures one rollout.
///
/// # Errors
/// When the platform does not answer, or a call was made that nobody can account for.
pub fn run(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let mut bench = Bench::new();
    let _claim = Claim::on(bench.config_dir().parent().expect("the folder has a parent"));
    let fly = Fly::start_at(&bench, &setting.program, &[]);
    for (name, value) in
        [("FLY_FLAPS_BASE_URL", &*fly.base), ("FLY_API_BASE_URL", &*fly.base), ("FLY_API_TOKEN", "any")]
    {
        bench.tell(name, value);
    }
    bench.write_text("target.yaml", TARGET);
    bench.write_text("ten.yaml", &app(1));
    let daemon = Daemon::start_at(&bench, &setting.program);
    let live = |revision: u64| {
        daemon.eventually("the release is live", PATIENCE, |status| {
            let ten = status["apps"].as_array().and_then(|apps| apps.first());
            ten.is_some_and(|ten| word(ten) == "Ready" && ten["status"]["lastGood"] == revision)
        });
    };
    live(1);
    let before = calls(&fly);
    let began = Instant::now();
    bench.write_text("ten.yaml", &app(2));
    live(2);
    // It serves by then; it is over when the last old one is gone.
    let gone = |calls: &BTreeMap<String, u64>| calls.get("Machines_delete") == Some(&u64::from(MACHINES));
    while !gone(&calls(&fly)) {
        ensure!(began.elapsed() < PATIENCE, "the old ones are not gone after {PATIENCE:?}");
        std::thread::sleep(GLANCE);
    }
    let took = began.elapsed().as_secs_f64();
    let after = calls(&fly);
    let made = |operation: &str| after.get(operation).unwrap_or(&0) - before.get(operation).unwrap_or(&0);
    let all: u64 = after.keys().map(|operation| made(operation)).sum();
    let deeds: u64 = DEEDS.iter().map(|deed| made(deed)).sum();
    ensure!(DEEDS.iter().all(|deed| made(deed) == u64::from(MACHINES)), "each deed once for each machine: {after:?}");

    let least = f64::from(MACHINES * 5 + LOOKS);
    let creates = f64::from(MACHINES - BURST);
    let floor = creates + COMES_UP + PASSES + PROPAGATION + PROPAGATION.max(BAKE) + STOPS;
    Ok(vec![
        Row::new("fly-calls", all as f64 / least, "x the least", 1)
            .figure(Figure::AtMost(1.2))
            .beside("calls", all as f64)
            .beside("least", least)
            .beside("of these, looks", (all - deeds) as f64)
            .note(format!("a rollout of {MACHINES} machines")),
        Row::new("fly-time", took / floor, "x the least", 1)
            .figure(Figure::AtMost(1.3))
            .beside("s", took)
            .beside("least, s", floor)
            .note("from the edit until the last old one is gone, by the limits, the platform's own times and the manifest's bake"),
    ])
}

/// How often each operation was asked for so far.
fn calls(fly: &Fly) -> BTreeMap<String, u64> {
    let calls = fly.get("/_sim/calls");
    let count = |(name, count): (&String, &Value)| Some((name.clone(), count.as_u64()?));
    calls.as_object().into_iter().flatten().filter_map(count).collect()
}
