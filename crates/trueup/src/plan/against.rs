//! `trueup plan --against REV`: what differs between a directory and an earlier version of it in its Git repository.
//!
//! Looks at two versions of the manifests, and at nothing that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use trueup_seams::{AppPreview, Change};
use trueup_types::AppName;
use trueup_types::desired::DesiredApp;

use super::Targets;
use crate::manifests;

/// What the directory changes beside its version at `revision`.
///
/// # Errors
/// When the directory is in no repository, the revision is none, or either version has errors.
pub(super) fn previews(dir: &Path, revision: &str) -> anyhow::Result<(Targets, Vec<AppPreview>)> {
    let earlier = checked_out(dir, revision)?;
    let (mut targets, before) = apps(earlier.path()).with_context(|| format!("the manifests at {revision}"))?;
    let (later, after) = apps(dir)?;
    targets.extend(later);
    let names: BTreeSet<&AppName> = before.keys().chain(after.keys()).collect();
    let previews = names.into_iter().map(|name| preview(name, before.get(name), after.get(name)));
    Ok((targets, previews.collect()))
}

type Apps = BTreeMap<AppName, Arc<DesiredApp>>;

fn apps(dir: &Path) -> anyhow::Result<(Targets, Apps)> {
    let directory = manifests::read(dir)?;
    let errors: Vec<_> = directory.diagnostics().filter(|one| one.is_error()).map(|one| one.line()).collect();
    ensure!(errors.is_empty(), "{}", errors.join("\n"));
    let apps = directory.resolution.apps.into_iter().map(|(name, app)| (name, app.desired));
    Ok((directory.resolution.targets, apps.collect()))
}

/// The directory as it was at a revision, in a temporary place.
fn checked_out(dir: &Path, revision: &str) -> anyhow::Result<tempfile::TempDir> {
    ensure!(!revision.starts_with('-'), "`{revision}` is not a revision");
    let place = tempfile::tempdir().context("a temporary directory cannot be made")?;
    // Named from where we stand, so that a directory within the repository is all that is taken.
    let tree = git(dir, &["ls-tree", "-r", "-z", "--name-only", revision, "."])?;
    for path in tree.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        let path = String::from_utf8_lossy(path);
        if !(path.ends_with(".yaml") || path.ends_with(".yml")) {
            continue;
        }
        let text = git(dir, &["show", &format!("{revision}:./{path}")])?;
        let file = place.path().join(&*path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&file, text.stdout)?;
    }
    Ok(place)
}

fn git(dir: &Path, words: &[&str]) -> anyhow::Result<Output> {
    let output = Command::new("git").current_dir(dir).args(words).output().context("`git` cannot be run")?;
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output)
}

fn preview(name: &AppName, before: Option<&Arc<DesiredApp>>, after: Option<&Arc<DesiredApp>>) -> AppPreview {
    let change = match (before, after) {
        (None, _) => Change::Create,
        (_, None) => Change::Remove,
        (Some(before), Some(after)) if before.intent == after.intent => Change::None,
        (Some(before), Some(after)) if rolls(before, after) => Change::Roll,
        (Some(_), Some(_)) => Change::Adjust,
    };
    let (had, has) = (before.map_or(0, |app| app.replicas()), after.map_or(0, |app| app.replicas()));
    let rolls = change == Change::Roll;
    AppPreview {
        app: name.clone(),
        change,
        before: before.map(|app| DesiredApp::clone(app)),
        after: after.map(|app| DesiredApp::clone(app)),
        digest: None,
        create: has.saturating_sub(had),
        replace: if rolls { had.min(has) } else { 0 },
        restart: 0,
        remove: had.saturating_sub(has),
        downtime: after.filter(|_| rolls).and_then(|app| trueup_driver::preview::downtime(app)),
        notes: Vec::new(),
        steps: Vec::new(),
    }
}

/// Whether the running instances could not stay.
fn rolls(before: &DesiredApp, after: &DesiredApp) -> bool {
    before.template_digest != after.template_digest || before.placement.target != after.placement.target
}
