//! What apps cannot share.

use std::collections::BTreeMap;
use std::time::Instant;

use expect_test::expect;

use super::{name, parsed, report, resolved};
use crate::resolve;

fn routed(app: &str, host: &str) -> String {
    format!(
        "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: {app}}}\nspec: {{profile: web, command: [x], routes: [{{host: {host}}}]}}\n"
    )
}

fn waiting(app: &str, on: &str) -> String {
    format!(
        "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {{name: {app}}}\nspec: {{profile: web, command: [x], dependsOn: [{on}]}}\n"
    )
}

#[test]
fn a_route_stays_with_the_app_that_holds_it() {
    let (old, new) = (routed("old", "shop"), routed("new", "shop"));
    let files = parsed(&[("a.yaml", &new), ("b.yaml", &old)]);
    let holders = BTreeMap::from([("shop/".to_owned(), name("old"))]);
    expect![[r#"
        old from b.yaml
        error manifest::routes::taken
          a.yaml:4:45: the route shop/ belongs to the app `old` (choose another host or path, or remove the other route first)
    "#]].assert_eq(&report(&resolve(&files, &holders)));
    let nobody = resolve(&files, &BTreeMap::new());
    assert!(nobody.apps.contains_key(&name("new")) && nobody.apps.len() == 1, "the first by name, always the same");
}

#[test]
fn a_name_that_stands_twice_is_taken_from_neither() {
    let resolution = resolved(&[("a.yaml", &routed("web", "a")), ("b.yaml", &routed("web", "b"))]);
    expect![[r#"
        error manifest::name::duplicate
          a.yaml:3:18: the App `web` stands in b.yaml:3 as well (rename or remove one: neither is taken, and what runs is kept)
        error manifest::name::duplicate
          b.yaml:3:18: the App `web` stands in a.yaml:3 as well (rename or remove one: neither is taken, and what runs is kept)
    "#]].assert_eq(&report(&resolution));
}

#[test]
fn apps_that_wait_for_themselves_are_shown_the_circle() {
    let files = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("e", "bb")]
        .map(|(app, on)| (format!("{app}.yaml"), waiting(app, on)));
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    expect![[r#"
        d from d.yaml
        error manifest::depends::circle
          a.yaml:4:48: `a` waits for itself: a → b → c → a (remove one of these dependencies)
        error manifest::depends::circle
          b.yaml:4:48: `b` waits for itself: a → b → c → a (remove one of these dependencies)
        error manifest::depends::circle
          c.yaml:4:48: `c` waits for itself: a → b → c → a (remove one of these dependencies)
        error manifest::depends::unknown
          e.yaml:4:48: there is no app `bb` (did you mean `b`?)
    "#]]
    .assert_eq(&report(&resolved(&files)));
}

#[test]
fn an_app_may_wait_for_one_whose_manifest_is_broken() {
    let broken = "apiVersion: trueup.dev/v1\nkind: App\nmetadata: {name: db}\nspec: {comand: [x]}\n";
    let resolution = resolved(&[("a.yaml", &waiting("web", "db")), ("b.yaml", broken)]);
    assert!(resolution.apps.contains_key(&name("web")), "{}", report(&resolution));
}

/// Not a benchmark: a guard against quadratic work, in an unoptimized build.
#[test]
fn thousands_of_apps_resolve_again_in_a_moment() {
    let files: Vec<_> = (0..3000)
        .map(|index| (format!("{index}.yaml"), routed(&format!("app-{index}"), &format!("h{index}"))))
        .collect();
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let files = parsed(&files);
    #[expect(clippy::disallowed_methods, reason = "a test may look at the clock")]
    let begun = Instant::now();
    let first = resolve(&files, &BTreeMap::new());
    let first_took = begun.elapsed();
    let second = resolve(&files, &BTreeMap::new());
    let second_took = begun.elapsed().saturating_sub(first_took);
    assert_eq!(first.apps.len(), 3000);
    let same = first
        .apps
        .values()
        .zip(second.apps.values())
        .all(|(one, other)| std::sync::Arc::ptr_eq(&one.desired, &other.desired));
    assert!(same, "what did not change is shared");
    println!("first {first_took:?}, second {second_took:?}");
    assert!(second_took.as_secs() < 5, "{second_took:?}");
}
