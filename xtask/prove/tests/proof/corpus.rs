//! The planner's corpus: each of its inputs is there for a way in which a tick can go.

use std::collections::BTreeSet;

use trueup_prove::fuzz::planner::corpus::{kept, verbs, ways};

#[test]
fn each_input_goes_the_way_that_it_is_named_for() {
    let kept = kept().expect("it is committed");
    let found = |name: &str| name.starts_with("found-");
    for (name, data) in kept.iter().filter(|(name, _)| !found(name)) {
        assert!(ways(data).contains(name), "{name} goes {:?}", ways(data));
    }
    for strategy in ["bluegreen", "rolling", "recreate", "stopfirst"] {
        for passage in ["idle-underway", "underway-baking", "baking-idle", "baking-reverting", "reverting-idle"] {
            let way = format!("{strategy}-{passage}-");
            assert!(kept.keys().any(|name| name.starts_with(&way)), "none goes {way}");
        }
    }
}

#[test]
fn it_sees_every_step() {
    let seen: BTreeSet<_> = kept().expect("it is committed").values().flat_map(|data| verbs(data)).collect();
    let every = ["create", "start", "stop", "remove", "route"].map(str::to_owned);
    assert!(seen.is_superset(&BTreeSet::from(every)), "{seen:?}");
}
