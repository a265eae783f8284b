//! What the edge says in its own name: a status, a header that names the cause, and one plain line.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::body::Reply;

/// The header that tells the edge's own answers from an app's.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("x-trueup-error");

/// Why the edge answers in an app's stead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No entry takes the host and path.
    NoRoute,
    /// An entry does, but nobody is behind it.
    NoBackend,
    /// The backend could not be reached, or broke off before it answered.
    BadGateway,
    /// The backend did not answer in time.
    Timeout,
    /// The request's body is too large.
    TooLarge,
    /// The request is ambiguous or not served, in one line.
    BadRequest(&'static str),
}

impl Fault {
    fn status(self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NoBackend => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "no-route",
            Self::NoBackend => "no-backend",
            Self::BadGateway => "bad-gateway",
            Self::Timeout => "timeout",
            Self::TooLarge => "too-large",
            Self::BadRequest(_) => "bad-request",
        }
    }

    fn line(self) -> &'static str {
        match self {
            Self::NoRoute => "no app is routed at this host and path",
            Self::NoBackend => "the app has no instance that is ready; try again in a moment",
            Self::BadGateway => "the app's instance could not be reached, or broke off before it answered",
            Self::Timeout => "the app's instance did not answer in time",
            Self::TooLarge => "the request's body is larger than the edge takes",
            Self::BadRequest(why) => why,
        }
    }

    /// The answer.
    pub(crate) fn answer(self) -> Response<Reply> {
        let text = Bytes::from(format!("{} ({})\n", self.line(), self.name()));
        let mut response = Response::new(Reply::text(text));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(ERROR_HEADER, HeaderValue::from_static(self.name()));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    }
}
