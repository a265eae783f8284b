//! `trueup get`: tables from the status file.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use trueup_types::history::ReleaseNote;
use trueup_types::status::{AppStatus, Event, InstanceStatus};
use trueup_types::{AppName, Certified};

use crate::cli::{Get, Output, Places, Table};
use crate::status_reader::{self, Status};
use crate::table::{NONE, age, render};
use crate::terminal::{Tone, out, toned};

/// From one look at the file to the next, while watching.
const GLANCE: Duration = Duration::from_millis(200);

/// One table: headers, and for each row its cells, its name and its whole object.
pub(crate) struct Listing {
    kind: &'static str,
    headers: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    cells: Vec<String>,
    object: Value,
}

/// Runs `trueup get`.
pub(crate) async fn run(places: &Places, get: &Get) -> anyhow::Result<()> {
    let mut last = String::new();
    loop {
        let text = show(places, get)?;
        if text != last {
            out(&text);
            last = text;
        }
        if !get.watch {
            return Ok(());
        }
        tokio::time::sleep(GLANCE).await;
    }
}

fn show(places: &Places, get: &Get) -> anyhow::Result<String> {
    if get.what == Table::Profiles {
        return profiles(get);
    }
    let status = status_reader::read(places)?;
    status.warn_if_old();
    let mut listing = listing(&status, get);
    if let Some(name) = &get.name {
        listing.rows.retain(|row| row.name == *name || belongs(&row.object, name));
        if listing.rows.is_empty() {
            bail!("there is no {} `{name}`; `trueup get {}` lists them", listing.kind, word(get.what));
        }
    }
    spell(&listing, get)
}

/// Whether an object is one of this app's.
fn belongs(object: &Value, app: &str) -> bool {
    object.get("app").and_then(Value::as_str) == Some(app)
}

fn word(what: Table) -> &'static str {
    match what {
        Table::Apps => "apps",
        Table::Instances => "instances",
        Table::Releases => "releases",
        Table::Events => "events",
        Table::Routes => "routes",
        Table::Targets => "targets",
        Table::Profiles => "profiles",
    }
}

fn spell(listing: &Listing, get: &Get) -> anyhow::Result<String> {
    let objects = || -> Value { listing.rows.iter().map(|row| row.object.clone()).collect() };
    Ok(match get.output {
        Output::Json => serde_json::to_string_pretty(&objects())?,
        Output::Yaml => trueup_manifest::to_yaml(&objects()),
        Output::Name => {
            let names: Vec<_> = listing.rows.iter().map(|row| format!("{}/{}", listing.kind, row.name)).collect();
            names.join("\n")
        }
        Output::Table | Output::Wide => {
            let rows = listing.rows.iter().map(|row| row.cells.clone()).collect();
            render(&listing.headers, rows, get.no_headers)
        }
    })
}

fn listing(status: &Status, get: &Get) -> Listing {
    match get.what {
        Table::Apps => apps(status, get.output == Output::Wide),
        Table::Instances => instances(status),
        Table::Releases => releases(status),
        Table::Events => events(status),
        Table::Routes => routes(status),
        Table::Targets | Table::Profiles => targets(status),
    }
}

fn object<T: serde::Serialize>(value: &T, app: Option<&AppName>) -> Value {
    let mut value = serde_json::to_value(value).unwrap_or(Value::Null);
    if let (Some(map), Some(app)) = (value.as_object_mut(), app) {
        map.insert("app".to_owned(), Value::from(app.as_str()));
    }
    value
}

