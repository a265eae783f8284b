//! From created to destroyed.

use serde_json::json;
use trueup_fly_sim::{Behaviour, Exits, Scenario, Span, Unpullable};

use crate::stand::{Court, Stand, behaving, image, quick, service, unlimited, word};

pub async fn a_machine_passes_through_its_states_at_its_own_pace(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.create(&json!({"config": {"image": "r/web:1"}, "region": "fra"})).await;
    assert_eq!(stand.state(&id).await, "created");
    stand.advance(3_000);
    assert_eq!(stand.state(&id).await, "starting");
    stand.advance(999);
    assert_eq!(stand.state(&id).await, "starting");
    stand.advance(1);
    assert_eq!(stand.state(&id).await, "started");
    stand.verb(&id, "stop").await.well();
    assert_eq!(stand.state(&id).await, "stopping");
    stand.advance(500);
    assert_eq!(stand.state(&id).await, "stopped");
    stand.advance(500);
    let said = stand.verb(&id, "start").await.well();
    assert_eq!(word(&said, "previous_state"), "stopped");
    stand.wait(&id, "state=started").await.well();
    let events = stand.events(&id).await.join(" ");
    assert_eq!(
        events,
        "launch/created start/starting start/started stop/stopping exit/stopped start/starting start/started"
    );
}

pub async fn a_machine_that_skips_its_launch_rests_once_it_is_prepared(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.create(&json!({"config": {"image": "r/web:1"}, "skip_launch": true})).await;
    assert_eq!(stand.state(&id).await, "created");
    stand.advance(3_000);
    assert_eq!(stand.state(&id).await, "stopped");
    stand.advance(500);
    stand.verb(&id, "start").await.well();
    stand.wait(&id, "state=started").await.well();
}

pub async fn verbs_are_refused_in_states_that_do_not_fit(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.create(&json!({"config": {"image": "r/web:1"}})).await;
    let text = stand.verb(&id, "start").await.refused(412);
    assert_eq!(text, "failed_precondition: unable to start machine from current state: 'created'");
    stand.verb(&id, "suspend").await.refused(412);
    stand.verb(&id, "restart").await.refused(412);
    stand.post(&format!("/v1/apps/web/machines/{id}/exec"), &json!({"command": ["ls"]})).await.refused(412);
    stand.get(&format!("/v1/apps/web/machines/{id}/ps")).await.refused(412);
    stand.wait(&id, "state=started").await.well();
    let text = stand.delete(&format!("/v1/apps/web/machines/{id}")).await.refused(412);
    assert_eq!(text, "failed_precondition: unable to destroy machine, not currently stopped");
    stand.update(&id, &json!({"config": {"image": "r/web:2"}})).await.well();
    let text = stand.verb(&id, "start").await.refused(412);
    assert_eq!(text, "failed_precondition: unable to start machine from current state: 'replacing'");
    stand.get("/v1/apps/web/machines/nonsense").await.refused(404);
    stand.get("/v1/apps/web/machines/0123456789abcd").await.refused(404);
    stand.get("/v1/apps/nobody/machines").await.refused(404);
}

pub async fn what_was_just_stopped_is_not_started_at_once(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    stand.verb(&id, "stop").await.well();
    stand.advance(600);
    let text = stand.verb(&id, "start").await.refused(412);
    assert_eq!(text, "failed_precondition: machine still active, refusing to start");
    stand.advance(400);
    stand.verb(&id, "start").await.well();
}

pub async fn a_program_that_ignores_the_signal_is_killed(court: Court) {
    let stubborn = Behaviour { stop: Some(Span::millis(60_000)), ..image("*") };
    let stand = Stand::with(&court, behaving(vec![stubborn])).await;
    let id = stand.started(&json!({"image": "r/web:1", "stop_config": {"timeout": "7s"}})).await;
    let stop = format!("/v1/apps/web/machines/{id}/stop");
    stand.post(&stop, &json!({"signal": "SIGTERM", "timeout": "3s"})).await.well();
    stand.advance(2_999);
    assert_eq!(stand.state(&id).await, "stopping");
    stand.advance(1);
    assert_eq!(stand.state(&id).await, "stopped");
    let machine = stand.show(&id).await;
    let exit = &machine["events"][0]["request"]["exit_event"];
    assert_eq!((exit["exit_code"].as_i64(), exit["requested_stop"].as_bool()), (Some(137), Some(true)));
}

