//! The five profiles that every build carries, as the manifests they are.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::node::Node;
use crate::parse::parse_file;
use crate::text::FileText;

/// Name and text of each, in the order of the documentation.
const BUILTIN: [(&str, &str); 5] = [
    ("web", include_str!("../../../manifests/profiles/web.yaml")),
    ("worker", include_str!("../../../manifests/profiles/worker.yaml")),
    ("vango", include_str!("../../../manifests/profiles/vango.yaml")),
    ("nitro", include_str!("../../../manifests/profiles/nitro.yaml")),
    ("static", include_str!("../../../manifests/profiles/static.yaml")),
];

/// The built-in profiles: name, and the text of the manifest.
#[must_use]
pub fn builtin_profiles() -> Vec<(String, String)> {
    BUILTIN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// Their specs, parsed once.
pub(crate) fn builtin_specs() -> &'static BTreeMap<&'static str, Arc<Node>> {
    static SPECS: LazyLock<BTreeMap<&'static str, Arc<Node>>> = LazyLock::new(|| {
        let spec = |(name, text): &(&'static str, &str)| {
            let file = FileText { path: format!("profiles/{name}.yaml"), text: (*text).into() };
            let parsed = parse_file(&file);
            let spec = parsed.documents.first().and_then(|document| document.spec()).cloned();
            // A test holds every one of them to it.
            (*name, Arc::new(spec.expect("the built-in profiles parse")))
        };
        BUILTIN.iter().map(spec).collect()
    });
    &SPECS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_profiles_are_sound_and_named_like_their_files() {
        for (name, text) in builtin_profiles() {
            let parsed = parse_file(&FileText { path: name.clone(), text: text.into() });
            assert!(parsed.diagnostics().is_empty(), "{:?}", parsed.diagnostics());
            assert_eq!(parsed.documents.len(), 1);
            assert_eq!(parsed.documents[0].name().map(|(name, _)| name), Some(name.as_str()));
        }
        assert_eq!(builtin_specs().len(), BUILTIN.len());
    }
}
