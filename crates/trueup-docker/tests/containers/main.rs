//! Real containers keep the contract of a runtime, and outlive whoever started them.

mod builds;
mod calls;
mod checks;
mod images;
mod networks;
mod sessions;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use support::engine::engine;
use support::{One, open, release};
use trueup_seams::{Inspect as _, LogQuery, Nudge, Nudges as _, Runtime as _};
use trueup_sim::contract::runtime::{RuntimeFixture, check};
use trueup_types::docker::{DockerSpec, LogDriver, LogSpec, RestartBy};
use trueup_types::observed::{ExitWhy, Phase};
use trueup_types::step::{InstanceStep, Refusal, StepOutcome};
use trueup_types::template::{FileSpec, Port, Protocol, Resources, Volume};
use trueup_types::{InstanceId, Place};

const FOREVER: &str = "exec sleep 600";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_keep_the_contract() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = RuntimeFixture {
        runtime: Arc::new(open(engine, folder.path(), "contract", DockerSpec::default())),
        place: Place::here(),
        release: Box::new(|app, revision| Arc::new(release(app, revision, FOREVER))),
        done: vec!["true".to_owned()],
    };
    check(&fixture).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_is_known_though_the_daemon_was_dead_when_it_happened() {
    let Some(engine) = engine() else { return };
    let one = One::started(engine, "exits", "while ! test -e /tmp/go; do sleep 0.05; done; exit 7").await;
    let before = one.running().await;
    let go = ["touch", "/tmp/go"].map(str::to_owned);
    let answer = one.runtime.exec(&one.id, &go, Duration::from_secs(10)).await.expect("it runs");
    assert_eq!(answer.code, Some(0));
    let one = one.again();
    assert_eq!(one.exited().await, (Some(7), ExitWhy::ByItself));
    assert_eq!(one.seen().await.expect("it is there").incarnation, before.incarnation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_daemon_adopts_what_runs_and_sees_a_stop_through_that_another_began() {
    let Some(engine) = engine() else { return };
    let script = "trap '' TERM; echo up; while :; do sleep 0.1; done";
    let one = One::started(engine, "adopts", script).await;
    one.said("up").await;
    let before = one.running().await;
    let one = one.again();
    let after = one.seen().await.expect("it is there");
    assert_eq!((&after.incarnation, &after.addresses), (&before.incarnation, &before.addresses));
    let release = after.template.expect("the release is in its labels");
    assert_eq!(one.create((*release).clone()).await, StepOutcome::AlreadyTrue);
    assert_eq!(one.stop(Duration::from_secs(2)).await, StepOutcome::Done);
    let one = one.again();
    one.runtime.listen(Arc::new(drop));
    let told = one.seen().await.expect("it is there");
    let leaving = matches!(told.phase, Phase::Vanishing { .. } | Phase::Exited { why: ExitWhy::Asked, .. });
    assert!(leaving, "that it was told to go is known to the next daemon: {told:?}");
    assert_eq!(one.exited().await, (Some(137), ExitWhy::Asked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_not_there_cannot_start_and_an_exit_with_127_is_an_exit() {
    let Some(engine) = engine() else { return };
    let one = One::started(engine, "cannot", "exit 127").await;
    assert_eq!(one.exited().await, (Some(127), ExitWhy::ByItself));
    let mut bad = one.release("");
    bad.template.command = vec!["no-such-program".to_owned()];
    let other = One::new(engine, "cannot-two");
    assert_eq!(other.create(bad.clone()).await, StepOutcome::Done);
    let (_, why) = other.exited().await;
    assert!(matches!(&why, ExitWhy::CannotStart { detail } if detail.contains("no-such-program")), "{why:?}");
    bad.template.command = vec!["sleep".to_owned(), "600".to_owned()];
    bad.template.user = Some("nobody-knows".to_owned());
    let third = One::new(engine, "cannot-three");
    assert_eq!(third.create(bad).await, StepOutcome::Done);
    let (_, why) = third.exited().await;
    assert!(matches!(&why, ExitWhy::CannotStart { detail } if detail.contains("nobody-knows")), "{why:?}");
    assert_eq!(third.remove().await, StepOutcome::Done, "what is left of it can be removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_has_its_files_its_ports_and_nothing_of_ours() {
    let Some(engine) = engine() else { return };
    let one = One::new(engine, "equipped");
    let script = "cat /etc/app/app.conf; env; echo to standard error >&2; mkdir /tmp/www; echo hello > /tmp/www/hello; exec httpd -f -p $PORT -h /tmp/www";
    let mut made = one.release(script);
    let file = FileSpec { path: "/etc/app/app.conf".to_owned(), content: "greeting=hello\n".to_owned(), mode: 0o640 };
    made.template.files = vec![file];
    let admin = Port { name: "admin-api".parse().expect("a name"), port: Some(9_000), protocol: Protocol::Tcp };
    made.template.ports.push(admin);
    assert_eq!(one.create(made).await, StepOutcome::Done);
    let log: Vec<_> = one.said("TRUEUP_INSTANCE").await.into_iter().map(|line| line.text).collect();
    for expected in
        ["greeting=hello", "PORT=8080", "PORT_HTTP=8080", "PORT_ADMIN_API=9000", "TRUEUP_APP=web", "TRUEUP_REVISION=1"]
    {
        assert!(log.iter().any(|line| line == expected), "{expected} is missing: {log:?}");
    }
    one.said("to standard error").await;
    let seen = one.running().await;
    assert_eq!(seen.addresses.len(), 2);
    let address = seen.addresses["http"];
    assert!(address.ip().is_loopback(), "nobody else is let in: {address}");
    assert_eq!(get(address, "/hello").await, "hello");
}

/// The body of an answer; the server may still be on its way up.
async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    loop {
        let answer = std::net::TcpStream::connect(address).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text)
        });
        match answer {
            Ok(text) if text.contains(" 200 ") => {
                return text.rsplit("\r\n\r\n").next().unwrap_or_default().trim().to_owned();
            }
            other => assert!(tokio::time::Instant::now() < deadline, "{address}{path}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_hardening_reach_the_engine() {
    let Some(engine) = engine() else { return };
    let settings = DockerSpec {
        read_only: true,
        tmpfs: vec!["/scratch".to_owned()],
        drop_capabilities: vec!["ALL".to_owned()],
        no_new_privileges: true,
        ..DockerSpec::default()
    };
    let one = One::with(engine, "limited", settings);
    let mut made = one.release("touch /nope; touch /scratch/yes && echo written; id -u; exec tail /dev/zero");
    made.template.user = Some("33".to_owned());
    made.template.resources = Resources {
        memory_bytes: Some(16 << 20),
        cpus: Some(1),
        pids: Some(50),
        open_files: Some(99),
        ..Resources::default()
    };
    assert_eq!(one.create(made).await, StepOutcome::Done);
    assert_eq!(one.exited().await, (Some(137), ExitWhy::ByItself), "what takes too much memory is killed");
    let log: Vec<_> = one.said("33").await.into_iter().map(|line| line.text).collect();
    assert!(log.iter().any(|line| line.contains("Read-only file system")), "{log:?}");
    assert!(log.iter().any(|line| line == "written"), "{log:?}");
    let there = engine.ask("GET", &format!("/containers/{}/json", one.container()), "");
    let host = &there["HostConfig"];
    assert_eq!((host["Memory"].as_i64(), host["MemorySwap"].as_i64()), (Some(16 << 20), Some(16 << 20)));
    assert_eq!((host["NanoCpus"].as_i64(), host["PidsLimit"].as_i64()), (Some(1_000_000_000), Some(50)));
    assert_eq!(host["Ulimits"][0]["Hard"], 99);
    assert_eq!((&host["CapDrop"][0], &host["SecurityOpt"][0]), (&"ALL".into(), &"no-new-privileges".into()));
    assert_eq!(host["RestartPolicy"]["Name"], "no");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_in_an_instance_answers_and_is_killed_when_it_takes_too_long() {
    let Some(engine) = engine() else { return };
    let one = One::started(engine, "execs", FOREVER).await;
    one.running().await;
    let words = |text: &str| ["sh", "-c", text].map(str::to_owned).to_vec();
    let patience = Duration::from_secs(10);
    let answer = one.runtime.exec(&one.id, &words("echo $TRUEUP_APP; echo two >&2; exit 3"), patience).await;
    let answer = answer.expect("it runs");
    assert_eq!(answer.code, Some(3));
    assert!(answer.output.contains("web\n") && answer.output.contains("two\n"), "{answer:?}");
    let long = one.runtime.exec(&one.id, &words("exec sleep 321"), Duration::from_millis(300)).await.expect("it runs");
    assert_eq!(long.code, None, "it was killed");
    let left = words("for one in /proc/[0-9]*; do tr '\\0' ' ' < $one/cmdline; echo; done | grep -c '^sleep 321'");
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    while one.runtime.exec(&one.id, &left, patience).await.expect("it runs").output.trim() != "0" {
        assert!(tokio::time::Instant::now() < deadline, "the command outlived its time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_read_by_position_by_life_and_by_number() {
    let Some(engine) = engine() else { return };
    let script = "echo life $TRUEUP_INSTANCE; for i in 1 2 3 4 5; do echo line $i; done; exec sleep 600";
    let one = One::started(engine, "logs", script).await;
    let log = one.said("line 5").await;
    let texts = |lines: &[trueup_seams::LogLine]| lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
    assert!(log.windows(2).all(|two| two[0].position < two[1].position), "{log:?}");
    assert!(log.iter().all(|line| line.at.is_some()));
    let two = one.runtime.logs(&LogQuery { lines_max: 2, ..one.query() }).await.expect("it is read");
    assert_eq!(texts(&two), ["line 4", "line 5"]);
    let third = log.iter().find(|line| line.text == "line 3").expect("it was said").position;
    let behind = one.runtime.logs(&LogQuery { after: Some(third), ..one.query() }).await.expect("it is read");
    assert_eq!(texts(&behind), ["line 4", "line 5"]);
    assert!(one.runtime.logs(&LogQuery { previous: true, ..one.query() }).await.expect("it is read").is_empty());
    let first = one.running().await.incarnation;
    assert_eq!(one.stop(Duration::from_secs(5)).await, StepOutcome::Done);
    one.exited().await;
    let start = InstanceStep::Start { id: one.id.clone(), ended: first };
    assert_eq!(one.apply(start).await, StepOutcome::Done);
    one.running().await;
    one.said("line 5").await;
    let now = one.runtime.logs(&one.query()).await.expect("it is read");
    assert_eq!(texts(&now).iter().filter(|line| *line == "line 5").count(), 1, "the log of this life: {now:?}");
    let before = one.runtime.logs(&LogQuery { previous: true, ..one.query() }).await.expect("it is read");
    assert_eq!(texts(&before).last().map(String::as_str), Some("line 5"), "and of the one before");
    assert!(before.last().map(|line| line.position) < now.first().map(|line| line.position));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_is_not_seen_and_a_copy_of_ours_changes_nothing() {
    let Some(engine) = engine() else { return };
    let one = One::new(engine, "foreign");
    let path = format!("/containers/create?name={}", one.container());
    let labels =
        r#"{"dev.trueup.owner": "somebody-else", "dev.trueup.target": "here", "dev.trueup.instance": "web-r1-0"}"#;
    let body = format!(r#"{{"Image": "trueup-test:v1", "Cmd": ["true"], "Labels": {labels}}}"#);
    let made = engine.ask("POST", &path, &body);
    assert_eq!(one.seen().await, None, "another owner's is not ours");
    let taken = StepOutcome::Refused { why: Refusal::NameTaken };
    assert_eq!(one.create(one.release(FOREVER)).await, taken);
    let foreign = made["Id"].as_str().expect("an id");
    assert_eq!(engine.ask("GET", &format!("/containers/{foreign}/json"), "")["State"]["Status"], "created");
    let _ = engine.ask("DELETE", &format!("/containers/{foreign}"), "");

    assert_eq!(one.create(one.release(FOREVER)).await, StepOutcome::Done);
    let ours = one.running().await;
    let commit = format!("/commit?container={}&repo=copied&tag=v1", one.container());
    let _ = engine.ask("POST", &commit, "");
    let copy = r#"{"Image": "copied:v1", "Entrypoint": ["sleep", "600"]}"#;
    let copy = engine.ask("POST", "/containers/create?name=a-copy", copy);
    let copy = copy["Id"].as_str().expect("an id").to_owned();
    let _ = engine.ask("POST", &format!("/containers/{copy}/start"), "");
    let _ = engine.ask("POST", &format!("/containers/{}/rename?name=foreign-renamed", one.container()), "");
    assert_eq!(one.survey().await.expect("it is in sight").len(), 1, "a copy is no second instance");
    assert_eq!(one.seen().await.expect("it is there").incarnation, ours.incarnation, "nor in place of the first");
    assert_eq!(one.stop(Duration::from_secs(5)).await, StepOutcome::Done);
    assert_eq!(one.exited().await.1, ExitWhy::Asked);
    let state = engine.ask("GET", &format!("/containers/{copy}/json"), "");
    assert_eq!(state["State"]["Running"], true, "and is left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_somebody_renamed_is_still_ours() {
    let Some(engine) = engine() else { return };
    let one = One::started(engine, "renamed", FOREVER).await;
    let before = one.running().await;
    let _ = engine.ask("POST", &format!("/containers/{}/rename?name=another-name", one.container()), "");
    assert_eq!(one.seen().await.expect("it is there").incarnation, before.incarnation);
    assert_eq!(one.create(one.release(FOREVER)).await, StepOutcome::AlreadyTrue, "nothing is made twice");
    assert_eq!(one.stop(Duration::from_secs(5)).await, StepOutcome::Done);
    one.exited().await;
    assert_eq!(one.remove().await, StepOutcome::Done);
    assert_eq!(one.seen().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_by_somebody_else_is_another_life() {
    let Some(engine) = engine() else { return };
    let one = One::started(engine, "restarted", FOREVER).await;
    let before = one.running().await;
    let _ = engine.ask("POST", &format!("/containers/{}/restart?t=1", one.container()), "");
    let after = one.until("a new life", |seen| seen.incarnation != before.incarnation).await;
    assert!(matches!(after.phase, Phase::Running { .. }), "{after:?}");
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    while one.seen().await.expect("it is there").addresses.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "its new port is not seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_and_a_removal_are_noticed_within_a_moment() {
    let Some(engine) = engine() else { return };
    let one = One::started(engine, "noticed", FOREVER).await;
    one.running().await;
    let (sender, mut nudges) = tokio::sync::mpsc::unbounded_channel();
    one.runtime.listen(Arc::new(move |nudge| {
        let _ = sender.send(nudge);
    }));
    let mut next = async || tokio::time::timeout(Duration::from_secs(10), nudges.recv()).await.expect("a nudge comes");
    assert_eq!(next().await, Some(Nudge::All), "what happened before is looked for");
    let there = engine.ask("GET", &format!("/containers/{}/json", one.container()), "");
    let pid = there["State"]["Pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a process id");
    // A call that kills answers only when the engine has cleared up.
    let target = rustix::process::Pid::from_raw(pid).expect("it is of a process");
    rustix::process::kill_process(target, rustix::process::Signal::KILL).expect("it runs");
    assert_eq!(next().await, Some(Nudge::App(one.id.app.clone())));
    // An engine says it before its listing shows it, and only once: the first look must see it.
    let ended = one.seen().await.expect("it is there");
    assert!(matches!(ended.phase, Phase::Exited { code: Some(137), why: ExitWhy::ByItself, .. }), "{ended:?}");
    let _ = engine.ask("DELETE", &format!("/containers/{}", one.container()), "");
    assert_eq!(next().await, Some(Nudge::App(one.id.app.clone())));
    assert_eq!(one.seen().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_targets_of_one_engine_may_have_instances_of_one_name() {
    let Some(engine) = engine() else { return };
    let (one, folder) = (One::new(engine, "moves"), tempfile::tempdir().expect("a folder"));
    assert_eq!(one.create(one.release(FOREVER)).await, StepOutcome::Done);
    let other = support::open_as(engine, folder.path(), "moves", "there", DockerSpec::default());
    let step = InstanceStep::Create {
        id: one.id.clone(),
        place: Place::here(),
        release: Arc::new(one.release("exec sleep 601")),
    };
    let step = trueup_types::step::TargetStep::Instance(step);
    assert_eq!(other.apply(&step).await, StepOutcome::Done, "its name is taken, and it has another");
    assert_eq!(other.apply(&step).await, StepOutcome::AlreadyTrue);
    let seen = other.survey().await.remove(&Place::here()).expect("it is seen").expect("it is in sight").instances;
    assert_eq!(seen.len(), 1);
    assert_ne!(seen[0].incarnation, one.running().await.incarnation, "each sees its own");
    assert_eq!(one.survey().await.expect("in sight").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_starts_again_has_ended_once_each_time_and_nobody_else_starts_it() {
    let Some(engine) = engine() else { return };
    let settings = DockerSpec {
        restart: RestartBy::Engine,
        log: Some(LogSpec { driver: LogDriver::Local, options: [("max-file".to_owned(), "3".to_owned())].into() }),
        extra_hosts: [("outside.test".to_owned(), "192.0.2.7".to_owned())].into(),
        ..DockerSpec::default()
    };
    let one = One::with(engine, "by-engine", settings);
    assert_eq!(one.create(one.release("grep outside /etc/hosts; sleep 0.3; exit 3")).await, StepOutcome::Done);
    let first = one.running().await.incarnation;
    let ended = one.until("it has ended", |seen| matches!(seen.phase, Phase::Exited { .. })).await;
    let Phase::Exited { code, why, .. } = &ended.phase else { unreachable!("waited for") };
    assert_eq!((code, why), (&Some(3), &ExitWhy::ByItself), "{ended:?}");
    let start = InstanceStep::Start { id: one.id.clone(), ended: ended.incarnation.clone() };
    assert_eq!(one.apply(start).await, StepOutcome::AlreadyTrue, "the engine does it");
    one.until("the engine has started it", |seen| seen.incarnation != first).await;
    assert!(!one.said("192.0.2.7").await.is_empty(), "another way of keeping logs is read, too");
    let there = engine.ask("GET", &format!("/containers/{}/json", one.container()), "");
    assert_eq!(there["HostConfig"]["LogConfig"]["Config"]["max-file"], "3");
    assert_eq!(there["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped");
    // What is told to stop stays down.
    let up = |seen: &trueup_types::Sighting| matches!(seen.phase, Phase::Running { .. });
    one.until("it runs once more", up).await;
    while !matches!(one.seen().await.expect("it is there").phase, Phase::Exited { why: ExitWhy::Asked, .. }) {
        let _ = one.stop(Duration::from_secs(1)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let running = engine.ask("GET", &format!("/containers/{}/json", one.container()), "")["State"]["Status"].clone();
    assert_eq!(running, "exited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_is_found_again_by_the_next_revision() {
    let Some(engine) = engine() else { return };
    let one = One::new(engine, "volumes");
    let with = |script: &str, id: &InstanceId| {
        let mut made = release(&id.app, id.revision, script);
        made.template.volumes =
            vec![Volume { name: "data".parse().expect("a name"), path: "/data".to_owned(), size_bytes: None }];
        made
    };
    assert_eq!(one.create(with("echo kept > /data/file", &one.id)).await, StepOutcome::Done);
    assert_eq!(one.exited().await.0, Some(0));
    assert_eq!(one.remove().await, StepOutcome::Done);
    let next: InstanceId = "web-r2-0".parse().expect("a name");
    assert_eq!(one.create_as(&next, with("cat /data/file; exec sleep 600", &next)).await, StepOutcome::Done);
    let query = LogQuery { instance: next, ..one.query() };
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    while one.runtime.logs(&query).await.expect("a log").iter().all(|line| line.text != "kept") {
        assert!(tokio::time::Instant::now() < deadline, "what the first wrote is gone");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
