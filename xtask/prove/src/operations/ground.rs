//! The world in which manifests are tried: a daemon over simulated targets, and a picture of it at rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trueup_sim::{Pace, SimStore};
use trueup_types::observed::Phase;
use trueup_types::verdict::State;
use trueup_types::{AppName, InstanceId};

use super::draft::{Draft, Read};
use crate::seeds::scribe::Scribe;
use crate::seeds::stage::Stage;

/// From one look to the next.
const GLANCE: Duration = Duration::from_secs(2);
/// Looks in a row that find nothing new.
const CALM: u32 = 3;
/// Longest that it may take to come to rest: a bad release is given its progress deadline, a bake and a back-off.
const PATIENCE: Duration = Duration::from_secs(4 * 3_600);

/// The world.
pub struct Ground {
    /// The daemon in it.
    pub stage: Stage,
    /// The manifests that were read last.
    pub read: Option<Read>,
    /// Whether a worse one was written since.
    pub refused: bool,
}

/// The world at rest, but for what a revision, an ordinal and a port are called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Picture {
    /// How many run of what, on which target.
    pub running: BTreeMap<(String, String), usize>,
    /// How many answer on which route.
    pub routes: BTreeMap<String, usize>,
    /// What is there and does not run.
    pub down: Vec<String>,
}

impl Ground {
    /// A world with a daemon and no manifest.
    pub async fn new() -> Self {
        let scribe = Scribe::new(Arc::new(SimStore::new()), false);
        let mut stage = Stage::new(7, 4, Pace::default(), scribe);
        stage.start().await;
        Self { stage, read: None, refused: false }
    }

    /// Writes a manifest, and waits until all is at rest.
    ///
    /// # Errors
    /// When it is not, in time.
    pub async fn write(&mut self, read: &Read) -> Result<(), String> {
        for target in &read.targets {
            self.stage.source.target(target.clone(), true);
        }
        for (app, desired) in &read.apps {
            let same = self.stage.wanted.get(app).is_some_and(|known| known.as_ref() == Some(desired));
            if !same || (self.refused && *app == self::app()) {
                self.stage.want(app, Some(Arc::clone(desired)));
            }
        }
        (self.read, self.refused) = (Some(read.clone()), false);
        self.rest().await?;
        self.says(None)?;
        self.lawful()
    }

    /// Writes one that is refused: the one before stays in force, the status says why, and all comes to rest.
    ///
    /// # Errors
    /// When it does not.
    pub async fn refuse(&mut self, why: &str) -> Result<(), String> {
        self.stage.source.refuse(&app(), why);
        self.refused = true;
        self.rest().await?;
        self.says(Some(why))?;
        self.lawful()
    }

    /// Whether the status says this of the manifest.
    fn says(&self, wanted: Option<&str>) -> Result<(), String> {
        let shown = self.stage.driver().and_then(|driver| driver.shown(&app()));
        let said = shown.and_then(|shown| shown.status.manifest_error.clone());
        if said.as_deref() == wanted {
            return Ok(());
        }
        Err(format!("of the manifest is said {said:?}, and {wanted:?} is to be said"))
    }

    /// Whether no law was broken on the way, neither where effects land nor in a plan.
    ///
    /// # Errors
    /// What was.
    fn lawful(&self) -> Result<(), String> {
        let mut broken = self.stage.world.lock().violations.clone();
        broken.extend(self.stage.scribe.bugs());
        broken.extend(self.stage.bugs());
        if broken.is_empty() { Ok(()) } else { Err(format!("on the way: {}", broken.join("; "))) }
    }

