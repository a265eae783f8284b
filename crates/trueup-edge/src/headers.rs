//! What may pass and what may not: checks a request's head, and rewrites heads both ways.
//!
//! Pure: given heads, changes heads. `proxy` calls it before and after a backend.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Uri, Version};

use crate::answer::Fault;
use crate::forwarded;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

const HOP_BY_HOP_COUNT: usize = 11;
/// Headers that concern one connection and are never passed on (RFC 9110, section 7.6.1, and the older proxies' own);
/// `Expect` among them, since the edge has met the expectation by then.
static HOP_BY_HOP: [HeaderName; HOP_BY_HOP_COUNT] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TRANSFER_ENCODING,
    TE,
    TRAILER,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HTTP2_SETTINGS,
    EXPECT,
];

/// The host that a request is for, as the client wrote it.
///
/// # Errors
/// [`Fault::BadRequest`] when there is none, more than one, or two that differ; and for CONNECT.
pub(crate) fn host<B>(request: &Request<B>) -> Result<HeaderValue, Fault> {
    if request.method() == Method::CONNECT {
        return Err(Fault::BadRequest("CONNECT is not served here"));
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Fault::BadRequest("the request names its host twice"));
    }
    match (request.uri().authority(), first) {
        (None, Some(host)) => Ok(host.clone()),
        // An absolute target outranks the header (RFC 9112, section 3.2.2).
        (Some(authority), host) => {
            let differs = host.is_some_and(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()));
            if differs && request.version() == Version::HTTP_2 {
                return Err(Fault::BadRequest("the request names two hosts"));
            }
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            HeaderValue::from_str(host).map_err(|_| Fault::BadRequest("the request's host is not a host"))
        }
        (None, None) => Err(Fault::BadRequest("the request names no host")),
    }
}

/// The protocol that a request wants to change to, if it does and the edge lets it.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get(UPGRADE)?;
    // HTTP/2 behind our back would carry requests that nobody routed.
    let http2 = |one: &str| one.trim().get(..2).is_some_and(|start| start.eq_ignore_ascii_case("h2"));
    let smuggles = wanted.to_str().map_or(true, |text| text.split(',').any(http2));
    (!smuggles && names(headers, "upgrade")).then(|| wanted.clone())
}

/// Rewrites the head of a request for its backend; `host` is what [`host`] has answered for it.
pub(crate) fn outbound<B>(request: &mut Request<B>, host: &HeaderValue, client: &HeaderValue) {
    let http2 = request.version() == Version::HTTP_2;
    *request.version_mut() = Version::HTTP_11;
    if request.uri().authority().is_some() {
        *request.uri_mut() = origin_form(request.uri());
        request.headers_mut().insert(HOST, host.clone());
    }
    let headers = request.headers_mut();
    strip(headers);
    if http2 {
        join_cookies(headers);
    }
    forwarded::tell(headers, host, client);
}

/// Rewrites the head of a response for its client.
pub(crate) fn inbound(headers: &mut HeaderMap) {
    strip(headers);
}

/// Writes the two headers that make a head ask for, or agree to, another protocol.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Says that no request can follow on this connection.
pub(crate) fn set_close(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Says that the body's length is not known; without it hyper takes a GET to have none.
pub(crate) fn set_chunked(headers: &mut HeaderMap) {
    headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
}

/// Whether a body is framed by chunks and nothing else; what else a hop coded could not be told from its content.
pub(crate) fn only_chunked(coding: &HeaderValue) -> bool {
    coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// The declared length of a body.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a request may be sent a second time without harm (RFC 9110, section 9.2.2).
pub(crate) fn idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE].contains(method)
}

fn names(headers: &HeaderMap, option: &str) -> bool {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(option))
}

fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        strip_named(headers);
    }
    // Most heads carry none of these: one walk over the few that are there is cheaper than a look-up for each.
    let mut found = [false; HOP_BY_HOP_COUNT];
    for name in headers.keys() {
        for (hit, hop) in found.iter_mut().zip(&HOP_BY_HOP) {
            *hit |= name == hop;
        }
    }
    for (hit, hop) in found.iter().zip(&HOP_BY_HOP) {
        if *hit {
            headers.remove(hop);
        }
    }
}

/// Drops the headers that `Connection` names; nobody may name away what the edge or the framing rests on.
fn strip_named(headers: &mut HeaderMap) {
    let options = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let options = options.flat_map(|value| value.split(',')).map(str::trim);
    let usual = |one: &&str| !["close", "keep-alive", "upgrade"].iter().any(|usual| one.eq_ignore_ascii_case(usual));
    let named: Vec<HeaderName> = options.filter(usual).filter_map(|one| one.parse().ok()).collect();
    for name in named {
        if name != HOST && name != CONTENT_LENGTH {
            headers.remove(name);
        }
    }
}

fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map_or_else(|| Uri::from(PathAndQuery::from_static("/")), Uri::from)
}

/// HTTP/2 may split cookies over fields; HTTP/1.1 may not (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1 {
        let joined = HeaderValue::from_bytes(&cookies.join(&b"; "[..])).expect("cookies joined are a header value");
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = uri.parse().expect("a uri");
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn hop_by_hop_headers_and_those_that_connection_names_are_dropped() {
        let mut head = request(
            "/",
            &[
                ("connection", "close, X-Secret, host, content-length"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("http2-settings", "AAMAAABk"),
                ("x-secret", "1"),
                ("content-length", "3"),
                ("accept", "*/*"),
            ],
        );
        outbound(&mut head, &HeaderValue::from_static("a.test"), &HeaderValue::from_static("10.0.0.1"));
        let mut left: Vec<_> = head.headers().keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        let wanted = ["accept", "content-length", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
        assert_eq!(left, wanted);
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(host(&request("/", &[("host", "a.test")])), Ok(HeaderValue::from_static("a.test")));
        assert!(host(&request("/", &[("host", "a.test"), ("host", "a.test")])).is_err());
        assert!(host(&request("/", &[])).is_err());
        let absolute = request("http://b.test/x?y", &[("host", "a.test")]);
        assert_eq!(host(&absolute), Ok(HeaderValue::from_static("b.test")), "an absolute target outranks the header");
        let mut absolute = absolute;
        outbound(&mut absolute, &HeaderValue::from_static("b.test"), &HeaderValue::from_static("10.0.0.1"));
        assert_eq!(absolute.uri(), "/x?y");
    }

    #[test]
    fn an_upgrade_to_http2_is_not_passed_on() {
        let headers = |protocol| request("/", &[("connection", "Upgrade"), ("upgrade", protocol)]).headers().clone();
        assert_eq!(upgrade(&headers("websocket")), Some(HeaderValue::from_static("websocket")));
        assert_eq!(upgrade(&headers("H2c")), None);
        assert_eq!(upgrade(&headers("websocket, h2c")), None);
        assert_eq!(upgrade(request("/", &[("upgrade", "websocket")]).headers()), None, "Connection must name it");
    }
}
