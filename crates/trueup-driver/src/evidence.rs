//! Keeps what a failed release leaves behind, before its instances go: private, in a file for each app.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trueup_seams::LogQuery;
use trueup_types::observed::Health;
use trueup_types::record::AppRecord;
use trueup_types::status::EvidenceFile;
use trueup_types::{AppName, Release};

use crate::engine::Engine;
use crate::secrets;
use crate::status_writer::replace;
use crate::tick::Scene;

/// Log lines kept of each instance; BEHAVIOUR.md says 50.
const LINES_MAX: usize = 50;
/// Longest a log line may be, in bytes.
const LINE_BYTES_MAX: usize = 2_048;
/// Failed releases kept of each app.
const RELEASES_MAX: usize = 10;

/// Keeps the evidence of what was rejected in this tick.
pub(crate) async fn keep(engine: &Engine, scene: &Scene<'_>, before: &AppRecord, after: &AppRecord) {
    let Some(state_dir) = &engine.parts.state_dir else { return };
    let fresh = after.rejected.iter().filter(|(key, one)| before.rejected.get(key) != Some(one));
    for ((digest, _), rejection) in fresh {
        let release = after.release(rejection.revision).cloned();
        let note = after.history.iter().find(|note| note.revision == rejection.revision);
        let good = after.current_release().map(|good| good.as_ref());
        let file = EvidenceFile {
            revision: rejection.revision,
            digest: *digest,
            at: rejection.at,
            outcome: note.and_then(|note| note.outcome),
            evidence: rejection.evidence.clone(),
            diff: release.as_deref().map(|release| diff(good, release)).unwrap_or_default(),
            timeline: note.map(|note| note.phases.clone()).unwrap_or_default(),
            probes: probes(scene, rejection.revision),
            logs: logs(engine, scene, rejection.revision).await,
            origin: release.map(|release| release.origin.clone()).unwrap_or_default(),
        };
        let mut all = read(state_dir, scene.app);
        all.insert(0, file);
        all.truncate(RELEASES_MAX);
        let text = serde_json::to_vec_pretty(&all).expect("evidence always becomes JSON");
        if let Err(error) = replace(&path(state_dir, scene.app), &text, 0o600) {
            tracing::warn!(app = %scene.app, %error, "evidence not kept");
        }
    }
}

/// What is kept of an app, newest first.
pub(crate) fn read(state_dir: &Path, app: &AppName) -> Vec<EvidenceFile> {
    let text = std::fs::read(path(state_dir, app)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn path(state_dir: &Path, app: &AppName) -> PathBuf {
    state_dir.join("evidence").join(format!("{app}.json"))
}

fn probes(scene: &Scene<'_>, revision: trueup_types::Revision) -> BTreeMap<String, trueup_types::ProbeFailure> {
    let ours = scene.observed.instances.iter().filter(|one| one.sighting.id.revision == revision);
    let failed = ours.filter_map(|one| match &one.health {
        Health::Failed { last, .. } => Some((one.sighting.id.to_string(), last.clone())),
        Health::Waiting | Health::Passing { .. } | Health::Unknown => None,
    });
    failed.collect()
}

async fn logs(engine: &Engine, scene: &Scene<'_>, revision: trueup_types::Revision) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let seen = scene.observed.instances.iter().chain(&scene.observed.tasks);
    for one in seen.filter(|one| one.sighting.id.revision == revision) {
        let inspect = engine.target(&one.target).and_then(|target| target.inspect.clone());
        let Some(inspect) = inspect else { continue };
        let id = one.sighting.id.clone();
        let query = LogQuery { instance: id, since: None, lines_max: LINES_MAX, previous: false, after: None };
        let mut lines = inspect.logs(&query).await.unwrap_or_default();
        if lines.is_empty() {
            // It may have just begun another life; the last one tells more.
            lines = inspect.logs(&LogQuery { previous: true, ..query }).await.unwrap_or_default();
        }
        let text = lines.into_iter().map(|line| {
            let mut text = line.text;
            text.truncate(text.floor_char_boundary(LINE_BYTES_MAX));
            text
        });
        found.insert(one.sighting.id.to_string(), secrets::struck_lines(engine, text.collect()));
    }
    found
}

/// The lines in which two templates differ, `- ` before and `+ ` after, by path.
fn diff(good: Option<&Release>, bad: &Release) -> Vec<String> {
    let value = |release: &Release| serde_json::to_value(&release.template).expect("a template always becomes JSON");
    let before = good.map_or_else(|| serde_json::Value::Object(serde_json::Map::new()), value);
    crate::replay::lines(&before, &value(bad))
}
