//! Secrets of an app there: set before the machine that needs them, by digest, and gone with the last release that does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trueup_fly_sim::{Answered, Asked, Behaviour, Body, Fault, Health, Lag, Said, Scenario, Span};
use trueup_seams::{Inspect as _, Runtime as _};
use trueup_types::Release;
use trueup_types::step::{Refusal, StepOutcome};

use crate::daemon::Scene;
use crate::stand::{Platform, Stand, app, image, quick, release, rule, sketch};
use crate::vault::with_secret;

/// What the platform keeps of the only app there, spelled; asked as nobody but a test would ask.
async fn kept(platform: &Platform) -> String {
    let name = platform.apps()[0]["name"].as_str().expect("it has a name").to_owned();
    let asked = Asked::new("GET", &format!("/v1/apps/{name}/secrets?show_secrets=true"));
    let asked = asked.header("authorization", "FlyV1 fm2_abc");
    let Answered::Reply(reply) = platform.sim.answer(asked).await else { panic!("it answers") };
    let Body::Json(value) = reply.body else { panic!("it answers in JSON: {:?}", reply.body) };
    let word = |one: &Value, key: &str| one[key].as_str().unwrap_or("?").to_owned();
    let listed = value["secrets"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<_> = listed.iter().map(|one| format!("{}={}", word(one, "name"), word(one, "value"))).collect();
    all.sort();
    all.join(" ")
}

/// Somebody else sets one, by `fly secrets set`.
async fn set_by_hand(platform: &Platform, key: &str, value: &str) {
    let name = platform.apps()[0]["name"].as_str().expect("it has a name").to_owned();
    let asked = Asked::new("POST", &format!("/v1/apps/{name}/secrets")).header("authorization", "FlyV1 fm2_abc");
    let asked = asked.json(&json!({"values": {key: value}}));
    assert!(matches!(platform.sim.answer(asked).await, Answered::Reply(reply) if reply.status == 200));
}

fn at(stand: &Stand, revision: u64, values: &[(&str, &str)]) -> Release {
    with_secret(&release("web", revision, "a:1"), &stand.platform.vault.put(values))
}

async fn keep(stand: &Stand, releases: &[&Release]) {
    let releases: Vec<_> = releases.iter().map(|one| Arc::new((*one).clone())).collect();
    stand.runtime.keep(&app("web"), &releases).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn values_are_set_before_the_machine_and_are_in_none_of_its_words() {
    let stand = Stand::new(quick());
    let first = at(&stand, 1, &[("TOKEN", "hush-hush"), ("URL", "db://")]);
    stand.up(&first, 0).await;
    assert_eq!(kept(&stand.platform).await, "TOKEN=hush-hush URL=db://");
    stand.up(&first, 1).await;
    assert_eq!(stand.calls("Secrets_update"), 1, "what stands there is not set again");
    let written = std::fs::read_to_string(stand.folder.path().join("fly.json")).expect("it is written");
    assert!(written.contains("TOKEN") && !written.contains("hush-hush"), "{written}");
    let shown = stand.platform.sim.inventory().to_string();
    assert!(!shown.contains("hush-hush"), "{shown}");
}

/// A host may not have heard yet of what was set a moment ago: it is told which version to wait for.
#[tokio::test(start_paused = true)]
async fn a_machine_finds_the_values_that_were_set_just_before_though_hosts_hear_of_them_late() {
    let lag = Lag { secrets: Span::millis(60_000), ..Lag::default() };
    let stand = Stand::new(Scenario { lag, ..quick() });
    for (revision, value) in [(1, "old"), (2, "new")] {
        let one = stand.up(&at(&stand, revision, &[("TOKEN", value)]), 0).await;
        let command = ["printenv".to_owned()];
        let ran = stand.runtime.exec(&one.id, &command, Duration::from_secs(5)).await.expect("it runs");
        let found = ran.output.lines().find_map(|line| line.strip_prefix("TOKEN="));
        assert_eq!(found, Some(value), "{}", ran.output);
        tokio::time::sleep(Duration::from_secs(90)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_value_is_set_for_the_next_machine_and_that_of_then_for_one_of_then() {
    let stand = Stand::new(quick());
    let (old, new) =
        (at(&stand, 1, &[("TOKEN", "old"), ("SAME", "same")]), at(&stand, 2, &[("TOKEN", "new"), ("SAME", "same")]));
    let blue = stand.up(&old, 0).await;
    stand.up(&new, 0).await;
    assert_eq!(kept(&stand.platform).await, "SAME=same TOKEN=new");
    // The old one is started again, by a revert.
    assert_eq!(stand.apply(Stand::stop(&blue)).await, StepOutcome::Done);
    let down =
        stand.until("web-r1-0", "it is down", |one| matches!(one.phase, trueup_types::Phase::Exited { .. })).await;
    let start = trueup_types::InstanceStep::Start { id: down.id.clone(), ended: down.incarnation.clone() };
    assert_eq!(stand.apply(start).await, StepOutcome::Done);
    assert_eq!(kept(&stand.platform).await, "SAME=same TOKEN=old");
    // And one of then is made.
    stand.up(&new, 1).await;
    stand.up(&old, 1).await;
    assert_eq!(kept(&stand.platform).await, "SAME=same TOKEN=old");
    stand.platform.acquits();
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_has_set_since_is_put_right_and_what_was_never_ours_stays() {
    let stand = Stand::new(quick());
    let first = at(&stand, 1, &[("TOKEN", "ours")]);
    stand.up(&first, 0).await;
    set_by_hand(&stand.platform, "TOKEN", "theirs").await;
    set_by_hand(&stand.platform, "OTHER", "theirs").await;
    stand.up(&first, 1).await;
    assert_eq!(kept(&stand.platform).await, "OTHER=theirs TOKEN=ours");
    keep(&stand, &[]).await;
    assert_eq!(kept(&stand.platform).await, "OTHER=theirs");
}

#[tokio::test(start_paused = true)]
async fn what_no_kept_release_needs_is_unset_though_it_takes_several_tries() {
    let stand = Stand::new(quick());
    let (old, new) = (at(&stand, 1, &[("OLD", "a"), ("BOTH", "b")]), at(&stand, 2, &[("NEW", "c"), ("BOTH", "b")]));
    stand.up(&old, 0).await;
    stand.up(&new, 0).await;
    keep(&stand, &[&old, &new]).await;
    assert_eq!(kept(&stand.platform).await, "BOTH=b NEW=c OLD=a", "a rollback needs it");
    stand.platform.do_to(json!({"fault": {"operation": "Secrets_update", "fault": {"answers": {"status": 503}}}}));
    keep(&stand, &[&new]).await;
    stand.platform.do_to(json!({"noFaults": {}}));
    keep(&stand, &[&new]).await;
    assert_eq!(kept(&stand.platform).await, "BOTH=b NEW=c");
    // Who does not know what a release needs takes nothing away.
    stand.platform.vault.forget();
    keep(&stand, &[&new]).await;
    assert_eq!(kept(&stand.platform).await, "BOTH=b NEW=c");
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_says_it_did_not_and_did_makes_no_machine_without_its_secrets() {
    for fault in [
        Fault::CommitsThenAnswers(Said::status(502)),
        Fault::CommitsThenCut,
        Fault::CommitsThenHangs,
        Fault::Answers(Said::status(429)),
        Fault::Answers(Said::status(500)),
        Fault::Cut,
    ] {
        for operation in ["Secrets_update", "Secrets_list"] {
            let stand = Stand::new(Scenario { faults: vec![rule(operation, 3, fault.clone())], ..quick() });
            let first = at(&stand, 1, &[("TOKEN", "hush")]);
            let mut outcome = stand.create(&first, 0).await;
            for _ in 0..6 {
                if !outcome.settled() {
                    assert_eq!(stand.platform.machines().len(), 0, "{operation} {fault:?}: {outcome:?}");
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    outcome = stand.create(&first, 0).await;
                }
            }
            assert_eq!(outcome, StepOutcome::Done, "{operation} {fault:?}");
            stand.running("web-r1-0").await;
            assert_eq!(kept(&stand.platform).await, "TOKEN=hush", "{operation} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_has_forgotten_all_sets_them_again_and_unsets_them_one_day() {
    let mut stand = Stand::new(quick());
    let first = at(&stand, 1, &[("TOKEN", "hush")]);
    stand.up(&first, 0).await;
    stand.restarted(false);
    stand.up(&first, 1).await;
    assert_eq!(stand.calls("Secrets_update"), 1, "a daemon that remembers does not");
    stand.restarted(true);
    stand.survey().await;
    stand.up(&first, 2).await;
    assert_eq!(stand.calls("Secrets_update"), 2);
    keep(&stand, &[]).await;
    assert_eq!(kept(&stand.platform).await, "");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_given_is_refused_by_name_and_no_machine_is_made() {
    let stand = Stand::new(quick());
    let reserved = at(&stand, 1, &[("FLY_TOKEN", "hush")]);
    let outcome = stand.create(&reserved, 0).await;
    assert!(
        matches!(&outcome, StepOutcome::Refused { why: Refusal::NotServed(why) } if why.contains("FLY_TOKEN")),
        "{outcome:?}"
    );
    let gone = with_secret(&release("web", 2, "a:1"), "nobody keeps this");
    let outcome = stand.create(&gone, 0).await;
    assert!(
        matches!(&outcome, StepOutcome::Refused { why: Refusal::Invalid(why) } if why.contains("kept no more")),
        "{outcome:?}"
    );
    let mut own = at(&stand, 3, &[("COLOUR", "hush"), ("TRUEUP_APP", "forged"), ("TOKEN", "ours")]);
    own.template.env.insert("COLOUR".to_owned(), "green".to_owned());
    stand.up(&own, 0).await;
    assert_eq!(kept(&stand.platform).await, "TOKEN=ours", "what the manifest says wins, and nobody forges our names");
    assert_eq!(stand.platform.machines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_by_a_changed_value_reaches_each_machine_and_a_rollback_takes_that_of_then() {
    let bad = Behaviour { health: Health::Never, ..image("bad*") };
    let scene = Scene::new(Scenario { images: vec![bad], ..Scenario::default() }).await;
    let vault = Arc::clone(&scene.platform.vault);
    let mut web = sketch("web", "a:1");
    web.policy.healthy_deadline = Duration::from_secs(60);
    web.policy.progress_deadline = Duration::from_secs(120);
    scene.want_with(&web, &vault.put(&[("TOKEN", "one")]));
    scene.live("web", 1).await;
    assert_eq!(kept(&scene.platform).await, "TOKEN=one");
    scene.want_with(&web, &vault.put(&[("TOKEN", "two")]));
    scene.live("web", 2).await;
    assert_eq!(kept(&scene.platform).await, "TOKEN=two");
    // Taken back: what serves was never stopped, and the next of its machines finds its own value again.
    let served = scene.serving();
    let mut failing = web.clone();
    failing.template.image = Some("bad:1".to_owned());
    scene.want_with(&failing, &vault.put(&[("TOKEN", "three")]));
    scene.rejected("web", 3).await;
    assert_eq!(scene.serving(), served);
    web.replicas += 1;
    scene.want_with(&web, &vault.put(&[("TOKEN", "two")]));
    scene.until("one more serves", |scene| scene.serving().len() > served.len()).await;
    assert_eq!(kept(&scene.platform).await, "TOKEN=two");
}
