//! `trueup plan`: field diff and effect; 0 nothing, 1 changes, 2 error.
//!
//! Beside a running daemon it asks that one through the socket; alone it looks for itself, without a lock, and changes
//! nothing. With `--against` it compares two versions of the manifests instead ([`against`]); [`markdown`] spells a
//! plan for a pull request, and [`pinned`] holds `run --once` to one that was shown.

mod against;
mod costs;
mod faults;
mod fields;
mod markdown;
mod order;
pub(crate) mod pinned;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use trueup_driver::{Clock as _, SteadyClock};
use trueup_seams::{AppPreview, Change};
use trueup_secrets::Looking;
use trueup_server::{ClientError, ControlClient};
use trueup_types::desired::DesiredApp;
use trueup_types::secret::SecretSpec;
use trueup_types::{Label, TargetName, TargetSpec, Task};

use crate::cli::{Format, Places, PlanArgs};
use crate::plan::costs::Costs;
use crate::run::{alone, wiring};
use crate::table::counted;
use crate::terminal::{Tone, out, say, toned};
use crate::{config, manifests};

/// The key of what a change costs; it is no part of what is pinned.
const COST: &str = "cost";
/// Something would change.
const CHANGES: u8 = 1;
/// It cannot be told.
const ERROR: u8 = 2;

/// Runs `trueup plan`.
pub(crate) async fn run(places: &Places, asked: &PlanArgs) -> ExitCode {
    match preview(places, asked).await {
        Ok((targets, previews)) => {
            let changes: Vec<_> = previews.iter().filter(|preview| shown(preview)).collect();
            let costs = Costs::of(&previews, &targets);
            match asked.output {
                Format::Text => print(&changes, &costs),
                Format::Json => out(&serde_json::to_string_pretty(&costed(&changes, &costs)).unwrap_or_default()),
                Format::Markdown => out(&markdown::spelled(&changes, &costs)),
            }
            let any = changes.iter().any(|preview| preview.change != Change::None);
            ExitCode::from(if any { CHANGES } else { 0 })
        }
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::from(ERROR)
        }
    }
}

type Targets = BTreeMap<TargetName, TargetSpec>;

async fn preview(places: &Places, asked: &PlanArgs) -> anyhow::Result<(Targets, Vec<AppPreview>)> {
    if let Some(revision) = &asked.against {
        return against::previews(&asked.dir, revision);
    }
    let Manifests { targets, apps, secrets } = wanted(&asked.dir)?;
    let state_dir = config::state_dir(places);
    // A daemon knows what its secrets hold, and its environment is another one.
    let previews = match ControlClient::new(&state_dir)?.preview(&apps).await {
        Ok(previews) => previews,
        Err(ClientError::NoDaemon { .. }) => {
            let apps = with_secrets(&asked.dir, &state_dir, apps, secrets).await?;
            alone::preview(&state_dir, &asked.owner, targets.clone(), apps).await?
        }
        Err(error) => return Err(error.into()),
    };
    Ok((targets, previews))
}

/// What a directory of manifests says.
struct Manifests {
    targets: Targets,
    apps: Vec<DesiredApp>,
    secrets: BTreeMap<Label, SecretSpec>,
}

/// What a directory of manifests wants, and where; its secrets are not read.
fn wanted(dir: &Path) -> anyhow::Result<Manifests> {
    let directory = manifests::read(dir)?;
    faults::told(directory.diagnostics()).iter().for_each(|text| say(text));
    anyhow::ensure!(directory.errors() == 0, "{}; nothing can be planned", counted(directory.errors(), "error"));
    let root = trueup_source::root_of(dir);
    let apps = directory.resolution.apps.into_values();
    let apps: Result<_, _> = apps.map(|app| trueup_source::shipped(&root, &app.desired)).collect();
    let (targets, secrets) = (directory.resolution.targets, directory.resolution.secrets);
    Ok(Manifests { targets, apps: apps.map_err(anyhow::Error::msg)?, secrets })
}

/// Reads the secrets of apps as the next daemon would, and keeps none of their values.
async fn with_secrets(
    dir: &Path,
    state_dir: &Path,
    apps: Vec<DesiredApp>,
    secrets: BTreeMap<Label, SecretSpec>,
) -> anyhow::Result<Vec<DesiredApp>> {
    let (root, folder) = (trueup_source::root_of(&config::absolute(dir)), wiring::vault_dir(state_dir));
    let read = tokio::task::spawn_blocking(move || {
        let keeper = Looking::open(&folder, config::variables()).map_err(|error| error.to_string())?;
        apps.iter().map(|app| trueup_source::read_secrets(&root, app, &secrets, &keeper)).collect::<Result<_, _>>()
    });
    read.await?.map_err(anyhow::Error::msg)
}

/// What does not change and has nothing to say is left out.
fn shown(preview: &AppPreview) -> bool {
    preview.change != Change::None || !preview.notes.is_empty()
}

fn sign(change: Change) -> (&'static str, &'static str, Tone) {
    match change {
        Change::None => (" ", "stays", Tone::Good),
        Change::Create => ("+", "is created", Tone::Good),
        Change::Roll => ("~", "rolls to a new release", Tone::Busy),
        Change::Adjust => ("~", "is adjusted; nothing restarts", Tone::Good),
        Change::Repair => ("!", "has drifted, and is repaired", Tone::Busy),
        Change::Remove => ("-", "is removed", Tone::Bad),
    }
}

