//! Two files that claim the same name or route: who came second is in the wrong.

use trueup_seams::Absence;

use super::bed::{Bed, runs, told};
use super::toy::name;

#[tokio::test]
async fn a_second_claim_of_a_name_is_the_newcomers_error() {
    let bed = Bed::new(&[("m.yaml", "app web v1")]).await;
    bed.write("a.yaml", "app web theirs\napp other v1");
    let now = bed.until("the newcomer is seen", |now| runs(now, "other", "v1")).await;
    assert!(runs(&now, "web", "v1"), "who holds a name keeps it, whatever the order of the files");
    assert_eq!(now.faults[0].file, "a.yaml");
    assert_eq!(now.faults[0].errors, ["app `web` is already defined in m.yaml"]);
    bed.remove("m.yaml");
    let now = bed.until("it is handed over", |now| runs(now, "web", "theirs")).await;
    assert!(now.vanished.is_empty());
}

#[tokio::test]
async fn a_newcomer_does_not_put_the_holder_in_the_wrong() {
    let bed = Bed::new(&[("m.yaml", "app web v1\nonly one")]).await;
    bed.write("a.yaml", "app api v1\nonly one");
    let now = bed.until("the newcomer is seen", |now| !now.faults.is_empty()).await;
    assert_eq!(now.faults.iter().map(|fault| fault.file.as_str()).collect::<Vec<_>>(), ["a.yaml"]);
    assert!(now.apps["web"].error.is_none() && !now.apps.contains_key("api"));
    bed.write("m.yaml", "app web v2\nonly one");
    let now = bed.until("the holder goes on", |now| runs(now, "web", "v2")).await;
    assert_eq!(now.faults.len(), 1);
    bed.write("m.yaml", "app web v3");
    bed.until("it is handed over", |now| runs(now, "api", "v1") && now.faults.is_empty()).await;
}

#[tokio::test]
async fn a_second_claim_of_a_route_is_the_newcomers_error() {
    let bed = Bed::new(&[("m.yaml", "app web v1 a.test/"), ("api.yaml", "app api v1 b.test/")]).await;
    bed.write("api.yaml", "app api v2 a.test/");
    let now = bed.until("the claim is seen", |now| !now.faults.is_empty()).await;
    assert!(runs(&now, "web", "v1") && runs(&now, "api", "v1"), "{:?}", told(&now));
    assert_eq!(now.apps["api"].error.as_deref(), Some("route a.test/ is held by app `web`"));
    bed.write("m.yaml", "app web v2 c.test/");
    let now = bed.until("the route is free", |now| runs(now, "api", "v2")).await;
    assert!(now.faults.is_empty() && now.apps["api"].error.is_none());
    // A new app has no last version to stay at: it is not there, and not gone.
    bed.write("late.yaml", "app late v1 a.test/");
    let now = bed.until("the late claim is seen", |now| !now.faults.is_empty()).await;
    assert!(!now.apps.contains_key("late"));
    assert!(matches!(now.absence(&name("late")), Absence::InDoubt(_)));
}
