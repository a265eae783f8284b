//! For every field of an App: values that are kept, among them those on the boundaries, and values that are refused.
//!
//! What the schema says by itself (the bounds of a number, the words of a choice, the type) is not repeated here:
//! `field` reads it off. A field of the schema that has no line here is a violation of its own.

/// What an accepted value does to what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// It is part of what an instance is: every instance is replaced.
    Rolls,
    /// It is not: no instance that stays is restarted.
    Stays,
    /// The target does not serve it: every value is refused by name.
    Unserved,
    /// It names the app or the document; another value is another app.
    Fixed,
}

/// The values of one field, as JSON.
#[derive(Debug, Clone, Copy)]
pub struct Values {
    /// Where, below the document; `[]` is the first of a list, `*` a key of a free map.
    pub path: &'static str,
    /// What a kept value does.
    pub touch: Touch,
    /// What else the spec has to say for it, merged over the base.
    pub frame: &'static str,
    /// Values that are kept.
    pub kept: &'static [&'static str],
    /// Values that are refused.
    pub refused: &'static [&'static str],
}

const fn field(
    path: &'static str,
    touch: Touch,
    kept: &'static [&'static str],
    refused: &'static [&'static str],
) -> Values {
    Values { path, touch, frame: "{}", kept, refused }
}

impl Values {
    const fn within(self, frame: &'static str) -> Self {
        Self { frame, ..self }
    }
}

use Touch::{Fixed, Rolls, Stays, Unserved};

