//! A whole daemon over a simulated platform: the real driver and planner, our runtime and ingress, time that is paused.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use trueup_fly::Wire;
use trueup_fly_sim::{Moment, Scenario};
use trueup_seams::{Ingress, Inspect, Nudges, Runtime};
use trueup_sim::{AppSketch, House, RuntimeParts};
use trueup_types::desired::DesiredApp;
use trueup_types::target::{IngressKind, TargetKind, TargetSpec};
use trueup_types::{Place, TargetName};

use crate::stand::{Aside, Platform, app};

/// Longest that a rollout may take, on the platform's clock.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// A platform with a daemon.
pub struct Scene {
    pub platform: Platform,
    pub house: House,
    folder: TempDir,
    /// Who carries the requests of the daemon that runs.
    wire: Arc<Mutex<Option<Arc<Aside>>>>,
    /// Where the next daemon is cut off from the platform.
    next_cut: Arc<Mutex<Option<(u64, bool)>>>,
    /// Rung when one is.
    pub reached: Arc<tokio::sync::Notify>,
}

impl Scene {
    pub async fn new(scenario: Scenario) -> Self {
        Self::over(Platform::new(scenario)).await
    }

    /// One whose machines flyctl takes for its own.
    pub async fn beside_flyctl(scenario: Scenario) -> Self {
        let mut platform = Platform::new(scenario);
        platform.flyctl = true;
        Self::over(platform).await
    }

    async fn over(platform: Platform) -> Self {
        let mut scene = Self {
            platform,
            house: House::new(),
            folder: tempfile::tempdir().expect("a folder"),
            wire: Arc::default(),
            next_cut: Arc::default(),
            reached: Arc::default(),
        };
        scene.house.guest = Some(scene.guest());
        scene.house.source.target(
            TargetSpec {
                name: TargetName::new("prod").expect("a name"),
                kind: TargetKind::Fly(scene.platform.settings()),
                ingress: IngressKind::Platform,
                hosts: None,
            },
            true,
        );
        scene.house.start().await;
        scene
    }

    /// Makes a runtime of ours, with each start of a daemon.
    fn guest(&self) -> trueup_sim::Guest {
        let platform = self.platform.again();
        let folder: PathBuf = self.folder.path().to_owned();
        let (wire, next_cut) = (Arc::clone(&self.wire), Arc::clone(&self.next_cut));
        let (clock, reached) = (self.house.world.clock, Arc::clone(&self.reached));
        Arc::new(move |spec: &TargetSpec| {
            let TargetKind::Fly(_) = &spec.kind else { return None };
            let aside = Aside::new(&platform.sim, Arc::clone(&reached));
            *aside.cut.lock().expect("no holder panics") = next_cut.lock().expect("no holder panics").take();
            *wire.lock().expect("no holder panics") = Some(Arc::clone(&aside));
            let runtime = Arc::new(platform.open_at(
                &folder,
                aside as Arc<dyn Wire>,
                "sim",
                trueup_fly::PROPAGATION,
                Arc::new(move || clock.now()),
            ));
            Some(RuntimeParts {
                runtime: Arc::clone(&runtime) as Arc<dyn Runtime>,
                inspect: Some(Arc::clone(&runtime) as Arc<dyn Inspect>),
                nudges: Some(Arc::clone(&runtime) as Arc<dyn Nudges>),
                ingress: Some(runtime as Arc<dyn Ingress>),
            })
        })
    }

    /// Wants an app, with so many instances in the first region.
    pub fn want(&self, sketch: &AppSketch) {
        self.want_in(sketch, &[("iad", sketch.replicas)]);
    }

    /// Wants an app, with so many instances in each of these regions.
    pub fn want_in(&self, sketch: &AppSketch, regions: &[(&str, u32)]) {
        self.want_made(regions, DesiredApp::clone(&sketch.build()));
    }

    /// The same, with these values of its secret.
    pub fn want_with(&self, sketch: &AppSketch, fingerprint: &str) {
        let mut asking = sketch.clone();
        asking.template = crate::vault::asking(&sketch.template);
        let mut desired = DesiredApp::clone(&asking.build());
        desired.inputs.secret_fingerprints = crate::vault::inputs(fingerprint);
        self.want_made(&[("iad", sketch.replicas)], desired);
    }

    fn want_made(&self, regions: &[(&str, u32)], mut desired: DesiredApp) {
        let spread = regions.iter().map(|(region, count)| (Place::new(region).expect("a name"), *count));
        desired.placement.spread = spread.collect();
        let (template, placement) = (desired.template_digest, &desired.placement);
        desired.intent = DesiredApp::intent_of(template, &desired.policy, &desired.exposure, placement, desired.prune);
        let fingerprints = std::mem::take(&mut desired.inputs.secret_fingerprints);
        if !fingerprints.is_empty() {
            desired = desired.with_secrets(fingerprints);
        }
        self.house.source.put(Arc::new(desired));
    }

    pub fn drop_app(&self, name: &str) {
        self.house.source.remove(&app(name));
    }

