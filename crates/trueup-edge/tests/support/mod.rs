//! A real edge on a thread, backends of every temper behind it, and clients of every kind before it.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};
use trueup_edge::{EdgeClient, EdgeConfig, EdgeError, Limits, run_within};
use trueup_seams::Ingress as _;
use trueup_types::route::{AppRoutes, Backend as RouteBackend, RouteEntry, RouteTable};
use trueup_types::step::StepOutcome;
use trueup_types::{AppName, InstanceId, OwnerId, TableGeneration};

/// Longest time that anything in a test may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn owner() -> OwnerId {
    OwnerId::new("tests").expect("a literal name")
}

pub fn place() -> TempDir {
    tempfile::Builder::new().prefix("te-").tempdir().expect("a temporary folder")
}

/// A free port below 20000: above 32768 clients' own ports collide with listeners.
pub fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand_port()));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn fastrand_port() -> u16 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    10_000 + u16::try_from(random % 9_000).expect("below 9000")
}

pub async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !check().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

// === the edge ===

pub struct TestEdge {
    pub address: SocketAddr,
    pub client: EdgeClient,
    thread: JoinHandle<Result<(), EdgeError>>,
}

pub fn config(dir: &Path, address: SocketAddr) -> EdgeConfig {
    EdgeConfig {
        dir: dir.to_owned(),
        owner: owner(),
        listen: vec![address],
        threads: 2,
        build: "test".to_owned(),
        access_log: true,
    }
}

impl TestEdge {
    pub async fn start(dir: &Path) -> Self {
        Self::start_with(config(dir, free_address()), Limits::STANDARD).await
    }

    /// Returns when the new edge accepts, and an older one no longer does.
    pub async fn start_with(config: EdgeConfig, limits: Limits) -> Self {
        let client = EdgeClient::new(config.dir.clone(), config.owner.clone());
        let before = client.status().await.expect("the edges answer").edges.first().map_or(0, |edge| edge.sequence);
        let address = config.listen[0];
        let thread = std::thread::spawn(move || run_within(config, limits));
        eventually("the edge accepts", || async {
            assert!(!thread.is_finished(), "the edge ended at its start");
            let status = client.status().await.expect("the edges answer");
            let accepting: Vec<_> = status.edges.iter().filter(|edge| edge.accepting).collect();
            accepting.len() == 1 && accepting[0].sequence > before
        })
        .await;
        Self { address, client, thread }
    }

    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the edge ends by itself.
    pub async fn ended(self) {
        eventually("the edge ends", || async { self.thread.is_finished() }).await;
        self.thread.join().expect("it did not panic").expect("it ended well");
    }

    pub async fn leave(self) {
        self.client.leave_all().await.expect("the edges leave");
        self.ended().await;
    }

    pub async fn route(&self, generation: u64, ways: &[Way<'_>]) {
        assert_eq!(self.client.apply(&table(generation, ways)).await, StepOutcome::Done);
    }

    pub async fn in_flight(&self) -> Vec<(String, u32)> {
        let sight = self.client.observe().await.expect("the edge is in sight");
        sight.in_flight.into_iter().map(|(instance, count)| (instance.to_string(), count)).collect()
    }

    pub async fn get(&self, host: &str, path: &str) -> Got {
        get(self.address, host, path).await
    }
}

// === tables ===

/// Host, path, and backends by instance, address and weight.
pub type Way<'a> = (&'a str, &'a str, Vec<(&'a str, SocketAddr, u32)>);

pub fn table(generation: u64, ways: &[Way<'_>]) -> RouteTable {
    let entry = |(host, path, backends): &Way<'_>| RouteEntry {
        host: (*host).to_owned(),
        path: (*path).to_owned(),
        backends: backends
            .iter()
            .map(|(instance, address, weight)| RouteBackend {
                instance: instance.parse::<InstanceId>().expect("an instance name"),
                address: Some(*address),
                weight: *weight,
            })
            .collect(),
    };
    let app = AppName::new("web").expect("a literal name");
    let apps = vec![Arc::new(AppRoutes { app, entries: ways.iter().map(entry).collect() })];
    RouteTable { owner: owner(), generation: TableGeneration(generation), apps }
}

// === clients ===

#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }
}

pub type AnyBody = BoxBody<Bytes, Infallible>;

pub fn full(text: impl Into<Bytes>) -> AnyBody {
    BodyExt::boxed(Full::new(text.into()))
}

/// A body without a declared length.
pub fn chunks(pieces: Vec<Bytes>) -> AnyBody {
    let frames = pieces.into_iter().map(|piece| Ok(Frame::data(piece)));
    BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))
}

pub async fn connect(address: SocketAddr) -> SendRequest<AnyBody> {
    let tcp = TcpStream::connect(address).await.expect("the edge accepts");
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.expect("a handshake");
    tokio::spawn(connection.with_upgrades());
    sender
}

pub async fn over(sender: &mut SendRequest<AnyBody>, request: Request<AnyBody>) -> Result<Got, hyper::Error> {
    sender.ready().await?;
    read(sender.send_request(request).await?).await
}

pub async fn read(response: Response<Incoming>) -> Result<Got, hyper::Error> {
    let (head, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await?.to_bytes().to_vec()).expect("a text");
    Ok(Got { status: head.status, headers: head.headers, body })
}

