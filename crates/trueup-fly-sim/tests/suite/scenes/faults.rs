//! What goes wrong, knob by knob.

use serde_json::{Value, json};
use trueup_fly_sim::{
    Asked, Deed, Edges, Fault, Habits, Host, Lag, Limits, Planned, Room, Rule, Said, Scenario, Span, Verb, Which,
};

use crate::stand::{Court, Stand, at_once, of, service, unlimited, word};

fn rule(on: &str, fault: Fault) -> Rule {
    Rule { operation: on.to_owned(), app: None, machine: None, times: Some(1), skip: 0, permille: 1_000, fault }
}

fn faulty(rules: Vec<Rule>) -> Scenario {
    Scenario { faults: rules, ..unlimited() }
}

pub async fn too_many_calls_of_a_kind_are_refused(court: Court) {
    let stand = Stand::with(&court, Scenario::default()).await;
    let create = json!({"config": {"image": "r/web:1"}, "skip_launch": true});
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(stand.create(&create).await);
    }
    let refused = stand.post("/v1/apps/web/machines", &create).await;
    assert_eq!((refused.status, refused.text.as_str()), (429, "rate limit exceeded\n"), "plain text, after three");
    stand.advance(999);
    stand.post("/v1/apps/web/machines", &create).await.refused(429);
    stand.advance(1);
    ids.push(stand.create(&create).await);
    let path = |id: &str| format!("/v1/apps/web/machines/{id}");
    for _ in 0..10 {
        stand.get(&path(&ids[0])).await.well();
    }
    stand.get(&path(&ids[0])).await.refused(429);
    stand.get(&path(&ids[1])).await.well();
    stand.advance(200);
    stand.get(&path(&ids[0])).await.well();
    stand.get(&path(&ids[0])).await.refused(429);
    assert_eq!(stand.sim.calls()["Machines_create"], 6, "refused ones are counted too");

    let limits = Limits { retry_after: Some(2), ..Limits::default() };
    let habits = Habits { limit_json: true, ..Habits::default() };
    let stand = Stand::with(&court, Scenario { limits, habits, ..Scenario::default() }).await;
    for _ in 0..3 {
        stand.get("/v1/apps/web/machines").await.well();
    }
    let refused = stand.get("/v1/apps/web/machines").await;
    assert!(refused.headers.contains(&("retry-after", "2".to_owned())), "{:?}", refused.headers);
    assert_eq!(refused.refused(429), "rate limit exceeded");
    for number in 0..101 {
        stand.do_to(&json!({"app": {"name": format!("a{number}")}}));
    }
    for number in 0..100 {
        stand.delete(&format!("/v1/apps/a{number}")).await.well();
    }
    stand.delete("/v1/apps/a100").await.refused(429);
}

pub async fn a_create_may_succeed_and_say_that_it_did_not(court: Court) {
    let rules = vec![
        rule("Machines_create", Fault::CommitsThenAnswers(Said::status(408))),
        rule("Machines_create", Fault::CommitsThenCut),
        rule("Machines_create", Fault::CommitsThenHangs),
        rule("Machines_create", Fault::Cut),
    ];
    let stand = Stand::with(&court, faulty(rules)).await;
    let create = |op: &str| {
        let config = json!({"image": "r/web:1", "metadata": {"op": op}});
        Asked::new("POST", "/v1/apps/web/machines").json(&json!({"config": config}))
    };
    let text = stand.ask(create("1")).await.refused(408);
    assert!(text.starts_with("deadline_exceeded: "), "{text}");
    assert!(stand.send(create("2")).await.is_none(), "cut");
    assert!(stand.send(create("3")).await.is_none(), "never answered");
    assert!(stand.send(create("4")).await.is_none(), "cut before anything was done");
    stand.ask(create("5")).await.well();
    for (op, made) in [("1", 1), ("2", 1), ("3", 1), ("4", 0), ("5", 1)] {
        let found = stand.get(&format!("/v1/apps/web/machines?metadata.op={op}")).await.well();
        assert_eq!(found.as_array().map(Vec::len), Some(made), "{op}");
    }
}

