//! Shared surveys: one call per target serves every app that asks.
//!
//! Each ask says how new the sight must be, by a counter that everything which may change the world advances. Who asks
//! while a survey is under way waits for it; if it began too early for them, they share the next. A listing in which
//! something is missing is asked for twice, and one that is older than what we did says nothing of that app.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trueup_museum::{Bug, planted};
use trueup_seams::{Inspect, Runtime};
use trueup_types::step::{StepOutcome, TargetStep};
use trueup_types::target::TargetSpec;
use trueup_types::{AppName, InstanceId, Timestamp};

use crate::clock::Clock;
use crate::deeds::{Deeds, Listing};

/// Longest a survey may take; a target that is slower is dark.
pub const SURVEY_TIMEOUT: Duration = Duration::from_secs(20);

/// Counts what may have changed the world.
#[derive(Debug, Default)]
pub struct Epoch(AtomicU64);

impl Epoch {
    /// A moment after everything so far.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The moment of the last change.
    pub fn current(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// One target, with its last sight.
pub struct Target {
    /// What it is.
    pub spec: TargetSpec,
    /// How it is made true.
    pub runtime: Arc<dyn Runtime>,
    /// How it is looked into.
    pub inspect: Option<Arc<dyn Inspect>>,
    /// Whether it says by itself that something may have changed.
    pub hints: bool,
    sights: tokio::sync::Mutex<Sights>,
    deeds: Mutex<Deeds>,
}

/// What was seen of a target last.
#[derive(Default)]
struct Sights {
    last: Option<Arc<TargetSight>>,
    /// The last in which anything was seen: a while in the dark makes no listing truer.
    good: Option<Arc<TargetSight>>,
}

/// What a survey saw of a target.
#[derive(Debug)]
pub struct TargetSight {
    /// The counter when it began.
    pub epoch: u64,
    /// When it began.
    pub at: Timestamp,
    /// Since when sight has been unbroken.
    pub since: Timestamp,
    /// The instances by app, or why they could not be seen.
    pub apps: Result<Listing, String>,
    /// Apps that it shows as they were before our last deeds, each with the instance that tells.
    pub stale: BTreeMap<AppName, InstanceId>,
}

impl Target {
    /// A target that nobody has looked at.
    #[must_use]
    pub fn new(spec: TargetSpec, runtime: Arc<dyn Runtime>, inspect: Option<Arc<dyn Inspect>>, hints: bool) -> Self {
        Self { spec, runtime, inspect, hints, sights: tokio::sync::Mutex::default(), deeds: Mutex::default() }
    }

    /// A sight that began after `epoch`.
    pub async fn sight(&self, epoch: u64, counter: &Epoch, clock: &dyn Clock) -> Arc<TargetSight> {
        let mut sights = self.sights.lock().await;
        if let Some(sight) = sights.last.as_ref().filter(|sight| sight.epoch >= epoch) {
            return Arc::clone(sight);
        }
        let (began, at) = (counter.current(), clock.now());
        let mut apps = self.ask().await;
        let good = sights.good.as_ref().and_then(|good| good.apps.as_ref().ok());
        if good.is_some_and(|before| self.lacks(before, &apps)) {
            // Not seen is not absent: what is missing is missing when it is missed twice.
            apps = self.ask().await;
        }
        let stale = match &apps {
            Ok(listing) => self.hold_against(good, listing, at),
            Err(_) => BTreeMap::new(),
        };
        let unbroken = sights.last.as_ref().filter(|before| before.apps.is_ok()).map(|before| before.since);
        let since = if apps.is_ok() { unbroken.unwrap_or(at) } else { at };
        let sight = Arc::new(TargetSight { epoch: began, at, since, apps, stale });
        if sight.apps.is_ok() {
            sights.good = Some(Arc::clone(&sight));
        }
        sights.last = Some(Arc::clone(&sight));
        sight
    }

    /// The apps that a listing shows as they were; what it shows of the others is held against the next.
    fn hold_against(
        &self,
        before: Option<&Listing>,
        listing: &Listing,
        at: Timestamp,
    ) -> BTreeMap<AppName, InstanceId> {
        let mut deeds = self.deeds.lock().expect("no holder panics");
        let stale = deeds.contradicted(listing, at);
        if let Some(before) = before {
            deeds.learn(before, listing, &stale, at);
        }
        stale
    }

    /// Keeps what came of a step, to be held against later listings.
    pub fn did(&self, step: &TargetStep, outcome: &StepOutcome, now: Timestamp) {
        self.deeds.lock().expect("no holder panics").keep(step, outcome, now);
    }

    async fn ask(&self) -> Result<Listing, String> {
        let apps = match tokio::time::timeout(SURVEY_TIMEOUT, self.runtime.survey()).await {
            Ok(survey) => gather(survey),
            Err(_) => Err(format!("no answer in {} s", SURVEY_TIMEOUT.as_secs())),
        };
        if planted(Bug::TakesErrorForEmpty) { Ok(apps.unwrap_or_default()) } else { apps }
    }

    fn lacks(&self, before: &Listing, apps: &Result<Listing, String>) -> bool {
        let Ok(listing) = apps else { return false };
        self.deeds.lock().expect("no holder panics").lacks(before, listing)
    }

    /// The last sight, if there was one and nobody is looking.
    #[must_use]
    pub fn last(&self) -> Option<Arc<TargetSight>> {
        self.sights.try_lock().ok().and_then(|sights| sights.last.clone())
    }
}

/// A target is seen whole or not at all: a place in the dark leaves every absence in doubt.
fn gather(survey: trueup_seams::Survey) -> Result<Listing, String> {
    let mut apps = Listing::new();
    for (place, sight) in survey {
        if sight.is_err() && planted(Bug::TakesPartForWhole) {
            continue;
        }
        let sight = sight.map_err(|error| format!("{place}: {error}"))?;
        for one in sight.instances {
            apps.entry(one.id.app.clone()).or_default().push(one);
        }
    }
    Ok(apps)
}
