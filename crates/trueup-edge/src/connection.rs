//! One client connection: which HTTP it speaks, how long it may be silent, when it has to go.
//!
//! `worker` hands over what it accepted; each request goes to `proxy`. One timer a connection, re-armed only when it
//! fires.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::HeaderValue;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::client_io::{ClientIo, Pulse, Waiting};
use crate::limits::H2_STREAMS_MAX;
use crate::proxy::{self, Visitor};
use crate::worker::{Mode, Seat, Worker};

/// How HTTP/2 begins when both sides know that they speak it (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Wait before a beginning that could be either is looked at again: it comes whole with the first packet but for a
/// client that types.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Http1,
    Http2,
}

/// What becomes of a connection whose time to be looked at has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Look again after so long.
    Wait(Duration),
    /// It is told to end.
    End,
    /// It is cut.
    Cut,
}

/// Tasks of HTTP/2 streams, kept on the thread.
#[derive(Debug, Clone, Copy)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Serves a connection to its end.
pub(crate) async fn attend(worker: Rc<Worker>, seat: Seat, tcp: TcpStream, peer: SocketAddr) {
    let Ok(Some(dialect)) = timeout(worker.limits().head, greet(&tcp)).await else { return };
    let pulse = Pulse::new(dialect == Dialect::Http1);
    let peer = peer.ip().to_canonical();
    let spelled = HeaderValue::from_str(&peer.to_string()).expect("an address is made of visible characters");
    let visitor = Rc::new(Visitor { worker, pulse: Arc::clone(&pulse), peer, spelled });
    let serve = {
        let visitor = Rc::clone(&visitor);
        service_fn(move |request| proxy::serve(Rc::clone(&visitor), request))
    };
    match dialect {
        Dialect::Http1 => {
            let io = ClientIo::new(tcp, pulse);
            let connection = http1::Builder::new().serve_connection(io, serve).with_upgrades();
            watch(connection, |one| one.graceful_shutdown(), dialect, &visitor, &seat).await;
        }
        Dialect::Http2 => {
            let mut builder = http2::Builder::new(Local);
            builder.max_concurrent_streams(H2_STREAMS_MAX);
            let connection = builder.serve_connection(TokioIo::new(tcp), serve);
            watch(connection, |one| one.graceful_shutdown(), dialect, &visitor, &seat).await;
        }
    }
}

/// What a client speaks, found by looking at its first bytes and leaving them; nothing when it left without a word.
async fn greet(tcp: &TcpStream) -> Option<Dialect> {
    let mut start = [0; PREFACE.len()];
    loop {
        let length = tcp.peek(&mut start).await.ok().filter(|length| *length > 0)?;
        if start[..length] != PREFACE[..length] {
            return Some(Dialect::Http1);
        }
        if length == PREFACE.len() {
            return Some(Dialect::Http2);
        }
        sleep(PREFACE_PAUSE).await;
    }
}

/// Drives a connection, and ends it when it has been silent for too long or the edge leaves.
async fn watch<C: Future>(connection: C, end: impl Fn(Pin<&mut C>), dialect: Dialect, visitor: &Visitor, seat: &Seat) {
    let worker = &visitor.worker;
    let mut connection = pin!(connection);
    let mut alarm = pin!(sleep(worker.limits().head));
    let (mut armed, mut told) = (false, false);
    poll_fn(|cx| {
        seat.wake_through(cx.waker());
        if !told && must_end(worker.mode(), dialect) {
            told = true;
            end(connection.as_mut());
        }
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // An armed timer wakes this task by itself: polling it each time would cost every request.
        while !armed || alarm.is_elapsed() {
            if alarm.as_mut().poll(cx).is_pending() {
                armed = true;
                break;
            }
            let rest = match fate(visitor) {
                Fate::Cut => return Poll::Ready(()),
                Fate::Wait(rest) => rest,
                Fate::End => {
                    told = true;
                    end(connection.as_mut());
                    cx.waker().wake_by_ref();
                    worker.limits().head
                }
            };
            alarm.as_mut().reset(Instant::now() + rest);
            armed = false;
        }
        Poll::Pending
    })
    .await;
}

/// Whether connections are told to end at once. After a hand-over HTTP/1 ends with its next response or an idle minute,
/// since closing an idle connection can cross a request on its way; HTTP/2 can say how far it will still answer.
fn must_end(mode: Mode, dialect: Dialect) -> bool {
    match mode {
        Mode::Serving => false,
        Mode::Draining => dialect == Dialect::Http2,
        Mode::Leaving => true,
    }
}

fn fate(visitor: &Visitor) -> Fate {
    let limits = visitor.worker.limits();
    let idle_limit = match visitor.worker.mode() {
        Mode::Serving => limits.idle,
        Mode::Draining | Mode::Leaving => limits.idle_draining,
    };
    match visitor.pulse.waiting() {
        Waiting::Not => Fate::Wait(limits.head),
        Waiting::Head(since) if since >= limits.head => Fate::Cut,
        Waiting::Head(since) => Fate::Wait(limits.head - since),
        Waiting::Idle(since) if since >= idle_limit => Fate::End,
        Waiting::Idle(since) => Fate::Wait((idle_limit - since).min(limits.head)),
    }
}
