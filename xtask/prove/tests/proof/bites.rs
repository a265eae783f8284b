//! Each tier bites: with a bug planted it finds something wrong, though it knows nothing of bugs.
//!
//! Of each tier those bugs that are its own matter; the museum's page has all that every tier meets.

use trueup_museum::Bug;
use trueup_prove::{ambiguity, crashes, fuzz, model, museum::catcher, operations, seeds, torture};

/// The bugs of which a tier's sample finds nothing.
fn missed(tier: &str, bugs: &[Bug]) -> Vec<&'static str> {
    let catcher = catcher::named(tier).expect("it is a tier that catches");
    bugs.iter().filter(|bug| catcher.ask(Some(**bug)).is_none()).map(|bug| bug.name()).collect()
}

#[test]
fn the_model_finds_what_breaks_the_planner() {
    let bugs = [
        Bug::RetriesRejected,
        Bug::RevertsTwice,
        Bug::PromotesUnbaked,
        Bug::MissesCrashInBake,
        Bug::StopsRouted,
        Bug::CountsTheDark,
        Bug::UnroutesEverybody,
        Bug::RunsHookAgain,
        Bug::TakesGoneHookForDone,
    ];
    assert_eq!(missed(model::TIER.name, &bugs), Vec::<&str>::new());
}

#[test]
fn operations_find_what_breaks_a_rollout() {
    let bugs = [Bug::IgnoresSuspend, Bug::StopsRouted, Bug::RevertReplacesHealthy, Bug::RetriesRejected];
    assert_eq!(missed(operations::TIER.name, &bugs), Vec::<&str>::new());
}

#[test]
fn torture_finds_what_breaks_the_store() {
    // Its writing child is the program, which these tests are not.
    torture::write_by(env!("CARGO_BIN_EXE_trueup-prove").into());
    let bugs = [Bug::BelievesOldStore, Bug::AcknowledgesUnwritten, Bug::TellsLossOnce];
    assert_eq!(missed(torture::TIER.name, &bugs), Vec::<&str>::new());
}

#[test]
fn fuzzing_finds_what_breaks_the_planner() {
    let bugs = [
        Bug::StopsRouted,
        Bug::TrustsListingOrder,
        Bug::IgnoresUpdateLimits,
        Bug::SurgesUnbounded,
        Bug::UnroutesEverybody,
    ];
    assert_eq!(missed(fuzz::TIER.name, &bugs), Vec::<&str>::new());
}

#[test]
fn crashes_find_what_only_a_death_brings_to_light_and_nothing_without_a_bug() {
    for bug in [Bug::AdoptsNewest, Bug::CountsExitTwice, Bug::ForgetsOthersRoutes] {
        let found = crashes::sample(Some(bug)).unwrap_or_else(|| panic!("{} is missed", bug.name()));
        assert!(!found.replay.ends_with('/'), "{}: {} needs no death", bug.name(), found.replay);
        let caught = crashes::again(&found.replay, Some(bug)).expect("its own cases mean something to it");
        assert_eq!(caught, Some(found.what), "what replays a case shows the same");
    }
    assert_eq!(crashes::sample(None).map(|found| found.replay), None);
}

#[test]
fn ambiguity_finds_what_only_an_unclear_answer_brings_to_light_and_nothing_without_a_bug() {
    for bug in [Bug::TakesErrorForEmpty, Bug::TakesPartForWhole, Bug::LooksOnlyAtEvents] {
        let found = ambiguity::sample(Some(bug)).unwrap_or_else(|| panic!("{} is missed", bug.name()));
        let caught = ambiguity::again(&found.replay, Some(bug)).expect("its own cases mean something to it");
        assert_eq!(caught, Some(found.what), "what replays a case shows the same");
    }
    assert_eq!(ambiguity::sample(None).map(|found| found.replay), None);
}

#[test]
fn seeds_find_what_whole_histories_bring_to_light_and_nothing_without_a_bug() {
    for bug in [Bug::RetriesRejected, Bug::PromotesUnbaked, Bug::RevertKillsFirst] {
        let found = seeds::sample(Some(bug)).unwrap_or_else(|| panic!("{} is missed", bug.name()));
        let caught = seeds::again(&found.replay, Some(bug)).expect("its own cases mean something to it");
        assert_eq!(caught, Some(found.what), "what replays a case shows the same");
    }
    assert_eq!(seeds::sample(None).map(|found| found.replay), None);
}
