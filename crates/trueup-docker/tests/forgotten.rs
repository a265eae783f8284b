//! What an engine leaves of a start when it is killed in the middle of it, made here through the containerd beneath it.
//!
//! An engine of its own, since nobody else can use it meanwhile.

#[allow(dead_code, reason = "shared with the other tests, which use more of it")]
mod support;

use std::process::Command;
use std::time::Duration;

use support::engine::{Engine, engine};
use support::{One, PATIENCE};
use trueup_types::observed::Phase;
use trueup_types::step::{InstanceStep, StepOutcome};

const FOREVER: &str = "exec sleep 600";

/// A container that the engine has never started, and its id.
async fn unstarted(engine: &'static Engine, owner: &str) -> (One, String) {
    let one = One::started(engine, owner, FOREVER).await;
    let made = engine.ask("GET", &format!("/containers/{}/json", one.container()), "");
    let _ = engine.ask("DELETE", &format!("/containers/{}?force=true", one.container()), "");
    let again =
        engine.ask("POST", &format!("/containers/create?name={}", one.container()), &made["Config"].to_string());
    let id = again["Id"].as_str().expect("an id").to_owned();
    (one, id)
}

/// Runs a program under a container's id without the engine's knowledge, and answers its process.
fn run_unknown(engine: &Engine, id: &str) -> u32 {
    let ctr = || {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(engine.path("containerd.sock")).args(["--namespace", "moby"]);
        ctr
    };
    let root = engine.path(&format!("root-{}", &id[..12]));
    std::fs::create_dir_all(root.join("bin")).expect("a folder");
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|path| std::fs::exists(path).unwrap_or(false));
    std::fs::copy(busybox.expect("busybox is installed"), root.join("bin/busybox")).expect("it is copied");
    let mut run = ctr();
    run.args(["run", "--detach", "--null-io", "--rootfs"]).arg(&root).arg(id).args(["/bin/busybox", "sleep", "600"]);
    let ran = run.output().expect("ctr is there");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let tasks = ctr().args(["tasks", "ls"]).output().expect("ctr is there");
    let tasks = String::from_utf8_lossy(&tasks.stdout).into_owned();
    let line = tasks.lines().find(|line| line.starts_with(id)).expect("it runs");
    line.split_whitespace().nth(1).and_then(|pid| pid.parse().ok()).expect("a process id")
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

async fn start(one: &One) -> StepOutcome {
    let ended = one.seen().await.expect("it is there").incarnation;
    one.apply(InstanceStep::Start { id: one.id.clone(), ended }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_has_forgotten_of_a_start_is_cleared_away_and_the_next_goes_well() {
    let Some(engine) = engine() else { return };
    let (started, runs) = unstarted(engine, "forgotten").await;
    let (removed, goes) = unstarted(engine, "given-up").await;
    let (stuck, folder) = unstarted(engine, "stuck").await;
    engine.kill();
    let (runs, goes) = (run_unknown(engine, &runs), run_unknown(engine, &goes));
    let folder = engine.path("containerd-state").join("io.containerd.runtime.v2.task/moby").join(folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    engine.start_again();
    assert!(lives(runs) && lives(goes));
    for one in [&started, &removed, &stuck] {
        let seen = one.seen().await.expect("it is there");
        assert!(matches!(seen.phase, Phase::Created), "the engine knows of no start: {seen:?}");
    }

    // A process: it is ended, and the container starts.
    let outcome = start(&started).await;
    assert!(matches!(&outcome, StepOutcome::Retry { why, .. } if why.contains("has been ended")), "{outcome:?}");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while start(&started).await != StepOutcome::Done {
        assert!(tokio::time::Instant::now() < deadline, "it does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    started.running().await;
    assert!(!lives(runs), "two would share its volumes");

    // A process again: it goes with its container, since nobody else would know of it.
    assert_eq!(removed.remove().await, StepOutcome::Done);
    assert!(!lives(goes), "it goes on without a container");

    // A folder: the container never starts, and another is made.
    let outcome = start(&stuck).await;
    assert!(matches!(&outcome, StepOutcome::Retry { why, .. } if why.contains("made anew")), "{outcome:?}");
    assert!(stuck.seen().await.is_none());
    assert_eq!(stuck.create(stuck.release(FOREVER)).await, StepOutcome::Done);
    stuck.running().await;
}
