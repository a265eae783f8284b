//! The table of `Target`, and its lowering.

use trueup_types::target::IngressKind;
use trueup_types::{TargetKind, TargetName, TargetSpec};

use crate::diagnostic::Finding;
use crate::field::{Field, Shape, Word};
use crate::kind::{ANNOTATIONS, API, KIND_DOC, LABELS, docker, fly};
use crate::node::{Entry, Node, Value};
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
    Field::new("docker", Shape::Object(docker::DOCKER), "Containers of a Docker engine."),
    Field::new("systemd", Shape::Any, "Units of a host over SSH.").refused(),
    Field::new("fly", Shape::Object(fly::FLY), "Fly.io Machines."),
    Field::new(
        "hosts",
        Shape::Text(rule::HOSTS),
        "How the hosts of routes are called that name none: `{app}`, `{target}` and the app's labels are filled in, each part made a label of a host name.",
    ),
    Field::new("ingress", Shape::Word(INGRESS), "Who routes to it; on Fly always the platform.").or("edge"),
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
    let kind = kind(root, spec, whole, findings)?;
    let written = spec.entry("ingress").filter(|entry| entry.node.value != Value::Null);
    let ingress = match (&kind, written.and_then(|entry| entry.node.text())) {
        (TargetKind::Fly(_), _) => {
            if let Some(entry) = written {
                let message = "`ingress` is not served by fly targets: the platform routes to its machines";
                findings.push(Finding::error("manifest::unserved", entry.key_at, message).help("remove it"));
                return None;
            }
            IngressKind::Platform
        }
        (TargetKind::Process | TargetKind::Docker(_), Some("none")) => IngressKind::None,
        (TargetKind::Process | TargetKind::Docker(_), Some(_) | None) => IngressKind::Edge,
    };
    let hosts = spec.entry("hosts").and_then(|entry| entry.node.text()).and_then(|text| text.parse().ok());
    Some(TargetSpec { name, kind, ingress, hosts })
}

/// The one kind that a target says it is.
fn kind(root: &Node, spec: &Node, whole: Span, findings: &mut Vec<Finding>) -> Option<TargetKind> {
    let said = |key: &&str| spec.entry(key).filter(|entry| entry.node.value != Value::Null);
    let all: Vec<&Entry> = ["process", "docker", "fly"].iter().filter_map(said).collect();
    match all[..] {
        [] => {
            if spec.entry("systemd").is_none() {
                let at = root.entry("spec").map_or(whole, |e| e.key_at);
                let finding = Finding::error("manifest::target::kind", at, "the target does not say what runs there");
                findings.push(finding.help("write `process: {}`, `docker: {}` or `fly: {…}` below `spec`"));
            }
            None
        }
        [only] => match &*only.key {
            "process" => Some(TargetKind::Process),
            "docker" => Some(TargetKind::Docker(docker::lower(&only.node))),
            _ => fly::lower(only, findings).map(TargetKind::Fly),
        },
        [first, second, ..] => {
            let message = format!("`{}` and `{}` exclude each other", first.key, second.key);
            let finding = Finding::error("manifest::target::kind", second.key_at, message);
            findings.push(finding.help("keep one of them: a target is of one kind"));
            None
        }
    }
}
