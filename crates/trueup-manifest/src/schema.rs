//! JSON Schemas of the kinds, for editors: read off the same tables as everything else.
//!
//! Draft 7, which the YAML language server reads best. No stricter than the decoder: what only `lower` can judge is
//! left to it.

use serde_json::{Map, Value, json};

use crate::field::{Field, Need, Rule, Shape, Word};
use crate::kind::Kind;

/// The JSON Schema of a kind.
#[must_use]
pub fn schema(kind: Kind) -> Value {
    let mut schema = object(kind.fields());
    let title = format!("trueup {kind}");
    let head = [
        ("$schema", json!("http://json-schema.org/draft-07/schema#")),
        ("title", json!(title)),
        ("description", json!(kind.doc())),
    ];
    schema.extend(head.map(|(key, value)| (key.to_owned(), value)));
    Value::Object(schema)
}

/// Every schema with the name of its file in `manifests/schema/`.
///
/// # Panics
/// Never: JSON always becomes text.
#[must_use]
pub fn schemas() -> Vec<(String, String)> {
    let file = |kind: Kind| {
        let text = serde_json::to_string_pretty(&schema(kind)).expect("JSON always becomes text");
        (format!("{}.json", kind.as_str().to_ascii_lowercase()), text + "\n")
    };
    Kind::ALL.into_iter().map(file).collect()
}

fn object(fields: &[Field]) -> Map<String, Value> {
    let served = || fields.iter().filter(|field| field.need != Need::Refused);
    let properties: Map<_, _> = served().map(|field| (field.name.to_owned(), property(field))).collect();
    let required: Vec<_> = served().filter(|field| field.need == Need::Required).map(|field| field.name).collect();
    let mut schema = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("additionalProperties".to_owned(), json!(false)),
        ("properties".to_owned(), Value::Object(properties)),
    ]);
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn property(field: &Field) -> Value {
    let mut schema = shape(field.shape);
    let default = field.default.map(|default| format!(" Default: {default}.")).unwrap_or_default();
    schema.insert("description".to_owned(), json!(format!("{}{default}", field.doc)));
    // What is optional may be `null`: left out, also where the profile says otherwise.
    if let Some(Value::String(of)) = schema.get("type").filter(|_| field.need == Need::Optional).cloned() {
        schema.insert("type".to_owned(), json!([of, "null"]));
    }
    Value::Object(schema)
}

fn shape(shape: Shape) -> Map<String, Value> {
    let schema = match shape {
        Shape::Text(rule) => return text(rule),
        Shape::Word(words) => return choice(words),
        Shape::Object(fields) => return object(fields),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Integer { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Quantity => json!({"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+%?$"}),
        Shape::Size => {
            json!({"type": ["integer", "string"], "minimum": 1, "pattern": "^[0-9]+(Ti|Gi|Mi|Ki|T|G|M|k)?$"})
        }
        Shape::List { item, least, most } => {
            json!({"type": "array", "items": self::shape(*item), "minItems": least, "maxItems": most})
        }
        Shape::Map { key, value, most } => json!({
            "type": "object",
            "additionalProperties": self::shape(*value),
            "propertyNames": text(key),
            "maxProperties": most,
        }),
        Shape::Any => json!({}),
    };
    match schema {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn text(rule: &Rule) -> Map<String, Value> {
    let mut schema = Map::from_iter([("type".to_owned(), json!("string")), ("maxLength".to_owned(), json!(rule.most))]);
    if let Some(pattern) = rule.pattern {
        schema.insert("pattern".to_owned(), json!(pattern));
    }
    schema
}

fn choice(words: &[Word]) -> Map<String, Value> {
    let served = || words.iter().filter(|word| word.need != Need::Refused);
    let texts: Vec<_> = served().map(|word| word.text).collect();
    let docs: Vec<_> = served().map(|word| word.doc).collect();
    // `enumDescriptions` is what the editors' language servers show beside each word.
    Map::from_iter([("enum".to_owned(), json!(texts)), ("enumDescriptions".to_owned(), json!(docs))])
}
