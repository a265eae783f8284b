//! The platform on a socket: what only a socket shows.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use trueup_fly_sim::{Fault, FlySim, Machines, Pace, Rule, Scenario, serve};

use crate::stand::{Court, unlimited};

/// A platform on a socket, where it is, and who hears what crosses it.
async fn platform(scenario: Scenario, pace: Pace) -> (Arc<FlySim>, String, Court) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let court = Court::open();
    let sim = Arc::new(FlySim::new(scenario, pace).tapped(court.tap()));
    tokio::spawn(serve(listener, Arc::clone(&sim), Machines::Model));
    (sim, base, court)
}

async fn post(url: &str, body: &Value) -> reqwest::Result<reqwest::Response> {
    reqwest::Client::new().post(url).bearer_auth("any").json(body).send().await
}

#[tokio::test]
async fn requests_are_answered_over_a_socket_and_time_flows() {
    let scenario = serde_json::from_value(json!({"latency": {"pull": "60s", "boot": "5s"}})).expect("a scenario");
    let (_, base, court) = platform(scenario, Pace::Flowing { speed: 1_000.0 }).await;
    let made =
        post(&format!("{base}/v1/apps"), &json!({"name": "web", "org_slug": "personal"})).await.expect("an answer");
    assert_eq!(made.status(), 201);
    let id = made.headers().get("fly-request-id").expect("it is named").to_str().expect("it is text").to_owned();
    assert!(id.ends_with("-iad") && id.len() == 30, "{id}");
    let made =
        post(&format!("{base}/v1/apps/web/machines"), &json!({"config": {"image": "a"}})).await.expect("an answer");
    let machine: Value = made.json().await.expect("JSON");
    let wait = format!("{base}/v1/apps/web/machines/{}/wait?timeout=60", machine["id"].as_str().expect("an id"));
    let mut reached = false;
    for _ in 0..10 {
        let said = reqwest::Client::new().get(&wait).bearer_auth("any").send().await.expect("an answer");
        reached |= said.status() == 200;
    }
    assert!(reached, "a minute and more passes in a tenth of a second");
    let shown: Value = reqwest::get(format!("{base}/_sim")).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(shown["apps"][0]["machines"][0]["state"], "started");
    court.acquits();
}

#[tokio::test]
async fn a_connection_can_be_cut_after_all_was_done() {
    let rule = |fault| Rule {
        operation: "Apps_create".to_owned(),
        app: None,
        machine: None,
        times: Some(1),
        skip: 0,
        permille: 1_000,
        fault,
    };
    let scenario = Scenario { faults: vec![rule(Fault::Cut), rule(Fault::CommitsThenCut)], ..unlimited() };
    let (_, base, court) = platform(scenario, Pace::ByHand).await;
    let url = format!("{base}/v1/apps");
    post(&url, &json!({"name": "one", "org_slug": "personal"})).await.expect_err("it is cut");
    post(&url, &json!({"name": "two", "org_slug": "personal"})).await.expect_err("it is cut");
    let one = post(&url, &json!({"name": "one", "org_slug": "personal"})).await.expect("an answer");
    let two = post(&url, &json!({"name": "two", "org_slug": "personal"})).await.expect("an answer");
    assert_eq!(
        (one.status().as_u16(), two.status().as_u16()),
        (201, 422),
        "the second was made though nobody was told"
    );
    court.acquits();
}

#[tokio::test]
async fn the_simulation_is_told_what_to_do_over_http() {
    let (sim, base, court) = platform(unlimited(), Pace::ByHand).await;
    let say = |path: &'static str, body: Value| {
        let url = format!("{base}/_sim/{path}");
        async move { reqwest::Client::new().post(url).json(&body).send().await.expect("an answer") }
    };
    let before = sim.now();
    assert_eq!(say("clock", json!({"by": "90s"})).await.status(), 200);
    assert_eq!(sim.now().since(before), Duration::from_secs(90));
    let deeds = json!([{"app": {"name": "web"}}, {"fault": {"operation": "Apps_show", "times": 1, "fault": {"answers": {"status": 503}}}}]);
    assert_eq!(say("deeds", deeds).await.status(), 200);
    let get = || reqwest::Client::new().get(format!("{base}/v1/apps/web")).bearer_auth("any").send();
    assert_eq!(get().await.expect("an answer").status(), 503);
    assert_eq!(get().await.expect("an answer").status(), 200);
    assert_eq!(say("deeds", json!({"dance": {}})).await.status(), 400);
    assert_eq!(say("clock", json!({})).await.status(), 400);
    assert_eq!(say("nothing", json!({})).await.status(), 404);
    let calls: Value = reqwest::get(format!("{base}/_sim/calls")).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(calls["Apps_show"], 2);
    for path in ["clock", "traffic/web"] {
        assert_eq!(reqwest::get(format!("{base}/_sim/{path}")).await.expect("an answer").status(), 200);
    }
    court.acquits();
}

#[tokio::test]
async fn several_wait_at_once_and_each_is_answered() {
    let (sim, base, court) = platform(unlimited(), Pace::ByHand).await;
    post(&format!("{base}/v1/apps"), &json!({"name": "web", "org_slug": "personal"})).await.expect("an answer");
    let made =
        post(&format!("{base}/v1/apps/web/machines"), &json!({"config": {"image": "a"}})).await.expect("an answer");
    let machine: Value = made.json().await.expect("JSON");
    let wait = format!("{base}/v1/apps/web/machines/{}/wait?state=", machine["id"].as_str().expect("an id"));
    let ask = |state: &str| {
        let url = format!("{wait}{state}");
        async move { reqwest::Client::new().get(url).bearer_auth("any").send().await.expect("an answer").status() }
    };
    let both = async { tokio::join!(ask("started"), ask("suspended")) };
    tokio::pin!(both);
    let (started, suspended) = loop {
        // However late the two come in: the clock goes on until both are answered.
        sim.advance(Duration::from_secs(1));
        tokio::select! {
            answered = &mut both => break answered,
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    };
    assert_eq!((started.as_u16(), suspended.as_u16()), (200, 408));
    court.acquits();
}
