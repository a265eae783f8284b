//! Apps on Fly.io Machines: a real daemon, the real client, and a simulated platform whose machines really run.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use trueup_tests::daemon::word;
use trueup_tests::load::Mix;
use trueup_tests::{Bench, Daemon, Fly, Load};

/// Longest that anything takes here.
const PATIENCE: Duration = Duration::from_secs(90);

/// A platform in a hurry: what takes it seconds takes it moments, in the same order.
const SCENARIO: &str = "\
latency: {pull: 100ms, boot: 100ms, stop: 50ms, destroy: 50ms, linger: 1s}
edges: [100ms, 300ms, 600ms]
lag: {machine: 200ms, app: 100ms, list: 500ms, org: 300ms}
";

const TARGET: &str = "\
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: prod}
spec:
  fly: {organization: personal, primaryRegion: iad, appName: \"shop-{app}\", network: shop, propagation: 1s}
";

/// The demo server on machines, with one more variable.
fn app(version: &str, more: &str) -> String {
    format!(
        "\
apiVersion: trueup.dev/v1
kind: App
metadata: {{name: web}}
spec:
  target: prod
  image: demo:{version}
  command: [trueup, demo-app]
  regions: {{iad: 1, fra: 1}}
  ports: [{{name: http}}]
  routes: [{{}}]
  env: {{DEMO_VERSION: {version}{more}}}
  health: [{{name: ready, http: {{path: /health}}, interval: 2s, timeout: 1s, grace: 1s}}]
  stop: {{timeout: 8s}}
  rollout: {{minHealthy: 300ms, bake: 2s, drain: 1s, healthyDeadline: 6s, progressDeadline: 60s}}
"
    )
}

/// A platform, and a place whose commands know where it is; and it is started with these further words.
fn platform(words: &[&str]) -> (Bench, Fly) {
    let mut bench = Bench::new();
    let file = bench.path("hurry.yaml");
    std::fs::write(&file, SCENARIO).expect("it is written");
    let file = file.to_string_lossy().into_owned();
    let fly = Fly::start(&bench, &[words, &["--scenario", &file]].concat());
    bench.tell("FLY_FLAPS_BASE_URL", &fly.base);
    bench.tell("FLY_API_BASE_URL", &fly.base);
    bench.tell("FLY_API_TOKEN", "any");
    (bench, fly)
}

fn get(fly: &Fly, path: &str) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let asked = reqwest::Client::new().get(format!("{}{path}", fly.base)).bearer_auth("any");
        let answer = asked.send().await.expect("the platform answers");
        answer.json().await.expect("in JSON")
    })
}

fn web(status: &Value) -> Option<&Value> {
    status["apps"].as_array()?.iter().find(|app| app["metadata"]["name"] == "web")
}

fn live(status: &Value, revision: u64) -> bool {
    web(status).is_some_and(|app| word(app) == "Ready" && app["status"]["lastGood"] == revision)
}

#[test]
fn an_app_on_machines_is_made_rolled_reverted_and_taken_down_and_somebody_always_serves() {
    let (bench, fly) = platform(&["--run"]);
    bench.write_text("target.yaml", TARGET);
    bench.write_text("web.yaml", &app("v1", ""));
    let daemon = Daemon::start(&bench);
    daemon.eventually("v1 is live", PATIENCE, |status| live(status, 1));
    let proxy: SocketAddr = fly.base.trim_start_matches("http://").parse().expect("an address");
    let load = Load::start(proxy, "shop-web.fly.dev", Mix { kept: 1, fresh: 1, slow: 1, sockets: 0 });

    bench.write_text("web.yaml", &app("v2", ""));
    daemon.eventually("v2 is begun", PATIENCE, |status| web(status).is_some_and(|app| word(app) == "Progressing"));
    // Whoever comes after a daemon that was killed goes on where it stood.
    daemon.kill();
    let daemon = Daemon::start(&bench);
    daemon.eventually("v2 is live", PATIENCE, |status| live(status, 2));

    bench.write_text("web.yaml", &app("v3", ", DEMO_UNHEALTHY: \"1\""));
    daemon.eventually("v3 is taken back", PATIENCE, |status| {
        web(status).is_some_and(|app| word(app) == "Reverted" && app["status"]["lastGood"] == 2)
    });
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new(), "{:?}", outcome.versions);
    let seen: Vec<_> = outcome.versions.keys().map(String::as_str).collect();
    assert_eq!(seen, ["v1", "v2"], "nobody was ever sent to the bad one");
    assert_eq!(get(&fly, "/v1/apps/shop-web")["network"], "shop", "its own private network");
    let traffic = get(&fly, "/_sim/traffic/shop-web");
    let mut healthy = traffic.as_array().expect("moments").iter().map(|moment| moment["healthy"].as_u64());
    assert!(healthy.any(|count| count > Some(0)) && healthy.all(|count| count > Some(0)), "{traffic}");
    let (code, said, talk) = bench.ask(&["logs", "web"]);
    assert!(code == 0 && said.contains("demo-app v2"), "{said}{talk}");
    let said = shown(&bench, "trueup get instances", &[0]);
    let there = get(&fly, "/_sim")["apps"][0]["machines"].clone();
    let serving: Vec<_> = there.as_array().into_iter().flatten().filter(|one| one["cordoned"] == false).collect();
    assert_eq!(serving.len(), 2, "{there}");
    for machine in serving {
        let (name, id) = (machine["name"].as_str().unwrap_or("?"), machine["id"].as_str().unwrap_or("?"));
        let row = said.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let region = machine["region"].as_str().unwrap_or("?");
        assert!(row.contains("Passing") && row.ends_with(&format!("{region}      {id}")), "{name} is {id}: {said}");
    }
    let said = shown(&bench, "trueup describe app web", &[0]);
    assert!(said.contains("shop-web (shop-web.internal on its private network)"), "{said}");
    let env = shown(&bench, "trueup exec web --instance web-r2-0 -- printenv", &[0]);
    assert!(env.contains("DEMO_VERSION=v2"), "{env}");

    std::fs::remove_file(bench.config_dir().join("web.yaml")).expect("it was there");
    daemon.eventually("it is gone", PATIENCE, |status| web(status).is_none());
    let left = get(&fly, "/_sim");
    assert_eq!(left["apps"], serde_json::json!([]), "no app, machine, address or volume stays behind");
    daemon.terminate();
}

