//! One request and its answer, and who carries them: a socket, or in tests a simulated platform in the same process.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use trueup_host::spelled;
use trueup_seams::BoxFuture;

/// A request, ready to go.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// The whole address.
    pub url: String,
    /// Its headers, by small-letter name.
    pub headers: Vec<(&'static str, String)>,
    /// Its body, which is JSON.
    pub body: Option<Vec<u8>>,
}

/// An answer, whatever it says.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// What names it in the platform's own logs.
    pub request_id: Option<String>,
    /// How many seconds to wait, where it says so.
    pub retry_after: Option<u64>,
    /// Its body.
    pub body: Vec<u8>,
}

/// No answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// Nothing was sent.
    Unsent(String),
    /// It was sent, and nobody knows what came of it.
    Broken(String),
}

/// Who carries requests.
pub trait Wire: Send + Sync {
    /// Sends a request and brings its answer.
    ///
    /// # Cancel safety
    /// Dropped, nobody knows what came of it.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, Lost>>;
}

/// Longest that a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);
/// Who asks.
const AGENT: &str = concat!("trueup/", env!("CARGO_PKG_VERSION"));
/// Largest answer that is read, in bytes: an organisation's listing has some kilobytes for each machine.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Over the network: in the clear for what is near, in TLS for what is not.
///
/// TLS is this crate's own: reqwest would bring it to every client of the house.
pub struct Network {
    plain: Client<HttpConnector, Full<Bytes>>,
    /// Or why this host can trust nobody.
    secure: Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, String>,
}

impl Network {
    /// With connections of its own, which it keeps, and the authorities that this host trusts.
    #[must_use]
    pub fn open() -> Self {
        let mut near = HttpConnector::new();
        near.set_connect_timeout(Some(CONNECT));
        near.set_nodelay(true);
        let mut far = near.clone();
        far.enforce_http(false);
        let client = || Client::builder(TokioExecutor::new());
        let secure = HttpsConnectorBuilder::new().with_native_roots();
        let secure = secure.map(|trusting| trusting.https_only().enable_http1().wrap_connector(far));
        Self {
            plain: client().build(near),
            secure: secure
                .map(|connector| client().build(connector))
                .map_err(|error| format!("this host trusts no authority for TLS: {error}; install `ca-certificates`")),
        }
    }

    async fn carry(&self, request: Request) -> Result<Reply, Lost> {
        let secured = request.url.starts_with("https://");
        if !secured && !request.url.starts_with("http://") {
            return Err(Lost::Unsent(format!("`{}` is no address", request.url)));
        }
        let mut asked = hyper::Request::builder().method(request.method).uri(&request.url).header("user-agent", AGENT);
        for (name, value) in request.headers {
            asked = asked.header(name, value);
        }
        if request.body.is_some() {
            asked = asked.header("content-type", "application/json");
        }
        let body = Full::new(Bytes::from(request.body.unwrap_or_default()));
        let asked = asked.body(body).map_err(|error| Lost::Unsent(spelled(&error)))?;
        let answer = match &self.secure {
            Ok(secure) if secured => secure.request(asked).await,
            Err(why) if secured => return Err(Lost::Unsent(why.clone())),
            Ok(_) | Err(_) => self.plain.request(asked).await,
        };
        let answer = answer.map_err(|error| lost(&error))?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (request_id, retry_after) = (header("fly-request-id"), header("retry-after"));
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| Lost::Broken(spelled(&*error)))?.to_bytes().to_vec();
        let retry_after = retry_after.and_then(|seconds| seconds.trim().parse().ok());
        Ok(Reply { status, request_id, retry_after, body })
    }
}

impl Wire for Network {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, Lost>> {
        Box::pin(self.carry(request))
    }
}

fn lost(error: &hyper_util::client::legacy::Error) -> Lost {
    if error.is_connect() { Lost::Unsent(spelled(error)) } else { Lost::Broken(spelled(error)) }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn get(url: String) -> Request {
        Request { method: "GET", url, headers: vec![("authorization", "Bearer any".to_owned())], body: None }
    }

    /// What begins with these is a TLS handshake.
    const HANDSHAKE: [u8; 2] = [0x16, 0x03];

    #[tokio::test]
    async fn what_is_far_is_spoken_to_in_tls_and_never_in_the_clear() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://localhost:{}/v1/apps", listener.local_addr().expect("it has one").port());
        let heard = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("somebody comes");
            let mut first = [0; 2];
            socket.read_exact(&mut first).await.map(|_| first)
        });
        let lost = Network::open().send(get(url)).await.expect_err("nobody answers");
        match lost {
            Lost::Unsent(why) if why.contains("ca-certificates") => heard.abort(),
            Lost::Unsent(_) => assert_eq!(heard.await.expect("it ends").expect("it was sent"), HANDSHAKE),
            Lost::Broken(why) => panic!("no request was sent, but: {why}"),
        }
    }

    #[tokio::test]
    async fn what_is_near_is_answered_in_the_clear() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1/apps", listener.local_addr().expect("it has one"));
        let heard = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("somebody comes");
            let mut asked = vec![0; 4_096];
            let length = socket.read(&mut asked).await.expect("it asks");
            let answer =
                "HTTP/1.1 429 Too Many\r\nretry-after: 2\r\nfly-request-id: 01J\r\ncontent-length: 2\r\n\r\n{}";
            socket.write_all(answer.as_bytes()).await.expect("it listens");
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let reply = Network::open().send(get(url)).await.expect("an answer");
        assert_eq!((reply.status, reply.retry_after, reply.body.as_slice()), (429, Some(2), &b"{}"[..]));
        assert_eq!(reply.request_id.as_deref(), Some("01J"));
        let asked = heard.await.expect("it ends");
        assert!(
            asked.starts_with("GET /v1/apps HTTP/1.1\r\n") && asked.contains("authorization: Bearer any"),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn where_nobody_listens_nothing_was_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("it has one"));
        drop(listener);
        assert!(matches!(Network::open().send(get(url)).await, Err(Lost::Unsent(_))));
        assert!(matches!(Network::open().send(get("nonsense".to_owned())).await, Err(Lost::Unsent(_))));
    }
}
