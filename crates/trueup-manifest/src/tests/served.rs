//! What a target cannot serve is refused by name, and what is left out has its default.

use expect_test::expect;

use trueup_types::TargetKind;
use trueup_types::target::DockerSpec;

use super::{app, errors, report, resolved};
use crate::manifest_of;

#[test]
fn fields_that_process_targets_do_not_serve_are_refused_by_name() {
    let spec = "\
image: a/b:1
build: {context: .}
source: {path: .}
command: [serve]
envFrom: [{secret: s}]
ports: [{}]
regions: {iad: 1}
resources: {cpuKind: shared, cpus: 2, memory: 1Gi, pids: 10}
concurrency: {soft: 1, hard: 2}
autostop: {mode: off}
health: [{http: {}}]
volumes: [{name: data, path: /data, size: 1Gi}]
rollout: {strategy: canary, steps: [{weight: 10, pause: 2m}, {weight: 50, approve: true}]}
hooks:
  preDeploy: [{name: a, command: [b]}]
  postDeploy: [{name: a, command: [b], timeout: 1m}]
";
    expect![[r#"
        5:3: `image` is not served by process targets (remove it, or choose another target than `local`)
        6:3: `build` is not served by process targets (remove it, or choose another target than `local`)
        6:3: `image` and `build` exclude each other (keep one: `image` is fetched, `build` is built)
        7:3: `source` is not served by process targets (remove it, or choose another target than `local`)
        11:3: `regions` is not served by process targets (remove it, or choose another target than `local`)
        12:15: `resources.cpuKind` is not served by process targets (remove it, or choose another target than `local`)
        12:32: `resources.cpus` is not served by process targets (remove it, or choose another target than `local`)
        13:3: `concurrency` is not served by process targets (remove it, or choose another target than `local`)
        14:3: `autostop` is not served by process targets (remove it, or choose another target than `local`)
        16:3: `volumes` is not served by process targets (remove it, or choose another target than `local`)
        17:23: a canary runs beside the old release, and cannot: the volume `data` has one owner at a time (write `strategy: rolling`)
        17:23: a canary shares traffic, and this app has no `routes` (add `routes`, or write `strategy: rolling`)
    "#]].assert_eq(&errors(spec));
}

#[test]
fn profiles_of_machines_say_what_a_process_cannot_have() {
    expect![[r#"
        5:12: `autostop` is not served by process targets (profile `nitro` sets it) (write `autostop: null` to do without it, or choose another target than `local`)
        5:12: `resources.cpuKind` is not served by process targets (profile `nitro` sets it) (write `resources.cpuKind: null` to do without it, or choose another target than `local`)
        5:12: `resources.cpus` is not served by process targets (profile `nitro` sets it) (write `resources.cpus: null` to do without it, or choose another target than `local`)
        7:3: `concurrency` is not served by process targets (remove it, or choose another target than `local`)
    "#]].assert_eq(&errors("profile: nitro\ncommand: [serve]\nconcurrency: {soft: 1, hard: 2}"));
    let bare =
        "profile: nitro\ncommand: [serve]\nconcurrency: null\nautostop: null\nresources: {cpus: null, cpuKind: null}";
    let nitro = app(bare);
    assert_eq!(nitro.template.ports[0].port, Some(3000));
    assert_eq!(nitro.template.resources.memory_bytes, Some(256 << 20));
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let web = app("profile: web\ncommand: [serve]\nroutes: [{host: Web.Example.com}]\nenv: {B: \"1\"}");
    expect![[r#"
        apiVersion: trueup.dev/v1
        kind: App
        metadata:
          name: web
        spec:
          command:
          - serve
          env:
            B: '1'
          health:
          - failures: 3
            grace: 10s
            http:
              path: /health
              port: http
            interval: 10s
            name: ready
            successes: 1
            timeout: 5s
          history:
            keepFor: 7days
            limit: 10
          ports:
          - name: http
            protocol: http
          replicas: 1
          restart:
            maxRetries: 3
            policy: always
          rollout:
            bake: 1m
            drain: 30s
            healthyDeadline: 5m
            maxSurge: 100%
            maxUnavailable: 0
            minHealthy: 5s
            progressDeadline: 10m
            revert: auto
            strategy: blueGreen
          routes:
          - host: web.example.com
            path: /
            port: http
          stop:
            signal: SIGTERM
            timeout: 30s
          suspend: false
          target: local
    "#]]
    .assert_eq(&crate::to_yaml(&manifest_of(&web)));
    let worker = app("profile: worker\ncommand: [work]");
    assert_eq!(worker.policy.strategy, trueup_types::Strategy::Rolling);
    assert_eq!(worker.policy.max_surge, trueup_types::Quantity::Count(1));
}

#[test]
fn a_fixed_port_of_a_process_makes_it_stop_first() {
    let web = app("command: [serve]\nports: [{port: 8088}]\nhealth: [{tcp: {}}]");
    assert_eq!(web.policy.stop_first.as_deref(), Some("the host port 8088 has one listener at a time"));
    assert_eq!(app("command: [serve]\nports: [{port: 0}]").policy.stop_first, None);
}

#[test]
fn targets_of_other_kinds_are_refused_by_name() {
    let text = "\
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: prod}
spec: {systemd: {host: x}, ingress: npm}
---
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: quiet}
spec: {process: {}, ingress: none}
---
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: empty}
spec: {}
---
apiVersion: trueup.dev/v1
kind: App
metadata: {name: a}
spec: {target: prod, command: [x]}
---
apiVersion: trueup.dev/v1
kind: App
metadata: {name: b}
spec: {profile: web, target: quiet, command: [x], routes: [{host: b}]}
---
apiVersion: trueup.dev/v1
kind: App
metadata: {name: c}
spec: {profile: web, target: quiet, command: [x]}
";
    let resolution = resolved(&[("a.yaml", text)]);
    expect![[r#"
        c from a.yaml
        error manifest::unserved
          a.yaml:4:8: `systemd` (Units of a host over SSH) is not served by this build (served: process, docker, fly, hosts, ingress)
        error manifest::unserved
          a.yaml:4:37: `ingress: npm` (Nginx Proxy Manager) is not served by this build (one of: edge, none)
        error manifest::target::kind
          a.yaml:14:1: the target does not say what runs there (write `process: {}`, `docker: {}` or `fly: {…}` below `spec`)
        error manifest::reference
          a.yaml:19:16: the target `prod` has errors (mend the target first)
        error manifest::unserved
          a.yaml:24:51: `routes` are not served by targets with `ingress: none` (remove the routes, or choose a target with `ingress: edge`)
    "#]].assert_eq(&report(&resolution));
    let names: Vec<_> = resolution.targets.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["local", "quiet"]);
}

#[test]
fn an_app_wins_over_its_profile_and_a_profile_over_a_builtin_one() {
    let text = "\
apiVersion: trueup.dev/v1
kind: Profile
metadata: {name: web}
spec:
  ports: [{}]
  env: {A: profile, B: profile}
  command: [from, profile]
  health: [{http: {path: /up}}]
---
apiVersion: trueup.dev/v1
kind: App
metadata: {name: web}
spec: {profile: web, command: [own], env: {B: app, C: app}}
---
apiVersion: trueup.dev/v1
kind: Profile
metadata: {name: nested}
spec: {profile: web}
---
apiVersion: trueup.dev/v1
kind: App
metadata: {name: late}
spec: {profile: nested, command: [own]}
";
    let resolution = resolved(&[("a.yaml", text)]);
    expect![[r#"
        web from a.yaml
        error manifest::profile::nested
          a.yaml:18:8: a profile cannot have a profile of its own (write out what the other one says)
        error manifest::reference
          a.yaml:23:17: the profile `nested` has errors (mend the profile first)
    "#]]
    .assert_eq(&report(&resolution));
    let web = &resolution.apps[&super::name("web")].desired;
    assert_eq!(web.template.command, ["own"], "lists replace");
    let env: Vec<_> = web.template.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(env, ["A=profile", "B=app", "C=app"], "maps merge");
    assert_eq!(resolution.profiles["web"].file.as_deref(), Some("a.yaml"));
    assert_eq!(resolution.profiles["worker"].file, None);
}

#[test]
fn the_manifests_of_the_end_to_end_tests_are_taken() {
    let demo = r#"apiVersion: trueup.dev/v1
kind: App
metadata:
  name: api
spec:
  command: [trueup, demo-app]
  replicas: 2
  ports: [{name: http, protocol: http}]
  routes: [{host: api.localhost, path: /}]
  dependsOn: [app-01]
  env:
    DEMO_VERSION: "v1"
    DEMO_EXIT_AFTER: "0s"
  health:
    - {name: ready, http: {path: /health}, interval: 300ms, timeout: 2s, grace: 2s, failures: 2}
  stop: {timeout: 8s}
  rollout:
    bake: 2500ms
    drain: 8s
    healthyDeadline: 4s
    minHealthy: 300ms
    progressDeadline: 20s
"#;
    let sleeper = "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {name: app-01}\nspec:\n  profile: worker\n  \
         command: [sleep, \"86400\"]\n  env: {VERSION: \"v1\"}\n  stop: {timeout: 2s}\n  \
         rollout: {minHealthy: 100ms, bake: 100ms, healthyDeadline: 5s, progressDeadline: 20s, drain: 0s}\n";
    let resolution = resolved(&[("api.yaml", demo), ("app-01.yaml", sleeper)]);
    assert_eq!(resolution.apps.len(), 2, "{}", report(&resolution));
    assert!(resolution.diagnostics.is_empty(), "{}", report(&resolution));
    let api = &resolution.apps[&super::name("api")].desired;
    assert_eq!(
        api.template.health[0].check,
        trueup_types::template::Check::Http {
            path: "/health".to_owned(),
            port: api.template.ports[0].name.clone(),
            status: (200..=299).collect(),
        }
    );
    assert_eq!(api.origin.file.as_deref(), Some("api.yaml"));
}

const CONTAINERS: &str = "\
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: containers}
spec:
  docker: {host: \"unix:///run/engine.sock\", network: apps, registryAuthFrom: {file: /etc/registry.json},
           readOnly: true, tmpfs: [/tmp], dropCapabilities: [ALL], noNewPrivileges: true}
";

#[test]
fn a_target_of_containers_says_where_the_engine_is_and_how_they_are_made() {
    let app = "\
---
apiVersion: trueup.dev/v1
kind: App
metadata: {name: web}
spec: {profile: web, target: containers, image: shop/web:1, resources: {cpus: 2}, routes: [{host: web}],
       volumes: [{name: data, path: /data}], ports: [{name: http}, {name: admin, protocol: tcp, port: 9000}]}
";
    let resolution = resolved(&[("a.yaml", &format!("{CONTAINERS}{app}"))]);
    expect![["web from a.yaml\n"]].assert_eq(&report(&resolution));
    let target = &resolution.targets["containers"];
    expect![[r#"{"name":"containers","kind":{"docker":{"host":"unix:///run/engine.sock","network":"apps","registryAuthFrom":"/etc/registry.json","readOnly":true,"tmpfs":["/tmp"],"dropCapabilities":["ALL"],"noNewPrivileges":true}},"ingress":"edge"}"#]].assert_eq(&serde_json::to_string(target).expect("it is JSON"));
    let TargetKind::Docker(spec) = &target.kind else { panic!("{:?}", target.kind) };
    let at = [spec, &DockerSpec::default()].map(|spec| spec.address().to_string());
    assert_eq!(at, ["unix:///run/engine.sock", "unix:///var/run/docker.sock"]);
}

#[test]
fn registries_are_told_to_every_target_of_containers() {
    let of = |name: &str, spec: &str| {
        format!("---\napiVersion: trueup.dev/v1\nkind: Registry\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    let ours = of("ours", "{host: \"r.example.com:5000\", username: ci, passwordFrom: {env: REGISTRY_TOKEN}}");
    let hub = of("hub", "{host: docker.io, username: ci, passwordFrom: {exec: [pass, show, hub]}}");
    let resolution = resolved(&[("a.yaml", &format!("{CONTAINERS}{ours}{hub}"))]);
    expect![""].assert_eq(&report(&resolution));
    let TargetKind::Docker(spec) = &resolution.targets["containers"].kind else { panic!("it is of containers") };
    expect![[r#"[{"name":"hub","host":"docker.io","username":"ci","passwordFrom":{"exec":["pass","show","hub"]}},{"name":"ours","host":"r.example.com:5000","username":"ci","passwordFrom":{"env":"REGISTRY_TOKEN"}}]"#]].assert_eq(&serde_json::to_string(&spec.registries).expect("it is JSON"));
    let twice = of("theirs", "{host: \"r.example.com:5000\", username: me, passwordFrom: {file: /run/token}}");
    let wrong = of("wrong", "{host: \"https://r.example.com\", username: ci, passwordFrom: {env: A, file: /b}}");
    let bare = of("bare", "{host: hub, username: ci}");
    expect![[r#"
        error manifest::registry::host
          a.yaml:9:18: the registry `ours` is told of r.example.com:5000 as well (keep one of them: a registry is asked by one user)
        error manifest::text
          a.yaml:15:14: `https://r.example.com` is more than a host; write it as images name it, without `https://` (`host` takes a registry's host, like `registry.example.com:5000`)
        error manifest::target::token
          a.yaml:15:53: `passwordFrom` names 2 places (write one of `env`, `file` and `exec`)
        error manifest::key::missing
          a.yaml:20:8: `passwordFrom` is missing in `spec` (write `passwordFrom: {key: value}`: Where the password, or the token, is: one of `env`, `file` and `exec`; read at each pull.)
        error manifest::text
          a.yaml:20:14: `hub` holds neither a dot nor a port, so that no image's name begins with it (`host` takes a registry's host, like `registry.example.com:5000`)
    "#]].assert_eq(&report(&resolved(&[("a.yaml", &format!("{ours}{twice}{wrong}{bare}"))])));
}

#[test]
fn what_containers_cannot_have_is_refused_by_name() {
    let app = "\
---
apiVersion: trueup.dev/v1
kind: App
metadata: {name: a}
spec: {profile: nitro, target: containers, source: {path: .}, envFrom: [{secret: s}], regions: {iad: 1}, workdir: sub,
       files: [{path: relative, content: x}]}
---
apiVersion: trueup.dev/v1
kind: App
metadata: {name: b}
spec: {profile: web, target: containers, build: {context: ../shop, dockerfile: ../Dockerfile, target: final}}
";
    let resolution = resolved(&[("a.yaml", &format!("{CONTAINERS}{app}"))]);
    expect![[r#"
        error manifest::image
          a.yaml:11:1: `image` is required for containers (write `image: registry.example.com/shop/api:1.4.2`)
        error manifest::unserved
          a.yaml:11:17: `autostop` is not served by docker targets (profile `nitro` sets it) (write `autostop: null` to do without it, or choose another target than `containers`)
        error manifest::unserved
          a.yaml:11:17: `concurrency` is not served by docker targets (profile `nitro` sets it) (write `concurrency: null` to do without it, or choose another target than `containers`)
        error manifest::unserved
          a.yaml:11:17: `resources.cpuKind` is not served by docker targets (profile `nitro` sets it) (write `resources.cpuKind: null` to do without it, or choose another target than `containers`)
        error manifest::unserved
          a.yaml:11:44: `source` is not served by docker targets (remove it, or choose another target than `containers`)
        error manifest::unserved
          a.yaml:11:87: `regions` is not served by docker targets (remove it, or choose another target than `containers`)
        error manifest::workdir
          a.yaml:11:115: the working directory of a container begins with `/` (write the whole path within the image)
        error manifest::files
          a.yaml:12:8: `files` cannot be written where the target says `readOnly: true` (put them into the image, or choose a target without `readOnly`)
        error manifest::files::path
          a.yaml:12:23: the file `relative` does not begin with `/` (write the whole path within the container)
        error manifest::text
          a.yaml:17:80: `../Dockerfile` does not stay within the folder, or is not in its plainest spelling (`dockerfile` takes a path within a folder, like `docker/web.Dockerfile`)
    "#]].assert_eq(&report(&resolution));
}

#[test]
fn what_an_engine_cannot_be_asked_is_refused_by_name() {
    let text = "\
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: both}
spec: {process: {}, docker: {}}
---
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: far}
spec: {docker: {host: \"ssh://root@far\", tmpfs: [tmp], dropCapabilities: [net_raw], registryAuthFrom: {}, privileged: true}}
---
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: odd}
spec: {docker: {host: /run/docker.sock}}
";
    let resolution = resolved(&[("a.yaml", text)]);
    expect![[r#"
        error manifest::target::kind
          a.yaml:4:21: `process` and `docker` exclude each other (keep one of them: a target is of one kind)
        error manifest::text
          a.yaml:9:23: `ssh://root@far` is behind SSH, which is not served; forward its socket, and name that one (`host` takes an engine's address, like `unix:///var/run/docker.sock`)
        error manifest::text
          a.yaml:9:49: `tmp` does not begin with `/` (`tmpfs` takes a path that begins with `/`, like `/data`)
        error manifest::text
          a.yaml:9:74: `net_raw` is not in capital letters (`dropCapabilities` takes a capability, like `NET_RAW`)
        error manifest::key::missing
          a.yaml:9:102: `file` is missing in `registryAuthFrom` (write `file: /data`: A configuration file of Docker's, with `auths`, `credHelpers` or `credsStore`; read at each pull.)
        error manifest::key::unknown
          a.yaml:9:106: unknown key `privileged` in `docker` (did you mean `noNewPrivileges`?)
        error manifest::text
          a.yaml:14:23: `/run/docker.sock` does not begin with `unix://` (`host` takes an engine's address, like `unix:///var/run/docker.sock`)
    "#]].assert_eq(&report(&resolution));
}
