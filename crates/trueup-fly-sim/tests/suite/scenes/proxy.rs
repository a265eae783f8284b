//! Who gets requests, and when nobody does.

use serde_json::json;
use trueup_fly_sim::{Asked, Latency, Met, Moment, Scenario, Span};

use crate::stand::{Court, Said, Stand, service, unlimited};

/// Longer than the last edge takes to hear.
const HEARD: u64 = 5_500;

async fn request(stand: &Stand, app: &str, edge: usize) -> Said {
    let asked =
        Asked::new("GET", "/").header("host", &format!("{app}.fly.dev")).header("x-sim-edge", &edge.to_string());
    stand.send(asked).await.expect("it is answered")
}

/// Two machines of version 1 that every edge knows.
async fn fleet(stand: &Stand) -> Vec<String> {
    let blue = vec![stand.started(&service("r/web:1")).await, stand.started(&service("r/web:1")).await];
    stand.advance(20_000);
    assert_eq!(stand.sim.traffic("web").last().expect("traffic").healthy, 2);
    blue
}

async fn greens(stand: &Stand) -> Vec<String> {
    let mut greens = Vec::new();
    for _ in 0..2 {
        let body = json!({"config": service("r/web:2"), "skip_service_registration": true});
        greens.push(stand.create(&body).await);
    }
    for green in &greens {
        stand.wait(green, "state=started").await.well();
    }
    stand.advance(10_000);
    greens
}

/// Uncordons the green, waits, cordons the blue, waits, stops the blue; gives when it began.
async fn switch(stand: &Stand, blue: &[String], green: &[String], patience: u64) -> Moment {
    let began = stand.now();
    for id in green {
        stand.verb(id, "uncordon").await.well();
    }
    stand.advance(patience);
    for id in blue {
        stand.verb(id, "cordon").await.well();
    }
    stand.advance(patience);
    for id in blue {
        stand.verb(id, "stop").await.well();
    }
    stand.advance(20_000);
    began
}

pub async fn a_patient_blue_green_never_leaves_nobody(court: Court) {
    let stand = Stand::new(&court).await;
    let (blue, green) = (fleet(&stand).await, greens(&stand).await);
    assert!(stand.sim.traffic("web").iter().all(|segment| segment.healthy <= 2), "the green are not registered yet");
    let began = switch(&stand, &blue, &green, HEARD).await;
    assert_eq!(stand.fewest("web", began), 2);
    let same = |pair: &[trueup_fly_sim::Traffic]| (pair[0].healthy, pair[0].blind) == (pair[1].healthy, pair[1].blind);
    assert!(!stand.sim.traffic("web").windows(2).any(same), "a segment lasts as long as nothing changes");
    let said = request(&stand, "web", 2).await;
    assert!(said.text.contains("r/web:2"), "{}", said.text);
}

pub async fn a_hasty_one_does(court: Court) {
    let stand = Stand::new(&court).await;
    let (blue, green) = (fleet(&stand).await, greens(&stand).await);
    let began = switch(&stand, &blue, &green, 1_000).await;
    assert_eq!(stand.fewest("web", began), 0, "the blue are stopped before the last edge knows the green");
    let blind = stand.sim.traffic("web").iter().any(|segment| segment.since > began && segment.blind > 0);
    assert!(blind, "requests are sent to machines that are stopped");
}

pub async fn an_update_in_place_leaves_nobody(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&service("r/web:1")).await;
    stand.advance(20_000);
    let began = stand.now();
    assert_eq!(stand.sim.traffic("web").last().expect("traffic").healthy, 1);
    stand.update(&id, &json!({"config": service("r/web:2")})).await.well();
    assert!(request(&stand, "web", 0).await.status >= 500);
    stand.advance(30_000);
    assert_eq!(stand.fewest("web", began), 0, "an update in place is no blue/green");
    assert_eq!(stand.sim.traffic("web").last().expect("traffic").healthy, 1);
}

