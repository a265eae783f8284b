//! Cases are read as they are spelled, those of CI are a fair choice, and one that panics is told.

use std::collections::BTreeSet;

use trueup_prove::ambiguity::kind::{Ill, KINDS, Run};
use trueup_prove::crashes::book::Reference;
use trueup_prove::crashes::case::{Case, deaths_at};
use trueup_prove::crashes::choice::{class, is_taken};
use trueup_prove::crashes::scenario::Variant;
use trueup_prove::crashes::vigil::{over, under_way};
use trueup_sim::CallKind;

#[test]
fn a_crash_is_read_as_it_is_spelled() {
    for text in
        ["update-bluegreen-2-quick/save:7/unflushed+40s", "restart-worker-1-late/save:1/after+lost;look:0/before"]
    {
        assert_eq!(Case::parse(text).expect("a case").to_string(), text);
    }
    assert!(Case::parse("update-bluegreen-2-quick/save:7").is_err());
    assert!(Case::parse("update-bluegreen-9-quick/").is_err());
}

#[test]
fn an_unclear_answer_is_read_as_it_is_spelled() {
    let run = Run { counts: [3; trueup_sim::CallKind::ALL.len()], millis: 60_000 };
    for ill in KINDS.iter().flat_map(|kind| (kind.ills)(&run)) {
        assert_eq!(Ill::parse(&ill.to_string()).expect("an ill"), ill);
    }
    assert!(Ill::parse("lost-after@step:1").is_err() && Ill::parse("odd@step:1x1").is_err());
}

#[test]
fn every_scenario_meets_every_kind_of_boundary_that_it_has() {
    let (mut all, mut taken, mut count) = (BTreeSet::new(), BTreeSet::new(), 0);
    let common = Variant::all().into_iter().filter(Variant::is_common);
    for (number, variant) in (0..).zip(common) {
        for death in Reference::of(variant).deaths {
            let met = (variant.scenario.name, class(&death));
            all.insert(met);
            if is_taken(number, &death) {
                taken.insert(met);
                count += 1;
            }
        }
    }
    let classes: BTreeSet<_> = all.iter().map(|(_, class)| *class).collect();
    let every = CallKind::ALL.into_iter().flat_map(|kind| deaths_at(kind, 1)).map(|death| class(&death));
    assert_eq!(classes, every.collect::<BTreeSet<_>>(), "every call and moment is met");
    assert_eq!(all.difference(&taken).collect::<Vec<_>>(), Vec::<&(&str, u64)>::new());
    assert!(count >= 15_000, "{count} are few");
}

#[test]
fn what_panics_is_wrong_and_what_comes_back_is_no_longer_watched() {
    assert_eq!(over("crashes", "one", || 7), Ok(7));
    let told = over("crashes", "two", || -> u32 { panic!("as planted") }).expect_err("it panics");
    assert!(told.contains("as planted"), "{told}");
    assert!(under_way().values().all(|(replay, _)| !replay.contains("'one'") && !replay.contains("'two'")));
}
