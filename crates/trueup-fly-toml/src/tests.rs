//! fly.toml files in the shapes that people have, there and back. What came of each lies beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::{ExpectFile, expect, expect_file};
use serde_json::{Value, json};
use trueup_manifest::{FileText, Resolution, manifest_of, parse_file, resolve};
use trueup_types::TargetKind;
use trueup_types::fly::FlySpec;

use super::*;

const SAMPLES: [(&str, &str); 7] = [
    ("rails", include_str!("../fixtures/rails.toml")),
    ("phoenix", include_str!("../fixtures/phoenix.toml")),
    ("sqlite", include_str!("../fixtures/sqlite.toml")),
    ("postgres", include_str!("../fixtures/postgres.toml")),
    ("game", include_str!("../fixtures/game.toml")),
    ("bot", include_str!("../fixtures/bot.toml")),
    ("old", include_str!("../fixtures/old.toml")),
];

fn files(path: &str) -> Result<String, String> {
    if path == "deck.yaml" { Ok("cards: 78\n".to_owned()) } else { Err(format!("`{path}` cannot be read")) }
}

fn options(live: Option<Live>) -> Options<'static> {
    Options { organization: None, image: None, app: None, live, read: &files }
}

fn imported(text: &str) -> Imported {
    import(text, &options(None)).expect("it is a fly.toml")
}

/// The manifests and the remarks, as people see them.
fn told(imported: &Imported) -> String {
    let manifests = imported.manifests.iter().map(|manifest| format!("--- {}\n{}", manifest.file, manifest.text));
    let remarks = super::told(&imported.remarks).into_iter().map(|remark| format!("{remark}\n"));
    manifests.chain(["--- remarks\n".to_owned()]).chain(remarks).collect()
}

/// What the manifests mean; an error of theirs fails the test.
fn resolved(imported: &Imported) -> Resolution {
    let parsed = imported.manifests.iter().map(|manifest| {
        let text = Arc::from(manifest.text.as_str());
        (manifest.file.clone(), Arc::new(parse_file(&FileText { path: manifest.file.clone(), text })))
    });
    let resolution = resolve(&parsed.collect::<BTreeMap<_, _>>(), &BTreeMap::new());
    let errors: Vec<_> = resolution.diagnostics.iter().filter(|one| one.is_error()).map(|one| one.line()).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{}", told(imported));
    resolution
}

fn fly(resolution: &Resolution) -> &FlySpec {
    let spec = |target: &trueup_types::TargetSpec| match &target.kind {
        TargetKind::Fly(_) => true,
        TargetKind::Process | TargetKind::Docker(_) => false,
    };
    let target = resolution.targets.values().find(|target| spec(target)).expect("there is a target of machines");
    match &target.kind {
        TargetKind::Fly(spec) => spec,
        TargetKind::Process | TargetKind::Docker(_) => unreachable!("it was looked for"),
    }
}

fn check(name: &str, expected: ExpectFile) {
    let (_, text) = SAMPLES.iter().find(|(sample, _)| *sample == name).expect("there is such a sample");
    let imported = imported(text);
    resolved(&imported);
    expected.assert_eq(&told(&imported));
}

#[test]
fn a_rails_app_with_a_worker_becomes_two_apps() {
    check("rails", expect_file!["../fixtures/rails.expected"]);
}

#[test]
fn a_phoenix_app_that_sleeps_keeps_its_strategy_and_size() {
    check("phoenix", expect_file!["../fixtures/phoenix.expected"]);
}

#[test]
fn an_old_file_with_a_volume_and_a_long_name_is_carried_over() {
    check("sqlite", expect_file!["../fixtures/sqlite.expected"]);
}

#[test]
fn a_database_has_ports_and_probes_and_no_routes() {
    check("postgres", expect_file!["../fixtures/postgres.expected"]);
}

#[test]
fn what_routes_cannot_publish_is_named() {
    check("game", expect_file!["../fixtures/game.expected"]);
}

#[test]
fn files_are_read_and_what_is_no_setting_here_is_named() {
    check("bot", expect_file!["../fixtures/bot.expected"]);
}

#[test]
fn tables_of_processes_in_an_old_file_are_groups() {
    check("old", expect_file!["../fixtures/old.expected"]);
}

