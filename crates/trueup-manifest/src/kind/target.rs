//! The table of `Target`, and its lowering.

use trueup_types::target::{DockerSpec, IngressKind};
use trueup_types::{Label, TargetKind, TargetName, TargetSpec};

use crate::diagnostic::Finding;
use crate::field::{Field, Shape, Word};
use crate::kind::{ANNOTATIONS, API, KIND_DOC, LABELS};
use crate::node::{Node, Value};
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
    Field::new("docker", Shape::Object(DOCKER), "Containers of a Docker engine."),
    Field::new("systemd", Shape::Any, "Units of a host over SSH.").refused(),
    Field::new("fly", Shape::Any, "Fly.io Machines.").refused(),
    Field::new("ingress", Shape::Word(INGRESS), "Who routes to it.").or("edge"),
];

/// Most entries of a list of a target.
const FEW: usize = 64;

const DOCKER: &[Field] = &[
    Field::new("host", Shape::Text(rule::ENGINE), "The engine's socket.").or("unix:///var/run/docker.sock"),
    Field::new(
        "network",
        Shape::Text(rule::LABEL),
        "The network that all containers of the target share, each under its app's name; made where it is not there.",
    )
    .or("the engine's own"),
    Field::new("registryAuthFrom", Shape::Object(REGISTRY_AUTH_FROM), "Where credentials of registries are."),
    Field::new("readOnly", Shape::Bool, "Whether the root of each container may only be read.").or("false"),
    Field::new(
        "tmpfs",
        Shape::List { item: &Shape::Text(rule::ROOTED), least: 0, most: FEW },
        "Folders of each container that are kept in memory, and may be written.",
    ),
    Field::new(
        "dropCapabilities",
        Shape::List { item: &Shape::Text(rule::CAPABILITY), least: 0, most: FEW },
        "Capabilities that containers do without; `ALL` for every one.",
    ),
    Field::new("noNewPrivileges", Shape::Bool, "Whether programs can never gain rights that they did not start with.")
        .or("false"),
];

const REGISTRY_AUTH_FROM: &[Field] = &[Field::new(
    "file",
    Shape::Text(rule::ROOTED),
    "A configuration file of Docker's, with `auths`; read at each pull.",
)
.required()];

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
    let kind = match (spec.entry("process"), spec.entry("docker")) {
        (Some(_), Some(docker)) => {
            let message = "`process` and `docker` exclude each other";
            let finding = Finding::error("manifest::target::kind", docker.key_at, message);
            findings.push(finding.help("keep one of them: a target is of one kind"));
            return None;
        }
        (Some(_), None) => TargetKind::Process,
        (None, Some(docker)) => TargetKind::Docker(docker_spec(&docker.node)),
        (None, None) => {
            if !["systemd", "fly"].iter().any(|kind| spec.entry(kind).is_some()) {
                let at = root.entry("spec").map_or(whole, |e| e.key_at);
                let finding = Finding::error("manifest::target::kind", at, "the target does not say what runs there");
                findings.push(finding.help("write `process: {}` or `docker: {}` below `spec`"));
            }
            return None;
        }
    };
    let ingress = match spec.entry("ingress").and_then(|entry| entry.node.text()) {
        Some("none") => IngressKind::None,
        Some(_) | None => IngressKind::Edge,
    };
    Some(TargetSpec { name, kind, ingress })
}

/// What a checked `docker:` says; what `check` has refused is left at its default, and the target is refused anyway.
fn docker_spec(node: &Node) -> DockerSpec {
    let text = |node: &Node, key| node.entry(key).and_then(|entry| entry.node.text()).map(str::to_owned);
    let truth = |key| node.entry(key).is_some_and(|entry| entry.node.value == Value::Bool(true));
    let texts = |key| {
        let items = node.entry(key).map(|entry| entry.node.items()).unwrap_or_default();
        items.iter().filter_map(Node::text).map(str::to_owned).collect()
    };
    DockerSpec {
        host: text(node, "host"),
        network: text(node, "network").and_then(|name| Label::new(&name).ok()),
        registry_auth_from: node.entry("registryAuthFrom").and_then(|entry| text(&entry.node, "file")),
        read_only: truth("readOnly"),
        tmpfs: texts("tmpfs"),
        drop_capabilities: texts("dropCapabilities"),
        no_new_privileges: truth("noNewPrivileges"),
    }
}
