//! There and back again, and arbitrary text.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::digests::full;
use super::{name, of_spec, report, resolved};
use crate::node::{Node, Value};
use crate::{FileText, field_diff, manifest_of, parse_file, to_yaml};

/// A tree without its places.
pub(crate) fn json_of(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(truth) => json!(truth),
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Text { text, .. } => json!(text),
        Value::List(items) => items.iter().map(json_of).collect(),
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.to_string(), json_of(&entry.node))).collect(),
    }
}

#[test]
fn every_field_survives_a_round_trip() {
    let first = full();
    let web = &first.apps[&name("web")].desired;
    let text = to_yaml(&manifest_of(web));
    let others: Vec<_> =
        ["web-db", "web-cache"].iter().map(|other| to_yaml(&manifest_of(&first.apps[&name(other)].desired))).collect();
    let second = resolved(&[("web.yaml", &text), ("db.yaml", &others[0]), ("cache.yaml", &others[1])]);
    let again = second.apps.get(&name("web")).unwrap_or_else(|| panic!("{}\n{text}", report(&second)));
    assert_eq!(again.desired, *web);
    assert_eq!(field_diff(Some(web), Some(&again.desired)), []);
    let every = [
        "args",
        "command",
        "dependsOn",
        "env",
        "files",
        "health",
        "history",
        "ports",
        "replicas",
        "resources",
        "restart",
        "rollout",
        "routes",
        "stop",
        "suspend",
        "target",
        "user",
        "workdir",
    ];
    let manifest = manifest_of(web);
    let written: Vec<_> = manifest["spec"].as_object().expect("a map").keys().cloned().collect();
    let mut sorted = written.clone();
    sorted.sort();
    assert_eq!(sorted, every, "a field that FULL does not set is not proven");
}

/// A canary with every kind of question, hooks of every kind, and windows.
const PROGRESSIVE: &str = r#"
command: [serve]
ports: [{name: http, protocol: http}]
routes: [{host: web.localhost}]
hooks:
  preDeploy: [{name: migrate, command: [migrate, up], timeout: 2m}]
  postDeploy: [{name: smoke, command: [smoke]}]
  onRevert: [{name: undo, command: [migrate, down]}]
rollout:
  strategy: canary
  windows: [{cron: "0 9 * * MON-FRI", timeZone: Europe/Berlin, duration: 8h}]
  steps:
    - weight: 5
      pause: 2m
      analysis:
        - {name: page, http: {url: "http://127.0.0.1:9/health", json: /errors, expect: "< 3"}, failures: 2}
        - {name: plain, http: {url: "http://127.0.0.1:9/health"}}
        - {exec: {command: [check, now]}, interval: 20s, timeout: 3s}
        - {prometheus: {url: "http://127.0.0.1:9090", query: up, expect: "== 1"}}
    - {weight: 50, approve: true}
"#;

#[test]
fn all_of_a_canary_survives_a_round_trip() {
    let first = of_spec(PROGRESSIVE);
    let web = &first.apps.get(&name("web")).unwrap_or_else(|| panic!("{}", report(&first))).desired;
    let text = to_yaml(&manifest_of(web));
    let second = resolved(&[("app.yaml", &text)]);
    let again = second.apps.get(&name("web")).unwrap_or_else(|| panic!("{}\n{text}", report(&second)));
    assert_eq!(again.desired, *web);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_read_without_panic(text in "\\PC*") {
        let parsed = parse_file(&FileText { path: "a.yaml".to_owned(), text: text.into() });
        prop_assert_eq!(parsed.documents(), 0, "a manifest by chance");
    }

    #[test]
    fn text_that_looks_like_yaml_is_read_without_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "apiVersion: trueup.dev/v1\n", "kind: App\n", "metadata: {name: a}\n", "spec:\n", "  env: ", "  ", "\n", "- ",
                "{", "}", "[", "]", ",", ": ", "\"", "'", "|\n", ">-\n", "&a ", "*a", "<<: ", "---\n", "...\n", "!!str ", "# x\n",
                "\t", "no", "1", "~", "? ", "%YAML 1.2\n", "command: [x]\n", "ports", "ä", "\u{feff}", "\r\n", "\0", "\\x",
            ]),
            0..40,
        )
    ) {
        let text: String = words.concat();
        let resolution = resolved(&[("a.yaml", &text)]);
        for diagnostic in &resolution.diagnostics {
            let range = diagnostic.byte_range();
            prop_assert!(text.get(range.clone()).is_some(), "{range:?} is no piece of {text:?}");
            prop_assert!(diagnostic.line >= 1 && diagnostic.column >= 1 && !diagnostic.message.contains('\n'));
        }
    }

    #[test]
    fn any_text_in_a_variable_survives_a_round_trip(value in "[^\\x00]*", plain in "[a-zA-Z0-9_:+.=~-]{0,12}") {
        let spec = |value: &str| format!("command: [x]\nenv: {{A: {}}}", Json::from(value));
        for value in [value, plain] {
            let first = of_spec(&spec(&value));
            // What JSON escapes and YAML does not know is not the matter here.
            let Some(first) = first.apps.get(&name("web")) else { continue };
            prop_assert_eq!(&first.desired.template.env["A"], &value);
            let text = to_yaml(&manifest_of(&first.desired));
            let again = resolved(&[("app.yaml", &text)]);
            let again = again.apps.get(&name("web"));
            prop_assert!(again.is_some(), "what we write we read: {}", text);
            prop_assert_eq!(again.map(|app| &app.desired), Some(&first.desired));
        }
    }
}
