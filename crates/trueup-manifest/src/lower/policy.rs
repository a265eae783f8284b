//! The policy: how to get there.

use std::collections::BTreeSet;
use std::time::Duration;

use trueup_types::policy::{CanaryStep, History, Policy, RevertMode, Strategy};
use trueup_types::template::{Restart, RestartPolicy};
use trueup_types::window::Window;
use trueup_types::{AppName, Percent, Quantity};

use super::analysis;
use super::notes::Notes;
use super::read::{Broken, integer, name, parsed, spelled, text, truth, word};
use crate::node::View;
use crate::text::Span;
use crate::units;

/// A flap shows itself within seconds.
const MIN_HEALTHY: Duration = Duration::from_secs(5);
/// The slowest start that is still a start.
const HEALTHY_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// Twice the start of an instance.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(10 * 60);
/// What breaks under load breaks within a minute.
const BAKE: Duration = Duration::from_secs(60);
/// Longer than most requests.
const DRAIN: Duration = Duration::from_secs(30);
/// All new instances beside the old: what blueGreen means.
const SURGE_BLUE_GREEN: Quantity = Quantity::Share(Percent::ALL);
/// One more than wanted: what one by one means.
const SURGE: Quantity = Quantity::Count(1);
/// Releases remembered.
const HISTORY_LIMIT: u32 = 10;
/// And for how long.
const HISTORY_KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

const STRATEGIES: [(&str, Strategy); 4] = [
    ("blueGreen", Strategy::BlueGreen),
    ("rolling", Strategy::Rolling),
    ("canary", Strategy::Canary),
    ("recreate", Strategy::Recreate),
];

/// What the policy depends on elsewhere in the app.
pub(super) struct Standing {
    /// Why two instances cannot stand side by side.
    pub exclusive: Option<String>,
    /// Why its ingress cannot weigh.
    pub unweighed: Option<&'static str>,
    pub replicas: u32,
}

/// The policy, and where each dependency is written.
pub(super) fn lower(spec: View<'_>, standing: &Standing, notes: &mut Notes<'_>) -> (Policy, Vec<(AppName, Span)>) {
    let rollout = spec.get("rollout");
    let read = |key, parse| parsed(rollout.get(key), parse);
    let min_healthy = read("minHealthy", units::wait).map(|wait| wait.unwrap_or(MIN_HEALTHY));
    let healthy = read("healthyDeadline", units::timeout).map(|wait| wait.unwrap_or(HEALTHY_DEADLINE));
    let progress = read("progressDeadline", units::timeout).map(|wait| wait.unwrap_or(PROGRESS_DEADLINE));
    deadlines(rollout, min_healthy, healthy, progress, notes);

    let strategy = strategy(spec).unwrap_or(Strategy::Rolling);
    let own_surge = match strategy {
        Strategy::BlueGreen | Strategy::Canary => SURGE_BLUE_GREEN,
        Strategy::Rolling | Strategy::Recreate => SURGE,
    };
    let surge = spelled(rollout.get("maxSurge"), units::quantity).map(|surge| surge.unwrap_or(own_surge));
    let gap = spelled(rollout.get("maxUnavailable"), units::quantity).map(|gap| gap.unwrap_or(Quantity::Count(0)));
    let stop_first = standing.exclusive.clone();
    if let (Ok(surge), Ok(gap), None) = (surge, gap, &stop_first) {
        room(rollout, strategy, (surge, gap), standing.replicas, notes);
    }
    if strategy == Strategy::Canary {
        shares(spec, surge.unwrap_or(own_surge), standing, notes);
    }
    let (depends_on, places) = depends_on(spec.get("dependsOn"), notes);
    let policy = Policy {
        strategy,
        stop_first,
        by_count: standing.unweighed.filter(|_| strategy == Strategy::Canary).map(str::to_owned),
        max_surge: surge.unwrap_or(own_surge),
        max_unavailable: gap.unwrap_or(Quantity::Count(0)),
        min_healthy: min_healthy.unwrap_or(MIN_HEALTHY),
        healthy_deadline: healthy.unwrap_or(HEALTHY_DEADLINE),
        progress_deadline: progress.unwrap_or(PROGRESS_DEADLINE),
        bake: read("bake", units::wait).ok().flatten().unwrap_or(BAKE),
        drain: read("drain", units::wait).ok().flatten().unwrap_or(DRAIN),
        revert: word(rollout.get("revert"), &[("auto", RevertMode::Auto), ("hold", RevertMode::Hold)])
            .ok()
            .flatten()
            .unwrap_or(RevertMode::Auto),
        steps: steps(rollout, strategy, notes),
        windows: windows(rollout.get("windows")),
        depends_on,
        history: history(spec.get("history")),
        suspend: truth(spec.get("suspend")).ok().flatten().unwrap_or(false),
    };
    (policy, places)
}

