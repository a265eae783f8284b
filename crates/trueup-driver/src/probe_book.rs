//! Keeps the health of every running instance: one task for each, asking its probes at their intervals.
//!
//! A tick hands in what a survey saw; what is new is asked at once, what is gone is forgotten. A changed health nudges
//! the queue. Knows nothing of plans.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use trueup_museum::{Bug, planted};
use trueup_seams::Inspect;
use trueup_types::observed::{Health, Incarnation, Phase, Sighting};
use trueup_types::probe::{Check, Probe};
use trueup_types::{AppName, InstanceId, Release, TargetName, Timestamp};

use crate::clock::Clock;
use crate::jitter;
use crate::probe::{Answer, ProbeState, together};
use crate::prober::{self, Subject};

/// From one question to the next until the first good answer: soon, so that a deploy is not slower than its app.
pub const EAGER: Duration = Duration::from_millis(100);
/// One that has not passed for long is asked less often, so many times in as long as that: what comes up is noticed with
/// little delay, and what struggles is not asked ten times a second for ever.
const ASKED_PER_AGE: u32 = 20;
/// Questions under way at once, over all instances: each holds a descriptor.
pub const CONCURRENCY_MAX: usize = 256;
/// Probe intervals are spread by so many hundredths, so that a thousand instances are not asked in step.
const SPREAD_PERCENT: u32 = 10;

/// Called with an app whose health changed.
pub type Changed = Arc<dyn Fn(&AppName) + Send + Sync>;

/// One instance that a survey saw: on which target, how, and what runs its commands.
pub type Seen = (TargetName, Sighting, Option<Arc<dyn Inspect>>);

type Book = BTreeMap<AppName, BTreeMap<(TargetName, InstanceId), Tracked>>;

/// The health of all instances.
pub struct ProbeBook {
    clock: Arc<dyn Clock>,
    changed: Changed,
    http: reqwest::Client,
    permits: Arc<Semaphore>,
    tracked: Mutex<Book>,
    seed: u64,
}

struct Tracked {
    incarnation: Incarnation,
    health: Arc<Mutex<Health>>,
    task: JoinHandle<()>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ProbeBook {
    /// A book that calls `changed` with each app whose health changes.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, seed: u64, changed: Changed) -> Self {
        Self {
            clock,
            changed,
            http: prober::http_client(),
            permits: Arc::new(Semaphore::new(CONCURRENCY_MAX)),
            tracked: Mutex::default(),
            seed,
        }
    }

    /// Takes in what was seen of one app, and answers each instance's health.
    pub fn observe(
        &self,
        app: &AppName,
        seen: &[Seen],
        release: impl Fn(&Sighting) -> Option<Arc<Release>>,
    ) -> Vec<Health> {
        let mut tracked = self.tracked.lock().expect("no holder of the book panics");
        let ours = tracked.entry(app.clone()).or_default();
        let mut healths = Vec::with_capacity(seen.len());
        let mut keys = Vec::with_capacity(seen.len());
        for (target, sighting, inspect) in seen {
            let Phase::Running { since } = sighting.phase else {
                healths.push(Health::Unknown);
                continue;
            };
            let Some(release) = release(sighting) else {
                healths.push(Health::Unknown);
                continue;
            };
            if release.template.health.is_empty() || sighting.id.task.is_some() {
                // Where nobody else is asked, what its image brings decides alone.
                let own = sighting.healthcheck.clone().filter(|_| sighting.id.task.is_none());
                healths.push(own.unwrap_or(Health::Passing { since }));
                continue;
            }
            let probes = asked(&release, sighting);
            if let Some(checks) = sighting.checks.as_ref().filter(|_| probes.is_empty()) {
                healths.push(checks.clone());
                continue;
            }
            let key = (target.clone(), sighting.id.clone());
            let of_this_life = |one: &Tracked| one.incarnation == sighting.incarnation;
            let same = ours.get(&key).is_some_and(|one| of_this_life(one) || planted(Bug::KeepsHealthOfLastLife));
            if !same {
                let one = self.track(sighting, probes, inspect.clone(), since);
                ours.insert(key.clone(), one);
            }
            let health = ours[&key].health.lock().expect("no holder panics").clone();
            let health = match &sighting.checks {
                Some(checks) => together([checks, &health]),
                None => health,
            };
            healths.push(beside(health, sighting.healthcheck.as_ref()));
            keys.push(key);
        }
        ours.retain(|key, _| keys.contains(key));
        if ours.is_empty() {
            tracked.remove(app);
        }
        healths
    }

