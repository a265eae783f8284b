//! A stage for stories: a simulated house, what is wanted of it, and what must hold all the while.
//!
//! Whoever waits here is told at once when a law of the world is broken or a plan breaks one. Time is simulated.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use trueup_sim::clock::EPOCH;
use trueup_sim::{AppSketch, House};
use trueup_types::desired::DesiredApp;
use trueup_types::order::Order;
use trueup_types::status::AppState;
use trueup_types::verdict::{Stall, State};
use trueup_types::{AppName, InstanceId, TargetName, Timestamp};

use super::Told;
use crate::waiting::simulated;

/// Longer than a rollout, its deadlines and a revert take together.
pub const PATIENCE: Duration = Duration::from_secs(1_200);
/// From one look of a story to the next: soon while things move, and seldom after a minute.
const GLANCES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// A house and what is wanted of it.
pub struct Stage {
    pub house: House,
    wanted: Vec<Arc<DesiredApp>>,
    awake: bool,
}

/// Plays a story in a house whose time is paused; at its end the laws are asked once more.
pub fn in_a_house(story: impl AsyncFnOnce(&mut Stage) -> Told) -> Told {
    simulated(async {
        let mut stage = Stage { house: House::new(), wanted: Vec::new(), awake: false };
        story(&mut stage).await?;
        stage.lawful()
    })
}

/// The name of an app.
pub fn name(text: &str) -> AppName {
    AppName::new(text).expect("a literal name")
}

/// The name of an instance.
pub fn instance(text: &str) -> InstanceId {
    text.parse().expect("a literal name")
}

/// An app with a route, in its first version.
pub fn web(replicas: u32) -> AppSketch {
    AppSketch::web("web").replicas(replicas)
}

/// The same app with another version.
pub fn version(app: &AppSketch, version: &str) -> AppSketch {
    app.clone().env("VERSION", version)
}

impl Stage {
    /// Commits an app.
    pub fn put(&mut self, app: &AppSketch) {
        let desired = app.build();
        self.wanted.retain(|one| one.name != desired.name);
        self.wanted.push(Arc::clone(&desired));
        self.remind();
        self.house.source.put(desired);
    }

    /// Removes the manifests of these apps, in one commit.
    pub fn remove(&mut self, apps: &[AppName]) {
        self.wanted.retain(|one| !apps.contains(&one.name));
        for app in apps {
            self.house.world.lock().wants.learn(app, None, self.house.world.now());
        }
        self.house.source.commit([], apps);
    }

    /// Commits an app, starts the daemon, and waits until its first release is live.
    pub async fn begin(&mut self, app: &AppSketch) -> Told {
        self.put(app);
        self.start().await;
        self.live(app.name.as_str(), 1).await
    }

    /// Starts the daemon.
    pub async fn start(&mut self) {
        self.house.start().await;
        self.awake = true;
    }

    /// Kills the daemon where it stands.
    pub async fn kill(&mut self) {
        self.awake = false;
        self.house.kill().await;
    }

    /// Tells whoever keeps the laws what is wanted.
    fn remind(&self) {
        let now = self.house.world.now();
        let mut state = self.house.world.lock();
        for desired in &self.wanted {
            state.wants.learn(&desired.name, Some(desired), now);
        }
    }

    /// What is shown of an app.
    pub fn app(&self, app: &str) -> Option<AppState> {
        self.house.app(app).map(|app| app.status)
    }

    /// What a law says, or that a plan broke one.
    pub fn lawful(&self) -> Told {
        if let Some(broken) = self.house.world.lock().violations.first() {
            return Err(broken.clone());
        }
        if !self.awake {
            return Ok(());
        }
        let status = self.house.control().status();
        if let Some(bug) = status.events.iter().find(|event| event.reason == "Bug") {
            return Err(bug.message.clone());
        }
        for app in status.apps {
            if let State::Stalled(Stall::Bug(law)) = &app.status.verdict.state {
                return Err(format!("{}: a plan would break {law}", app.metadata.name));
            }
        }
        Ok(())
    }

    /// Waits until something holds.
    pub async fn until(&self, what: &str, patience: Duration, holds: impl Fn(&Self) -> bool) -> Told {
        self.watch(patience, &|stage| if holds(stage) { Some(Ok(())) } else { None })
            .await
            .unwrap_or_else(|| Err(format!("not within {} s: {what}\n{}", patience.as_secs(), self.house.story())))
    }

    /// Watches for so long that something holds all the while.
    pub async fn all_the_while(&self, what: &str, time: Duration, holds: impl Fn(&Self) -> bool) -> Told {
        let broken = |stage: &Self| format!("it does not hold: {what}\n{}", stage.house.story());
        self.watch(time, &|stage| if holds(stage) { None } else { Some(Err(broken(stage))) }).await.unwrap_or(Ok(()))
    }

