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
