//! In which order a plan is carried out: what waits for another app, for a window, and which steps a canary takes.

use trueup_seams::{AppPreview, Change};
use trueup_types::desired::DesiredApp;
use trueup_types::policy::{CanaryStep, Strategy};
use trueup_types::{AppName, Timestamp, window};

/// What is said of one app of a plan, among all that it changes.
pub(super) fn lines(preview: &AppPreview, changes: &[&AppPreview], now: Timestamp) -> Vec<String> {
    let mut lines: Vec<_> = first(preview, changes).into_iter().collect();
    let Some(after) = preview.after.as_ref().filter(|_| preview.change == Change::Roll) else { return lines };
    if let Err(opens) = window::may_begin(&after.policy.windows, now) {
        let opens = opens.map_or_else(|| "which never opens".to_owned(), |opens| format!("which opens at {opens}"));
        lines.push(format!("order: not before its next window, {opens}"));
    }
    lines.extend(canary(after));
    lines
}

/// Who goes before it: what it depends on as it comes, what depends on it as it goes.
fn first(preview: &AppPreview, changes: &[&AppPreview]) -> Option<String> {
    let needs = |preview: &AppPreview| {
        let app = preview.after.as_ref().or(preview.before.as_ref());
        app.map(|app| app.policy.depends_on.clone()).unwrap_or_default()
    };
    let starts = |change: Change| matches!(change, Change::Create | Change::Roll);
    let names: Vec<&AppName> = if starts(preview.change) {
        let needed = needs(preview);
        let before = changes.iter().filter(|one| starts(one.change) && needed.contains(&one.app));
        before.map(|one| &one.app).collect()
    } else if preview.change == Change::Remove {
        let after = changes.iter().filter(|one| one.change == Change::Remove && needs(one).contains(&preview.app));
        after.map(|one| &one.app).collect()
    } else {
        return None;
    };
    let all: Vec<_> = names.iter().map(|name| name.as_str()).collect();
    let gone = if preview.change == Change::Remove { "has gone" } else { "is Ready" };
    (!all.is_empty()).then(|| format!("order: after {} {gone}", all.join(", ")))
}

/// A canary's steps, one after the other.
fn canary(after: &DesiredApp) -> Option<String> {
    let canary = after.policy.strategy == Strategy::Canary && !after.policy.steps.is_empty();
    let steps: Vec<_> = after.policy.steps.iter().map(step).collect();
    canary.then(|| format!("steps: {}, then all of the traffic", steps.join(", then ")))
}

fn step(step: &CanaryStep) -> String {
    let mut text = format!("{} %", step.weight.get());
    if !step.pause.is_zero() {
        text.push_str(&format!(" for {}", humantime::format_duration(step.pause)));
    }
    if !step.analysis.is_empty() {
        let names: Vec<_> = step.analysis.iter().map(|one| one.name.to_string()).collect();
        text.push_str(&format!(" while {} is good", names.join(", ")));
    }
    if step.approve {
        text.push_str(" until `trueup promote`");
    }
    text
}
