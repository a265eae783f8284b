//! One call: its turn, its token, its deadline, its tries.
//!
//! Every call has a patience that bounds all of it, waits and tries together. What is safe to repeat is repeated while that
//! lasts; what is not is repeated only where nothing was done. Knows operations by name, and nothing of what they mean.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use crate::fault::{Answer, Fault};
use crate::lease::Leases;
use crate::pace::{Key, Pace, TooSoon};
use crate::retry::Retry;
use crate::token::{TokenSource, bearer, header};
use crate::wire::{Lost, Reply, Request, Wire};

/// Longest that one try may take: the platform's own deadlines are shorter.
const TRY: Duration = Duration::from_secs(12);
/// Longest that a call may take, with all its tries: a step of the driver's has thirty seconds, and makes several.
pub(crate) const PATIENCE: Duration = Duration::from_secs(18);
/// The header that proves that a lease is ours.
const NONCE: &str = "fly-machine-lease-nonce";
/// How long nobody asks where the platform has counted more than we have and does not say how long.
const REFUSED: Duration = Duration::from_secs(1);

/// Calls the platform.
pub(crate) struct Client {
    wire: Arc<dyn Wire>,
    token: TokenSource,
    pace: Pace,
    api: String,
    web: String,
    /// Whatever changes a machine whose lease is ours proves it.
    pub(crate) leases: Leases,
}

/// One call, in words of the Machines API.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The operation's id in the platform's specification.
    pub action: &'static str,
    /// The machine, app or organisation that it is about.
    pub whom: String,
    pub method: &'static str,
    pub path: String,
    pub body: Option<Value>,
    /// Whether doing it twice is doing it once.
    pub repeats: bool,
    /// For all of it.
    pub patience: Duration,
    /// For one try.
    pub once: Duration,
    /// What proves a lease that is known no more.
    pub nonce: Option<String>,
    /// Whether it is of the other service, which knows one scheme of tokens alone.
    pub bearer: bool,
}

impl Call {
    pub(crate) fn new(method: &'static str, action: &'static str, whom: &str, path: String) -> Self {
        let whom = whom.to_owned();
        let (patience, once, nonce, bearer) = (PATIENCE, TRY, None, false);
        Self { action, whom, method, path, body: None, repeats: true, patience, once, nonce, bearer }
    }

    pub(crate) fn get(action: &'static str, whom: &str, path: String) -> Self {
        Self::new("GET", action, whom, path)
    }

    pub(crate) fn post(action: &'static str, whom: &str, path: String) -> Self {
        Self::new("POST", action, whom, path)
    }

    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// It makes something anew each time.
    pub(crate) fn once_only(mut self) -> Self {
        self.repeats = false;
        self
    }

    /// It is answered when something has happened, within so long.
    pub(crate) fn held(mut self, within: Duration) -> Self {
        (self.patience, self.once) = (within, within);
        self
    }

    pub(crate) fn proving(mut self, nonce: String) -> Self {
        self.nonce = Some(nonce);
        self
    }

    pub(crate) fn bearer(mut self) -> Self {
        self.bearer = true;
        self
    }

    pub(crate) fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

impl Client {
    pub(crate) fn new(wire: Arc<dyn Wire>, token: TokenSource, api: &str, web: &str) -> Self {
        let (api, web, leases) = (api.to_owned(), web.to_owned(), Leases::default());
        Self { wire, token, pace: Pace::default(), api, web, leases }
    }

    /// Makes a call, and reads what it answers.
    pub(crate) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T, Fault> {
        let action = call.action;
        let reply = self.make(call).await?;
        let wrong = |why: serde_json::Error| Fault::Broken(format!("what {action} answered: {why}"));
        let mut value = serde_json::from_slice(&reply.body).map_err(wrong)?;
        without_nulls(&mut value);
        serde_json::from_value(value).map_err(wrong)
    }

    /// Makes a call whose answer says nothing.
    pub(crate) async fn tell(&self, call: Call) -> Result<(), Fault> {
        self.make(call).await.map(drop)
    }

    /// Carries a request that is none of the platform's own: once, without a token.
    pub(crate) async fn ask(&self, request: Request) -> Result<Reply, Lost> {
        self.wire.send(request).await
    }

    async fn make(&self, call: Call) -> Result<Reply, Fault> {
        let deadline = Instant::now() + call.patience;
        let key = Key { action: call.action, whom: call.whom.clone() };
        let mut retry = Retry::new();
        loop {
            let fault = match self.attempt(&call, &key, deadline).await {
                Ok(reply) => return Ok(reply),
                Err(fault) => fault,
            };
            let again = if call.repeats { fault.is_transient() } else { fault.is_undone() };
            let wait = match &fault {
                Fault::Answer(answer) if answer.status == 429 => {
                    let wait = answer.retry_after.unwrap_or(REFUSED);
                    self.pace.refused(&key, wait);
                    Duration::ZERO
                }
                Fault::Answer(_) | Fault::Unsent(_) | Fault::Broken(_) | Fault::Late(_) => retry.wait(),
            };
            if !again || Instant::now() + wait >= deadline {
                return Err(fault);
            }
            tracing::debug!(action = call.action, whom = call.whom, %fault, "asked again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, call: &Call, key: &Key, deadline: Instant) -> Result<Reply, Fault> {
        let turn = self.pace.turn(key, deadline).await;
        turn.map_err(|TooSoon(wait)| Fault::Unsent(format!("its turn comes in {} ms", wait.as_millis())))?;
        let token = (self.token)().await.map_err(Fault::Unsent)?;
        let base = if call.path.starts_with("/api/") { &self.web } else { &self.api };
        let token = if call.bearer { bearer(&token) } else { header(&token) };
        let mut headers = vec![("authorization", token), ("accept", "application/json".to_owned())];
        let held = || self.leases.nonce(&call.whom, Instant::now()).filter(|_| call.method != "GET");
        headers.extend(call.nonce.clone().or_else(held).map(|nonce| (NONCE, nonce)));
        let request = Request {
            method: call.method,
            url: format!("{base}{}", call.path),
            headers,
            body: call.body.as_ref().map(|body| body.to_string().into_bytes()),
        };
        let left = deadline.saturating_duration_since(Instant::now()).min(call.once);
        let sent = tokio::time::timeout(left, self.wire.send(request)).await;
        let reply = sent.map_err(|_| Fault::Late(left))??;
        if (200..300).contains(&reply.status) {
            return Ok(reply);
        }
        Err(Fault::Answer(Answer::read(&reply)))
    }
}

/// The platform is written in Go: a null is an absent field.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A word as a query or a path may carry it.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