pub fn request(method: &str, host: &str, path: &str, body: AnyBody) -> Request<AnyBody> {
    Request::builder().method(method).uri(path).header("host", host).body(body).expect("a request")
}

pub async fn get(address: SocketAddr, host: &str, path: &str) -> Got {
    let mut sender = connect(address).await;
    let got = timeout(PATIENCE, over(&mut sender, request("GET", host, path, full("")))).await;
    got.expect("an answer in time").expect("an answer")
}

/// Writes bytes as they are and reads until the edge closes, by whatever means.
pub async fn raw(address: SocketAddr, text: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut tcp = TcpStream::connect(address).await.expect("the edge accepts");
    tcp.write_all(text.as_bytes()).await.expect("it takes them");
    let mut answer = Vec::new();
    let closed = timeout(PATIENCE, tcp.read_to_end(&mut answer)).await.expect("it closes in time");
    // A close on input that was never read arrives as a reset.
    assert!(closed.is_ok() || closed.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    String::from_utf8(answer).expect("a text")
}

pub type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

pub async fn websocket(address: SocketAddr, host: &str) -> Socket {
    let tcp = TcpStream::connect(address).await.expect("the edge accepts");
    let (socket, response) =
        tokio_tungstenite::client_async(format!("ws://{host}/ws"), tcp).await.expect("the upgrade passes");
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    socket
}

pub async fn echo_over(socket: &mut Socket, text: &str) {
    socket.send(text.into()).await.expect("it is sent");
    let back = timeout(PATIENCE, socket.next()).await.expect("in time").expect("open").expect("a message");
    assert_eq!(back.into_text().expect("a text").as_str(), text);
}

// === backends ===

/// A backend that answers by path: `/head` what it was sent, `/echo` the body, `/gate` when it is let, `/events` as they
/// are told, `/ws` a WebSocket echo, anything else its name.
pub struct Backend {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<AtomicUsize>,
    /// Lets one request at `/gate` answer.
    pub gate: Arc<Notify>,
    /// Told to the one reader of `/events`.
    pub events: mpsc::UnboundedSender<&'static str>,
    server: tokio::task::JoinHandle<()>,
}

struct Inner {
    name: &'static str,
    requests: Arc<AtomicUsize>,
    gate: Arc<Notify>,
    events: std::sync::Mutex<Option<mpsc::UnboundedReceiver<&'static str>>>,
}

impl Backend {
    pub async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (events, told) = mpsc::unbounded_channel();
        let (connections, requests, gate) = (Arc::new(AtomicUsize::new(0)), Arc::default(), Arc::new(Notify::new()));
        let inner = Arc::new(Inner {
            name,
            requests: Arc::clone(&requests),
            gate: Arc::clone(&gate),
            events: std::sync::Mutex::new(Some(told)),
        });
        let count = Arc::clone(&connections);
        let server = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.expect("it accepts");
                count.fetch_add(1, Ordering::SeqCst);
                let inner = Arc::clone(&inner);
                let service = service_fn(move |request| answer(Arc::clone(&inner), request));
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(tcp), service).with_upgrades());
            }
        });
        Self { address, connections, requests, gate, events, server }
    }

    pub fn seen(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<AnyBody>, Infallible> {
    inner.requests.fetch_add(1, Ordering::SeqCst);
    let mut response = Response::new(full(inner.name));
    match request.uri().path() {
        "/head" => {
            let mut text = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
            for (name, value) in request.headers() {
                text.push_str(&format!("{name}: {}\n", value.to_str().expect("a text")));
            }
            *response.body_mut() = full(text);
            for (name, value) in
                [("connection", "x-private"), ("x-private", "1"), ("keep-alive", "timeout=9"), ("x-public", "1")]
            {
                response.headers_mut().insert(name, http::HeaderValue::from_static(value));
            }
        }
        "/echo" => {
            if let Ok(body) = request.into_body().collect().await {
                *response.body_mut() = full(body.to_bytes());
            }
        }
        "/gate" => inner.gate.notified().await,
        "/events" => {
            let mut told = inner.events.lock().expect("it is free").take().expect("one reader");
            let stream = futures_util::stream::poll_fn(move |cx| {
                told.poll_recv(cx).map(|text| text.map(|text| Ok(Frame::data(Bytes::from(text)))))
            });
            *response.body_mut() = BodyExt::boxed(StreamBody::new(stream));
        }
        "/ws" => {
            let key = request.headers()["sec-websocket-key"].as_bytes().to_vec();
            tokio::spawn(websocket_echo(request));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(&key);
            let headers = response.headers_mut();
            headers.insert("connection", http::HeaderValue::from_static("upgrade"));
            headers.insert("upgrade", http::HeaderValue::from_static("websocket"));
            headers.insert("sec-websocket-accept", accept.parse().expect("a header value"));
            *response.body_mut() = full("");
        }
        _ => {}
    }
    Ok(response)
}

async fn websocket_echo(request: Request<Incoming>) {
    let upgraded = hyper::upgrade::on(request).await.expect("it is upgraded");
    let role = tokio_tungstenite::tungstenite::protocol::Role::Server;
    let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(TokioIo::new(upgraded), role, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() && socket.send(message).await.is_err() {
            break;
        }
    }
}
