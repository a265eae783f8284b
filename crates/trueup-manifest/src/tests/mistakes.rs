//! Six mistakes are six messages, each with its place and its remedy.

use expect_test::expect;

use super::{errors, of_spec, report, resolved};

const SIX: &str = r#"apiVersion: trueup.dev/v1
kind: App
metadata:
  name: Web
spec:
  comand: [serve]
  replicas: "2"
  env: {DEBUG: yes}
  health:
    - {name: ready, http: {path: health}, interval: 10}
---
apiVersion: trueup.dev/v1
kind: App
metadata: {name: worker}
spec:
  command: [work]
  rollout: {healthyDeadline: 5m, progressDeadline: 1m}
"#;

#[test]
fn each_mistake_of_a_file_is_reported_with_place_and_remedy() {
    expect![[r#"
        error manifest::text
          web.yaml:4:9: `Web` holds `W`; only lower-case letters, digits and `-` are allowed (`name` takes an app's name, like `web`)
        error manifest::key::unknown
          web.yaml:6:3: unknown key `comand` in `spec` (did you mean `command`?)
        error manifest::type
          web.yaml:7:13: `replicas` takes a whole number, found the text `2` (write plain digits, without quotes, `_` and leading zeros)
        error manifest::yaml::ambiguous
          web.yaml:8:16: `yes` is text for one YAML reader and something else for another (quote it: `"yes"`)
        error manifest::health::port
          web.yaml:10:27: the probe finds no port to ask (add one to `ports`, for example `ports: [{name: http}]`)
        error manifest::text
          web.yaml:10:34: `health` does not begin with `/` (`path` takes a path, like `/health`)
        error manifest::type
          web.yaml:10:53: `interval` takes a duration, found the number 10 (write it like `10s`)
        warning manifest::health::none
          web.yaml:15:1: the app has no probes: it counts as healthy once it has run unbroken for `minHealthy` (add `health`, or use a profile that has it)
        error manifest::rollout::deadline
          web.yaml:17:30: `healthyDeadline` is 5m, not less than `progressDeadline`, which is 1m (shorten `healthyDeadline` or lengthen `progressDeadline`)
    "#]].assert_eq(&report(&resolved(&[("web.yaml", SIX)])));
}

#[test]
fn a_diagnostic_shows_the_line_at_fault() {
    let resolution = resolved(&[("web.yaml", SIX)]);
    let mut text = String::new();
    let theme = miette::GraphicalTheme::none();
    let handler = miette::GraphicalReportHandler::new_themed(theme);
    handler.render_report(&mut text, &resolution.diagnostics[1]).expect("it renders");
    expect![[r#"
        manifest::key::unknown

          x unknown key `comand` in `spec`
           ,-[web.yaml:6:3]
         5 | spec:
         6 |   comand: [serve]
           :   ^^^|^^
           :      `-- not a field
         7 |   replicas: "2"
           `----
          help: did you mean `command`?
    "#]]
    .assert_eq(&text);
}

const REFUSED: &str = r#"apiVersion: trueup.dev/v1
kind: App
metadata: {name: web}
spec:
  command: &c [serve]
  args: *c
  env: {A: "1", A: "2", B: !!str 3, C: 1_000, D: 010, E: on, F: 1, G: true, H: 12:30, I: }
  <<: {replicas: 2}
---
apiVersion: trueup.dev/v1
kind: Ap
---
kind: Notifier
---
- a
---
apiVersion: trueup.dev/v2
kind: Target
metadata: {name: t}
spec: {}
---
spec: [
---
apiVersion: trueup.dev/v1
kind: App
metadata: {name: sound}
spec: {command: [serve], health: []}
"#;

#[test]
fn what_yaml_allows_and_manifests_do_not_is_refused_with_a_remedy() {
    expect![[r#"
        sound from a.yaml
        warning manifest::health::none
          a.yaml:4:1: the app has no probes: it counts as healthy once it has run unbroken for `minHealthy` (add `health`, or use a profile that has it)
        error manifest::yaml::duplicate
          a.yaml:7:17: the key `A` is written twice (keep one of them)
        error manifest::yaml::tag
          a.yaml:7:34: YAML tags like `!!str` are not read (remove the tag, and quote the value where text is meant)
        error manifest::yaml::ambiguous
          a.yaml:7:40: `1_000` is text for one YAML reader and something else for another (quote it: `"1_000"`)
        error manifest::yaml::ambiguous
          a.yaml:7:50: `010` is text for one YAML reader and something else for another (quote it: `"010"`)
        error manifest::yaml::ambiguous
          a.yaml:7:58: `on` is text for one YAML reader and something else for another (quote it: `"on"`)
        error manifest::type
          a.yaml:7:65: `F` takes text, found the number 1 (quote it, so that every reader takes it for text)
        error manifest::type
          a.yaml:7:71: `G` takes text, found the truth value true (quote it, so that every reader takes it for text)
        error manifest::yaml::ambiguous
          a.yaml:7:80: `12:30` is text for one YAML reader and something else for another (quote it: `"12:30"`)
        error manifest::type
          a.yaml:7:87: `I` has no value (write `""` for an empty text)
        error manifest::yaml::merge
          a.yaml:8:3: the merge key `<<` is not read (write the fields out, or put what is common into a Profile)
        error manifest::kind
          a.yaml:11:7: there is no kind `Ap` (did you mean `App`?)
        error manifest::unserved
          a.yaml:13:7: the kind `Notifier` is not served by this build (move the document out of the source)
        error manifest::type
          a.yaml:15:1: a manifest is a map, found a list (begin it with `apiVersion: trueup.dev/v1`)
        error manifest::word
          a.yaml:17:13: `trueup.dev/v2` is no apiVersion (did you mean `trueup.dev/v1`?)
        error manifest::target::kind
          a.yaml:20:1: the target does not say what runs there (write `process: {}`, `docker: {}` or `fly: {…}` below `spec`)
        error manifest::yaml::syntax
          a.yaml:22:7: not YAML: unclosed bracket '[' (look for a missing `:` or quote, a bracket left open, or an indent that differs from the lines around it)
        warning manifest::health::none
          a.yaml:27:1: the app has no probes: it counts as healthy once it has run unbroken for `minHealthy` (add `health`, or use a profile that has it)
    "#]].assert_eq(&report(&resolved(&[("a.yaml", REFUSED)])));
}

fn check(spec: &str, expected: &expect_test::Expect) {
    expected.assert_eq(&errors(spec));
}

#[test]
fn deadlines_and_surges_that_leave_no_room_are_refused() {
    check(
        "command: [x]\nrollout: {minHealthy: 6m}",
        &expect![[r#"
        6:25: `minHealthy` is 6m, not less than `healthyDeadline`, which is 5m (shorten `minHealthy` or lengthen `healthyDeadline`)
    "#]],
    );
    check(
        "command: [x]\nrollout: {maxSurge: 0}",
        &expect![[r#"
        6:23: `maxSurge` 0 and `maxUnavailable` 0 leave no room to replace one of 1 (raise one of them to 1 or more; a percentage of `maxUnavailable` rounds down)
    "#]],
    );
    check(
        "command: [x]\nrollout: {maxSurge: 0%, maxUnavailable: 40%}\nreplicas: 2",
        &expect![[r#"
        6:23: `maxSurge` 0% and `maxUnavailable` 40% leave no room to replace one of 2 (raise one of them to 1 or more; a percentage of `maxUnavailable` rounds down)
    "#]],
    );
    check(
        "command: [x]\nrollout: {strategy: canary}",
        &expect![[r#"
            6:23: a canary needs `steps` (write `steps: [{weight: 10, pause: 2m}, {weight: 50, pause: 5m}]`)
            6:23: a canary shares traffic, and this app has no `routes` (add `routes`, or write `strategy: rolling`)
        "#]],
    );
    check(
        "command: [x]\nrollout: {steps: [{weight: 10}, {weight: 10}]}",
        &expect![[r#"
        6:13: `steps` are those of a canary, and the strategy is rolling (write `strategy: canary`, or remove them)
        6:44: the weights of `steps` do not rise (give each step more than the one before)
    "#]],
    );
}

#[test]
fn routes_lead_to_an_http_port_of_the_app() {
    check(
        "command: [x]\nroutes: [{host: a.b}]",
        &expect![[r#"
        6:12: the route leads to no http port (add `ports: [{name: http}]`)
    "#]],
    );
    check(
        "command: [x]\nports: [{}, {name: admin}]\nroutes: [{host: a.b}]",
        &expect![[r#"
        7:12: the route could lead to several http ports (add `port:` with one of: http, admin)
    "#]],
    );
    check(
        "command: [x]\nports: [{}]\nroutes: [{host: a.b, port: htp}]",
        &expect![[r#"
        7:30: the app has no port `htp` (did you mean `http`?)
    "#]],
    );
    check(
        "command: [x]\nports: [{protocol: tcp}]\nroutes: [{host: a.b, port: tcp}]",
        &expect![[r#"
        7:30: the port `tcp` speaks tcp; only http can be routed (name an http port)
    "#]],
    );
    check(
        "command: [x]\nports: [{}]\nroutes: [{host: a.b, tls: auto}]",
        &expect![[r#"
        7:24: `tls: auto` is not served by the edge of this build: it has no certificates (write `tls: off`, or end TLS before the edge)
    "#]],
    );
    check(
        "command: [x]\nports: [{}]\nroutes: [{host: a.b}, {host: A.B, path: /}]",
        &expect![[r#"
        7:25: the route a.b/ is written twice (keep one of them)
    "#]],
    );
    check(
        "command: [x]\nports: [{}]\nroutes: [{host: 'http://a.b', path: x}]",
        &expect![[r#"
        7:19: `http://a.b` holds a scheme (`host` takes a host name, like `api.example.com`)
        7:39: `x` does not begin with `/` (`path` takes a path, like `/`)
    "#]],
    );
    check(
        "command: [x]\nports: [{}]\nroutes: [{host: a.b}]\nrestart: {policy: on-failure}",
        &expect![[r#"
        8:21: an app with routes cannot have `restart.policy: on-failure`: one that exits with 0 would be done, and its routes unserved (write `policy: always`, or remove the routes)
    "#]],
    );
}

#[test]
fn ports_and_probes_fit_each_other() {
    check(
        "command: [x]\nports: [{port: 80}]\nreplicas: 2",
        &expect![[r#"
        6:3: 2 instances cannot all listen on port 80 of one host (leave the number out: each instance gets its own, told by `$PORT`; or ask for one replica)
    "#]],
    );
    check(
        "command: [x]\nports: [{}, {}]",
        &expect![[r#"
        6:15: two ports are named `http` (give each a `name` of its own; a port without one is named by its protocol)
    "#]],
    );
    check(
        "command: [x]\nhealth: [{http: {}}]",
        &expect![[r#"
        6:19: the probe finds no port to ask (add one to `ports`, for example `ports: [{name: http}]`)
    "#]],
    );
    check(
        "command: [x]\nhealth: [{}, {tcp: {}, exec: {command: [y]}}]",
        &expect![[r#"
        6:12: the probe asks nothing (write one of `http`, `tcp`, `exec` and `websocket` in each probe)
        6:16: the probe asks 2 things at once: tcp, exec (write one of `http`, `tcp`, `exec` and `websocket` in each probe)
        6:43: `y` is text for one YAML reader and something else for another (quote it: `"y"`)
    "#]],
    );
}

#[test]
fn names_that_lead_nowhere_are_refused() {
    check(
        "command: [x]\ntarget: prod\nprofile: wep",
        &expect![[r#"
        6:11: there is no target `prod` (known here: local)
        7:12: there is no profile `wep` (did you mean `web`?)
    "#]],
    );
    check(
        "command: [x]\ndependsOn: [web, wbe]",
        &expect![[r#"
        6:15: `web` waits for itself: web → web (remove one of these dependencies)
        6:20: there is no app `wbe` (did you mean `web`?)
    "#]],
    );
}

#[test]
fn single_fields_are_held_to_their_bounds() {
    check(
        "replicas: 1",
        &expect![[r#"
        4:1: `command` is required for processes (write `command: [/path/to/program, argument]`)
    "#]],
    );
    check(
        "command: [x]\nfiles: [{path: /etc/x, content: a}, {path: ../x, content: a, mode: '9'}]",
        &expect![[r#"
        6:18: the file `/etc/x` is absolute, which process targets do not serve (write it relative to the instance's own directory: old and new instances would share an absolute one)
        6:70: `9` is not three or four octal digits (`mode` takes a file mode, like `"0644"`)
    "#]],
    );
    check(
        "command: [x]\nreplicas: 1001\nregions: {iad: 1}",
        &expect![[r#"
        6:13: `replicas` is 1001, outside 0 to 1000 (write a number from 0 to 1000)
        7:3: `regions` and `replicas` exclude each other (keep one: `regions` says how many in each)
        7:3: `regions` is not served by process targets (remove it, or choose another target than `local`)
    "#]],
    );
    check(
        "command: [x]\nstop: {signal: KILL, timeout: 31d}",
        &expect![[r#"
        6:18: `KILL` is not one of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGABRT (`signal` takes a signal, like `SIGTERM`)
        6:33: `31d` is longer than 30days (`timeout` takes a duration, like `30s`)
    "#]],
    );
    check(
        "command: []",
        &expect![[r#"
        5:12: `command` is empty (write at least one item, or leave it out)
    "#]],
    );
}

#[test]
fn an_app_without_probes_is_taken_with_a_warning() {
    let resolution = of_spec("command: [x]");
    expect![[r#"
        web from app.yaml
        warning manifest::health::none
          app.yaml:4:1: the app has no probes: it counts as healthy once it has run unbroken for `minHealthy` (add `health`, or use a profile that has it)
    "#]].assert_eq(&report(&resolution));
    assert_eq!(resolution.apps[&super::name("web")].warnings.len(), 1);
}

#[test]
fn a_broken_document_still_claims_its_app_and_spoils_no_other() {
    let broken = "kind: App\nmetadata: {name: torn}\nspec: {command: [x\n---\nkind: App\nmetadata: {name: odd}\nspec: 3\n---\n\
                  apiVersion: trueup.dev/v1\nkind: App\nmetadata: {name: sound}\nspec: {command: [x]}\n---\n\
                  kind: Target\nmetadata: {name: t}\n";
    let resolution = resolved(&[("a.yaml", broken)]);
    let claims: Vec<_> = resolution.claims["a.yaml"].iter().map(ToString::to_string).collect();
    assert_eq!(claims, ["odd", "sound", "torn"]);
    assert_eq!(resolution.apps.keys().map(ToString::to_string).collect::<Vec<_>>(), ["sound"]);
}

#[test]
fn a_hopeless_file_is_answered_in_bounds() {
    let text = "a: 1\n---\n".repeat(5000);
    let resolution = resolved(&[("a.yaml", &text)]);
    assert_eq!(resolution.diagnostics.len(), 501);
    let keys: String = (0..4000).map(|index| format!("comand{index}: 1, ")).collect();
    let wide = format!("kind: App\nmetadata: {{name: a}}\nspec: {{{keys}env: {{{keys}}}}}\n");
    assert_eq!(resolved(&[("a.yaml", &wide)]).diagnostics.iter().filter(|one| one.is_error()).count(), 501);
    let long = format!("a: [{}]", "1,".repeat(200_000));
    assert_eq!(resolved(&[("a.yaml", &long)]).diagnostics[0].code, "manifest::yaml::budget");
}
