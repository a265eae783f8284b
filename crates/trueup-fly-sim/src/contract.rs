//! Holds what crosses the simulation against the platform's own specification.
//!
//! [`Contract::violations`] is handed an exchange and says, a line for each, what the specification does not have: an
//! operation, a parameter, a field, a type, a word, a status, a body. What is known to be missing there is a [`Gap`]; the
//! contract counts how often each was needed, so that one that no longer is can be found.
//!
//! A null counts as an absent field: the platform is written in Go.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::call::{Body, decode};
use crate::knobs::fits;
use crate::sim::Exchange;

/// Something that the specification is known to lack.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    /// Lines of [`Contract::violations`] that it excuses; `*` stands for anything.
    pub line: &'static str,
    /// Why it is known.
    pub why: &'static str,
}

/// The specification, and what was seen of it.
#[derive(Debug)]
pub struct Contract {
    spec: Value,
    gaps: &'static [Gap],
    used: BTreeMap<&'static str, u64>,
    crossed: BTreeSet<String>,
}

/// Which way a body goes.
#[derive(Debug, Clone, Copy)]
enum Way {
    Request,
    Answer(u16),
}

impl std::fmt::Display for Way {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request => formatter.write_str("request"),
            Self::Answer(status) => write!(formatter, "{status}"),
        }
    }
}

