//! Checks, waiting, lists, logs, commands.

use serde_json::{Value, json};
use trueup_fly_sim::{Asked, Behaviour, Health, Lag, Latency, Ran, Scenario, Span, Token};

use crate::stand::{Court, Stand, behaving, image, service, unlimited, word};

fn statuses(machine: &Value) -> Vec<(String, String)> {
    let checks = machine["checks"].as_array().cloned().unwrap_or_default();
    checks.iter().map(|check| (word(check, "name").to_owned(), word(check, "status").to_owned())).collect()
}

pub async fn checks_are_empty_then_critical_then_passing(court: Court) {
    let stand = Stand::new(&court).await;
    let mut config = service("r/web:1");
    config["services"][0]["checks"][0]["grace_period"] = json!("10s");
    config["checks"] = json!({"ready": {"type": "tcp", "port": 9000, "kind": "readiness", "interval": "2s"}});
    let id = stand.started(&config).await;
    assert_eq!(stand.show(&id).await["checks"], json!([]), "nothing is known of what has just started");
    stand.advance(500);
    let both = |one: &str, two: &str| {
        vec![("servicecheck-00-http-8080".to_owned(), one.to_owned()), ("ready".to_owned(), two.to_owned())]
    };
    assert_eq!(statuses(&stand.show(&id).await), both("critical", "critical"));
    stand.advance(5_000);
    assert_eq!(statuses(&stand.show(&id).await), both("critical", "passing"));
    stand.advance(7_000);
    let machine = stand.show(&id).await;
    assert_eq!(statuses(&machine), both("passing", "passing"));
    let turned = word(&machine["checks"][0], "updated_at").to_owned();
    stand.advance(60_000);
    assert_eq!(word(&stand.show(&id).await["checks"][0], "updated_at"), turned, "it says when it last turned");
}

pub async fn checks_go_as_their_image_says(court: Court) {
    let health = |pattern: &str, health| Behaviour { health, ..image(pattern) };
    let images = vec![
        health("*:never", Health::Never),
        health("*:later", Health::PassesAfter(Span::millis(20_000))),
        health("*:worse", Health::FailsAfter(Span::millis(20_000))),
        health("*:flaps", Health::Flaps { up: Span::millis(10_000), down: Span::millis(10_000) }),
    ];
    let stand = Stand::with(&court, behaving(images)).await;
    for (tag, at_10, at_25, at_35) in [
        ("well", "passing", "passing", "passing"),
        ("never", "critical", "critical", "critical"),
        ("later", "critical", "passing", "passing"),
        ("worse", "passing", "critical", "critical"),
        ("flaps", "passing", "passing", "critical"),
    ] {
        let id = stand.started(&service(&format!("r/web:{tag}"))).await;
        for (wait, expected) in [(9_000, at_10), (16_000, at_25), (10_000, at_35)] {
            stand.advance(wait);
            assert_eq!(statuses(&stand.show(&id).await)[0].1, expected, "{tag} after {wait}");
        }
        let told = stand.do_to(&json!({"health": {"of": {"machine": id}, "goes": "never"}}));
        assert_eq!(told["machines"], json!([id]));
        stand.advance(3_000);
        assert_eq!(statuses(&stand.show(&id).await)[0].1, "critical", "whatever its image says");
    }
}

pub async fn wait_is_answered_when_the_state_is_reached_or_with_408(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.create(&json!({"config": {"image": "r/web:1"}})).await;
    let before = stand.now();
    let text = stand.wait(&id, "state=started&timeout=2").await.refused(408);
    assert_eq!(text, "deadline_exceeded: machine failed to reach desired state, started, currently created");
    assert_eq!(stand.now().since(before).as_secs(), 2);
    let said = stand.wait(&id, "").await.well();
    assert_eq!((&said["ok"], word(&said, "state")), (&json!(true), "started"));
    assert_eq!(said["version"], stand.show(&id).await["instance_id"]);
    let before = stand.now();
    stand.wait(&id, "state=suspended&timeout=600").await.refused(408);
    assert_eq!(stand.now().since(before).as_secs(), 60, "a minute at most");
    stand.wait(&id, "state=stopped").await.refused(400);
    stand.wait(&id, "version=01ARZ3NDEKTSV4RRFFQ69G5FAV").await.refused(400);
    let wrong = Asked::new("GET", &format!("/v1/apps/web/machines/{id}/wait?state=dancing"));
    stand.ask_wrongly(wrong).await.refused(400);
    let wrong = Asked::new("GET", &format!("/v1/apps/web/machines/{id}/wait?timeout=soon"));
    stand.ask_wrongly(wrong).await.refused(400);
    let event = word(&said, "event_id");
    stand.wait(&id, &format!("from_event_id={event}&timeout=1")).await.refused(408);
}

