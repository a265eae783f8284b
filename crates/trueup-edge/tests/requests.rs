//! What passes through an edge, and what it answers in an app's stead.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Backend, TestEdge, chunks, connect, echo_over, eventually, full, over, place, raw, request, websocket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use trueup_edge::Limits;
use trueup_edge::answer::ERROR_HEADER;

/// Bounds that a test can wait for.
const SHORT: Limits = Limits {
    body_bytes_max: 1000,
    response: Duration::from_millis(150),
    connect: Duration::from_millis(500),
    head: Duration::from_millis(200),
    ..Limits::STANDARD
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_of_an_ingress_is_kept() {
    let dir = place();
    let edge = TestEdge::start(dir.path()).await;
    let ingress = Arc::new(edge.client.clone());
    let address = edge.address;
    trueup_sim::contract::ingress::check(&trueup_sim::contract::ingress::IngressFixture {
        ingress,
        owner: support::owner(),
        address,
    })
    .await;
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_both_framings_pass_unchanged() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let mut sender = connect(edge.address).await;
    let text: String = (0..400_000).map(|n| format!("{n:08}")).collect();
    let got = over(&mut sender, request("POST", "a.test", "/echo", full(text.clone()))).await.expect("an answer");
    assert_eq!((got.status, got.body == text), (StatusCode::OK, true), "with a length");
    let pieces = text.as_bytes().chunks(60_000).map(Bytes::copy_from_slice).collect();
    let got = over(&mut sender, request("PUT", "a.test", "/echo", chunks(pieces))).await.expect("an answer");
    assert_eq!((got.status, got.body == text), (StatusCode::OK, true), "in chunks");
    let mut chunked_get = request("GET", "a.test", "/echo", chunks(vec![Bytes::from("asked")]));
    chunked_get.headers_mut().insert("transfer-encoding", http::HeaderValue::from_static("chunked"));
    let got = over(&mut sender, chunked_get).await.expect("an answer");
    assert_eq!(got.body, "asked", "a GET may have a body");
    let got = over(&mut sender, request("HEAD", "a.test", "/", full(""))).await.expect("an answer");
    assert_eq!((got.status, got.header("content-length"), got.body.as_str()), (StatusCode::OK, "3", ""));
    assert_eq!(backend.connections.load(Ordering::SeqCst), 1, "one connection carries them all");
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_rewritten_both_ways() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let mut head = request("GET", "A.test:8080", "/head?q=1", full(""));
    for (name, value) in [
        ("connection", "keep-alive, x-mine"),
        ("x-mine", "1"),
        ("te", "trailers"),
        ("proxy-connection", "keep-alive"),
        ("x-forwarded-for", "10.9.8.7"),
        ("x-forwarded-proto", "https"),
        ("accept", "*/*"),
    ] {
        head.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    let got = over(&mut connect(edge.address).await, head).await.expect("an answer");
    let mut lines: Vec<_> = got.body.lines().collect();
    assert_eq!(lines.remove(0), "GET /head?q=1 HTTP/1.1");
    lines.sort_unstable();
    let wanted = [
        "accept: */*",
        "host: A.test:8080",
        "x-forwarded-for: 10.9.8.7",
        "x-forwarded-host: A.test:8080",
        "x-forwarded-proto: https",
    ];
    assert_eq!(lines, wanted);
    assert_eq!(got.header("x-public"), "1");
    for gone in ["connection", "x-private", "keep-alive"] {
        assert_eq!(got.header(gone), "", "{gone} passed");
    }
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_on_standby_is_asked_when_all_others_are_dead_and_only_then() {
    let (dir, good, proven) = (place(), Backend::start("new").await, Backend::start("old").await);
    let edge = TestEdge::start_with(support::config(dir.path(), support::free_address()), SHORT).await;
    let (dead, gone) = (support::free_address(), support::free_address());
    edge.route(
        1,
        &[
            ("well.test", "/", vec![("web-r2-0", good.address, 1), ("web-r1-0", proven.address, 0)]),
            ("ill.test", "/", vec![("web-r2-1", dead, 1), ("web-r2-2", gone, 1), ("web-r1-0", proven.address, 0)]),
        ],
    )
    .await;
    for _ in 0..20 {
        assert_eq!(edge.get("well.test", "/name").await.body, "new");
        assert_eq!(edge.get("ill.test", "/name").await.body, "old");
    }
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_has_its_status_and_names_its_cause() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start_with(support::config(dir.path(), support::free_address()), SHORT).await;
    let dead = support::free_address();
    edge.route(
        1,
        &[
            ("a.test", "/", vec![("web-r1-0", backend.address, 1)]),
            ("none.test", "/", vec![]),
            ("dead.test", "/", vec![("web-r1-2", dead, 1)]),
        ],
    )
    .await;
    let check = async |host: &str, path: &str, status: u16, cause: &str| {
        let got = edge.get(host, path).await;
        assert_eq!((got.status.as_u16(), got.header(ERROR_HEADER.as_str())), (status, cause), "{host}{path}");
        assert!(got.body.contains(cause), "{}", got.body);
    };
    check("b.test", "/", 404, "no-route").await;
    check("none.test", "/", 503, "no-backend").await;
    check("dead.test", "/", 502, "bad-gateway").await;
    check("a.test", "/gate", 504, "timeout").await;
    let large = || full(vec![b'x'; 300_000]);
    let got = over(&mut connect(edge.address).await, request("POST", "a.test", "/echo", large())).await;
    assert_eq!(got.expect("an answer").header(ERROR_HEADER.as_str()), "too-large", "declared");
    let pieces = vec![Bytes::from(vec![b'x'; 600]); 500];
    let got = over(&mut connect(edge.address).await, request("POST", "a.test", "/echo", chunks(pieces))).await;
    let got = got.expect("an answer");
    assert_eq!((got.status.as_u16(), got.header(ERROR_HEADER.as_str())), (413, "too-large"), "in chunks");
    assert_eq!(edge.in_flight().await, vec![], "nothing of all this is left in flight");
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_requests_are_refused() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let chunk = "3\r\nabc\r\n0\r\n\r\n";
    for head in [
        "POST /echo HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\ncontent-length: 3\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let got = raw(edge.address, &format!("{head}{chunk}")).await;
        assert!(got.starts_with("HTTP/1.1 400 ") && got.contains("x-trueup-error: bad-request"), "{head}\n{got}");
    }
    assert_eq!(backend.seen(), 0, "none came through");
    let good = "POST /echo HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let got = raw(edge.address, &format!("{good}{chunk}")).await;
    assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("abc"), "{got}");
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunked_requests_in_a_row_are_told_from_ambiguous_ones() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let mut sender = connect(edge.address).await;
    for round in 0..200 {
        let pieces = vec![Bytes::from("one "), Bytes::from("two")];
        let got = over(&mut sender, request("POST", "a.test", "/echo", chunks(pieces))).await.expect("an answer");
        assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "one two"), "round {round}");
    }
    let one = "POST /echo HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let last = one.replace("Host: a.test", "Host: a.test\r\nConnection: close");
    let got = raw(edge.address, &format!("{one}{one}{last}")).await;
    assert_eq!(got.matches("HTTP/1.1 200 OK").count(), 3, "pipelined ones too: {got}");
    let zipped = last.replace("chunked", "gzip, chunked");
    assert!(raw(edge.address, &zipped).await.starts_with("HTTP/1.1 400 "), "another coding would be lost");
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_ends_its_head_is_cut() {
    let dir = place();
    let edge = TestEdge::start_with(support::config(dir.path(), support::free_address()), SHORT).await;
    assert_eq!(raw(edge.address, "GET / HTTP/1.1\r\nHost: a.te").await, "");
    assert_eq!(raw(edge.address, "PRI * HT").await, "");
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_as_they_are_sent_and_count_until_they_end() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let mut sender = connect(edge.address).await;
    let response = sender.send_request(request("GET", "a.test", "/events", full(""))).await.expect("an answer");
    let mut body = response.into_body();
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        // Each is sent only after the one before has arrived: a buffer anywhere would hold the test up.
        backend.events.send(event).expect("the stream is open");
        let frame = timeout(support::PATIENCE, body.frame()).await.expect("in time").expect("open").expect("a frame");
        assert_eq!(frame.into_data().expect("data"), event);
    }
    assert_eq!(edge.in_flight().await, vec![("web-r1-0".to_owned(), 1)], "an open stream is in flight");
    drop((body, sender));
    eventually("a client that has gone no longer counts", || async { edge.in_flight().await.is_empty() }).await;
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_counts_until_it_ends_and_outlives_its_route() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let mut socket = websocket(edge.address, "a.test").await;
    echo_over(&mut socket, "one").await;
    edge.route(2, &[]).await;
    echo_over(&mut socket, "two").await;
    assert_eq!(edge.in_flight().await, vec![("web-r1-0".to_owned(), 1)]);
    assert_eq!(edge.get("a.test", "/").await.status, StatusCode::NOT_FOUND);
    drop(socket);
    eventually("the tunnel has ended", || async { edge.in_flight().await.is_empty() }).await;
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_by_prior_knowledge_is_served() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let tcp = TcpStream::connect(edge.address).await.expect("the edge accepts");
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp));
    let (mut sender, connection) = handshake.await.expect("a handshake");
    tokio::spawn(connection);
    let head = Request::builder().uri("http://a.test/head").header("cookie", "a=1").header("cookie", "b=2");
    let response = sender.send_request(head.body(full("")).expect("a request")).await.expect("an answer");
    assert_eq!(response.version(), Version::HTTP_2);
    let got = support::read(response).await.expect("a body");
    assert!(got.body.starts_with("GET /head HTTP/1.1\n"), "{}", got.body);
    assert!(got.body.contains("host: a.test\n") && got.body.contains("cookie: a=1; b=2\n"), "{}", got.body);
    let posts = (0..20).map(|n| {
        let mut sender = sender.clone();
        async move {
            let post = Request::builder().method("POST").uri("http://a.test/echo").body(full(format!("body {n}")));
            let response = sender.send_request(post.expect("a request")).await.expect("an answer");
            assert_eq!(support::read(response).await.expect("a body").body, format!("body {n}"));
        }
    });
    futures_util::future::join_all(posts).await;
    drop(sender);
    eventually("nothing is left in flight", || async { edge.in_flight().await.is_empty() }).await;
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_backend_costs_no_request_while_another_lives() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    let dead = support::free_address();
    let backends = vec![("web-r1-0", dead, 1), ("web-r1-1", backend.address, 1)];
    edge.route(1, &[("a.test", "/", backends)]).await;
    for round in 0..40 {
        let mut sender = connect(edge.address).await;
        let got = over(&mut sender, request("POST", "a.test", "/echo", full("x"))).await.expect("an answer");
        assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "x"), "round {round}");
    }
    edge.leave().await;
}

