//! Joins the source to the manifests: texts in, apps and one-line errors out; and reads a whole directory at once, for
//! `validate` and `plan`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::ensure;
use trueup_manifest::{FileText, ManifestDiagnostic, ParsedFile, Resolution, parse_file, resolve};
use trueup_source::{FileOutcome, Reader, Resolved};
use trueup_types::AppName;

/// Reads manifests, and keeps what it has parsed: only a file that changed is parsed again.
#[derive(Default)]
pub(crate) struct ManifestReader {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    parsed: BTreeMap<String, (Arc<str>, Arc<ParsedFile>)>,
    /// Who holds which route, so that a second claim is the newcomer's error.
    holders: BTreeMap<String, AppName>,
}

impl Reader for ManifestReader {
    fn resolve(&self, files: &BTreeMap<String, Arc<str>>) -> Resolved {
        let mut kept = self.kept.lock().expect("no holder panics");
        let mut parsed = BTreeMap::new();
        for (path, text) in files {
            let known = kept.parsed.get(path).filter(|(old, _)| Arc::ptr_eq(old, text) || old == text);
            let file = known
                .map(|(_, file)| Arc::clone(file))
                .unwrap_or_else(|| Arc::new(parse_file(&FileText { path: path.clone(), text: Arc::clone(text) })));
            parsed.insert(path.clone(), (Arc::clone(text), file));
        }
        let all = parsed.iter().map(|(path, (_, file))| (path.clone(), Arc::clone(file))).collect();
        let resolution = resolve(&all, &kept.holders);
        kept.parsed = parsed;
        kept.holders = holders(&resolution);
        outcome(resolution)
    }
}

fn holders(resolution: &Resolution) -> BTreeMap<String, AppName> {
    let apps = resolution.apps.iter();
    let routes = apps.flat_map(|(name, app)| app.desired.exposure.routes.iter().map(move |route| (route, name)));
    routes.map(|(route, name)| (route.to_string(), name.clone())).collect()
}

fn outcome(resolution: Resolution) -> Resolved {
    let mut files: BTreeMap<String, FileOutcome> = BTreeMap::new();
    for (path, claims) in resolution.claims {
        files.entry(path).or_default().claims = claims;
    }
    for diagnostic in resolution.diagnostics.iter().filter(|one| one.is_error()) {
        files.entry(diagnostic.file.clone()).or_default().errors.push(diagnostic.line());
    }
    for app in resolution.apps.into_values() {
        files.entry(app.file).or_default().apps.push(app.desired);
    }
    Resolved { files, targets: resolution.targets, secrets: resolution.secrets }
}

/// All that a directory says at this moment.
pub(crate) struct Directory {
    pub files: usize,
    pub resolution: Resolution,
}

impl Directory {
    /// What is wrong, and what is doubtful.
    pub(crate) fn diagnostics(&self) -> impl Iterator<Item = &ManifestDiagnostic> {
        let warnings = self.resolution.apps.values().flat_map(|app| &app.warnings);
        self.resolution.diagnostics.iter().chain(warnings)
    }

    /// How many errors.
    pub(crate) fn errors(&self) -> usize {
        self.diagnostics().filter(|one| one.is_error()).count()
    }
}

/// Reads a directory once, or a single file.
pub(crate) fn read(dir: &Path) -> anyhow::Result<Directory> {
    let texts = trueup_source::read_once(dir).map_err(anyhow::Error::msg)?;
    ensure!(!texts.is_empty(), "there is no manifest (*.yaml, *.yml) in {}", dir.display());
    let parsed = texts.into_iter().map(|(path, text)| {
        let file = parse_file(&FileText { path: path.clone(), text });
        (path, Arc::new(file))
    });
    let parsed: BTreeMap<_, _> = parsed.collect();
    Ok(Directory { files: parsed.len(), resolution: resolve(&parsed, &BTreeMap::new()) })
}