pub async fn answers_may_be_wrong_late_or_never(court: Court) {
    let bad_gateway = Said { text: Some("<html>bad gateway</html>".to_owned()), ..Said::status(502) };
    let busy = Said { retry_after: Some(3), error: Some("slow down".to_owned()), ..Said::status(429) };
    let rules = vec![
        Rule { skip: 1, times: Some(2), ..rule("Apps_show", Fault::Answers(bad_gateway)) },
        rule("Apps_list", Fault::Answers(busy)),
        rule("Machines_list", Fault::Delays(Span::millis(7_000))),
        rule("Machines_wait", Fault::Delays(Span::millis(2_500))),
        rule("Secrets_*", Fault::Hangs),
        rule("Secrets_*", Fault::CommitsThenDelays(Span::millis(9_000))),
        Rule { app: Some("other".to_owned()), times: None, ..rule("*", Fault::Cut) },
        Rule { permille: 0, times: None, ..rule("*", Fault::Cut) },
    ];
    let stand = Stand::with(&court, faulty(rules)).await;
    stand.get("/v1/apps/web").await.well();
    for _ in 0..2 {
        assert_eq!(stand.get("/v1/apps/web").await.refused(502), "<html>bad gateway</html>");
    }
    stand.get("/v1/apps/web").await.well();
    let said = stand.get("/v1/apps?org_slug=personal").await;
    assert!(said.headers.contains(&("retry-after", "3".to_owned())));
    assert_eq!(said.refused(429), "slow down");
    let before = stand.now();
    stand.get("/v1/apps/web/machines").await.well();
    assert_eq!(stand.now().since(before).as_secs(), 7);
    let id = stand.create(&json!({"config": {"image": "r/web:1"}, "skip_launch": true})).await;
    let before = stand.now();
    stand.wait(&id, "state=started&timeout=1").await.refused(408);
    assert_eq!(stand.now().since(before).as_millis(), 3_500, "a wait begins when it is let in");
    assert!(stand.send(Asked::new("GET", "/v1/apps/web/secrets")).await.is_none());
    let before = stand.now();
    stand.post("/v1/apps/web/secrets", &json!({"values": {"A": "1"}})).await.well();
    assert_eq!(stand.now().since(before).as_secs(), 9);
    assert!(stand.send(Asked::new("GET", "/v1/apps/other")).await.is_none());
    stand.do_to(&json!({"fault": {"operation": "Apps_show", "fault": {"answers": {"status": 500}}}}));
    stand.get("/v1/apps/web").await.refused(500);
    stand.do_to(&json!({"noFaults": {}}));
    stand.get("/v1/apps/web").await.well();
}

pub async fn what_was_just_made_may_not_be_found_yet(court: Court) {
    let lag = Lag { machine: Span::millis(800), app: Span::millis(300), ..Lag::default() };
    let stand = Stand::bare(&court, Scenario { lag, ..unlimited() });
    stand.post("/v1/apps", &json!({"name": "web", "org_slug": "personal"})).await.well();
    stand.get("/v1/apps/web").await.refused(404);
    stand.advance(300);
    let id = stand.create(&json!({"config": {"image": "r/web:1"}})).await;
    stand.get(&format!("/v1/apps/web/machines/{id}")).await.refused(404);
    stand.wait(&id, "").await.refused(404);
    let list = stand.get("/v1/apps/web/machines").await.well();
    assert_eq!(word(&list[0], "id"), id, "the list may know it before");
    stand.do_to(&json!({"lag": {"list": "100ms"}}));
    let volume = stand.post("/v1/apps/web/volumes", &json!({"name": "data"})).await.well();
    assert_eq!(stand.get("/v1/apps/web/volumes").await.well(), json!([]), "made, and not listed yet");
    stand.advance(200);
    stand.delete(&format!("/v1/apps/web/volumes/{}", word(&volume, "id"))).await.well();
    assert_eq!(
        word(&stand.get("/v1/apps/web/volumes").await.well()[0], "state"),
        "created",
        "deleted, and still listed"
    );
    stand.get(&format!("/v1/apps/web/volumes/{}", word(&volume, "id"))).await.refused(404);
    stand.advance(800);
    assert_eq!(stand.state(&id).await, "created", "what a deed does not name stays as it is");
    stand.advance(2_200);
    assert_eq!(stand.get("/v1/apps/web/volumes").await.well(), json!([]));
    stand.do_to(&json!({"habits": {"newAppStatus": 401}}));
    stand.post("/v1/apps", &json!({"name": "second", "org_slug": "personal"})).await.well();
    stand.get("/v1/apps/second").await.refused(401);
    stand.do_to(&json!({"lag": {"machine": "0"}}));
    let id = stand.create(&json!({"config": {"image": "r/web:1"}})).await;
    assert_eq!(stand.state(&id).await, "created");
}

