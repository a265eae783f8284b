//! What an image brings to be asked is one more source of health: alone where there are no probes, else beside them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use trueup_driver::RuntimeParts;
use trueup_seams::{BoxFuture, Inspect, Runtime, Survey};
use trueup_sim::{AppSketch, House, SimRuntime};
use trueup_types::observed::{Health, Phase, ProbeFailure, Sighting};
use trueup_types::step::{StepOutcome, TargetStep};
use trueup_types::{DesiredApp, Label};

/// Longest that anything takes here, in simulated time.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the images' checks say, by the variable `CHECK` of the release.
type Says = Arc<Mutex<fn(&Sighting, &str) -> Option<Health>>>;

/// A simulated target whose images bring a check.
struct Checking {
    inner: Arc<SimRuntime>,
    says: Says,
}

impl Checking {
    async fn look(&self) -> Survey {
        let mut survey = self.inner.survey().await;
        let says = *self.says.lock().expect("no holder panics");
        for one in survey.values_mut().flatten().flat_map(|sight| &mut sight.instances) {
            let check = one.template.as_ref().and_then(|release| release.template.env.get("CHECK").cloned());
            one.healthcheck = check.and_then(|check| says(one, &check));
        }
        survey
    }
}

impl Runtime for Checking {
    fn survey(&self) -> BoxFuture<'_, Survey> {
        Box::pin(self.look())
    }

    fn apply<'a>(&'a self, step: &'a TargetStep) -> BoxFuture<'a, StepOutcome> {
        self.inner.apply(step)
    }
}

/// Each check says what it is called.
fn plainly(one: &Sighting, check: &str) -> Option<Health> {
    let Phase::Running { since } = one.phase else { return None };
    let last = ProbeFailure {
        probe: Label::new("healthcheck").expect("a name"),
        at: since,
        detail: "the image's own check ended with 1".to_owned(),
        status: None,
        body: String::new(),
    };
    match check {
        "healthy" => Some(Health::Passing { since }),
        "starting" => Some(Health::Waiting),
        "unhealthy" => Some(Health::Failed { since, last }),
        other => panic!("no check says {other}"),
    }
}

/// The same, but what was starting has come up.
fn later(one: &Sighting, check: &str) -> Option<Health> {
    plainly(one, if check == "starting" { "healthy" } else { check })
}

fn house() -> (House, Says) {
    let mut house = House::new();
    let says: Says = Arc::new(Mutex::new(plainly));
    let (world, told) = (house.world.clone(), Arc::clone(&says));
    house.guest = Some(Arc::new(move |spec| {
        let inner = Arc::new(SimRuntime::new(&world, &spec.name));
        let inspect = Some(Arc::clone(&inner) as Arc<dyn Inspect>);
        let runtime = Arc::new(Checking { inner, says: Arc::clone(&told) });
        Some(RuntimeParts { runtime, inspect, nudges: None, ingress: None })
    }));
    (house, says)
}

fn of(check: &str, probed: bool) -> Arc<DesiredApp> {
    let mut sketch = AppSketch::web("web").env("CHECK", check);
    if !probed {
        sketch.template.health.clear();
    }
    sketch.build()
}

async fn until_reverted(house: &House) {
    let reverted = |house: &House| house.settled() && house.app("web").is_some_and(|app| app.status.verdict.reverted);
    house.until("it is reverted", PATIENCE, reverted).await;
}

#[tokio::test(start_paused = true)]
async fn without_probes_the_images_check_decides_alone() {
    let (mut house, says) = house();
    house.source.put(of("healthy", false));
    house.start().await;
    house.until_live("web", 1).await;
    house.source.put(of("unhealthy", false));
    until_reverted(&house).await;

    house.source.put(of("starting", false));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let shown = house.app("web").expect("it is shown");
    assert_eq!(shown.status.last_good.map(|good| good.0), Some(1), "starting is not yet healthy: {}", house.story());
    *says.lock().expect("no holder panics") = later;
    house.until_live("web", 3).await;
}

#[tokio::test(start_paused = true)]
async fn beside_probes_only_a_failure_of_the_images_check_counts() {
    let (mut house, _) = house();
    house.source.put(of("starting", true));
    house.start().await;
    house.until_live("web", 1).await;
    house.source.put(of("unhealthy", true));
    until_reverted(&house).await;
    let shown = house.app("web").expect("it is shown");
    assert!(shown.status.verdict.message.contains("the image's own check"), "{}", shown.status.verdict.message);
    // What its image says well does not outweigh what its probes say badly.
    let sick = AppSketch::web("web").env("CHECK", "healthy").env("SIM_NEVER_HEALTHY", "yes").build();
    house.source.put(sick);
    house
        .until("it is reverted as well", PATIENCE, |house| {
            house.settled()
                && house.app("web").is_some_and(|app| app.status.verdict.reverted && app.metadata.generation.0 == 3)
        })
        .await;
}