#[test]
fn a_canary_on_machines_is_made_of_whole_ones_and_the_plan_says_so() {
    let (bench, _fly) = platform(&["--run"]);
    bench.write_text("target.yaml", TARGET);
    bench.write_text("web.yaml", &app("v1", ""));
    let daemon = Daemon::start(&bench);
    daemon.eventually("v1 is live", PATIENCE, |status| live(status, 1));
    let steps = "rollout: {strategy: canary, steps: [{weight: 20, pause: 1s}], ";
    let next = app("v2", "").replace("rollout: {", steps);
    let folder = bench.path("next");
    std::fs::create_dir(&folder).expect("a folder");
    for (name, text) in [("target.yaml", TARGET), ("web.yaml", &next)] {
        std::fs::write(folder.join(name), text).expect("it is written");
    }
    let (_, said, talk) = bench.ask(&["plan", &folder.to_string_lossy()]);
    assert!(said.contains("20 % becomes 1 of 3 instances"), "{said}{talk}");
    bench.write_text("web.yaml", &next);
    daemon.eventually("one new one serves beside the old ones", PATIENCE, |status| {
        let message = web(status).and_then(|app| app["status"]["verdict"]["message"].as_str()).unwrap_or_default();
        message.starts_with("r2 gets whole instances for 20 % of the traffic")
    });
    daemon.eventually("v2 is live", PATIENCE, |status| live(status, 2));
    daemon.terminate();
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// Copies the manifests of an example, with whatever is to be changed in them.
fn copied(bench: &Bench, name: &str, change: impl Fn(&str) -> String) {
    for entry in std::fs::read_dir(example(name)).expect("an example").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("it reads");
        let file = entry.file_name().to_string_lossy().into_owned();
        if file.ends_with(".yaml") {
            bench.write_text(&file, &change(&text));
        }
    }
}

/// Runs a command that a page shows, with its place put in.
fn shown(bench: &Bench, command: &str, good: &[i32]) -> String {
    let config = bench.config_dir().to_string_lossy().into_owned();
    let word = |word: &str| match word {
        "DIR" => config.clone(),
        word if word.starts_with("examples/") => config.clone(),
        word => word.replace("NAME", "hello"),
    };
    let words: Vec<_> = command.split_whitespace().skip(1).map(word).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let begun = std::time::Instant::now();
    let (code, said, talk) = bench.ask(&words);
    println!("`{command}` took {} ms", begun.elapsed().as_millis());
    assert!(good.contains(&code), "`{command}` ended with {code}: {said}{talk}");
    said
}

