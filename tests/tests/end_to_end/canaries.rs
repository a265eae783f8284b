//! Canaries under load, on real processes and sockets: promoted by their analyses, and taken back by them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use trueup_tests::daemon::{condition, incarnations};
use trueup_tests::{Bench, Daemon, DemoApp, Load, Mix, processes};

/// Canaries of each kind.
const CANARIES: u64 = 10;

/// A page of figures that an analysis asks: the rate of errors.
struct Page {
    address: SocketAddr,
    /// Whether the rate is 0.5, not 0.01.
    sick: Arc<AtomicBool>,
}

impl Page {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, sick) = (listener.local_addr().expect("it listens"), Arc::<AtomicBool>::default());
        let seen = Arc::clone(&sick);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.expect("a client");
                // What is asked for matters not.
                let _ = client.read(&mut [0; 2048]);
                let rate = if seen.load(Ordering::SeqCst) { "0.5" } else { "0.01" };
                let body = format!("{{\"errors\": {{\"rate\": {rate}}}}}");
                let answer =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                // Who asked may have been told to go.
                let _ = client.write_all(answer.as_bytes());
            }
        });
        Self { address, sick }
    }

    fn sickens(&self, sick: bool) {
        self.sick.store(sick, Ordering::SeqCst);
    }
}

/// A version that gets a fifth of the traffic for a while, then more than half.
fn canary(page: &Page, version: &str, pause: &str) -> DemoApp {
    let http = format!("{{url: \"http://{}/\", json: /errors/rate, expect: \"< 0.1\"}}", page.address);
    let analysis = format!("[{{name: errors, http: {http}, interval: 200ms}}]");
    let steps = format!("[{{weight: 20, pause: {pause}, analysis: {analysis}}}, {{weight: 60, pause: 400ms}}]");
    DemoApp::new("web", version).rollout("strategy", "canary").rollout("steps", &steps).rollout("bake", "1s")
}

fn message(app: &Value) -> String {
    app["status"]["verdict"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn ten_are_promoted_and_ten_taken_back_and_no_request_fails() {
    let (bench, page) = (Bench::new(), Page::open());
    bench.write(&canary(&page, "v1", "600ms"));
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let load = Load::start(bench.listen, "web.localhost", Mix::FULL);
    let mut revision = 1;
    for round in 0..CANARIES {
        revision += 1;
        bench.write(&canary(&page, &format!("good-{round}"), "600ms"));
        daemon.await_live("web", revision);
        let (good, lives) = (revision, incarnations(&daemon.app("web"), revision));
        revision += 1;
        // One that answers requests before its figures turn bad, however busy the host is.
        let bad = format!("bad-{round}");
        bench.write(&canary(&page, &bad, "30s"));
        daemon.eventually("the canary answers", Duration::from_secs(30), |_| load.answered_by(&bad) > 0);
        page.sickens(true);
        daemon.await_reverted("web", revision);
        page.sickens(false);
        let app = daemon.app("web");
        assert!(message(&app).contains("analysis errors: it is 0.5, expected < 0.1"), "{}", message(&app));
        assert_eq!(incarnations(&app, good), lives, "a canary that was taken back touched the old instances");
    }
    let outcome = load.finish();
    assert_eq!(outcome.failures, Vec::<String>::new(), "{CANARIES} canaries promoted, {CANARIES} taken back");
    let served = |kind: &str| outcome.versions.keys().filter(|version| version.starts_with(kind)).count();
    let all = usize::try_from(CANARIES).expect("small");
    assert_eq!((served("good"), served("bad")), (all, all), "every canary had its share: {:?}", outcome.versions);
    daemon.eventually("only the last good ones run", Duration::from_secs(30), |_| {
        processes::demo_servers(&bench.state_dir()).len() == 2
    });
}

#[test]
fn a_daemon_that_dies_at_a_step_goes_on_with_it_and_a_person_lets_it_pass() {
    let bench = Bench::new();
    let app = DemoApp::new("web", "v1").rollout("strategy", "canary");
    let app = app.rollout("steps", "[{weight: 25, approve: true}, {weight: 50, approve: true}]").rollout("bake", "1s");
    bench.write(&app);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    bench.write(&app.at("v2"));
    let stands = |daemon: &Daemon, step: &str| {
        daemon.eventually(step, Duration::from_secs(30), |_| message(&daemon.app("web")).contains(step));
    };
    stands(&daemon, "r2 gets 25 % of the traffic, step 1 of 2; it waits for `trueup promote`");
    assert_eq!(condition(&daemon.app("web"), "Ready"), "True", "the app serves all the while");
    daemon.kill();
    let daemon = Daemon::start(&bench);
    stands(&daemon, "r2 gets 25 % of the traffic, step 1 of 2");
    let backends = daemon.app("web")["status"]["routes"].to_string();
    assert!(backends.contains("web-r1-0=3") && backends.contains("web-r2-0=1"), "three to one: {backends}");
    let (code, said, _) = bench.ask(&["promote", "web"]);
    assert_eq!(code, 0, "{said}");
    stands(&daemon, "r2 gets 50 % of the traffic, step 2 of 2");
    let (code, said, _) = bench.ask(&["promote", "web", "--full"]);
    assert_eq!(code, 0, "{said}");
    daemon.await_live("web", 2);
}