    /// Waits until a release is live and nothing is under way.
    pub async fn live(&self, name: &str, revision: u64) {
        self.house.until_live(name, revision).await;
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !holds(self) {
            let late = tokio::time::Instant::now() >= deadline;
            assert!(!late, "not within {PATIENCE:?}: {what}\n{}\n{:#?}", self.house.story(), self.platform.apps());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub async fn rejected(&self, name: &str, revision: u64) {
        self.until(&format!("{name} has given up r{revision}"), |scene| {
            let shown = scene.house.app(name);
            shown.is_some_and(|shown| shown.status.rejected.iter().any(|one| one.revision.0 == revision))
                && scene.house.settled()
        })
        .await;
    }

    /// The daemon's next request that is carried nowhere, counted from now; whether it still arrives.
    pub fn cut_at(&self, from_now: u64, arrives: bool) {
        let Some(wire) = self.wire.lock().expect("no holder panics").clone() else {
            // Nobody has asked for anything yet.
            *self.next_cut.lock().expect("no holder panics") = Some((from_now, arrives));
            return;
        };
        let at = wire.asked.load(std::sync::atomic::Ordering::SeqCst) + from_now;
        *wire.cut.lock().expect("no holder panics") = Some((at, arrives));
    }

    /// The daemon's first request from now on that begins so, by method and path, is carried nowhere, nor is any after it.
    pub fn trap(&self, begins: &str, arrives: bool) {
        let wire = self.wire.lock().expect("no holder panics").clone().expect("a daemon runs");
        *wire.trap.lock().expect("no holder panics") = Some((begins.to_owned(), arrives));
    }

    /// How many requests of this daemon came too soon.
    pub fn hasty(&self) -> u64 {
        let wire = self.wire.lock().expect("no holder panics").clone();
        wire.map_or(0, |wire| wire.hasty.load(std::sync::atomic::Ordering::SeqCst))
    }

    /// How many requests of this daemon met a lease of another.
    pub fn refused(&self) -> u64 {
        let wire = self.wire.lock().expect("no holder panics").clone();
        wire.map_or(0, |wire| wire.refused.load(std::sync::atomic::Ordering::SeqCst))
    }

    /// From here on nothing that the daemon asks reaches the world; the platform's own address does.
    pub fn deafen(&self) {
        let wire = self.wire.lock().expect("no holder panics").clone().expect("a daemon runs");
        wire.deaf.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// How often the world was asked in vain.
    pub fn unheard(&self) -> u64 {
        let wire = self.wire.lock().expect("no holder panics").clone();
        wire.map_or(0, |wire| wire.deaf.1.load(std::sync::atomic::Ordering::SeqCst))
    }

    /// Kills the daemon, as the kernel would, and starts another; `forgetful` has lost the target's folder.
    pub async fn killed(&mut self, forgetful: bool) {
        self.house.kill().await;
        if forgetful {
            // A lost folder is an empty one.
            let _ = std::fs::remove_file(self.folder.path().join("fly.json"));
        }
        self.house.start().await;
    }

    /// How many could answer requests for the only app, at the worst moment from one moment on.
    pub fn fewest(&self, from: Moment) -> usize {
        let name = self.fly_app();
        let traffic = self.platform.sim.traffic(&name);
        let begun = traffic.iter().rposition(|segment| segment.since <= from).unwrap_or(0);
        traffic[begun..].iter().map(|segment| segment.healthy).min().unwrap_or(0)
    }

    /// How long nobody could answer requests for the only app at a stretch, at most, from one moment on.
    pub fn longest_with_nobody(&self, from: Moment) -> Duration {
        let (traffic, now) = (self.platform.sim.traffic(&self.fly_app()), self.platform.sim.now());
        let mut since: Option<Moment> = None;
        let mut longest = Duration::ZERO;
        for segment in traffic.iter().filter(|segment| segment.since >= from) {
            match (segment.healthy, since) {
                (0, None) => since = Some(segment.since),
                (0, Some(_)) | (_, None) => {}
                (_, Some(began)) => {
                    longest = longest.max(segment.since.since(began));
                    since = None;
                }
            }
        }
        since.map_or(longest, |began| longest.max(now.since(began)))
    }

    pub fn fly_app(&self) -> String {
        let apps = self.platform.apps();
        assert_eq!(apps.len(), 1, "one app there: {apps:?}");
        apps[0]["name"].as_str().unwrap_or_default().to_owned()
    }

    /// Those that the proxy sends requests to.
    pub fn serving(&self) -> Vec<(String, String, String, bool)> {
        self.fleet().into_iter().filter(|(_, _, _, cordoned)| !cordoned).collect()
    }

    /// Those that the proxy sends requests to, and how often each has started: nobody was restarted where that is the same.
    pub fn lives(&self) -> Vec<(String, u64)> {
        let serving: Vec<_> = self.serving().into_iter().map(|(id, ..)| id).collect();
        let machines = self.platform.machines();
        let one = |id: String| {
            let machine = machines.iter().find(|machine| machine["id"] == *id).expect("it is there");
            let starts = machine["starts"].as_u64().expect("a count");
            (id, starts)
        };
        serving.into_iter().map(one).collect()
    }

    /// Each machine: its id, its image, its state, whether it is cordoned.
    pub fn fleet(&self) -> Vec<(String, String, String, bool)> {
        let word = |machine: &Value, name: &str| machine[name].as_str().unwrap_or_default().to_owned();
        let machines = self.platform.machines();
        let one = |machine: &Value| {
            let cordoned = machine["cordoned"].as_bool().unwrap_or(false);
            (word(machine, "id"), word(machine, "image"), word(machine, "state"), cordoned)
        };
        // What is on its way out is gone but for the platform's own time.
        machines.iter().map(one).filter(|(_, _, state, _)| state != "destroying").collect()
    }
}