/// The order that is written, or the one that fits the app.
pub(super) fn strategy(spec: View<'_>) -> Result<Strategy, Broken> {
    let side_by_side = spec.get("routes").items().next().is_some() && spec.get("volumes").items().next().is_none();
    let own = if side_by_side { Strategy::BlueGreen } else { Strategy::Rolling };
    Ok(word(spec.get("rollout").get("strategy"), &STRATEGIES)?.unwrap_or(own))
}

type Wait = Result<Duration, Broken>;

fn deadlines(rollout: View<'_>, min_healthy: Wait, healthy: Wait, progress: Wait, notes: &mut Notes<'_>) {
    let mut below = |(short, short_wait): (&str, Wait), (long, long_wait): (&str, Wait)| {
        let (Ok(least), Ok(most)) = (short_wait, long_wait) else { return };
        if least < most {
            return;
        }
        let spell = humantime::format_duration;
        let message = format!("`{short}` is {}, not less than `{long}`, which is {}", spell(least), spell(most));
        // One of the two is written, or the defaults would be at odds.
        let view = if rollout.get(short).is_absent() { rollout.get(long) } else { rollout.get(short) };
        notes.error(view, "manifest::rollout::deadline", message, format!("shorten `{short}` or lengthen `{long}`"));
    };
    below(("minHealthy", min_healthy), ("healthyDeadline", healthy));
    below(("healthyDeadline", healthy), ("progressDeadline", progress));
}

/// A rollout needs room above or below the wanted number.
fn room(
    rollout: View<'_>,
    strategy: Strategy,
    (surge, gap): (Quantity, Quantity),
    replicas: u32,
    notes: &mut Notes<'_>,
) {
    // A share of nothing is nothing; what counts is one replica.
    let replicas = replicas.max(1);
    if strategy == Strategy::Recreate || surge.of_rounded_up(replicas) > 0 || gap.of_rounded_down(replicas) > 0 {
        return;
    }
    let message = format!("`maxSurge` {surge} and `maxUnavailable` {gap} leave no room to replace one of {replicas}");
    let view =
        if rollout.get("maxSurge").is_absent() { rollout.get("maxUnavailable") } else { rollout.get("maxSurge") };
    let help = "raise one of them to 1 or more; a percentage of `maxUnavailable` rounds down";
    notes.error(view, "manifest::rollout::room", message, help);
}

/// A canary shares traffic between all of the old and all of the new.
fn shares(spec: View<'_>, surge: Quantity, standing: &Standing, notes: &mut Notes<'_>) {
    let (rollout, rule) = (spec.get("rollout"), "manifest::rollout::canary");
    let word = rollout.get("strategy");
    if spec.get("routes").items().next().is_none() {
        let help = "add `routes`, or write `strategy: rolling`";
        notes.error(word, rule, "a canary shares traffic, and this app has no `routes`", help);
    }
    if let Some(why) = &standing.exclusive {
        let message = format!("a canary runs beside the old release, and cannot: {why}");
        notes.error(word, rule, message, "write `strategy: rolling`");
    } else if surge.of_rounded_up(standing.replicas) < standing.replicas {
        let message = format!("a canary runs beside all of the old release, and `maxSurge` is {surge}");
        notes.error(rollout.get("maxSurge"), rule, message, "write `maxSurge: 100%`, or leave it out");
    }
}

