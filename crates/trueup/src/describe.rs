//! `trueup describe app`: everything about one app, the evidence of its failed releases included.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::bail;
use trueup_types::AppName;
use trueup_types::status::{AppStatus, ConditionStatus, EvidenceFile};

use crate::cli::Places;
use crate::config;
use crate::status_reader::{self, Status};
use crate::table::{age, render};
use crate::terminal::out;

/// Log lines shown of each instance of a failed release.
const LOG_LINES: usize = 20;
/// Events shown.
const EVENTS: usize = 20;

/// Runs `trueup describe app`.
pub(crate) fn run(places: &Places, name: &AppName) -> anyhow::Result<()> {
    let status = status_reader::read(places)?;
    status.warn_if_old();
    let Some(app) = status.app(name.as_str()) else {
        bail!("there is no app `{name}`; `trueup get apps` lists them");
    };
    let mut text = String::new();
    head(&mut text, app, &status);
    conditions(&mut text, app, &status);
    instances(&mut text, app, &status);
    releases(&mut text, app, &status);
    hooks(&mut text, app, &status);
    evidence(&mut text, &config::state_dir(places), name, &status);
    events(&mut text, name, &status);
    out(&text);
    Ok(())
}

fn line(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{:<18}{value}", format!("{key}:"));
}

fn head(text: &mut String, app: &AppStatus, status: &Status) {
    let state = &app.status;
    line(text, "Name", app.metadata.name.as_str());
    let labels: Vec<_> = app.metadata.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if !labels.is_empty() {
        line(text, "Labels", &labels.join(", "));
    }
    line(text, "Status", &format!("{}: {}", state.word, state.verdict.message));
    line(text, "Target", state.target.as_str());
    if let Some(called) = state.called.as_ref().filter(|_| crate::get::on_fly(status, app)) {
        line(text, "Called there", &format!("{called} ({called}.internal on its private network)"));
    }
    let generation = format!("{} (judged {})", app.metadata.generation, state.observed_generation);
    line(text, "Generation", &generation);
    let counts = &state.replicas;
    let replicas = format!(
        "{} desired, {} updated, {} ready, {} available",
        counts.desired, counts.updated, counts.ready, counts.available
    );
    line(text, "Replicas", &replicas);
    if let Some(release) = &state.release {
        let share = release.share.map_or_else(String::new, |share| format!(" with {} % of the traffic", share.get()));
        let shown = format!(
            "{} {} ({}{share}, since {})",
            release.number,
            release.image,
            release.phase,
            age(release.started_at, status.now)
        );
        line(text, "Release", &shown);
        line(text, "Digest", &release.digest.short());
        if let Some(file) = &release.origin.file {
            line(text, "Manifest", file);
        }
    }
    line(text, "Last good", &state.last_good.map_or_else(|| "none yet".to_owned(), |good| good.to_string()));
    if let Some(pin) = &state.pin {
        let ago = age(pin.word.at, status.now);
        line(text, "Pinned", &format!("to {} by {}, {ago} ago{}", pin.to, pin.word.by, pin.env.told()));
    }
    if let Some(drift) = &state.drift {
        line(text, "Drift", drift);
    }
    if let Some(error) = &state.manifest_error {
        line(text, "Manifest error", error);
    }
    for route in &state.routes {
        let certificate = route.certificate.as_ref();
        let certificate = certificate.map_or_else(String::new, |one| format!(" (certificate: {})", one.word()));
        line(text, "Route", &format!("{}{} to {}{certificate}", route.host, route.path, route.backends.join(", ")));
    }
}

fn indented(text: &mut String, title: &str, table: &str) {
    let _ = writeln!(text, "\n{title}:");
    for line in table.lines() {
        let _ = writeln!(text, "  {line}");
    }
}

fn conditions(text: &mut String, app: &AppStatus, status: &Status) {
    let rows = app.status.conditions.iter().map(|one| {
        let truth = match one.status {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        };
        let since = age(one.last_transition_time, status.now);
        vec![one.kind.clone(), truth.to_owned(), one.reason.clone(), since, one.message.clone()]
    });
    let table = render(&["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"], rows.collect(), false);
    indented(text, "Conditions", &table);
}

