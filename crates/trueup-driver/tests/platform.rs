//! A target whose platform routes, checks and keeps things around an app, beside one that the house routes to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trueup_driver::{Driver, DriverParts, Identity, RuntimeParts};
use trueup_seams::{BoxFuture, Ingress, ObserveError, Runtime, Store as _, Survey};
use trueup_sim::{AppSketch, SimRuntime, SimSource, SimStore, World};
use trueup_types::desired::Doubt;
use trueup_types::observed::{Health, Phase, ProbeFailure};
use trueup_types::probe::Check;
use trueup_types::route::{RouteTable, TableSight};
use trueup_types::step::{Refusal, StepOutcome, TargetStep};
use trueup_types::target::{IngressKind, TargetSpec};
use trueup_types::{AppName, DesiredApp, Label, OwnerId, TableGeneration, TargetName};

/// Longest that anything takes here, in simulated time.
const PATIENCE: Duration = Duration::from_secs(300);

fn name(text: &str) -> AppName {
    AppName::new(text).expect("a name")
}

fn cloud() -> TargetName {
    TargetName::new("cloud").expect("a name")
}

/// What all tables say, one after the other: whose, and to whom it sends anything.
type Told = Arc<Mutex<Vec<(&'static str, BTreeSet<String>)>>>;

/// An ingress in memory that refuses what the contract says.
struct Table {
    whose: &'static str,
    live: Mutex<RouteTable>,
    dark: Mutex<bool>,
    told: Told,
}

impl Table {
    fn new(whose: &'static str, generation: u64, told: &Told) -> Arc<Self> {
        let owner = OwnerId::new("sim").expect("a name");
        let live = RouteTable { owner, generation: TableGeneration(generation), apps: Vec::new() };
        Arc::new(Self { whose, live: Mutex::new(live), dark: Mutex::default(), told: Arc::clone(told) })
    }

    fn apps(&self) -> Vec<String> {
        self.live.lock().expect("no holder panics").apps.iter().map(|share| share.app.to_string()).collect()
    }

    fn swap(&self, table: &RouteTable) -> StepOutcome {
        let mut live = self.live.lock().expect("no holder panics");
        if table.generation <= live.generation {
            return StepOutcome::Refused { why: Refusal::Superseded };
        }
        *live = table.clone();
        let backends = table.apps.iter().flat_map(|share| &share.entries).flat_map(|entry| &entry.backends);
        let routed = backends.filter(|one| one.weight > 0).map(|one| one.instance.to_string()).collect();
        self.told.lock().expect("no holder panics").push((self.whose, routed));
        StepOutcome::Done
    }
}

impl Ingress for Table {
    fn observe(&self) -> BoxFuture<'_, Result<TableSight, ObserveError>> {
        let dark = *self.dark.lock().expect("no holder panics");
        let sight = TableSight { table: self.live.lock().expect("no holder panics").clone(), in_flight: Vec::new() };
        let sight = if dark { Err(ObserveError { detail: "out of sight".to_owned() }) } else { Ok(sight) };
        Box::pin(async { sight })
    }

    fn apply<'a>(&'a self, table: &'a RouteTable) -> BoxFuture<'a, StepOutcome> {
        let outcome = self.swap(table);
        Box::pin(async { outcome })
    }
}

/// A target that checks its instances by itself, and has something around each app.
struct Cloud {
    inner: SimRuntime,
    /// What is asked to go, and how often that is refused first.
    retired: Mutex<Vec<AppName>>,
    reluctance: Mutex<u32>,
}

impl Cloud {
    async fn look(&self) -> Survey {
        let mut survey = self.inner.survey().await;
        for sight in survey.values_mut().flatten() {
            for one in &mut sight.instances {
                let Phase::Running { since } = one.phase else { continue };
                let bad = one.template.as_ref().is_some_and(|release| release.template.env["VERSION"] == "bad");
                let last = ProbeFailure {
                    probe: Label::new("ready").expect("a name"),
                    at: since,
                    detail: "status 500".to_owned(),
                    status: Some(500),
                    body: String::new(),
                };
                one.checks = Some(if bad { Health::Failed { since, last } } else { Health::Passing { since } });
            }
        }
        survey
    }
}

impl Runtime for Cloud {
    fn survey(&self) -> BoxFuture<'_, Survey> {
        Box::pin(self.look())
    }

    fn apply<'a>(&'a self, step: &'a TargetStep) -> BoxFuture<'a, StepOutcome> {
        self.inner.apply(step)
    }

    fn retire<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async {
            let mut reluctance = self.reluctance.lock().expect("no holder panics");
            if *reluctance > 0 {
                *reluctance -= 1;
                return StepOutcome::Unknown { why: Doubt::OutcomeUnknown("cut off".to_owned()) };
            }
            self.retired.lock().expect("no holder panics").push(app.clone());
            StepOutcome::Done
        })
    }
}

