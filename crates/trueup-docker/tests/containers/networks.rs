//! Apps of one network find each other, and a network is there once.

use std::time::Duration;

use trueup_seams::{Inspect as _, LogQuery};
use trueup_types::InstanceId;
use trueup_types::docker::DockerSpec;
use trueup_types::step::{InstanceStep, StepOutcome};
use trueup_types::template::Stop;

use crate::support::engine::engine;
use crate::support::{One, PATIENCE, release};

const FOREVER: &str = "exec sleep 600";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apps_of_a_network_find_each_other_by_name_and_it_goes_with_the_last_of_them() {
    let Some(engine) = engine() else { return };
    let network = DockerSpec { network: Some("shared-net".parse().expect("a name")), ..DockerSpec::default() };
    let one = One::with(engine, "networked", network);
    assert_eq!(one.create(one.release(FOREVER)).await, StepOutcome::Done);
    let client: InstanceId = "client-r1-0".parse().expect("a name");
    let script = "until nslookup web 127.0.0.11 | grep -q 198.19; do sleep 0.1; done; echo found; exec sleep 600";
    let made = release(&client.app, client.revision, script);
    assert_eq!(one.create_as(&client, made).await, StepOutcome::Done);
    let query = LogQuery { instance: client.clone(), ..one.query() };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while one.runtime.logs(&query).await.expect("a log").iter().all(|line| line.text != "found") {
        assert!(tokio::time::Instant::now() < deadline, "the other app is not found by its name");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let there = || engine.api("GET", "/networks/shared-net", &[], b"").0;
    for id in [client, one.id.clone()] {
        assert_eq!(there(), 200);
        let seen = one.survey().await.expect("in sight").into_iter().find(|seen| seen.id == id).expect("it is there");
        let (incarnation, stop) = (seen.incarnation, Stop { timeout: Duration::from_secs(1), ..Stop::default() });
        let _ = one.apply(InstanceStep::Stop { id: id.clone(), incarnation: incarnation.clone(), stop }).await;
        let gone = InstanceStep::Remove { id, incarnation };
        while one.apply(gone.clone()).await != StepOutcome::Done {
            assert!(tokio::time::Instant::now() < deadline, "it does not go");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(there(), 404, "nobody is left on it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apps_that_begin_at_one_moment_make_one_network_and_two_of_one_name_are_put_right() {
    let Some(engine) = engine() else { return };
    let network = DockerSpec { network: Some("begun-at-once".parse().expect("a name")), ..DockerSpec::default() };
    let one = One::with(engine, "at-once", network);
    // What another daemon of ours made at the same moment.
    for _ in 0..2 {
        let labels = r#"{"dev.trueup.owner": "at-once", "dev.trueup.target": "here", "dev.trueup.version": "1"}"#;
        let body = format!(r#"{{"Name": "begun-at-once", "Labels": {labels}}}"#);
        let _ = engine.ask("POST", "/networks/create", &body);
    }
    let ids: Vec<InstanceId> = (0..4).map(|at| format!("web-r1-{at}").parse().expect("a name")).collect();
    let made = ids.iter().map(|id| one.create_as(id, one.release(FOREVER)));
    for outcome in futures_util::future::join_all(made).await {
        assert_eq!(outcome, StepOutcome::Done);
    }
    let there = engine.ask("GET", "/networks?filters=%7B%22name%22%3A%5B%22begun-at-once%22%5D%7D", "");
    assert_eq!(there.as_array().map(Vec::len), Some(1), "{there}");
}
