//! The fields of an App, as its schema has them, and the values that the schema gives by itself.

use serde_json::{Value, json};

use super::values::{FIELDS, Touch, Values};

/// One field of the schema.
#[derive(Debug, Clone)]
pub struct Field {
    /// Where: `spec.health[].http.path`.
    pub path: String,
    /// Its part of the schema.
    pub schema: Value,
}

/// One value of one field, and what has to become of it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The field.
    pub field: &'static Values,
    /// The value.
    pub value: Value,
    /// Whether it is refused.
    pub refused: bool,
}

/// Every field of the schema of an App.
pub fn all() -> Vec<Field> {
    let schema = trueup_manifest::schema(trueup_manifest::Kind::App);
    let mut fields = Vec::new();
    walk("", &schema, &mut fields);
    fields
}

fn walk(path: &str, schema: &Value, fields: &mut Vec<Field>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        fields.push(Field { path: path.clone(), schema: inner.clone() });
        walk(&path, inner, fields);
    }
    if let Some(item) = schema.get("items") {
        let path = format!("{path}[]");
        match item.get("properties") {
            Some(_) => {}
            None => fields.push(Field { path: path.clone(), schema: item.clone() }),
        }
        walk(&path, item, fields);
    }
    if let Some(value) = schema.get("additionalProperties").filter(|value| value.is_object()) {
        let path = format!("{path}.*");
        fields.push(Field { path: path.clone(), schema: value.clone() });
        walk(&path, value, fields);
    }
}

/// The line of a field, where there is one.
pub fn values(path: &str) -> Option<&'static Values> {
    FIELDS.iter().find(|values| values.path == path)
}

/// All values of a field: its own, and what the schema gives: bounds, words, and other types.
pub fn samples(field: &Field, values: &'static Values) -> Vec<Sample> {
    let parsed = |text: &&str| serde_json::from_str::<Value>(text).expect("the table holds JSON");
    let unserved = values.touch == Touch::Unserved;
    let kept = values.kept.iter().map(|text| (parsed(text), unserved));
    let refused = values.refused.iter().map(|text| (parsed(text), true));
    let mut all: Vec<(Value, bool)> = kept.chain(refused).collect();
    let schema = &field.schema;
    all.extend(words(schema, values));
    if values.path != "spec.routes[].port" {
        all.extend(bounds(schema, unserved));
    }
    all.extend(other_types(schema));
    all.into_iter().map(|(value, refused)| Sample { field: values, value, refused }).collect()
}

/// Words that the schema has and that are refused by themselves: the process target does not serve them, or they want
/// other fields beside them, as a canary its steps.
const REFUSED_WORDS: &[(&str, &str)] = &[("spec.routes[].tls", "auto"), ("spec.rollout.strategy", "canary")];

fn words(schema: &Value, values: &Values) -> Vec<(Value, bool)> {
    let Some(words) = schema["enum"].as_array() else { return Vec::new() };
    let unserved = values.touch == Touch::Unserved;
    let refused = |word: &Value| {
        unserved || REFUSED_WORDS.iter().any(|(path, text)| *path == values.path && word.as_str() == Some(*text))
    };
    let given = words.iter().map(|word| (word.clone(), refused(word)));
    given.chain([(json!("bogus"), true)]).collect()
}

fn bounds(schema: &Value, unserved: bool) -> Vec<(Value, bool)> {
    let types = types(schema);
    let mut all = Vec::new();
    if types.contains(&"integer") && !types.contains(&"string") {
        for (key, beyond) in [("minimum", -1), ("maximum", 1)] {
            if let Some(bound) = schema[key].as_i64() {
                all.push((json!(bound), unserved));
                all.push((json!(bound + beyond), true));
            }
        }
        all.push((json!(1.5), true));
    }
    if let (true, Some(most)) = (types == ["string"] || types == ["string", "null"], schema["maxLength"].as_u64()) {
        let long = "a".repeat(usize::try_from(most).unwrap_or(usize::MAX) + 1);
        all.push((json!(long), true));
    }
    all
}

fn other_types(schema: &Value) -> Vec<(Value, bool)> {
    let types = types(schema);
    let tries = [("object", json!({"no": "such"})), ("array", json!([["deep"]])), ("boolean", json!(true))];
    let wrong = tries.into_iter().filter(|(name, _)| !types.is_empty() && !types.contains(name));
    wrong.map(|(_, value)| (value, true)).collect()
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}
