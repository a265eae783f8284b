//! Any text as manifests: read without panic, errors point into the text, and what is taken is written and read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use miette::{Diagnostic as _, GraphicalReportHandler, GraphicalTheme};
use trueup_manifest::{
    FileText, ManifestDiagnostic, ParsedFile, Resolution, field_diff, manifest_of, parse_file, resolve, to_yaml,
};
use trueup_types::{DesiredApp, TargetName};

/// What parts the files of one input.
const NEXT_FILE: &str = "\n=====\n";
/// Most diagnostics of an input that are drawn, since drawing is slow.
const DRAWN_MAX: usize = 3;

/// Reads the text as one or more files.
pub fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let texts: BTreeMap<String, String> =
        text.split(NEXT_FILE).enumerate().map(|(index, text)| (format!("{index}.yaml"), text.to_owned())).collect();
    let files = parsed(&texts);
    let resolution = resolve(&files, &BTreeMap::new());
    let warnings = resolution.apps.values().flat_map(|app| &app.warnings);
    for (index, diagnostic) in resolution.diagnostics.iter().chain(warnings).enumerate() {
        points_into_the_text(diagnostic, &texts[&diagnostic.file]);
        if index < DRAWN_MAX {
            draw(diagnostic);
        }
    }
    let again = resolve(&files, &BTreeMap::new());
    assert_eq!(told(&resolution), told(&again), "the same files give the same twice");
    round_trip(&resolution);
}

fn parsed(texts: &BTreeMap<String, String>) -> BTreeMap<String, Arc<ParsedFile>> {
    let parse = |(path, text): (&String, &String)| {
        let file = FileText { path: path.clone(), text: text.as_str().into() };
        (path.clone(), Arc::new(parse_file(&file)))
    };
    texts.iter().map(parse).collect()
}

fn told(resolution: &Resolution) -> (Vec<String>, Vec<String>) {
    let apps = resolution.apps.values().map(|app| format!("{:?}", app.desired));
    (apps.collect(), resolution.diagnostics.iter().map(ManifestDiagnostic::line).collect())
}

fn points_into_the_text(diagnostic: &ManifestDiagnostic, text: &str) {
    let range = diagnostic.byte_range();
    assert!(text.get(range.clone()).is_some(), "{range:?} is no piece of the text: {}", diagnostic.line());
    let line = text.split('\n').nth(diagnostic.line.wrapping_sub(1));
    let long = line.map(|line| line.chars().count());
    assert!(long.is_some_and(|long| (1..=long + 1).contains(&diagnostic.column)), "{} lies nowhere", diagnostic.line());
    assert!(!diagnostic.message.contains('\n'), "more than one line: {:?}", diagnostic.message);
    assert!(diagnostic.code().is_some(), "every mistake has a code");
}

/// As the command line shows it.
fn draw(diagnostic: &ManifestDiagnostic) {
    let mut drawn = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    handler.render_report(&mut drawn, diagnostic).expect("a string takes text");
}

/// What was taken is written out and taken again, the same.
fn round_trip(resolution: &Resolution) {
    let whole = |app: &&trueup_manifest::ResolvedApp| {
        let known = app.desired.policy.depends_on.iter().all(|other| resolution.apps.contains_key(other));
        known && app.desired.placement.target == TargetName::local()
    };
    if !resolution.apps.values().all(|app| whole(&app)) {
        return;
    }
    let written =
        resolution.apps.iter().map(|(name, app)| (format!("{name}.yaml"), to_yaml(&manifest_of(&app.desired))));
    let texts: BTreeMap<String, String> = written.collect();
    let again = resolve(&parsed(&texts), &BTreeMap::new());
    for (name, app) in &resolution.apps {
        let text = &texts[&format!("{name}.yaml")];
        let Some(second) = again.apps.get(name) else {
            let why: Vec<_> = again.diagnostics.iter().map(ManifestDiagnostic::line).collect();
            panic!("{name} is written and not taken again: {why:?}\n{text}");
        };
        // Where it stands is another place now.
        let second = DesiredApp { origin: app.desired.origin.clone(), ..DesiredApp::clone(&second.desired) };
        let differ = field_diff(Some(&app.desired), Some(&second));
        assert!(*app.desired == second, "{name} is another when it is read again: {differ:?}\n{text}");
    }
}