/// A daemon over two targets: `local`, which the edge routes to, and `cloud`, which routes by itself and gives no hints.
struct Stage {
    world: World,
    source: Arc<SimSource>,
    store: Arc<SimStore>,
    edge: Arc<Table>,
    platform: Arc<Table>,
    cloud: Arc<Cloud>,
    told: Told,
    driver: Arc<Driver>,
    leave: CancellationToken,
}

impl Stage {
    async fn new() -> Self {
        let world = World::new(OwnerId::new("sim").expect("a name"));
        let (source, store, told) = (SimSource::new(), Arc::new(SimStore::new()), Told::default());
        source.target(TargetSpec { name: cloud(), ingress: IngressKind::Platform, ..TargetSpec::local() }, true);
        // The platform's table has been told of much before: by a daemon that is forgotten.
        let (edge, platform) = (Table::new("edge", 0, &told), Table::new("platform", 70, &told));
        let inner = SimRuntime::new(&world, &cloud());
        let there = Arc::new(Cloud { inner, retired: Mutex::default(), reluctance: Mutex::default() });
        let (reached, routes, beside) = (Arc::clone(&there), Arc::clone(&platform), world.clone());
        let parts = DriverParts {
            source: Arc::clone(&source) as Arc<dyn trueup_seams::Source>,
            store: Arc::clone(&store) as Arc<dyn trueup_seams::Store>,
            runtimes: Box::new(move |spec| {
                if spec.name == cloud() {
                    let (runtime, ingress) = (Arc::clone(&reached), Arc::clone(&routes));
                    return RuntimeParts { runtime, inspect: None, nudges: None, ingress: Some(ingress) };
                }
                let runtime = Arc::new(SimRuntime::new(&beside, &spec.name));
                let inspect = Some(Arc::clone(&runtime) as Arc<dyn trueup_seams::Inspect>);
                let nudges = Some(Arc::clone(&runtime) as Arc<dyn trueup_seams::Nudges>);
                RuntimeParts { runtime, inspect, nudges, ingress: None }
            }),
            ingress: Some(Arc::clone(&edge) as Arc<dyn Ingress>),
            clock: Arc::new(world.clock),
            secrets: Arc::new(trueup_seams::NoSecrets),
            seed: 7,
            owner: OwnerId::new("sim").expect("a name"),
            state_dir: None,
            status_files: Vec::new(),
            // So seldom that nothing here is owed to it.
            resync: Duration::from_secs(24 * 3600),
            rollouts_max: 4,
            about: Identity::default(),
            edge_fault: Arc::default(),
        };
        let driver = Arc::new(Driver::new(parts).await.expect("the store loads"));
        let (running, leave) = (Arc::clone(&driver), CancellationToken::new());
        let stop = leave.clone();
        tokio::spawn(async move { running.run(stop).await });
        Self { world, source, store, edge, platform, cloud: there, told, driver, leave }
    }