pub async fn an_unreachable_host_hides_its_machines(court: Court) {
    let stand = Stand::new(&court).await;
    let mut config = service("r/web:1");
    config["metadata"] = json!({"trueup_app": "web"});
    let id = stand.started(&config).await;
    stand.advance(20_000);
    stand.sim.carry_out(Deed::Host { of: of(&id), status: Host::Unreachable });
    let machine = stand.show(&id).await;
    assert_eq!((word(&machine, "host_status"), &machine["config"]), ("unreachable", &Value::Null));
    assert_eq!(machine["incomplete_config"]["metadata"], json!({"trueup_app": "web"}));
    assert_eq!(machine["image_ref"], json!({}));
    for verb in ["stop", "cordon", "start"] {
        stand.verb(&id, verb).await.refused(503);
    }
    stand.post(&format!("/v1/apps/web/machines/{id}/lease"), &json!({"ttl": 5})).await.refused(503);
    stand.ask(Asked::new("DELETE", &format!("/v1/apps/web/machines/{id}/lease"))).await.refused(503);
    stand.post(&format!("/v1/apps/web/machines/{id}/exec"), &json!({"command": ["ls"]})).await.refused(503);
    stand.wait(&id, "timeout=1").await.refused(408);
    let org = stand.get("/v1/orgs/personal/machines").await.well();
    assert_eq!(org["error_regions"], json!(["iad"]));
    assert_eq!(stand.sim.traffic("web").last().map(|segment| segment.healthy), Some(0));
    stand.delete(&format!("/v1/apps/web/machines/{id}")).await.refused(503);
    stand.delete(&format!("/v1/apps/web/machines/{id}?force=true")).await.well();
    let other = stand.started(&service("r/web:1")).await;
    stand.do_to(&json!({"host": {"of": {"app": "web"}, "status": "unknown"}}));
    assert_eq!(word(&stand.show(&other).await, "host_status"), "unknown");
    stand.do_to(&json!({"host": {"of": {"app": "web"}, "status": "ok"}}));
    assert_eq!(word(&stand.show(&other).await["config"], "image"), "r/web:1");
}

pub async fn a_full_region_takes_nothing(court: Court) {
    let stand = Stand::new(&court).await;
    let volume = stand.post("/v1/apps/web/volumes", &json!({"name": "data", "region": "fra"})).await.well();
    let plain = json!({"config": {"image": "r/web:1"}, "region": "fra"});
    let mounts = json!([{"volume": word(&volume, "id"), "path": "/data"}]);
    let with_volume = json!({"config": {"image": "r/web:1", "mounts": mounts}, "region": "fra"});
    stand.sim.carry_out(Deed::Room { region: "fra".to_owned(), is: Room::Nothing });
    let refused = stand.post("/v1/apps/web/machines", &plain).await;
    assert_eq!((refused.status, word(&refused.json, "status")), (412, "insufficient_capacity"));
    assert!(refused.text.contains("could not reserve resource for machine: insufficient CPUs"));
    let text = stand.post("/v1/apps/web/machines", &with_volume).await.refused(412);
    assert!(text.starts_with("insufficient resources to create new machine with existing volume 'vol_"), "{text}");
    let wanted = json!({"org_slug": "personal", "region": "fra,iad", "count": 3});
    let placed = stand.post("/v1/platform/placements", &wanted).await.well();
    assert_eq!(placed["Regions"], json!([{"Region": "iad", "Count": 3, "Concurrency": 1}]));
    stand.do_to(&json!({"room": {"region": "fra", "is": "noVolumes"}}));
    stand.create(&plain).await;
    stand.post("/v1/apps/web/machines", &with_volume).await.refused(412);
    stand.do_to(&json!({"room": {"region": "fra", "is": "enough"}}));
    stand.create(&with_volume).await;
}

pub async fn somebody_else_may_hold_the_lease(court: Court) {
    let habits = Habits { leased_status: 412, ..Habits::default() };
    for (habits, status) in [(Habits::default(), 409), (habits, 412)] {
        let stand = Stand::with(&court, Scenario { habits, ..unlimited() }).await;
        let id = stand.started(&json!({"image": "r/web:1"})).await;
        stand.sim.carry_out(Deed::Lease { of: of(&id), ttl: Span::millis(20_000), owner: "a-person".to_owned() });
        let text = stand.verb(&id, "stop").await.refused(status);
        assert!(text.contains("currently held by a-person"), "{text}");
        stand.advance(20_000);
        stand.verb(&id, "stop").await.well();
    }
}

