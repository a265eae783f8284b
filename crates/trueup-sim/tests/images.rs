//! An app whose image gets another name: what rolls is the image, not the name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trueup_driver::RuntimeParts;
use trueup_seams::{Asking, BoxFuture, Change, Likeness, ObserveError, Runtime, Survey};
use trueup_sim::{AppSketch, House, SimRuntime};
use trueup_types::observed::{Health, Phase, ProbeFailure};
use trueup_types::probe::Check;
use trueup_types::step::{StepOutcome, TargetStep};
use trueup_types::{DesiredApp, Label, Release};

/// Longest that anything takes here, in simulated time.
const PATIENCE: Duration = Duration::from_secs(600);

/// A registry in memory: which image a name means, while it answers.
type Registry = Arc<Mutex<Option<BTreeMap<String, String>>>>;

/// A simulated target that knows what the names of images mean.
struct Knowing {
    inner: SimRuntime,
    registry: Registry,
    /// What was found out to be acted on.
    kept: Mutex<BTreeMap<(String, String), bool>>,
}

impl Knowing {
    fn of(&self, image: &str) -> Option<String> {
        self.registry.lock().expect("no holder panics").as_ref()?.get(image).cloned()
    }

    /// Checks its instances by itself: those of a broken image are bad.
    async fn look(&self) -> Survey {
        let mut survey = self.inner.survey().await;
        for one in survey.values_mut().flatten().flat_map(|sight| &mut sight.instances) {
            let Phase::Running { since } = one.phase else { continue };
            let image = one.template.as_ref().and_then(|release| release.template.image.clone());
            let last = ProbeFailure {
                probe: Label::new("ready").expect("a name"),
                at: since,
                detail: "status 500".to_owned(),
                status: Some(500),
                body: String::new(),
            };
            let broken = image.is_some_and(|image| image.ends_with("broken"));
            one.checks = Some(if broken { Health::Failed { since, last } } else { Health::Passing { since } });
        }
        survey
    }
}

impl Runtime for Knowing {
    fn survey(&self) -> BoxFuture<'_, Survey> {
        Box::pin(self.look())
    }

    fn apply<'a>(&'a self, step: &'a TargetStep) -> BoxFuture<'a, StepOutcome> {
        self.inner.apply(step)
    }

    fn alike<'a>(&'a self, release: &'a Release, image: &'a str, asking: Asking) -> BoxFuture<'a, Likeness> {
        let begun = release.template.image.clone().unwrap_or_default();
        let key = (release.digest.to_string(), image.to_owned());
        let mut kept = self.kept.lock().expect("no holder panics");
        let known = kept.get(&key).copied();
        let found = known.or_else(|| Some(self.of(&begun)? == self.of(image)?));
        if let (Some(same), Asking::ForGood) = (found, asking) {
            kept.insert(key, same);
        }
        let likeness = match found {
            Some(true) => Likeness::Same { anew: known.is_none() },
            Some(false) => Likeness::Other,
            None => Likeness::Unknown,
        };
        Box::pin(async move { likeness })
    }

    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<Option<String>, ObserveError>> {
        let found = self.of(image).ok_or_else(|| ObserveError { detail: "nobody answers".to_owned() });
        Box::pin(async move { found.map(Some) })
    }
}

fn house(registry: &Registry) -> House {
    let mut house = House::new();
    let (world, registry) = (house.world.clone(), Arc::clone(registry));
    house.guest = Some(Arc::new(move |spec| {
        let inner = SimRuntime::new(&world, &spec.name);
        let runtime = Knowing { inner, registry: Arc::clone(&registry), kept: Mutex::default() };
        Some(RuntimeParts { runtime: Arc::new(runtime), inspect: None, nudges: None, ingress: None })
    }));
    house
}

fn registry(images: &[(&str, &str)]) -> Registry {
    Arc::new(Mutex::new(Some(named(images))))
}

fn named(images: &[(&str, &str)]) -> BTreeMap<String, String> {
    images.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect()
}

fn of(image: &str, version: &str) -> Arc<DesiredApp> {
    let mut sketch = AppSketch::web("web").env("VERSION", version);
    sketch.template.image = Some(image.to_owned());
    // Asked by the target itself.
    let port = sketch.template.ports[0].name.clone();
    sketch.template.health[0].check = Check::Http { path: "/health".to_owned(), port, status: Check::any_success() };
    sketch.build()
}

