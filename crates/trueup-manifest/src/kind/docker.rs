//! What a `Target` of containers says, and its lowering.

use std::collections::BTreeMap;

use trueup_types::Label;
use trueup_types::docker::{DockerSpec, Healthcheck, LogDriver, LogSpec, OldImages, RestartBy};

use crate::field::{Field, Shape, Word};
use crate::node::{Node, Value};
use crate::rule;

/// Most entries of a list of a target.
const FEW: usize = 64;

pub(super) const DOCKER: &[Field] = &[
    Field::new("host", Shape::Text(rule::ENGINE), "The engine's socket, or `tcp://HOST:PORT` in the clear.")
        .or("unix:///var/run/docker.sock"),
    Field::new(
        "publish",
        Shape::Text(rule::IP),
        "The address of the engine's host that ports are published on: one that the edge reaches.",
    )
    .or("127.0.0.1"),
    Field::new(
        "network",
        Shape::Text(rule::LABEL),
        "The network that all containers of the target share, each under its app's name; made where it is not there.",
    )
    .or("the engine's own"),
    Field::new(
        "registryAuthFrom",
        Shape::Object(REGISTRY_AUTH_FROM),
        "Where credentials of registries are that no `Registry` names.",
    ),
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
    Field::new(
        "extraHosts",
        Shape::Map { key: rule::HOST, value: &Shape::Text(rule::GATEWAY), most: FEW },
        "Hosts that containers know by name beyond those of the network; `host-gateway` is the engine's own host.",
    ),
    Field::new("log", Shape::Object(LOG), "How the engine keeps the logs of containers."),
    Field::new("restart", Shape::Word(RESTART), "Who starts again what has ended.").or("trueup"),
    Field::new("oldImages", Shape::Word(OLD_IMAGES), "What becomes of images that no release needs any more.")
        .or("keep"),
    Field::new("healthcheck", Shape::Word(HEALTHCHECK), "Whether an image's own HEALTHCHECK is a source of health.")
        .or("image"),
];

const REGISTRY_AUTH_FROM: &[Field] = &[Field::new(
    "file",
    Shape::Text(rule::ROOTED),
    "A configuration file of Docker's, with `auths`, `credHelpers` or `credsStore`; read at each pull.",
)
.required()];

const LOG: &[Field] = &[
    Field::new("driver", Shape::Word(LOG_DRIVER), "Which of its ways.").or("json-file"),
    Field::new(
        "options",
        Shape::Map { key: rule::KEY, value: &Shape::Text(rule::ANY_TEXT), most: FEW },
        "Words for it, as the engine knows them.",
    )
    .or("two files of 10 MiB, where the driver keeps files"),
];

const LOG_DRIVER: &[Word] = &[
    Word::new("json-file", "A file of JSON for each container."),
    Word::new("local", "The engine's own format, smaller."),
    Word::new("journald", "systemd's journal."),
];

const RESTART: &[Word] = &[
    Word::new("trueup", "trueup, once it runs."),
    Word::new("engine", "The engine, so that apps are back after a reboot before anybody else is."),
];

const OLD_IMAGES: &[Word] = &[
    Word::new("keep", "They stay."),
    Word::new("prune", "Those that trueup pulled or built are removed once no release that is kept needs them."),
];

const HEALTHCHECK: &[Word] = &[
    Word::new("image", "Where the image has one: alone where the app has no probes, else beside them."),
    Word::new("off", "It is not asked."),
];

/// What a checked `docker:` says; what `check` has refused is left at its default, and the target is refused anyway.
pub(super) fn lower(node: &Node) -> DockerSpec {
    let text = |node: &Node, key| node.entry(key).and_then(|entry| entry.node.text()).map(str::to_owned);
    let truth = |key| node.entry(key).is_some_and(|entry| entry.node.value == Value::Bool(true));
    let texts = |key| {
        let items = node.entry(key).map(|entry| entry.node.items()).unwrap_or_default();
        items.iter().filter_map(Node::text).map(str::to_owned).collect()
    };
    let is = |key, word: &str| text(node, key).is_some_and(|said| said == word);
    DockerSpec {
        host: text(node, "host"),
        publish: text(node, "publish").and_then(|address| address.parse().ok()),
        network: text(node, "network").and_then(|name| Label::new(&name).ok()),
        registry_auth_from: node.entry("registryAuthFrom").and_then(|entry| text(&entry.node, "file")),
        registries: Vec::new(),
        read_only: truth("readOnly"),
        tmpfs: texts("tmpfs"),
        drop_capabilities: texts("dropCapabilities"),
        no_new_privileges: truth("noNewPrivileges"),
        extra_hosts: node.entry("extraHosts").map(|entry| words(&entry.node)).unwrap_or_default(),
        log: node.entry("log").filter(|entry| entry.node.value != Value::Null).map(|entry| log(&entry.node)),
        restart: if is("restart", "engine") { RestartBy::Engine } else { RestartBy::Trueup },
        old_images: if is("oldImages", "prune") { OldImages::Prune } else { OldImages::Keep },
        healthcheck: if is("healthcheck", "off") { Healthcheck::Off } else { Healthcheck::Image },
    }
}

fn log(node: &Node) -> LogSpec {
    let driver = match node.entry("driver").and_then(|entry| entry.node.text()) {
        Some("local") => LogDriver::Local,
        Some("journald") => LogDriver::Journald,
        Some(_) | None => LogDriver::JsonFile,
    };
    LogSpec { driver, options: node.entry("options").map(|entry| words(&entry.node)).unwrap_or_default() }
}

fn words(node: &Node) -> BTreeMap<String, String> {
    let entries = node.entries().iter();
    entries.filter_map(|entry| Some((entry.key.to_string(), entry.node.text()?.to_owned()))).collect()
}