    async fn until(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !holds(self).await {
            let journal = self.world.lock().journal.join("\n");
            assert!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}: {what}\n{journal}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn until_live(&self, app: &str, revision: u64) {
        let live = async |stage: &Self| {
            let shown = stage.driver.shown(&name(app));
            let good = shown.and_then(|shown| shown.status.last_good);
            good.is_some_and(|good| good.0 == revision) && stage.driver.settled().is_some()
        };
        self.until(&format!("{app} is live at r{revision}"), live).await;
    }

    fn told(&self) -> Vec<(&'static str, BTreeSet<String>)> {
        self.told.lock().expect("no holder panics").clone()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.leave.cancel();
    }
}

/// An app on the cloud, probed at a port that answers to its platform alone.
fn far(app: &str, version: &str) -> Arc<DesiredApp> {
    let mut sketch = AppSketch::web(app).env("VERSION", version);
    sketch.target = cloud();
    let port = sketch.template.ports[0].name.clone();
    sketch.template.health[0].check = Check::Http { path: "/health".to_owned(), port, status: Check::any_success() };
    sketch.policy.bake = Duration::from_secs(5);
    sketch.policy.healthy_deadline = Duration::from_secs(30);
    sketch.build()
}

fn near(app: &str) -> Arc<DesiredApp> {
    let mut sketch = AppSketch::web(app);
    sketch.policy.bake = Duration::from_secs(5);
    sketch.build()
}

#[tokio::test(start_paused = true)]
async fn each_app_is_told_to_the_ingress_of_its_own_target_and_to_no_other() {
    let stage = Stage::new().await;
    stage.source.put_all([near("here"), far("there", "v1")]);
    stage.until_live("here", 1).await;
    stage.until_live("there", 1).await;
    assert_eq!((stage.edge.apps(), stage.platform.apps()), (vec!["here".to_owned()], vec!["there".to_owned()]));
    let generations =
        [&stage.edge, &stage.platform].map(|table| table.live.lock().expect("no holder panics").generation.0);
    assert!(generations[0] < 70 && generations[1] > 70, "each counts for itself: {generations:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_platform_checks_by_itself_decides_and_a_bad_release_goes_back() {
    let stage = Stage::new().await;
    stage.source.put(far("there", "v1"));
    stage.until_live("there", 1).await;
    stage.source.put(far("there", "bad"));
    let reverted = async |stage: &Stage| {
        let shown = stage.driver.shown(&name("there"));
        shown.is_some_and(|shown| shown.status.verdict.reverted) && stage.driver.settled().is_some()
    };
    stage.until("the bad one is reverted", reverted).await;
    let never_bad = stage.told().iter().all(|(_, routed)| !routed.contains("there-r2-0"));
    assert!(never_bad, "{:?}", stage.told());
}

#[tokio::test(start_paused = true)]
async fn a_platform_out_of_sight_keeps_nobody_waiting_who_is_not_on_it() {
    let stage = Stage::new().await;
    *stage.platform.dark.lock().expect("no holder panics") = true;
    stage.source.put_all([near("here"), far("there", "v1")]);
    stage
        .until("the one beside it is live", async |stage| {
            stage.driver.shown(&name("here")).is_some_and(|shown| shown.status.last_good.is_some())
        })
        .await;
    assert!(stage.driver.shown(&name("there")).is_none_or(|shown| shown.status.last_good.is_none()));
    *stage.platform.dark.lock().expect("no holder panics") = false;
    stage.until_live("there", 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_moves_is_routed_there_before_it_is_unrouted_here() {
    let stage = Stage::new().await;
    stage.source.put(near("web"));
    stage.until_live("web", 1).await;
    for (version, away, back) in [("v2", "edge", "platform"), ("v3", "platform", "edge")] {
        let there = Duration::from_secs(5);
        let desired = if away == "edge" { far("web", version) } else { near("web") };
        stage.source.put(desired);
        let moved = async |stage: &Stage| {
            let shown = stage.driver.shown(&name("web"));
            let good = shown.and_then(|shown| shown.status.last_good);
            good.is_some_and(|good| good.0 == if away == "edge" { 2 } else { 3 }) && stage.driver.settled().is_some()
        };
        stage.until("it has moved", moved).await;
        tokio::time::sleep(there).await;
        let tables = BTreeMap::from([("edge", stage.edge.apps()), ("platform", stage.platform.apps())]);
        assert!(tables[away].is_empty() && !tables[back].is_empty(), "{tables:?}");
    }
    let mut routed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut begun = false;
    for (whose, now) in stage.told() {
        routed.insert(whose, now);
        let anybody = routed.values().any(|routed| !routed.is_empty());
        begun |= anybody;
        assert!(anybody || !begun, "nobody was routed: {:?}", stage.told());
    }
    assert_eq!(*stage.cloud.retired.lock().expect("no holder panics"), [name("web")], "it has left, and once");
}

#[tokio::test(start_paused = true)]
async fn what_stands_around_an_app_goes_with_it_and_the_app_is_remembered_until_then() {
    let stage = Stage::new().await;
    stage.source.put_all([near("here"), far("there", "v1")]);
    stage.until_live("there", 1).await;
    *stage.cloud.reluctance.lock().expect("no holder panics") = 3;
    stage.source.remove(&name("there"));
    let says = async |stage: &Stage| {
        let shown = stage.driver.shown(&name("there"));
        shown.is_some_and(|shown| shown.status.verdict.message.contains("what stands around it on cloud"))
    };
    stage.until("it says what is left", says).await;
    let remembered = stage.store.load().await.expect("it loads").apps;
    assert!(remembered.contains_key(&name("there")), "who forgets it asks nobody again");
    let forgotten =
        async |stage: &Stage| !stage.store.load().await.expect("it loads").apps.contains_key(&name("there"));
    stage.until("it is forgotten", forgotten).await;
    assert_eq!(*stage.cloud.retired.lock().expect("no holder panics"), [name("there")]);
    // What is heard of it late is no second end.
    stage.world.nudge(&TargetName::local(), &name("there"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let events = stage.driver.handle().status().events;
    let ended: Vec<_> = events.iter().filter(|event| event.reason == "Deleted").map(|event| event.count).collect();
    assert_eq!(ended, [1], "{events:?}");
}
