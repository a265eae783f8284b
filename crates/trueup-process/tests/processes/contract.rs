//! Real processes keep the contract of a runtime, and outlive whoever started them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trueup_seams::{Inspect as _, Nudges as _, Runtime as _};
use trueup_sim::contract::runtime::{RuntimeFixture, check};
use trueup_types::observed::{ExitWhy, Phase};
use trueup_types::step::{InstanceStep, Refusal, StepOutcome, TargetStep};
use trueup_types::template::FileSpec;
use trueup_types::{AppName, InstanceId, Place, Release, Revision};

use crate::stage::{Folder, One, open, release};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_processes_keep_the_contract() {
    let folder = Folder::new();
    let fixture = RuntimeFixture {
        runtime: Arc::new(open(&folder)),
        place: Place::here(),
        release: Box::new(|app, revision| release(app, revision, "exec sleep 600")),
        done: vec!["true".to_owned()],
    };
    check(&fixture).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_is_known_though_the_daemon_was_dead_when_it_happened() {
    let folder = Folder::new();
    let go = folder.path().join("go");
    let one = One::started(&folder, &format!("while ! test -e {}; do sleep 0.02; done; exit 7", go.display())).await;
    let before = one.until("it runs", |one| matches!(one.phase, Phase::Running { .. })).await;
    let One { runtime, id } = one;
    drop(runtime);
    std::fs::write(&go, "").expect("it is written");
    let exit = folder.path().join("instances/web-r1-0/life-1/exit.json");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !exit.exists() {
        assert!(Instant::now() < deadline, "the shim wrote nothing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let again = One { runtime: open(&folder), id };
    assert_eq!(again.exited().await, (Some(7), ExitWhy::ByItself));
    assert_eq!(again.seen().await.expect("it is there").incarnation, before.incarnation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_daemon_adopts_what_runs_with_its_ports() {
    let folder = Folder::new();
    let one = One::started(&folder, "exec sleep 600").await;
    let before = one.until("it runs", |one| matches!(one.phase, Phase::Running { .. })).await;
    let One { runtime, id } = one;
    drop(runtime);
    let again = One { runtime: open(&folder), id };
    let after = again.seen().await.expect("it is there");
    assert_eq!((after.incarnation, after.addresses), (before.incarnation, before.addresses));
    assert!(matches!(after.phase, Phase::Running { .. }));
    let release = after.template.expect("the release lies beside it");
    assert_eq!(again.create(release).await, StepOutcome::AlreadyTrue);
    again.stop(Duration::from_secs(5)).await;
    assert_eq!(again.exited().await, (Some(143), ExitWhy::Asked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_is_noticed_within_a_moment() {
    let folder = Folder::new();
    let one = One::started(&folder, "read line < /proc/self/fd/0; exec sleep 600").await;
    let (sender, mut nudges) = tokio::sync::mpsc::unbounded_channel();
    one.runtime.listen(Arc::new(move |nudge| {
        let _ = sender.send(nudge);
    }));
    one.until("it runs", |one| matches!(one.phase, Phase::Running { .. })).await;
    let pid = one.pid(&folder, "main");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    let nudge = tokio::time::timeout(Duration::from_secs(5), nudges.recv()).await.expect("a nudge comes");
    assert_eq!(nudge, Some(trueup_seams::Nudge::App(one.id.app.clone())));
    // The nudge comes after the shim's word, so that the look that it causes sees the exit.
    let seen = one.seen().await.expect("it is there");
    assert!(matches!(seen.phase, Phase::Exited { code: Some(137), why: ExitWhy::ByItself, .. }), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_go_is_killed_with_all_that_it_started() {
    let folder = Folder::new();
    let script = "trap '' TERM; (trap '' TERM; exec setsid sleep 600) & echo child $!; while :; do sleep 0.05; done";
    let one = One::started(&folder, script).await;
    let log = one.said("child").await;
    let child: i32 = log[0].trim_start_matches("child ").trim().parse().expect("a number");
    let stat = format!("/proc/{child}/stat");
    one.stop(Duration::from_millis(300)).await;
    assert_eq!(one.exited().await, (Some(137), ExitWhy::Asked));
    let gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    let deadline = Instant::now() + Duration::from_secs(5);
    while !gone() {
        assert!(Instant::now() < deadline, "a child that left the group outlived it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_shim_leaves_the_app_running_and_the_daemon_stops_it() {
    let folder = Folder::new();
    let one = One::started(&folder, "trap '' TERM; while :; do sleep 0.05; done").await;
    one.until("it runs", |one| matches!(one.phase, Phase::Running { .. })).await;
    rustix::process::kill_process(one.pid(&folder, "shim"), rustix::process::Signal::KILL).expect("it runs");
    let One { runtime, id } = one;
    drop(runtime);
    let one = One { runtime: open(&folder), id };
    one.until("it still runs", |one| matches!(one.phase, Phase::Running { .. })).await;
    one.stop(Duration::from_millis(200)).await;
    assert_eq!(one.exited().await, (None, ExitWhy::Asked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_not_there_cannot_start_and_an_exit_with_127_is_an_exit() {
    let folder = Folder::new();
    let one = One::started(&folder, "exit 127").await;
    assert_eq!(one.exited().await, (Some(127), ExitWhy::ByItself));
    let other = One { runtime: open(&folder), id: "web-r2-0".parse().expect("a name") };
    let mut bad = Release::clone(&release(&other.id.app, Revision(2), ""));
    bad.template.command = vec!["no-such-program".to_owned()];
    assert_eq!(other.create(Arc::new(bad)).await, StepOutcome::Done);
    let (_, why) = other.exited().await;
    assert!(matches!(&why, ExitWhy::CannotStart { detail } if detail.contains("no-such-program")), "{why:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_has_its_files_its_port_and_nothing_of_ours() {
    let folder = Folder::new();
    let one = One { runtime: open(&folder), id: "web-r1-0".parse().expect("a name") };
    let mut made = Release::clone(&release(&one.id.app, Revision(1), "cat etc/app.conf; env; exec sleep 600"));
    made.template.files =
        vec![FileSpec { path: "etc/app.conf".to_owned(), content: "greeting=hello\n".to_owned(), mode: 0o640 }];
    assert_eq!(one.create(Arc::new(made)).await, StepOutcome::Done);
    let log = one.said("TRUEUP_INSTANCE").await;
    assert_eq!(log[0], "greeting=hello");
    let port = one.seen().await.expect("it is there").addresses["http"].port();
    assert!((20_000..30_000).contains(&port) && log.contains(&format!("PORT={port}")), "{log:?}");
    let allowed = ["PATH", "PORT", "PORT_HTTP", "TRUEUP_APP", "TRUEUP_INSTANCE", "TRUEUP_REVISION", "PWD", "_"];
    let names = log.iter().skip(1).filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let leaked: Vec<_> =
        names.filter(|name| !allowed.contains(name) && *name != "OLDPWD" && *name != "SHLVL").collect();
    assert!(leaked.is_empty(), "the environment of the daemon reached the app: {leaked:?}");
    let asked = ["sh", "-c", "echo $PORT; pwd; exit 3"].map(str::to_owned);
    let answer = one.runtime.exec(&one.id, &asked, Duration::from_secs(5)).await.expect("it runs");
    assert_eq!(answer.code, Some(3));
    assert!(
        answer.output.starts_with(&format!("{port}\n")) && answer.output.trim_end().ends_with("/root"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_outside_and_an_unknown_user_are_refused_for_good() {
    let folder = Folder::new();
    let one = One { runtime: open(&folder), id: "web-r1-0".parse().expect("a name") };
    let mut outside = Release::clone(&release(&one.id.app, Revision(1), "exit 0"));
    outside.template.files = vec![FileSpec { path: "../../escape".to_owned(), content: String::new(), mode: 0o600 }];
    let outcome = one.create(Arc::new(outside)).await;
    assert!(matches!(&outcome, StepOutcome::Refused { why: Refusal::Invalid(why) } if why.contains("escape")));
    let mut nobody = Release::clone(&release(&one.id.app, Revision(1), "exit 0"));
    nobody.template.user = Some("no-such-user".to_owned());
    let outcome = one.create(Arc::new(nobody)).await;
    assert!(matches!(&outcome, StepOutcome::Refused { why: Refusal::Invalid(why) } if why.contains("no-such-user")));
    assert!(one.seen().await.is_none(), "nothing was left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_a_dead_daemon_left_without_a_life_is_started_or_removed() {
    let folder = Folder::new();
    let one = One::started(&folder, "exec sleep 600").await;
    one.stop(Duration::from_secs(5)).await;
    one.exited().await;
    let One { runtime, id } = one;
    drop(runtime);
    // As if the daemon had died between the folder and its first life.
    std::fs::remove_dir_all(folder.path().join("instances/web-r1-0/life-1")).expect("it is there");
    let one = One { runtime: open(&folder), id };
    let seen = one.seen().await.expect("it is there");
    assert_eq!(seen.phase, Phase::Created);
    let start = InstanceStep::Start { id: one.id.clone(), ended: seen.incarnation };
    assert_eq!(one.apply(start).await, StepOutcome::Done);
    one.until("it runs", |one| matches!(one.phase, Phase::Running { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_while_creating_forgets_nothing() {
    let folder = Folder::new();
    let runtime = Arc::new(open(&folder));
    let looking = {
        let runtime = Arc::clone(&runtime);
        tokio::spawn(async move {
            loop {
                runtime.survey().await;
            }
        })
    };
    let app = AppName::new("web").expect("a name");
    for ordinal in 0..20 {
        let id = InstanceId::new(&app, Revision(1), trueup_types::Ordinal(ordinal));
        let release = release(&app, Revision(1), "exec sleep 600");
        let step = InstanceStep::Create { id, place: Place::here(), release };
        assert_eq!(runtime.apply(&TargetStep::Instance(step)).await, StepOutcome::Done);
    }
    looking.abort();
    let survey = runtime.survey().await;
    let sight = survey.into_values().next().expect("one place").expect("it is in sight");
    assert_eq!(sight.instances.len(), 20);
    assert!(sight.instances.iter().all(|one| matches!(one.phase, Phase::Running { .. })), "{sight:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_beside_an_instance_takes_nothing_that_a_user_has_few_of() {
    let folder = Folder::new();
    let one = One::started(&folder, "exec sleep 600").await;
    one.until("it runs", |one| matches!(one.phase, Phase::Running { .. })).await;
    let shim = find(folder.path(), "shim.json").expect("the shim wrote who it is");
    let lived: serde_json::Value = serde_json::from_slice(&std::fs::read(shim).expect("it reads")).expect("JSON");
    let held = std::fs::read_dir(format!("/proc/{}/fd", lived["shim"]["pid"])).expect("the shim lives");
    let held: Vec<_> = held.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok()).collect();
    assert!(held.iter().any(|path| path.ends_with("bell")), "it waits for its bell: {held:?}");
    assert!(!held.iter().any(|path| path.to_string_lossy().contains("inotify")), "128 of these is all: {held:?}");
    one.stop(Duration::from_secs(5)).await;
    assert_eq!(one.exited().await.1, ExitWhy::Asked);
}

/// The first file of this name below a folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let found = files.into_iter().find(|path| path.ends_with(name));
    found.or_else(|| folders.iter().find_map(|folder| find(folder, name)))
}
