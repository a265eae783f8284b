//! Images that bring a check of their own: a real engine asks it, and what it says is seen.

use std::time::Duration;

use trueup_seams::Inspect as _;
use trueup_types::Health;
use trueup_types::docker::{DockerSpec, Healthcheck};
use trueup_types::step::StepOutcome;

use crate::support::One;
use crate::support::engine::{Engine, engine};

/// Asks twice a second for a file; one bad answer is enough.
const CHECK: &str = "HEALTHCHECK%20--interval%3D500ms%20--timeout%3D5s%20--retries%3D1%20CMD%20test%20-e%20%2Ftmp%2Fwell%20||%20(echo%20not%20well%3B%20exit%201)";

/// Makes an image that brings the check.
fn make(engine: &Engine, name: &str) {
    let made = engine.ask("POST", "/containers/create", r#"{"Image": "trueup-test:v1", "Cmd": ["true"]}"#);
    let id = made["Id"].as_str().expect("an id").to_owned();
    let (repository, tag) = name.split_once(':').expect("a name with a tag");
    let path = format!("/commit?container={id}&repo={repository}&tag={tag}&changes={}", CHECK.replace('|', "%7C"));
    let _ = engine.ask("POST", &path, "");
    let _ = engine.ask("DELETE", &format!("/containers/{id}"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_image_asks_itself_is_seen_as_it_turns() {
    let Some(engine) = engine() else { return };
    make(engine, "checked:v1");
    let one = One::new(engine, "checked");
    let mut release = one.release("touch /tmp/well; exec sleep 600");
    release.template.image = Some("checked:v1".to_owned());
    assert_eq!(one.create(release.clone()).await, StepOutcome::Done);
    let seen = one.running().await;
    assert!(matches!(seen.healthcheck, Some(Health::Waiting | Health::Passing { .. })), "{seen:?}");
    one.until("it is well", |one| matches!(one.healthcheck, Some(Health::Passing { .. }))).await;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let run = |command: Vec<String>| {
        let one = &one;
        async move { one.runtime.exec(&one.id, &command, Duration::from_secs(10)).await.expect("it runs") }
    };
    assert_eq!(run(words(&["rm", "/tmp/well"])).await.code, Some(0));
    let ill = one.until("it is ill", |one| matches!(one.healthcheck, Some(Health::Failed { .. }))).await;
    let Some(Health::Failed { since, last }) = ill.healthcheck else { unreachable!("waited for") };
    assert!(last.at >= since && last.detail.contains("ended with 1") && last.body == "not well", "{last:?}");
    let again = one.seen().await.expect("it is there");
    let Some(Health::Failed { since: again, .. }) = again.healthcheck else { panic!("it is ill: {again:?}") };
    assert_eq!(again, since, "since when does not move");
    assert_eq!(run(words(&["touch", "/tmp/well"])).await.code, Some(0));
    one.until("it is well again", |one| matches!(one.healthcheck, Some(Health::Passing { .. }))).await;
    assert_eq!(one.stop(Duration::from_secs(1)).await, StepOutcome::Done);
    let ended = one.until("it has ended", |one| one.healthcheck.is_none()).await;
    assert!(!matches!(ended.phase, trueup_types::Phase::Running { .. }), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_no_check_or_it_is_off_nobody_says_anything() {
    let Some(engine) = engine() else { return };
    make(engine, "checked:v2");
    let off = One::with(engine, "unchecked", DockerSpec { healthcheck: Healthcheck::Off, ..DockerSpec::default() });
    let mut release = off.release("exec sleep 600");
    release.template.image = Some("checked:v2".to_owned());
    assert_eq!(off.create(release).await, StepOutcome::Done);
    let bare = One::started(engine, "bare", "exec sleep 600").await;
    for one in [&off, &bare] {
        assert_eq!(one.running().await.healthcheck, None);
        let state = engine.ask("GET", &format!("/containers/{}/json", one.container()), "");
        assert!(state["State"]["Health"].is_null(), "{state}");
    }
}
