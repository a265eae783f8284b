//! Where a scene is played: our runtime over a simulated platform in the same process, on tokio's paused clock, each
//! request and answer held against the platform's own specification.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use trueup_fly::{FlyConfig, FlyRuntime, Lost, Reply, Request, WallMillis, Wire};
use trueup_fly_sim::{
    Answered, Asked, Behaviour, Body, Contract, Deed, Edges, Fault, FlySim, Latency, Limits, Pace, Rule, Scenario, Span,
};
use trueup_seams::{BoxFuture, Ingress, Runtime};
use trueup_sim::AppSketch;
use trueup_types::fly::{FlySpec, TokenFrom};
use trueup_types::observed::{Phase, Sighting};
use trueup_types::probe::{Check, Probe};
use trueup_types::route::RouteTable;
use trueup_types::step::{InstanceStep, StepOutcome, TargetStep};
use trueup_types::template::{Port, Protocol, Stop};
use trueup_types::{AppName, InstanceId, Label, OwnerId, Place, PortName, Release, Revision, TargetName, Timestamp};

use crate::vault::Vault;

#[path = "../../../trueup-fly-sim/tests/suite/gaps.rs"]
mod gaps;

/// Longest that anything may take, on the platform's clock.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Where the platform is.
pub const API: &str = "http://fly.test";

/// A request that goes wrong so many times.
pub fn rule(operation: &str, times: u32, fault: Fault) -> Rule {
    Rule {
        operation: operation.to_owned(),
        app: None,
        machine: None,
        times: Some(times),
        skip: 0,
        permille: 1_000,
        fault,
    }
}

/// Carries requests to a platform in the same process, and counts them.
pub struct Aside {
    pub sim: Arc<FlySim>,
    /// How many have come.
    pub asked: AtomicU64,
    /// How many of them came too soon.
    pub hasty: AtomicU64,
    /// How many met a lease of another.
    pub refused: AtomicU64,
    /// At which one nothing is carried any more, and whether that one still arrives.
    pub cut: Mutex<Option<(u64, bool)>>,
    /// Rung when it is reached.
    pub reached: Arc<tokio::sync::Notify>,
    /// Whether nothing reaches the world, and how often that was tried.
    pub deaf: (AtomicBool, AtomicU64),
    /// The same as `cut`, at the first request from now on that begins so, by method and path.
    pub trap: Mutex<Option<(String, bool)>>,
}

impl Aside {
    pub fn new(sim: &Arc<FlySim>, reached: Arc<tokio::sync::Notify>) -> Arc<Self> {
        let (asked, hasty, cut) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(None));
        let refused = AtomicU64::new(0);
        Arc::new(Self {
            sim: Arc::clone(sim),
            asked,
            hasty,
            refused,
            cut,
            reached,
            deaf: Default::default(),
            trap: Mutex::default(),
        })
    }

    async fn carry(&self, request: Request) -> Result<Reply, Lost> {
        if self.deaf.0.load(Ordering::SeqCst) && request.headers.iter().any(|(name, _)| *name == "host") {
            self.deaf.1.fetch_add(1, Ordering::SeqCst);
            return Err(Lost::Unsent("no such host".to_owned()));
        }
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        let target = request.url.strip_prefix(API).expect("it asks the platform").to_owned();
        let sprung = |trap: &mut (String, bool)| format!("{} {target}", request.method).starts_with(&trap.0);
        if let Some((_, arrives)) = self.trap.lock().expect("no holder panics").take_if(sprung) {
            *self.cut.lock().expect("no holder panics") = Some((number, arrives));
        }
        let cut = *self.cut.lock().expect("no holder panics");
        let mut asked = Asked::new(request.method, &target);
        for (name, value) in &request.headers {
            asked = asked.header(name, value);
        }
        if let Some(body) = &request.body {
            asked = asked.json(&serde_json::from_slice::<Value>(body).expect("bodies are JSON"));
        }
        if let Some((at, arrives)) = cut.filter(|(at, _)| number >= *at) {
            if arrives && number == at {
                drop(self.sim.answer(asked).await);
            }
            self.reached.notify_one();
            // Whoever asked is dead.
            std::future::pending::<()>().await;
        } else if let Answered::Reply(reply) = self.sim.answer(asked).await {
            self.hasty.fetch_add(u64::from(reply.status == 429), Ordering::SeqCst);
            self.refused.fetch_add(u64::from(reply.status == 409), Ordering::SeqCst);
            return Ok(read(reply));
        }
        Err(Lost::Broken("connection reset by peer".to_owned()))
    }
}