impl Contract {
    /// Reads a specification, in OpenAPI's JSON.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn read(text: &str, gaps: &'static [Gap]) -> Result<Self, serde_json::Error> {
        Ok(Self { spec: serde_json::from_str(text)?, gaps, used: BTreeMap::new(), crossed: BTreeSet::new() })
    }

    /// What an exchange has that neither the specification nor a gap allows.
    pub fn violations(&mut self, exchange: &Exchange) -> Vec<String> {
        let found = self.all_violations(exchange);
        found.into_iter().filter(|line| !self.excused(line)).collect()
    }

    /// The gaps that excused nothing so far.
    #[must_use]
    pub fn unneeded(&self) -> Vec<&'static str> {
        self.gaps.iter().map(|gap| gap.line).filter(|line| !self.used.contains_key(line)).collect()
    }

    /// The operations of the specification that nothing has asked for so far.
    #[must_use]
    pub fn uncrossed(&self) -> BTreeSet<String> {
        let paths = self.spec["paths"].as_object().into_iter().flatten();
        let operations = paths.flat_map(|(_, operations)| operations.as_object().into_iter().flatten());
        let ids = operations.filter_map(|(_, operation)| operation["operationId"].as_str());
        ids.filter(|id| !self.crossed.contains(*id)).map(str::to_owned).collect()
    }

    fn excused(&mut self, line: &str) -> bool {
        let gap = self.gaps.iter().find(|gap| fits(gap.line, line));
        if let Some(gap) = gap {
            *self.used.entry(gap.line).or_default() += 1;
        }
        gap.is_some()
    }

    fn all_violations(&mut self, exchange: &Exchange) -> Vec<String> {
        let asked = &exchange.asked;
        let Some(path) = asked.path.strip_prefix("/v1") else { return Vec::new() };
        let Some((id, operation)) = self.operation(path, &asked.method.to_lowercase()) else {
            return vec![format!("{} {path} is no operation", asked.method)];
        };
        self.crossed.insert(id.clone());
        let mut found = Vec::new();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for (name, value) in &asked.query {
            match parameters.iter().find(|known| known["in"] == "query" && known["name"] == name.as_str()) {
                Some(known) => self.parameter(&id, name, value, &known["schema"], &mut found),
                None => found.push(format!("{id} query {name} is unknown")),
            }
        }
        let nonce = "fly-machine-lease-nonce";
        if asked.headers.contains_key(nonce) && !parameters.iter().any(|known| known["name"] == nonce) {
            found.push(format!("{id} header {nonce} is unknown"));
        }
        self.request_body(&id, &operation, &asked.body, &mut found);
        if let Some(reply) = &exchange.reply {
            self.answer(&id, &operation, reply, &mut found);
        }
        found
    }

    /// The operation at a path: one that is spelled out wins over one that is named by a parameter.
    fn operation(&self, path: &str, method: &str) -> Option<(String, Value)> {
        let parts: Vec<_> = path.trim_end_matches('/').split('/').map(decode).collect();
        let fits = |pattern: &str| {
            let pattern: Vec<_> = pattern.split('/').collect();
            pattern.len() == parts.len()
                && pattern.iter().zip(&parts).all(|(wanted, part)| wanted.starts_with('{') || wanted == part)
        };
        let paths = self.spec["paths"].as_object()?;
        let matching = paths.iter().filter(|(pattern, operations)| fits(pattern) && operations.get(method).is_some());
        let (_, operations) = matching.min_by_key(|(pattern, _)| pattern.matches('{').count())?;
        let operation = operations.get(method)?.clone();
        Some((operation["operationId"].as_str()?.to_owned(), operation))
    }

    fn parameter(&self, id: &str, name: &str, value: &str, schema: &Value, found: &mut Vec<String>) {
        let sound = match schema["type"].as_str() {
            Some("integer") => value.parse::<i64>().is_ok(),
            Some("boolean") => ["true", "false"].contains(&value),
            _ => schema["enum"].as_array().is_none_or(|words| words.iter().any(|word| word == value)),
        };
        if !sound {
            found.push(format!("{id} query {name} is wrong: {value}"));
        }
    }

    fn request_body(&self, id: &str, operation: &Value, body: &[u8], found: &mut Vec<String>) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if body.is_empty() {
            return;
        }
        let Ok(value) = serde_json::from_slice(body) else {
            found.push(format!("{id} request is no JSON"));
            return;
        };
        if schema.is_null() {
            found.push(format!("{id} request has a body"));
        } else {
            self.hold(&value, schema, &mut Place { id, way: Way::Request, at: String::new() }, found);
        }
    }

    fn answer(&self, id: &str, operation: &Value, reply: &crate::call::Reply, found: &mut Vec<String>) {
        let way = Way::Answer(reply.status);
        let declared = &operation["responses"][reply.status.to_string()];
        if declared.is_null() {
            found.push(format!("{id} {way} is no answer"));
            return;
        }
        let schema = &declared["content"]["application/json"]["schema"];
        match (&reply.body, schema.is_null()) {
            (Body::Empty, true) => {}
            (Body::Empty, false) => found.push(format!("{id} {way} has no body")),
            (Body::Json(_) | Body::Text(_), true) => found.push(format!("{id} {way} has a body")),
            (Body::Text(_), false) => found.push(format!("{id} {way} is no JSON")),
            (Body::Json(value), false) => {
                self.hold(value, schema, &mut Place { id, way, at: String::new() }, found);
            }
        }
    }

    /// Follows references, to the schema and its name.
    fn resolve<'a>(&'a self, mut schema: &'a Value, place: &mut Place<'_>) -> &'a Value {
        for _ in 0..REFERENCES_MAX {
            let reference = schema["$ref"].as_str().or_else(|| {
                let all = schema["allOf"].as_array()?;
                all.first().filter(|_| all.len() == 1)?["$ref"].as_str()
            });
            let Some(name) = reference.and_then(|text| text.rsplit('/').next()) else { break };
            name.clone_into(&mut place.at);
            schema = &self.spec["components"]["schemas"][name];
        }
        schema
    }

    fn hold(&self, value: &Value, schema: &Value, place: &mut Place<'_>, found: &mut Vec<String>) {
        let schema = self.resolve(schema, place);
        if value.is_null() {
            return;
        }
        let wrong = match (schema["type"].as_str(), value) {
            (Some("object") | None, Value::Object(fields)) => {
                for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if !fields.contains_key(required) {
                        found.push(place.says(&format!("lacks {required}")));
                    }
                }
                for (name, value) in fields {
                    self.field(name, value, schema, place, found);
                }
                false
            }
            (Some("array"), Value::Array(items)) => {
                for item in items {
                    self.hold(item, &schema["items"], &mut place.below("[]"), found);
                }
                false
            }
            (Some("string"), Value::String(text)) => {
                if let Some(words) = schema["enum"].as_array()
                    && !words.iter().any(|word| word == text)
                {
                    found.push(place.says(&format!("has an unknown word: {text}")));
                }
                false
            }
            (Some("integer"), Value::Number(number)) => !(number.is_i64() || number.is_u64()),
            (Some("number"), Value::Number(_)) | (Some("boolean"), Value::Bool(_)) => false,
            (None, _) => schema.get("properties").is_some(),
            (Some(_), _) => true,
        };
        if wrong {
            let wanted = schema["type"].as_str().unwrap_or("object");
            found.push(place.says(&format!("is no {wanted}")));
        }
    }

    fn field(&self, name: &str, value: &Value, schema: &Value, place: &Place<'_>, found: &mut Vec<String>) {
        let mut below = place.below(&format!(".{name}"));
        if let Some(known) = schema["properties"].get(name) {
            self.hold(value, known, &mut below, found);
        } else if schema["additionalProperties"].is_object() {
            self.hold(value, &schema["additionalProperties"], &mut place.below(".*"), found);
        } else if schema.get("properties").is_some() {
            found.push(below.says("is unknown"));
        }
    }
}

/// Most references that lead from one to the next.
const REFERENCES_MAX: usize = 8;

/// Where in an exchange a value stands: named by the last schema that has a name.
struct Place<'a> {
    id: &'a str,
    way: Way,
    at: String,
}

