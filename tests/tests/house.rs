//! The rules of the house, enforced: who may know whom, and how large a room may grow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Normal dependencies between our crates: the table of ARCHITECTURE.md. Dev edges to the simulations are always allowed, and
/// so are edges to the museum of bugs, which is nothing in what ships.
const ALLOWED: &[(&str, &[&str])] = &[
    ("trueup-museum", &[]),
    ("trueup-types", &[]),
    ("trueup-manifest", &["trueup-types"]),
    ("trueup-plan", &["trueup-types"]),
    ("trueup-seams", &["trueup-types"]),
    ("trueup-host", &["trueup-types", "trueup-seams"]),
    ("trueup-process", &["trueup-types", "trueup-seams", "trueup-host"]),
    ("trueup-docker", &["trueup-types", "trueup-seams", "trueup-host"]),
    ("trueup-edge", &["trueup-types", "trueup-seams", "trueup-host"]),
    ("trueup-store", &["trueup-types", "trueup-seams"]),
    ("trueup-secrets", &["trueup-types", "trueup-seams", "trueup-host"]),
    ("trueup-source", &["trueup-types", "trueup-seams", "trueup-manifest", "trueup-host"]),
    ("trueup-driver", &["trueup-types", "trueup-seams", "trueup-plan"]),
    ("trueup-server", &["trueup-types", "trueup-seams", "trueup-driver"]),
    ("trueup-cost", &["trueup-types", "trueup-manifest"]),
    ("trueup-fly-toml", &["trueup-types", "trueup-manifest"]),
    ("trueup-fly", &["trueup-types", "trueup-seams", "trueup-host"]),
    ("trueup-fly-sim", &[]),
    ("trueup-sim", &["trueup-types", "trueup-seams", "trueup-plan", "trueup-driver", "trueup-manifest"]),
    (
        "trueup",
        &[
            "trueup-types",
            "trueup-seams",
            "trueup-manifest",
            "trueup-plan",
            "trueup-driver",
            "trueup-server",
            "trueup-host",
            "trueup-process",
            "trueup-docker",
            "trueup-edge",
            "trueup-fly",
            "trueup-fly-sim",
            "trueup-fly-toml",
            "trueup-cost",
            "trueup-store",
            "trueup-secrets",
            "trueup-source",
        ],
    ),
];

/// Crates that must not reach any of [`IMPURE`], however indirectly.
const PURE: &[&str] =
    &["trueup-types", "trueup-plan", "trueup-seams", "trueup-manifest", "trueup-cost", "trueup-fly-toml"];
/// What a pure crate cannot have in reach.
const IMPURE: &[&str] = &["tokio", "hyper", "reqwest", "tracing", "notify", "sled"];

/// Packages that stand behind one file of a crate of ours each, and that crate.
const BEHIND_ONE_FILE: &[(&str, &str)] = &[
    ("serde_yaml", "trueup-manifest"),
    ("serde_saphyr", "trueup-manifest"),
    ("sled", "trueup-store"),
    ("backoff", "trueup-driver"),
    ("backoff", "trueup-fly"),
    ("hyper_rustls", "trueup-fly"),
    ("flate2", "trueup"),
    ("tar", "trueup"),
    ("tar", "trueup-docker"),
];

/// Most lines of a source file, without its tests.
const FILE_LINES_MAX: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace").to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec().expect("cargo metadata answers")
}

#[test]
fn crates_know_only_what_the_table_allows() {
    let metadata = metadata();
    let allowed: BTreeMap<_, BTreeSet<_>> =
        ALLOWED.iter().map(|(name, edges)| (*name, edges.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let Some(edges) = allowed.get(package.name.as_str()) else {
            let chore = ["xtask", "trueup-bench", "trueup-prove", "trueup-tests"].contains(&package.name.as_str());
            assert!(chore, "{} is not in the table of allowed edges", package.name);
            continue;
        };
        for dependency in &package.dependencies {
            let ours = dependency.name == "trueup" || dependency.name.starts_with("trueup-");
            let simulation = ["trueup-sim", "trueup-fly-sim"].contains(&dependency.name.as_str());
            let dev_to_sim = dependency.kind == DependencyKind::Development && simulation;
            let to_museum = dependency.name == "trueup-museum";
            if ours && !dev_to_sim && !to_museum && !edges.contains(dependency.name.as_str()) {
                wrong.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that the table does not allow: {wrong:#?}");
}

#[test]
fn pure_crates_have_nothing_impure_in_reach() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().expect("metadata is resolved");
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: BTreeMap<_, _> = metadata.packages.iter().map(|p| (&p.id, p.name.to_string())).collect();
    for pure in PURE {
        let start = metadata.packages.iter().find(|p| p.name.as_str() == *pure).expect("the crate is there");
        let (mut open, mut seen) = (vec![&start.id], BTreeSet::new());
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            assert!(!IMPURE.contains(&names[id].as_str()), "{pure} reaches {}", names[id]);
            let normal = nodes[id]
                .deps
                .iter()
                .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
            open.extend(normal.map(|dep| &dep.pkg));
        }
    }
}

#[test]
fn unmaintained_packages_stand_behind_one_file_each() {
    for (package, home) in BEHIND_ONE_FILE {
        let mut users = Vec::new();
        for (path, text) in sources() {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let names_it = |line: &str| line.contains(&format!("{package}::"));
            if code.into_iter().any(names_it) {
                users.push(path);
            }
        }
        let homes = BEHIND_ONE_FILE.iter().filter(|(other, _)| other == package).count();
        let at_home = users.iter().filter(|path| path.starts_with(&format!("crates/{home}/"))).count();
        assert_eq!(at_home, 1, "{package} is named in {users:?}; one file of {home} should own it");
        assert_eq!(users.len(), homes, "{package} is named in {users:?}, outside of its home");
    }
}

#[test]
fn no_room_is_too_large() {
    let mut swollen = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        if lines > FILE_LINES_MAX {
            swollen.push(format!("{path}: {lines} lines"));
        }
    }
    assert!(swollen.is_empty(), "files over {FILE_LINES_MAX} lines miss a noun: {swollen:#?}");
}

#[test]
fn every_module_begins_with_its_story() {
    let storyless: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(p, _)| p).collect();
    assert!(storyless.is_empty(), "modules without a story: {storyless:#?}");
}

#[test]
fn every_exception_of_deny_toml_has_a_reason() {
    let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
    let exceptions: Vec<_> = text.lines().filter(|line| line.trim_start().starts_with("{ id =")).collect();
    assert!(!exceptions.is_empty(), "the owner named unmaintained packages; their exceptions must be listed");
    for line in exceptions {
        let reason = line.split("reason = \"").nth(1).unwrap_or_default();
        assert!(reason.len() > 20, "an exception without a reason: {line}");
    }
}

/// Our library and binary sources, by path relative to the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join("crates"), root().join("xtask")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("the entry is there").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() {
                if !["tests", "target", "fixtures", "corpus"].contains(&name.as_str()) {
                    open.push(path);
                }
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("the file reads");
                let path = path.strip_prefix(root()).expect("it lies in the workspace").display().to_string();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 20, "the walk found too few sources to mean anything");
    found.sort();
    found
}
