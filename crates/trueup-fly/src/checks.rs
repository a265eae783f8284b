//! What the platform's checks say becomes health, judged as our own probes are: pure.
//!
//! The platform asks what our probes ask, from beside the machine, and answers with the last word and since when that is
//! so. Failures count once they have lasted as long as the probe bears; within the grace they are waited for. A machine
//! that has just come up has no answers at all, which is evidence of nothing.

use std::time::Duration;

use trueup_types::Timestamp;
use trueup_types::observed::{Health, ProbeFailure};
use trueup_types::probe::{Check, Probe};

use crate::api::{CheckStatus, Machine};
use crate::moment::{Clocks, WallMillis};

/// Most of what a check has read that is kept, in characters.
const OUTPUT_MAX: usize = 400;

/// What the checks of a running machine come to; `None` where it has none.
pub(crate) fn health(
    machine: &Machine,
    probes: &[Probe],
    started: Timestamp,
    before: Option<&Health>,
    clocks: &Clocks,
) -> Option<Health> {
    let statuses = machine.checks.as_deref().unwrap_or_default();
    let now = (clocks.now)();
    let asked = probes.iter().filter(|probe| !matches!(probe.check, Check::Exec { .. }));
    let each = asked.map(|probe| {
        let status = statuses.iter().find(|status| status.name == probe.name.as_str()).filter(|_| machine.reached());
        one(probe, status, started, before, clocks, now)
    });
    each.reduce(worse)
}

fn one(
    probe: &Probe,
    status: Option<&CheckStatus>,
    started: Timestamp,
    before: Option<&Health>,
    clocks: &Clocks,
    now: Timestamp,
) -> Health {
    let in_grace = now.since(started) < probe.grace;
    let Some(status) = status else {
        return if in_grace { Health::Waiting } else { Health::Unknown };
    };
    let since = WallMillis::read(&status.updated_at).map_or(started, |at| clocks.steady(at)).max(started);
    if status.status == "passing" {
        return Health::Passing { since };
    }
    let passed = before.filter(|before| matches!(before, Health::Passing { .. }));
    if in_grace && passed.is_none() {
        return Health::Waiting;
    }
    let borne = probe.interval * probe.failures.saturating_sub(1);
    if now.since(since) < borne.min(BORNE_MAX) {
        return passed.cloned().unwrap_or(Health::Waiting);
    }
    let detail: String = status.output.chars().take(OUTPUT_MAX).collect();
    let detail = detail.replace(['\n', '\r'], " ");
    let detail = if detail.trim().is_empty() { format!("its check is {}", status.status) } else { detail };
    let last = ProbeFailure { probe: probe.name.clone(), at: now, detail, status: None, body: String::new() };
    Health::Failed { since, last }
}

/// Longest that failures are borne, whatever a probe's numbers come to.
const BORNE_MAX: Duration = Duration::from_secs(600);

/// The worse of two; of two that pass, since the later began to.
fn worse(one: Health, other: Health) -> Health {
    let rank = |health: &Health| match health {
        Health::Failed { .. } => 3,
        Health::Waiting => 2,
        Health::Unknown => 1,
        Health::Passing { .. } => 0,
    };
    match (&one, &other) {
        (Health::Passing { since: a }, Health::Passing { since: b }) => Health::Passing { since: *a.max(b) },
        _ if rank(&one) >= rank(&other) => one,
        _ => other,
    }
}