fn apps(status: &Status, wide: bool) -> Listing {
    let mut headers = vec!["NAME", "TARGET", "READY", "UP-TO-DATE", "AVAILABLE", "RELEASE", "STATUS", "AGE"];
    if wide {
        headers.extend(["IMAGE", "ROUTES", "MESSAGE"]);
    }
    let rows = status.document.apps.iter().map(|app| {
        let state = &app.status;
        let counts = &state.replicas;
        let mut cells = vec![
            app.metadata.name.to_string(),
            state.target.to_string(),
            format!("{}/{}", counts.ready, counts.desired),
            counts.updated.to_string(),
            counts.available.to_string(),
            state.release.as_ref().map_or_else(String::new, |release| release.number.to_string()),
            toned(&state.word, tone(app)),
            age(state.since, status.now),
        ];
        if wide {
            let routes: Vec<_> = state.routes.iter().map(|route| format!("{}{}", route.host, route.path)).collect();
            cells.push(state.release.as_ref().map_or_else(String::new, |release| release.image.clone()));
            cells.push(routes.join(","));
            cells.push(state.verdict.message.clone());
        }
        Row { name: app.metadata.name.to_string(), cells, object: object(app, None) }
    });
    Listing { kind: "app", headers, rows: rows.collect() }
}

/// Green when nobody need look, red when somebody must.
pub(crate) fn tone(app: &AppStatus) -> Tone {
    match app.status.word.as_str() {
        "Ready" | "Completed" => Tone::Good,
        "Stalled" | "ManifestInvalid" | "Degraded" | "Reverted" => Tone::Bad,
        _ => Tone::Busy,
    }
}

fn instances(status: &Status) -> Listing {
    let mut headers = vec!["NAME", "APP", "RELEASE", "PHASE", "HEALTH", "RESTARTS", "ADDRESS", "AGE"];
    // Where there are machines, people want to find each again by what the platform calls it.
    let machines = status.document.apps.iter().any(|app| on_fly(status, app) && !app.status.instances.is_empty());
    if machines {
        headers.extend(["REGION", "MACHINE"]);
    }
    let mut rows = Vec::new();
    for app in &status.document.apps {
        rows.extend(app.status.instances.iter().map(|one| {
            let mut cells = vec![
                one.name.to_string(),
                app.metadata.name.to_string(),
                one.revision.to_string(),
                one.phase.clone(),
                one.health.clone(),
                one.restarts.to_string(),
                one.address.clone().unwrap_or_default(),
                age(one.created, status.now),
            ];
            let machine = machine(one).filter(|_| on_fly(status, app));
            let mut object = object(one, Some(&app.metadata.name));
            if let (Some(map), Some(machine)) = (object.as_object_mut(), machine) {
                map.insert("machine".to_owned(), Value::from(machine));
            }
            if machines {
                cells.push(if one.place.is_here() { String::new() } else { one.place.to_string() });
                cells.push(machine.unwrap_or_default().to_owned());
            }
            Row { name: one.name.to_string(), cells, object }
        }));
    }
    Listing { kind: "instance", headers, rows }
}

pub(crate) fn on_fly(status: &Status, app: &AppStatus) -> bool {
    status.document.targets.iter().any(|target| target.name == app.status.target && target.kind == "fly")
}

/// The machine of an instance on Fly: a life there is called by its machine and the moment of its start.
fn machine(one: &InstanceStatus) -> Option<&str> {
    one.incarnation.rsplit_once('-').map(|(machine, _)| machine)
}

fn releases(status: &Status) -> Listing {
    let headers = vec!["RELEASE", "APP", "OUTCOME", "IMAGE", "COMMIT", "STARTED", "TOOK", "CAUSE"];
    let mut rows = Vec::new();
    for app in &status.document.apps {
        rows.extend(app.status.history.iter().map(|note| {
            let content = app.status.contents.get(&note.revision);
            let took = note.ended.map_or_else(String::new, |ended| age(note.started, ended));
            Row {
                name: format!("{}@{}", app.metadata.name, note.revision),
                cells: vec![
                    note.revision.to_string(),
                    app.metadata.name.to_string(),
                    note.outcome.map_or_else(|| "Underway".to_owned(), |outcome| format!("{outcome:?}")),
                    content.map_or_else(String::new, |content| content.image.clone()),
                    content.and_then(|content| content.commit.clone()).unwrap_or_default(),
                    age(note.started, status.now),
                    took,
                    cause(note),
                ],
                object: object(note, Some(&app.metadata.name)),
            }
        }));
    }
    Listing { kind: "release", headers, rows }
}

