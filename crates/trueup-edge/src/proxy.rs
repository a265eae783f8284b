//! One request through the edge: checked, admitted, sent to a backend, answered.
//!
//! `connection` calls [`serve`] for each request. Retries live here and nowhere else: on other backends when nothing was
//! sent, and when a backend died before it answered a request that may be sent twice; on a fresh connection when a
//! pooled one turned out dead.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use http::header::{HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::access::Line;
use crate::answer::Fault;
use crate::body::{Kept, Reply, Upload, linger};
use crate::client_io::Pulse;
use crate::flight::Flight;
use crate::headers;
use crate::live::Admission;
use crate::tried::Tried;
use crate::tunnel;
use crate::upstream::Lease;
use crate::worker::{Mode, Worker};

/// How often a request that may have reached a backend is sent again: enough for a release whose two instances die of
/// the same cause, and too little for a deadly request to go through everything that runs.
const RESENT_MAX: usize = 2;

/// Whom a connection belongs to.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) worker: Rc<Worker>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) peer: IpAddr,
    /// The peer as `X-Forwarded-For` spells it.
    pub(crate) spelled: HeaderValue,
}

/// A request that is ready for a backend.
struct Errand {
    request: Request<Upload>,
    host: HeaderValue,
    uri: Uri,
    /// The client's side of a tunnel, when it asked for one.
    upgrade: Option<OnUpgrade>,
}

/// A backend that has begun to answer.
struct Answer {
    response: Response<Incoming>,
    lease: Lease,
    flight: Flight,
    epoch: u64,
}

/// Why one connection brought no answer.
#[expect(clippy::large_enum_variant, reason = "it lives for a moment, on the rare path; a box would only add to it")]
enum Broken {
    /// Nothing was sent, or it may be sent again.
    Again { request: Request<Upload>, reused: bool, sent: bool },
    /// It is over.
    Over(Fault),
}

/// Serves one request; never fails, since every fault has its answer.
pub(crate) async fn serve(visitor: Rc<Visitor>, request: Request<Incoming>) -> Result<Response<Reply>, Infallible> {
    let worker = &visitor.worker;
    let http1 = request.version() != Version::HTTP_2;
    let line = worker.logs().then(|| Line::begin(&request, visitor.peer));
    let kept = Kept { line, flight: None, _served: visitor.pulse.serve(), worker: Rc::clone(worker) };
    let mut response = match forward(&visitor, request).await {
        Ok((answer, upgrade)) => finish(&visitor, answer, upgrade, kept),
        Err(fault) => own_words(fault, kept),
    };
    if http1 && worker.mode() != Mode::Serving && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers::set_close(response.headers_mut());
    }
    Ok(response)
}

/// Finds out whether and where a request may go, and goes there.
async fn forward(visitor: &Visitor, request: Request<Incoming>) -> Result<(Answer, Option<OnUpgrade>), Fault> {
    let mut errand = prepare(visitor, request)?;
    let upgrade = errand.upgrade.take();
    send(&visitor.worker, errand).await.map(|answer| (answer, upgrade))
}

/// Checks a request and rewrites it for a backend.
fn prepare(visitor: &Visitor, mut request: Request<Incoming>) -> Result<Errand, Fault> {
    let limit = visitor.worker.limits().body_bytes_max;
    let host = headers::host(&request)?;
    if let Some(coding) = request.headers().get(TRANSFER_ENCODING) {
        if !headers::only_chunked(coding) {
            return Err(Fault::BadRequest("a transfer coding other than chunked is not served"));
        }
        // An absolute target may be spelled in more than one way, so only an origin's is compared.
        let target = request.uri().path_and_query().filter(|_| request.uri().authority().is_none());
        let target = target.map(http::uri::PathAndQuery::as_str);
        if !visitor.pulse.chunked_without_length(request.method().as_str(), target) {
            return Err(Fault::BadRequest("a chunked body with a length beside it"));
        }
    }
    if headers::length(request.headers()).is_some_and(|length| length > limit) {
        tokio::task::spawn_local(linger(request.into_body()));
        return Err(Fault::TooLarge);
    }
    let protocol = headers::upgrade(request.headers()).filter(|_| request.version() == Version::HTTP_11);
    let upgrade = protocol.as_ref().map(|_| hyper::upgrade::on(&mut request));
    let uri = request.uri().clone();
    headers::outbound(&mut request, &host, &visitor.spelled);
    if let Some(protocol) = protocol {
        headers::set_upgrade(request.headers_mut(), protocol);
    }
    let mut request = request.map(|incoming| Upload::new(incoming, limit));
    if !request.body().is_empty() && request.body().size_hint().exact().is_none() {
        headers::set_chunked(request.headers_mut());
    }
    Ok(Errand { request, host, uri, upgrade })
}

