//! What people come to Fly with, and what it costs them: the pages about both are run, and held to what they show.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use trueup_tests::{Bench, Fly};

fn page(name: &str) -> (PathBuf, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace");
    let path = root.join("docs").join(name);
    let text = std::fs::read_to_string(&path).expect("the page");
    (path, text)
}

/// What the first block of a kind holds.
fn block<'a>(page: &'a str, kind: &str) -> &'a str {
    let rest = page.split(&format!("```{kind}\n")).nth(1).expect("there is such a block");
    rest.split("```").next().expect("it ends")
}

/// Holds a block to what it should show; writes it anew where a person asks for that.
fn shows(name: &str, kind: &str, actual: &str) {
    let (path, text) = page(name);
    let shown = block(&text, kind);
    let actual = format!("{}\n", actual.trim_end());
    if shown != actual && std::env::var_os("UPDATE_EXPECT").is_some() {
        let mended = text.replacen(&format!("```{kind}\n{shown}```"), &format!("```{kind}\n{actual}```"), 1);
        std::fs::write(path, mended).expect("it is written");
        return;
    }
    assert_eq!(shown, actual, "docs/{name} shows something else");
}

/// The commands of a page, without what a comment says of them.
fn commands(page: &str) -> Vec<String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("    trueup "));
    lines.map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()).collect()
}

/// Runs a page's command in the test's folder, `DIR` being its manifests.
fn run(bench: &Bench, fly: Option<&Fly>, command: &str) -> Output {
    let (words, into) = command.split_once('>').map_or((command, None), |(words, file)| (words, Some(file.trim())));
    let config = bench.config_dir().to_string_lossy().into_owned();
    let words = words.split_whitespace().map(|word| if word == "DIR" { config.as_str() } else { word });
    let mut ran = bench.trueup();
    ran.args(words).current_dir(bench.path("."));
    at(&mut ran, fly);
    let output = ran.output().expect("the binary runs");
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "`trueup {command}`: {talk}");
    if let Some(file) = into {
        std::fs::write(bench.path(file), &output.stdout).expect("it is written");
    }
    output
}

