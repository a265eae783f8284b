//! How everything stood once nothing moved any more, as facts that can be compared one by one.

use std::collections::{BTreeMap, BTreeSet};

use trueup_sim::House;
use trueup_types::record::{AppRecord, Evidence};
use trueup_types::{InstanceId, Release};

use super::nature::{Counts, Nature};

/// How what ran a hook, or runs it, is told from the rest.
pub const OF_A_HOOK: &str = ", of a hook";

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    /// How things stand, name by name.
    pub state: BTreeMap<String, String>,
    /// The same by what things are, whatever they are called: how many there are of each.
    pub content: BTreeMap<String, u32>,
    /// How many instances, by app, stood all along.
    pub stood: BTreeMap<String, u32>,
    /// How often something was made, started, stopped and removed, since the first act.
    pub counts: Counts,
    /// Whether a release was left because what ran a hook of it was taken away: nobody can know how far it came.
    pub lost_a_hook: bool,
    /// What must not be, whatever the undisturbed run did.
    pub wrong: Vec<String>,
}

impl Ending {
    /// How a house stands; `old` are the instances that were there before, with their lives.
    pub fn of(house: &House, old: &[(String, u64)]) -> Self {
        let mut ending = Self::default();
        ending.instances(house, old);
        ending.routes(house);
        ending.apps(house);
        ending.counts = Counts::of(&house.world.lock().deeds);
        ending
    }

    fn instances(&mut self, house: &House, old: &[(String, u64)]) {
        let now = house.world.now();
        let state = house.world.lock();
        let routed: BTreeSet<&InstanceId> = backends(&state.table).collect();
        for (target, instances) in &state.instances {
            for (id, one) in instances {
                let name = id.to_string();
                let stood = old.contains(&(name.clone(), one.life));
                let well = match (one.exited(now), one.passing(now)) {
                    (true, _) => "down",
                    (false, true) => "passes",
                    (false, false) => "runs and does not pass",
                };
                let serves = if routed.contains(id) { "serves" } else { "idle" };
                let hook = if id.task.is_some() { OF_A_HOOK } else { "" };
                let what = format!("{} {well}, {serves}{hook}", version(&one.release));
                *self.content.entry(format!("{} on {target}: {what}", id.app)).or_default() += 1;
                *self.stood.entry(format!("stood of {}", id.app)).or_default() += u32::from(stood);
                let stood = if stood { "stood all along" } else { "new" };
                self.state.insert(format!("{name} on {target}"), format!("{what}, {stood}"));
                if routed.contains(id) && Nature::of(&one.release) != Nature::Good {
                    self.wrong.push(format!("{id} of a bad release serves at the end"));
                }
            }
        }
    }

    fn routes(&mut self, house: &House) {
        let state = house.world.lock();
        for share in &state.table.apps {
            for entry in &share.entries {
                let to: Vec<_> = entry.backends.iter().map(|one| format!("{}={}", one.instance, one.weight)).collect();
                let route = format!("route {}{} of {}", entry.host, entry.path, share.app);
                self.content.insert(route.clone(), u32::try_from(to.len()).unwrap_or(u32::MAX));
                self.state.insert(route, to.join(" "));
            }
        }
    }

    fn apps(&mut self, house: &House) {
        let memory = house.store.copy();
        for app in house.control().status().apps {
            let (name, status) = (&app.metadata.name, &app.status);
            let reverted = if status.verdict.reverted { ", reverted" } else { "" };
            self.state.insert(format!("app {name}"), format!("{}{reverted}", status.word));
            self.content.insert(format!("app {name} {}", status.word), 1);
        }
        let lost =
            |evidence: &Evidence| matches!(evidence, Evidence::Hook { detail, .. } if detail.contains("is gone"));
        let rejected = || memory.apps.values().flat_map(|record| record.rejected.values());
        self.lost_a_hook = rejected().any(|one| lost(&one.evidence));
        for (name, record) in &memory.apps {
            self.state.insert(format!("memory of {name}"), remembered(record));
            self.content.insert(format!("memory of {name}: {}", current(record)), 1);
        }
    }
}

/// The lines in which two maps differ.
pub fn differences<T: PartialEq + std::fmt::Display>(
    undisturbed: &BTreeMap<String, T>,
    here: &BTreeMap<String, T>,
) -> Vec<String> {
    let keys: BTreeSet<_> = undisturbed.keys().chain(here.keys()).collect();
    let shown = |value: Option<&T>| value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let differing = keys.into_iter().filter(|key| undisturbed.get(*key) != here.get(*key));
    differing
        .map(|key| format!("{key}: undisturbed `{}`, here `{}`", shown(undisturbed.get(key)), shown(here.get(key))))
        .collect()
}

fn backends(table: &trueup_types::RouteTable) -> impl Iterator<Item = &InstanceId> {
    let entries = table.apps.iter().flat_map(|share| &share.entries);
    entries.flat_map(|entry| &entry.backends).filter(|one| one.weight > 0).map(|one| &one.instance)
}

fn version(release: &Release) -> String {
    let version = release.template.env.get("VERSION").cloned().unwrap_or_default();
    let bad = Nature::of(release) != Nature::Good;
    format!("{version}{}{}", if bad { " (bad)" } else { "" }, restarted(release))
}

fn restarted(release: &Release) -> String {
    match release.inputs.restarts {
        0 => String::new(),
        times => format!(" restarted {times}"),
    }
}

fn current(record: &AppRecord) -> String {
    let good = record.current_release().map_or_else(|| "nothing good".to_owned(), |release| version(release));
    let rollout = matches!(record.rollout, trueup_types::record::Rollout::Idle);
    let held = if record.suspended.is_some() { ", suspended" } else { "" };
    let pinned = if record.pin.is_some() { ", pinned" } else { "" };
    format!("{good}{held}{pinned}{}", if rollout { "" } else { ", rolling" })
}

/// What of a record is the same however long things took.
fn remembered(record: &AppRecord) -> String {
    let rejected: Vec<_> = record.rejected.values().map(|one| one.revision.to_string()).collect();
    let history: Vec<_> = record.history.iter().map(|note| format!("{} {:?}", note.revision, note.outcome)).collect();
    let homes: Vec<_> = record.homes.iter().map(ToString::to_string).collect();
    format!(
        "{}; {}, highest {}; current {:?}; rejected [{}]; history [{}]; draining {}; homes [{}]",
        current(record),
        record.generation,
        record.highest,
        record.current,
        rejected.join(" "),
        history.join(", "),
        record.draining.len(),
        homes.join(" "),
    )
}