fn read(reply: trueup_fly_sim::Reply) -> Reply {
    let header = |wanted: &str| reply.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
    let (request_id, retry_after) =
        (header("fly-request-id"), header("retry-after").and_then(|text| text.parse().ok()));
    let body = match reply.body {
        Body::Empty => Vec::new(),
        Body::Json(value) => value.to_string().into_bytes(),
        Body::Text(text) => text.into_bytes(),
    };
    Reply { status: reply.status, request_id, retry_after, body }
}

impl Wire for Aside {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, Lost>> {
        Box::pin(self.carry(request))
    }
}

/// A platform whose every exchange is held against its specification.
pub struct Platform {
    pub sim: Arc<FlySim>,
    /// What releases' secrets hold.
    pub vault: Arc<Vault>,
    /// What the daemon comes with.
    pub token: Arc<Mutex<String>>,
    /// Whether flyctl's marks are written.
    pub flyctl: bool,
    violations: Arc<Mutex<Vec<String>>>,
}

/// The specification, read once: it is long.
fn contract() -> &'static Mutex<Contract> {
    static CONTRACT: OnceLock<Mutex<Contract>> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let spec = include_str!("../../../trueup-fly-sim/tests/data/openapi.json");
        Mutex::new(Contract::read(spec, gaps::GAPS).expect("the specification is JSON"))
    })
}

impl Platform {
    pub fn new(scenario: Scenario) -> Self {
        let violations: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&violations);
        // Tokio's clock is paused: it passes when everybody waits, and the platform's with it.
        let sim = FlySim::new(scenario, Pace::Flowing { speed: 1.0 }).tapped(Arc::new(move |exchange| {
            // What the world asks an app is no operation.
            if exchange.asked.headers.contains_key("host") {
                return;
            }
            let found = contract().lock().expect("no holder panics").violations(exchange);
            heard.lock().expect("no holder panics").extend(found);
        }));
        let token = Arc::new(Mutex::new("FlyV1 fm2_abc".to_owned()));
        Self { sim: Arc::new(sim), vault: Arc::default(), token, flyctl: false, violations }
    }

    pub fn settings(&self) -> FlySpec {
        FlySpec {
            organization: Label::new("personal").expect("a name"),
            primary_region: Place::new("iad").expect("a name"),
            app_name: "ampel-{app}-{random6}".to_owned(),
            network: None,
            token_from: TokenFrom::Env(FlySpec::TOKEN.to_owned()),
            api_url: Some(API.to_owned()),
            web_url: None,
            propagation: None,
            flyctl_metadata: self.flyctl,
        }
    }

    /// The same platform, for whoever needs it longer.
    pub fn again(&self) -> Self {
        let (vault, token) = (Arc::clone(&self.vault), Arc::clone(&self.token));
        let (flyctl, violations) = (self.flyctl, Arc::clone(&self.violations));
        Self { sim: Arc::clone(&self.sim), vault, token, flyctl, violations }
    }

    pub fn open(&self, folder: &Path, wire: Arc<dyn Wire>, owner: &str, propagation: Duration) -> FlyRuntime {
        let now = Arc::clone(&self.sim);
        let now = Arc::new(move || Timestamp::from_millis(now.now().millis()));
        self.open_at(folder, wire, owner, propagation, now)
    }

    pub fn open_at(
        &self,
        folder: &Path,
        wire: Arc<dyn Wire>,
        owner: &str,
        propagation: Duration,
        now: trueup_fly::Clock<Timestamp>,
    ) -> FlyRuntime {
        let (wall, token) = (Arc::clone(&self.sim), Arc::clone(&self.token));
        let token = move || Ok(token.lock().expect("no holder panics").clone());
        let config = FlyConfig {
            folder: folder.to_owned(),
            owner: OwnerId::new(owner).expect("a name"),
            target: TargetName::new("prod").expect("a name"),
            settings: self.settings(),
            token: Arc::new(move || Box::pin(std::future::ready(token()))),
            secrets: Arc::clone(&self.vault) as Arc<dyn trueup_seams::Secrets>,
            wire,
            now,
            wall: Arc::new(move || WallMillis(wall.now().millis())),
            propagation,
            apps_at: Some(API.to_owned()),
        };
        FlyRuntime::open(config).expect("the folder can be read")
    }

    /// What somebody else is answered who asks the platform, and with which status.
    pub async fn ask(&self, asked: Asked) -> (u16, Value) {
        match self.sim.answer(asked.header("authorization", "Bearer somebody")).await {
            Answered::Reply(reply) => {
                let read = read(reply);
                (read.status, serde_json::from_slice(&read.body).unwrap_or(Value::Null))
            }
            Answered::Cut => panic!("nobody has cut it"),
        }
    }

    pub fn do_to(&self, deed: Value) -> Value {
        let deed: Deed = serde_json::from_value(deed.clone()).unwrap_or_else(|why| panic!("{deed}: {why}"));
        self.sim.carry_out(deed)
    }

    /// All apps there.
    pub fn apps(&self) -> Vec<Value> {
        self.sim.inventory()["apps"].as_array().cloned().unwrap_or_default()
    }

    /// All machines there, of all apps.
    pub fn machines(&self) -> Vec<Value> {
        let of = |app: Value| app["machines"].as_array().cloned().unwrap_or_default();
        self.apps().into_iter().flat_map(of).collect()
    }

    /// Whatever crossed so far, the specification allows.
    pub fn acquits(&self) {
        let found = self.violations.lock().expect("no holder panics");
        assert!(found.is_empty(), "the specification does not allow: {found:#?}");
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.acquits();
        }
    }
}