/// Answers the first request of each connection, and closes it when the test says so.
struct OneShot {
    address: std::net::SocketAddr,
    close: Arc<Notify>,
    open: Arc<AtomicUsize>,
}

impl OneShot {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (close, open) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let backend = Self { address, close: Arc::clone(&close), open: Arc::clone(&open) };
        tokio::spawn(async move {
            loop {
                let (mut tcp, _) = listener.accept().await.expect("it accepts");
                let (close, open) = (Arc::clone(&close), Arc::clone(&open));
                open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    if tcp.read(&mut head).await.unwrap_or(0) > 0 {
                        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.expect("it is sent");
                        close.notified().await;
                    }
                    drop(tcp);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        backend
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooled_connection_that_died_costs_no_request() {
    let (dir, backend) = (place(), OneShot::start().await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    let mut sender = connect(edge.address).await;
    for round in 0..40 {
        let repeatable = round % 2 == 0;
        if !repeatable {
            // On loopback a close has reached the edge's socket by then; that it has not looked yet is the point.
            eventually("the pooled one is closed", || async { backend.open.load(Ordering::SeqCst) == 0 }).await;
        }
        let (method, body) = if repeatable { ("GET", full("")) } else { ("POST", full("x")) };
        let got = over(&mut sender, request(method, "a.test", "/", body)).await.expect("an answer");
        assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, "ok"), "{method} in round {round}");
        // Before a GET it may cross the request on its way.
        backend.close.notify_one();
    }
    edge.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_logged_without_their_query() {
    let (dir, backend) = (place(), Backend::start("web").await);
    let edge = TestEdge::start(dir.path()).await;
    edge.route(1, &[("a.test", "/", vec![("web-r1-0", backend.address, 1)])]).await;
    edge.get("a.test", "/hello?token=secret").await;
    edge.get("b.test", "/lost").await;
    edge.leave().await;
    let log = std::fs::read_to_string(dir.path().join("access.log")).expect("there is a log");
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(
        lines.iter().any(|line| line.contains(" GET a.test /hello 200 3B ") && line.ends_with(" web-r1-0")),
        "{log}"
    );
    assert!(lines.iter().any(|line| line.contains(" GET b.test /lost 404 ")), "{log}");
    assert!(!log.contains("secret"));
}
