//! Updates in place, configs and metadata.

use serde_json::{Value, json};
use trueup_fly_sim::{Asked, Habits, Scenario};

use crate::stand::{Court, Stand, service, unlimited, word};

pub async fn an_update_replaces_the_machine_in_place(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    let before = stand.show(&id).await;
    let said = stand.update(&id, &json!({"config": {"image": "r/web:2"}})).await.well();
    assert_ne!(word(&said, "instance_id"), word(&before, "instance_id"));
    assert_eq!(word(&said, "state"), "replacing");
    stand.advance(500);
    assert_eq!(stand.state(&id).await, "stopped", "for a moment, between two versions");
    stand.advance(200);
    assert_eq!(stand.state(&id).await, "replacing");
    let old = word(&before, "instance_id");
    let text = stand.wait(&id, &format!("version={old}&timeout=1")).await.refused(408);
    assert!(text.ends_with("currently replaced"), "{text}");
    let new = word(&said, "instance_id");
    stand.wait(&id, &format!("version={new}")).await.well();
    let after = stand.show(&id).await;
    assert_eq!(word(&after["config"], "image"), "r/web:2");
    for kept in ["id", "private_ip", "name", "region"] {
        assert_eq!(after[kept], before[kept], "{kept} survives");
    }
    let exit = after["events"].as_array().expect("a list").iter().find(|event| event["type"] == "exit");
    assert_eq!(exit.expect("the old one ended")["request"]["exit_event"]["requested_stop"], false);
    let versions = stand.get(&format!("/v1/apps/web/machines/{id}/versions")).await.well();
    let images: Vec<_> =
        versions.as_array().expect("a list").iter().map(|v| word(&v["user_config"], "image")).collect();
    assert_eq!(images, ["r/web:2", "r/web:1"]);
}

pub async fn a_stopped_machine_stays_stopped_with_its_new_version(court: Court) {
    for (launches, state) in [(false, "stopped"), (true, "started")] {
        let habits = Habits { update_launches_stopped: launches, ..Habits::default() };
        let stand = Stand::with(&court, Scenario { habits, ..unlimited() }).await;
        let id = stand.started(&json!({"image": "r/web:1"})).await;
        stand.verb(&id, "stop").await.well();
        stand.advance(2_000);
        let said = stand.update(&id, &json!({"config": {"image": "r/web:2"}})).await.well();
        stand.advance(10_000);
        let machine = stand.show(&id).await;
        assert_eq!(word(&machine, "state"), state);
        assert_eq!(machine["instance_id"], said["instance_id"]);
    }
    let stand = Stand::new(&court).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    stand.update(&id, &json!({"config": {"image": "r/web:2"}, "skip_launch": true})).await.well();
    stand.advance(10_000);
    assert_eq!(stand.state(&id).await, "stopped");
}

pub async fn an_update_that_cannot_be_pulled_puts_the_old_version_back(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    let before = stand.show(&id).await;
    let said = stand.update(&id, &json!({"config": {"image": "r/unpullable:2"}})).await.well();
    let new = word(&said, "instance_id");
    stand.wait(&id, "state=started").await.well();
    let after = stand.show(&id).await;
    assert_eq!(after["instance_id"], before["instance_id"], "whoever waits for started alone sees success");
    assert_eq!(word(&after["config"], "image"), "r/web:1");
    stand.wait(&id, &format!("version={new}&timeout=5")).await.refused(408);
}

pub async fn an_update_is_refused_for_another_version_and_in_passing(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    let old = word(&stand.show(&id).await, "instance_id").to_owned();
    let next = json!({"config": {"image": "r/web:2"}, "current_version": old});
    stand.update(&id, &next).await.well();
    stand.update(&id, &json!({"config": {"image": "r/web:3"}})).await.refused(412);
    stand.wait(&id, "state=started").await.well();
    stand.update(&id, &next).await.refused(412);
    stand.update(&id, &json!({"config": {"image": "r/web:2"}, "region": "fra"})).await.refused(400);
    stand.update(&id, &json!({"config": {"image": "r/web:2"}, "min_secrets_version": 9})).await.refused(412);
}

