//! The simulated Fly, as its page shows it.

use std::path::Path;

use serde_json::{Value, json};
use trueup_tests::{Bench, Fly};

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace");
    std::fs::read_to_string(root.join("docs/fly-sim.md")).expect("the page")
}

/// The words of a shell command: quotes, and nothing else, hold them together.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in command.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            None if letter == ' ' => words.push(String::new()),
            Some(_) | None => words.last_mut().expect("there is one").push(letter),
        }
    }
    words
}

/// Does what a `curl` would, of the few options that the page uses.
async fn curl(command: &str, base: &str) -> (u16, String) {
    let words = words(command);
    let (mut headers, mut body, mut url) = (Vec::new(), None, String::new());
    let mut rest = words.into_iter().skip(1);
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-H" => headers.extend(rest.next()),
            "-d" => body = rest.next(),
            target => url = target.replace("$FLY", base),
        }
    }
    let client = reqwest::Client::new();
    let mut request = match body {
        Some(body) => client.post(url).header("content-type", "application/json").body(body),
        None => client.get(url),
    };
    for header in headers {
        let (name, value) = header.split_once(": ").expect("a header");
        request = request.header(name, value);
    }
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.unwrap_or_default())
}

#[tokio::test]
async fn the_page_about_the_simulated_fly_is_true() {
    let (bench, page) = (Bench::new(), page());
    let scenario = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a scenario");
    let file = bench.path("storm.yaml");
    std::fs::write(&file, scenario).expect("it is written");
    let file = file.to_string_lossy().into_owned();
    let (code, said, talk) = bench.ask(&["sim", "fly", "--scenario", &file, "--check"]);
    assert_eq!((code, said.trim()), (0, "the scenario is sound"), "{talk}");
    drop(Fly::start(&bench, &["--scenario", &file]));

    let fly = Fly::start(&bench, &["--speed", "1000"]);
    let commands: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("    curl")).collect();
    assert!(commands.len() > 10, "the page shows what can be asked");
    for command in commands {
        // A name of an app is answered once its machine has started, and the proxy has heard of it.
        let patience = if command.contains("Host: ") { 200 } else { 1 };
        let mut answered = (0, String::new());
        for _ in 0..patience {
            answered = curl(&format!("curl{command}"), &fly.base).await;
            if answered.0 < 300 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(answered.0 < 300, "`curl{command}`: {answered:?}");
    }
    let inventory: Value = serde_json::from_str(&curl("curl $FLY/_sim", &fly.base).await.1).expect("JSON");
    assert_eq!(inventory["apps"][0]["name"], "web");

    let fly = Fly::start(&bench, &["--by-hand"]);
    let clock = || curl("curl $FLY/_sim/clock", &fly.base);
    assert_eq!(clock().await, clock().await, "time stands still");
}

