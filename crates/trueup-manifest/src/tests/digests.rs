//! Digests are pinned: whoever changes one of these rolls every app of every user on an upgrade.

use expect_test::expect;

use super::app;

/// Every field that a process target serves, none at its default.
pub(crate) const FULL: &str = r#"
command: [/app/api, serve]
args: [--verbose]
workdir: /app
user: www-data
env: {RUST_LOG: info, EMPTY: ""}
files:
  - {path: config.toml, content: "a = 1\n", mode: "0600"}
  - {path: sub/plain, content: ""}
ports:
  - {name: web, protocol: http}
  - {name: admin, protocol: http}
  - {protocol: tcp}
  - {name: metrics, protocol: udp}
routes:
  - {host: api.example.com, path: /v1, port: web}
  - {host: admin.example.com, port: admin, tls: off}
replicas: 3
resources: {memory: 512Mi, pids: 100, openFiles: 4096}
health:
  - {name: ready, http: {path: /health, port: web, status: [200, 204]}, interval: 1s, timeout: 500ms, grace: 30s, failures: 2, successes: 2}
  - {tcp: {}}
  - {exec: {command: [check, it]}, interval: 1m}
  - {websocket: {path: /ws}}
restart: {policy: always, maxRetries: 5}
stop: {signal: SIGINT, timeout: 1m}
rollout:
  strategy: rolling
  maxSurge: 50%
  maxUnavailable: 1
  minHealthy: 10s
  healthyDeadline: 2m
  progressDeadline: 20m
  bake: 2m
  drain: 10s
  revert: hold
dependsOn: [web-db, web-cache]
history: {limit: 3, keepFor: 1d}
suspend: true
"#;

/// `FULL` with the apps it depends on.
pub(crate) fn full() -> crate::Resolution {
    let indented: String = FULL.lines().map(|line| format!("  {line}\n")).collect();
    let own = format!(
        "apiVersion: trueup.dev/v1\nkind: App\nmetadata:\n  name: web\n  labels: {{stack: shop}}\n  \
         annotations: {{trueup.dev/prune: \"false\"}}\nspec:\n{indented}"
    );
    let other = |name: &str| {
        format!("apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: {name}}}\nspec: {{command: [x]}}\n")
    };
    super::resolved(&[("web.yaml", &own), ("db.yaml", &other("web-db")), ("cache.yaml", &other("web-cache"))])
}

#[test]
fn an_upgrade_rolls_nothing() {
    let small = app("command: [serve]");
    expect!["5f77c0beaa2a36c412243dd1532aac6e22167948b5af3f0f61b5cd2421db26c1 f05afff54b8c8cbe654ac93fe84d52addb4c1b940af020aac1c2933f1533d1f9"].assert_eq(&format!("{} {}", small.template_digest, small.intent));
    let web = app("profile: web\ncommand: [serve]\nroutes: [{host: a.b}]");
    expect!["0cf7ded65395e8e1cde2ff2a4df8466996e4c3b7dc5219e08049e032fdd571b4 55a0ab715f8c729d80291b8a8d3181e61cebcb3ebb669a65737516f2abefa0f5"].assert_eq(&format!("{} {}", web.template_digest, web.intent));
    let full = full().apps[&super::name("web")].desired.clone();
    expect!["8d5bba009282cec1a53316c3d55789467c738ca28cb58a0298211e2401d625e5 660270c326df8b993d96bd2cc5cb1da1dc277736193eb7efde1ce102c5d30cf3"].assert_eq(&format!("{} {}", full.template_digest, full.intent));
}

#[test]
fn an_edit_of_policy_or_exposure_leaves_the_template_alone() {
    let web = |more: &str| app(&format!("profile: web\ncommand: [serve]\nroutes: [{{host: a.b}}]\n{more}"));
    let before = web("");
    for edit in ["replicas: 3", "rollout: {bake: 5m}", "history: {limit: 2}", "suspend: true"] {
        let after = web(edit);
        assert_eq!(after.template_digest, before.template_digest, "{edit} would restart");
        assert_ne!(after.intent, before.intent, "{edit} would not be seen");
    }
    for edit in ["args: [x]", "env: {A: b}", "stop: {timeout: 1s}", "health: [{http: {path: /up}}]"] {
        assert_ne!(web(edit).template_digest, before.template_digest, "{edit} would not roll");
    }
    for same in ["replicas: 1", "restart: {policy: always}", "rollout: {bake: 60s}", "# a comment", "env: {}"] {
        assert_eq!(web(same).intent, before.intent, "{same} is what holds anyway");
    }
}
