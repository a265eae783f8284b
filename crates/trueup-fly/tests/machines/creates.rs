//! A machine whose making is answered late, wrongly or not at all: it is found, and there is no second one.

use trueup_fly_sim::{Fault, Lag, Said, Scenario, Span};
use trueup_types::step::StepOutcome;

use crate::stand::{Stand, quick, release, rule};

#[tokio::test(start_paused = true)]
async fn a_create_that_says_that_it_timed_out_and_did_not_makes_one_machine() {
    for fault in [
        Fault::CommitsThenAnswers(Said::status(408)),
        Fault::CommitsThenAnswers(Said::status(502)),
        Fault::CommitsThenCut,
        Fault::CommitsThenHangs,
        Fault::Answers(Said::status(408)),
        Fault::Cut,
    ] {
        let stand = Stand::new(Scenario { faults: vec![rule("Machines_create", 1, fault.clone())], ..quick() });
        let mut outcome = stand.create(&release("web", 1, "a:1"), 0).await;
        for _ in 0..3 {
            if !outcome.settled() {
                outcome = stand.create(&release("web", 1, "a:1"), 0).await;
            }
        }
        assert!(outcome.settled(), "{fault:?}: {outcome:?}");
        stand.running("web-r1-0").await;
        assert_eq!(stand.platform.machines().len(), 1, "{fault:?}");
    }
}

/// What was made without a word is looked for at once, and nobody asks for it again: without that the name would keep a second
/// one away, and the next tick would find the first.
#[tokio::test(start_paused = true)]
async fn a_create_that_went_well_without_a_word_is_taken_up_in_the_same_step_and_asked_for_once() {
    for fault in [
        Fault::CommitsThenAnswers(Said::status(408)),
        Fault::CommitsThenAnswers(Said::status(502)),
        Fault::CommitsThenCut,
        Fault::CommitsThenHangs,
    ] {
        let stand = Stand::new(Scenario { faults: vec![rule("Machines_create", 1, fault.clone())], ..quick() });
        let outcome = stand.create(&release("web", 1, "a:1"), 0).await;
        assert_eq!(outcome, StepOutcome::AlreadyTrue, "{fault:?}");
        assert_eq!(stand.calls("Machines_create"), 1, "{fault:?}: nobody asks for a second one");
        assert!(stand.one("web-r1-0").await.is_some(), "{fault:?}: it is known without another look");
    }
}

/// Where lists are late the refusal of the second try itself says which machine has the name: it is read, and taken up.
#[tokio::test(start_paused = true)]
async fn a_machine_that_no_list_shows_yet_is_taken_up_by_what_the_refusal_says_of_it() {
    let lag = Lag { list: Span::millis(60_000), org: Span::millis(60_000), ..Lag::default() };
    let late = rule("Machines_create", 1, Fault::CommitsThenAnswers(Said::status(408)));
    let stand = Stand::new(Scenario { lag, faults: vec![late], ..quick() });
    assert_eq!(stand.create(&release("web", 1, "a:1"), 0).await, StepOutcome::AlreadyTrue);
    assert_eq!(stand.calls("Machines_create"), 2, "once, and once to be told that it is there");
    stand.running("web-r1-0").await;
    assert_eq!(stand.platform.machines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_create_is_found_though_every_list_is_late() {
    let lag = Lag {
        machine: Span::millis(4_000),
        app: Span::millis(3_000),
        list: Span::millis(8_000),
        org: Span::millis(12_000),
        ..Lag::default()
    };
    let late = rule("Machines_create", 2, Fault::CommitsThenAnswers(Said::status(408)));
    let stand = Stand::new(Scenario { lag, faults: vec![late], ..quick() });
    let mut tries = 0;
    while !stand.create(&release("web", 1, "a:1"), 0).await.settled() {
        tries += 1;
        assert!(tries < 20, "it never settles");
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    }
    stand.running("web-r1-0").await;
    assert_eq!(stand.platform.machines().len(), 1);
}
