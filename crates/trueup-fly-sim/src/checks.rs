//! The checks of a machine: none when it has just started, critical at first, then what its image says.

use std::time::Duration;

use crate::agenda::Happening;
use crate::cloud::Cloud;
use crate::config::{Acted, Check};
use crate::machine::{CheckResult, State};

/// Shortest and longest time between two runs of a check of a service.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The longest grace that counts.
const GRACE_MAX: Duration = Duration::from_secs(60);

/// A check that a config asks for.
struct Wanted<'a> {
    name: String,
    check: &'a Check,
    heeded: bool,
    port: u16,
}

/// Whether the proxy heeds any check of this config.
pub(crate) fn heeds_any(acted: &Acted) -> bool {
    wanted(acted).iter().any(|wanted| wanted.heeded)
}

/// All checks, by the names that the platform gives them.
fn wanted(acted: &Acted) -> Vec<Wanted<'_>> {
    let mut all = Vec::new();
    let mut number = 0;
    for service in &acted.services {
        for check in &service.checks {
            let how = if check.how == "http" { "http" } else { "tcp" };
            let port = check.port.unwrap_or(service.internal_port);
            all.push(Wanted { name: format!("servicecheck-{number:02}-{how}-{port}"), check, heeded: true, port });
            number += 1;
        }
    }
    for (name, check) in &acted.checks {
        let heeded = check.kind == "readiness";
        all.push(Wanted { name: name.clone(), check, heeded, port: check.port.unwrap_or_default() });
    }
    all
}

impl Cloud {
    /// Runs a machine's checks, and enters when they run again.
    pub(crate) fn run_checks(&mut self, id: &str, boot: u32) {
        let Some(machine) = self.machines.get(id) else { return };
        if machine.boots != boot || machine.state != State::Started {
            return;
        }
        let config = machine.config().clone();
        let wanted = wanted(&config.acted);
        if wanted.is_empty() {
            return;
        }
        let (now, age) = (self.now, self.now.since(machine.since));
        let health = self.behaviour(machine).health;
        let usual = self.knobs.latency.interval.0;
        let mut results = machine.checks.clone();
        let mut again = usual.clamp(INTERVAL.0, INTERVAL.1);
        let mut settled = !health.may_turn(age);
        for wanted in &wanted {
            let grace = wanted.check.grace_period.map_or(Duration::ZERO, |grace| grace.0.min(GRACE_MAX));
            let interval = wanted.check.interval.map_or(usual, |interval| interval.0).clamp(INTERVAL.0, INTERVAL.1);
            again = again.min(interval);
            let first = results.iter().all(|result| result.name != wanted.name);
            // What is new is critical until it has passed once; nothing passes within its grace.
            let passing = !first && age >= grace && health.good(age);
            settled &= !first && (passing == health.good(age));
            if first && grace > Duration::ZERO {
                again = again.min(grace.max(INTERVAL.0));
            } else if first {
                again = again.min(INTERVAL.0);
            }
            note(&mut results, wanted, passing, now);
        }
        if let Some(machine) = self.machines.get_mut(id) {
            machine.checks = results;
            self.touched.insert(machine.app.clone());
        }
        if !settled {
            self.agenda.enter(now.after(again), Happening::Checks { id: id.to_owned(), boot });
        }
    }
}

fn note(results: &mut Vec<CheckResult>, wanted: &Wanted<'_>, passing: bool, now: crate::time::Moment) {
    let output = match (wanted.check.how.as_str(), passing) {
        ("http", true) => format!("HTTP GET http://172.19.0.2:{}{}: 200 OK", wanted.port, wanted.check.path),
        (_, true) => "Success".to_owned(),
        (_, false) => format!("connect: connection refused (172.19.0.2:{})", wanted.port),
    };
    match results.iter_mut().find(|result| result.name == wanted.name) {
        Some(result) if result.passing == passing => {}
        Some(result) => {
            result.passing = passing;
            result.changed = now;
            result.output = output;
        }
        None => results.push(CheckResult {
            name: wanted.name.clone(),
            passing,
            output,
            changed: now,
            heeded: wanted.heeded,
        }),
    }
}
