//! What an engine is asked for each step and each look: no more than it must be.

use std::sync::Arc;
use std::time::Duration;

use trueup_seams::{Inspect as _, Runtime as _};
use trueup_types::InstanceId;
use trueup_types::docker::DockerSpec;
use trueup_types::observed::Phase;
use trueup_types::step::{InstanceStep, StepOutcome, TargetStep};
use trueup_types::template::Stop;

use crate::support::engine::counted::Counted;
use crate::support::engine::{Engine, engine};
use crate::support::{One, PATIENCE};

const FOREVER: &str = "exec sleep 600";
const LIST: &str = "GET /containers/json";
const LOOK: &str = "GET /containers/{}/json";
const IMAGE: &str = "GET /images/{}/json";
const CREATE: &str = "POST /containers/create";
const START: &str = "POST /containers/{}/start";
const STOP: &str = "POST /containers/{}/stop";

/// One on a socket that counts, of which a whole survey has been made.
async fn counted(engine: &'static Engine, owner: &str, settings: DockerSpec) -> (One, Counted) {
    let counted = Counted::before(engine, owner);
    let one = One::with(engine, owner, DockerSpec { host: Some(counted.host()), ..settings });
    assert_eq!(one.seen().await, None);
    let _ = counted.take();
    (one, counted)
}

fn id(name: &str) -> InstanceId {
    name.parse().expect("a name")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_is_asked_once_for_what_is_made_started_stopped_and_removed() {
    let Some(engine) = engine() else { return };
    let (one, counted) = counted(engine, "counted", DockerSpec::default()).await;
    let release = one.release(FOREVER);
    for made in ["web-r1-0", "web-r1-1"] {
        assert_eq!(one.create_as(&id(made), release.clone()).await, StepOutcome::Done);
        assert_eq!(counted.take(), [IMAGE, CREATE, START], "{made}");
    }

    // A look lists all, and looks closely at what is new; the next look is nearer to nothing.
    let seen = one.survey().await.expect("it is in sight");
    assert_eq!(counted.take(), [LIST, LOOK, LOOK]);
    assert_eq!(seen.len(), 2);
    let done = ["true".to_owned()];
    let answer = one.runtime.exec(&one.id, &done, Duration::from_secs(10)).await.expect("it runs");
    assert_eq!(answer.code, Some(0));
    let exec = ["POST /containers/{}/exec", "POST /exec/{}/start", "GET /exec/{}/json"];
    assert_eq!(counted.take(), exec);

    let incarnation = one.running().await.incarnation;
    let _ = counted.take();
    let stop = Stop { timeout: Duration::from_secs(5), ..Stop::default() };
    assert_eq!(one.apply(InstanceStep::Stop { id: one.id.clone(), incarnation, stop }).await, StepOutcome::Done);
    // An engine answers when it is down; nobody waits for that.
    let (mut asked, deadline) = (Vec::new(), tokio::time::Instant::now() + PATIENCE);
    while asked.last().is_none_or(|call| call != STOP) {
        asked.extend(counted.take());
        assert!(tokio::time::Instant::now() < deadline, "it is not stopped: {asked:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(asked, [LOOK, STOP]);

    one.exited().await;
    let gone = one.seen().await.expect("it is there");
    let _ = counted.take();
    let step = InstanceStep::Remove { id: one.id.clone(), incarnation: gone.incarnation };
    assert_eq!(one.apply(step).await, StepOutcome::Done);
    assert_eq!(counted.take(), [LOOK, "DELETE /containers/{}"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_is_looked_for_once_and_again_when_a_start_fails_for_it() {
    let Some(engine) = engine() else { return };
    let network = DockerSpec { network: Some("counted-net".parse().expect("a name")), ..DockerSpec::default() };
    let (one, counted) = counted(engine, "counted-net", network).await;
    let release = one.release(FOREVER);
    assert_eq!(one.create_as(&id("web-r1-0"), release.clone()).await, StepOutcome::Done);
    let asked = counted.take();
    assert_eq!(asked, [IMAGE, "GET /networks", "POST /networks/create", "GET /networks", CREATE, START]);
    assert_eq!(one.create_as(&id("web-r1-1"), release.clone()).await, StepOutcome::Done);
    assert_eq!(counted.take(), [IMAGE, CREATE, START], "it is there, as far as anybody knows");

    // Somebody takes the network away, with whoever is on it.
    for name in ["web-r1-0", "web-r1-1"] {
        let _ = engine.ask("DELETE", &format!("/containers/counted-net-{name}?force=1"), "");
    }
    let _ = engine.ask("DELETE", "/networks/counted-net", "");
    let third = id("web-r1-2");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let outcome = one.create_as(&third, release.clone()).await;
    assert!(matches!(outcome, StepOutcome::Retry { .. }), "{outcome:?}");
    loop {
        let seen = one.survey().await.expect("it is in sight").into_iter().find(|seen| seen.id == third);
        let outcome = match seen {
            Some(seen) if matches!(seen.phase, Phase::Running { .. }) => break,
            Some(seen) => one.apply(InstanceStep::Start { id: third.clone(), ended: seen.incarnation }).await,
            None => one.create_as(&third, release.clone()).await,
        };
        assert!(tokio::time::Instant::now() < deadline, "it is not started: {outcome:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _ = engine.api("DELETE", &format!("/containers/counted-net-{third}?force=1"), &[], b"");
    let _ = engine.api("DELETE", "/networks/counted-net", &[], b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_look_did_not_show_is_made_once_though_another_daemon_makes_it_too() {
    let Some(engine) = engine() else { return };
    let (one, counted) = counted(engine, "counted-twice", DockerSpec::default()).await;
    // Another daemon of the same owner, which has seen nothing either.
    let folder = tempfile::tempdir().expect("a folder");
    let other = crate::support::open(engine, folder.path(), "counted-twice", DockerSpec::default());
    let create = || InstanceStep::Create {
        id: one.id.clone(),
        place: trueup_types::Place::here(),
        release: Arc::new(one.release(FOREVER)),
    };
    assert_eq!(other.apply(&TargetStep::Instance(create())).await, StepOutcome::Done);
    assert_eq!(one.apply(create()).await, StepOutcome::AlreadyTrue);
    assert_eq!(counted.take(), [IMAGE, CREATE, LOOK, LIST, LOOK], "its name is taken: it is looked for then");
    assert_eq!(one.survey().await.expect("it is in sight").len(), 1);
    // One that has looked at nothing since its own step looks first.
    let _ = counted.take();
    assert_eq!(one.create(one.release(FOREVER)).await, StepOutcome::AlreadyTrue);
    assert_eq!(counted.take(), [LOOK]);
    assert_eq!(one.create(one.release(FOREVER)).await, StepOutcome::AlreadyTrue);
    assert_eq!(counted.take(), [LIST, LOOK]);
}
