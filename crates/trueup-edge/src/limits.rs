//! Every bound of the edge, each with its reason.
//!
//! [`Limits`] holds those that a caller may want otherwise; the rest are constants. Nothing here acts.

use std::time::Duration;

/// Largest request body, in bytes: what a picture or a build artefact needs, and no disk is filled by one request.
pub const BODY_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// Longest time a client may take over the head of a request: ten times a slow mobile line's worst round trips.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence of an open client connection between two requests; longer than browsers and client libraries keep
/// theirs (90 to 115 s), so that it is they who close, and no request races our close.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// The same on an edge that has handed its listeners over: it leaves within about a minute of its last request.
pub const IDLE_TIMEOUT_DRAINING: Duration = Duration::from_secs(60);
/// Longest time a backend may take to begin its answer after the last byte of the request (nginx's default).
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time a connection to a backend may take: they are on this host or beside it, and one retry must still be
/// quick.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time that requests in flight are given after SIGTERM or `leave`: shorter than any supervisor's patience
/// (systemd's is 90 s).
pub const LEAVE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest time an unused connection to a backend is kept: below the 5 s after which Node and uvicorn close theirs.
pub const POOL_IDLE: Duration = Duration::from_secs(4);
/// Unused connections kept for each backend on each thread: more than the usual burst, far below the descriptors.
pub const POOL_IDLE_MAX: usize = 256;
/// Most of a refused body that is still read, in bytes: a client that is writing reads no answer, and closing on unread
/// input would reset the connection and eat it.
pub const LINGER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest time that a refused body is still read.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence of a tunnel after one side has ended its half.
pub const TUNNEL_LINGER: Duration = Duration::from_secs(30);
/// Bytes moved at a time in each direction of a tunnel: a WebSocket message rarely has more, and ten thousand idle
/// tunnels stay below 200 MiB.
pub const TUNNEL_BUFFER_BYTES: usize = 8 * 1024;
/// Bytes of a request's head that are kept to look for two lengths; hyper itself takes heads up to about 400 KiB, and
/// a chunked request with a head beyond this is refused.
pub const TAPE_BYTES_MAX: usize = 64 * 1024;
/// Concurrent streams of one HTTP/2 connection: browsers use at most 100.
pub const H2_STREAMS_MAX: u32 = 250;
/// Wait after the process has run out of descriptors, before it accepts again.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Silence after which a connection's peer is asked for a sign of life, by TCP itself.
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Wait between two such questions.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Unanswered questions after which the peer is taken for gone.
pub const KEEPALIVE_RETRIES: u32 = 4;
/// Connections that wait to be accepted, for each listener; the kernel caps it at `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;
/// Most listeners of one edge, threads times addresses: what a hand-over is willing to carry.
pub const LISTENERS_MAX: usize = 1024;

/// Longest path of a Unix socket, in bytes (`sun_path` of unix(7), less its final zero).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Largest message on the control socket, in bytes: a table of 100,000 backends has about 30 MiB.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest time an edge may take to answer on its control socket.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// Control connections served at a time: the daemon needs one or two.
pub const CONTROL_CONNECTIONS_MAX: usize = 64;
/// How often a new edge is looked for after a table was pushed: each round needs an edge that started meanwhile.
pub const PUSH_ROUNDS_MAX: usize = 8;

/// Size at which the access log is rotated, in bytes; one older file is kept.
pub const ACCESS_LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Bytes of access log that a thread gathers before it hands them to the writer.
pub const ACCESS_BUFFER_BYTES: usize = 32 * 1024;
/// Longest time that a line of the access log waits in its thread.
pub const ACCESS_FLUSH: Duration = Duration::from_millis(200);
/// Buffers that wait for the writer of the access log; beyond it lines are dropped and counted, never waited for.
pub const ACCESS_QUEUE_MAX: usize = 64;

/// The bounds that a caller may want otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, in bytes.
    pub body_bytes_max: u64,
    /// Longest time for the head of a request.
    pub head: Duration,
    /// Longest silence between two requests.
    pub idle: Duration,
    /// The same after a hand-over.
    pub idle_draining: Duration,
    /// Longest time to the head of a response.
    pub response: Duration,
    /// Longest time to a connection with a backend.
    pub connect: Duration,
    /// Longest time to finish what is in flight when leaving.
    pub leave: Duration,
}

impl Limits {
    /// The bounds as they are documented.
    pub const STANDARD: Self = Self {
        body_bytes_max: BODY_BYTES_MAX,
        head: HEAD_TIMEOUT,
        idle: IDLE_TIMEOUT,
        idle_draining: IDLE_TIMEOUT_DRAINING,
        response: RESPONSE_TIMEOUT,
        connect: CONNECT_TIMEOUT,
        leave: LEAVE_TIMEOUT,
    };
}
