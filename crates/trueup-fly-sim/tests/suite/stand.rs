//! Where a scene is played: a simulated platform on a clock that is turned by hand, and the court that holds each
//! request and answer against the specification.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use trueup_fly_sim::{
    Answered, Asked, Behaviour, Body, Contract, Deed, Edges, Exchange, FlySim, Latency, Limits, Moment, Pace, Reply,
    Scenario, Span, Tap, Which,
};

use crate::gaps::GAPS;

/// Longest that one request may take, on the platform's clock.
const PATIENCE: Duration = Duration::from_secs(600);

/// The specification, and what violated it.
#[derive(Clone)]
pub struct Court(Arc<Mutex<Session>>);

struct Session {
    contract: Contract,
    violations: Vec<String>,
}

impl Court {
    pub fn open() -> Self {
        let contract = Contract::read(include_str!("../data/openapi.json"), GAPS).expect("the specification is JSON");
        Self(Arc::new(Mutex::new(Session { contract, violations: Vec::new() })))
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.0.lock().expect("no scene has failed before")
    }

    fn hear(&self, exchange: &Exchange) {
        let mut session = self.session();
        let found = session.contract.violations(exchange);
        session.violations.extend(found);
    }

    /// Somebody who hears each exchange.
    pub fn tap(&self) -> Tap {
        let ear = self.clone();
        Arc::new(move |exchange| ear.hear(exchange))
    }

    /// Whatever crossed so far, the specification allows.
    pub fn acquits(&self) {
        assert_eq!(self.violations(), Vec::<String>::new());
    }

    fn violations(&self) -> Vec<String> {
        std::mem::take(&mut self.session().violations)
    }

    pub fn contract(self) -> Contract {
        let session = Arc::into_inner(self.0).expect("all scenes are over").into_inner().expect("no scene has failed");
        session.contract
    }
}

/// An answer, as scenes look at it.
#[derive(Debug, Clone)]
pub struct Said {
    pub status: u16,
    pub json: Value,
    pub text: String,
    pub headers: Vec<(&'static str, String)>,
}

impl From<Reply> for Said {
    fn from(reply: Reply) -> Self {
        let text = match &reply.body {
            Body::Text(text) => text.clone(),
            Body::Json(value) => value.to_string(),
            Body::Empty => String::new(),
        };
        Self { status: reply.status, json: reply.value(), text, headers: reply.headers }
    }
}

impl Said {
    /// The same, once it is sure that it was well.
    pub fn well(self) -> Value {
        assert!(self.status < 300, "{} {}", self.status, self.text);
        self.json
    }

    /// What stands in its error, once it is sure that it has this status.
    pub fn refused(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        self.json["error"].as_str().map_or(self.text, str::to_owned)
    }
}

/// A simulated platform, and a client that talks to it.
pub struct Stand {
    pub sim: Arc<FlySim>,
    court: Court,
    pub token: &'static str,
}

/// A scenario without limits: most scenes are not about them.
pub fn unlimited() -> Scenario {
    Scenario { limits: Limits { enforced: false, ..Limits::default() }, ..Scenario::default() }
}

impl Stand {
    /// With the app `web`, which has addresses, and no limits.
    pub async fn new(court: &Court) -> Self {
        Self::with(court, unlimited()).await
    }

    /// With the app `web`, on this scenario.
    pub async fn with(court: &Court, scenario: Scenario) -> Self {
        let stand = Self::bare(court, scenario);
        stand.post("/v1/apps", &json!({"name": "web", "org_slug": "personal"})).await.well();
        for kind in ["v6", "shared_v4"] {
            stand.post("/v1/apps/web/ip_assignments", &json!({"type": kind})).await.well();
        }
        stand.advance(5_000);
        stand
    }

    pub fn bare(court: &Court, scenario: Scenario) -> Self {
        let sim = FlySim::new(scenario, Pace::ByHand).tapped(court.tap());
        Self { sim: Arc::new(sim), court: court.clone(), token: "FlyV1 fm2_abc" }
    }

    pub fn advance(&self, millis: u64) {
        self.sim.advance(Duration::from_millis(millis));
    }

    pub fn now(&self) -> Moment {
        self.sim.now()
    }

    /// Sends a request, turning the clock until it is answered; `None` when it is cut, or never answered.
    pub async fn send(&self, asked: Asked) -> Option<Said> {
        let asked = asked.header("authorization", self.token);
        match self.sim.drive(PATIENCE, self.sim.answer(asked)).await {
            Some(Answered::Reply(reply)) => Some(reply.into()),
            Some(Answered::Cut) | None => None,
        }
    }

    /// Sends a request that is answered, and that the specification allows.
    pub async fn ask(&self, asked: Asked) -> Said {
        let shown = format!("{} {}", asked.method, asked.path);
        let said = self.send(asked).await.unwrap_or_else(|| panic!("{shown} is answered"));
        assert_eq!(self.court.violations(), Vec::<String>::new(), "{shown}: {}", said.text);
        said
    }

