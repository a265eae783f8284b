//! What differs between two versions of an app, field by field, in the words of the manifest.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use trueup_types::desired::DesiredApp;

use crate::spec::manifest_of;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Below `spec`, as `env.RUST_LOG` or `ports[http].port`; labels and notes below `metadata`.
    pub path: String,
    /// What it was; `None` when it was not there.
    pub before: Option<String>,
    /// What it becomes; `None` when it goes.
    pub after: Option<String>,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{}: {before} -> {after}", self.path),
            (None, Some(after)) => write!(f, "{}: + {after}", self.path),
            (Some(before), None) => write!(f, "{}: - {before}", self.path),
            (None, None) => f.write_str(&self.path),
        }
    }
}

/// The fields that differ between two resolved apps, by path; defaults count as written.
#[must_use]
pub fn field_diff(before: Option<&DesiredApp>, after: Option<&DesiredApp>) -> Vec<FieldChange> {
    let (mut before, mut after) = (fields(before), fields(after));
    let mut changes: Vec<_> = Vec::new();
    for (path, old) in std::mem::take(&mut before) {
        let new = after.remove(&path);
        if new.as_ref() != Some(&old) {
            changes.push(FieldChange { path, before: Some(old), after: new });
        }
    }
    changes.extend(after.into_iter().map(|(path, new)| FieldChange { path, before: None, after: Some(new) }));
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    changes
}

fn fields(app: Option<&DesiredApp>) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let Some(app) = app else { return fields };
    let manifest = manifest_of(app);
    flatten(&manifest["spec"], "", &mut fields);
    for part in ["labels", "annotations"] {
        flatten(&manifest["metadata"][part], &format!("metadata.{part}"), &mut fields);
    }
    fields
}

fn flatten(value: &Value, path: &str, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => {
            fields.insert(path.to_owned(), value.to_string());
        }
        Value::String(text) => {
            fields.insert(path.to_owned(), spell(text));
        }
        Value::Object(map) => {
            for (key, value) in map {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(value, &below, fields);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                let below = format!("{path}[{}]", identity(item).unwrap_or_else(|| index.to_string()));
                flatten(item, &below, fields);
            }
        }
        Value::Array(items) => {
            fields.insert(path.to_owned(), Value::from(items.clone()).to_string());
        }
    }
}

/// What tells an item of a list from the others, whatever its place.
fn identity(item: &Value) -> Option<String> {
    if let Some(host) = item["host"].as_str() {
        return Some(format!("{host}{}", item["path"].as_str().unwrap_or_default()));
    }
    ["name", "secret", "path"].into_iter().find_map(|key| item[key].as_str()).map(str::to_owned)
}

/// Text as it is where that is plain, quoted where it would not be seen.
fn spell(text: &str) -> String {
    let plain = !text.is_empty() && text.trim() == text && !text.contains(char::is_control);
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}