/// A platform, with a runtime of ours over it.
pub struct Stand {
    pub platform: Platform,
    pub runtime: FlyRuntime,
    pub folder: TempDir,
    pub wire: Arc<Aside>,
}

impl Stand {
    pub fn new(scenario: Scenario) -> Self {
        Self::with(scenario, trueup_fly::PROPAGATION)
    }

    pub fn with(scenario: Scenario, propagation: Duration) -> Self {
        let platform = Platform::new(scenario);
        let folder = tempfile::tempdir().expect("a folder");
        let wire = Aside::new(&platform.sim, Arc::default());
        let runtime = platform.open(folder.path(), Arc::clone(&wire) as Arc<dyn Wire>, "ours", propagation);
        Self { platform, runtime, folder, wire }
    }

    /// The same daemon, started anew; `forgetful` has lost its folder.
    pub fn restarted(&mut self, forgetful: bool) {
        if forgetful {
            self.folder = tempfile::tempdir().expect("a folder");
        }
        let wire = Arc::clone(&self.wire) as Arc<dyn Wire>;
        self.runtime = self.platform.open(self.folder.path(), wire, "ours", trueup_fly::PROPAGATION);
    }

    pub async fn apply(&self, step: InstanceStep) -> StepOutcome {
        let step = TargetStep::Instance(step);
        // As long as the driver waits.
        let applied = tokio::time::timeout(Duration::from_secs(30), Runtime::apply(&self.runtime, &step)).await;
        applied.expect("a step ends within the driver's patience")
    }

    /// Tells the ingress a table, as long as the driver waits.
    pub async fn route(&self, table: &RouteTable) -> StepOutcome {
        let told = tokio::time::timeout(Duration::from_secs(10), Ingress::apply(&self.runtime, table)).await;
        told.expect("a table is told within the driver's patience")
    }

    pub async fn create(&self, release: &Release, ordinal: u32) -> StepOutcome {
        let id = InstanceId::new(&release.app, release.revision, trueup_types::Ordinal(ordinal));
        let place = Place::new("iad").expect("a name");
        self.apply(InstanceStep::Create { id, place, release: Arc::new(release.clone()) }).await
    }

