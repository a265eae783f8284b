//! How many calls an engine is asked for the same services: what no load of the host alters much.
//!
//! **The least.** A service that is made takes four: what its image's name means, so that the release keeps it; create and
//! start; and one closer look, for only that tells the port and the moment of the start. One that is replaced takes five
//! more for what goes: a look and the stop, a look for how it ended, a look and the removal. To these come listings, each of
//! which shows all services: as many as there are moments at which anything may have changed.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::ensure;
use trueup_tests::engine::Engine;
use trueup_tests::engine::counted::Counted;

use crate::docker::{Dock, GLANCE, PATIENCE, listed};
use crate::measure::Setting;
use crate::row::Row;

/// See above.
const LEAST_FRESH: f64 = 4.0;
const LEAST_ONE: f64 = 9.0;

/// Counts them.
///
/// # Errors
/// When the engine does not do what it should.
pub fn rows(setting: &Setting, engine: &Engine, services: usize) -> anyhow::Result<Vec<Row>> {
    let counted = Counted::before(engine, "calls");
    let dock = Dock::start(setting, &counted.host(), "counted");
    // What is asked of an engine at the first meeting.
    let _ = counted.take();
    (0..services).for_each(|index| dock.write(index, 1));
    dock.await_ready(services);
    let fresh = row("docker-calls-fresh", &counted.take(), services).beside("least", LEAST_FRESH);

    let mut command = dock.bench.trueup_at(&setting.program);
    let planned = command.arg("plan").arg(dock.bench.config_dir()).output()?;
    ensure!(planned.status.code() == Some(0), "the plan of what is there is not empty");
    let noop = row("docker-calls-noop", &counted.take(), 1);

    let old = listed(engine, "dev.trueup.app%3Dcounted-00");
    dock.write(0, 2);
    let began = Instant::now();
    loop {
        let now = listed(engine, "dev.trueup.app%3Dcounted-00");
        if now.len() == 1 && now[0].1 && now != old {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "one is not replaced after {PATIENCE:?}");
        std::thread::sleep(GLANCE);
    }
    dock.await_ready(services);
    let one = row("docker-calls-one", &counted.take(), 1).beside("least", LEAST_ONE);
    Ok(vec![
        fresh
            .note(format!("calls for each of {services} services, from the edit until all are Ready; listings beside")),
        noop.note("`trueup plan` of what is there, beside the daemon; the daemon's own looks in that time among them"),
        one.note("one service replaced; listings beside, and closer looks at the others, which grow older, among them"),
    ])
}

/// Calls of each kind for each of so many; the value is of all but listings.
fn row(name: &str, calls: &[String], among: usize) -> Row {
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for call in calls {
        let kind = match call.as_str() {
            "GET /containers/json" => "listings",
            "GET /containers/{}/json" => "closer looks",
            "GET /images/{}/json" => "images",
            "POST /containers/create" => "creates",
            "POST /containers/{}/start" => "starts",
            "POST /containers/{}/stop" => "stops",
            "DELETE /containers/{}" => "removals",
            _ => "others",
        };
        *kinds.entry(kind).or_default() += 1;
    }
    let among = f64::from(u32::try_from(among).expect("there are few"));
    let rest: u32 = kinds.iter().filter(|(kind, _)| **kind != "listings").map(|(_, calls)| calls).sum();
    let row = Row::new(name, f64::from(rest) / among, "calls", 1);
    kinds.into_iter().fold(row, |row, (kind, calls)| row.beside(kind, f64::from(calls)))
}