    /// Waits until nothing moves.
    ///
    /// # Errors
    /// When something still does after a long time.
    pub async fn rest(&self) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let effects = || (self.stage.world.lock().journal.len(), self.stage.scribe.saves());
        let (mut calm, mut last) = (0, effects());
        while calm < CALM {
            if tokio::time::Instant::now() >= deadline {
                return Err(format!("it does not come to rest: {:?}", self.state()));
            }
            self.stage.pass(GLANCE).await;
            let now = effects();
            let settled = self.stage.driver().is_some_and(|driver| driver.settled().is_some());
            calm = if now == last && settled { calm + 1 } else { 0 };
            last = now;
        }
        Ok(())
    }

    /// How the app stands.
    pub fn state(&self) -> Option<State> {
        let shown = self.stage.driver()?.shown(&app())?;
        Some(shown.status.verdict.state.clone())
    }

    /// Whether it stands on an older release than is wanted.
    pub fn reverted(&self) -> bool {
        let shown = self.stage.driver().and_then(|driver| driver.shown(&app()));
        shown.is_some_and(|shown| shown.status.verdict.reverted)
    }

    /// The world as it is.
    pub fn picture(&self) -> Picture {
        let now = self.stage.world.now();
        let state = self.stage.world.lock();
        let mut picture = Picture::default();
        for (target, instances) in &state.instances {
            // What ran a hook stays as long as its release is remembered.
            for (id, one) in instances.iter().filter(|(id, _)| id.task.is_none()) {
                let what = serde_json::json!(one.release.template).to_string();
                match one.phase(now) {
                    Phase::Running { .. } => {
                        let key = (format!("{} on {target}", id.app), what);
                        *picture.running.entry(key).or_default() += 1;
                    }
                    Phase::Created
                    | Phase::Starting
                    | Phase::Asleep
                    | Phase::Exited { .. }
                    | Phase::Vanishing { .. } => picture.down.push(format!("{} on {target}", id.app)),
                }
            }
        }
        for entry in state.table.apps.iter().flat_map(|share| &share.entries) {
            let live = entry.backends.iter().filter(|backend| backend.weight > 0).count();
            picture.routes.insert(format!("{}{}", entry.host, entry.path), live);
        }
        picture
    }

    /// The running instances of the app, each with its life.
    pub fn lives(&self) -> BTreeSet<(InstanceId, u64)> {
        self.stage.world.running(&app()).into_iter().collect()
    }

    /// Whether the world agrees with the manifest.
    ///
    /// # Errors
    /// Where it does not.
    pub fn agrees(&self, draft: &Draft) -> Result<(), String> {
        let desired = self.read.as_ref().and_then(|read| read.apps.get(&app())).ok_or("no manifest was read")?;
        match self.state() {
            Some(State::Ready) => {}
            other => return Err(format!("it stands as {other:?}")),
        }
        let number = |path: &str| draft.get(path).and_then(Value::as_u64);
        let text = |path: &str| draft.get(path).and_then(Value::as_str);
        let replicas = usize::try_from(number("spec.replicas").unwrap_or(1)).unwrap_or(usize::MAX);
        let target = text("spec.target").unwrap_or("local");
        let picture = self.picture();
        let what = serde_json::json!(desired.template.as_ref()).to_string();
        let ours: BTreeMap<_, _> =
            picture.running.iter().filter(|((whose, _), _)| whose.starts_with("web on")).collect();
        let key = (format!("web on {target}"), what);
        let wanted: BTreeMap<_, _> = (replicas > 0).then_some((&key, &replicas)).into_iter().collect();
        if ours != wanted {
            return Err(format!("{ours:?} run, {wanted:?} are wanted"));
        }
        if !picture.down.is_empty() {
            return Err(format!("{:?} are down and left over", picture.down));
        }
        self.routes_agree(draft, &picture, replicas)
    }

    fn routes_agree(&self, draft: &Draft, picture: &Picture, replicas: usize) -> Result<(), String> {
        let routes = draft.get("spec.routes").and_then(Value::as_array).cloned().unwrap_or_default();
        let spelled = |route: &Value| {
            let path = route["path"].as_str().unwrap_or("/");
            format!("{}{path}", route["host"].as_str().unwrap_or_default())
        };
        let wanted: BTreeMap<_, _> = routes.iter().map(|route| (spelled(route), replicas)).collect();
        if picture.routes == wanted {
            return Ok(());
        }
        Err(format!("routes are {:?}, the manifest says {wanted:?}", picture.routes))
    }
}

/// The app that is written about.
pub fn app() -> AppName {
    AppName::new("web").expect("a literal name")
}