fn steps(rollout: View<'_>, strategy: Strategy, notes: &mut Notes<'_>) -> Vec<CanaryStep> {
    let view = rollout.get("steps");
    let mut steps: Vec<CanaryStep> = Vec::new();
    for item in view.items() {
        let Ok(Some(weight)) = integer::<u8>(item.get("weight")) else { continue };
        let Some(weight) = Percent::new(weight) else { continue };
        if steps.last().is_some_and(|last| last.weight >= weight) {
            let message = "the weights of `steps` do not rise";
            notes.error(
                item.get("weight"),
                "manifest::rollout::steps",
                message,
                "give each step more than the one before",
            );
        }
        let pause = parsed(item.get("pause"), units::wait).ok().flatten().unwrap_or_default();
        let approve = truth(item.get("approve")).ok().flatten().unwrap_or(false);
        steps.push(CanaryStep { weight, pause, approve, analysis: analysis::lower(item.get("analysis"), notes) });
    }
    if strategy == Strategy::Canary && view.items().next().is_none() {
        let help = "write `steps: [{weight: 10, pause: 2m}, {weight: 50, pause: 5m}]`";
        notes.error(rollout.get("strategy"), "manifest::rollout::steps", "a canary needs `steps`", help);
    }
    if strategy != Strategy::Canary && view.items().next().is_some() {
        let message = format!("`steps` are those of a canary, and the strategy is {}", strategy.as_str());
        notes.error_at_key(view, "manifest::rollout::steps", message, "write `strategy: canary`, or remove them");
    }
    steps
}

fn windows(view: View<'_>) -> Vec<Window> {
    let window = |item: View<'_>| {
        let cron = text(item.get("cron")).ok().flatten()?;
        let time_zone = text(item.get("timeZone")).ok().flatten().unwrap_or_else(|| "UTC".to_owned());
        let duration = parsed(item.get("duration"), units::timeout).ok().flatten()?;
        Some(Window { cron, time_zone, duration })
    };
    view.items().filter_map(window).collect()
}

fn depends_on(view: View<'_>, notes: &mut Notes<'_>) -> (BTreeSet<AppName>, Vec<(AppName, Span)>) {
    let mut names = BTreeSet::new();
    let mut places = Vec::new();
    for item in view.items() {
        let Ok(Some(app)) = name::<AppName>(item) else { continue };
        if names.insert(app.clone()) {
            places.push((app, notes.place(item)));
        } else {
            notes.error(item, "manifest::depends::duplicate", format!("`{app}` is named twice"), "keep one of them");
        }
    }
    (names, places)
}

fn history(view: View<'_>) -> History {
    History {
        limit: integer(view.get("limit")).ok().flatten().unwrap_or(HISTORY_LIMIT),
        keep_for: parsed(view.get("keepFor"), units::keep).ok().flatten().unwrap_or(HISTORY_KEEP),
    }
}

/// An instance that may end well serves nobody: its routes would answer 503 for ever.
pub(super) fn restart_beside_routes(spec: View<'_>, restart: &Restart, notes: &mut Notes<'_>) {
    let word = match restart.policy {
        RestartPolicy::Always => return,
        RestartPolicy::OnFailure => "on-failure",
        RestartPolicy::Never => "never",
    };
    if spec.get("routes").items().next().is_none() {
        return;
    }
    let message = format!(
        "an app with routes cannot have `restart.policy: {word}`: one that exits with 0 would be done, and its routes unserved"
    );
    notes.error(
        spec.get("restart").get("policy"),
        "manifest::restart",
        message,
        "write `policy: always`, or remove the routes",
    );
}
