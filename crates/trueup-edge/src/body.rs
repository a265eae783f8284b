//! Bodies on their way through, unbuffered: a request's is measured against its limit, a response's holds everything
//! that must last until the last byte is sent.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::access::Line;
use crate::client_io::Served;
use crate::flight::Flight;
use crate::limits::{LINGER_BYTES_MAX, LINGER_TIMEOUT};
use crate::upstream::{Lease, Pool, Watch};
use crate::worker::Worker;

/// A request's body on its way to a backend.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Nothing for a request without a body, and after the limit was passed.
    incoming: Option<Incoming>,
    /// Bytes that may still come.
    left: u64,
    over: Option<Rc<Cell<bool>>>,
    watch: Option<Rc<Watch>>,
}

/// Why an upload broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("the body is larger than the edge takes")]
    TooLarge,
    #[error("the client broke off")]
    Client(#[source] hyper::Error),
}

/// A response's body on its way to a client.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The edge's own words.
    Text { text: Option<Bytes>, _kept: Option<Kept> },
    /// A backend's.
    Through(Through),
}

/// A backend's body, with the connection that it comes from.
#[derive(Debug)]
pub(crate) struct Through {
    incoming: Incoming,
    ended: bool,
    /// Goes back to the pool when the body has come to its end, and is closed otherwise.
    lease: Option<Lease>,
    epoch: u64,
    worker: Rc<Worker>,
    kept: Kept,
}

/// What lasts as long as a response: the counts of its request, and its line in the access log.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) line: Option<Line>,
    pub(crate) flight: Option<Flight>,
    pub(crate) _served: Served,
    pub(crate) worker: Rc<Worker>,
}

// === impl Upload ===

impl Upload {
    pub(crate) fn new(incoming: Incoming, limit: u64) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self { incoming: Some(incoming), left: limit, over: Some(Rc::default()), watch: None }
    }

    pub(crate) fn empty() -> Self {
        Self { incoming: None, left: 0, over: None, watch: None }
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.incoming.is_none()
    }

    /// Becomes true when more than the limit was sent.
    pub(crate) fn over(&self) -> Option<Rc<Cell<bool>>> {
        self.over.clone()
    }

    /// Puts the deadline of the backend's answer off with each piece that is sent.
    pub(crate) fn attach(&mut self, watch: &Rc<Watch>) {
        if self.incoming.is_some() {
            self.watch = Some(Rc::clone(watch));
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = match ready!(Pin::new(incoming).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(UploadError::Client(error)))),
            Some(Ok(frame)) => frame,
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        if length > self.left {
            if let Some(over) = &self.over {
                over.set(true);
            }
            if let Some(incoming) = self.incoming.take() {
                tokio::task::spawn_local(linger(incoming));
            }
            return Poll::Ready(Some(Err(UploadError::TooLarge)));
        }
        self.left -= length;
        if let Some(watch) = &self.watch {
            watch.put_off();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

/// Reads what a client still sends, so that it comes to reading the answer that is already on its way.
pub(crate) async fn linger(mut incoming: Incoming) {
    let mut left = LINGER_BYTES_MAX;
    let read = async {
        while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
            left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
            if left == 0 {
                return;
            }
        }
    };
    // Whether it ended or not, the connection is hyper's to close.
    let _ = timeout(LINGER_TIMEOUT, read).await;
}

// === impl Reply ===

impl Reply {
    pub(crate) fn text(text: Bytes) -> Self {
        Self::Text { text: Some(text), _kept: None }
    }

    /// Nothing to send: for a change of protocols.
    pub(crate) fn empty() -> Self {
        Self::Text { text: None, _kept: None }
    }

    /// A backend's body.
    pub(crate) fn through(incoming: Incoming, lease: Lease, epoch: u64, kept: Kept) -> Self {
        let worker = Rc::clone(&kept.worker);
        Self::Through(Through { incoming, ended: false, lease: Some(lease), epoch, worker, kept })
    }

    /// Holds the request's counts until the answer is sent.
    pub(crate) fn keep(&mut self, kept: Kept) {
        match self {
            Self::Text { _kept, .. } => *_kept = Some(kept),
            Self::Through(through) => through.kept = kept,
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Text { text, .. } => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Through(through) => through.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text { text, .. } => text.is_none(),
            Self::Through(through) => through.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text { text, .. } => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Through(through) => through.incoming.size_hint(),
        }
    }
}

// === impl Through ===

impl Through {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            None => self.ended = true,
            Some(Ok(frame)) => {
                if let (Some(line), Some(data)) = (&mut self.kept.line, frame.data_ref()) {
                    line.bytes += data.len() as u64;
                }
            }
            Some(Err(_)) => self.lease = None,
        }
        Poll::Ready(frame)
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        let whole = self.ended || self.incoming.is_end_stream();
        if let (true, Some(lease)) = (whole, self.lease.take())
            && self.worker.live().still_dials(&lease.address, self.epoch)
        {
            Pool::put(self.worker.pool(), lease);
        }
    }
}

// === impl Kept ===

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            self.worker.log(line, self.flight.as_ref());
        }
    }
}
