//! The simulated Fly, as its page shows it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;
use trueup_tests::Bench;

/// A simulated Fly, stopped with the test.
struct Fly {
    child: Child,
    base: String,
}

impl Fly {
    fn start(bench: &Bench, words: &[&str]) -> Self {
        let mut command = bench.trueup();
        let mut child = command
            .args(["sim", "fly", "--listen", "127.0.0.1:0"])
            .args(words)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says where it is");
        let base = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        assert!(base.starts_with("http://127.0.0.1:"), "{line}");
        Self { child, base }
    }
}

impl Drop for Fly {
    fn drop(&mut self) {
        // It may have ended with the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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

#[test]
fn a_scenario_that_is_not_sound_says_why() {
    let bench = Bench::new();
    let file = bench.path("bad.yaml");
    std::fs::write(&file, "latency: {pul: 3s}\n").expect("it is written");
    let (code, _, talk) = bench.ask(&["sim", "fly", "--scenario", &file.to_string_lossy(), "--check"]);
    assert_eq!(code, 1);
    assert!(talk.contains("unknown field `pul`"), "{talk}");
}
