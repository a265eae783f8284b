//! What goes wrong on the platform, each with what would come of it unhandled.
//!
//! Much is caught twice: what one step gets wrong the next tick puts right. So each handling is tried by what it alone gives,
//! and each of these tests was seen to fail with its handling alone taken out.
//!
//! | fault | handled by | who fails without |
//! |---|---|---|
//! | 408, and it was made | `create`: looked for at once, by its name | `creates::a_create_that_went_well_without_a_word…`: else it is asked for twice |
//! | the same, and lists are late | `create`: the refusal says which machine has the name | `creates::a_machine_that_no_list_shows_yet…` |
//! | lease of another | `fault`: passes by itself, and says whose it is | `a_lease_that_another_holds…` |
//! | the same, told with 412 | `steps`: not taken for one that starts in a second | `a_start_that_anothers_lease_forbids…`: else it is told four times |
//! | 429 | `client` and `pace`: the time that it names | `who_is_told_when_to_come_back…` |
//! | list lag | `book`: what contradicts our deeds is read by itself | `a_machine_that_was_started_has_not_ended…` |
//! | unreachable host | `lift`: borne for a minute, and then lost with it | `a_host_that_cannot_be_reached…` |
//! | autostop before it has passed | `survey` and `lift`: no evidence, and started again | `a_machine_that_sleeps_before…` |
//! | autostop in the middle of a wait | `due`: one that rests is waited for no longer | `a_machine_that_is_put_to_sleep_in_the_middle…`: else 11 s, not 3 |
//! | autostop in the middle of a rollout | `survey` and `lift`, as before | `rollouts::one_that_is_put_to_sleep…` |
//! | autostop | `lift`: it has not ended | `a_machine_that_the_platform_put_to_sleep…` |
//! | old version put back | `lift`: what it is made from is compared, whatever its state says | `an_old_version_that_the_platform_puts_back…` |
//! | a disk that nobody answers for | `volumes`: not asked for again before lists must show it | `disks::a_disk_that_was_made_without_a_word…` |

use serde_json::json;
use trueup_fly_sim::{Fault, Habits, Lag, Said, Scenario, Span};
use trueup_seams::Nudges as _;
use trueup_types::observed::{ExitWhy, Health, Phase};
use trueup_types::step::StepOutcome;
use trueup_types::template::{Autostop, AutostopMode};

use crate::stand::{Stand, image, quick, release, rule, sketch};

