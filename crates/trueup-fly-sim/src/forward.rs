//! Passes a request on to the process of the machine that the proxy has chosen.
//!
//! Bodies of answers stream; an upgrade, such as a WebSocket's, becomes a tunnel.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What is answered: something of ours, or what a process says.
pub(crate) type Outgoing = Either<Full<Bytes>, Incoming>;

/// A request, once its body is there.
pub(crate) struct Whole {
    pub head: http::request::Parts,
    pub body: Bytes,
    /// The client's side of a tunnel.
    pub upgrade: Option<OnUpgrade>,
}

/// Passes a request on to a port of this host; 502 where nobody answers there.
pub(crate) async fn forward(whole: Whole, port: u16) -> Response<Outgoing> {
    pass(whole, port).await.unwrap_or_else(|why| {
        let mut answer = Response::new(Either::Left(Full::new(Bytes::from(format!("{why}\n")))));
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
        answer
    })
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn pass(whole: Whole, port: u16) -> Result<Response<Outgoing>, Failed> {
    let Whole { mut head, body, upgrade } = whole;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with its answer, or with its tunnel; why it ended is seen there.
    tokio::spawn(connection.with_upgrades());
    let tunnel = head.headers.contains_key(UPGRADE);
    if !tunnel {
        head.headers.remove(CONNECTION);
    }
    // The body has been read whole: its length is told anew.
    head.headers.remove(TRANSFER_ENCODING);
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = head.method;
    *request.uri_mut() = path;
    *request.headers_mut() = head.headers;
    let own = format!("127.0.0.1:{port}").parse()?;
    request.headers_mut().entry(HOST).or_insert(own);
    let mut answer = sender.send_request(request).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client) = upgrade
    {
        let process = hyper::upgrade::on(&mut answer);
        tokio::spawn(join(client, process));
    }
    Ok(answer.map(Either::Right))
}

/// Carries bytes both ways, until either side has gone.
async fn join(client: OnUpgrade, process: OnUpgrade) {
    let (Ok(client), Ok(process)) = tokio::join!(client, process) else { return };
    // A tunnel ends however its sides end it.
    let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(process)).await;
}