impl<'a> Place<'a> {
    fn below(&self, step: &str) -> Place<'a> {
        Place { id: self.id, way: self.way, at: format!("{}{step}", self.at) }
    }

    fn says(&self, what: &str) -> String {
        let at = if self.at.is_empty() { "body" } else { &self.at };
        format!("{} {} {at} {what}", self.id, self.way)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::call::{Asked, Reply};

    const SPEC: &str = r##"{
        "paths": {
            "/things/{id}": {"get": {
                "operationId": "Things_show",
                "parameters": [{"name": "deep", "in": "query", "schema": {"type": "boolean"}}],
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}, "204": {}}
            }},
            "/things/all": {"post": {
                "operationId": "Things_make",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                "responses": {"201": {}}
            }}
        },
        "components": {"schemas": {"Thing": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer"},
            "kind": {"type": "string", "enum": ["red", "blue"]},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "parts": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/Part"}]}}
        }}, "Part": {"type": "object", "properties": {"ok": {"type": "boolean"}}}}}
    }"##;

    const GAPS: &[Gap] = &[
        Gap { line: "Things_show 404 is no answer", why: "known" },
        Gap { line: "Things_make query dry is unknown", why: "known" },
    ];

    fn found(asked: Asked, reply: Reply) -> Vec<String> {
        let mut contract = Contract::read(SPEC, GAPS).expect("it is JSON");
        contract.violations(&Exchange { operation: None, asked, reply: Some(reply) })
    }

    fn shown(body: Value) -> Vec<String> {
        found(Asked::new("GET", "/v1/things/7"), Reply::json(200, body))
    }

    #[test]
    fn what_the_specification_has_is_allowed() {
        assert!(
            shown(json!({"size": 1, "kind": "red", "tags": {"a": "b"}, "parts": [{"ok": true}], "gone": null})).len()
                == 1
        );
        assert!(shown(json!({"size": 1, "kind": null, "parts": [{"ok": true}]})).is_empty());
        let made = Asked::new("POST", "/v1/things/all").json(&json!({"size": 1}));
        assert!(found(made, Reply::empty(201)).is_empty());
    }

    #[test]
    fn each_kind_of_violation_is_seen() {
        for (body, line) in [
            (json!({}), "Things_show 200 Thing lacks size"),
            (json!({"size": "1"}), "Things_show 200 Thing.size is no integer"),
            (json!({"size": 1, "kind": "green"}), "Things_show 200 Thing.kind has an unknown word: green"),
            (json!({"size": 1, "tags": {"a": 1}}), "Things_show 200 Thing.tags.* is no string"),
            (json!({"size": 1, "parts": [{"ok": 1}]}), "Things_show 200 Part.ok is no boolean"),
            (json!({"size": 1, "parts": {}}), "Things_show 200 Thing.parts is no array"),
            (json!({"size": 1, "more": 1}), "Things_show 200 Thing.more is unknown"),
            (json!([]), "Things_show 200 Thing is no object"),
        ] {
            assert_eq!(shown(body), [line]);
        }
        let show = |query: &str| Asked::new("GET", &format!("/v1/things/7{query}"));
        for (asked, reply, line) in [
            (show("?deep=1"), Reply::empty(204), "Things_show query deep is wrong: 1"),
            (show("?wide=1"), Reply::empty(204), "Things_show query wide is unknown"),
            (show(""), Reply::json(204, json!({})), "Things_show 204 has a body"),
            (show(""), Reply::empty(200), "Things_show 200 has no body"),
            (show(""), Reply::empty(500), "Things_show 500 is no answer"),
            (show("").json(&json!({})), Reply::empty(204), "Things_show request has a body"),
            (
                show("").header("fly-machine-lease-nonce", "n"),
                Reply::empty(204),
                "Things_show header fly-machine-lease-nonce is unknown",
            ),
            (Asked::new("PUT", "/v1/things/7"), Reply::empty(204), "PUT /things/7 is no operation"),
            (
                Asked::new("POST", "/v1/things/all").json(&json!({"size": 1.5})),
                Reply::empty(201),
                "Things_make request Thing.size is no integer",
            ),
        ] {
            assert_eq!(found(asked, reply), [line]);
        }
    }

    #[test]
    fn a_gap_excuses_its_line_and_one_that_excuses_nothing_is_named() {
        let mut contract = Contract::read(SPEC, GAPS).expect("it is JSON");
        let exchange =
            Exchange { operation: None, asked: Asked::new("GET", "/v1/things/7"), reply: Some(Reply::empty(404)) };
        assert!(contract.violations(&exchange).is_empty());
        assert_eq!(contract.unneeded(), ["Things_make query dry is unknown"]);
        assert_eq!(contract.uncrossed().into_iter().collect::<Vec<_>>(), ["Things_make"]);
    }
}
