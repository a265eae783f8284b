//! Plans as people pass them on, and rollouts as people follow them.

use std::process::Command;
use std::time::Duration;

use trueup_tests::manifest::Badness;
use trueup_tests::{Bench, Daemon, DemoApp};

fn git(bench: &Bench, words: &[&str]) {
    let identity = ["-c", "user.name=ann", "-c", "user.email=ann@example.com", "-c", "init.defaultBranch=main"];
    let done = Command::new("git").current_dir(bench.config_dir()).args(identity).args(words).output();
    let done = done.expect("git is there");
    assert!(done.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_plan_that_was_shown_is_done_and_no_other() {
    let bench = Bench::new();
    let config = bench.config_dir();
    let config = config.to_str().expect("a path of text");
    bench.write(&DemoApp::new("web", "v1").rollout("bake", "300ms"));
    let (code, shown, talk) = bench.ask(&["plan", config, "-o", "json"]);
    assert_eq!(code, 1, "{talk}");
    let plan = bench.path("plan.json");
    std::fs::write(&plan, &shown).expect("it is written");
    let plan = plan.to_str().expect("a path of text");
    let listen = bench.listen.to_string();
    let once = ["run", config, "--once", "--listen", &listen, "--plan", plan];

    bench.write(&DemoApp::new("web", "v2").rollout("bake", "300ms"));
    let (code, _, talk) = bench.ask(&once);
    assert_eq!(code, 1, "{talk}");
    assert!(talk.contains("nothing is done: app/web would not become what"), "{talk}");
    let (_, said, _) = bench.ask(&["plan", config]);
    assert!(said.contains("+ app/web is created"), "nothing was done: {said}");

    bench.write(&DemoApp::new("web", "v1").rollout("bake", "300ms"));
    let (code, said, talk) = bench.ask(&once);
    assert_eq!((code, said.trim()), (0, "app/web Ready"), "{talk}");
    let (code, _, talk) = bench.ask(&once);
    assert_eq!(code, 1, "what is done already is another plan: {talk}");
    let (code, _, _) = bench.ask(&["down", "--yes"]);
    assert_eq!(code, 1, "no daemon is left to take it down");
    let daemon = Daemon::start(&bench);
    let (code, _, talk) = bench.ask(&["down", "--yes"]);
    assert_eq!(code, 0, "{talk}");
    daemon.terminate();
}

#[test]
fn two_versions_of_a_directory_are_compared_without_a_daemon() {
    let bench = Bench::new();
    let config = bench.config_dir();
    let config = config.to_str().expect("a path of text");
    for app in ["web", "api", "old"] {
        bench.write(&DemoApp::new(app, "v1"));
    }
    git(&bench, &["init", "--quiet"]);
    git(&bench, &["add", "."]);
    git(&bench, &["commit", "--quiet", "-m", "first"]);
    let (code, said, talk) = bench.ask(&["plan", config, "--against", "HEAD"]);
    assert_eq!((code, said.trim()), (0, "Nothing would change."), "{talk}");

    bench.write(&DemoApp::new("web", "v2"));
    bench.write(&DemoApp::new("api", "v1").replicas(3));
    bench.write(&DemoApp::new("new", "v1"));
    std::fs::remove_file(bench.config_dir().join("old.yaml")).expect("it was there");
    let (code, said, talk) = bench.ask(&["plan", config, "--against", "HEAD"]);
    assert_eq!(code, 1, "{talk}");
    for line in [
        "~ app/web rolls to a new release",
        "    env.DEMO_VERSION: v1 -> v2",
        "  effect: replace 2; no downtime",
        "~ app/api is adjusted; nothing restarts",
        "  effect: create 1; no downtime",
        "+ app/new is created",
        "- app/old is removed",
        "Plan: 1 to create, 1 to roll, 1 to adjust, 0 to repair, 1 to remove.",
    ] {
        assert!(said.lines().any(|said| said == line), "`{line}` in\n{said}");
    }

    let (code, said, talk) = bench.ask(&["plan", config, "--against", "HEAD", "-o", "markdown"]);
    assert_eq!(code, 1, "{talk}");
    for line in [
        "| `~` | `web` | rolls to a new release | effect: replace 2; no downtime |",
        "<details><summary><code>web</code></summary>",
        "- env.DEMO_VERSION: v1",
        "+ env.DEMO_VERSION: v2",
    ] {
        assert!(said.lines().any(|said| said == line), "`{line}` in\n{said}");
    }

    let (code, _, talk) = bench.ask(&["plan", config, "--against", "nothing-of-the-kind"]);
    assert_eq!(code, 2);
    assert!(talk.contains("git: "), "{talk}");
    let (code, _, talk) = bench.ask(&["plan", config, "--against=--output=/tmp/x"]);
    assert_eq!(code, 2, "what looks like an option is none: {talk}");
}

#[test]
fn a_rollout_is_followed_to_its_end() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let (code, said, _) = bench.ask(&["rollout", "status", "web"]);
    assert_eq!((code, said.trim()), (0, "app \"web\" successfully rolled out"));

    bench.write(&app.at("v2"));
    daemon.eventually("the rollout begins", Duration::from_secs(10), |_| {
        daemon.app("web")["status"]["release"]["number"] == 2
    });
    let (code, said, talk) = bench.ask(&["rollout", "status", "web"]);
    assert_eq!(code, 0, "{said}{talk}");
    let lines: Vec<_> = said.lines().collect();
    assert!(lines.len() > 1 && lines[0].starts_with("Waiting for app \"web\" rollout to finish: "), "{said}");
    assert_eq!(lines.last(), Some(&"app \"web\" successfully rolled out"));

    bench.write(&app.bad("v3", Badness::ExitsAtOnce));
    daemon.await_reverted("web", 3);
    let (code, said, _) = bench.ask(&["rollout", "status", "web"]);
    assert_eq!(code, 3, "as `wait` says of what was reverted: {said}");
    assert!(said.starts_with("app \"web\" was reverted: r3 failed: "), "{said}");

    let (code, said, talk) = bench.ask(&["rollout", "status", "nobody", "--timeout", "300ms"]);
    assert_eq!((code, said.trim()), (1, "Waiting for app \"nobody\" to be known..."), "{talk}");
    assert!(talk.contains("timed out after 300ms"), "{talk}");
    let (code, _, _) = bench.ask(&["rollout", "status", "nobody", "--no-watch"]);
    assert_eq!(code, 0, "asked to look once");
}

#[test]
fn a_plan_says_in_which_order_it_is_done() {
    let bench = Bench::new();
    let config = bench.config_dir();
    let config = config.to_str().expect("a path of text");
    let web = DemoApp { depends_on: vec!["db".to_owned()], ..DemoApp::new("web", "v1") };
    let canary =
        web.rollout("strategy", "canary").rollout("windows", "[{cron: \"0 0 29 2 *\", timeZone: UTC, duration: 1m}]");
    let steps = "[{weight: 10, pause: 2m, analysis: [{name: errors, exec: {command: [\"true\"]}}]}, {weight: 50, approve: true}]";
    let canary = canary.rollout("steps", steps);
    let write = |version: &str| {
        bench.write(&canary.at(version));
        bench.write(&DemoApp::new("db", version));
    };
    write("v1");
    let (_, said, talk) = bench.ask(&["plan", config]);
    assert!(said.contains("  order: after db is Ready"), "{said}{talk}");
    assert!(!said.contains("next window") && !said.contains("  steps: "), "a first release asks nobody: {said}");
    git(&bench, &["init", "--quiet"]);
    git(&bench, &["add", "."]);
    git(&bench, &["commit", "--quiet", "-m", "first"]);
    write("v2");
    let (_, said, _) = bench.ask(&["plan", config, "--against", "HEAD"]);
    for part in [
        "  order: after db is Ready",
        "  order: not before its next window, which opens at 20",
        "  steps: 10 % for 2m while errors is good, then 50 % until `trueup promote`, then all of the traffic",
    ] {
        assert!(said.contains(part), "`{part}` in\n{said}");
    }
    bench.write(&DemoApp::new("other", "v1"));
    for gone in ["web", "db"] {
        std::fs::remove_file(bench.config_dir().join(format!("{gone}.yaml"))).expect("it was there");
    }
    let (_, said, _) = bench.ask(&["plan", config, "--against", "HEAD", "-o", "markdown"]);
    assert!(
        said.contains("| `-` | `db` | is removed | effect: remove 2; no downtime<br>order: after web has gone |"),
        "{said}"
    );
}

#[test]
fn a_plan_shows_no_secret_and_yet_holds_to_it() {
    let bench = Bench::new();
    let config = bench.config_dir();
    let config = config.to_str().expect("a path of text");
    let app = DemoApp::new("web", "v1").rollout("bake", "300ms").env("DB_URL", "postgres://ann:horse-staple@db/web");
    bench.write(&app.clone().env("API_TOKEN", "correct-horse"));
    let (_, text, _) = bench.ask(&["plan", config]);
    let (_, markdown, _) = bench.ask(&["plan", config, "-o", "markdown"]);
    let (_, shown, _) = bench.ask(&["plan", config, "-o", "json"]);
    for said in [&text, &markdown, &shown] {
        assert!(said.contains("env.API_TOKEN") && said.contains("[masked]@db/web"), "{said}");
        assert!(!said.contains("correct-horse") && !said.contains("horse-staple"), "{said}");
    }
    let plan = bench.path("plan.json");
    std::fs::write(&plan, &shown).expect("it is written");
    bench.write(&app.env("API_TOKEN", "another-horse"));
    let listen = bench.listen.to_string();
    let once = ["run", config, "--once", "--listen", &listen, "--plan", plan.to_str().expect("a path of text")];
    let (code, _, talk) = bench.ask(&once);
    assert!(code == 1 && talk.contains("nothing is done: app/web would not become what"), "{talk}");
}
