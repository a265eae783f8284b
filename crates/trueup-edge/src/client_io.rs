//! A client's connection as hyper reads it, and what the edge must know of it: is it idle, since when, and what did the
//! head of the request look like before hyper tidied it up.
//!
//! hyper drops a Content-Length that stands beside a Transfer-Encoding, so nobody behind it can refuse such a request.
//! While a head is awaited the bytes are therefore copied to a tape, which is read only for chunked requests.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;

use crate::clock::coarse_millis;
use crate::limits::TAPE_BYTES_MAX;

/// Bytes read at a time while a head is awaited; hyper's own first read is as large.
const HEAD_READ_BYTES: usize = 8 * 1024;

thread_local! {
    static SCRATCH: RefCell<[u8; HEAD_READ_BYTES]> = const { RefCell::new([0; HEAD_READ_BYTES]) };
}

/// What is known of one client connection; `Send` because hyper's upgrades ask it, never contended.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Requests that are being served.
    serving: AtomicU32,
    /// Coarse time of the first byte of a head that is not complete; 0 when none is awaited.
    head_since: AtomicU64,
    /// Coarse time at which the last request ended.
    idle_since: AtomicU64,
    taping: bool,
    /// Whether the tape holds bytes of the head that is awaited.
    tape_fresh: AtomicBool,
    tape: Mutex<Vec<u8>>,
}

/// How long a connection has been waiting for a client, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It serves a request.
    Not,
    /// For the rest of a head.
    Head(Duration),
    /// For the next request.
    Idle(Duration),
}

/// One request that is being served; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Served(Arc<Pulse>);

/// A client's connection.
#[derive(Debug)]
pub(crate) struct ClientIo {
    tcp: TokioIo<TcpStream>,
    pulse: Arc<Pulse>,
}

// === impl Pulse ===

impl Pulse {
    /// Of a connection that has just been accepted; `taping` for HTTP/1.
    pub(crate) fn new(taping: bool) -> Arc<Self> {
        let now = coarse_millis();
        Arc::new(Self {
            serving: AtomicU32::new(0),
            head_since: AtomicU64::new(if taping { now } else { 0 }),
            idle_since: AtomicU64::new(now),
            taping,
            tape_fresh: AtomicBool::new(false),
            tape: Mutex::new(Vec::new()),
        })
    }

    /// A head is complete and its request is served.
    pub(crate) fn serve(self: &Arc<Self>) -> Served {
        self.serving.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        self.tape_fresh.store(false, Ordering::Relaxed);
        Served(Arc::clone(self))
    }

    pub(crate) fn waiting(&self) -> Waiting {
        let since = |then: u64| Duration::from_millis(coarse_millis().saturating_sub(then));
        if self.serving.load(Ordering::Relaxed) > 0 {
            return Waiting::Not;
        }
        match self.head_since.load(Ordering::Relaxed) {
            0 => Waiting::Idle(since(self.idle_since.load(Ordering::Relaxed))),
            then => Waiting::Head(since(then)),
        }
    }

    /// Whether the head of this chunked request is whole on the tape and names no length beside its coding.
    ///
    /// Other bytes may be on the tape too: the end of a body that nobody wanted, a pipelined request, the beginning of
    /// this one's body. So every line that could begin this head is taken for its beginning, and none may be followed by
    /// a length.
    pub(crate) fn chunked_without_length(&self, method: &str, target: Option<&str>) -> bool {
        let tape = self.tape.lock().expect("nobody panics while holding the tape");
        let begins = |line: &[u8]| {
            let rest = line.strip_prefix(method.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
            let is = |rest: &[u8], target: &str| {
                rest.strip_prefix(target.as_bytes()).is_some_and(|rest| rest.starts_with(b" "))
            };
            rest.is_some_and(|rest| target.is_none_or(|target| is(rest, target)))
        };
        let (mut within, mut whole) = (false, false);
        for line in tape.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            if begins(line) {
                within = true;
            } else if within && line.trim_ascii().is_empty() {
                (within, whole) = (false, true);
            } else if within {
                let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
                if name.trim_ascii().eq_ignore_ascii_case(b"content-length") {
                    return false;
                }
            }
        }
        whole && tape.len() < TAPE_BYTES_MAX
    }

    fn awaits_head(&self) -> bool {
        self.taping && self.serving.load(Ordering::Relaxed) == 0
    }

    fn record(&self, bytes: &[u8]) {
        if self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(coarse_millis(), Ordering::Relaxed);
        }
        let mut tape = self.tape.lock().expect("nobody panics while holding the tape");
        if !self.tape_fresh.swap(true, Ordering::Relaxed) {
            tape.clear();
        }
        let room = TAPE_BYTES_MAX.saturating_sub(tape.len());
        tape.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.idle_since.store(coarse_millis(), Ordering::Relaxed);
        self.0.serving.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl ClientIo ===

impl ClientIo {
    pub(crate) fn new(tcp: TcpStream, pulse: Arc<Pulse>) -> Self {
        Self { tcp: TokioIo::new(tcp), pulse }
    }

    fn poll_read_head(&mut self, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let Self { tcp, pulse } = self;
        SCRATCH.with_borrow_mut(|scratch| {
            let room = buf.remaining().min(scratch.len());
            let mut read = ReadBuf::new(&mut scratch[..room]);
            ready!(Pin::new(tcp.inner_mut()).poll_read(cx, &mut read))?;
            if !read.filled().is_empty() {
                pulse.record(read.filled());
                buf.put_slice(read.filled());
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl Read for ClientIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.pulse.awaits_head() {
            return self.poll_read_head(cx, buf);
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl Write for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(tape: &str) -> bool {
        let pulse = Pulse::new(true);
        pulse.record(tape.as_bytes());
        pulse.chunked_without_length("POST", Some("/up"))
    }

    #[test]
    fn a_chunked_head_is_trusted_only_when_whole_and_without_a_length() {
        assert!(trusted("POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nContent-Length: 3"));
        assert!(!trusted("POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH: 3\r\n\r\n"));
        assert!(!trusted("POST /up HTTP/1.1\r\nContent-Length:3\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(!trusted("POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"), "not whole");
        let other = "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        let good = "POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let bad = "POST /up HTTP/1.1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(trusted(&format!("{other}{good}")), "another request's length is its own");
        assert!(!trusted(&format!("{bad}{good}")), "a body that looks like a head hides nothing");
        assert!(!trusted(&format!("{good}{bad}")));
        assert!(!trusted(&format!("{good}{}", "x".repeat(TAPE_BYTES_MAX))), "what is behind the tape's end is unknown");
        assert!(!trusted("POST /upper HTTP/1.1\r\n\r\n"), "another request");
        assert!(!trusted(""));
    }

    #[test]
    fn a_tape_begins_again_with_each_request() {
        let pulse = Pulse::new(true);
        pulse.record(b"GET / HTTP/1.1\r\n\r\n");
        drop(pulse.serve());
        assert!(matches!(pulse.waiting(), Waiting::Idle(_)));
        pulse.record(b"POST /up HTTP/1.1\r\n\r\n");
        assert!(matches!(pulse.waiting(), Waiting::Head(_)));
        assert!(pulse.chunked_without_length("POST", Some("/up")));
    }
}