fn print(changes: &[&AppPreview], costs: &Costs) {
    let mut text = String::new();
    for preview in changes {
        let (sign, sentence, tone) = sign(preview.change);
        let _ = writeln!(text, "{} app/{} {sentence}", toned(sign, tone), preview.app);
        if preview.change != Change::Repair {
            for field in fields::changed(preview) {
                let _ = match (&field.before, &field.after) {
                    (Some(before), Some(after)) => writeln!(text, "    {}: {before} -> {after}", field.path),
                    (None, Some(after)) => writeln!(text, "    {}: {after}", field.path),
                    (Some(before), None) => writeln!(text, "    {}: {before} -> (gone)", field.path),
                    (None, None) => Ok(()),
                };
            }
        }
        for line in effect(preview, changes, costs) {
            let _ = writeln!(text, "  {line}");
        }
    }
    let _ = write!(text, "{}{}", summary(changes), costs.summary());
    out(&text);
}

fn effect(preview: &AppPreview, changes: &[&AppPreview], costs: &Costs) -> Vec<String> {
    let counts = [
        (preview.create, "create"),
        (preview.replace, "replace"),
        (preview.restart, "restart"),
        (preview.remove, "remove"),
    ];
    let parts: Vec<_> =
        counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, verb)| format!("{verb} {count}")).collect();
    let mut lines = Vec::new();
    if !parts.is_empty() {
        let downtime = preview.downtime.as_ref();
        let downtime = downtime.map_or_else(|| "no downtime".to_owned(), |why| format!("downtime: {why}"));
        lines.push(format!("effect: {}; {downtime}", parts.join(", ")));
    }
    lines.extend(image(preview));
    lines.extend(costs.line(&preview.app));
    if let Some(why) = preview.after.as_ref().and_then(|after| after.policy.stop_first.as_ref()) {
        lines.push(format!("stop-first: {why}"));
    }
    // A window is open or shut by the wall's clock.
    lines.extend(order::lines(preview, changes, SteadyClock::fresh().wall()));
    lines.extend(hooks(preview));
    lines.extend(preview.notes.iter().map(|note| format!("note: {note}")));
    lines
}

/// What the image of a release that is new turns out to be.
fn image(preview: &AppPreview) -> Option<String> {
    let image = preview.after.as_ref()?.template.image.as_ref()?;
    preview.digest.as_ref().map(|digest| format!("image: {image} is {digest}"))
}

/// What will run once for a release that is new.
fn hooks(preview: &AppPreview) -> Vec<String> {
    let rolls = matches!(preview.change, Change::Create | Change::Roll);
    let Some(after) = preview.after.as_ref().filter(|_| rolls) else { return Vec::new() };
    let when = |task: Task| match task {
        Task::PreDeploy => "before any instance is created",
        Task::PostDeploy => "after the promotion",
        Task::OnRevert => "only if it is reverted",
    };
    let of = |task: Task| {
        let hooks = after.template.hooks.of(task).iter();
        hooks.map(move |hook| format!("hook: {} {} runs once, {}", task.as_str(), hook.name, when(task)))
    };
    Task::ALL.into_iter().flat_map(of).collect()
}

fn summary(changes: &[&AppPreview]) -> String {
    let count = |change: Change| changes.iter().filter(|preview| preview.change == change).count();
    let (create, roll, adjust) = (count(Change::Create), count(Change::Roll), count(Change::Adjust));
    let (repair, remove) = (count(Change::Repair), count(Change::Remove));
    if create + roll + adjust + repair + remove == 0 {
        return "Nothing would change.".to_owned();
    }
    format!("Plan: {create} to create, {roll} to roll, {adjust} to adjust, {repair} to repair, {remove} to remove.")
}

/// What is shown to programs: the plan, and what it costs by the prices of this build. The costs decide nothing.
fn costed(changes: &[&AppPreview], costs: &Costs) -> serde_json::Value {
    let mut objects = objects(changes);
    let shown = objects.as_array_mut().into_iter().flatten().filter_map(serde_json::Value::as_object_mut);
    for (object, preview) in shown.zip(changes) {
        object.extend(costs.object(&preview.app).map(|change| (COST.to_owned(), json!(change))));
    }
    objects
}

fn objects(changes: &[&AppPreview]) -> serde_json::Value {
    let all = changes.iter().map(|preview| {
        let fields = fields::changed(preview);
        let fields: Vec<_> = fields
            .iter()
            .map(|field| json!({"path": field.path, "before": field.before, "after": field.after}))
            .collect();
        json!({
            "app": preview.app,
            "change": preview.change,
            "intent": preview.after.as_ref().map(|after| after.intent),
            "fields": fields,
            "digest": preview.digest,
            "effect": {
                "create": preview.create,
                "replace": preview.replace,
                "restart": preview.restart,
                "remove": preview.remove,
                "downtime": preview.downtime,
            },
            "hooks": hooks(preview),
            "notes": preview.notes,
            "steps": preview.steps,
        })
    });
    all.collect()
}
