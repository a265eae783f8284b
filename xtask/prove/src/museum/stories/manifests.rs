//! What a manifest says, and what it must not be able to say.

use std::collections::BTreeMap;
use std::sync::Arc;

use trueup_manifest::{FileText, parse_file, resolve};

use super::Told;
use super::stage::sure;

const WEB: &str = "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {name: web}\nspec:\n  command: [serve]\n";

/// The codes of the errors of one file.
fn errors(text: &str) -> Vec<String> {
    let file = parse_file(&FileText { path: "app.yaml".to_owned(), text: text.into() });
    let resolution = resolve(&BTreeMap::from([("app.yaml".to_owned(), Arc::new(file))]), &BTreeMap::new());
    resolution.diagnostics.iter().filter(|one| one.is_error()).map(|one| one.line()).collect()
}

/// Accepted as it is, refused with more.
fn refused_with(more: &str) -> Told {
    let sound = errors(WEB);
    sure(sound.is_empty(), &format!("a sound manifest is refused: {sound:?}"))?;
    let text = format!("{WEB}{more}");
    sure(!errors(&text).is_empty(), &format!("accepted without a word:\n{text}"))
}

pub fn a_key_is_written_once() -> Told {
    refused_with("  replicas: 3\n  replicas: 1\n")
}

pub fn a_mistyped_key_is_an_error() -> Told {
    refused_with("  replcias: 3\n")
}

pub fn a_circle_is_an_error() -> Told {
    let app = |name: &str, needs: &str| format!("{}  dependsOn: [{needs}]\n", WEB.replace("web", name));
    let chain = format!("{}---\n{}", app("a", "b"), WEB.replace("web", "b"));
    let sound = errors(&chain);
    sure(sound.is_empty(), &format!("a sound chain is refused: {sound:?}"))?;
    sure(!errors(&format!("{}---\n{}", app("a", "b"), app("b", "a"))).is_empty(), "a waits for b, and b for a")
}