fn at(command: &mut Command, fly: Option<&Fly>) {
    command.env_remove("FLY_API_TOKEN").env_remove("FLY_FLAPS_BASE_URL");
    if let Some(fly) = fly {
        command.env("FLY_API_TOKEN", "any").env("FLY_FLAPS_BASE_URL", &fly.base);
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn talked(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn post(fly: &Fly, path: &str, body: Value) -> Value {
    let url = format!("{}/v1/apps{path}", fly.base);
    let request = reqwest::Client::new().post(url).header("authorization", "Bearer any");
    let answer = request.header("content-type", "application/json").body(body.to_string()).send().await;
    let answer = answer.expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

/// The page's app, live: two machines in Frankfurt and one in Paris, behind a shared address and a domain.
async fn tide_table(fly: &Fly) {
    post(fly, "", json!({"name": "tide-table", "org_slug": "personal"})).await;
    post(fly, "/tide-table/ip_assignments", json!({"type": "shared_v4"})).await;
    post(fly, "/tide-table/secrets", json!({"values": {"DATABASE_URL": "postgres://secret"}})).await;
    post(fly, "/tide-table/certificates/acme", json!({"hostname": "tides.example.com"})).await;
    for region in ["fra", "fra", "cdg"] {
        let config = json!({
            "image": "registry.fly.io/tide-table:v7",
            "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
            "metadata": {"fly_process_group": "app"},
        });
        post(fly, "/tide-table/machines", json!({"region": region, "config": config})).await;
    }
}

#[tokio::test]
async fn the_page_about_fly_toml_is_true() {
    let (bench, (_, text)) = (Bench::new(), page("fly-toml.md"));
    let fly = Fly::start(&bench, &["--speed", "1000"]);
    tide_table(&fly).await;
    std::fs::write(bench.path("fly.toml"), block(&text, "toml")).expect("it is written");
    let mut outputs = Vec::new();
    for command in commands(&text) {
        outputs.push((command.clone(), run(&bench, Some(&fly), &command)));
    }
    assert_eq!(outputs.len(), 5, "the page shows so many");
    let manifest = std::fs::read_to_string(bench.config_dir().join("tide-table.yaml")).expect("it was imported");
    shows("fly-toml.md", "yaml", &manifest);

    let (_, live) = &outputs[1];
    for line in [
        "  image: registry.fly.io/tide-table:v7",
        "  regions: {cdg: 1, fra: 2}",
        "    - {host: tides.example.com, tls: auto, port: http}",
    ] {
        assert!(said(live).lines().any(|said| said == line), "`{line}` in\n{}", said(live));
    }
    assert!(talked(live).contains("secrets: stay with the app there, and reach its machines: DATABASE_URL"));
    assert!(!said(live).contains("postgres://secret") && !talked(live).contains("postgres://secret"));
    let (_, exported) = &outputs[4];
    assert!(said(exported).contains("auto_stop_machines = \"stop\"") && said(exported).contains("a month"));
}

#[test]
fn the_page_about_cost_is_true() {
    let (bench, (_, text)) = (Bench::new(), page("cost.md"));
    bench.write_text("apps.yaml", block(&text, "yaml"));
    let outputs: Vec<_> = commands(&text).iter().map(|command| run(&bench, None, command)).collect();
    assert_eq!(outputs.len(), 4, "the page shows so many");
    shows("cost.md", "text", &said(&outputs[0]));
    assert_eq!(said(&outputs[0]), said(&outputs[2]), "the table that is printed is the one that counts");
    let object: Value = serde_json::from_str(&said(&outputs[3])).expect("it is JSON");
    let (idle, busy) = (object["month"]["idle"].as_f64(), object["month"]["busy"].as_f64());
    assert!(idle < busy && object["prices"]["sources"]["page"]["url"].is_string(), "{object}");
}

#[test]
fn a_plan_says_what_it_makes_dearer() {
    let bench = Bench::new();
    let config = bench.config_dir();
    let (_, text) = page("cost.md");
    let manifests = block(&text, "yaml");
    bench.write_text("apps.yaml", manifests);
    let git = |words: &[&str]| {
        let identity = ["-c", "user.name=ann", "-c", "user.email=ann@example.com", "-c", "init.defaultBranch=main"];
        let done = Command::new("git").current_dir(&config).args(identity).args(words).output().expect("git is there");
        assert!(done.status.success(), "git {words:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "first"]);
    bench.write_text("apps.yaml", &manifests.replace("memory: 4Gi", "memory: 8Gi").replace("size: 20Gi", "size: 30Gi"));
    let config = config.to_str().expect("a path of text");
    let (code, said, talk) = bench.ask(&["plan", config, "--against", "HEAD"]);
    assert_eq!(code, 1, "{talk}");
    // 4 GiB of memory at $6.00, and 10 GiB of volume at $0.15.
    assert!(
        said.contains("  cost: +$25.51 / month\n") && said.contains("0 to remove. Cost: +$25.51 / month."),
        "{said}"
    );
    let (_, said, _) = bench.ask(&["plan", config, "--against", "HEAD", "-o", "markdown"]);
    assert!(said.contains("cost: +$25.51 / month"), "{said}");
    let (_, said, _) = bench.ask(&["plan", config, "--against", "HEAD", "-o", "json"]);
    let plan: Value = serde_json::from_str(&said).expect("it is JSON");
    let db = plan.as_array().and_then(|apps| apps.iter().find(|app| app["app"] == "db")).expect("it changes");
    assert!(db["cost"]["busy"].as_f64().is_some_and(|cost| (cost - 25.51).abs() < 0.01), "{db}");
}

#[test]
fn what_is_there_is_not_overwritten_and_what_is_wrong_is_said() {
    let bench = Bench::new();
    let file = bench.path("fly.toml");
    std::fs::write(&file, "app = 'web'\n[http_service]\ninternal_port = 8080\n").expect("it is written");
    let (file, to) = (file.to_string_lossy().into_owned(), bench.path("manifests").to_string_lossy().into_owned());
    let (code, _, talk) = bench.ask(&["import", &file, "--to", &to]);
    assert_eq!(code, 0, "{talk}");
    let (code, _, talk) = bench.ask(&["import", &file, "--to", &to]);
    assert_eq!(code, 1);
    assert!(talk.contains("is there already; nothing was written"), "{talk}");
    let (code, _, talk) = bench.ask(&["export", "fly.toml", "other", &to]);
    assert!(code == 1 && talk.contains("there is no app `other`"), "{talk}");
    let (code, _, talk) = bench.ask(&["cost", &to, "--prices", &file]);
    assert!(code == 1 && talk.contains("is no table of prices"), "{talk}");
    let mut ran = bench.trueup();
    at(ran.args(["import", &file, "--from-live", "web"]), None);
    let output = ran.output().expect("the binary runs");
    assert!(!output.status.success() && talked(&output).contains("FLY_API_TOKEN is not set"), "{}", talked(&output));
    let fly = Fly::start(&bench, &["--speed", "1000"]);
    let mut ran = bench.trueup();
    at(ran.args(["import", &file, "--from-live", "web"]), Some(&fly));
    let output = ran.output().expect("the binary runs");
    assert!(!output.status.success() && talked(&output).contains("answered 404"), "{}", talked(&output));
}