pub async fn the_proxy_may_stop_a_machine_in_the_middle_of_a_wait(court: Court) {
    let deed = Deed::Autostop { of: Which { state: Some("started".to_owned()), ..Which::default() } };
    let timeline = vec![Planned { after: Span::millis(9_500), deed }];
    let stand = Stand::with(&court, Scenario { timeline, ..unlimited() }).await;
    let mut config = service("r/web:1");
    config["services"][0]["autostop"] = json!("suspend");
    let id = stand.started(&config).await;
    stand.wait(&id, "state=stopped,suspended").await.well();
    assert_eq!(stand.state(&id).await, "suspended");
    let events = stand.get(&format!("/v1/apps/web/machines/{id}/events?limit=2")).await.well();
    assert_eq!(word(&events[1], "source"), "proxy", "{events}");
}

pub async fn machines_change_behind_everybodys_back(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&service("r/web:1")).await;
    let version = word(&stand.show(&id).await, "instance_id").to_owned();
    stand.do_to(&json!({"edit": {"of": {"machine": id}, "config": {"env": {"LEVEL": "debug"}}}}));
    stand.wait(&id, "state=started").await.well();
    let machine = stand.show(&id).await;
    assert_ne!(word(&machine, "instance_id"), version);
    assert_eq!(machine["config"]["env"], json!({"LEVEL": "debug"}));
    assert_eq!(word(&machine["config"], "image"), "r/web:1");
    stand.sim.carry_out(Deed::Act { of: of(&id), verb: Verb::Cordon });
    assert_eq!(stand.show(&id).await["cordoned"], true);
    stand.sim.carry_out(Deed::Act { of: of(&id), verb: Verb::Uncordon });
    stand.sim.carry_out(Deed::Act { of: of(&id), verb: Verb::Stop });
    stand.wait(&id, "state=settled").await.well();
    stand.advance(1_000);
    stand.sim.carry_out(Deed::Act { of: of(&id), verb: Verb::Start });
    stand.wait(&id, "state=started").await.well();
    stand.do_to(&json!({"exit": {"of": {"app": "web"}, "code": 9, "oom": true}}));
    assert_eq!(stand.state(&id).await, "starting");
    stand.sim.carry_out(Deed::Act { of: of(&id), verb: Verb::Destroy });
    stand.wait(&id, "state=destroyed").await.well();
}

pub async fn a_timeline_happens_by_itself(court: Court) {
    let text = r#"{
        "seed": 7,
        "regions": ["fra", "iad"],
        "edges": ["0", "2s"],
        "latency": {"pull": "10s"},
        "first": [{"app": {"name": "web"}}],
        "timeline": [
            {"after": "20s", "do": {"room": {"region": "fra", "is": "nothing"}}},
            {"after": "30s", "do": {"latency": {"pull": "1s"}}},
            {"after": "30s", "do": {"limits": {"enforced": false}}},
            {"after": "30s", "do": {"habits": {"leasedStatus": 412}}}
        ],
        "images": [{"image": "*:bad", "health": {"failsAfter": "5s"}, "exits": {"after": "1s", "code": 2, "times": 1}}]
    }"#;
    let scenario: Scenario = serde_json::from_str(text).expect("it is a scenario");
    assert_eq!(scenario.edges.0, Edges(vec![Span::default(), Span::millis(2_000)]).0);
    let stand = Stand::bare(&court, scenario);
    let id = stand.create(&json!({"config": {"image": "r/web:1"}})).await;
    assert_eq!(word(&stand.show(&id).await, "region"), "fra", "the first region is the default");
    stand.advance(9_999);
    assert_eq!(stand.state(&id).await, "created");
    stand.advance(20_001);
    stand.post("/v1/apps/web/machines", &json!({"config": {"image": "r/web:1"}})).await.refused(412);
    let id = stand.create(&json!({"config": {"image": "r/web:1"}, "region": "iad"})).await;
    stand.advance(1_000);
    assert_eq!(stand.state(&id).await, "starting");
    let wrong: Result<Scenario, _> = serde_json::from_str(r#"{"latencies": {}}"#);
    assert!(wrong.is_err(), "a word that nobody knows is no scenario");
}

pub async fn a_run_can_be_made_again(court: Court) {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let scenario = Scenario { seed: 11, edges: at_once(), ..unlimited() };
        let stand = Stand::with(&court, scenario).await;
        let id = stand.started(&service("r/web:1")).await;
        stand.update(&id, &json!({"config": service("r/web:2")})).await.well();
        stand.advance(30_000);
        runs.push(stand.show(&id).await.to_string());
    }
    assert_eq!(runs[0], runs[1]);
}