pub async fn wait_is_for_a_version_and_for_several_states(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    let said = stand.update(&id, &json!({"config": {"image": "r/web:2"}})).await.well();
    let version = word(&said, "instance_id");
    let reached = stand.wait(&id, &format!("state=started,stopped,failed&instance_id={version}")).await.well();
    assert_eq!(word(&reached, "state"), "stopped", "the glimpse between two versions is seen");
    let reached = stand.wait(&id, &format!("state=started&state=failed&version={version}")).await.well();
    assert_eq!(word(&reached, "state"), "started");
    stand.verb(&id, "stop").await.well();
    let reached = stand.wait(&id, "state=settled").await.well();
    assert_eq!(word(&reached, "state"), "stopped");
}

pub async fn lists_filter_and_lag(court: Court) {
    let lag = Lag { list: Span::millis(2_000), ..Lag::default() };
    let stand = Stand::with(&court, Scenario { lag, ..unlimited() }).await;
    let one = json!({"config": {"image": "r/web:1", "metadata": {"group": "a"}}, "region": "fra", "name": "one"});
    let id = stand.create(&one).await;
    stand.post("/v1/apps/web/machines", &one).await.refused(409);
    let list = "/v1/apps/web/machines";
    assert_eq!(stand.get(list).await.well(), json!([]), "it is not in the list yet");
    stand.advance(2_000);
    stand.create(&json!({"config": {"image": "r/web:1"}, "region": "iad", "skip_launch": true})).await;
    stand.advance(10_000);
    let ids =
        |list: Value| list.as_array().expect("a list").iter().map(|m| word(m, "id").to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(stand.get(list).await.well()).len(), 2);
    assert_eq!(ids(stand.get(&format!("{list}?region=fra")).await.well()), [id.as_str()]);
    assert_eq!(ids(stand.get(&format!("{list}?state=started,suspended")).await.well()), [id.as_str()]);
    assert_eq!(ids(stand.get(&format!("{list}?metadata.group=a")).await.well()), [id.as_str()]);
    let summary = stand.get(&format!("{list}?summary=true")).await.well();
    assert!(summary[0].get("config").is_none() && summary[0].get("events").is_none());
    stand.verb(&id, "stop").await.well();
    stand.advance(1_500);
    let listed = stand.get(&format!("{list}?region=fra")).await.well();
    assert_eq!((word(&listed[0], "state"), stand.state(&id).await.as_str()), ("started", "stopped"), "a list lags");
    let exits = |machine: &Value| {
        machine["events"].as_array().into_iter().flatten().filter(|event| event["type"] == "exit").count()
    };
    let shown = stand.get(&format!("{list}/{id}")).await.well();
    assert_eq!((exits(&listed[0]), exits(&shown)), (0, 1), "in all of its parts");
    assert!(word(&listed[0], "updated_at") < word(&shown, "updated_at"));
}