pub async fn configs_are_spelled_the_platforms_way(court: Court) {
    let stand = Stand::new(&court).await;
    let config = json!({
        "image": "registry.fly.io/web:deployment-1",
        "size": "shared-cpu-2x",
        "services": [{"protocol": "tcp", "internal_port": 8080, "autostop": "stop", "autostart": true,
            "checks": [{"type": "tcp", "interval": "90s"}]}],
        "checks": {"alive": {"type": "http", "port": 8080, "path": "/", "interval": "10s", "kind": "informational"}},
        "metadata": {"trueup_app": "web"},
    });
    let id = stand.create(&json!({"config": config})).await;
    let machine = stand.show(&id).await;
    let config = &machine["config"];
    assert_eq!(config["guest"], json!({"cpu_kind": "shared", "cpus": 2, "memory_mb": 512}));
    assert_eq!(config["services"][0]["autostop"], json!(true));
    assert_eq!(config["services"][0]["checks"][0]["interval"], json!("1m30s"));
    assert_eq!((&config["init"], &config["dns"]), (&json!({}), &json!({})), "the platform adds these");
    assert_eq!(word(&machine["image_ref"], "repository"), "web");
    assert_eq!(word(&machine["image_ref"], "tag"), "deployment-1");
    let off = json!({"image": "r/a", "services": [{"internal_port": 80, "autostop": "off"}, {"internal_port": 81, "autostop": "suspend"}]});
    let id = stand.create(&json!({"config": off})).await;
    let services = stand.show(&id).await["config"]["services"].clone();
    assert_eq!((&services[0]["autostop"], &services[1]["autostop"]), (&json!(false), &json!("suspend")));
}

pub async fn configs_that_make_no_sense_are_refused(court: Court) {
    let stand = Stand::new(&court).await;
    let many = |config: Value| json!({"config": config});
    for (config, says) in [
        (json!({}), "image is required"),
        (json!({"image": "a", "guest": {"cpus": 3}}), "invalid number of cpus"),
        (json!({"image": "a", "guest": {"cpus": 2, "memory_mb": 256}}), "minimum memory"),
        (json!({"image": "a", "guest": {"memory_mb": 4096}}), "maximum memory"),
        (json!({"image": "a", "guest": {"memory_mb": 300}}), "not a multiple"),
        (json!({"image": "a", "size": "shared-cpu-3x"}), "invalid number of cpus"),
        (json!({"image": "a", "size": "tiny"}), "unknown size"),
        (json!({"image": "a", "standbys": ["1"], "services": [{"internal_port": 1}]}), "standby"),
        (
            json!({"image": "a", "services": [{"internal_port": 1, "ports": [{"port": 443, "handlers": ["tls"], "force_https": true}]}]}),
            "force_https",
        ),
        (json!({"image": "a", "services": [{"protocol": "tcp"}]}), "internal_port"),
        (json!({"image": "a", "checks": {"c": {"type": "tcp", "port": 1, "interval": "1s"}}}), "interval"),
        (json!({"image": "a", "checks": {"c": {"type": "tcp", "port": 1, "timeout": "2m0s"}}}), "timeout"),
        (json!({"image": "a", "stop_config": {"timeout": "6m0s"}}), "5m0s"),
        (
            json!({"image": "a", "mounts": [{"volume": "v1", "path": "/a"}, {"volume": "v2", "path": "/b"}]}),
            "one mount",
        ),
        (json!({"image": "a", "mounts": [{"volume": "v1", "path": "/a"}]}), "not found"),
    ] {
        let text = stand.post("/v1/apps/web/machines", &many(config.clone())).await.refused(400);
        assert!(text.contains(says), "{config}: {text}");
    }
    stand.post("/v1/apps/web/machines", &json!({"config": {"image": "a"}, "region": "mars"})).await.refused(400);
    // Types that do not fit are refused, as Go refuses them.
    let string = json!({"config": {"image": "a", "services": [{"internal_port": 1, "autostart": "true"}]}});
    let text = stand.ask_wrongly(Asked::new("POST", "/v1/apps/web/machines").json(&string)).await.refused(400);
    assert!(text.contains("cannot unmarshal string into Go struct field"), "{text}");
    let mut broken = Asked::new("POST", "/v1/apps/web/machines");
    broken.body = b"{".to_vec();
    stand.ask_wrongly(broken).await.refused(400);
}

