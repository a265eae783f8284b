//! Routes without a host, on targets that say how hosts are called.

use expect_test::expect;

use super::{name, report, resolved};
use crate::Resolution;

const KINDS: [&str; 3] = ["process: {}", "docker: {}", "fly: {organization: ampel, primaryRegion: iad}"];

fn target(kind: &str, hosts: &str) -> String {
    format!("apiVersion: trueup.dev/v1\nkind: Target\nmetadata: {{name: apps}}\nspec: {{{kind}, hosts: \"{hosts}\"}}\n")
}

fn app(app: &str, labels: &str, routes: &str) -> String {
    format!(
        "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: {app}, labels: {{{labels}}}}}\nspec:\n  target: apps\n  \
         ports: [{{name: http}}]\n  health: [{{name: up, tcp: {{}}}}]\n  routes: {routes}\n"
    )
}

/// What becomes of an app whose target's hosts are called so.
fn on(kind: &str, hosts: &str, labels: &str, routes: &str) -> Resolution {
    let command = if kind.starts_with("process") { "  command: [serve]\n" } else { "  image: shop/web:1\n" };
    resolved(&[("app.yaml", &(app("web", labels, routes) + command)), ("target.yaml", &target(kind, hosts))])
}

fn hosts(resolution: &Resolution) -> Vec<String> {
    let found = resolution.apps.get(&name("web"));
    let web = found.unwrap_or_else(|| panic!("{}", report(resolution)));
    web.desired.exposure.routes.iter().map(|route| route.host.clone()).collect()
}

#[test]
fn a_route_that_names_no_host_has_its_targets_whatever_the_kind() {
    for kind in KINDS {
        let routes = "[{}, {host: own.example.com}]";
        let resolution = on(kind, "stage-{stage}-{app}.apps.example.com", "stage: main", routes);
        let pattern = "stage-main-web.apps.example.com";
        assert_eq!(hosts(&resolution), [pattern, "own.example.com"], "{kind}");
        let resolution = on(kind, "{app}.{stage}.example.com", "stage: \"Release 1.2\"", "[{}]");
        assert_eq!(hosts(&resolution), ["web.release-1-2-5e4c05f7.example.com"], "{kind}");
    }
}

#[test]
fn what_cannot_be_filled_in_is_told_with_what_can() {
    let of = |hosts: &str, labels: &str| report(&on("process: {}", hosts, labels, "[{}]"));
    expect![[r#"
        error manifest::routes::host
          app.yaml:8:12: the hosts of the target `apps` are called `{stag}-{app}.example.com`: `{stag}` is neither known nor a label of the app (add `stag` to `metadata.labels`, or write `host`; known here: `{app}`, `{target}`, `{stage}`, `{team}`)
    "#]].assert_eq(&of("{stag}-{app}.example.com", "stage: main, team: blue"));
    expect![[r#"
        error manifest::routes::host
          app.yaml:8:12: the hosts of the target `apps` are called `{stage}.{app}.example.com`: its part `{stage}` is empty for the app (write `host: api.example.com`)
    "#]].assert_eq(&of("{stage}.{app}.example.com", "stage: \"\""));
    expect![[r#"
        error manifest::reference
          app.yaml:5:11: the target `apps` has errors (mend the target first)
        error manifest::text
          target.yaml:4:28: `{app.example.com` has a `{` without its `}` (`hosts` takes how hosts are called, like `{stage}-{app}.apps.example.com`)
    "#]].assert_eq(&of("{app.example.com", "stage: main"));
    expect![[r#"
        error manifest::reference
          app.yaml:5:11: the target `apps` has errors (mend the target first)
        error manifest::text
          target.yaml:4:28: `apps.example.com` has nothing to fill in: all apps would have one host; write `{app}` (`hosts` takes how hosts are called, like `{stage}-{app}.apps.example.com`)
    "#]].assert_eq(&of("apps.example.com", "stage: main"));
    let none = resolved(&[("app.yaml", &app("web", "", "[{}]").replace("  target: apps\n", "  command: [serve]\n"))]);
    expect![[r#"
        error manifest::key::missing
          app.yaml:8:12: `host` is missing in a route (write `host: api.example.com`, or say in the target how its `hosts` are called)
    "#]].assert_eq(&report(&none));
}

#[test]
fn two_apps_that_come_to_one_host_are_told() {
    let text = [app("c", "stage: a-b", "[{}]"), app("b-c", "stage: a", "[{}]")].map(|app| app + "  command: [serve]\n");
    let target = target("process: {}", "{stage}-{app}.example.com");
    expect![[r#"
        b-c from app.yaml
        error manifest::routes::taken
          app.yaml:8:12: the route a-b-c.example.com/ belongs to the app `b-c` (choose another host or path, or remove the other route first)
    "#]].assert_eq(&report(&resolved(&[("app.yaml", &text.join("---\n")), ("target.yaml", &target)])));
}