    /// Sends a request that the specification does not allow; its answer still has to fit.
    pub async fn ask_wrongly(&self, asked: Asked) -> Said {
        let shown = format!("{} {}", asked.method, asked.path);
        let said = self.send(asked).await.unwrap_or_else(|| panic!("{shown} is answered"));
        let about_request = |line: &String| {
            ["request", "query", "header"].contains(&line.split(' ').nth(1).unwrap_or_default())
                || line.ends_with("is no operation")
        };
        let (request, answer): (Vec<_>, Vec<_>) = self.court.violations().into_iter().partition(about_request);
        assert!(!request.is_empty(), "{shown} is wrong on purpose, and the specification does not see it");
        assert_eq!(answer, Vec::<String>::new(), "{shown}: {}", said.text);
        said
    }

    pub async fn get(&self, target: &str) -> Said {
        self.ask(Asked::new("GET", target)).await
    }

    pub async fn post(&self, target: &str, body: &Value) -> Said {
        self.ask(Asked::new("POST", target).json(body)).await
    }

    pub async fn put(&self, target: &str, body: &Value) -> Said {
        self.ask(Asked::new("PUT", target).json(body)).await
    }

    pub async fn delete(&self, target: &str) -> Said {
        self.ask(Asked::new("DELETE", target)).await
    }

    /// A verb of a machine without a body.
    pub async fn verb(&self, id: &str, verb: &str) -> Said {
        self.ask(Asked::new("POST", &format!("/v1/apps/web/machines/{id}/{verb}"))).await
    }

    /// Creates a machine of `web`, and gives its id.
    pub async fn create(&self, body: &Value) -> String {
        let made = self.post("/v1/apps/web/machines", body).await.well();
        made["id"].as_str().expect("it has an id").to_owned()
    }

    /// Creates a machine, and turns the clock until it has started.
    pub async fn started(&self, config: &Value) -> String {
        let id = self.create(&json!({"config": config})).await;
        self.wait(&id, "state=started").await.well();
        id
    }

    pub async fn show(&self, id: &str) -> Value {
        self.get(&format!("/v1/apps/web/machines/{id}")).await.well()
    }

    pub async fn state(&self, id: &str) -> String {
        self.show(id).await["state"].as_str().unwrap_or_default().to_owned()
    }

    pub async fn wait(&self, id: &str, query: &str) -> Said {
        self.get(&format!("/v1/apps/web/machines/{id}/wait?{query}")).await
    }

    pub async fn update(&self, id: &str, body: &Value) -> Said {
        self.post(&format!("/v1/apps/web/machines/{id}"), body).await
    }

    /// The types and states of its events, oldest first.
    pub async fn events(&self, id: &str) -> Vec<String> {
        let events = self.get(&format!("/v1/apps/web/machines/{id}/events?limit=50")).await.well();
        let shown = |event: &Value| format!("{}/{}", word(event, "type"), word(event, "status"));
        events.as_array().expect("a list").iter().rev().map(shown).collect()
    }

    pub fn do_to(&self, deed: &Value) -> Value {
        let deed: Deed = serde_json::from_value(deed.clone()).unwrap_or_else(|why| panic!("{deed}: {why}"));
        self.sim.carry_out(deed)
    }

    /// How many could answer, at the worst moment from one moment on.
    pub fn fewest(&self, app: &str, from: Moment) -> usize {
        let traffic = self.sim.traffic(app);
        let begun = traffic.iter().rposition(|segment| segment.since <= from).unwrap_or(0);
        traffic[begun..].iter().map(|segment| segment.healthy).min().unwrap_or(0)
    }
}

pub fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// A config with a service on port 8080, checked each two seconds after a grace of one.
pub fn service(image: &str) -> Value {
    json!({
        "image": image,
        "services": [{
            "protocol": "tcp",
            "internal_port": 8080,
            "ports": [{"port": 443, "handlers": ["tls", "http"]}, {"port": 80, "handlers": ["http"], "force_https": true}],
            "checks": [{"type": "http", "path": "/health", "interval": "2s", "grace_period": "1s"}],
        }],
    })
}

/// Images that behave so.
pub fn behaving(images: Vec<Behaviour>) -> Scenario {
    Scenario { images, ..unlimited() }
}

/// An image that behaves as usual.
pub fn image(pattern: &str) -> Behaviour {
    Behaviour { image: pattern.to_owned(), ..Behaviour::default() }
}

/// Nothing takes any time but what the scene is about.
pub fn quick() -> Latency {
    let none = Span::default();
    Latency { pull: none, boot: none, stop: none, glimpse: none, settle: none, destroy: none, ..Latency::default() }
}

/// All edges hear at once.
pub fn at_once() -> Edges {
    Edges(vec![Span::default()])
}

pub fn of(id: &str) -> Which {
    Which { machine: Some(id.to_owned()), ..Which::default() }
}
