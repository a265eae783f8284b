//! The daemon as a service: what it tells systemd, how it takes signals, and who is allowed what.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use trueup_tests::{Bench, Daemon, DemoApp, processes};

/// A daemon that speaks to a notification socket of ours; ended with the test.
struct Service {
    child: Child,
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Service {
    fn start(bench: &Bench, watchdog: Duration) -> Self {
        let path = bench.path("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("the socket is bound");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("it takes a timeout");
        let mut command = bench.trueup();
        command.arg("run").arg(bench.config_dir()).args(["--listen", &bench.listen.to_string()]);
        command.args(["--resync", "1h"]).env("NOTIFY_SOCKET", &path);
        command.env("WATCHDOG_USEC", watchdog.as_micros().to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().expect("the daemon starts"), socket, heard: Vec::new() }
    }

    /// Listens until something was said, and so often.
    fn hears(&mut self, what: &str, times: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut buffer = [0; 4_096];
        while self.heard.iter().filter(|said| said.contains(what)).count() < times {
            assert!(Instant::now() < deadline, "`{what}` was not said {times} times: {:?}", self.heard);
            if let Ok(length) = self.socket.recv(&mut buffer) {
                self.heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have left already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn systemd_hears_ready_status_and_the_watchdog_and_stopping() {
    let bench = Bench::new();
    bench.write(&DemoApp::new("web", "v1"));
    let mut service = Service::start(&bench, Duration::from_secs(1));
    service.hears("READY=1", 1);
    service.hears("STATUS=1 of 1 apps are Ready", 1);
    service.hears("WATCHDOG=1", 3);
    service.signal(Signal::TERM);
    service.hears("STOPPING=1", 1);
    assert!(service.child.wait().expect("it ends").success(), "SIGTERM is no failure");
    assert_eq!(processes::demo_servers(&bench.state_dir()).len(), 2, "the apps go on");
}

#[test]
fn a_hang_up_ends_nothing_and_the_manifests_are_listed() {
    let bench = Bench::new();
    let mut service = Service::start(&bench, Duration::from_secs(10));
    service.hears("READY=1", 1);
    // What a program that knows no better dies of.
    service.signal(Signal::HUP);
    bench.write(&DemoApp::new("web", "v1"));
    service.signal(Signal::HUP);
    let deadline = Instant::now() + Duration::from_secs(30);
    while processes::demo_servers(&bench.state_dir()).len() < 2 {
        assert!(Instant::now() < deadline, "the new manifest was not found");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_state_is_private_and_the_status_public() {
    let bench = Bench::new();
    bench.write(&DemoApp::new("web", "v1"));
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let mode = |path: std::path::PathBuf| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(bench.state_dir()), 0o700);
    assert_eq!(mode(bench.state_dir().join("control.sock")), 0o600);
    assert_eq!(mode(bench.status_file()), 0o644);
    let life = bench.state_dir().join("instances/web-r1-0/life-1");
    assert_eq!(mode(life.join("life.json")), 0o600, "the environment is nobody's business");
    assert_eq!(mode(life.join("log")), 0o600);
}

#[test]
fn a_state_directory_that_others_may_look_into_is_closed_or_told_of() {
    let bench = Bench::new();
    let state = bench.state_dir();
    let mode = || state.metadata().expect("it is there").permissions().mode() & 0o777;
    let open = || std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let (_, said, _) = bench.ask(&["doctor"]);
    assert!(said.contains("is not there yet; `trueup run` makes it"), "{said}");
    assert!(!state.exists(), "who looks changes nothing");
    std::fs::create_dir(&state).expect("a folder");
    open();
    let daemon = Daemon::start(&bench);
    assert_eq!(mode(), 0o700, "one that was made for it");
    daemon.terminate();
    open();
    let daemon = Daemon::start(&bench);
    let (_, said, _) = bench.ask(&["doctor"]);
    let line = said.lines().find(|line| line.starts_with("state directory")).unwrap_or_default();
    assert!(line.contains("warning") && line.contains("is open to others (mode 0755)"), "{said}");
    assert!(daemon.tail().contains("is open to others (mode 0755)"), "{}", daemon.tail());
}

#[test]
fn a_port_that_is_taken_is_a_clear_error() {
    let bench = Bench::new();
    let taken = std::net::TcpListener::bind(bench.listen).expect("it was free");
    let mut command = bench.trueup();
    command.arg("run").arg(bench.config_dir()).args(["--listen", &bench.listen.to_string()]);
    let output = command.output().expect("the binary runs");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(talk.contains(&bench.listen.to_string()) && talk.contains("in use"), "it names the port: {talk}");
    drop(taken);
}

#[test]
fn a_socket_path_that_is_too_long_is_a_clear_error() {
    let bench = Bench::new();
    let deep = bench.path(&"d".repeat(110));
    let mut command = bench.trueup();
    command.arg("--state-dir").arg(&deep).arg("run").arg(bench.config_dir());
    let output = command.args(["--listen", &bench.listen.to_string()]).output().expect("the binary runs");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(talk.contains("107") || talk.contains("too long"), "it names the bound: {talk}");
}