/// Why a release is as it is: what it failed on, and whose rollback it was.
pub(crate) fn cause(note: &ReleaseNote) -> String {
    let parts = [note.again.as_ref().map(ToString::to_string), note.cause.clone()];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn events(status: &Status) -> Listing {
    let rows = status.document.events.iter().map(|event| Row {
        name: event.sequence.to_string(),
        cells: event_cells(event, status),
        object: object(event, event.app.as_ref()),
    });
    Listing { kind: "event", headers: EVENT_HEADERS.to_vec(), rows: rows.collect() }
}

/// The columns of events.
pub(crate) const EVENT_HEADERS: [&str; 5] = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];

/// One event as a row; repeats are folded as `5m (x3)`.
pub(crate) fn event_cells(event: &Event, status: &Status) -> Vec<String> {
    let last = age(event.last, status.now);
    let seen = if event.count > 1 { format!("{last} (x{})", event.count) } else { last };
    vec![seen, format!("{:?}", event.kind), event.reason.clone(), event.object(), event.message.clone()]
}

fn routes(status: &Status) -> Listing {
    let headers = vec!["HOST", "PATH", "APP", "CERTIFICATE", "BACKENDS"];
    let mut rows = Vec::new();
    for app in &status.document.apps {
        rows.extend(app.status.routes.iter().map(|route| Row {
            name: format!("{}{}", route.host, route.path),
            cells: vec![
                route.host.clone(),
                route.path.clone(),
                app.metadata.name.to_string(),
                route.certificate.as_ref().map_or(NONE, Certified::word).to_owned(),
                route.backends.join(","),
            ],
            object: object(route, Some(&app.metadata.name)),
        }));
    }
    Listing { kind: "route", headers, rows }
}

fn targets(status: &Status) -> Listing {
    let headers = vec!["NAME", "KIND", "REACHABLE", "INSTANCES", "LAST SEEN", "MESSAGE"];
    let rows = status.document.targets.iter().map(|target| Row {
        name: target.name.to_string(),
        cells: vec![
            target.name.to_string(),
            target.kind.clone(),
            if target.reachable { "True" } else { "False" }.to_owned(),
            target.instances.to_string(),
            target.seen_at.map_or_else(|| NONE.to_owned(), |at| age(at, status.now)),
            target.message.clone().unwrap_or_default(),
        ],
        object: object(target, None),
    });
    Listing { kind: "target", headers, rows: rows.collect() }
}

/// The built-in profiles need no daemon.
fn profiles(get: &Get) -> anyhow::Result<String> {
    let all = trueup_manifest::builtin_profiles();
    let wanted = |name: &str| get.name.as_deref().is_none_or(|asked| asked == name);
    let chosen: Vec<_> = all.iter().filter(|(name, _)| wanted(name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = all.iter().map(|(name, _)| name.to_string()).collect();
        bail!(
            "there is no built-in profile `{}`; there are {}",
            get.name.clone().unwrap_or_default(),
            names.join(", ")
        );
    }
    Ok(match get.output {
        Output::Yaml => chosen.iter().map(|(_, text)| text.to_string()).collect::<Vec<_>>().join("---\n"),
        Output::Json => {
            let parsed: Vec<Value> = chosen
                .iter()
                .map(|(_, text)| trueup_manifest::to_json(text).context("a built-in profile parses"))
                .collect::<anyhow::Result<_>>()?;
            serde_json::to_string_pretty(&parsed)?
        }
        Output::Name => chosen.iter().map(|(name, _)| format!("profile/{name}")).collect::<Vec<_>>().join("\n"),
        Output::Table | Output::Wide => {
            let rows = chosen.iter().map(|(name, text)| {
                let story = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default();
                vec![name.to_string(), story.to_owned()]
            });
            render(&["NAME", "FOR"], rows.collect(), get.no_headers)
        }
    })
}
