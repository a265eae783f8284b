//! The table of `Target`, and its lowering.

use trueup_types::target::IngressKind;
use trueup_types::{TargetKind, TargetName, TargetSpec};

use crate::diagnostic::Finding;
use crate::field::{Field, Shape, Word};
use crate::kind::{ANNOTATIONS, API, KIND_DOC, LABELS};
use crate::node::Node;
use crate::rule;
use crate::text::Span;

pub(crate) static DOCUMENT: &[Field] = &[
    API,
    Field::new("kind", Shape::Word(&[Word::new("Target", "A runtime somewhere.")]), KIND_DOC).required(),
    Field::new("metadata", Shape::Object(METADATA), "Its name and notes.").required(),
    Field::new("spec", Shape::Object(SPEC), "What runs there and who routes to it.").required(),
];

const METADATA: &[Field] = &[
    Field::new("name", Shape::Text(rule::TARGET), "Its name; `local` is always there and may be redefined.").required(),
    LABELS,
    ANNOTATIONS,
];

const SPEC: &[Field] = &[
    Field::new("process", Shape::Object(&[]), "Processes on this host."),
    Field::new("docker", Shape::Any, "Containers of a Docker engine.").refused(),
    Field::new("systemd", Shape::Any, "Units of a host over SSH.").refused(),
    Field::new("fly", Shape::Any, "Fly.io Machines.").refused(),
    Field::new("ingress", Shape::Word(INGRESS), "Who routes to it.").or("edge"),
];

const INGRESS: &[Word] = &[
    Word::new("edge", "The built-in edge proxy."),
    Word::new("none", "Nobody: routes are an error."),
    Word::refused("npm", "Nginx Proxy Manager."),
];

/// A target out of a checked document; `None` where `check` has found it wrong.
pub(crate) fn lower(root: &Node, whole: Span, findings: &mut Vec<Finding>) -> Option<TargetSpec> {
    let spec = &root.entry("spec")?.node;
    let name = root.entry("metadata")?.node.entry("name")?.node.text()?;
    let name = TargetName::new(name).ok()?;
    if spec.entry("process").is_none() {
        if !["docker", "systemd", "fly"].iter().any(|kind| spec.entry(kind).is_some()) {
            let finding = Finding::error(
                "manifest::target::kind",
                root.entry("spec").map_or(whole, |e| e.key_at),
                "the target does not say what runs there",
            );
            findings.push(finding.help("write `process: {}` below `spec`"));
        }
        return None;
    }
    let ingress = match spec.entry("ingress").and_then(|entry| entry.node.text()) {
        Some("none") => IngressKind::None,
        Some(_) | None => IngressKind::Edge,
    };
    Some(TargetSpec { name, kind: TargetKind::Process, ingress })
}
