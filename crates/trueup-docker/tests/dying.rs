//! An engine that dies under us, and comes back: a program of its own, since nobody else can use it meanwhile.

#[allow(dead_code, reason = "shared with the other tests, which use more of it")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use support::engine::engine;
use support::{One, PATIENCE};
use trueup_seams::{Nudge, Nudges as _};
use trueup_types::observed::{ExitWhy, Phase};
use trueup_types::step::{InstanceStep, StepOutcome};
use trueup_types::template::Stop;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_dies_takes_nothing_with_it_and_what_ended_meanwhile_is_no_fault_of_its_release() {
    let Some(engine) = engine() else { return };
    let one = One::started(engine, "survives", "exec httpd -f -p $PORT -h /etc").await;
    let other = One::started(engine, "falls", "exec sleep 600").await;
    let pid = |one: &One| {
        let there = engine.ask("GET", &format!("/containers/{}/json", one.container()), "");
        there["State"]["Pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a process id")
    };
    let (before, fell_before) = (one.running().await, other.running().await);
    let (survives, falls) = (pid(&one), pid(&other));
    let (sender, mut nudges) = tokio::sync::mpsc::unbounded_channel();
    one.runtime.listen(Arc::new(move |nudge| {
        let _ = sender.send(nudge);
    }));
    let mut next = async || tokio::time::timeout(PATIENCE, nudges.recv()).await.expect("a nudge comes");
    assert_eq!(next().await, Some(Nudge::All));

    engine.kill();
    one.survey().await.expect_err("what cannot be seen is not empty");
    other.survey().await.expect_err("nor for anybody else");
    let stop = Stop { timeout: Duration::from_secs(1), ..Stop::default() };
    let step = InstanceStep::Stop { id: one.id.clone(), incarnation: before.incarnation.clone(), stop };
    let outcome = one.apply(step).await;
    assert!(matches!(outcome, StepOutcome::Retry { .. }), "nothing was done, and it may be tried again: {outcome:?}");
    assert!(std::path::Path::new(&format!("/proc/{survives}")).exists(), "its containers go on");
    let target = rustix::process::Pid::from_raw(falls).expect("a process id");
    rustix::process::kill_process(target, rustix::process::Signal::KILL).expect("it runs");

    engine.start_again();
    assert_eq!(next().await, Some(Nudge::All), "whoever was blind looks again");
    let after = one.running().await;
    assert_eq!((after.incarnation, pid(&one)), (before.incarnation, survives), "the same life, and not told to stop");
    assert_eq!(after.addresses, before.addresses);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(after.addresses["http"]).is_err() {
        assert!(tokio::time::Instant::now() < deadline, "its port is not published again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let fell = other.until("it is down", |seen| matches!(seen.phase, Phase::Exited { .. })).await;
    assert_eq!(fell.incarnation, fell_before.incarnation);
    assert!(matches!(fell.phase, Phase::Exited { why: ExitWhy::HostLost, .. }), "{fell:?}");

    // An engine that ends what ran under it, while no daemon looks.
    let third = one.again();
    let fourth = One::started(engine, "crashed", "exit 9").await;
    let (code, why) = fourth.exited().await;
    assert_eq!((code, why), (Some(9), ExitWhy::ByItself));
    let _ = third.running().await;
    engine.kill();
    engine.start_afresh();
    let third = third.again();
    let ended = third.until("it went down with its engine", |seen| matches!(seen.phase, Phase::Exited { .. })).await;
    assert!(matches!(ended.phase, Phase::Exited { why: ExitWhy::HostLost, .. }), "{ended:?}");
    let still = fourth.exited().await;
    assert_eq!(still, (Some(9), ExitWhy::ByItself), "what was seen to end by itself stays so");
}
