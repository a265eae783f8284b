//! The way back: a desired app as the manifest that says all of it.
//!
//! What `get -o yaml` prints and what `diff` compares: every default written out, profiles merged, in the words of the
//! manifest. Parsing it again gives the same app.

use serde_json::{Map, Value, json};
use trueup_types::Place;
use trueup_types::desired::{DesiredApp, Prune};
use trueup_types::fly::FlySpec;

use crate::kind::API_VERSION;
use crate::units::spell_size;

/// The manifest of an app with every default written out.
///
/// # Panics
/// Never: our own types always become JSON.
#[must_use]
pub fn manifest_of(app: &DesiredApp) -> Value {
    let mut metadata = Map::from_iter([("name".to_owned(), json!(app.name))]);
    if !app.labels.is_empty() {
        metadata.insert("labels".to_owned(), json!(app.labels));
    }
    match app.prune {
        Prune::Delete => {}
        Prune::Orphan => {
            metadata.insert("annotations".to_owned(), json!({"trueup.dev/prune": "false"}));
        }
    }
    json!({"apiVersion": API_VERSION, "kind": "App", "metadata": metadata, "spec": spec(app)})
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn json_of<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("our own types always become JSON")
}

fn spec(app: &DesiredApp) -> Value {
    let mut spec = map(json_of(&*app.template));
    // Left out of digests when they hold their defaults; people want to see them.
    spec.insert("restart".to_owned(), json_of(&app.template.restart));
    spec.insert("stop".to_owned(), json_of(&app.template.stop));
    each(spec.get_mut("files"), |file| {
        let mode = file.get("mode").and_then(Value::as_u64).unwrap_or_default();
        file.insert("mode".to_owned(), json!(format!("{mode:04o}")));
    });
    each(spec.get_mut("volumes"), |volume| size(volume, "sizeBytes", "size"));
    each(spec.get_mut("health"), |probe| {
        let check = probe.remove("check").map(map).unwrap_or_default();
        probe.extend(check);
    });
    if let Some(Value::Object(resources)) = spec.get_mut("resources") {
        size(resources, "memoryBytes", "memory");
    }
    spec.extend(map(json_of(&app.exposure)));
    each(spec.get_mut("routes"), |route| {
        // What is chosen by a target when it makes the app is no host that a manifest can name.
        let host = route.get("host").and_then(Value::as_str).filter(|host| host.contains(FlySpec::RANDOM));
        match host.map(FlySpec::is_private) {
            Some(true) => drop(route.insert("host".to_owned(), json!(FlySpec::PRIVATE.trim_start_matches('.')))),
            Some(false) => drop(route.remove("host")),
            None => {}
        }
    });
    let mut rollout = map(json_of(&app.policy));
    // Derived from ports and volumes, and told by `plan`.
    rollout.remove("stopFirst");
    for key in ["maxSurge", "maxUnavailable"] {
        let count = rollout.get(key).and_then(Value::as_str).and_then(|text| text.parse::<u32>().ok());
        rollout.extend(count.map(|count| (key.to_owned(), json!(count))));
    }
    rollout.extend(spec.remove("bakeKeep").map(|keep| ("bakeKeep".to_owned(), keep)));
    each(rollout.get_mut("steps"), |step| each(step.get_mut("analysis"), question));
    for key in ["dependsOn", "history", "suspend"] {
        spec.extend(rollout.remove(key).map(|value| (key.to_owned(), value)));
    }
    spec.insert("rollout".to_owned(), Value::Object(rollout));
    spec.insert("target".to_owned(), json!(app.placement.target));
    match app.placement.spread.get(&Place::here()) {
        Some(replicas) => spec.insert("replicas".to_owned(), json!(replicas)),
        None => spec.insert("regions".to_owned(), json!(app.placement.spread)),
    };
    Value::Object(spec)
}

/// An analysis names its question by a key of its own; what a page's JSON is to be are two keys.
fn question(analysis: &mut Map<String, Value>) {
    let mut asked = analysis.remove("ask").map(map).unwrap_or_default();
    for question in asked.values_mut().filter_map(Value::as_object_mut) {
        if let Some([pointer, expect]) = question.remove("json").as_ref().and_then(Value::as_array).map(Vec::as_slice) {
            question.insert("json".to_owned(), pointer.clone());
            question.insert("expect".to_owned(), expect.clone());
        }
    }
    analysis.extend(asked);
}

/// Changes every map of a list.
fn each(list: Option<&mut Value>, change: impl Fn(&mut Map<String, Value>)) {
    let Some(Value::Array(items)) = list else { return };
    for item in items {
        if let Value::Object(item) = item {
            change(item);
        }
    }
}

fn size(holder: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(bytes) = holder.remove(from).as_ref().and_then(Value::as_u64) {
        holder.insert(to.to_owned(), json!(spell_size(bytes)));
    }
}
