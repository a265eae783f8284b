//! What a backend is told of its visitor: the address, the host that was asked for, and whether the way was encrypted.
//!
//! A proxy on this host that ends TLS before us is believed, for it saw the visitor and we did not. Nobody from elsewhere
//! is: what such a one says of itself in any of the names that frameworks read is dropped, be it spelled with underscores,
//! which CGI and WSGI cannot tell from dashes.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// What others read for the same, and what makes a CGI program send its own requests elsewhere (CVE-2016-5385).
const ONLY_FROM_HERE: [&str; 7] =
    ["forwarded", "x-forwarded-ssl", "x-forwarded-scheme", "x-forwarded-port", "x-real-ip", "x-url-scheme", "proxy"];

/// Writes who asks and how, in place of whatever the request said of that; `client` is the peer's address.
pub(crate) fn tell(headers: &mut HeaderMap, host: &HeaderValue, client: &HeaderValue) {
    let peer = client.to_str().ok().and_then(|text| text.parse::<IpAddr>().ok());
    let believed = peer.is_some_and(|peer| peer.is_loopback());
    if !believed {
        drop_claims(headers);
    }
    let encrypted = believed && says_encrypted(headers);
    headers.insert(HOST, host.clone());
    headers.insert(PROTO, HeaderValue::from_static(if encrypted { "https" } else { "http" }));
    let chain = chain(headers, client, believed);
    headers.insert(FOR, chain);
}

/// Drops what somebody from elsewhere says of itself.
fn drop_claims(headers: &mut HeaderMap) {
    let read_as = |name: &HeaderName| {
        let (name, dashed) = (name.as_str(), name.as_str().replace('_', "-"));
        let ours = name != dashed && [FOR, PROTO, HOST].iter().any(|one| one.as_str() == dashed);
        ours || ONLY_FROM_HERE.contains(&dashed.as_str())
    };
    // Most heads carry none of these, and few a name that can be one of them.
    let may_be = |name: &&HeaderName| matches!(name.as_str().as_bytes(), [b'x' | b'f' | b'p', ..]);
    let claims: Vec<_> = headers.keys().filter(may_be).filter(|name| read_as(name)).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

/// Whether the proxy before us says, once, that the visitor came over TLS; some say it of websockets in their own word.
fn says_encrypted(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(PROTO).iter();
    match (said.next(), said.next()) {
        (Some(only), None) => [&b"https"[..], b"wss"].iter().any(|one| only.as_bytes().eq_ignore_ascii_case(one)),
        _ => false,
    }
}

/// The addresses on the way here, the visitor's last: a proxy on this host is no visitor.
fn chain(headers: &HeaderMap, client: &HeaderValue, believed: bool) -> HeaderValue {
    let said = || headers.get_all(FOR).iter();
    if said().next().is_none() {
        return client.clone();
    }
    let peer = (!believed).then_some(client);
    let chain = said().chain(peer).map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
    HeaderValue::from_bytes(&chain).expect("header values joined by a comma are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a backend reads of a request of `client` with these headers, in order of the names.
    fn told(client: &'static str, said: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(*name, HeaderValue::from_static(value));
        }
        tell(&mut headers, &HeaderValue::from_static("a.test"), &HeaderValue::from_static(client));
        let line = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap_or("?"));
        let mut lines: Vec<_> = headers.iter().map(line).collect();
        lines.sort_unstable();
        lines
    }

    fn lines(chain: &str, proto: &str) -> Vec<String> {
        let host = "x-forwarded-host: a.test".to_owned();
        vec![format!("x-forwarded-for: {chain}"), host, format!("x-forwarded-proto: {proto}")]
    }

    #[test]
    fn one_from_elsewhere_is_appended_to_the_chain_that_it_claims() {
        let said = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")];
        assert_eq!(told("10.0.0.1", &said), lines("1.1.1.1, 2.2.2.2, 10.0.0.1", "http"));
        assert_eq!(told("10.0.0.1", &[]), lines("10.0.0.1", "http"));
    }

    #[test]
    fn a_proxy_on_this_host_says_who_came_and_how() {
        let said = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https")];
        assert_eq!(told("127.0.0.1", &said), lines("1.1.1.1", "https"));
        assert_eq!(told("::1", &[("x-forwarded-proto", "WSS")]), lines("::1", "https"));
        let twice = [("x-forwarded-proto", "https"), ("x-forwarded-proto", "https")];
        assert_eq!(told("127.0.0.1", &twice), lines("127.0.0.1", "http"), "said twice, once by somebody else");
        assert_eq!(told("127.0.0.1", &[("x-forwarded-proto", "gopher")]), lines("127.0.0.1", "http"));
        assert!(told("127.0.0.1", &[("x-real-ip", "1.1.1.1")]).contains(&"x-real-ip: 1.1.1.1".to_owned()));
    }

    #[test]
    fn nobody_from_elsewhere_is_believed_in_any_spelling() {
        let names = ["x-forwarded-proto", "x_forwarded_proto", "x-forwarded_host", "x_forwarded_for"];
        for name in names.into_iter().chain(ONLY_FROM_HERE) {
            assert_eq!(told("10.0.0.1", &[(name, "https")]), lines("10.0.0.1", "http"), "{name}");
        }
        let own = told("10.0.0.1", &[("x_api_key", "1"), ("proxy-count", "2")]);
        assert_eq!(own.len(), 5, "what is none of these passes: {own:?}");
    }
}
