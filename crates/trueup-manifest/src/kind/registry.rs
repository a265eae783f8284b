//! The table of `Registry`, and its lowering: who asks a registry of images, and where the password is.

use trueup_types::Label;
use trueup_types::docker::RegistrySpec;

use crate::diagnostic::Finding;
use crate::field::{Field, Shape, Word};
use crate::kind::fly::{SECRET_FROM, secret_from};
use crate::kind::{ANNOTATIONS, API, KIND_DOC, LABELS};
use crate::node::Node;
use crate::rule;

pub(crate) static DOCUMENT: &[Field] = &[
    API,
    Field::new("kind", Shape::Word(&[Word::new("Registry", "Credentials of a registry of images.")]), KIND_DOC)
        .required(),
    Field::new("metadata", Shape::Object(METADATA), "Its name and notes.").required(),
    Field::new("spec", Shape::Object(SPEC), "Which registry, and who asks it.").required(),
];

const METADATA: &[Field] =
    &[Field::new("name", Shape::Text(rule::LABEL), "Its name, for messages.").required(), LABELS, ANNOTATIONS];

const SPEC: &[Field] = &[
    Field::new(
        "host",
        Shape::Text(rule::REGISTRY),
        "Its host as images name it, with a port where they have one; `docker.io` for images that name none.",
    )
    .required(),
    Field::new("username", Shape::Text(rule::USER), "Who asks.").required(),
    Field::new(
        "passwordFrom",
        Shape::Object(SECRET_FROM),
        "Where the password, or the token, is: one of `env`, `file` and `exec`; read at each pull.",
    )
    .required(),
];

/// A registry out of a checked document; `None` where `check` has found it wrong.
pub(crate) fn lower(root: &Node, findings: &mut Vec<Finding>) -> Option<RegistrySpec> {
    let spec = &root.entry("spec")?.node;
    let text = |key: &str| spec.entry(key).and_then(|entry| entry.node.text()).map(str::to_owned);
    Some(RegistrySpec {
        name: Label::new(root.entry("metadata")?.node.entry("name")?.node.text()?).ok()?,
        host: text("host")?,
        username: text("username")?,
        password_from: secret_from(spec.entry("passwordFrom")?, findings)?,
    })
}
