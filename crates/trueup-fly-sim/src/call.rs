//! What is asked and what is answered: a request without its socket, and the answer before it has one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::time::Moment;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// Its path, still percent-encoded.
    pub path: String,
    /// What followed the question mark, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Its headers, by small-letter name.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Asked {
    /// A request for a path, which may carry a query.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method: method.to_owned(), path: path.to_owned(), query: read_query(query), ..Self::default() }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_lowercase(), value.to_owned());
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }

    /// The first value of this name in the query.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the query switches this on.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.param(name).is_some_and(|value| value == "true" || value == "1")
    }

    /// The body as JSON; an object without fields where it is empty.
    pub(crate) fn read(&self) -> Result<Value, Refusal> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.body).map_err(|why| Refusal::new(400, format!("invalid_argument: {why}")))
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers beside the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// What it carries.
    pub body: Body,
}

/// What an answer carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// JSON.
    Json(Value),
    /// Plain text.
    Text(String),
}

impl Reply {
    /// JSON with this status.
    #[must_use]
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Body::Json(body) }
    }

    /// A status alone.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty }
    }

    /// The JSON it carries; null when it carries none.
    #[must_use]
    pub fn value(&self) -> Value {
        match &self.body {
            Body::Json(value) => value.clone(),
            Body::Empty | Body::Text(_) => Value::Null,
        }
    }
}

/// No, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    reply: Box<Reply>,
}

impl Refusal {
    /// With the usual body.
    pub(crate) fn new(status: u16, error: impl Into<String>) -> Self {
        Self { reply: Box::new(Reply::json(status, json!({"error": error.into()}))) }
    }

    /// With a machine-readable code beside.
    pub(crate) fn coded(status: u16, error: &str, code: &str) -> Self {
        Self { reply: Box::new(Reply::json(status, json!({"error": error, "status": code}))) }
    }

    /// As this answer.
    pub(crate) fn reply(reply: Reply) -> Self {
        Self { reply: Box::new(reply) }
    }

    /// 412, which is what most verbs say to a state that does not fit.
    pub(crate) fn precondition(why: &str) -> Self {
        Self::new(412, format!("failed_precondition: {why}"))
    }

    /// As an answer.
    pub(crate) fn into_reply(self) -> Reply {
        *self.reply
    }
}

/// What a handler says: an answer, or that it is to be asked again once something has changed.
#[derive(Debug)]
pub(crate) enum Done {
    Now(Reply),
    /// Not before anything changes, or this moment comes.
    Later(Moment),
}

impl From<Reply> for Done {
    fn from(reply: Reply) -> Self {
        Self::Now(reply)
    }
}

/// What a handler answers.
pub(crate) type Answer = Result<Done, Refusal>;

/// 200 with JSON.
#[expect(clippy::unnecessary_wraps, reason = "what handlers end with")]
pub(crate) fn ok(body: Value) -> Answer {
    Ok(Done::Now(Reply::json(200, body)))
}

/// A request on its way through the cloud.
#[derive(Debug)]
pub(crate) struct Call {
    pub asked: Asked,
    /// When it came.
    pub began: Moment,
    /// What its path named: `app`, `machine`, and so on.
    pub names: BTreeMap<&'static str, String>,
    /// Who asks.
    pub token: crate::tokens::Bearer,
}

impl Call {
    /// What the path named so.
    pub(crate) fn name(&self, of: &str) -> &str {
        self.names.get(of).map_or("", String::as_str)
    }

    pub(crate) fn app(&self) -> &str {
        self.name("app")
    }

    pub(crate) fn machine(&self) -> &str {
        self.name("machine")
    }
}

/// Reads a query, decoding it.
pub(crate) fn read_query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
        })
        .collect()
}

/// Undoes percent-encoding.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[at], hex.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