/// Durations from the shortest to the longest that a wait takes.
const WAITS: &[&str] = &[r#""0s""#, r#""1ms""#, r#""2s""#, r#""1m 30s""#];
const NO_WAITS: &[&str] = &[r#""soon""#, r#""-1s""#, r#""1""#, r#""""#];
const NAMES: &[&str] = &[r#""Web""#, r#""-a""#, r#""a_b""#, r#""""#];

const NO_URLS: &[&str] = &[r#""127.0.0.1:80""#, r#""https://a/""#, r#""http://""#];
const NO_EXPECTATIONS: &[&str] = &[r#""ok""#, r#""<""#, r#""< few""#];

const CANARY: &str = r#"{"rollout":{"strategy":"canary","steps":[{"weight":10}]}}"#;
/// One that is always open.
const WINDOW: &str = r#"{"rollout":{"windows":[{"cron":"* * * * *","duration":"1m"}]}}"#;
const PRE_DEPLOY: &str = r#"{"hooks":{"preDeploy":[{"name":"a","command":["b"]}]}}"#;
const POST_DEPLOY: &str = r#"{"hooks":{"postDeploy":[{"name":"a","command":["b"]}]}}"#;
const ON_REVERT: &str = r#"{"hooks":{"onRevert":[{"name":"a","command":["b"]}]}}"#;
const ANALYSED: &str =
    r#"{"rollout":{"strategy":"canary","steps":[{"weight":10,"analysis":[{"exec":{"command":["look"]}}]}]}}"#;
const ASKED_HTTP: &str = r#"{"rollout":{"strategy":"canary","steps":[{"weight":10,"analysis":[{"http":{"url":"http://a/","json":"/a","expect":"== b"}}]}]}}"#;
const ASKED_PROMETHEUS: &str = r#"{"rollout":{"strategy":"canary","steps":[{"weight":10,"analysis":[{"prometheus":{"url":"http://a","query":"up","expect":"== 1"}}]}]}}"#;

/// All fields, in the order of the schema.
pub const FIELDS: &[Values] = &[
    field("apiVersion", Fixed, &[r#""trueup.dev/v1""#], &[r#""trueup.dev/v2""#]),
    field("kind", Fixed, &[r#""App""#], &[r#""Pod""#]),
    field("metadata", Fixed, &[r#"{"name":"web"}"#], &["{}"]),
    field("metadata.name", Fixed, &[r#""web""#], NAMES),
    field("metadata.labels", Stays, &["{}", r#"{"stack":"shop"}"#], &[r#"{"a b":"c"}"#]),
    field("metadata.labels.*", Stays, &[r#""shop""#, r#""""#], &[]),
    field("metadata.annotations", Stays, &["{}", r#"{"note":"mine"}"#], &[]),
    field("metadata.annotations.*", Stays, &[r#""by me""#], &[]),
    field("spec", Fixed, &[], &[]),
    field("spec.profile", Stays, &[], &[r#""nobody""#, r#""A B""#]),
    field("spec.target", Rolls, &[r#""spare""#, r#""local""#], &[r#""nowhere""#, r#""quiet""#]),
    field("spec.image", Unserved, &[r#""registry.example.com/shop/api:1""#], &[r#""a b""#]),
    field("spec.build", Unserved, &[r#"{"context":"."}"#], &["{}"]),
    field("spec.build.context", Unserved, &[r#"".""#], &[]),
    field("spec.build.dockerfile", Unserved, &[r#""Dockerfile""#], &[]),
    field("spec.build.args", Unserved, &["{}"], &[]),
    field("spec.build.args.*", Unserved, &[r#""1""#], &[]),
    field("spec.build.target", Unserved, &[r#""final""#], &[]),
    field("spec.source", Unserved, &[r#"{"path":"app"}"#], &["{}"]),
    field("spec.source.path", Unserved, &[r#""app""#], &[]),
    field("spec.source.exclude", Unserved, &["[]"], &[]),
    field("spec.source.exclude[]", Unserved, &[r#"".git""#], &[]),
    field("spec.command", Rolls, &[r#"["serve","--fast"]"#], &["[]"]),
    field("spec.command[]", Rolls, &[r#""listen""#], &[]),
    field("spec.args", Rolls, &[r#"["--verbose"]"#, r#"["a","b","c"]"#], &[]),
    field("spec.args[]", Rolls, &[r#""--port""#, r#""""#], &[]),
    field("spec.workdir", Rolls, &[r#""/srv""#, r#""data""#], &[r#""""#]),
    field("spec.user", Rolls, &[r#""www-data""#, r#""1000""#], &[r#""two words""#]),
    field("spec.env", Rolls, &["{}", r#"{"VERSION":"2","MORE":"yes"}"#], &[r#"{"A B":"c"}"#]),
    field("spec.env.*", Rolls, &[r#""2""#, r#""""#, r#""a b c""#], &["null"]),
    field("spec.envFrom", Rolls, &["[]", r#"[{"secret":"keys"}]"#], &["[{}]", r#"[{"secret":"nobodys"}]"#]),
    field("spec.envFrom[].secret", Rolls, &[r#""keys""#], NAMES).within(r#"{"envFrom":[{"secret":"locks"}]}"#),
    field("spec.files", Rolls, &[r#"[{"path":"a.toml","content":"a"}]"#], &["[{}]"]),
    field("spec.files[].path", Rolls, &[r#""b/c.toml""#], &[r#""/etc/passwd""#, r#""../up""#])
        .within(r#"{"files":[{"path":"a.toml","content":"a"}]}"#),
    field("spec.files[].content", Rolls, &[r#""other""#, r#""""#], &[])
        .within(r#"{"files":[{"path":"a.toml","content":"a"}]}"#),
    field("spec.files[].mode", Rolls, &[r#""0600""#, r#""777""#, r#""000""#], &[r#""0999""#, r#""rw""#])
        .within(r#"{"files":[{"path":"a.toml","content":"a"}]}"#),
    field("spec.ports", Rolls, &[r#"[{"name":"http"},{"name":"admin"}]"#], &["[{\"name\":\"a\"},{\"name\":\"a\"}]"])
        .within(r#"{"routes":[{"host":"web.example.com","port":"http"}]}"#),
    field("spec.ports[].name", Rolls, &[r#""public""#], NAMES).within(r#"{"routes":[{"host":"web.example.com"}]}"#),
    field("spec.ports[].port", Rolls, &["8081"], &[]).within(r#"{"replicas":1}"#),
    field("spec.ports[].protocol", Rolls, &[r#""tcp""#, r#""udp""#], &[]).within(r#"{"routes":[]}"#),
    field(
        "spec.routes",
        Stays,
        &["[]", r#"[{"host":"a.example.com"},{"host":"b.example.com"}]"#],
        &[r#"[{"path":"/"}]"#],
    ),
    field("spec.routes[].host", Stays, &[r#""other.example.com""#, r#""localhost""#], &[r#""a b""#, r#""a:80""#]),
    field("spec.routes[].path", Stays, &[r#""/api""#, r#""/""#], &[r#""api""#]),
    field("spec.routes[].port", Stays, &[r#""http""#], &[r#""gone""#]),
    field("spec.routes[].tls", Stays, &[], &[]),
    field("spec.forceHttps", Unserved, &["true"], &[]),
    field("spec.replicas", Stays, &["0", "1", "3", "7"], &["-1"]),
    field("spec.regions", Unserved, &[r#"{"iad":1}"#], &[r#"{"IAD":1}"#]),
    field("spec.regions.*", Unserved, &["1"], &["-1"]),
    field("spec.resources", Rolls, &[r#"{"pids":100}"#], &[]),
    field("spec.resources.cpuKind", Unserved, &[], &[]),
    field("spec.resources.cpus", Unserved, &["1"], &[]),
    field("spec.resources.memory", Rolls, &[r#""512Mi""#, "1048576"], &[r#""lots""#, "0"]),
    field("spec.resources.pids", Rolls, &["64"], &[]),
    field("spec.resources.openFiles", Rolls, &["1024"], &[]),
    field("spec.concurrency", Unserved, &[r#"{"soft":1,"hard":2}"#], &["{}"]),
    field("spec.concurrency.kind", Unserved, &[], &[]),
    field("spec.concurrency.soft", Unserved, &["1"], &[]),
    field("spec.concurrency.hard", Unserved, &["2"], &[]),
    field("spec.autostop", Unserved, &[r#"{"mode":"off"}"#], &["{}"]),
    field("spec.autostop.mode", Unserved, &[], &[]),
    field("spec.autostop.minRunning", Unserved, &["0"], &[]),
    field("spec.health", Rolls, &["[]", r#"[{"tcp":{}},{"exec":{"command":["check"]}}]"#], &["[{}]"]),
    field("spec.health[].name", Rolls, &[r#""alive""#], NAMES),
    field("spec.health[].http", Rolls, &[r#"{"path":"/b"}"#], &[]).within(r#"{"health":[{"http":{}}]}"#),
    field("spec.health[].http.path", Rolls, &[r#""/health""#, r#""/a?b=c""#], &[r#""health""#])
        .within(r#"{"health":[{"http":{}}]}"#),
    field("spec.health[].http.port", Rolls, &[r#""http""#], &[r#""gone""#])
        .within(r#"{"health":[{"http":{"path":"/a"}}]}"#),
    field("spec.health[].http.status", Rolls, &["[204]", "[200,404]"], &[]).within(r#"{"health":[{"http":{}}]}"#),
    field("spec.health[].http.status[]", Rolls, &["201"], &[]).within(r#"{"health":[{"http":{"status":[200]}}]}"#),
    field("spec.health[].tcp", Rolls, &[r#"{"port":"http"}"#], &[]).within(r#"{"health":[{"tcp":{}}]}"#),
    field("spec.health[].tcp.port", Rolls, &[r#""http""#], &[r#""gone""#]).within(r#"{"health":[{"tcp":{}}]}"#),
    field("spec.health[].exec", Rolls, &[r#"{"command":["look"]}"#], &["{}"]),
    field("spec.health[].exec.command", Rolls, &[r#"["look","well"]"#], &["[]"]),
    field("spec.health[].exec.command[]", Rolls, &[r#""ask""#], &[]),
    field("spec.health[].websocket", Rolls, &[r#"{"path":"/b"}"#], &[]).within(r#"{"health":[{"websocket":{}}]}"#),
    field("spec.health[].websocket.path", Rolls, &[r#""/ws""#], &[r#""ws""#])
        .within(r#"{"health":[{"websocket":{}}]}"#),
    field("spec.health[].websocket.port", Rolls, &[r#""http""#], &[r#""gone""#])
        .within(r#"{"health":[{"websocket":{"path":"/a"}}]}"#),
    field("spec.health[].interval", Rolls, &[r#""1s""#, r#""20s""#], &[r#""0s""#, r#""often""#]),
    field("spec.health[].timeout", Rolls, &[r#""1s""#, r#""4s""#], &[r#""0s""#]),
    field("spec.health[].grace", Rolls, &[r#""0s""#, r#""3s""#], NO_WAITS),
    field("spec.health[].failures", Rolls, &["2"], &[]),
    // At the usual interval the most successes take longer than a rollout has.
    field("spec.health[].successes", Rolls, &["2"], &[])
        .within(r#"{"health":[{"name":"ready","exec":{"command":["check"]},"interval":"100ms"}]}"#),
    field("spec.restart", Rolls, &[r#"{"policy":"always","maxRetries":5}"#], &[]),
    field("spec.restart.policy", Rolls, &[], &[]).within(r#"{"routes":[]}"#),
    field("spec.restart.maxRetries", Rolls, &["2"], &[]),
    field("spec.stop", Rolls, &[r#"{"signal":"SIGINT"}"#], &[]),
    field("spec.stop.signal", Rolls, &[r#""SIGQUIT""#, r#""SIGUSR1""#], &[r#""TERM""#, r#""SIGNONE""#]),
    field("spec.stop.timeout", Rolls, &[r#""0s""#, r#""9s""#], NO_WAITS),
    field("spec.volumes", Unserved, &[r#"[{"name":"data","path":"/data"}]"#], &["[{}]"]),
    field("spec.volumes[].name", Unserved, &[r#""data""#], NAMES),
    field("spec.volumes[].path", Unserved, &[r#""/data""#], &[r#""data""#]),
    field("spec.volumes[].size", Unserved, &[r#""1Gi""#], &["0"]),
    field("spec.rollout", Stays, &[r#"{"bake":"2s"}"#, "{}"], &[r#"{"maxSurge":0,"maxUnavailable":0}"#]),
    field("spec.rollout.strategy", Stays, &[], &[]),
    field("spec.rollout.maxSurge", Stays, &["1", r#""50%""#, r#""100%""#, "5"], &[r#""many""#, "-1", r#""-1%""#]),
    field("spec.rollout.maxUnavailable", Stays, &["0", "1", r#""50%""#], &[r#""all""#, "-1"]),
    field("spec.rollout.minHealthy", Stays, WAITS, NO_WAITS),
    field("spec.rollout.healthyDeadline", Stays, &[r#""90s""#, r#""4m""#], &[r#""0s""#, r#""11m""#]),
    field("spec.rollout.progressDeadline", Stays, &[r#""6m""#, r#""1h""#], &[r#""0s""#, r#""1m""#]),
    field("spec.rollout.bake", Stays, WAITS, NO_WAITS),
    field("spec.rollout.bakeKeep", Unserved, &[], &[]),
    field("spec.rollout.drain", Stays, WAITS, NO_WAITS),
    field("spec.rollout.revert", Stays, &[], &[]),
    field(
        "spec.rollout.steps",
        Stays,
        &[r#"[{"weight":20},{"weight":30}]"#],
        &["[{}]", r#"[{"weight":9},{"weight":9}]"#],
    )
    .within(CANARY),
    field("spec.rollout.steps[].weight", Stays, &["50"], &[]).within(CANARY),
    field("spec.rollout.steps[].pause", Stays, WAITS, NO_WAITS).within(CANARY),
    field("spec.rollout.steps[].approve", Stays, &["true", "false"], &[]).within(CANARY),
    field("spec.rollout.steps[].analysis", Stays, &["[]", r#"[{"exec":{"command":["look"]}}]"#], &["[{}]"])
        .within(CANARY),
    field("spec.rollout.steps[].analysis[].name", Stays, &[r#""errors""#], NAMES).within(ANALYSED),
    field(
        "spec.rollout.steps[].analysis[].http",
        Stays,
        &[r#"{"url":"http://a/"}"#],
        &["{}", r#"{"url":"http://a/","json":"/b"}"#],
    )
    .within(ASKED_HTTP),
    field("spec.rollout.steps[].analysis[].http.url", Stays, &[r#""http://127.0.0.1:80/b?c""#], NO_URLS)
        .within(ASKED_HTTP),
    field("spec.rollout.steps[].analysis[].http.json", Stays, &[r#""/a/0""#], &[r#""a""#]).within(ASKED_HTTP),
    field("spec.rollout.steps[].analysis[].http.expect", Stays, &[r#""== ok""#, r#""< 0.5""#], NO_EXPECTATIONS)
        .within(ASKED_HTTP),
    field("spec.rollout.steps[].analysis[].exec", Stays, &[r#"{"command":["see"]}"#], &["{}"]).within(ANALYSED),
    field("spec.rollout.steps[].analysis[].exec.command", Stays, &[r#"["see","well"]"#], &["[]"]).within(ANALYSED),
    field("spec.rollout.steps[].analysis[].exec.command[]", Stays, &[r#""see""#], &[]).within(ANALYSED),
    field(
        "spec.rollout.steps[].analysis[].prometheus",
        Stays,
        &[r#"{"url":"http://b","query":"x","expect":"> 2"}"#],
        &["{}"],
    )
    .within(ASKED_PROMETHEUS),
    field("spec.rollout.steps[].analysis[].prometheus.url", Stays, &[r#""http://b:9090""#], NO_URLS)
        .within(ASKED_PROMETHEUS),
    field("spec.rollout.steps[].analysis[].prometheus.query", Stays, &[r#""rate(x[1m])""#], &[])
        .within(ASKED_PROMETHEUS),
    field("spec.rollout.steps[].analysis[].prometheus.expect", Stays, &[r#"">= 1""#], NO_EXPECTATIONS)
        .within(ASKED_PROMETHEUS),
    field("spec.rollout.steps[].analysis[].interval", Stays, &[r#""1s""#], &[r#""0s""#]).within(ANALYSED),
    field("spec.rollout.steps[].analysis[].timeout", Stays, &[r#""1s""#], &[r#""0s""#]).within(ANALYSED),
    field("spec.rollout.steps[].analysis[].failures", Stays, &["2"], &[]).within(ANALYSED),
    field("spec.rollout.windows", Stays, &["[]", r#"[{"cron":"* * * * *","duration":"1m"}]"#], &["[{}]"]),
    field(
        "spec.rollout.windows[].cron",
        Stays,
        &[r#""*/1 * * * *""#],
        &[r#""soon""#, r#""0 25 * * *""#, r#""0 0 30 2 *""#],
    )
    .within(WINDOW),
    field("spec.rollout.windows[].timeZone", Stays, &[r#""Europe/Berlin""#], &[r#""Europe/Berln""#, r#""""#])
        .within(WINDOW),
    field("spec.rollout.windows[].duration", Stays, &[r#""8h""#], &[r#""0s""#]).within(WINDOW),
    field("spec.hooks", Rolls, &[r#"{"preDeploy":[{"name":"a","command":["b"]}]}"#], &[r#"{"preDeploy":[{}]}"#]),
    field("spec.hooks.preDeploy", Rolls, &[r#"[{"name":"a","command":["b"]}]"#], &["[{}]"]),
    field("spec.hooks.preDeploy[].name", Rolls, &[r#""b""#], NAMES).within(PRE_DEPLOY),
    field("spec.hooks.preDeploy[].command", Rolls, &[r#"["c"]"#], &["[]"]).within(PRE_DEPLOY),
    field("spec.hooks.preDeploy[].command[]", Rolls, &[r#""c""#], &[]).within(PRE_DEPLOY),
    field("spec.hooks.preDeploy[].timeout", Rolls, &[r#""1m""#], &[r#""0s""#]).within(PRE_DEPLOY),
    field("spec.hooks.postDeploy", Rolls, &[r#"[{"name":"a","command":["b"]}]"#], &["[{}]"]),
    field("spec.hooks.postDeploy[].name", Rolls, &[r#""b""#], NAMES).within(POST_DEPLOY),
    field("spec.hooks.postDeploy[].command", Rolls, &[r#"["c"]"#], &["[]"]).within(POST_DEPLOY),
    field("spec.hooks.postDeploy[].command[]", Rolls, &[r#""c""#], &[]).within(POST_DEPLOY),
    field("spec.hooks.postDeploy[].timeout", Rolls, &[r#""1m""#], &[r#""0s""#]).within(POST_DEPLOY),
    field("spec.hooks.onRevert", Rolls, &[r#"[{"name":"a","command":["b"]}]"#], &["[{}]"]),
    field("spec.hooks.onRevert[].name", Rolls, &[r#""b""#], NAMES).within(ON_REVERT),
    field("spec.hooks.onRevert[].command", Rolls, &[r#"["c"]"#], &["[]"]).within(ON_REVERT),
    field("spec.hooks.onRevert[].command[]", Rolls, &[r#""c""#], &[]).within(ON_REVERT),
    field("spec.hooks.onRevert[].timeout", Rolls, &[r#""1m""#], &[r#""0s""#]).within(ON_REVERT),
    field("spec.dependsOn", Stays, &["[]", r#"["db"]"#], &[r#"["web"]"#, r#"["db","db"]"#, r#"["nobody"]"#]),
    field("spec.dependsOn[]", Stays, &[r#""db""#], NAMES),
    field("spec.history", Stays, &[r#"{"limit":2}"#], &[]),
    field("spec.history.limit", Stays, &["3"], &[]),
    field("spec.history.keepFor", Stays, &[r#""1h""#, r#""30d""#], &[r#""forever""#]),
    field("spec.suspend", Stays, &["true", "false"], &[]),
];
