//! Targets of Fly.io Machines, and what apps on them may ask for.

use expect_test::expect;
use trueup_types::TargetKind;
use trueup_types::fly::TokenFrom;

use super::{name, report, resolved};
use crate::{Resolution, manifest_of, to_yaml};

const PROD: &str = "\
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: prod}
spec: {fly: {organization: ampel, primaryRegion: iad, appName: \"ampel-{app}\"}}
";

/// What becomes of an app on that target whose spec is this.
fn on_fly(spec: &str) -> Resolution {
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    let app =
        format!("apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: api}}\nspec:\n  target: prod\n{indented}");
    resolved(&[("app.yaml", &app), ("target.yaml", PROD)])
}

#[test]
fn a_target_of_machines_says_whose_they_are_and_where_the_token_is() {
    let text = "\
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: all}
spec:
  fly:
    organization: ampel
    primaryRegion: fra
    appName: \"{organization}-{app}-{random6}\"
    network: shop
    tokenFrom: {exec: [pass, show, fly]}
    apiUrl: http://127.0.0.1:4280
    webUrl: https://web.example.com
    propagation: 20s
    flyctlMetadata: true
---
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: few}
spec: {fly: {organization: ampel, primaryRegion: fra}}
---
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: filed}
spec: {fly: {organization: ampel, primaryRegion: fra, tokenFrom: {file: /run/token}}}
";
    let resolution = resolved(&[("a.yaml", text)]);
    expect![[""]].assert_eq(&report(&resolution));
    let json = |name: &str| serde_json::to_string(&resolution.targets[name]).expect("it is JSON");
    expect![[r#"{"name":"all","kind":{"fly":{"organization":"ampel","primaryRegion":"fra","appName":"{organization}-{app}-{random6}","network":"shop","tokenFrom":{"exec":["pass","show","fly"]},"apiUrl":"http://127.0.0.1:4280","webUrl":"https://web.example.com","propagation":"20s","flyctlMetadata":true}},"ingress":"platform"}"#]].assert_eq(&json("all"));
    expect![[r#"{"name":"few","kind":{"fly":{"organization":"ampel","primaryRegion":"fra","appName":"{app}-{random6}","tokenFrom":{"env":"FLY_API_TOKEN"}}},"ingress":"platform"}"#]].assert_eq(&json("few"));
    let TargetKind::Fly(filed) = &resolution.targets["filed"].kind else { panic!("it is of machines") };
    assert_eq!(filed.token_from, TokenFrom::File("/run/token".to_owned()));
}

#[test]
fn what_a_target_of_machines_cannot_say_is_refused_with_a_remedy() {
    let target = |name: &str, spec: &str| {
        format!("apiVersion: trueup.dev/v1\nkind: Target\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    let fly = |more: &str| format!("{{fly: {{organization: o, primaryRegion: iad{more}}}}}");
    let files = [
        ("a.yaml", target("a", "{fly: {organization: o}}")),
        ("b.yaml", target("b", &fly(", appName: prod"))),
        ("c.yaml", target("c", &fly(", appName: \"{app}-{team}\""))),
        ("d.yaml", target("d", &fly(", appName: \"{app}_x\""))),
        ("e.yaml", target("e", &fly(", tokenFrom: {env: A, file: /b}"))),
        ("f.yaml", target("f", &fly(", tokenFrom: {}"))),
        ("g.yaml", target("g", &fly(", tokenFrom: {value: secret}"))),
        ("h.yaml", target("h", &fly(", apiUrl: api.machines.dev"))),
        ("i.yaml", target("i", "{fly: {organization: o, primaryRegion: iad}, ingress: edge}")),
        ("j.yaml", target("j", "{fly: {organization: o, primaryRegion: iad}, docker: {}}")),
    ];
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    expect![[r#"
        error manifest::key::missing
          a.yaml:4:14: `primaryRegion` is missing in `fly` (write `primaryRegion: iad`: Where an app lives that names no `regions`.)
        error manifest::text
          b.yaml:4:60: `prod` does not hold `{app}`: all apps would have one name (`appName` takes how apps are named, like `ampel-{app}`)
        error manifest::text
          c.yaml:4:60: `{app}-{team}` has something else than {app}, {organization}, {random6} in braces (`appName` takes how apps are named, like `ampel-{app}`)
        error manifest::text
          d.yaml:4:60: `{app}_x` holds `_`; only lower-case letters, digits and `-` are allowed (`appName` takes how apps are named, like `ampel-{app}`)
        error manifest::target::token
          e.yaml:4:51: `tokenFrom` names 2 places (write one of `env`, `file` and `exec`)
        error manifest::target::token
          f.yaml:4:51: `tokenFrom` names 0 places (write one of `env`, `file` and `exec`)
        error manifest::key::unknown
          g.yaml:4:63: unknown key `value` in `tokenFrom` (known here: env, file, exec)
        error manifest::text
          h.yaml:4:59: `api.machines.dev` does not begin with `https://` (`apiUrl` takes an address, like `https://api.machines.dev`)
        error manifest::unserved
          i.yaml:4:52: `ingress` is not served by fly targets: the platform routes to its machines (remove it)
        error manifest::target::kind
          j.yaml:4:8: `docker` and `fly` exclude each other (keep one of them: a target is of one kind)
    "#]].assert_eq(&report(&resolved(&files)));
}

#[test]
fn an_app_of_machines_has_regions_limits_and_sleep() {
    let spec = "\
profile: web
image: registry.fly.io/api:1
regions: {iad: 2, fra: 1}
resources: {cpuKind: performance, cpus: 2, memory: 8Gi}
concurrency: {kind: requests, soft: 200, hard: 250}
autostop: {mode: suspend, minRunning: 1}
forceHttps: true
routes: [{host: api.example.com, tls: auto}, {}]
stop: {signal: SIGINT, timeout: 5m}
";
    let resolution = on_fly(spec);
    expect![[r#"
        api from app.yaml
    "#]]
    .assert_eq(&report(&resolution));
    let api = &resolution.apps[&name("api")].desired;
    let again = resolved(&[("app.yaml", &to_yaml(&manifest_of(api))), ("target.yaml", PROD)]);
    assert_eq!(again.apps[&name("api")].desired, *api, "what is printed is what was said");
    let random = PROD.replace("ampel-{app}", "{random6}-{app}");
    let resolution = resolved(&[
        ("app.yaml", &to_yaml(&manifest_of(api)).replace("ampel-api.fly.dev", "a.b")),
        ("target.yaml", &random),
    ]);
    assert_eq!(resolution.apps.len(), 1, "{}", report(&resolution));
    let bare = "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {name: b}\nspec: {profile: web, target: prod, image: a:1, routes: [{}]}\n";
    let resolution = resolved(&[("app.yaml", bare), ("target.yaml", &random)]);
    let bare = &resolution.apps[&name("b")].desired;
    assert_eq!(bare.exposure.routes[0].host, "{random6}-b.fly.dev");
    let again = resolved(&[("app.yaml", &to_yaml(&manifest_of(bare))), ("target.yaml", &random)]);
    assert_eq!(again.apps[&name("b")].desired, *bare);
    let plain = on_fly("profile: worker\nimage: a:1\nreplicas: 3");
    let spread = &plain.apps[&name("api")].desired.placement.spread;
    assert_eq!(spread.iter().map(|(place, count)| format!("{place}={count}")).collect::<Vec<_>>(), ["iad=3"]);
}

#[test]
fn a_canary_on_machines_is_made_of_whole_ones() {
    let canary = on_fly("profile: web\nimage: a:1\nroutes: [{}]\nrollout: {strategy: canary, steps: [{weight: 10}]}");
    let policy = &canary.apps[&name("api")].desired.policy;
    assert_eq!(policy.by_count.as_deref(), Some("its platform sends as much to each instance as to any other"));
    let plain = on_fly("profile: web\nimage: a:1");
    assert_eq!(plain.apps[&name("api")].desired.policy.by_count, None);
}

#[test]
fn what_a_bake_keeps_may_be_stopped_on_machines_and_nowhere_else() {
    let spec = |more: &str| format!("profile: web\nimage: a:1\nroutes: [{{}}]\nrollout: {{{more}}}");
    let stopped = on_fly(&spec("bakeKeep: stopped"));
    let stopped = &stopped.apps[&name("api")].desired;
    assert_eq!(stopped.template.bake_keep, Some(trueup_types::template::BakeKeep::Stopped));
    let again = resolved(&[("app.yaml", &to_yaml(&manifest_of(stopped))), ("target.yaml", PROD)]);
    assert_eq!(again.apps[&name("api")].desired, *stopped, "what is printed is what was said");
    let (running, plain) = (on_fly(&spec("bakeKeep: running")), on_fly(&spec("")));
    assert_eq!(running.apps[&name("api")].desired, plain.apps[&name("api")].desired, "that is the habit");
    expect![[r#"
        error manifest::rollout::bakeKeep
          app.yaml:9:32: `bakeKeep` is about what a bake keeps, and `rolling` keeps nothing (write `strategy: blueGreen`, or remove it)
    "#]].assert_eq(&report(&on_fly(&spec("strategy: rolling, bakeKeep: stopped"))));
    let here = spec("bakeKeep: running").replace("image: a:1", "command: [serve]").replace("{}", "{host: a.b}");
    let here = format!(
        "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: api}}\nspec:\n  {}\n",
        here.replace('\n', "\n  ")
    );
    expect![[r#"
        error manifest::unserved
          app.yaml:8:13: `rollout.bakeKeep` is not served by process targets (remove it, or choose another target than `local`)
    "#]].assert_eq(&report(&resolved(&[("app.yaml", &here)])));
}

/// All that machines cannot have.
const REFUSED: &str = "\
source: {path: .}
build: {context: .}
command: [serve]
workdir: /app
user: app
envFrom: [{secret: s}]
env: {FLY_REGION: x, OWN: y}
files: [{path: relative, content: x}]
regions: {iad: 1}
replicas: 1
resources: {cpus: 3, pids: 100, openFiles: 1000}
stop: {signal: SIGWINCH, timeout: 6m}
volumes: [{name: a, path: /a, size: 1500Mi}, {name: b, path: /b}]
ports: [{name: http}, {name: admin}]
routes: [{port: http}, {host: other.fly.dev, port: admin}, {host: a.example.com, path: /x, port: http, tls: auto}, {host: ampel-api.flycast, port: http}]
health: [{http: {path: /up, port: http, status: [418]}}]
";

#[test]
fn what_machines_cannot_have_is_refused_by_name() {
    expect![[r#"
        error manifest::image
          app.yaml:4:1: `image` is required for machines (write `image: registry.fly.io/shop-api:1.4.2`)
        error manifest::unserved
          app.yaml:6:3: `source` is not served by fly targets (remove it, or choose another target than `prod`)
        error manifest::unserved
          app.yaml:7:3: `build` is not served by fly targets (remove it, or choose another target than `prod`)
        error manifest::unserved
          app.yaml:9:3: `workdir` is not served by fly targets (remove it, or choose another target than `prod`)
        error manifest::unserved
          app.yaml:10:3: `user` is not served by fly targets (remove it, or choose another target than `prod`)
        error manifest::env
          app.yaml:12:9: the variable `FLY_REGION` is the platform's, as are all that begin with `FLY_` (choose another name)
        error manifest::yaml::ambiguous
          app.yaml:12:29: `y` is text for one YAML reader and something else for another (quote it: `"y"`)
        error manifest::files::path
          app.yaml:13:18: the file `relative` does not begin with `/` (write the whole path within the container)
        error manifest::regions
          app.yaml:14:3: `regions` and `replicas` exclude each other (keep one: `regions` says how many in each)
        error manifest::resources
          app.yaml:16:21: there is no machine of 3 shared CPUs (write one of: 1, 2, 4, 6, 8)
        error manifest::unserved
          app.yaml:16:24: `resources.pids` is not served by fly targets (remove it, or choose another target than `prod`)
        error manifest::unserved
          app.yaml:16:35: `resources.openFiles` is not served by fly targets (remove it, or choose another target than `prod`)
        error manifest::stop
          app.yaml:17:18: machines cannot be sent SIGWINCH (one of: SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2)
        error manifest::stop
          app.yaml:17:37: a machine waits 5 minutes at most for its program to go (write `5m` or less)
        error manifest::volumes
          app.yaml:18:3: a machine has one volume at most, and these are 2 (keep one of them)
        error manifest::volumes
          app.yaml:18:39: a machine's volume has whole GiB (write whole GiB, like `10Gi`)
        error manifest::volumes
          app.yaml:18:48: a machine's volume needs a `size` (write whole GiB, like `10Gi`)
        error manifest::routes::private
          app.yaml:20:3: `ampel-api.flycast` has no certificate, and plain HTTP would be answered with a redirect (write `forceHttps: false`)
        error manifest::routes::port
          app.yaml:20:26: the routes lead to the ports `http` and `admin`, and an app on Fly has one (name the same port in each, or make an app of each)
        error manifest::routes::host
          app.yaml:20:33: the app is called `ampel-api` there, and `other.fly.dev` belongs to another (leave `host` out, or mend `appName` of the target)
        error manifest::unserved
          app.yaml:20:90: `path` is not served by fly targets: the platform routes whole hosts (remove it)
        error manifest::health::status
          app.yaml:21:51: the probe `http`: the platform asks, and takes 200 to 299 for good (leave `status` out)
    "#]].assert_eq(&report(&on_fly(REFUSED)));
}

#[test]
fn a_route_to_the_private_network_is_named_by_a_word_and_goes_in_the_clear() {
    let spec = "profile: web\nimage: a:1\nforceHttps: false\nroutes: [{host: flycast}]";
    let plain = on_fly(spec);
    let api = &plain.apps[&name("api")].desired;
    assert_eq!(api.exposure.routes[0].host, "ampel-api.flycast");
    let random = PROD.replace("ampel-{app}", "{random6}-{app}");
    let written = to_yaml(&manifest_of(api)).replace("ampel-api.flycast", "flycast");
    let resolution = resolved(&[("app.yaml", &written), ("target.yaml", &random)]);
    let api = &resolution.apps[&name("api")].desired;
    assert_eq!(api.exposure.routes[0].host, "{random6}-api.flycast");
    let again = resolved(&[("app.yaml", &to_yaml(&manifest_of(api))), ("target.yaml", &random)]);
    assert_eq!(again.apps[&name("api")].desired, *api, "what is printed is what was said");
    let refused = "profile: web\nimage: a:1\nroutes: [{host: flycast, tls: auto}]";
    expect![[r#"
        error manifest::routes::private
          app.yaml:8:3: `ampel-api.flycast` has no certificate, and plain HTTP would be answered with a redirect (write `forceHttps: false`)
        error manifest::unserved
          app.yaml:8:28: `ampel-api.flycast`: nobody issues a certificate for a name of the private network (remove `tls`)
    "#]].assert_eq(&report(&on_fly(refused)));
}

#[test]
fn a_machine_has_as_much_memory_as_its_cpus_may_have() {
    expect![[r#"
        error manifest::resources
          app.yaml:8:23: there is no machine of 1 shared CPU with so much memory (write a multiple of 256Mi from 256Mi to 2Gi)
    "#]].assert_eq(&report(&on_fly("profile: vango\nimage: a:1\nresources: {memory: 4Gi}")));
}

#[test]
fn a_name_that_is_too_long_there_is_refused() {
    let app = "a".repeat(40);
    let text = format!(
        "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: {app}}}\nspec: {{profile: worker, target: prod, image: a:1}}\n"
    );
    let target = PROD.replace("ampel-{app}", "a-long-name-of-a-company-{app}");
    expect![[r#"
        error manifest::name::long
          app.yaml:3:18: the app would be called `a-long-name-of-a-company-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` there, 65 characters long, at most 63 are allowed (shorten it, or `appName` of the target)
        warning manifest::health::none
          app.yaml:4:1: the app has no probes: it counts as healthy once it has run unbroken for `minHealthy` (add `health`, or use a profile that has it)
    "#]].assert_eq(&report(&resolved(&[("app.yaml", &text), ("target.yaml", &target)])));
}

#[test]
fn the_profiles_of_machines_are_taken_with_an_image_and_a_way_in() {
    let of = |profile: &str| {
        let resolution = on_fly(&format!("profile: {profile}\nimage: a:1\nroutes: [{{}}]"));
        let app = resolution.apps.get(&name("api")).unwrap_or_else(|| panic!("{}", report(&resolution)));
        app.desired.clone()
    };
    let (vango, nitro) = (of("vango"), of("nitro"));
    assert_eq!((vango.template.force_https, nitro.template.force_https), (Some(false), None), "nitro redirects");
    let limits = |app: &trueup_types::DesiredApp| {
        let limits = app.template.concurrency.clone().expect("it has limits");
        (format!("{:?}", limits.kind), limits.soft, limits.hard)
    };
    assert_eq!(limits(&vango), ("Connections".to_owned(), 800, 1000));
    assert_eq!(limits(&nitro), ("Requests".to_owned(), 200, 250));
    let naps = |app: &trueup_types::DesiredApp| app.template.autostop.clone().expect("it says").mode;
    use trueup_types::template::AutostopMode::{Off, Stop};
    assert_eq!((naps(&vango), naps(&nitro)), (Off, Stop));
    assert_eq!(vango.exposure.routes[0].host, "ampel-api.fly.dev");
    assert_eq!(vango.policy.strategy, trueup_types::Strategy::BlueGreen);
    assert_eq!(vango.template.health.len(), 2, "it is asked for its page and for a socket");
}
