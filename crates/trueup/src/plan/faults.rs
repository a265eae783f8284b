//! What is wrong with manifests, each; and what is doubtful, once for all the places that it stands in.
//!
//! A plan is read for what it changes: `trueup validate` is there to show each doubt in its place.

use std::collections::BTreeMap;

use trueup_manifest::ManifestDiagnostic;

/// Places that are named, of one doubt.
const PLACES_MAX: usize = 3;

/// The texts to be shown, one after the other.
pub(super) fn told<'a>(diagnostics: impl Iterator<Item = &'a ManifestDiagnostic>) -> Vec<String> {
    let (errors, doubts): (Vec<_>, Vec<_>) = diagnostics.partition(|one| one.is_error());
    let mut kinds: BTreeMap<(&str, &str), Vec<&ManifestDiagnostic>> = BTreeMap::new();
    for doubt in doubts {
        kinds.entry((doubt.code, &doubt.message)).or_default().push(doubt);
    }
    let mut told: Vec<_> = errors.into_iter().map(spelled).collect();
    for places in kinds.into_values() {
        let Some((first, others)) = places.split_first() else { continue };
        told.push(format!("{}{}", spelled(first), elsewhere(others)));
    }
    told
}

fn spelled(diagnostic: &ManifestDiagnostic) -> String {
    format!("{:?}", miette::Report::new(diagnostic.clone()))
}

/// The line that names the other places of a doubt, where there are any.
fn elsewhere(others: &[&ManifestDiagnostic]) -> String {
    let named: Vec<_> = others.iter().take(PLACES_MAX).map(|one| format!("{}:{}", one.file, one.line)).collect();
    match others.len().saturating_sub(PLACES_MAX) {
        _ if named.is_empty() => String::new(),
        0 => format!("  the same at {}\n", named.join(", ")),
        more => format!("  the same at {} and {more} more; `trueup validate` shows each\n", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trueup_manifest::{FileText, parse_file, resolve};

    use super::*;

    /// What is told of these files.
    fn of(files: &[(String, &str)]) -> Vec<String> {
        let parsed = files.iter().map(|(path, text)| {
            (path.clone(), Arc::new(parse_file(&FileText { path: path.clone(), text: (*text).into() })))
        });
        let resolution = resolve(&parsed.collect(), &BTreeMap::new());
        let warnings = resolution.apps.values().flat_map(|app| &app.warnings);
        told(resolution.diagnostics.iter().chain(warnings))
    }

    fn app(name: &str, more: &str) -> String {
        format!(
            "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: {name}}}\nspec:\n  command: [sleep, '9']\n{more}"
        )
    }

    #[test]
    fn a_doubt_is_shown_once_and_its_other_places_named_and_each_error_is_shown() {
        let doubtful: Vec<_> = (0..6).map(|index| (format!("a{index}.yaml"), app(&format!("a{index}"), ""))).collect();
        let borrowed = |count: usize| -> Vec<_> {
            doubtful[..count].iter().map(|(path, text)| (path.clone(), text.as_str())).collect()
        };
        let [one] = &of(&borrowed(1))[..] else { panic!("one doubt is one text") };
        assert!(one.contains("the app has no probes") && !one.contains("the same"), "{one}");
        let [three] = &of(&borrowed(3))[..] else { panic!("one kind of doubt is one text") };
        assert!(three.contains("[a0.yaml:4:1]") && three.ends_with("  the same at a1.yaml:4, a2.yaml:4\n"), "{three}");
        let [six] = &of(&borrowed(6))[..] else { panic!("one kind of doubt is one text") };
        let named = "  the same at a1.yaml:4, a2.yaml:4, a3.yaml:4 and 2 more; `trueup validate` shows each\n";
        assert!(six.ends_with(named), "{six}");
        let broken = app("b", "  replica: 1\n");
        let two = of(&[("b.yaml".to_owned(), &broken), ("c.yaml".to_owned(), &broken)]);
        let errors = two.iter().filter(|text| text.contains("replica")).count();
        assert_eq!(errors, 2, "{two:?}");
    }
}