/// Asks until it is answered so.
async fn eventually(fly: &Fly, command: &str, wanted: impl Fn(&(u16, String)) -> bool) -> String {
    let mut answered = (0, String::new());
    for _ in 0..400 {
        answered = curl(command, &fly.base).await;
        if wanted(&answered) {
            return answered.1;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("`{command}` is still answered {answered:?}");
}

#[tokio::test]
async fn machines_really_run_and_answer_at_their_apps_name() {
    let bench = Bench::new();
    let fly = Fly::start(&bench, &["--speed", "20", "--run"]);
    let post = |path: &str, body: Value| {
        let command = format!("curl -H 'Authorization: Bearer any' -d '{body}' $FLY/v1/{path}");
        let base = fly.base.clone();
        async move {
            let (status, text) = curl(&command, &base).await;
            assert!(status < 300, "`{command}`: {status} {text}");
            serde_json::from_str::<Value>(&text).unwrap_or_default()
        }
    };
    let config = |version: &str| {
        let check = json!({"type": "http", "path": "/health", "interval": "2s", "grace_period": "1s"});
        json!({"config": {
            "image": format!("demo:{version}"),
            "init": {"exec": ["trueup", "demo-app"]},
            "env": {"DEMO_VERSION": version},
            "stop_config": {"signal": "SIGTERM", "timeout": "60s"},
            "services": [{"protocol": "tcp", "internal_port": 8080, "checks": [check]}],
        }})
    };
    post("apps", json!({"name": "web", "org_slug": "personal"})).await;
    post("apps/web/ip_assignments", json!({"type": "shared_v4"})).await;
    let machine = post("apps/web/machines", config("v1")).await;
    let id = machine["id"].as_str().expect("it has an id").to_owned();
    let version = "curl -H 'Host: web.fly.localhost' $FLY/version";
    eventually(&fly, version, |(status, text)| *status == 200 && text == "v1\n").await;
    greeted(&fly).await;
    post(&format!("apps/web/machines/{id}"), config("v2")).await;
    eventually(&fly, version, |(_, text)| text == "v2\n").await;
    let logs = "curl -H 'Authorization: Bearer any' $FLY/api/v1/apps/web/logs";
    eventually(&fly, logs, |(_, text)| text.contains("demo-app v1") && text.contains("demo-app v2")).await;
    post(&format!("apps/web/machines/{id}/signal"), json!({"signal": "SIGKILL"})).await;
    eventually(&fly, "curl $FLY/_sim", |(_, text)| text.contains(r#""state":"started""#)).await;
    eventually(&fly, version, |(_, text)| text == "v2\n").await;
    // What it is sent it receives, and says itself what it makes of that: it ends well, and so is not started again.
    post(&format!("apps/web/machines/{id}/signal"), json!({"signal": "SIGTERM"})).await;
    eventually(&fly, "curl $FLY/_sim", |(_, text)| text.contains(r#""state":"stopped""#)).await;
    eventually(&fly, version, |(status, text)| *status == 200 && text == "v2\n").await;
    post(&format!("apps/web/machines/{id}/stop"), json!({})).await;
    eventually(&fly, "curl $FLY/_sim", |(_, text)| text.contains(r#""state":"stopped""#)).await;
    // It is woken by whoever asks next.
    eventually(&fly, version, |(status, text)| *status == 200 && text == "v2\n").await;
    let fly_pid = fly.pid();
    let children = std::fs::read_to_string(format!("/proc/{fly_pid}/task/{fly_pid}/children")).unwrap_or_default();
    let processes: Vec<_> = children.split_whitespace().map(|pid| format!("/proc/{pid}")).collect();
    assert_eq!(processes.len(), 1, "one machine, one process: {children}");
    drop(fly);
    for _ in 0..200 {
        if processes.iter().all(|process| !Path::new(process).exists()) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("a process outlives its platform: {processes:?}");
}

/// A WebSocket goes through to the machine.
async fn greeted(fly: &Fly) {
    use futures_util::StreamExt as _;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
    let url = format!("{}/ws", fly.base.replace("http://", "ws://"));
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert("host", "web.fly.localhost".parse().expect("a header"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("a socket");
    let greeting = socket.next().await.expect("it is greeted").expect("by a message");
    assert!(greeting.is_text(), "{greeting:?}");
}

#[test]
fn what_runs_commands_listens_on_loopback_alone() {
    let (code, _, talk) = Bench::new().ask(&["sim", "fly", "--run", "--listen", "0.0.0.0:0"]);
    assert_eq!(code, 1);
    assert!(talk.contains("a loopback address alone"), "{talk}");
}

#[test]
fn a_scenario_that_is_not_sound_says_why() {
    let bench = Bench::new();
    let file = bench.path("bad.yaml");
    std::fs::write(&file, "latency: {pul: 3s}\n").expect("it is written");
    let (code, _, talk) = bench.ask(&["sim", "fly", "--scenario", &file.to_string_lossy(), "--check"]);
    assert_eq!(code, 1);
    assert!(talk.contains("unknown field `pul`"), "{talk}");
}