fn events(house: &House, reason: &str) -> usize {
    house.control().status().events.iter().filter(|event| event.reason == reason).count()
}

fn revision(house: &House) -> u64 {
    let shown = house.app("web").expect("it is shown");
    shown.status.release.expect("it has a release").number.0
}

async fn until_taken_in(house: &House, generation: u64) {
    let what = format!("generation {generation} is taken in");
    let taken_in = |house: &House| {
        let shown = house.app("web").expect("it is shown");
        shown.status.verdict.generation.0 == generation && house.settled()
    };
    house.until(&what, PATIENCE, taken_in).await;
}

#[tokio::test(start_paused = true)]
async fn another_name_of_the_very_same_image_does_not_roll() {
    let registry = registry(&[("web:1.4.2", "sha256:aa"), ("web:stable", "sha256:aa"), ("web:1.5", "sha256:bb")]);
    let mut house = house(&registry);
    house.source.put(of("web:1.4.2", "v1"));
    house.start().await;
    house.until_live("web", 1).await;
    let before = house.running("web");

    let shown = house.control().preview(vec![DesiredApp::clone(&of("web:stable", "v1"))]).await.expect("it is planned");
    assert_eq!(shown[0].change, Change::Adjust, "{shown:?}");
    assert!(shown[0].notes.iter().any(|note| note.contains("nothing rolls")), "{shown:?}");
    house.source.put(of("web:stable", "v1"));
    until_taken_in(&house, 2).await;
    assert_eq!((revision(&house), house.running("web")), (1, before), "{}", house.story());
    assert_eq!(events(&house, "SameImage"), 1, "it is told once: {}", house.story());

    // Where a name leads later changes nothing by itself.
    *registry.lock().expect("no holder panics") =
        Some(named(&[("web:1.4.2", "sha256:aa"), ("web:stable", "sha256:bb"), ("web:1.5", "sha256:bb")]));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(revision(&house), 1, "{}", house.story());

    let shown = house.control().preview(vec![DesiredApp::clone(&of("web:1.5", "v1"))]).await.expect("it is planned");
    assert_eq!((shown[0].change, shown[0].digest.as_deref()), (Change::Roll, Some("sha256:bb")), "{shown:?}");
    house.source.put(of("web:1.5", "v1"));
    house.until_live("web", 2).await;
    // An edit of more than the name rolls, whatever the name means.
    house.source.put(of("web:stable", "v2"));
    house.until_live("web", 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_does_not_answer_holds_no_edit_back() {
    let registry = registry(&[("web:1", "sha256:aa"), ("web:2", "sha256:aa")]);
    let mut house = house(&registry);
    house.source.put(of("web:1", "v1"));
    house.start().await;
    house.until_live("web", 1).await;
    *registry.lock().expect("no holder panics") = None;
    let shown = house.control().preview(vec![DesiredApp::clone(&of("web:2", "v1"))]).await.expect("it is planned");
    assert!(shown[0].notes.iter().any(|note| note.contains("nobody answers")), "{shown:?}");
    house.source.put(of("web:2", "v1"));
    house.until_live("web", 2).await;
    // What has rolled has rolled, though it turns out to be the same.
    *registry.lock().expect("no holder panics") = Some(named(&[("web:1", "sha256:aa"), ("web:2", "sha256:aa")]));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(revision(&house), 2, "{}", house.story());
}

#[tokio::test(start_paused = true)]
async fn a_rejected_image_is_not_tried_again_under_another_name() {
    let registry = registry(&[("web:1", "sha256:aa"), ("web:broken", "sha256:bb"), ("web:2", "sha256:bb")]);
    let mut house = house(&registry);
    house.source.put(of("web:1", "v1"));
    house.start().await;
    house.until_live("web", 1).await;
    house.source.put(of("web:broken", "v1"));
    let reverted =
        |house: &House| house.settled() && house.app("web").is_some_and(|shown| shown.status.verdict.reverted);
    house.until("it is reverted", PATIENCE, reverted).await;
    let before = house.world.lock().creates.clone();
    house.source.put(of("web:2", "v1"));
    until_taken_in(&house, 3).await;
    assert!(reverted(&house), "{}", house.story());
    assert_eq!(house.world.lock().creates, before, "{}", house.story());
    house.source.put(of("web:3", "v1"));
    house.until_live("web", 3).await;
}