pub async fn the_organisations_list_is_paged_and_late(court: Court) {
    let stand = Stand::new(&court).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(stand.create(&json!({"config": {"image": "r/web:1", "metadata": {"k": "v"}}})).await);
        stand.advance(10);
    }
    let list = "/v1/orgs/personal/machines";
    assert_eq!(stand.get(list).await.well()["machines"], json!([]), "a second late");
    stand.advance(60_000);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stand.get(&format!("{list}?limit=2&cursor={cursor}")).await.well();
        let rows = page["machines"].as_array().expect("a list").clone();
        seen.extend(rows.iter().map(|row| word(row, "id").to_owned()));
        assert_eq!(page["last_machine_id"], rows.last().expect("a row")["id"]);
        cursor = word(&page, "next_cursor").to_owned();
        if cursor.is_empty() {
            break;
        }
    }
    made.sort();
    seen.sort();
    assert_eq!(seen, made, "each is seen once");
    let page = stand.get(list).await.well();
    assert_eq!(word(&page["machines"][0], "app_name"), "web");
    assert_eq!(page["machines"][0]["config"]["metadata"], json!({"k": "v"}));
    let from = word(&page, "last_updated_at").to_owned();
    stand.advance(5_000);
    stand.verb(&made[2], "stop").await.well();
    stand.advance(5_000);
    let page = stand.get(&format!("{list}?updated_after={from}")).await.well();
    assert_eq!(page["machines"].as_array().map(Vec::len), Some(1), "only what changed since");
    let none = stand.get(&format!("{list}?state=suspended&region=fra&summary=true&include_deleted=true")).await.well();
    assert_eq!(none["machines"], json!([]));
    stand.get(&format!("{list}?updated_after=soon")).await.refused(400);
    stand.get("/v1/orgs/nobody/machines").await.refused(404);
    let volume = json!({"name": "data", "region": "fra", "size_gb": 1});
    stand.post("/v1/apps/web/volumes", &volume).await.well();
    stand.advance(5_000);
    let volumes = stand.get("/v1/orgs/personal/volumes?region=fra").await.well();
    assert_eq!(word(&volumes["volumes"][0], "app_name"), "web");
}

pub async fn what_machines_write_is_read_page_by_page(court: Court) {
    let prints = (0..150).map(|line| format!("line {line}")).collect();
    let token = |token: &str, logs| Token { token: token.to_owned(), org: "personal".to_owned(), app: None, logs };
    let tokens = vec![token("fm2_abc", true), token("fm2_deaf", false)];
    let scenario = Scenario { tokens, ..behaving(vec![Behaviour { prints, ..image("*") }]) };
    let mut stand = Stand::with(&court, scenario).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    let (mut lines, mut next) = (Vec::new(), String::new());
    loop {
        let page = stand.get(&format!("/api/v1/apps/web/logs?next_token={next}&instance={id}")).await.well();
        let rows = page["data"].as_array().expect("a list").clone();
        if rows.is_empty() {
            break;
        }
        lines.extend(rows.iter().map(|row| word(&row["attributes"], "message").to_owned()));
        next = word(&page["meta"], "next_token").to_owned();
    }
    assert_eq!(lines.len(), 150);
    assert_eq!(lines[149], "line 149");
    let other = stand.get("/api/v1/apps/web/logs?instance=0123456789abcd").await.well();
    assert_eq!(other["data"], json!([]));
    stand.token = "Bearer fm2_deaf";
    stand.get("/api/v1/apps/web/logs").await.refused(403);
}

pub async fn commands_see_the_environment_of_the_start(court: Court) {
    let ran = Ran { command: "migrate".to_owned(), code: 3, stdout: String::new(), stderr: "no database\n".to_owned() };
    let scenario =
        Scenario { latency: Latency::default(), ..behaving(vec![Behaviour { exec: vec![ran], ..image("*") }]) };
    let stand = Stand::with(&court, scenario).await;
    let mut config = service("r/web:1");
    config["env"] = json!({"COLOUR": "blue"});
    config["init"] = json!({"cmd": ["serve", "--now"]});
    let id = stand.started(&config).await;
    let exec = format!("/v1/apps/web/machines/{id}/exec");
    let env = |said: Value| word(&said, "stdout").to_owned();
    stand.post("/v1/apps/web/secrets", &json!({"values": {"KEY": "s3cret"}})).await.well();
    let seen = env(stand.post(&exec, &json!({"command": ["printenv"]})).await.well());
    assert!(seen.contains("COLOUR=blue\n") && seen.contains("FLY_APP_NAME=web\n"), "{seen}");
    assert!(!seen.contains("s3cret"), "what runs does not see a secret that was set since");
    stand.verb(&id, "restart").await.well();
    stand.wait(&id, "state=started").await.well();
    let seen = env(stand.post(&exec, &json!({"cmd": "printenv"})).await.well());
    assert!(seen.contains("KEY=s3cret\n"), "{seen}");
    let said = stand.post(&exec, &json!({"command": ["migrate", "up"], "timeout": 5})).await.well();
    assert_eq!((&said["exit_code"], word(&said, "stderr")), (&json!(3), "no database\n"));
    stand.post(&exec, &json!({})).await.refused(400);
    let processes = stand.get(&format!("/v1/apps/web/machines/{id}/ps?sort_by=cpu&order=asc")).await.well();
    assert_eq!(word(&processes[0], "command"), "serve --now");
}
