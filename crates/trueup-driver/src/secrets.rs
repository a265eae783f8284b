//! Tells the keeper of secrets which values releases may need again, and strikes values out of what is kept for people.

use std::collections::{BTreeMap, BTreeSet};

use trueup_types::{AppName, AppRecord, Health};

use crate::engine::Engine;
use crate::mask::Masker;

/// Tells what all apps that are remembered need; nothing is swept before.
pub(crate) fn remember(engine: &Engine, memory: &BTreeMap<AppName, AppRecord>) {
    for (app, record) in memory {
        engine.parts.secrets.needed(app, fingerprints(record));
    }
}

/// Tells what an app needs from here on, where its releases have changed, before anything is made of them.
pub(crate) fn follow(engine: &Engine, app: &AppName, before: &AppRecord, after: &AppRecord) {
    let needed = fingerprints(after);
    if fingerprints(before) != needed {
        engine.parts.secrets.needed(app, needed);
        sweep(engine);
    }
}

/// An app is forgotten, with all its releases.
pub(crate) fn forget(engine: &Engine, app: &AppName) {
    engine.parts.secrets.needed(app, BTreeSet::new());
    sweep(engine);
}

/// Who has lost its memory does not know what is needed.
fn sweep(engine: &Engine) {
    if engine.rebuilt.lock().expect("no holder panics").is_none() {
        engine.parts.secrets.sweep();
    }
}

fn fingerprints(record: &AppRecord) -> BTreeSet<String> {
    let releases = record.releases.values();
    releases.flat_map(|release| release.inputs.secret_fingerprints.values().cloned()).collect()
}

/// Strikes every value of a secret out of what probes were answered with: it is remembered, and shown.
pub(crate) fn struck(engine: &Engine, mut healths: Vec<Health>) -> Vec<Health> {
    for health in &mut healths {
        if let Health::Failed { last, .. } = health
            && let Some(masker) = masker(engine)
        {
            last.detail = masker.strike(&last.detail);
            last.body = masker.strike(&last.body);
        }
    }
    healths
}

/// The same, of a line that an app wrote into its log.
pub(crate) fn struck_lines(engine: &Engine, lines: Vec<String>) -> Vec<String> {
    match masker(engine) {
        Some(masker) => lines.into_iter().map(|line| masker.strike(&line)).collect(),
        None => lines,
    }
}

fn masker(engine: &Engine) -> Option<Masker> {
    let values = engine.parts.secrets.values();
    let mut masker = Masker::default();
    values.iter().for_each(|value| masker.name_whole(value));
    (!values.is_empty()).then_some(masker)
}
