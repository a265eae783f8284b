//! What the daemon forgets, and what it must not do then: the store deleted at any moment, the disk full, a second
//! daemon on the same state.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use trueup_tests::daemon::{app_of, condition, incarnations, word};
use trueup_tests::manifest::Badness;
use trueup_tests::{Bench, Daemon, DemoApp, Load, Mix, processes};

const LIGHT: Mix = Mix { kept: 2, fresh: 1, slow: 0, sockets: 1 };

/// Moments after an edit, in milliseconds, at which the daemon dies and its store is deleted.
const MOMENTS: [u64; 10] = [0, 60, 300, 450, 600, 900, 1_400, 2_200, 3_200, 4_500];

#[test]
fn a_lost_store_restarts_nothing_that_is_healthy() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v0");
    bench.write(&app);
    let mut daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let load = Load::start(bench.listen, "web.localhost", LIGHT);
    for (round, moment) in MOMENTS.into_iter().enumerate() {
        let old = processes::demo_servers(&bench.state_dir());
        let version = format!("v{}", round + 1);
        bench.write(&app.at(&version));
        std::thread::sleep(Duration::from_millis(moment));
        daemon.kill();
        let left = processes::demo_servers(&bench.state_dir());
        std::fs::remove_dir_all(bench.state_dir().join("store")).expect("the store is there");
        daemon = Daemon::start(&bench);
        daemon.eventually(
            &format!("{version} serves after a loss at +{moment} ms"),
            Duration::from_secs(60),
            |status| {
                let web = app_of(status, "web");
                word(&web) == "Ready" && condition(&web, "Reconciling") != "True" && served(&bench) == version
            },
        );
        // What was left running under the wanted release went on under the same process.
        let now = processes::demo_servers(&bench.state_dir());
        for (name, pids) in now.iter().filter(|(name, _)| left.contains_key(*name) && !old.contains_key(*name)) {
            assert_eq!(left.get(name), Some(pids), "{name} was restarted after a loss at +{moment} ms");
        }
    }
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new(), "ten losses of the store");
}

#[test]
fn a_lost_store_still_reverts_a_bad_release() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "good");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let lives = incarnations(&daemon.app("web"), 1);
    bench.write(&app.bad("bad", Badness::NeverHealthy));
    daemon.eventually("the bad one is tried", Duration::from_secs(20), |status| {
        !incarnations(&app_of(status, "web"), 2).is_empty()
    });
    daemon.kill();
    std::fs::remove_dir_all(bench.state_dir().join("store")).expect("the store is there");
    let daemon = Daemon::start(&bench);
    daemon.eventually("it goes back", Duration::from_secs(60), |status| {
        let web = app_of(status, "web");
        condition(&web, "Reverted") == "True" && condition(&web, "Ready") == "True"
    });
    assert_eq!(incarnations(&daemon.app("web"), 1), lives, "the good instances never left");
}

#[test]
fn a_second_daemon_on_the_same_state_refuses_clearly() {
    let bench = Bench::new();
    bench.write(&DemoApp::new("web", "v1"));
    let daemon = Daemon::start(&bench);
    let mut command = bench.trueup();
    command.arg("run").arg(bench.config_dir()).arg("--listen").arg(bench.listen.to_string());
    let output = command.output().expect("the binary runs");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "a second daemon was let in");
    assert!(talk.contains(&daemon.pid().to_string()), "it says who holds the state directory: {talk}");
    daemon.await_live("web", 1);
}

#[test]
fn a_full_disk_neither_stops_nor_harms_what_runs_and_heals() {
    let bench = Bench::new();
    std::fs::create_dir(bench.state_dir()).expect("a state folder");
    if !mount(&bench.state_dir()) {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!ci, "a tmpfs cannot be mounted, and CI leaves nothing out");
        println!("LEFT OUT: a full disk, since a tmpfs cannot be mounted here");
        return;
    }
    let _unmount = Unmount(bench.state_dir());
    let app = DemoApp::new("web", "v1");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let lives = incarnations(&daemon.app("web"), 1);
    let load = Load::start(bench.listen, "web.localhost", LIGHT);
    fill(&bench.state_dir());
    bench.write(&app.at("v2"));
    daemon.eventually("the daemon says so", Duration::from_secs(40), |status| {
        let conditions = status["daemon"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == "StateStoreDegraded")
    });
    assert_eq!(incarnations(&daemon.app("web"), 1), lives, "a full disk touched what runs");
    assert_eq!(served(&bench), "v1", "no new rollout begins without memory");
    std::fs::remove_file(bench.state_dir().join("filler")).expect("the filler goes");
    daemon.eventually("it heals, and rolls", Duration::from_secs(60), |status| {
        word(&app_of(status, "web")) == "Ready" && served(&bench) == "v2"
    });
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new(), "a full disk");
    drop(daemon);
    processes::kill_all(&bench.state_dir());
}

/// What the edge answers for the app.
fn served(bench: &Bench) -> String {
    let ask = async {
        let client = reqwest::Client::builder().no_proxy().resolve("web.localhost", bench.listen);
        let client = client.timeout(Duration::from_secs(5)).build().expect("a client");
        let answer = client.get("http://web.localhost/version").send().await;
        match answer {
            Ok(answer) => answer.text().await.unwrap_or_default().trim().to_owned(),
            Err(error) => error.to_string(),
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(ask)
}

fn mount(folder: &Path) -> bool {
    let words = ["-t", "tmpfs", "-o", "size=48m,mode=0700", "tmpfs"];
    Command::new("mount").args(words).arg(folder).status().is_ok_and(|status| status.success())
}

/// Fills what is left of a small file system.
fn fill(folder: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(folder.join("filler")).expect("the filler opens");
    let block = vec![0_u8; 64 * 1024];
    for size in [block.len(), 4_096, 512, 1] {
        while file.write_all(&block[..size]).is_ok() {}
    }
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        processes::kill_all(&self.0);
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