/// Who has a token and the page of the example needs nothing else; here only the address of the platform differs.
#[test]
fn the_page_of_an_example_is_all_that_one_needs() {
    let (bench, fly) = platform(&[]);
    copied(&bench, "fly-nitro", str::to_owned);
    let page = std::fs::read_to_string(example("fly-nitro/README.md")).expect("its page");
    let mut daemon = None;
    let edited = |from: &str, to: &str| {
        let text = std::fs::read_to_string(bench.config_dir().join("hello.yaml")).expect("it is there");
        assert!(text.contains(from), "{from} is not in {text}");
        bench.write_text("hello.yaml", &text.replace(from, to));
    };
    for command in super::docs::commands(&page) {
        match command.as_str() {
            // This very platform.
            "trueup sim fly" => {}
            run if run.starts_with("trueup run ") => daemon = Some(Daemon::start(&bench)),
            plan if plan.starts_with("trueup plan ") => {
                let said = shown(&bench, plan, &[1]);
                assert!(said.contains("1 to create"), "{said}");
            }
            "trueup rollout status hello" => {
                edited("WHOAMI_NAME: v1", "WHOAMI_NAME: v2");
                let daemon = daemon.as_ref().expect("it runs by now");
                daemon.eventually("the new one is begun", PATIENCE, |status| revision(status) == 2);
                shown(&bench, &command, &[0]);
            }
            "trueup get routes" => {
                let said = shown(&bench, &command, &[0]);
                let apps = get(&fly, "/_sim");
                let called = apps["apps"][0]["name"].as_str().unwrap_or_default();
                assert!(called.starts_with("hello-") && said.contains(&format!("{called}.fly.dev")), "{said}{apps}");
            }
            other => drop(shown(&bench, other, &[0])),
        }
    }
    let daemon = daemon.expect("the page runs it");
    daemon.eventually("the new one is alone", PATIENCE, |status| {
        let app = &status["apps"][0];
        let there = app["status"]["instances"].as_array().map(Vec::len);
        word(app) == "Ready" && app["status"]["lastGood"] == 2 && there == Some(1)
    });
    let about = std::fs::read_to_string(example("../docs/fly.md")).expect("the page");
    for command in super::docs::commands(&about).iter().filter(|command| *command != "trueup sim fly") {
        let short = command == "trueup plan";
        if !short {
            shown(&bench, command, &[0]);
        }
    }
    std::fs::remove_file(bench.config_dir().join("hello.yaml")).expect("it was there");
    daemon.eventually("it is gone", PATIENCE, |status| status["apps"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(get(&fly, "/_sim")["apps"], serde_json::json!([]), "no app, machine or address stays behind");
    daemon.terminate();
}

fn revision(status: &Value) -> u64 {
    status["apps"][0]["status"]["release"]["number"].as_u64().unwrap_or_default()
}

#[test]
fn a_whole_stack_converges_and_then_its_plan_is_empty() {
    let (mut bench, fly) = platform(&[]);
    bench.tell("SHOP_DATABASE_PASSWORD", "choose-one");
    bench.tell("SHOP_DATABASE_URL", "postgres://postgres:choose-one@trueup-stack-db.internal:5432/shop");
    copied(&bench, "fly-vango", |text| text.replace("primaryRegion: fra", "primaryRegion: fra, propagation: 1s"));
    // One target serves both.
    copied(&bench, "fly-stack", |text| text.replace("primaryRegion: iad", "primaryRegion: iad, propagation: 1s"));
    let daemon = Daemon::start(&bench);
    daemon.eventually("all of it is Ready", PATIENCE, |status| {
        let apps = status["apps"].as_array().cloned().unwrap_or_default();
        apps.len() == 6 && apps.iter().all(|app| word(app) == "Ready")
    });
    assert!(shown(&bench, "trueup plan DIR", &[0]).starts_with("Nothing would change."));
    for (app, hook) in [("jobs", "migrate"), ("db", "tables")] {
        let ran = bench.ask(&["describe", "app", app]).1;
        assert!(ran.lines().any(|line| line.contains(hook) && line.contains(" done ")), "{app}: {ran}");
    }
    let wrote = shown(&bench, "trueup logs jobs --hook migrate", &[0]);
    assert!(wrote.contains("exited normally with code: 0"), "{wrote}");
    let routes = shown(&bench, "trueup get routes", &[0]);
    let domain = routes.lines().find(|line| line.starts_with("shop-api.example.com ")).unwrap_or_default();
    assert!(domain.contains("Pending") || domain.contains("Issued"), "{routes}");
    assert!(shown(&bench, "trueup describe app api", &[0]).contains("CertificateReady"));
    daemon.terminate();
    let alone = shown(&bench, "trueup plan DIR", &[0]);
    assert!(alone.starts_with("Nothing would change.") && !alone.contains("Cost"), "nor without a daemon: {alone}");
    let apps = get(&fly, "/_sim")["apps"].clone();
    assert_eq!(apps.as_array().map(Vec::len), Some(6), "{apps}");
    let kept = get(&fly, "/v1/apps/trueup-stack-api/secrets?show_secrets=true")["secrets"].clone();
    let given = |one: &Value| {
        one["name"] == "DATABASE_URL" && one["value"].as_str().is_some_and(|url| url.contains("choose-one"))
    };
    assert!(kept.as_array().is_some_and(|all| all.len() == 1 && all.iter().all(given)), "{kept}");
}