/// Whatever value is another is seen, in the manifests or in the remarks: nothing is dropped in silence.
#[test]
fn no_value_can_change_unseen() {
    for (name, text) in SAMPLES {
        let before = imported(text);
        for (index, line) in text.lines().enumerate() {
            let Some(other) = altered(line) else { continue };
            let lines = text.lines().enumerate().map(|(at, line)| if at == index { other.as_str() } else { line });
            let changed: String = lines.map(|line| format!("{line}\n")).collect();
            let said = before.remarks.iter().any(|remark| remark.line == index + 1);
            let seen = import(&changed, &options(None)).map_or(true, |after| told(&after) != told(&before));
            assert!(said || seen, "{name}: line {} could be `{}` without a word", index + 1, other.trim());
        }
    }
}

/// The same line with another value; `None` where it has none, or an empty one.
fn altered(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=').filter(|_| !line.trim_start().starts_with('#'))?;
    let value = value.trim();
    let other = match value {
        "true" => "false".to_owned(),
        "false" => "true".to_owned(),
        _ if value.parse::<u32>().is_ok() => (value.parse::<u32>().unwrap_or_default() + 1).to_string(),
        _ if value.starts_with(['"', '\'']) => {
            let (quote, inner) = (&value[..1], &value[1..value.len() - 1]);
            format!("{quote}{inner}0{quote}")
        }
        _ if value.starts_with('[') && value.contains(['"', '\'']) => "[\"other\"]".to_owned(),
        _ => return None,
    };
    Some(format!("{key}= {other}"))
}

/// The spec of each app, without what a fly.toml cannot say.
fn specs(resolution: &Resolution) -> BTreeMap<String, Value> {
    let apps = resolution.apps.iter();
    apps.map(|(name, app)| (name.to_string(), manifest_of(&app.desired)["spec"].clone())).collect()
}

#[test]
fn there_and_back_is_the_same_app() {
    for (name, text) in SAMPLES {
        let first = resolved(&imported(text));
        for app in first.apps.values() {
            let exported = export(&app.desired, fly(&first), &Savings::default());
            let again = resolved(&imported(&exported.text));
            let (before, after) = (specs(&first), specs(&again));
            let mut before = before[app.desired.name.as_str()].clone();
            let mut after = after.into_values().next().expect("it is one app");
            for spec in [&mut before, &mut after] {
                let spec = spec.as_object_mut().expect("it is a map");
                // No fly.toml says how many there are.
                spec.remove("regions");
                spec.remove("replicas");
                probes_in_order(spec);
                words_together(spec);
            }
            assert_eq!(before, after, "{name}, by way of\n{}", exported.text);
        }
    }
}

/// What replaces all that an image says is one list of words in a fly.toml.
fn words_together(spec: &mut serde_json::Map<String, Value>) {
    if let Some(Value::Array(mut command)) = spec.remove("command") {
        command.extend(spec.remove("args").and_then(|args| args.as_array().cloned()).unwrap_or_default());
        spec.insert("command".to_owned(), Value::Array(command));
    }
}

/// A fly.toml has checks in three places, and so in another order, and only some have names.
fn probes_in_order(spec: &mut serde_json::Map<String, Value>) {
    if let Some(Value::Array(probes)) = spec.get_mut("health") {
        probes.iter_mut().filter_map(Value::as_object_mut).for_each(|probe| drop(probe.remove("name")));
        probes.sort_by_key(Value::to_string);
    }
    if let Some(Value::Array(ports)) = spec.get_mut("ports") {
        ports.sort_by_key(Value::to_string);
    }
}

#[test]
fn what_is_exported_twice_is_exported_the_same() {
    for (name, text) in SAMPLES {
        let first = resolved(&imported(text));
        for app in first.apps.values() {
            let once = export(&app.desired, fly(&first), &Savings::default()).text;
            let again = resolved(&imported(&once));
            let app = again.apps.values().next().expect("it is one app");
            let twice = export(&app.desired, fly(&again), &Savings::default()).text;
            let body =
                |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(body(&once), body(&twice), "{name}");
        }
    }
}