    /// Everything of ours; the target must be in sight.
    pub async fn survey(&self) -> Vec<Sighting> {
        let survey = tokio::time::timeout(Duration::from_secs(20), self.runtime.survey()).await;
        let places = survey.expect("a survey ends within the driver's patience").into_values();
        places.flat_map(|sight| sight.expect("the place is in sight").instances).collect()
    }

    pub async fn one(&self, id: &str) -> Option<Sighting> {
        let found: Vec<_> = self.survey().await.into_iter().filter(|one| one.id.to_string() == id).collect();
        assert!(found.len() <= 1, "one name is one instance: {found:?}");
        found.into_iter().next()
    }

    pub async fn until(&self, id: &str, what: &str, holds: impl Fn(&Sighting) -> bool) -> Sighting {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let seen = self.one(id).await;
            if let Some(one) = seen.as_ref().filter(|one| holds(one)) {
                return one.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "not in {PATIENCE:?}: {what}; last seen: {seen:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub async fn running(&self, id: &str) -> Sighting {
        self.until(id, "it runs", |one| matches!(one.phase, Phase::Running { .. })).await
    }

    /// Creates one and waits until it runs.
    pub async fn up(&self, release: &Release, ordinal: u32) -> Sighting {
        assert_eq!(self.create(release, ordinal).await, StepOutcome::Done);
        let id = InstanceId::new(&release.app, release.revision, trueup_types::Ordinal(ordinal));
        self.running(&id.to_string()).await
    }

    pub fn stop(one: &Sighting) -> InstanceStep {
        let stop = Stop { timeout: Duration::from_secs(5), ..Stop::default() };
        InstanceStep::Stop { id: one.id.clone(), incarnation: one.incarnation.clone(), stop }
    }

    pub fn remove(one: &Sighting) -> InstanceStep {
        InstanceStep::Remove { id: one.id.clone(), incarnation: one.incarnation.clone() }
    }

    pub fn calls(&self, operation: &str) -> u64 {
        self.platform.sim.calls().get(operation).copied().unwrap_or(0)
    }
}

/// A release of a web app of this image, checked each two seconds.
pub fn sketch(app: &str, image: &str) -> AppSketch {
    let mut sketch = AppSketch::web(app);
    let port = PortName::new("http").expect("a name");
    sketch.template.image = Some(image.to_owned());
    sketch.template.command = Vec::new();
    sketch.template.ports = vec![Port { name: port.clone(), port: Some(8_080), protocol: Protocol::Http }];
    sketch.template.stop.timeout = Duration::from_secs(5);
    sketch.template.health = vec![Probe {
        name: Label::new("ready").expect("a name"),
        check: Check::Http { path: "/health".to_owned(), port, status: Check::any_success() },
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        grace: Duration::from_secs(5),
        failures: 2,
        successes: 1,
    }];
    sketch.target = TargetName::new("prod").expect("a name");
    sketch
}

pub fn release(app: &str, revision: u64, image: &str) -> Release {
    sketch(app, image).release(Revision(revision))
}

/// An image that behaves as usual.
pub fn image(pattern: &str) -> Behaviour {
    Behaviour { image: pattern.to_owned(), ..Behaviour::default() }
}

/// All edges of the proxy hear at once.
pub fn at_once() -> Edges {
    Edges(vec![Span::millis(0)])
}

/// A platform that is quick, and counts nothing.
pub fn quick() -> Scenario {
    let latency = Latency { pull: Span::millis(200), boot: Span::millis(200), ..Latency::default() };
    Scenario { latency, limits: Limits { enforced: false, ..Limits::default() }, ..Scenario::default() }
}

pub fn app(name: &str) -> AppName {
    AppName::new(name).expect("a name")
}

/// An app that says soon how it does: its bake and its deadlines are short.
pub fn swift(image: &str) -> AppSketch {
    let mut web = sketch("web", image);
    web.policy.bake = Duration::from_secs(15);
    web.policy.healthy_deadline = Duration::from_secs(40);
    web.policy.progress_deadline = Duration::from_secs(80);
    web
}