fn instances(text: &mut String, app: &AppStatus, status: &Status) {
    if app.status.instances.is_empty() {
        return;
    }
    let rows = app.status.instances.iter().map(|one| {
        vec![
            one.name.to_string(),
            one.phase.clone(),
            one.health.clone(),
            one.restarts.to_string(),
            one.in_flight.to_string(),
            one.address.clone().unwrap_or_default(),
            age(one.created, status.now),
            one.health_detail.clone().unwrap_or_default(),
        ]
    });
    let headers = ["NAME", "PHASE", "HEALTH", "RESTARTS", "IN FLIGHT", "ADDRESS", "AGE", "DETAIL"];
    indented(text, "Instances", &render(&headers, rows.collect(), false));
}

fn releases(text: &mut String, app: &AppStatus, status: &Status) {
    let rows = app.status.history.iter().map(|note| {
        let phases = note.phases.iter().map(|phase| {
            let took = phase.ended.map_or_else(|| "…".to_owned(), |ended| age(phase.started, ended));
            format!("{:?} {took}", phase.phase)
        });
        vec![
            note.revision.to_string(),
            note.outcome.map_or_else(|| "Underway".to_owned(), |outcome| format!("{outcome:?}")),
            age(note.started, status.now),
            note.ended.map_or_else(String::new, |ended| age(note.started, ended)),
            phases.collect::<Vec<_>>().join(", "),
            crate::get::cause(note),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        let headers = ["RELEASE", "OUTCOME", "STARTED", "TOOK", "PHASES", "CAUSE"];
        indented(text, "Releases", &render(&headers, rows, false));
    }
}

fn hooks(text: &mut String, app: &AppStatus, status: &Status) {
    let rows = app.status.hooks.iter().map(|hook| {
        let how = match (&hook.failure, hook.ended) {
            (Some(why), _) => why.clone(),
            (None, Some(ended)) => format!("done {} ago", age(ended, status.now)),
            (None, None) => "runs".to_owned(),
        };
        let (when, name) = (hook.task.as_str().to_owned(), hook.name.to_string());
        vec![hook.revision.to_string(), when, name, hook.instance.to_string(), how]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        indented(text, "Hooks", &render(&["RELEASE", "WHEN", "HOOK", "INSTANCE", "OUTCOME"], rows, false));
    }
}

/// The evidence is private: whoever may read the state directory sees it.
fn evidence(text: &mut String, state_dir: &Path, name: &AppName, status: &Status) {
    let path = state_dir.join("evidence").join(format!("{name}.json"));
    let Ok(bytes) = std::fs::read(path) else { return };
    let Ok(all) = serde_json::from_slice::<Vec<EvidenceFile>>(&bytes) else { return };
    let Some(newest) = all.first() else { return };
    let _ = writeln!(text, "\nEvidence of {} ({} ago):", newest.revision, age(newest.at, status.now));
    let _ = writeln!(text, "  Found:     {}", trueup_plan::sentence(&newest.evidence));
    if let Some(commit) = &newest.origin.commit {
        let author = newest.origin.author.clone().unwrap_or_default();
        let _ = writeln!(text, "  Commit:    {commit} {author}");
    }
    if !newest.diff.is_empty() {
        let _ = writeln!(text, "  Changed:");
        for line in &newest.diff {
            let _ = writeln!(text, "    {line}");
        }
    }
    for phase in &newest.timeline {
        let took = phase.ended.map_or_else(|| "not ended".to_owned(), |ended| age(phase.started, ended));
        let _ = writeln!(text, "  Phase:     {:?}, {took}", phase.phase);
    }
    for (instance, probe) in &newest.probes {
        let _ = writeln!(text, "  Probe:     {instance} {}: {}", probe.probe, probe.detail);
        if !probe.body.is_empty() {
            let _ = writeln!(text, "             {}", probe.body.lines().next().unwrap_or_default());
        }
    }
    for (instance, lines) in &newest.logs {
        let _ = writeln!(text, "  Log of {instance}:");
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
            let _ = writeln!(text, "    {line}");
        }
    }
}

fn events(text: &mut String, name: &AppName, status: &Status) {
    let ours: Vec<_> = status.document.events.iter().filter(|event| event.app.as_ref() == Some(name)).collect();
    let rows: Vec<_> = ours
        .iter()
        .skip(ours.len().saturating_sub(EVENTS))
        .map(|event| crate::get::event_cells(event, status))
        .collect();
    if !rows.is_empty() {
        indented(text, "Events", &render(&crate::get::EVENT_HEADERS, rows, false));
    }
}
