//! The lives of edges: swaps under load, drains, restarts, hand-overs, changed addresses, deaths.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use support::{Backend, TestEdge, connect, echo_over, eventually, full, over, place, request, table, websocket};
use tokio::task::JoinHandle;
use trueup_edge::{EdgeClient, EdgeError, Limits, live_edges, run};
use trueup_seams::Ingress as _;
use trueup_types::TableGeneration;
use trueup_types::step::StepOutcome;

/// Clients that ask without pause, half of them with a new connection each time; answers how many asked.
struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(address: std::net::SocketAddr, host: &'static str) -> Self {
        let (stop, good) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..8).map(|number| {
            let (stop, good) = (Arc::clone(&stop), Arc::clone(&good));
            tokio::spawn(async move {
                let mut sender = connect(address).await;
                while !stop.load(Ordering::Relaxed) {
                    if number % 2 == 0 || sender.ready().await.is_err() {
                        sender = connect(address).await;
                    }
                    let post = request("POST", host, "/echo", full("hello"));
                    let got = over(&mut sender, post).await.expect("an answer");
                    assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "hello"));
                    good.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let clients = clients.collect();
        Self { stop, good, clients }
    }

    async fn more(&self, count: usize) {
        let before = self.good.load(Ordering::Relaxed);
        eventually("the load goes on", || async {
            assert!(!self.clients.iter().any(JoinHandle::is_finished), "a client failed");
            self.good.load(Ordering::Relaxed) >= before + count
        })
        .await;
    }

    async fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("no request failed");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_swapped_under_load_and_no_request_fails() {
    let dir = place();
    let edge = TestEdge::start(dir.path()).await;
    let backends = [Backend::start("one").await, Backend::start("two").await];
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backends[0].address, 1)])]).await;
    let load = Load::start(edge.address, "a.test");
    for generation in 2..30_u64 {
        let (name, old) = (format!("web-r{generation}-0"), format!("web-r{}-0", generation - 1));
        let address = backends[usize::from(generation % 2 == 0)].address;
        edge.route(generation, &[("a.test", "/", vec![(&name, address, 1)])]).await;
        eventually("the old instance is drained", || async {
            !edge.in_flight().await.iter().any(|(instance, _)| *instance == old)
        })
        .await;
        let seen = backends[usize::from(generation % 2 != 0)].seen();
        load.more(20).await;
        assert_eq!(backends[usize::from(generation % 2 != 0)].seen(), seen, "drained means that nobody comes any more");
    }
    load.finish().await;
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_share_requests_out() {
    let dir = place();
    let edge = TestEdge::start(dir.path()).await;
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", one.address, 9), ("web-r2-0", two.address, 1)])]).await;
    let mut sender = connect(edge.address).await;
    for _ in 0..500 {
        over(&mut sender, request("GET", "a.test", "/", full(""))).await.expect("an answer");
    }
    // 50 are due; fewer than 15 or more than 100 come once in many millions of runs.
    assert!((15..=100).contains(&two.seen()), "{} of 500", two.seen());
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_counts_after_its_instance_left_the_table() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let address = edge.address;
    let slow = tokio::spawn(async move { support::get(address, "a.test", "/gate").await });
    eventually("the request has arrived", || async { backend.seen() == 1 }).await;
    edge.route(2, &[("a.test", "/", vec![("web-r1-0", backend.address, 0)])]).await;
    assert_eq!(edge.in_flight().await, vec![("web-r1-0".to_owned(), 1)], "weight 0 drains");
    edge.route(3, &[]).await;
    assert_eq!(edge.in_flight().await, vec![("web-r1-0".to_owned(), 1)], "as does absence");
    backend.gate.notify_one();
    assert_eq!(slow.await.expect("it ran").body, "web");
    eventually("the drain has ended", || async { edge.in_flight().await.is_empty() }).await;
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_comes_back_has_its_last_table() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(7, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    edge.leave().await;
    let client = EdgeClient::new(dir.path().to_owned(), support::owner());
    assert!(client.observe().await.is_err(), "nobody is there to be seen");
    assert!(matches!(client.apply(&table(8, &[])).await, StepOutcome::Unknown { .. }));
    let edge = TestEdge::start(dir.path()).await;
    let sight = edge.client.observe().await.expect("it is back");
    assert_eq!(sight.table.generation, TableGeneration(7));
    assert_eq!(edge.get("a.test", "/").await.body, "web");
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_table_is_set_aside() {
    let dir = place();
    std::fs::write(dir.path().join("table.json"), b"{\"owner\":").expect("it is written");
    let edge = TestEdge::start(dir.path()).await;
    assert_eq!(edge.client.observe().await.expect("it runs").table.generation, TableGeneration(0));
    assert!(dir.path().join("table.json.damaged").exists());
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_edge_takes_over_and_nothing_is_cut_or_refused() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let old = TestEdge::start(dir.path()).await;
    old.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let load = Load::start(old.address, "a.test");
    load.more(50).await;
    let mut socket = websocket(old.address, "a.test").await;
    let mut kept = connect(old.address).await;
    over(&mut kept, request("GET", "a.test", "/", full(""))).await.expect("an answer");
    let address = old.address;
    let gated = Arc::clone(&backend.gate);
    let slow = tokio::spawn(async move { support::get(address, "a.test", "/gate").await });
    eventually("both are in flight", || async { old.in_flight().await.iter().any(|(_, count)| *count >= 2) }).await;

    let mut config = support::config(dir.path(), old.address);
    (config.threads, config.build) = (3, "newer".to_owned());
    let new = TestEdge::start_with(config, Limits::STANDARD).await;
    load.more(100).await;
    let status = new.client.status().await.expect("both answer");
    assert_eq!(status.edges.len(), 2, "the old one stays for what it has");
    let accepting = status.accepting().expect("one accepts");
    assert_eq!((accepting.build.as_str(), accepting.listen.as_slice()), ("newer", &[address][..]));
    load.finish().await;

    // The old edge still routes: a table reaches both, counts come from both.
    let second = Backend::start("second").await;
    new.route(2, &[("a.test", "/", vec![("web-r2-0", second.address, 1)])]).await;
    let got = over(&mut kept, request("GET", "a.test", "/", full(""))).await.expect("an answer");
    assert_eq!((got.body.as_str(), got.header("connection")), ("second", "close"), "idle ones are closed gracefully");
    echo_over(&mut socket, "still here").await;
    eventually("only the slow two are left", || async { new.in_flight().await == vec![("web-r1-0".to_owned(), 2)] })
        .await;
    gated.notify_one();
    assert_eq!(slow.await.expect("it ran").body, "web");
    echo_over(&mut socket, "and here").await;
    assert!(!old.has_ended(), "a tunnel holds it");
    drop(socket);
    old.ended().await;
    assert_eq!(new.client.status().await.expect("it answers").edges.len(), 1);
    assert_eq!(new.get("a.test", "/").await.body, "second");
    new.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hand_overs_in_a_row_refuse_no_connection() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let mut edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let load = Load::start(edge.address, "a.test");
    for _ in 0..5 {
        let next = TestEdge::start_with(support::config(dir.path(), edge.address), Limits::STANDARD).await;
        load.more(30).await;
        std::mem::replace(&mut edge, next).ended().await;
    }
    load.finish().await;
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_another_edge_has_is_an_error_and_harms_neither() {
    let (ours, theirs, backend) = (place(), place(), Backend::start("web").await);
    let edge = TestEdge::start(ours.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let config = support::config(theirs.path(), edge.address);
    let refused = tokio::task::spawn_blocking(move || run(config)).await.expect("it ran");
    assert!(matches!(&refused, Err(EdgeError::Listen { address, .. }) if *address == edge.address), "{refused:?}");
    assert!(live_edges(theirs.path()).await.expect("it lists").is_empty(), "it leaves no socket behind");

    let other = TestEdge::start(theirs.path()).await;
    let refused = edge.client.listen(&[edge.address, other.address]).await;
    assert!(matches!(&refused, Err(EdgeError::Refused(why)) if why.contains("another process listens there")));
    assert_eq!(edge.get("a.test", "/").await.body, "web", "the old address is kept");

    // A newer edge that cannot have its address leaves the older one in place.
    let config = support::config(ours.path(), other.address);
    let refused = tokio::task::spawn_blocking(move || run(config)).await.expect("it ran");
    assert!(matches!(refused, Err(EdgeError::Listen { .. })), "{refused:?}");
    assert_eq!(edge.get("a.test", "/").await.body, "web", "the old edge still accepts");
    edge.leave().await;
    other.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_address_keeps_what_is_open() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let mut socket = websocket(edge.address, "a.test").await;
    let next = support::free_address();
    edge.client.listen(&[next]).await.expect("it is free");
    assert_eq!(support::get(next, "a.test", "/").await.body, "web");
    assert!(tokio::net::TcpStream::connect(edge.address).await.is_err(), "the old address is given up");
    echo_over(&mut socket, "still here").await;
    let status = edge.client.status().await.expect("it answers");
    assert_eq!(status.accepting().expect("it accepts").listen, vec![next]);
    drop(socket);

    // The same by way of a newer edge.
    let third = support::free_address();
    let newer = TestEdge::start_with(support::config(dir.path(), third), Limits::STANDARD).await;
    assert_eq!(newer.get("a.test", "/").await.body, "web");
    edge.ended().await;
    newer.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_waits_for_what_is_in_flight_but_not_for_ever() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let limits = Limits { leave: Duration::from_millis(300), ..Limits::STANDARD };
    let edge = TestEdge::start_with(support::config(dir.path(), support::free_address()), limits).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let _idle = connect(edge.address).await;
    let socket = websocket(edge.address, "a.test").await;
    let address = edge.address;
    let slow = tokio::spawn(async move { support::get(address, "a.test", "/gate").await });
    eventually("the request has arrived", || async { backend.seen() == 2 }).await;
    let leaving = tokio::spawn(async move { edge.leave().await });
    eventually("it accepts no longer", || async { tokio::net::TcpStream::connect(address).await.is_err() }).await;
    backend.gate.notify_one();
    assert_eq!(slow.await.expect("it ran").body, "web", "what is in flight is finished");
    leaving.await.expect("it left though a tunnel was open");
    drop(socket);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_edge_left_behind_is_removed() {
    let dir = place();
    let leftover = dir.path().join("edge-4.sock");
    drop(std::os::unix::net::UnixListener::bind(&leftover).expect("it binds"));
    assert!(live_edges(dir.path()).await.expect("it lists").is_empty());
    assert!(!leftover.exists());
    drop(std::os::unix::net::UnixListener::bind(&leftover).expect("it binds"));
    let edge = TestEdge::start(dir.path()).await;
    assert!(!leftover.exists());
    let mode = std::fs::metadata(dir.path().join("edge-1.sock")).expect("it is there").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_is_silent_hides_none_that_accepts() {
    let dir = place();
    let edge = TestEdge::start(dir.path()).await;
    let silent = tokio::net::UnixListener::bind(dir.path().join("edge-9.sock")).expect("it binds");
    let hangs_up = tokio::spawn(async move { while silent.accept().await.is_ok() {} });
    assert!(matches!(edge.client.status().await, Err(EdgeError::Unreachable(_))), "not all of them answer");
    let accepting = edge.client.accepting().await.expect("one of them answers").expect("it accepts");
    assert!(accepting.accepting);
    let other = place();
    let silent = tokio::net::UnixListener::bind(other.path().join("edge-9.sock")).expect("it binds");
    let hangs_up_too = tokio::spawn(async move { while silent.accept().await.is_ok() {} });
    let client = EdgeClient::new(other.path().to_owned(), support::config(other.path(), edge.address).owner);
    assert!(matches!(client.accepting().await, Err(EdgeError::Unreachable(_))), "it may be the silent one");
    for task in [hangs_up, hangs_up_too] {
        task.abort();
        assert!(task.await.is_err_and(|why| why.is_cancelled()));
    }
    assert_eq!(client.accepting().await.expect("nobody is left"), None);
    edge.leave().await;
}

#[tokio::test]
async fn a_socket_path_that_is_too_long_is_named() {
    let dir = place();
    let deep = dir.path().join("d".repeat(100));
    let config = support::config(&deep, support::free_address());
    let refused = tokio::task::spawn_blocking(move || run(config)).await.expect("it ran").expect_err("it is too long");
    assert!(refused.to_string().contains(&"d".repeat(100)), "{refused}");
    assert!(refused.to_string().contains("at most 107"), "{refused}");
}

/// An edge in a process of its own: this test program again, with [`child_edge`] as its only test.
fn spawn_child(dir: &std::path::Path, address: std::net::SocketAddr) -> std::process::Child {
    std::fs::write(dir.join("listen"), address.to_string()).expect("it is written");
    std::process::Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "child_edge", "--ignored"])
        .current_dir(dir)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts")
}

#[test]
#[ignore = "run by the tests that kill it, in a process of its own"]
fn child_edge() {
    // Whoever runs all ignored tests has no place for it to serve.
    let Ok(address) = std::fs::read_to_string("listen") else { return };
    let address = address.parse().expect("an address");
    let dir = std::path::absolute(".").expect("there is a directory");
    run(support::config(&dir, address)).expect("it ends well");
}

async fn accepting(client: &EdgeClient, pid: u32) {
    eventually("the child accepts", || async {
        let status = client.status().await.expect("the edges answer");
        status.accepting().is_some_and(|edge| edge.pid == pid)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_edge_comes_back_and_processes_hand_over_to_each_other() {
    let (dir, backend, address) = (place(), Backend::start("web").await, support::free_address());
    let client = EdgeClient::new(dir.path().to_owned(), support::owner());
    let mut first = spawn_child(dir.path(), address);
    accepting(&client, first.id()).await;
    let routes = table(3, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]);
    assert_eq!(client.apply(&routes).await, StepOutcome::Done);
    first.kill().expect("it is killed with -9");
    first.wait().expect("it is dead");
    assert!(client.observe().await.is_err(), "a dead edge is not seen");

    let mut second = spawn_child(dir.path(), address);
    accepting(&client, second.id()).await;
    assert_eq!(
        client.observe().await.expect("it is seen").table,
        routes,
        "it has its table before anybody speaks to it"
    );
    let load = Load::start(address, "a.test");
    load.more(30).await;
    let mut third = spawn_child(dir.path(), address);
    accepting(&client, third.id()).await;
    load.more(30).await;
    load.finish().await;
    eventually("the older process ends", || async { client.status().await.expect("they answer").edges.len() == 1 })
        .await;
    assert!(second.wait().expect("it has ended").success());

    // SIGTERM finishes what is in flight.
    let slow = tokio::spawn(async move { support::get(address, "a.test", "/gate").await });
    eventually("it is in flight", || async { !client.observe().await.expect("it is seen").in_flight.is_empty() }).await;
    let pid = rustix::process::Pid::from_child(&third);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is told");
    eventually("it accepts no longer", || async { tokio::net::TcpStream::connect(address).await.is_err() }).await;
    backend.gate.notify_one();
    assert_eq!(slow.await.expect("it ran").body, "web");
    assert!(third.wait().expect("it has ended").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_holds_a_handed_over_edge_for_its_time_only() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let limits =
        Limits { head: Duration::from_millis(100), idle_draining: Duration::from_millis(200), ..Limits::STANDARD };
    let old = TestEdge::start_with(support::config(dir.path(), support::free_address()), limits).await;
    old.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let mut kept = connect(old.address).await;
    over(&mut kept, request("GET", "a.test", "/", full(""))).await.expect("an answer");
    let new = TestEdge::start_with(support::config(dir.path(), old.address), Limits::STANDARD).await;
    old.ended().await;
    assert!(kept.ready().await.is_err(), "it was closed while nothing was under way");
    new.leave().await;
}
