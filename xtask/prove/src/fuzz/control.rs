//! Any bytes as requests to the control API of a living daemon: each is answered, and the daemon goes on.
//!
//! An input is a list of requests, parted by a line `%%`; each begins with a line `METHOD PATH`, and the rest is its body.
//! The daemon is a whole one, in the simulated world, with one app behind a route.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use trueup_seams::ControlError;
use trueup_server::router;
use trueup_sim::{AppSketch, House};
use trueup_types::status::StatusDocument;

use crate::waiting::simulated;

/// What parts requests.
const NEXT_REQUEST: &[u8] = b"\n%%\n";
/// Most requests of an input.
const REQUESTS_MAX: usize = 6;
/// Simulated time from one request to the next, and before the first: the app is live by then.
const MEANWHILE: Duration = Duration::from_secs(3);
/// Largest answer that is taken in, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Sends the bytes as requests.
pub fn target(data: &[u8]) {
    simulated(speak(data));
}

async fn speak(data: &[u8]) {
    let mut app = AppSketch::web("web");
    app.policy.min_healthy = Duration::ZERO;
    app.policy.bake = Duration::from_secs(5);
    let mut house = House::new();
    house.source.put(app.build());
    house.start().await;
    tokio::time::sleep(MEANWHILE).await;
    for request in parted(data).into_iter().take(REQUESTS_MAX) {
        let Some(request) = read(request) else { continue };
        let (status, bare) = (request.uri().path() == "/v1/status", request.method() == http::Method::HEAD);
        if request.uri().path() == "/v1/down" {
            // A person may take down what serves.
            house.world.lock().exempt.insert(app.name.clone());
        }
        let answer = router(house.control(), CancellationToken::new()).oneshot(request).await;
        let answer = answer.expect("a router always answers");
        let code = answer.status();
        let body = answer.into_body().collect().await.expect("an answer comes whole").to_bytes();
        if !bare {
            holds(code, &body, status);
        }
        tokio::time::sleep(MEANWHILE).await;
    }
    let document = house.control().status();
    let bug = document.events.iter().find(|event| event.reason == "Bug");
    assert!(bug.is_none(), "the daemon found a bug of its own: {bug:?}");
    let broken = house.world.lock().violations.clone();
    assert!(broken.is_empty(), "{broken:?}\n{}", house.story());
    house.stop().await;
}

fn parted(data: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), data);
    while let Some(at) = rest.windows(NEXT_REQUEST.len()).position(|window| window == NEXT_REQUEST) {
        parts.push(&rest[..at]);
        rest = &rest[at + NEXT_REQUEST.len()..];
    }
    parts.push(rest);
    parts
}

/// A request as a client could send it; `None` where the line of its head is none.
fn read(bytes: &[u8]) -> Option<Request<Body>> {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (method, path) = std::str::from_utf8(&bytes[..end]).ok()?.split_once(' ')?;
    let body = bytes.get(end + 1..).unwrap_or_default().to_vec();
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    request.body(Body::from(body)).ok()
}

/// An answer is one that a client understands.
fn holds(code: StatusCode, body: &Bytes, status: bool) {
    assert!(body.len() <= ANSWER_BYTES_MAX, "an answer of {} bytes", body.len());
    if code.is_success() {
        assert!(!status || serde_json::from_slice::<StatusDocument>(body).is_ok(), "the status does not read back");
        let read = serde_json::from_slice::<serde_json::Value>(body);
        assert!(read.is_ok(), "what was done is told as JSON");
    } else if code.is_server_error() {
        let refused = serde_json::from_slice::<ControlError>(body);
        assert!(matches!(refused, Ok(ControlError::Failed(_))), "{code} says {:?}", String::from_utf8_lossy(body));
    } else {
        assert!(code.is_client_error(), "{code} means nothing to a client");
    }
}