pub async fn metadata_changes_neither_version_nor_state(court: Court) {
    let stand = Stand::new(&court).await;
    let mut config = service("r/web:1");
    config["metadata"] = json!({"a": "1", "b": "2"});
    let id = stand.started(&config).await;
    let before = stand.show(&id).await;
    let base = format!("/v1/apps/web/machines/{id}/metadata");
    stand.post(&format!("{base}/c"), &json!({"value": "3"})).await.well();
    stand.post(&format!("{base}/d"), &json!({})).await.refused(400);
    assert_eq!(stand.get(&format!("{base}/c")).await.well(), json!({"value": "3"}));
    stand.delete(&format!("{base}/a")).await.well();
    stand.get(&format!("{base}/a")).await.refused(404);
    assert_eq!(stand.get(&base).await.well(), json!({"b": "2", "c": "3"}));
    let patch = Asked::new("PATCH", &base).json(&json!({"metadata": {"b": null, "c": "", "e": "5"}}));
    stand.ask(patch).await.well();
    assert_eq!(stand.get(&base).await.well(), json!({"e": "5"}));
    stand.put(&base, &json!({"metadata": {"f": "6"}})).await.well();
    assert_eq!(stand.get(&base).await.well(), json!({"f": "6"}));
    let stale = json!({"metadata": {"f": "7"}, "machine_version": "01ARZ3NDEKTSV4RRFFQ69G5FAV"});
    stand.put(&base, &stale).await.refused(412);
    stand.put(&base, &json!({})).await.refused(400);
    let after = stand.show(&id).await;
    assert_eq!((&after["instance_id"], &after["state"]), (&before["instance_id"], &before["state"]));
    assert_eq!(after["config"]["metadata"], json!({"f": "6"}));
}

/// The shape of the example in the platform's documentation of the machines resource.
pub async fn the_documented_create_is_answered_as_documented(court: Court) {
    let stand = Stand::new(&court).await;
    let config = json!({
        "init": {"exec": ["/bin/sleep", "inf"]},
        "image": "registry-1.docker.io/library/ubuntu:latest",
        "auto_destroy": true,
        "restart": {"policy": "always"},
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
    });
    let made = stand.post("/v1/apps/web/machines", &json!({"config": config})).await.well();
    let mut expected = config.clone();
    expected["dns"] = json!({});
    assert_eq!(made["config"], expected);
    assert_eq!(word(&made, "state"), "created");
    let image = &made["image_ref"];
    assert_eq!((word(image, "registry"), word(image, "repository")), ("registry-1.docker.io", "library/ubuntu"));
    assert_eq!(word(image, "tag"), "latest");
    assert!(word(image, "digest").starts_with("sha256:") && word(image, "digest").len() == 71);
    let events = made["events"].as_array().expect("a list");
    let event = &events[0];
    assert_eq!((events.len(), word(event, "type"), word(event, "status")), (1, "launch", "created"));
    assert_eq!((word(event, "source"), event["timestamp"].as_u64()), ("user", Some(stand.now().millis())));
    let created = word(&made, "created_at");
    assert!(created.len() == "2026-08-21T10:00:00Z".len() && created.ends_with('Z'), "{created}");
    let (id, instance) = (word(&made, "id"), word(&made, "instance_id"));
    assert!(id.len() == 14 && instance.len() == 26 && word(&made, "private_ip").starts_with("fdaa:"));
    let short = stand.create(&json!({"config": {"image": "flyio/fastify-functions"}})).await;
    let image = stand.show(&short).await["image_ref"].clone();
    assert_eq!(
        (word(&image, "registry"), word(&image, "repository")),
        ("registry-1.docker.io", "flyio/fastify-functions")
    );
}
