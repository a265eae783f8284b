//! Asks one question of one instance: over HTTP, TCP, a WebSocket, or by a command.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest as _};
use trueup_seams::Inspect;
use trueup_types::observed::ProbeFailure;
use trueup_types::probe::{Check, Probe};
use trueup_types::{InstanceId, PortName, Timestamp};

use crate::probe::Answer;

/// Most of a body that is kept as evidence, in bytes.
pub const BODY_BYTES_MAX: usize = 1_024;

/// Whom to ask, and how to get there.
#[derive(Clone)]
pub struct Subject {
    /// The instance.
    pub id: InstanceId,
    /// Where its ports answer.
    pub addresses: BTreeMap<PortName, SocketAddr>,
    /// For commands.
    pub inspect: Option<Arc<dyn Inspect>>,
    /// For HTTP: shared, with kept connections, no redirects and no proxies.
    pub http: reqwest::Client,
}

/// An HTTP client for probes.
#[must_use]
pub fn http_client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.pool_max_idle_per_host(1).build().expect("a client without TLS has nothing to fail at")
}

/// Asks, and waits for the answer at most the probe's timeout.
pub async fn ask(subject: &Subject, probe: &Probe, now: Timestamp) -> Answer {
    let asking = async {
        match &probe.check {
            Check::Http { path, port, status } => http(subject, path, port, status).await,
            Check::Tcp { port } => match address(subject, port) {
                Ok(address) => TcpStream::connect(address).await.map(drop).map_err(|error| Bad::io(&error)),
                Err(bad) => Err(bad),
            },
            Check::Exec { command } => exec(subject, command, probe.timeout).await,
            Check::Websocket { path, port } => websocket(subject, path, port).await,
        }
    };
    let answer = tokio::time::timeout(probe.timeout, asking).await;
    let bad = match answer {
        Ok(Ok(())) => return Answer::Good,
        Ok(Err(bad)) => bad,
        Err(_) => Bad::of(format!("no answer in {} ms", probe.timeout.as_millis())),
    };
    if let Some(ours) = bad.ours {
        return Answer::Nothing(ours);
    }
    let name = probe.name.clone();
    Answer::Bad(ProbeFailure { probe: name, at: now, detail: bad.detail, status: bad.status, body: bad.body })
}

/// What was wrong.
#[derive(Default)]
struct Bad {
    detail: String,
    status: Option<u16>,
    body: String,
    /// The asking failed for a reason of our own.
    ours: Option<String>,
}

impl Bad {
    fn of(detail: String) -> Self {
        Self { detail, ..Self::default() }
    }

    fn io(error: &std::io::Error) -> Self {
        // Out of descriptors, memory or ports: nothing that the instance has done.
        let ours = matches!(error.raw_os_error(), Some(23 | 24 | 12 | 99));
        Self { detail: error.to_string(), ours: ours.then(|| error.to_string()), ..Self::default() }
    }
}

fn address(subject: &Subject, port: &PortName) -> Result<SocketAddr, Bad> {
    let found = subject.addresses.get(port).copied();
    found.ok_or_else(|| Bad::of(format!("it has no port `{port}`")))
}

async fn http(subject: &Subject, path: &str, port: &PortName, good: &[u16]) -> Result<(), Bad> {
    let address = address(subject, port)?;
    let request = subject.http.get(format!("http://{address}{path}")).header("user-agent", "trueup-probe");
    let mut answer = request.send().await.map_err(|error| reqwest_failed(&error))?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    while body.len() < BODY_BYTES_MAX {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Err(reqwest_failed(&error)),
        }
    }
    if good.contains(&status) {
        return Ok(());
    }
    body.truncate(BODY_BYTES_MAX);
    let body = String::from_utf8_lossy(&body).into_owned();
    Err(Bad { detail: format!("status {status}"), status: Some(status), body, ours: None })
}

/// The innermost cause, one line: `Connection refused (os error 111)`.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    reqwest_failed(error).detail
}

fn reqwest_failed(error: &reqwest::Error) -> Bad {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    let mut detail = error.to_string();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return Bad::io(io);
        }
        detail = inner.to_string();
        cause = inner.source();
    }
    Bad::of(detail)
}

async fn exec(subject: &Subject, command: &[String], timeout: Duration) -> Result<(), Bad> {
    let Some(inspect) = &subject.inspect else {
        return Err(Bad { ours: Some("this target runs no commands".to_owned()), ..Bad::default() });
    };
    match inspect.exec(&subject.id, command, timeout).await {
        Ok(output) if output.code == Some(0) => Ok(()),
        Ok(output) => {
            let mut body = output.output;
            body.truncate(body.floor_char_boundary(BODY_BYTES_MAX));
            let detail =
                output.code.map_or_else(|| "killed at its timeout".to_owned(), |code| format!("exit code {code}"));
            Err(Bad { detail, body, ..Bad::default() })
        }
        Err(error) => Err(Bad { ours: Some(error.detail), ..Bad::default() }),
    }
}

async fn websocket(subject: &Subject, path: &str, port: &PortName) -> Result<(), Bad> {
    let address = address(subject, port)?;
    let stream = TcpStream::connect(address).await.map_err(|error| Bad::io(&error))?;
    let failed = |error: tungstenite::Error| {
        let tungstenite::Error::Http(answer) = &error else { return Bad::of(error.to_string()) };
        let status = answer.status().as_u16();
        Bad { detail: format!("the upgrade was answered with {status}"), status: Some(status), ..Bad::default() }
    };
    let request = format!("ws://{address}{path}").into_client_request().map_err(failed)?;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(failed)?;
    socket.send(Message::Ping(Vec::new().into())).await.map_err(failed)?;
    while let Some(message) = socket.next().await {
        if matches!(message.map_err(failed)?, Message::Pong(_)) {
            // It answered; whether it says goodbye nicely is not asked.
            let _ = socket.close(None).await;
            return Ok(());
        }
    }
    Err(Bad::of("it closed before it answered a ping".to_owned()))
}