pub async fn suspended_machines_wake_and_lose_their_memory_when_stopped(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    stand.verb(&id, "suspend").await.well();
    assert_eq!(stand.state(&id).await, "suspending");
    stand.wait(&id, "state=suspended").await.well();
    stand.post("/v1/apps/web/secrets", &json!({"values": {"KEY": "s3cret"}})).await.well();
    let said = stand.verb(&id, "start").await.well();
    assert_eq!(word(&said, "previous_state"), "suspended");
    stand.wait(&id, "state=started").await.well();
    let exec = format!("/v1/apps/web/machines/{id}/exec");
    let env = stand.post(&exec, &json!({"command": ["printenv"]})).await.well();
    assert!(!word(&env, "stdout").contains("s3cret"), "it wakes with the memory that it had");
    stand.verb(&id, "suspend").await.well();
    stand.wait(&id, "state=suspended").await.well();
    stand.verb(&id, "stop").await.well();
    assert_eq!(stand.state(&id).await, "stopped");
    stand.delete(&format!("/v1/apps/web/machines/{id}")).await.well();
}

pub async fn a_restart_keeps_the_version(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    let before = stand.show(&id).await;
    stand
        .ask(trueup_fly_sim::Asked::new("POST", &format!("/v1/apps/web/machines/{id}/restart?timeout=5s")))
        .await
        .well();
    assert_eq!(stand.state(&id).await, "restarting");
    stand.wait(&id, "state=started").await.well();
    let after = stand.show(&id).await;
    assert_eq!(word(&before, "instance_id"), word(&after, "instance_id"));
    assert!(stand.events(&id).await.contains(&"restart/stopping".to_owned()));
}

pub async fn a_machine_is_seen_destroyed_for_a_while_and_then_by_nobody(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    stand.delete(&format!("/v1/apps/web/machines/{id}?force=true")).await.well();
    assert_eq!(stand.state(&id).await, "destroying");
    stand.wait(&id, "state=destroyed").await.well();
    assert_eq!(stand.state(&id).await, "destroyed");
    assert_eq!(stand.get("/v1/apps/web/machines").await.well(), json!([]));
    let deleted = stand.get("/v1/apps/web/machines?include_deleted=true").await.well();
    assert_eq!(word(&deleted[0], "state"), "destroyed");
    stand.advance(10_000);
    stand.get(&format!("/v1/apps/web/machines/{id}")).await.refused(404);
    stand.wait(&id, "state=destroyed").await.refused(404);
}

pub async fn an_image_that_cannot_be_pulled_fails_the_launch(court: Court) {
    let vanishing = Behaviour { unpullable: Some(Unpullable::Vanishes), ..image("*:gone") };
    let stand = Stand::with(&court, behaving(vec![vanishing])).await;
    let id = stand.create(&json!({"config": {"image": "r/unpullable:1"}})).await;
    stand.wait(&id, "state=started,failed").await.well();
    assert_eq!(stand.state(&id).await, "failed");
    let id = stand.create(&json!({"config": {"image": "r/web:gone"}})).await;
    stand.advance(3_000);
    assert_eq!(stand.state(&id).await, "launch_failed");
    stand.wait(&id, "state=destroyed").await.well();
}

pub async fn a_failing_program_is_started_again_until_it_is_not(court: Court) {
    let exits = Exits { after: Span::millis(100), code: 3, oom: true, times: None };
    let crashing = Behaviour { exits: Some(exits), ..image("*") };
    let stand = Stand::with(&court, Scenario { latency: quick(), ..behaving(vec![crashing]) }).await;
    let config = json!({"image": "r/web:1", "restart": {"policy": "on-failure", "max_retries": 2}});
    let id = stand.create(&json!({"config": config})).await;
    let version = word(&stand.show(&id).await, "instance_id").to_owned();
    stand.wait(&id, &format!("state=stopped&version={version}")).await.well();
    let machine = stand.show(&id).await;
    let exits: Vec<_> = machine["events"].as_array().expect("a list").iter().filter(|e| e["type"] == "exit").collect();
    let restarting: Vec<_> = exits.iter().map(|e| e["request"]["exit_event"]["restarting"].as_bool()).collect();
    assert_eq!(restarting, [Some(false), Some(true), Some(true)], "newest first");
    assert_eq!(exits[0]["request"]["restart_count"], 2);
    assert_eq!(exits[0]["request"]["exit_event"]["oom_killed"], true);
    assert_eq!(exits[0]["request"]["exit_event"]["exit_code"], 3);
    assert_eq!(exits[0]["request"]["exit_event"]["requested_stop"], false);
}