#[test]
fn a_fly_toml_says_what_its_settings_save() {
    let first = resolved(&imported(SAMPLES[1].1));
    let app = first.apps.values().next().expect("it is one app");
    let savings = Savings {
        autostop: Some("asleep: $0.15 a month".to_owned()),
        min_running: Some("each: $51.92 a month".to_owned()),
        size: Some("the least: $2.53".to_owned()),
        volume: None,
        machines: Some("$0.15 to $51.92 a month".to_owned()),
    };
    let exported = export(&app.desired, fly(&first), &savings);
    expect_file!["../fixtures/phoenix.exported.toml"].assert_eq(&exported.text);
    let remarks: String = exported.remarks.iter().map(|remark| format!("{remark}\n")).collect();
    expect![[r#"
        rollout.revert: flyctl takes no release back once it serves; nobody watches it through a bake
        rollout.strategy: flyctl's bluegreen wants a check, and there is no probe
    "#]]
    .assert_eq(&remarks);
}

#[test]
fn secrets_are_told_of_and_in_no_fly_toml() {
    let first = resolved(&imported(SAMPLES[1].1));
    let mut app = trueup_types::desired::DesiredApp::clone(&first.apps.values().next().expect("it is one app").desired);
    let secret = trueup_types::Label::new("payment").expect("a name");
    let env_from = vec![trueup_types::template::EnvFrom { secret }];
    app.template =
        std::sync::Arc::new(trueup_types::Template { env_from, ..trueup_types::Template::clone(&app.template) });
    let exported = export(&app, fly(&first), &Savings::default());
    let told = "envFrom: `fly secrets set` gives it its keys: trueup reads them by the Secret `payment`";
    assert!(exported.remarks.iter().any(|remark| remark.to_string() == told), "{:?}", exported.remarks);
}

#[test]
fn what_is_live_says_counts_regions_sizes_images_and_hosts() {
    let machine = |region: &str, group: &str, extra: Value| {
        let mut config = json!({
            "image": "registry.fly.io/ledger:deployment-1",
            "guest": {"cpu_kind": "shared", "cpus": 2, "memory_mb": 1024},
            "metadata": {"fly_process_group": group},
        });
        config.as_object_mut().expect("a map").extend(extra.as_object().cloned().unwrap_or_default());
        json!({
            "state": "started", "region": region, "config": config,
            "image_ref": {"registry": "registry.fly.io", "repository": "ledger", "tag": "deployment-1", "digest": "sha256:ab"},
        })
    };
    let machines = json!([
        machine("arn", "app", json!({})),
        machine("arn", "app", json!({})),
        machine("lhr", "app", json!({})),
        machine("arn", "solid_queue", json!({})),
        machine("arn", "solid_queue", json!({"standbys": ["148e"]})),
        machine("arn", "fly_app_release_command", json!({})),
    ]);
    let live = Live::of(Answers {
        app: &json!({"organization": {"slug": "ampel"}}),
        machines: &machines,
        volumes: &json!([{"name": "data", "size_gb": 3}, {"name": "data", "size_gb": 10}]),
        secrets: &json!({"secrets": [{"name": "SECRET_KEY_BASE"}, {"name": "DATABASE_URL"}]}),
        certificates: &json!({"certificates": [{"hostname": "ledger.example.com"}, {"hostname": "*.example.com"}]}),
        addresses: &json!({"ips": [{"ip": "66.241.124.1", "shared": true}, {"ip": "137.66.1.2", "shared": false}]}),
    });
    let imported = import(SAMPLES[0].1, &options(Some(live))).expect("it is a fly.toml");
    resolved(&imported);
    expect_file!["../fixtures/rails.live.expected"].assert_eq(&told(&imported));
}

#[test]
fn an_app_with_private_addresses_alone_stays_private() {
    let live = Live { addresses: vec![Address { ip: "fdaa:0:1::3".to_owned(), shared: false }], ..Live::default() };
    let imported = import("app = 'inside'\n[http_service]\ninternal_port = 8080\n", &options(Some(live)));
    let imported = imported.expect("it is a fly.toml");
    let resolution = resolved(&imported);
    let app = resolution.apps.values().next().expect("it is one app");
    assert!(app.desired.exposure.routes.is_empty(), "nobody outside reached it, and nobody does");
    assert!(told(&imported).contains("its machines answer at inside.internal"), "{}", told(&imported));
}

#[test]
fn a_text_that_is_no_fly_toml_says_why() {
    let wrong = |text: &str| import(text, &options(None)).expect_err(text).to_string();
    assert!(wrong("app = \n").starts_with("line 1: "), "{}", wrong("app = \n"));
    assert_eq!(wrong("[env]\n"), "it names no `app`; say its name");
    assert!(wrong("app = 'No_Name'\n").starts_with("`No_Name` is no name of an app"));
}
