//! What a run is about: manifests that have converged, and what people then do.
//!
//! A [`Variant`] is one scenario with one shape, number of instances and pace; [`Variant::script`] says what it comes
//! to. Conditions in a script are those that a person would see, so that a run that is disturbed is told the same.

use std::time::Duration;

use trueup_sim::behaviour::HEALTHY_AFTER_MS;
use trueup_sim::{AppSketch, Pace};
use trueup_types::order::Order;
use trueup_types::policy::{CanaryStep, Strategy};
use trueup_types::record::AppRecord;
use trueup_types::{Percent, Quantity, Revision};

use super::table;

/// One thing that people do, or wait for.
pub enum Act {
    /// Commit these manifests at once, and take those away.
    Commit(Vec<AppSketch>, Vec<&'static str>),
    /// Say a word.
    Say(&'static str, Order),
    /// Wait until an app's memory shows this.
    Until(&'static str, fn(&AppRecord) -> bool),
    /// Wait.
    Rest(Duration),
}

/// What happens in a scenario.
pub struct Script {
    /// What has converged before.
    pub before: Vec<AppSketch>,
    /// What is done then.
    pub acts: Vec<Act>,
    /// Whether what is overtaken by a later act may have come less far in one run than in another.
    pub races: bool,
    /// Whether failed instances stay for a person to look at, however many there happen to be.
    pub keeps_bad: bool,
    /// Rollouts that may be under way at once.
    pub rollouts_max: usize,
}

/// As many as the daemon's own default.
const ROLLOUTS_MAX: usize = 4;

impl Script {
    /// What has converged before, and what is done then.
    pub fn of(before: Vec<AppSketch>, acts: Vec<Act>) -> Self {
        Self { before, acts, races: false, keeps_bad: false, rollouts_max: ROLLOUTS_MAX }
    }
}

/// How an app gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All new ones beside the old.
    BlueGreen,
    /// One more at a time.
    Rolling,
    /// One less at a time.
    GiveWay,
    /// All old ones go first.
    Recreate,
    /// Each goes before its successor comes.
    StopFirst,
    /// Rolling, without routes.
    Worker,
    /// All new ones beside the old, by weight, in two steps.
    Canary,
    /// The same, by whole instances.
    Counted,
}

impl Shape {
    fn word(self) -> &'static str {
        match self {
            Self::BlueGreen => "bluegreen",
            Self::Rolling => "rolling",
            Self::GiveWay => "giveway",
            Self::Recreate => "recreate",
            Self::StopFirst => "stopfirst",
            Self::Worker => "worker",
            Self::Canary => "canary",
            Self::Counted => "counted",
        }
    }
}

/// What is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    /// Nothing.
    Nothing,
    /// Apps take a while to be healthy.
    Health,
    /// Answers take a while.
    Answers,
}

impl Slow {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Health, Self::Answers];

    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "quick",
            Self::Health => "late",
            Self::Answers => "slow",
        }
    }

    /// How long answers take.
    pub fn pace(self) -> Pace {
        let millis = Duration::from_millis;
        match self {
            Self::Nothing | Self::Health => Pace::default(),
            Self::Answers => Pace { step: millis(120), table: millis(30), save: millis(7) },
        }
    }
}

/// A scenario: its name, in which shapes it is played, and what it comes to.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// In which shapes it makes sense.
    pub shapes: &'static [Shape],
    /// What happens.
    pub script: fn(&Variant) -> Script,
}

/// One scenario, played one way.
#[derive(Clone, Copy)]
pub struct Variant {
    /// Which.
    pub scenario: &'static Scenario,
    /// How it gives way.
    pub shape: Shape,
    /// How many instances.
    pub replicas: u32,
    /// What is slow.
    pub slow: Slow,
}

/// Shorter times than the defaults, so that a run is short; long enough that each does its work.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
const MIN_HEALTHY: Duration = Duration::from_secs(5);
const BAKE: Duration = Duration::from_secs(15);
const HEALTHY_DEADLINE: Duration = Duration::from_secs(40);
/// Longer than some calls that hang, one after the other.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(400);
/// The steps of a canary: how many percent, for how long.
const CANARY: [(u8, Duration); 2] = [(20, Duration::from_secs(3)), (50, Duration::from_secs(4))];
/// When what turns bad within its bake does so: later than the slowest passage, with two crashes in it, is through.
pub const TURNS_BAD_MS: &str = "50000";
/// The bake of what turns bad in it.
pub const LONG_BAKE: Duration = Duration::from_secs(75);

impl Variant {
    /// Every variant of every scenario.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for scenario in table::SCENARIOS {
            for shape in scenario.shapes.iter().copied() {
                for replicas in 1..=3 {
                    all.extend(Slow::ALL.map(|slow| Self { scenario, shape, replicas, slow }));
                }
            }
        }
        // The only instance cannot give way and serve.
        all.retain(|one| one.shape != Shape::GiveWay || one.replicas > 1);
        all
    }

    /// Its name, as a case spells it.
    pub fn name(&self) -> String {
        format!("{}-{}-{}-{}", self.scenario.name, self.shape.word(), self.replicas, self.slow.word())
    }

    /// The variant of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|one| one.name() == name)
    }

    /// Whether it is among those that every CI run plays.
    pub fn is_common(&self) -> bool {
        let chosen = [(1, Slow::Health), (2, Slow::Nothing), (3, Slow::Answers)];
        chosen.contains(&(self.replicas, self.slow))
    }

    /// What happens.
    pub fn script(&self) -> Script {
        (self.scenario.script)(self)
    }

    /// An app of this variant's shape, at `v1`.
    pub fn app(&self, name: &str) -> AppSketch {
        let mut app = if self.shape == Shape::Worker { AppSketch::worker(name) } else { AppSketch::web(name) };
        app.replicas = self.replicas;
        app.template.health[0].interval = PROBE_INTERVAL;
        let policy = &mut app.policy;
        (policy.min_healthy, policy.bake) = (MIN_HEALTHY, BAKE);
        (policy.healthy_deadline, policy.progress_deadline) = (HEALTHY_DEADLINE, PROGRESS_DEADLINE);
        (policy.max_surge, policy.max_unavailable) = (Quantity::Count(1), Quantity::Count(0));
        policy.strategy = Strategy::Rolling;
        match self.shape {
            Shape::BlueGreen => {
                policy.strategy = Strategy::BlueGreen;
                policy.max_surge = Quantity::Share(Percent::ALL);
            }
            Shape::Rolling | Shape::Worker => {}
            Shape::GiveWay => (policy.max_surge, policy.max_unavailable) = (Quantity::Count(0), Quantity::Count(1)),
            Shape::Canary | Shape::Counted => {
                policy.by_count = (self.shape == Shape::Counted).then(|| "its platform cannot weigh".to_owned());
                policy.strategy = Strategy::Canary;
                policy.max_surge = Quantity::Share(Percent::ALL);
                policy.steps = CANARY.map(step).to_vec();
            }
            Shape::Recreate => policy.strategy = Strategy::Recreate,
            Shape::StopFirst => policy.stop_first = Some("it has a volume".to_owned()),
        }
        if self.slow == Slow::Health { app.env(HEALTHY_AFTER_MS, "3300") } else { app }
    }
}

fn step((weight, pause): (u8, Duration)) -> CanaryStep {
    let weight = Percent::new(weight).expect("a literal share");
    CanaryStep { weight, pause, approve: false, analysis: Vec::new() }
}

/// Whether a revision is, or was, the last good one.
pub fn live_at(record: &AppRecord, revision: u64) -> bool {
    record.current.is_some_and(|current| current >= Revision(revision))
}
