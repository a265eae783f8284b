//! Behaviour of the whole crate: text in, apps and diagnostics out.

mod corpus;
mod digests;
mod hosts;
mod machines;
mod mistakes;
mod published;
mod rivals;
mod secrets;
mod served;
mod trips;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use trueup_types::AppName;
use trueup_types::desired::DesiredApp;

use crate::{FileText, ParsedFile, Resolution, parse_file, resolve};

pub(crate) fn parsed(files: &[(&str, &str)]) -> BTreeMap<String, Arc<ParsedFile>> {
    let parse = |(path, text): &(&str, &str)| {
        let file = FileText { path: (*path).to_owned(), text: (*text).into() };
        ((*path).to_owned(), Arc::new(parse_file(&file)))
    };
    files.iter().map(parse).collect()
}

pub(crate) fn resolved(files: &[(&str, &str)]) -> Resolution {
    resolve(&parsed(files), &BTreeMap::new())
}

/// One line for each app and each diagnostic.
pub(crate) fn report(resolution: &Resolution) -> String {
    let mut text = String::new();
    for (name, app) in &resolution.apps {
        writeln!(text, "{name} from {}", app.file).expect("a string takes text");
    }
    let warnings = resolution.apps.values().flat_map(|app| &app.warnings);
    for diagnostic in resolution.diagnostics.iter().chain(warnings) {
        writeln!(text, "{} {}\n  {}", diagnostic.severity, diagnostic.code, diagnostic.line())
            .expect("a string takes text");
    }
    text
}

/// What becomes of an app whose spec is this, indented by two.
pub(crate) fn of_spec(spec: &str) -> Resolution {
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    resolved(&[(
        "app.yaml",
        &format!("apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: web}}\nspec:\n{indented}"),
    )])
}

/// The app of a sound spec.
pub(crate) fn app(spec: &str) -> Arc<DesiredApp> {
    let resolution = of_spec(spec);
    let web = resolution.apps.get(&name("web"));
    web.unwrap_or_else(|| panic!("{}", report(&resolution))).desired.clone()
}

pub(crate) fn name(text: &str) -> AppName {
    AppName::new(text).expect("a name")
}

/// The errors of a spec, one line each, without the file.
pub(crate) fn errors(spec: &str) -> String {
    let resolution = of_spec(spec);
    let errors = resolution.diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    errors.map(|diagnostic| diagnostic.brief() + "\n").collect()
}