/// Sends a request until a backend answers, or nobody is left to ask.
async fn send(worker: &Worker, errand: Errand) -> Result<Answer, Fault> {
    let Errand { mut request, host, uri, .. } = errand;
    let host = host.to_str().map_err(|_| Fault::BadRequest("the request's host is not a host"))?;
    let mut tried = Tried::default();
    let (mut fresh, mut broken) = (false, 0);
    // What is answered when nobody is left to ask.
    let mut failed = Fault::BadGateway;
    loop {
        let (address, flight, epoch) = match worker.live().admit(worker.index(), host, uri.path(), &tried) {
            Admission::To { address, flight, epoch } => (address, flight, epoch),
            Admission::NoRoute => return Err(Fault::NoRoute),
            Admission::NoBackend if !tried.is_empty() => return Err(failed),
            Admission::NoBackend => return Err(Fault::NoBackend),
        };
        let lease = match lease(worker, address, fresh).await {
            Ok(lease) => lease,
            Err(error) => {
                tracing::debug!(%address, %error, instance = %flight.instance(), "a backend cannot be reached");
                failed = if error.kind() == ErrorKind::TimedOut { Fault::Timeout } else { Fault::BadGateway };
                if !tried.add(address) {
                    return Err(failed);
                }
                fresh = false;
                continue;
            }
        };
        match exchange(lease, request).await {
            Ok((response, lease)) => return Ok(Answer { response, lease, flight, epoch }),
            Err(Broken::Over(fault)) => return Err(fault),
            Err(Broken::Again { request: again, reused, sent }) => {
                failed = Fault::BadGateway;
                broken += usize::from(sent);
                // Over a fresh connection the backend itself is at fault, and is not asked again.
                if broken > RESENT_MAX || (!reused && !tried.add(address)) {
                    return Err(failed);
                }
                (request, fresh) = (again, reused);
            }
        }
    }
}

/// A connection to `address`: a pooled one unless it must be `fresh`.
///
/// Whether a pooled one is dead is found out without a system call of its own: its task reads before it writes, and a
/// request that meets a closed connection comes back unsent, whatever its method.
async fn lease(worker: &Worker, address: SocketAddr, fresh: bool) -> std::io::Result<Lease> {
    let pooled = if fresh { None } else { worker.pool().take(address) };
    match pooled {
        Some(lease) => Ok(lease),
        None => worker.pool().dial(address).await,
    }
}

/// Sends a request over one connection and waits for the head of the answer.
async fn exchange(mut lease: Lease, mut request: Request<Upload>) -> Result<(Response<Incoming>, Lease), Broken> {
    request.body_mut().attach(&lease.watch);
    let over = request.body().over();
    let spare = repeatable(&request).then(|| copy(&request));
    lease.watch.expect_answer();
    let sent = lease.sender.try_send_request(request).await;
    lease.watch.answered();
    let mut error = match sent {
        Ok(response) => return Ok((response, lease)),
        Err(error) => error,
    };
    if over.is_some_and(|over| over.get()) {
        return Err(Broken::Over(Fault::TooLarge));
    }
    if lease.watch.expired() {
        return Err(Broken::Over(Fault::Timeout));
    }
    if let Some(request) = error.take_message() {
        return Err(Broken::Again { request, reused: lease.reused, sent: false });
    }
    let error = error.into_error();
    match spare {
        Some(request) if !error.is_parse() => Err(Broken::Again { request, reused: lease.reused, sent: true }),
        Some(_) | None => {
            tracing::debug!(address = %lease.address, %error, "a backend broke off before it answered");
            Err(Broken::Over(Fault::BadGateway))
        }
    }
}

/// The edge's own answer, counted and logged as any other.
fn own_words(fault: Fault, mut kept: Kept) -> Response<Reply> {
    let mut response = fault.answer();
    if let Some(line) = &mut kept.line {
        line.status = response.status();
        line.bytes = response.body().size_hint().exact().unwrap_or(0);
    }
    response.body_mut().keep(kept);
    response
}

/// Makes the client's response of a backend's.
fn finish(visitor: &Visitor, answer: Answer, upgrade: Option<OnUpgrade>, mut kept: Kept) -> Response<Reply> {
    let Answer { mut response, lease, flight, epoch } = answer;
    kept.flight = Some(flight);
    let status = response.status();
    let strange = response.headers().get(TRANSFER_ENCODING).is_some_and(|coding| !headers::only_chunked(coding));
    if strange || (status == StatusCode::SWITCHING_PROTOCOLS && upgrade.is_none()) {
        // A coding that would be lost on the way, or a change of protocols that nobody asked for.
        return own_words(Fault::BadGateway, kept);
    }
    if let Some(line) = &mut kept.line {
        line.status = status;
    }
    *response.version_mut() = Version::HTTP_11;
    let Some(client) = upgrade.filter(|_| status == StatusCode::SWITCHING_PROTOCOLS) else {
        headers::inbound(response.headers_mut());
        return response.map(|incoming| Reply::through(incoming, lease, epoch, kept));
    };
    let protocol = response.headers().get(http::header::UPGRADE).cloned();
    let backend = hyper::upgrade::on(&mut response);
    headers::inbound(response.headers_mut());
    headers::set_upgrade(response.headers_mut(), protocol.unwrap_or(HeaderValue::from_static("websocket")));
    let seat = visitor.worker.seat();
    tokio::task::spawn_local(async move {
        tunnel::run(client, backend).await;
        drop((lease, kept, seat));
    });
    response.map(|_| Reply::empty())
}

/// Whether a request may be sent a second time: nothing of it is used up, and twice is as good as once.
fn repeatable(request: &Request<Upload>) -> bool {
    request.body().is_empty() && headers::idempotent(request.method())
}

fn copy(request: &Request<Upload>) -> Request<Upload> {
    let mut copy = Request::new(Upload::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}