pub async fn who_answers_is_asked_before_who_does_not(court: Court) {
    let stand = Stand::new(&court).await;
    let blue = fleet(&stand).await;
    stand.verb(&blue[0], "stop").await.well();
    // The last edge still believes in both.
    for _ in 0..4 {
        let said = request(&stand, "web", 2).await;
        assert!(said.status == 200 && said.text.starts_with(&blue[1]), "{}", said.text);
    }
    stand.verb(&blue[1], "stop").await.well();
    assert_eq!(request(&stand, "web", 2).await.status, 502, "it is sent to one that is stopped");
}

pub async fn a_revert_puts_the_old_back_without_a_gap(court: Court) {
    let stand = Stand::new(&court).await;
    let (blue, green) = (fleet(&stand).await, greens(&stand).await);
    let began = stand.now();
    for id in &green {
        stand.verb(id, "uncordon").await.well();
    }
    stand.advance(HEARD);
    for id in &blue {
        stand.verb(id, "cordon").await.well();
    }
    stand.advance(30_000);
    // The green turn out bad; the blue were only cordoned.
    for id in &blue {
        stand.verb(id, "uncordon").await.well();
    }
    stand.advance(HEARD);
    for id in &green {
        stand.delete(&format!("/v1/apps/web/machines/{id}?force=true")).await.well();
    }
    stand.advance(30_000);
    assert_eq!(stand.fewest("web", began), 2);
    for id in &blue {
        let starts = stand.events(id).await.iter().filter(|event| *event == "start/started").count();
        assert_eq!(starts, 1, "a revert starts no blue again");
    }
}

pub async fn failing_checks_take_a_machine_out_and_never_restart_it(court: Court) {
    let stand = Stand::new(&court).await;
    let mut blue = fleet(&stand).await;
    let bad = blue.remove(0);
    stand.do_to(&json!({"health": {"of": {"machine": bad}, "goes": "never"}}));
    stand.advance(120_000);
    assert_eq!(stand.sim.traffic("web").last().map(|segment| (segment.healthy, segment.blind)), Some((1, 0)));
    assert_eq!(stand.state(&bad).await, "started");
    let events = stand.events(&bad).await;
    assert!(!events.iter().any(|event| event.starts_with("exit") || event.starts_with("restart")), "{events:?}");
}

pub async fn requests_wake_what_sleeps(court: Court) {
    let latency = Latency { idle: Some(Span::millis(60_000)), ..Latency::default() };
    let stand = Stand::with(&court, Scenario { latency, ..unlimited() }).await;
    let mut config = service("r/web:1");
    config["services"][0]["autostop"] = json!("stop");
    config["services"][0]["autostart"] = json!(true);
    config["services"][0]["min_machines_running"] = json!(1);
    let ids = [stand.started(&config).await, stand.started(&config).await];
    stand.advance(50_000);
    assert_eq!(request(&stand, "web", 0).await.status, 200);
    stand.advance(200_000);
    let mut states = vec![stand.state(&ids[0]).await, stand.state(&ids[1]).await];
    states.sort();
    assert_eq!(states, ["started", "stopped"], "one runs at least");
    for id in &ids {
        stand.verb(id, "stop").await.well();
    }
    stand.advance(20_000);
    let said = request(&stand, "web", 0).await;
    assert_eq!(said.status, 200, "it is woken, and answers: {}", said.text);
    assert!(stand.sim.carry_out(trueup_fly_sim::Deed::Request { app: "web".to_owned() })["met"].is_string());
}

pub async fn nobody_is_reached_without_an_address(court: Court) {
    let stand = Stand::bare(&court, unlimited());
    stand.do_to(&json!({"app": {"name": "web"}}));
    stand.started(&service("r/web:1")).await;
    stand.advance(20_000);
    let said = request(&stand, "web", 0).await;
    assert_eq!((said.status, said.text.as_str()), (503, "the app has no address\n"));
    let met = stand.do_to(&json!({"request": {"app": "web"}}));
    assert_eq!(met["met"], format!("{:?}", Met::NoAddress));
    stand.post("/v1/apps/web/ip_assignments", &json!({"type": "shared_v4"})).await.well();
    assert_eq!(request(&stand, "web", 0).await.status, 200);
    assert_eq!(request(&stand, "nobody", 0).await.status, 503);
}