#[tokio::test(start_paused = true)]
async fn what_we_made_is_there_and_what_we_removed_is_not_whatever_a_late_list_says() {
    let lag =
        Lag { machine: Span::millis(2_000), list: Span::millis(6_000), org: Span::millis(9_000), ..Lag::default() };
    let stand = Stand::new(Scenario { lag, ..quick() });
    assert_eq!(stand.create(&release("web", 1, "a:1"), 0).await, StepOutcome::Done);
    for _ in 0..20 {
        assert!(stand.one("web-r1-0").await.is_some(), "what was made is never believed gone because a list is late");
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    }
    let one = stand.running("web-r1-0").await;
    assert_eq!(stand.apply(Stand::stop(&one)).await, StepOutcome::Done);
    for _ in 0..10 {
        let seen = stand.one("web-r1-0").await.expect("it is there");
        assert!(
            !matches!(seen.phase, Phase::Running { .. }),
            "what was told to stop is not shown as running: {seen:?}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    }
    let down = stand.until("web-r1-0", "it is down", |one| matches!(one.phase, Phase::Exited { .. })).await;
    assert!(matches!(down.phase, Phase::Exited { why: ExitWhy::Asked, .. }), "{down:?}");
    assert_eq!(stand.apply(Stand::remove(&down)).await, StepOutcome::Done);
    for _ in 0..20 {
        assert_eq!(stand.one("web-r1-0").await, None, "what was removed does not come back from a late list");
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn storms_of_429_are_waited_out_and_our_own_pace_meets_none() {
    let stand = Stand::new(Scenario::default());
    for ordinal in 0..10 {
        assert_eq!(stand.create(&release("web", 1, "a:1"), ordinal).await, StepOutcome::Done);
    }
    for ordinal in 0..10 {
        stand.running(&format!("web-r1-{ordinal}")).await;
    }
    let made = stand.calls("Machines_create");
    assert_eq!(made, 10, "nobody was refused for haste, so nobody was asked twice");

    let storm = rule("*", 25, Fault::Answers(Said { retry_after: Some(2), ..Said::status(429) }));
    let stand = Stand::new(Scenario { faults: vec![storm], ..quick() });
    let mut tries = 0;
    while !stand.create(&release("web", 1, "a:1"), 0).await.settled() {
        tries += 1;
        assert!(tries < 20, "the storm is never over");
    }
    stand.running("web-r1-0").await;
    assert_eq!(stand.platform.machines().len(), 1);
}

/// The limits count each action on each app by itself, and so do we: none is refused, and none waits for another's turn.
#[tokio::test(start_paused = true)]
async fn each_action_on_each_app_has_a_pace_of_its_own_just_below_the_limits() {
    let stand = Stand::new(Scenario::default());
    let apps = ["web", "api", "shop"];
    for app in apps {
        stand.up(&release(app, 1, "a:1"), 0).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    stand.survey().await;
    let (made, began) = (stand.calls("Machines_create"), tokio::time::Instant::now());
    let releases = apps.map(|app| release(app, 1, "a:1"));
    let creates = releases.iter().flat_map(|release| (1..7).map(|ordinal| stand.create(release, ordinal)));
    let outcomes = futures_util::future::join_all(creates).await;
    assert!(outcomes.iter().all(|outcome| *outcome == StepOutcome::Done), "{outcomes:?}");
    // Three at once, and one a second from there.
    let took = began.elapsed();
    let least = std::time::Duration::from_millis(3 * 1_020);
    assert!(took >= least && took < least + std::time::Duration::from_millis(500), "{took:?}");
    assert_eq!(stand.calls("Machines_create") - made, 18, "each once");
    assert_eq!(stand.wire.hasty.load(std::sync::atomic::Ordering::SeqCst), 0, "nobody was told to wait");
}

/// A list that is late shows a machine as it was before it was started: nobody believes that it has ended again.
#[tokio::test(start_paused = true)]
async fn a_machine_that_was_started_has_not_ended_whatever_a_late_list_says() {
    let lag = Lag { list: Span::millis(12_000), org: Span::millis(14_000), ..Lag::default() };
    let stand = Stand::new(Scenario { lag, ..quick() });
    let one = stand.up(&release("web", 1, "a:1"), 0).await;
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    assert_eq!(stand.apply(Stand::stop(&one)).await, StepOutcome::Done);
    let down = stand.until("web-r1-0", "it is down", |one| matches!(one.phase, Phase::Exited { .. })).await;
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    let start = trueup_types::InstanceStep::Start { id: down.id.clone(), ended: down.incarnation.clone() };
    assert_eq!(stand.apply(start).await, StepOutcome::Done);
    let began = tokio::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(20) {
        let seen = stand.one("web-r1-0").await.expect("it is there");
        assert!(!matches!(seen.phase, Phase::Exited { .. }), "after {:?}: {seen:?}", began.elapsed());
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let up = stand.one("web-r1-0").await.expect("it is there");
    assert!(matches!(up.phase, Phase::Running { .. }) && up.incarnation != down.incarnation, "{up:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_known_of_a_machine_holds_while_its_host_says_nothing_of_it() {
    let mut db = sketch("db", "a:1");
    let name = trueup_types::Label::new("data").expect("a name");
    let volume = trueup_types::template::Volume { name, path: "/data".to_owned(), size_bytes: Some(1 << 30) };
    db.template.volumes = vec![volume];
    let stand = Stand::new(quick());
    let one = stand.up(&db.release(trueup_types::Revision(1)), 0).await;
    stand.platform.do_to(json!({"host": {"status": "unreachable"}}));
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    let dark = stand.one("db-r1-0").await.expect("it is not believed gone");
    assert_eq!((dark.release, &dark.template), (one.release, &one.template), "what it is made from");
    assert_eq!(dark.addresses, one.addresses);
    let lost = |one: &trueup_types::Sighting| matches!(one.phase, Phase::Exited { why: ExitWhy::HostLost, .. });
    let lost = stand.until("db-r1-0", "it is lost", lost).await;
    let start = trueup_types::InstanceStep::Start { id: lost.id.clone(), ended: lost.incarnation.clone() };
    let outcome = stand.apply(start).await;
    assert!(
        matches!(&outcome, StepOutcome::Retry { why, .. } if why.contains("holds its disk")),
        "it has a disk, and nobody takes its place: {outcome:?}"
    );
    assert_eq!(stand.platform.machines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_told_when_to_come_back_does_not_come_before() {
    let later = Fault::Answers(Said { retry_after: Some(9), ..Said::status(429) });
    let stand = Stand::new(Scenario { faults: vec![rule("Machines_create", 1, later)], ..quick() });
    let began = tokio::time::Instant::now();
    while !stand.create(&release("web", 1, "a:1"), 0).await.settled() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "it never settles");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(began.elapsed() >= std::time::Duration::from_secs(9), "after {:?}", began.elapsed());
    assert_eq!(stand.calls("Machines_create"), 2, "once to be told, and once when it was time");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_has_started_again_is_not_destroyed() {
    let stand = Stand::new(quick());
    let one = stand.up(&release("web", 1, "a:1"), 0).await;
    assert_eq!(stand.apply(Stand::stop(&one)).await, StepOutcome::Done);
    let down = stand.until("web-r1-0", "it is down", |one| matches!(one.phase, Phase::Exited { .. })).await;
    // Behind our back: what we know of it says that it is down.
    stand.platform.do_to(json!({"act": {"verb": "start"}}));
    let outcome = stand.apply(Stand::remove(&down)).await;
    assert_ne!(outcome, StepOutcome::Done);
    assert_eq!(stand.platform.machines().len(), 1, "who runs is not destroyed: {outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_sleeps_before_it_has_passed_is_no_evidence() {
    let never = trueup_fly_sim::Behaviour { health: trueup_fly_sim::Health::Never, ..image("a:never") };
    let mut sleepy = sketch("web", "a:never");
    sleepy.template.autostop = Some(Autostop { mode: AutostopMode::Stop, min_running: 0 });
    let sleepy = sleepy.release(trueup_types::Revision(1));
    let stand = Stand::new(Scenario { images: vec![never], ..quick() });
    stand.up(&sleepy, 0).await;
    stand.platform.do_to(json!({"autostop": {}}));
    let asleep = stand.until("web-r1-0", "it is put to sleep", |one| !matches!(one.phase, Phase::Running { .. })).await;
    assert_ne!(asleep.phase, Phase::Asleep, "who sleeps counts as well, and this one never was");
    let down = stand.until("web-r1-0", "it is seen as only made", |one| matches!(one.phase, Phase::Created)).await;
    let start = trueup_types::InstanceStep::Start { id: down.id.clone(), ended: down.incarnation.clone() };
    assert_eq!(stand.apply(start).await, StepOutcome::Done);
    stand.running("web-r1-0").await;
}

/// Put to sleep between two looks, while a list that is late still has it coming up: the wait that begins then ends at once,
/// since a rest is the end of a wait as well. Else nobody looks before the next look of an app with checks is due.
#[tokio::test(start_paused = true)]
async fn a_machine_that_is_put_to_sleep_in_the_middle_of_a_wait_is_not_waited_for_any_longer() {
    let mut sleepy = sketch("web", "a:1");
    sleepy.template.autostop = Some(Autostop { mode: AutostopMode::Stop, min_running: 0 });
    let sleepy = sleepy.release(trueup_types::Revision(1));
    let lag = Lag { list: Span::millis(1_300), ..Lag::default() };
    let stand = Stand::new(Scenario { lag, ..quick() });
    stand.runtime.listen(std::sync::Arc::new(|_| {}));
    assert_eq!(stand.create(&sleepy, 0).await, StepOutcome::Done);
    let state = || stand.platform.machines()[0]["state"].clone();
    while state() != "started" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    stand.platform.do_to(json!({"autostop": {}}));
    let began = tokio::time::Instant::now();
    stand.until("web-r1-0", "it is to be started", |one| matches!(one.phase, Phase::Created)).await;
    assert!(stand.calls("Machines_wait") >= 1, "it was waited for");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "after {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_holds_is_waited_for() {
    let stand = Stand::new(quick());
    let one = stand.up(&release("web", 1, "a:1"), 0).await;
    stand.platform.do_to(json!({"lease": {"ttl": "20s"}}));
    let outcome = stand.apply(Stand::stop(&one)).await;
    assert!(
        matches!(&outcome, StepOutcome::Underway { why, .. } if why.contains("lease currently held")),
        "{outcome:?}"
    );
    assert!(matches!(
        stand.one("web-r1-0").await.expect("it is there").phase,
        Phase::Vanishing { .. } | Phase::Running { .. }
    ));
    tokio::time::sleep(std::time::Duration::from_secs(21)).await;
    assert!(stand.apply(Stand::stop(&one)).await.settled());
    let down = stand.until("web-r1-0", "it is down", |one| matches!(one.phase, Phase::Exited { .. })).await;
    stand.platform.do_to(json!({"lease": {"ttl": "20s"}}));
    assert!(matches!(stand.apply(Stand::remove(&down)).await, StepOutcome::Underway { .. }));
    assert_eq!(stand.platform.machines().len(), 1, "nothing was destroyed behind its back");
    tokio::time::sleep(std::time::Duration::from_secs(21)).await;
    assert_eq!(stand.apply(Stand::remove(&down)).await, StepOutcome::Done);
}

/// Some answers say with 412 that another holds the lease, as they do of one that cannot be started just now. The one passes in a
/// second, and is tried again within the step; the other does not: whoever holds it is named, and asked after in the next tick.
#[tokio::test(start_paused = true)]
async fn a_start_that_anothers_lease_forbids_is_told_once_and_says_whose_it_is() {
    for leased_status in [409, 412] {
        let habits = Habits { leased_status, ..Habits::default() };
        let stand = Stand::new(Scenario { habits, ..quick() });
        let one = stand.up(&release("web", 1, "a:1"), 0).await;
        assert_eq!(stand.apply(Stand::stop(&one)).await, StepOutcome::Done);
        let down = stand.until("web-r1-0", "it is down", |one| matches!(one.phase, Phase::Exited { .. })).await;
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        stand.platform.do_to(json!({"lease": {"ttl": "20s", "owner": "erin@example.com"}}));
        let (before, began) = (stand.calls("Machines_start"), tokio::time::Instant::now());
        let start = trueup_types::InstanceStep::Start { id: down.id.clone(), ended: down.incarnation.clone() };
        let outcome = stand.apply(start.clone()).await;
        assert!(
            matches!(&outcome, StepOutcome::Underway { why, .. } if why.contains("lease currently held by erin@example.com")),
            "{leased_status}: {outcome:?}"
        );
        assert_eq!(stand.calls("Machines_start") - before, 1, "{leased_status}: it is not told again in vain");
        assert!(
            began.elapsed() < std::time::Duration::from_secs(1),
            "{leased_status}: and nobody waits: {:?}",
            began.elapsed()
        );
        tokio::time::sleep(std::time::Duration::from_secs(21)).await;
        assert_eq!(stand.apply(start).await, StepOutcome::Done, "{leased_status}");
        stand.running("web-r1-0").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_cannot_be_reached_is_borne_for_a_while_and_then_given_up() {
    let stand = Stand::new(quick());
    let one = stand.up(&release("web", 1, "a:1"), 0).await;
    let other = stand.up(&release("api", 1, "a:1"), 0).await;
    let of = json!({"app": stand.platform.apps().iter().find(|app| app["name"].as_str().is_some_and(|name| name.starts_with("ampel-web"))).map(|app| app["name"].clone())});
    stand.platform.do_to(json!({"host": {"of": of, "status": "unreachable"}}));
    let seen = stand.one("web-r1-0").await.expect("it is not believed gone");
    assert_eq!(seen.incarnation, one.incarnation);
    assert!(matches!(seen.phase, Phase::Running { .. }), "it may well serve: {seen:?}");
    assert_eq!(seen.release, one.release, "what is not told has not changed");
    assert_eq!(
        stand.one("api-r1-0").await.map(|one| one.incarnation),
        Some(other.incarnation),
        "the others are in sight"
    );
    assert!(matches!(stand.apply(Stand::stop(&one)).await, StepOutcome::Retry { .. }));
    stand.survey().await;

    tokio::time::sleep(std::time::Duration::from_secs(70)).await;
    let lost = stand.one("web-r1-0").await.expect("it is there");
    assert!(matches!(lost.phase, Phase::Exited { why: ExitWhy::HostLost, .. }), "{lost:?}");
    let start = trueup_types::InstanceStep::Start { id: lost.id.clone(), ended: lost.incarnation.clone() };
    assert_eq!(stand.apply(start).await, StepOutcome::Done, "another may take its place");
    assert_eq!(stand.one("web-r1-0").await, None);
    stand.up(&release("web", 1, "a:1"), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_the_platform_put_to_sleep_has_not_ended() {
    let mut sleepy = sketch("web", "a:1");
    sleepy.template.autostop = Some(Autostop { mode: AutostopMode::Stop, min_running: 0 });
    let sleepy = sleepy.release(trueup_types::Revision(1));
    let stand = Stand::new(quick());
    stand.up(&sleepy, 0).await;
    stand.until("web-r1-0", "it passes", |one| matches!(one.checks, Some(Health::Passing { .. }))).await;
    stand.platform.do_to(json!({"autostop": {}}));
    let asleep = stand.until("web-r1-0", "it sleeps", |one| !matches!(one.phase, Phase::Running { .. })).await;
    assert_eq!(asleep.phase, Phase::Asleep);
    for _ in 0..5 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(stand.one("web-r1-0").await.map(|one| one.phase), Some(Phase::Asleep));
    }
    assert!(stand.apply(Stand::stop(&asleep)).await.settled(), "one that sleeps can be told to go");
    let down = stand.until("web-r1-0", "it is down", |one| matches!(one.phase, Phase::Exited { .. })).await;
    assert_eq!(stand.apply(Stand::remove(&down)).await, StepOutcome::Done);
}

#[tokio::test(start_paused = true)]
async fn an_old_version_that_the_platform_puts_back_without_a_word_is_told_from_a_new_one() {
    let unpullable = Some(trueup_fly_sim::Unpullable::Failed);
    let gone = trueup_fly_sim::Behaviour { unpullable, pull: Some(Span::millis(5_000)), ..image("a:gone") };
    let stand = Stand::new(Scenario { images: vec![gone], ..quick() });
    let one = stand.up(&release("web", 1, "a:1"), 0).await;
    // Somebody deploys by hand what cannot be pulled: the platform gives up, and says `started`.
    stand.platform.do_to(json!({"edit": {"config": {"image": "a:gone"}}}));
    stand.until("web-r1-0", "what is on its way there is not what we made", |seen| seen.release != one.release).await;
    let back = stand.until("web-r1-0", "it runs again", |one| matches!(one.phase, Phase::Running { .. })).await;
    assert_eq!(back.release, one.release, "the old version is ours");
    assert_ne!(back.incarnation, one.incarnation, "though it is another life");
    // And what can be pulled runs, and is not ours, whatever its labels say.
    stand.platform.do_to(json!({"edit": {"config": {"image": "a:2"}}}));
    // What others do is seen with the organisation's next listing.
    tokio::time::sleep(std::time::Duration::from_secs(16)).await;
    let altered = stand.running("web-r1-0").await;
    assert_ne!(altered.release, one.release, "started is not enough: it is another version");
}

#[tokio::test(start_paused = true)]
async fn what_is_altered_behind_our_back_is_no_longer_ours_and_defaults_are_no_drift() {
    let stand = Stand::new(quick());
    let one = stand.up(&release("web", 1, "a:1"), 0).await;
    assert_eq!(one.release, release("web", 1, "a:1").digest, "what the platform fills in is no drift");
    stand.platform.do_to(json!({"edit": {"config": {"env": {"SNEAKY": "1"}}}}));
    let seen = stand.until("web-r1-0", "it is altered", |seen| seen.release != one.release).await;
    assert!(seen.template.is_some(), "what it was made from is still known");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_told_whichever_way_the_platform_ends_it() {
    for unpullable in [trueup_fly_sim::Unpullable::Failed, trueup_fly_sim::Unpullable::Vanishes] {
        let gone = trueup_fly_sim::Behaviour { unpullable: Some(unpullable), ..image("a:gone") };
        let stand = Stand::new(Scenario { images: vec![gone], ..quick() });
        assert_eq!(stand.create(&release("web", 1, "a:gone"), 0).await, StepOutcome::Done);
        let failed = stand.until("web-r1-0", "it failed", |one| matches!(one.phase, Phase::Exited { .. })).await;
        assert!(
            matches!(&failed.phase, Phase::Exited { why: ExitWhy::CannotStart { detail }, .. } if detail.contains("a:gone")),
            "{failed:?}"
        );
        tokio::time::sleep(std::time::Duration::from_secs(40)).await;
        let still = stand.one("web-r1-0").await.expect("it is told until it is removed");
        assert_eq!(still.phase, failed.phase);
        assert_eq!(stand.apply(Stand::remove(&still)).await, StepOutcome::Done);
        assert_eq!(stand.one("web-r1-0").await, None);
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        assert_eq!(stand.platform.machines().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_platforms_checks_are_judged_as_our_probes_are() {
    let slow =
        trueup_fly_sim::Behaviour { health: trueup_fly_sim::Health::FailsAfter(Span::millis(30_000)), ..image("a:1") };
    let never = trueup_fly_sim::Behaviour { health: trueup_fly_sim::Health::Never, ..image("a:never") };
    let stand = Stand::new(Scenario { images: vec![slow, never], ..quick() });
    let up = stand.up(&release("web", 1, "a:1"), 0).await;
    assert_eq!(up.checks, Some(Health::Waiting), "no answer is no evidence, and there is a grace");
    let well = stand.until("web-r1-0", "it passes", |one| matches!(one.checks, Some(Health::Passing { .. }))).await;
    let Phase::Running { since } = well.phase else { panic!("{well:?}") };
    assert!(matches!(well.checks, Some(Health::Passing { since: passing }) if passing >= since));
    let ill = stand.until("web-r1-0", "it fails", |one| matches!(one.checks, Some(Health::Failed { .. }))).await;
    assert!(matches!(&ill.phase, Phase::Running { .. }), "failing checks restart nothing");
    stand.up(&release("api", 1, "a:never"), 0).await;
    let bad = stand.until("api-r1-0", "it fails", |one| matches!(one.checks, Some(Health::Failed { .. }))).await;
    let Some(Health::Failed { since, last }) = bad.checks else { panic!("{:?}", bad.checks) };
    assert_eq!(last.probe.as_str(), "ready");
    assert!(last.at.since(since) >= std::time::Duration::from_secs(2), "two failures in a row, two seconds apart");
}
