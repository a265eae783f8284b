//! The platform on a socket.

use std::convert::Infallible;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::call::{Asked, Body, Reply, read_query};
use crate::forward::{Outgoing, Whole, forward};
use crate::run::{Ports, run};
use crate::sim::{Answered, FlySim};
use crate::visit::CHOSEN;

/// Largest body that is read, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// How long to wait after a connection could not be accepted.
const BREATH: Duration = Duration::from_millis(50);

/// What a machine is on this host.
#[derive(Debug, Clone)]
pub enum Machines {
    /// A name, and a behaviour.
    Model,
    /// A process, where its config names a command.
    Run {
        /// What each inherits, beside what its config says.
        base_env: Vec<(String, String)>,
    },
}

/// Serves the platform on a listener, until it is dropped; connections and processes go with it.
///
/// # Cancel safety
/// Dropped, it ends at once.
pub async fn serve(listener: TcpListener, sim: Arc<FlySim>, machines: Machines) -> Infallible {
    let ports = Ports::default();
    let mut connections = JoinSet::new();
    let time = sim.keep_time();
    let running = async {
        match machines {
            Machines::Model => std::future::pending().await,
            Machines::Run { base_env } => run(Arc::clone(&sim), base_env, ports.clone()).await,
        }
    };
    tokio::pin!(time, running);
    loop {
        tokio::select! {
            () = &mut time => {}
            () = &mut running => {}
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(why) = ended {
                    tracing::warn!(%why, "a connection ended badly");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&sim), ports.clone()));
                }
                Err(why) => {
                    tracing::warn!(%why, "no connection was accepted");
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
}

/// The connection is cut.
#[derive(Debug)]
struct Severed;

impl std::fmt::Display for Severed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the scenario cuts the connection")
    }
}

impl std::error::Error for Severed {}

async fn connection(stream: TcpStream, sim: Arc<FlySim>, ports: Ports) {
    // A second handle, to end the connection the hard way.
    let handle = stream.as_fd().try_clone_to_owned().ok();
    let service = service_fn(|request| {
        let sim = Arc::clone(&sim);
        let (handle, ports) = (handle.as_ref(), &ports);
        async move { answer(&sim, request, handle, ports).await }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(why) = served {
        tracing::debug!(%why, "a connection ended");
    }
}

async fn answer(
    sim: &FlySim,
    mut request: Request<Incoming>,
    handle: Option<&OwnedFd>,
    ports: &Ports,
) -> Result<Response<Outgoing>, Severed> {
    let upgrade = request.headers().contains_key(http::header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return Ok(response(Reply::empty(413)));
    };
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let body = body.to_bytes();
    let asked = Asked {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: read_query(head.uri.query().unwrap_or_default()),
        headers: head.headers.iter().filter_map(header).collect(),
        body: body.to_vec(),
    };
    match sim.answer(asked).await {
        Answered::Reply(reply) => {
            let chosen = reply.headers.iter().find(|(name, _)| *name == CHOSEN);
            match chosen.and_then(|(_, machine)| ports.of(machine)) {
                Some(port) => Ok(forward(Whole { head, body, upgrade }, port).await),
                None => Ok(response(reply)),
            }
        }
        Answered::Cut => {
            if let Some(handle) = handle {
                // With nothing lingering, closing resets. Where that fails the connection merely closes.
                let _ = socket2::SockRef::from(handle).set_linger(Some(Duration::ZERO));
            }
            Err(Severed)
        }
    }
}

fn response(reply: Reply) -> Response<Outgoing> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (kind, bytes) = match reply.body {
        Body::Empty => (None, Bytes::new()),
        Body::Json(value) => (Some("application/json; charset=utf-8"), Bytes::from(value.to_string())),
        Body::Text(text) => (Some("text/plain; charset=utf-8"), Bytes::from(text)),
    };
    let mut answer = Response::builder().status(status).header("server", "Fly/sim");
    if let Some(kind) = kind {
        answer = answer.header("content-type", kind);
    }
    for (name, value) in reply.headers {
        answer = answer.header(name, value);
    }
    let body = Either::Left(Full::new(bytes));
    answer.body(body).unwrap_or_else(|_| Response::new(Either::Left(Full::new(Bytes::new()))))
}