    fn track(
        &self,
        sighting: &Sighting,
        probes: Vec<Probe>,
        inspect: Option<Arc<dyn Inspect>>,
        started: Timestamp,
    ) -> Tracked {
        let health = Arc::new(Mutex::new(Health::Unknown));
        let subject = Subject {
            id: sighting.id.clone(),
            addresses: sighting.addresses.clone(),
            inspect,
            http: self.http.clone(),
        };
        let states = vec![ProbeState::default(); probes.len()];
        let shared = Arc::new(Watch {
            subject,
            started,
            clock: Arc::clone(&self.clock),
            changed: Arc::clone(&self.changed),
            permits: Arc::clone(&self.permits),
            states: Mutex::new(states),
            health: Arc::clone(&health),
        });
        let mut dice = jitter::stream(self.seed, &sighting.id.to_string());
        let loops = probes.into_iter().enumerate();
        let loops: Vec<_> =
            loops.map(|(index, probe)| Arc::clone(&shared).keep_asking(index, probe, dice.fork())).collect();
        let task = tokio::spawn(async move {
            futures_util::future::join_all(loops).await;
        });
        Tracked { incarnation: sighting.incarnation.clone(), health, task }
    }
}

/// The probes' health, and a failure of the image's own check beside it: that it passes, or is on its way, is no word against
/// probes that were written for the app.
fn beside(health: Health, own: Option<&Health>) -> Health {
    match own {
        Some(bad @ Health::Failed { .. }) => together([&health, bad]),
        Some(Health::Passing { .. } | Health::Waiting | Health::Unknown) | None => health,
    }
}

/// The probes that are asked from here: of one that its platform checks, only those that run a command in it, for nothing
/// of it need answer at an address that leads there from here.
fn asked(release: &Release, sighting: &Sighting) -> Vec<Probe> {
    let ours = |probe: &&Probe| sighting.checks.is_none() || matches!(probe.check, Check::Exec { .. });
    release.template.health.iter().filter(ours).cloned().collect()
}

/// What the loops of one instance share.
struct Watch {
    subject: Subject,
    started: Timestamp,
    clock: Arc<dyn Clock>,
    changed: Changed,
    permits: Arc<Semaphore>,
    states: Mutex<Vec<ProbeState>>,
    health: Arc<Mutex<Health>>,
}

impl Watch {
    async fn keep_asking(self: Arc<Self>, index: usize, probe: Probe, mut dice: fastrand::Rng) {
        let mut bad_since = self.clock.now();
        loop {
            let answer = {
                let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
                prober::ask(&self.subject, &probe, self.clock.now()).await
            };
            let passes = self.take(index, &probe, answer);
            let now = self.clock.now();
            let wait = if passes {
                bad_since = now;
                spread(probe.interval, &mut dice)
            } else {
                (now.since(bad_since) / ASKED_PER_AGE).max(EAGER).min(probe.interval)
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes in an answer; answers whether the probe passes.
    fn take(&self, index: usize, probe: &Probe, answer: Answer) -> bool {
        if let Answer::Nothing(why) = &answer {
            tracing::debug!(instance = %self.subject.id, probe = %probe.name, why, "probe could not ask");
        }
        let now = self.clock.now();
        let mut states = self.states.lock().expect("no holder panics");
        states[index].turn(probe, answer, self.started, now);
        let passes = matches!(states[index].health(), Health::Passing { .. });
        let next = together(states.iter().map(ProbeState::health));
        drop(states);
        let mut health = self.health.lock().expect("no holder panics");
        let moved = std::mem::discriminant(&*health) != std::mem::discriminant(&next);
        *health = next;
        drop(health);
        if moved {
            (self.changed)(&self.subject.id.app);
        }
        passes
    }
}

fn spread(interval: Duration, dice: &mut fastrand::Rng) -> Duration {
    interval * dice.u32(100 - SPREAD_PERCENT..=100) / 100
}
