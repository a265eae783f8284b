//! The table of `Secret`, and its lowering: where values are read that no manifest holds.

use std::collections::BTreeMap;

use trueup_types::Label;
use trueup_types::secret::{SecretFrom, SecretSpec};

use crate::diagnostic::Finding;
use crate::field::{Field, Shape, Word};
use crate::kind::{ANNOTATIONS, API, KIND_DOC, LABELS};
use crate::node::{Entry, Node, Value};
use crate::rule;
use crate::text::Span;

/// Most keys of one secret.
const KEYS_MAX: usize = 256;
/// Most words of a command that prints a secret.
const WORDS_MAX: usize = 64;

pub(crate) static DOCUMENT: &[Field] = &[
    API,
    Field::new("kind", Shape::Word(&[Word::new("Secret", "Values that are read from elsewhere.")]), KIND_DOC)
        .required(),
    Field::new("metadata", Shape::Object(METADATA), "Its name and notes.").required(),
    Field::new("spec", Shape::Object(SPEC), "Where its values are: one of `fromEnv`, `fromFile` and `fromExec`.")
        .required(),
];

const METADATA: &[Field] = &[
    Field::new("name", Shape::Text(rule::LABEL), "Its name, by which `envFrom` asks for it.").required(),
    LABELS,
    ANNOTATIONS,
];

const SPEC: &[Field] = &[
    Field::new(
        "fromEnv",
        Shape::Map { key: rule::SECRET_KEY, value: &Shape::Text(rule::VARIABLE), most: KEYS_MAX },
        "Each key, and the variable of the daemon's environment that its value is in.",
    ),
    Field::new(
        "fromFile",
        Shape::Text(rule::PATH),
        "A file of lines `KEY=value`, or a folder of one file for each key; relative to the manifests' directory, and \
         of a mode by which others can read nothing.",
    ),
    Field::new(
        "fromExec",
        Shape::List { item: &Shape::Text(rule::ARGUMENT), least: 1, most: WORDS_MAX },
        "A command that prints lines `KEY=value` or a JSON object, run in the manifests' directory: `[sops, -d, api.env]`.",
    ),
];

/// A secret out of a checked document; `None` where `check` has found it wrong, or where it names no place or several.
pub(crate) fn lower(root: &Node, at: Span, findings: &mut Vec<Finding>) -> Option<SecretSpec> {
    let spec = root.entry("spec")?;
    let said: Vec<_> = spec.node.entries().iter().filter(|said| said.node.value != Value::Null).collect();
    let known: Vec<_> = said.iter().filter(|said| SPEC.iter().any(|field| *field.name == *said.key)).collect();
    let [one] = known[..] else {
        // What is no field has been said.
        if known.len() == said.len() {
            let message = match known.len() {
                0 => "the secret does not say where its values are".to_owned(),
                count => format!("the secret names {count} places"),
            };
            let finding = Finding::error("manifest::secret::from", known.get(1).map_or(at, |one| one.key_at), message);
            findings.push(finding.help("write one of `fromEnv`, `fromFile` and `fromExec`"));
        }
        return None;
    };
    let from = match &*one.key {
        "fromEnv" => SecretFrom::Env(names(&one.node, one.key_at, findings)?),
        "fromFile" => SecretFrom::File(one.node.text()?.to_owned()),
        _ => SecretFrom::Exec(one.node.items().iter().filter_map(Node::text).map(str::to_owned).collect()),
    };
    let name = Label::new(root.entry("metadata")?.node.entry("name")?.node.text()?).ok()?;
    Some(SecretSpec { name, from })
}

fn names(node: &Node, at: Span, findings: &mut Vec<Finding>) -> Option<BTreeMap<String, String>> {
    if node.entries().is_empty() {
        let finding = Finding::error("manifest::secret::keys", at, "`fromEnv` names no key");
        findings.push(finding.help("write `{DATABASE_URL: DATABASE_URL}`: the key, and the daemon's variable"));
        return None;
    }
    let name = |entry: &Entry| Some((entry.key.to_string(), entry.node.text()?.to_owned()));
    Some(node.entries().iter().filter_map(name).collect())
}
