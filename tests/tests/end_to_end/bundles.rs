//! `trueup debug bundle`: everything is in it but what is secret.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use trueup_tests::manifest::Badness;
use trueup_tests::{Bench, Daemon, DemoApp};

/// Values that nobody else has: in an environment, in an older one, in a file.
const PASSWORD: &str = "correct-horse-battery";
const OLD_PASSWORD: &str = "tr0ub4dor-and-3";
const KEY: &str = "staple-of-the-private-key";
/// Unquoted, it is an error that quotes it.
const PIN: &str = "0123456789";

/// The app repeats its password in its command and in its log, as apps do.
fn written(bench: &Bench, app: &DemoApp) {
    let shell =
        "[sh, -c, 'echo connecting with $PASSWORD; cat key.pem; exec trueup demo-app', --url=http://ann:pw@db/]";
    let file = format!("  files: [{{path: key.pem, content: \"-----BEGIN-----\\n{KEY}\\n\"}}]\n");
    bench.write_text("web.yaml", &(app.manifest().replace("[trueup, demo-app]", shell) + &file));
}

/// What is in a bundle, by name.
fn opened(path: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(path).expect("it is there");
    assert_eq!(file.metadata().expect("it is there").permissions().mode() & 0o077, 0, "nobody else may read it");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut files = BTreeMap::new();
    for entry in archive.entries().expect("it is an archive") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("it is text");
        let name = name.strip_prefix("trueup-debug/").expect("all lies below one folder").to_owned();
        files.insert(name, text);
    }
    files
}

fn bundle(bench: &Bench, name: &str) -> BTreeMap<String, String> {
    let path = bench.path(name);
    let (code, said, talk) = bench.ask(&["debug", "bundle", "--output", path.to_str().expect("a path of text")]);
    assert!(code == 0 && said.contains(name), "{said}{talk}");
    assert!(talk.contains("masking and packing"), "it says how far it has come: {talk}");
    opened(&path)
}

fn no_secret_in(files: &BTreeMap<String, String>) {
    for (name, text) in files {
        for secret in [PASSWORD, OLD_PASSWORD, KEY, PIN, "ann:pw"] {
            assert!(!text.contains(secret), "`{secret}` is in {name}:\n{text}");
        }
    }
}

#[test]
fn a_bundle_holds_what_a_report_needs_and_no_secret() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1").replicas(1).rollout("drain", "200ms");
    written(&bench, &app.clone().env("PASSWORD", OLD_PASSWORD));
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    written(&bench, &app.bad("v2", Badness::ExitsAtOnce).env("PASSWORD", PASSWORD));
    daemon.await_reverted("web", 2);
    let unread = DemoApp::new("api", "v1").manifest().replace("\"v1\"", PIN);
    bench.write_text("api.yaml", &unread);
    daemon.eventually("it is not read", Duration::from_secs(20), |status| status["daemon"]["faults"][0].is_object());
    assert!(daemon.status().to_string().contains(PIN), "an error quotes what it cannot read");
    let (_, wrote, _) = bench.ask(&["logs", "web"]);
    assert!(wrote.contains(OLD_PASSWORD) && wrote.contains(KEY), "the test plants what it looks for: {wrote}");

    let files = bundle(&bench, "debug.tar.gz");
    no_secret_in(&files);
    let expected = [
        ("README.txt", "missing.txt"),
        ("version.txt", "trueup 0."),
        ("doctor.txt", "daemon"),
        ("status.json", "\"web\""),
        ("events.txt", "app/web"),
        ("manifests/web.yaml", "PASSWORD: masked-"),
        ("decisions/web.json", "\"PASSWORD\": \"masked-"),
        ("evidence/web.json", "env.PASSWORD: [masked]"),
        ("logs/web-r1-0.log", "connecting with [masked]"),
        ("logs/edge.log", ""),
        ("state.txt", "control.sock"),
        ("missing.txt", "manifests: api.yaml:"),
    ];
    for (name, part) in expected {
        let text = files.get(name).unwrap_or_else(|| panic!("{name} is not among {:?}", files.keys()));
        assert!(text.contains(part), "`{part}` is not in {name}:\n{text}");
    }
    let decisions = bench.path("decisions.json");
    std::fs::write(&decisions, &files["decisions/web.json"]).expect("it is written");
    let (code, said, _) = bench.ask(&["why", "--replay", decisions.to_str().expect("a path of text")]);
    assert_eq!(code, 0, "what is packed is decided the same way: {said}");

    daemon.terminate();
    let files = bundle(&bench, "later.tar.gz");
    no_secret_in(&files);
    assert!(files.contains_key("evidence/web.json") && files.contains_key("manifests/web.yaml"), "{:?}", files.keys());
    assert!(files["missing.txt"].contains("decisions and logs: no daemon answers"), "{}", files["missing.txt"]);
}

#[test]
fn where_there_is_nothing_yet_a_bundle_says_so() {
    let bench = Bench::new();
    let files = bundle(&bench, "nothing.tar.gz");
    assert!(files["missing.txt"].contains("status.json: there is no status"), "{}", files["missing.txt"]);
    assert!(files.contains_key("doctor.txt") && files.contains_key("version.txt"));
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let bench = Bench::new();
    let path = bench.path("nowhere/report.tar.gz");
    let (code, _, talk) = bench.ask(&["debug", "bundle", "--output", path.to_str().expect("a path of text")]);
    assert_eq!(code, 1, "{talk}");
    assert!(talk.contains(&format!("there is no folder {}", bench.path("nowhere").display())), "{talk}");
    assert!(!talk.contains(".tmp"), "{talk}");
}
