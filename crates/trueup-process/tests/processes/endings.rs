//! How lives end, and how they fail to begin: what is left behind, a loss of power, a shim that never comes up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;
use trueup_seams::Runtime as _;
use trueup_types::observed::{ExitWhy, Phase};
use trueup_types::step::{InstanceStep, StepOutcome, TargetStep};
use trueup_types::template::Stop;
use trueup_types::{Place, Release};

use crate::stage::{Folder, One, open, open_with, release};

/// A child that does not heed SIGTERM; when it does not, its number is said.
const STUBBORN: &str =
    "(trap '' TERM; : > deaf; exec sleep 600) & while ! test -e deaf; do sleep 0.01; done; echo child $!";

/// Whether a process has ended; what nobody has waited for yet has.
fn gone(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

async fn child_of(one: &One) -> String {
    let log = one.said("child").await;
    log[0].trim_start_matches("child ").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_asked_to_go_has_gone_when_all_of_it_has() {
    let folder = Folder::new();
    let one = One::started(&folder, &format!("trap 'exit 0' TERM; {STUBBORN}; while :; do sleep 0.02; done")).await;
    let child = child_of(&one).await;
    one.stop(Duration::from_millis(500)).await;
    let main = one.pid(&folder, "main").as_raw_nonzero().to_string();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !gone(&main) {
        assert!(Instant::now() < deadline, "it heeds the signal");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(one.exited().await, (Some(0), ExitWhy::Asked));
    assert!(gone(&child), "its disk and its ports are still held");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ended_by_itself_begins_anew_when_what_it_left_behind_has_gone() {
    let folder = Folder::new();
    let one = One { runtime: open(&folder), id: "web-r1-0".parse().expect("a name") };
    let script = format!("if test -e again; then exec sleep 600; fi; touch again; {STUBBORN}; exit 7");
    let mut made = Release::clone(&release(&one.id.app, one.id.revision, &script));
    made.template.stop = Stop { timeout: Duration::from_secs(600), ..Stop::default() };
    assert_eq!(one.create(Arc::new(made)).await, StepOutcome::Done);
    let child = child_of(&one).await;
    assert_eq!(one.exited().await, (Some(7), ExitWhy::ByItself));
    let ended = one.seen().await.expect("it is there").incarnation;
    let start = InstanceStep::Start { id: one.id.clone(), ended: ended.clone() };
    let remove = InstanceStep::Remove { id: one.id.clone(), incarnation: ended };
    for step in [start.clone(), remove] {
        let outcome = one.apply(step).await;
        assert!(matches!(&outcome, StepOutcome::Underway { why, .. } if why.contains("still there")), "{outcome:?}");
    }
    let child_pid = child.parse().ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(child_pid, Signal::KILL).expect("it is still there");
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let outcome = one.apply(start.clone()).await;
        if outcome == StepOutcome::Done {
            break;
        }
        assert!(Instant::now() < deadline, "nothing is left: {outcome:?}");
    }
    assert!(gone(&child), "two lives of one instance side by side");
    one.until("it runs", |one| matches!(one.phase, Phase::Running { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_a_loss_of_power_emptied_hide_nothing() {
    for emptied in [&["shim.json"][..], &["life.json", "claim", "shim.json"], &["exit.json", "shim.json", "claim"]] {
        let folder = Folder::new();
        let one = One::started(&folder, "exec sleep 600").await;
        let pids = [one.pid(&folder, "shim"), one.pid(&folder, "main")];
        let One { runtime, id } = one;
        drop(runtime);
        for pid in pids {
            kill_process(pid, Signal::KILL).expect("it runs");
        }
        let life = folder.path().join("instances/web-r1-0/life-1");
        for (name, left) in emptied.iter().zip([&b""[..], &[0; 40], b"{\"version\":1,"]) {
            std::fs::write(life.join(name), left).expect("it is written");
        }
        elsewhere(&life.join("claim"));
        let one = One { runtime: open(&folder), id };
        assert_eq!(one.exited().await, (None, ExitWhy::HostLost), "{emptied:?}");
        let ended = one.seen().await.expect("it is there").incarnation;
        let start = InstanceStep::Start { id: one.id.clone(), ended };
        assert_eq!(one.apply(start).await, StepOutcome::Done);
        one.until("it runs", |one| matches!(one.phase, Phase::Running { .. })).await;
    }
}

/// Makes a claim that can be read one of another boot.
fn elsewhere(path: &Path) {
    let text = std::fs::read(path).expect("it reads");
    let Ok(mut claim) = serde_json::from_slice::<serde_json::Value>(&text) else { return };
    claim["world"]["bootId"] = "another".into();
    std::fs::write(path, claim.to_string()).expect("it is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shim_that_never_comes_up_leaves_an_instance_that_can_be_started() {
    let folder = Folder::new();
    let one = One { runtime: open_with(&folder, PathBuf::from("/bin/false")), id: "web-r1-0".parse().expect("a name") };
    let made = release(&one.id.app, one.id.revision, "exec sleep 600");
    let step = InstanceStep::Create { id: one.id.clone(), place: Place::here(), release: made };
    assert_eq!(one.runtime.apply(&TargetStep::Instance(step)).await, StepOutcome::Done);
    let seen = one.until("it is not on its way for ever", |one| one.phase == Phase::Created).await;
    let One { runtime, id } = one;
    drop(runtime);
    let one = One { runtime: open(&folder), id };
    assert_eq!(one.seen().await.map(|one| one.phase), Some(Phase::Created), "nor after a restart");
    let start = InstanceStep::Start { id: one.id.clone(), ended: seen.incarnation };
    assert_eq!(one.apply(start).await, StepOutcome::Done);
    one.until("it runs", |one| matches!(one.phase, Phase::Running { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_that_cannot_be_written_is_not_on_its_way_and_the_next_one_is() {
    let folder = Folder::new();
    let one = One::started(&folder, "exit 3").await;
    assert_eq!(one.exited().await, (Some(3), ExitWhy::ByItself));
    // As on a full disk: the folder of the next life cannot be made.
    let blocked = folder.path().join("instances/web-r1-0/life-2");
    std::fs::write(&blocked, "").expect("it is written");
    let ended = one.seen().await.expect("it is there").incarnation;
    let outcome = one.apply(InstanceStep::Start { id: one.id.clone(), ended }).await;
    assert!(matches!(outcome, StepOutcome::Retry { .. }), "{outcome:?}");
    let seen = one.seen().await.expect("it is there");
    assert_eq!(seen.phase, Phase::Created);
    let start = InstanceStep::Start { id: one.id.clone(), ended: seen.incarnation };
    assert_eq!(one.apply(start).await, StepOutcome::Done);
    assert_eq!(one.exited().await, (Some(3), ExitWhy::ByItself));
}