    /// Looks again and again, until an answer or the end of its patience.
    fn watch<'a>(
        &'a self,
        patience: Duration,
        ask: &'a dyn Fn(&Self) -> Option<Told>,
    ) -> Pin<Box<dyn Future<Output = Option<Told>> + 'a>> {
        Box::pin(self.watched(patience, ask))
    }

    async fn watched(&self, patience: Duration, ask: &dyn Fn(&Self) -> Option<Told>) -> Option<Told> {
        let begun = tokio::time::Instant::now();
        loop {
            self.remind();
            if let Err(broken) = self.lawful() {
                return Some(Err(broken));
            }
            if let Some(answer) = ask(self) {
                return Some(answer);
            }
            let waited = begun.elapsed();
            if waited >= patience {
                return None;
            }
            tokio::time::sleep(if waited < Duration::from_secs(60) { GLANCES.0 } else { GLANCES.1 }).await;
        }
    }

    /// Waits until an app's last good release is this one, and nothing is under way.
    pub async fn live(&self, app: &str, revision: u64) -> Told {
        self.until(&format!("{app} is live at r{revision}"), PATIENCE, |stage| stage.is_live(app, revision)).await
    }

    /// Whether an app's last good release is this one, and nothing is under way.
    pub fn is_live(&self, app: &str, revision: u64) -> bool {
        let good = self.app(app).and_then(|app| app.last_good);
        good.is_some_and(|good| good.0 == revision) && self.house.settled()
    }

    /// Waits until a bad release is behind an app.
    pub async fn reverted(&self, app: &str) -> Told {
        self.until(&format!("{app} is reverted and Ready"), PATIENCE, |stage| {
            let verdict = stage.app(app).map(|app| app.verdict);
            verdict.is_some_and(|verdict| verdict.reverted && verdict.state == State::Ready)
        })
        .await
    }

    /// A person's word.
    pub async fn order(&self, app: &str, order: Order) -> Told {
        let done = self.house.control().order(&name(app), order, "story").await;
        done.map(drop).map_err(|why| why.to_string())
    }

    /// Nothing at all happens any more.
    pub async fn still(&self) -> Told {
        let before = self.house.world.lock().journal.len();
        self.all_the_while("what has converged is left alone", Duration::from_secs(600), |stage| {
            stage.house.world.lock().journal.len() == before
        })
        .await
    }

    /// The names of an app's running instances.
    pub fn running(&self, app: &str) -> BTreeSet<String> {
        self.house.running(app).into_iter().map(|(id, _)| id).collect()
    }

    /// The versions that an app's running instances carry.
    pub fn versions(&self, app: &str) -> BTreeSet<String> {
        let running = self.running(app);
        let state = self.house.world.lock();
        let all = state.instances.values().flatten().filter(|(id, _)| running.contains(&id.to_string()));
        all.map(|(_, one)| one.release.template.env.get("VERSION").cloned().unwrap_or_default()).collect()
    }

    /// Whether the live table sends anything to an instance.
    pub fn routes_to(&self, id: &str) -> bool {
        let id = instance(id);
        self.house.world.routed(&id.app).contains(&id)
    }

    /// Makes instances answer badly, or well again.
    pub fn sicken<'a>(&self, ids: impl IntoIterator<Item = &'a String>, sick: bool) {
        ids.into_iter().for_each(|id| self.house.world.sicken(&instance(id), sick));
    }

    /// Ends the life of an instance, and has the daemon look.
    pub async fn crash(&self, id: &str) -> Told {
        let id = instance(id);
        self.house.world.crash(&id, 1).ok_or_else(|| format!("{id} does not run"))?;
        self.order(id.app.as_str(), Order::Reconcile).await
    }

    /// Somebody else starts an instance anew, between two looks of the daemon, and has it look then.
    pub async fn reborn(&self, id: &str) -> Told {
        let (id, now) = (instance(id), self.house.world.now());
        {
            let mut state = self.house.world.lock();
            let found = state.instances.values_mut().find_map(|all| all.get_mut(&id));
            let one = found.ok_or_else(|| format!("{id} is not there"))?;
            (one.life, one.started) = (one.life + 1_000, now);
        }
        self.order(id.app.as_str(), Order::Reconcile).await
    }

    /// Whether the story so far holds a line.
    pub fn told(&self, line: &str) -> bool {
        self.house.world.lock().journal.iter().any(|one| one.ends_with(line))
    }

    /// Since the beginning.
    pub fn passed(&self) -> Duration {
        self.house.world.now().since(EPOCH)
    }

    /// When a name was created, counted from the beginning.
    pub fn created(&self, id: &str) -> Option<Duration> {
        let state = self.house.world.lock();
        let found = state.instances.values().find_map(|all| all.get(&instance(id)));
        found.map(|one| one.created.since(EPOCH))
    }

    /// Which life an instance is in.
    pub fn life(&self, id: &str) -> Option<u64> {
        let now: Timestamp = self.house.world.now();
        let state = self.house.world.lock();
        let found = state.instances.values().find_map(|all| all.get(&instance(id)));
        found.filter(|one| !one.exited(now)).map(|one| one.life)
    }

    /// Waits, whatever happens.
    pub async fn wait(&self, seconds: u64) -> Told {
        self.all_the_while("time passes", Duration::from_secs(seconds), |_| true).await
    }

    /// Holds the local target in the dark, or lights it.
    pub fn darken(&self, dark: bool) {
        self.house.darken(&TargetName::local(), dark);
    }
}

/// What must be so at this moment.
pub fn sure(holds: bool, what: &str) -> Told {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}
