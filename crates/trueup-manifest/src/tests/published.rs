//! What is published about the fields is what the decoder does.

use expect_test::{expect, expect_file};
use serde_json::Value;

use super::digests::full;
use super::{app, name};
use crate::scan::{VALUES_MAX, scan};
use crate::{Kind, builtin_profiles, explain, field_diff, manifest_of, schema, schemas, yaml};

#[test]
fn the_published_schemas_are_fresh() {
    let files = schemas();
    let text =
        |file: &str| files.iter().find(|(name, _)| name == file).map(|(_, text)| text.as_str()).expect("it is made");
    expect_file!["../../../../manifests/schema/app.json"].assert_eq(text("app.json"));
    expect_file!["../../../../manifests/schema/target.json"].assert_eq(text("target.json"));
    expect_file!["../../../../manifests/schema/profile.json"].assert_eq(text("profile.json"));
    expect_file!["../../../../manifests/schema/registry.json"].assert_eq(text("registry.json"));
    expect_file!["../../../../manifests/schema/secret.json"].assert_eq(text("secret.json"));
    assert_eq!(files.len(), 5);
}

/// What a schema says against a value; the part of JSON Schema that ours use.
fn faults(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let types: Vec<_> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.is_empty() && !types.contains(&is) {
        found.push(format!("{path} is {is}"));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{path} is {value}"));
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(required).is_none() {
            found.push(format!("{path}.{required} is missing"));
        }
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(schema), _) => faults(schema, value, &format!("{path}.{key}"), found),
            (None, Value::Object(_)) => faults(&schema["additionalProperties"], value, &format!("{path}.{key}"), found),
            (None, _) => found.push(format!("{path}.{key} is unknown")),
        }
    }
    for item in value.as_array().into_iter().flatten() {
        faults(&schema["items"], item, &format!("{path}[]"), found);
    }
}

#[test]
fn what_the_decoder_takes_the_schema_takes() {
    let mut found = Vec::new();
    faults(&schema(Kind::App), &manifest_of(&full().apps[&name("web")].desired), "app", &mut found);
    for (_, text) in builtin_profiles() {
        let scanned = scan(&text, VALUES_MAX).remove(0);
        let root = yaml::read(&text, &scanned, scanned.root.as_ref().expect("it has content")).expect("it is sound");
        faults(&schema(Kind::Profile), &super::trips::json_of(&root), "profile", &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
    faults(
        &schema(Kind::App),
        &serde_json::json!({"kind": "Ap", "spec": {"comand": 1, "replicas": "2"}}),
        "app",
        &mut found,
    );
    assert_eq!(found.len(), 5, "and it refuses what it should: {found:?}");
}

#[test]
fn a_field_is_explained_in_the_words_of_the_schema() {
    expect![[r#"
        app.spec.rollout: a map

          How the app is brought to a new release.

          strategy: blueGreen | rolling | canary | recreate
            In which order old gives way to new.
            Default: blueGreen with routes and without volumes, rolling otherwise.

          maxSurge: a number or a percentage
            Instances above the wanted number while rolling; a percentage rounds up.
            Default: 100% for blueGreen, 1 otherwise.

          maxUnavailable: a number or a percentage
            Instances below the wanted number while rolling; a percentage rounds down.
            Default: 0.

          minHealthy: a duration
            Health must hold this long, unbroken.
            Default: 5s.

          healthyDeadline: a duration
            Longest an instance may take to be healthy; less than `progressDeadline`.
            Default: 5m.

          progressDeadline: a duration
            Longest a rollout may go without progress.
            Default: 10m.

          bake: a duration
            The watch kept after promotion; a regression still reverts.
            Default: 1m.

          bakeKeep: running | stopped
            What becomes of the old instances through the bake, on Fly; a change of it makes a new release.
            Default: running.

          drain: a duration
            Unrouted instances finish what they have, at most this long.
            Default: 30s.

          revert: auto | hold
            What follows a failed rollout.
            Default: auto.

          steps: a list of: a map
            The steps of a canary.

          windows: a list of: a map
            When rollouts may begin; reverts may at any time.
    "#]]
    .assert_eq(&explain("app.spec.rollout").expect("it is there").to_string());
    expect![[r#"
        app.spec.ports.protocol: http | tcp | udp

          What is spoken on it.
          Default: http.

          http: HTTP/1.1 or HTTP/2 in the clear.
          tcp: Any stream.
          udp: Datagrams.
    "#]]
    .assert_eq(&explain("App.spec.ports.protocol").expect("lists are looked through").to_string());
    expect!["there is no field `rolout` in `app.spec`; did you mean `rollout`?"]
        .assert_eq(&explain("app.spec.rolout").expect_err("it is not there").to_string());
    expect!["there is no field `ap` in `the kinds`; did you mean `app`?"]
        .assert_eq(&explain("ap").expect_err("it is not there").to_string());
    let text = schema(Kind::App)["properties"]["spec"]["properties"]["rollout"]["description"].clone();
    assert_eq!(text, explain("app.spec.rollout").expect("it is there").doc);
    for field in explain("app.spec").expect("it is there").fields {
        assert!(explain(&format!("app.spec.{}", field.name)).is_ok());
    }
}

#[test]
fn a_diff_names_the_fields_that_change() {
    let before = app("profile: web\ncommand: [serve]\nenv: {A: one, B: two}\nroutes: [{host: a}]");
    let after = app(
        "profile: web\ncommand: [serve, more]\nenv: {A: 'one ', C: three}\nroutes: [{host: a}, {host: b}]\nreplicas: 2\nfiles: [{path: x, content: z}]",
    );
    let lines =
        |before, after| field_diff(before, after).iter().map(|change| format!("{change}\n")).collect::<String>();
    expect![[r#"
        command: ["serve"] -> ["serve","more"]
        env.A: one -> "one "
        env.B: - two
        env.C: + three
        files[x].content: + z
        files[x].mode: + 0644
        files[x].path: + x
        replicas: 1 -> 2
        routes[b/].host: + b
        routes[b/].path: + /
        routes[b/].port: + http
    "#]]
    .assert_eq(&lines(Some(&before), Some(&after)));
    assert_eq!(lines(Some(&before), Some(&before)), "");
    assert_eq!(field_diff(None, Some(&before)).len(), field_diff(Some(&before), None).len());
}