pub async fn a_program_without_a_policy_rests_or_destroys_itself(court: Court) {
    let once = Behaviour { exits: Some(Exits { code: 0, ..Exits::default() }), ..image("*") };
    let stand = Stand::with(&court, behaving(vec![once])).await;
    let id = stand.create(&json!({"config": {"image": "r/job:1", "restart": {"policy": "no"}}})).await;
    stand.advance(6_000);
    assert_eq!(stand.state(&id).await, "stopped");
    let job = json!({"image": "r/job:1", "restart": {"policy": "no"}, "auto_destroy": true});
    let id = stand.create(&json!({"config": job})).await;
    stand.wait(&id, "state=destroyed").await.well();
    let exit =
        stand.show(&id).await["events"].as_array().expect("a list").iter().find(|e| e["type"] == "exit").cloned();
    let code = exit.map(|exit| exit["request"]["exit_event"]["exit_code"].clone());
    assert_eq!(code, Some(json!(0)), "the exit is read after the machine is destroyed");
    let always = json!({"image": "r/job:1", "restart": {"policy": "always"}});
    let id = stand.create(&json!({"config": always})).await;
    stand.advance(30_000);
    let starts = stand.events(&id).await.iter().filter(|event| *event == "start/started").count();
    assert!(starts > 5, "it is started again and again: {starts}");
}

pub async fn signals_end_programs(court: Court) {
    let stand = Stand::with(&court, Scenario { latency: quick(), ..unlimited() }).await;
    let id = stand.started(&service("r/web:1")).await;
    let signal = format!("/v1/apps/web/machines/{id}/signal");
    stand.post(&signal, &json!({"signal": "SIGUSR1"})).await.well();
    assert_eq!(stand.state(&id).await, "started");
    stand.post(&signal, &json!({"signal": "SIGKILL"})).await.well();
    assert_eq!(stand.state(&id).await, "starting", "it failed, and so is started again");
    stand.wait(&id, "state=started").await.well();
    // fly-go's Kill sends a number.
    stand.post(&signal, &json!({"signal": 9})).await.well();
    assert_eq!(stand.state(&id).await, "starting");
}

/// The way in which release commands are run: created without a launch, started, waited for until it is gone, then read.
pub async fn an_ephemeral_machine_runs_a_command_once(court: Court) {
    let fails = Exits { after: Span::millis(4_000), code: 17, oom: false, times: None };
    let migration = Behaviour { exits: Some(fails), prints: vec!["relation exists".to_owned()], ..image("*") };
    let stand = Stand::with(&court, behaving(vec![migration])).await;
    let config = json!({
        "image": "r/web:2",
        "init": {"cmd": ["migrate", "up"]},
        "restart": {"policy": "no"},
        "auto_destroy": true,
        "dns": {"skip_registration": true},
        "env": {"RELEASE_COMMAND": "1"},
    });
    let made = stand.post("/v1/apps/web/machines", &json!({"config": config, "skip_launch": true})).await.well();
    let (id, version) = (word(&made, "id"), word(&made, "instance_id"));
    stand.wait(id, &format!("state=stopped&instance_id={version}")).await.well();
    stand.advance(1_000);
    stand.verb(id, "start").await.well();
    stand.wait(id, "state=started").await.well();
    stand.wait(id, "state=destroyed").await.well();
    let events = stand.show(id).await["events"].clone();
    let exit = events.as_array().expect("a list").iter().find(|event| event["type"] == "exit").expect("it ended");
    assert_eq!(exit["request"]["exit_event"]["exit_code"], 17);
    let logs = stand.get(&format!("/api/v1/apps/web/logs?instance={id}")).await.well();
    assert_eq!(word(&logs["data"][0]["attributes"], "message"), "relation exists");
    assert_eq!(stand.sim.traffic("web").iter().map(|segment| segment.healthy).max(), Some(0), "it serves nobody");
}

/// Nobody says how it goes: it goes well. What serves, what is asked how it does, and what may be started again goes on.
pub async fn a_command_of_which_nobody_says_anything_ends_well(court: Court) {
    let stand = Stand::with(&court, Scenario { latency: quick(), ..unlimited() }).await;
    let once = json!({"image": "r/web:2", "init": {"exec": ["migrate", "up"]}, "restart": {"policy": "no"}});
    let id = stand.create(&json!({"config": once})).await;
    stand.wait(&id, "state=started").await.well();
    let version = word(&stand.show(&id).await, "instance_id").to_owned();
    stand.wait(&id, &format!("state=stopped&version={version}")).await.well();
    let events = stand.show(&id).await["events"].clone();
    let exit = events.as_array().expect("a list").iter().find(|event| event["type"] == "exit").expect("it ended");
    assert_eq!(exit["request"]["exit_event"]["exit_code"], 0);
    assert_eq!(exit["request"]["exit_event"]["requested_stop"], false);
    for other in [
        json!({"image": "r/web:2", "restart": {"policy": "no"}}),
        json!({"image": "r/web:2", "init": {"exec": ["serve"]}}),
        json!({"image": "r/web:2", "init": {"exec": ["serve"]}, "restart": {"policy": "no"}, "services": [{"internal_port": 80}]}),
    ] {
        let id = stand.create(&json!({"config": other})).await;
        stand.advance(60_000);
        assert_eq!(stand.state(&id).await, "started", "{other}");
    }
}
