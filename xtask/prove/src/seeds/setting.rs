//! The world of a case: its apps, how each of their versions behaves, and how they are brought about.
//!
//! Drawn from a seed, a stream for each app. Says of each version whether a calm world would keep it: the oracle judges
//! the end by that.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use trueup_sim::behaviour::{
    CANNOT_START, EXIT_AFTER_MS, EXITS_IN_LIVES, HEALTHY_AFTER_MS, NEVER_HEALTHY, SICK_AFTER_MS,
};
use trueup_sim::{AppSketch, Pace};
use trueup_types::desired::{DesiredApp, Prune};
use trueup_types::policy::{RevertMode, Strategy};
use trueup_types::template::Volume;
use trueup_types::{AppName, Label, Percent, PortName, Quantity, Release, TargetName};

use super::dice::{one_in, pick, stream};

/// Names of apps, in the order in which they may depend on each other.
const NAMES: [&str; 4] = ["db", "api", "web", "mail"];
/// Versions of each app that edits choose from; whatever lies beyond is good.
const VERSIONS: usize = 4;

/// The world of a case.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Where it was drawn from.
    pub seed: u64,
    /// Its apps.
    pub casts: Vec<Cast>,
    /// Rollouts at once.
    pub rollouts_max: usize,
    /// How long answers take.
    pub pace: Pace,
}

/// One app.
#[derive(Debug, Clone)]
pub struct Cast {
    /// What stays the same in all of its manifests.
    pub sketch: AppSketch,
    /// How its versions behave.
    pub natures: Vec<Nature>,
    /// What they are like beside that.
    pub shapes: Vec<Shape>,
    /// Its first manifest.
    pub first: Wish,
}

/// What a version is like, where it is not as the others are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// Its port has another name.
    pub renamed: bool,
    /// It has no ways in.
    pub unrouted: bool,
    /// It has a disk, and so never stands beside another.
    pub disk: bool,
}

/// What edits change in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Which version.
    pub version: usize,
    /// How many.
    pub replicas: u32,
    /// Whether it has its route, and in which spelling.
    pub route: Option<u8>,
    /// In which order old gives way to new.
    pub strategy: Strategy,
    /// Where.
    pub target: TargetName,
    /// Whether it is to be left alone.
    pub suspend: bool,
    /// Whether it waits for none of those that it depends on.
    pub alone: bool,
}

/// How a version behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// It passes after so many milliseconds.
    Good(u64),
    /// Each instance exits once, so long after its first start.
    FlapsOnce(u64),
    /// It exits in each life, so long after its start.
    Exits(u64),
    /// It never passes.
    NeverHealthy,
    /// It passes, too late.
    Slow,
    /// It turns bad so long after its start.
    Sickens(u64),
    /// It cannot be started.
    CannotStart,
}

/// What becomes of a version in a calm world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// It is kept.
    Kept,
    /// It is rejected.
    Rejected,
    /// Either.
    Open,
}

impl Setting {
    /// The world of a seed.
    pub fn drawn(seed: u64) -> Self {
        let mut dice = stream(seed, "world");
        let count = pick(&mut dice, &[1, 1, 1, 2, 2, 3, 4]);
        let casts = NAMES[..count].iter().map(|name| Cast::drawn(seed, name)).collect();
        let millis = |dice: &mut Rng| Duration::from_millis(pick(dice, &[0, 0, 1, 20, 400]));
        let pace = Pace { step: millis(&mut dice), table: millis(&mut dice), save: millis(&mut dice) };
        Self { seed, casts, rollouts_max: pick(&mut dice, &[1, 2, 4]), pace }
    }

    /// The app of this name.
    pub fn cast(&self, app: &AppName) -> Option<&Cast> {
        self.casts.iter().find(|cast| cast.sketch.name == *app)
    }
}

impl Cast {
    fn drawn(seed: u64, name: &str) -> Self {
        let mut dice = stream(seed, name);
        let routed = !one_in(&mut dice, 4);
        let mut sketch = if routed { AppSketch::web(name) } else { AppSketch::worker(name) };
        sketch.template.env.clear();
        policy(&mut sketch, &mut dice);
        probes(&mut sketch, &mut dice);
        for earlier in NAMES.iter().take_while(|other| **other != name) {
            if one_in(&mut dice, 6) && seed_has(seed, earlier) {
                sketch = sketch.depends_on(earlier);
            }
        }
        if one_in(&mut dice, 6) {
            sketch.prune = Prune::Orphan;
        }
        let order = if routed {
            pick(&mut dice, &[Strategy::BlueGreen, Strategy::BlueGreen, Strategy::Rolling, Strategy::Recreate])
        } else {
            pick(&mut dice, &[Strategy::Rolling, Strategy::Rolling, Strategy::Recreate])
        };
        let natures = (0..VERSIONS).map(|number| Nature::drawn(&mut dice, number, &sketch)).collect();
        let shapes = shapes(seed, name);
        let first = Wish {
            version: 0,
            replicas: pick(&mut dice, &[1, 1, 2, 2, 3]),
            route: routed.then_some(0),
            strategy: order,
            target: TargetName::local(),
            suspend: false,
            alone: false,
        };
        Self { sketch, natures, shapes, first }
    }

    /// The manifest of a wish.
    pub fn manifest(&self, wish: &Wish) -> Arc<DesiredApp> {
        let replicas = self.replicas(wish);
        let mut sketch = self.sketch.clone().env("VERSION", &format!("v{}", wish.version)).replicas(replicas);
        for (key, value) in self.nature(wish.version).environment(&self.sketch) {
            sketch = sketch.env(key, &value);
        }
        // More than its environment, so that each of them can be gone back to in the other's.
        sketch.template.args = vec![format!("--version={}", wish.version)];
        sketch.policy.strategy = wish.strategy;
        sketch.policy.suspend = wish.suspend;
        if wish.alone {
            sketch.policy.depends_on.clear();
        }
        sketch.target = wish.target.clone();
        match wish.route {
            None => sketch.exposure.routes.clear(),
            Some(0) => {}
            Some(number) => sketch.exposure.routes.iter_mut().for_each(|route| route.path = format!("/{number}")),
        }
        self.shape(wish.version).give(&mut sketch);
        sketch.build()
    }

    /// How many are wanted: one at the most of what has a disk in any of its versions.
    pub fn replicas(&self, wish: &Wish) -> u32 {
        if self.shapes.iter().any(|shape| shape.disk) { wish.replicas.min(1) } else { wish.replicas }
    }

    /// What a version is like; those beyond the drawn ones are as most are.
    fn shape(&self, version: usize) -> Shape {
        self.shapes.get(version).copied().unwrap_or_default()
    }

    /// How a version behaves; those beyond the drawn ones are good.
    pub fn nature(&self, version: usize) -> Nature {
        self.natures.get(version).copied().unwrap_or(Nature::Good(300))
    }

    /// Whether one of its versions may be kept and fail again and again after that, so that it is never at rest.
    pub fn may_loop(&self) -> bool {
        let loops = |nature: &Nature| matches!(nature, Nature::Exits(_) | Nature::Sickens(_));
        self.natures.iter().any(|nature| loops(nature) && nature.promise(&self.sketch) == Promise::Open)
    }

    /// What becomes of a version in a calm world.
    pub fn promise(&self, version: usize) -> Promise {
        self.nature(version).promise(&self.sketch)
    }

    /// What becomes of a release in a calm world, where it is of a version.
    pub fn promise_of(&self, release: &Release) -> Option<Promise> {
        let version = release.template.env.get("VERSION").and_then(|text| text.strip_prefix('v'))?;
        version.parse().ok().map(|version| self.promise(version))
    }
}

/// What the versions of an app are like: in most cases all are as one.
fn shapes(seed: u64, name: &str) -> Vec<Shape> {
    let mut dice = stream(seed, &format!("shapes {name}"));
    let varies = |dice: &mut Rng| one_in(dice, 6);
    let of = Shape { renamed: varies(&mut dice), unrouted: varies(&mut dice), disk: varies(&mut dice) };
    (0..VERSIONS).map(|_| Shape::drawn(&mut dice, of)).collect()
}

/// Whether the world of a seed has an app of this name.
fn seed_has(seed: u64, name: &str) -> bool {
    let count = pick(&mut stream(seed, "world"), &[1, 1, 1, 2, 2, 3, 4]);
    NAMES[..count].contains(&name)
}

fn policy(sketch: &mut AppSketch, dice: &mut Rng) {
    let seconds = |dice: &mut Rng, of: &[u64]| Duration::from_secs(pick(dice, of));
    let policy = &mut sketch.policy;
    policy.min_healthy = seconds(dice, &[2, 5]);
    policy.healthy_deadline = seconds(dice, &[60, 300]);
    policy.progress_deadline = policy.healthy_deadline * 2;
    policy.bake = seconds(dice, &[0, 20, 60, 60]);
    policy.drain = seconds(dice, &[0, 5, 30]);
    policy.revert = if one_in(dice, 8) { RevertMode::Hold } else { RevertMode::Auto };
    let (surge, unavailable) = pick(
        dice,
        &[
            (Quantity::Share(Percent::ALL), Quantity::Count(0)),
            (Quantity::Share(Percent::ALL), Quantity::Count(0)),
            (Quantity::Count(1), Quantity::Count(0)),
            (Quantity::Count(2), Quantity::Count(1)),
            (Quantity::Count(0), Quantity::Count(1)),
        ],
    );
    policy.max_surge = surge;
    policy.max_unavailable = unavailable;
    if one_in(dice, 10) {
        policy.stop_first = Some("a host port".to_owned());
    }
}

fn probes(sketch: &mut AppSketch, dice: &mut Rng) {
    if one_in(dice, 8) {
        sketch.template.health.clear();
        return;
    }
    for probe in &mut sketch.template.health {
        probe.interval = Duration::from_secs(pick(dice, &[5, 10]));
        probe.failures = pick(dice, &[2, 3]);
        probe.successes = pick(dice, &[1, 1, 2]);
        probe.grace = Duration::from_secs(pick(dice, &[0, 10]));
    }
}

impl Shape {
    fn drawn(dice: &mut Rng, of: Shape) -> Self {
        let has = |has: bool, dice: &mut Rng| has && one_in(dice, 2);
        Self { renamed: has(of.renamed, dice), unrouted: has(of.unrouted, dice), disk: has(of.disk, dice) }
    }

    fn give(self, sketch: &mut AppSketch) {
        if self.renamed {
            let name = PortName::new("front").expect("a literal name");
            sketch.template.ports.iter_mut().for_each(|port| port.name = name.clone());
            sketch.exposure.routes.iter_mut().for_each(|route| route.port = name.clone());
        }
        if self.unrouted {
            sketch.exposure.routes.clear();
        }
        if self.disk {
            let name = Label::new("data").expect("a literal name");
            sketch.template.volumes = vec![Volume { name, path: "/data".to_owned(), size_bytes: None }];
            sketch.policy.stop_first = Some("the volume `data` has one owner".to_owned());
        }
    }
}

impl Nature {
    fn drawn(dice: &mut Rng, number: usize, sketch: &AppSketch) -> Self {
        // Most begin well: there is more to lose.
        let bad_in = if number == 0 { 8 } else { 2 };
        if !one_in(dice, bad_in) {
            return if one_in(dice, 8) {
                Self::FlapsOnce(pick(dice, &[700, 1_500, 30_000]))
            } else {
                Self::Good(pick(dice, &[0, 0, 700, 9_000]))
            };
        }
        let gate = u64::try_from(sketch.policy.min_healthy.as_millis()).unwrap_or(u64::MAX);
        match dice.u8(0..8) {
            0 => Self::Exits(0),
            1 => Self::Exits(1_500),
            2 => Self::Exits(gate + 4_000),
            3 => Self::NeverHealthy,
            4 => Self::Slow,
            5 => Self::CannotStart,
            6 => Self::Sickens(gate + 1_000),
            _ => Self::Sickens(1_000),
        }
    }

    fn environment(self, sketch: &AppSketch) -> Vec<(&'static str, String)> {
        match self {
            // Without a question nobody can know.
            Self::Good(_) | Self::NeverHealthy | Self::Slow | Self::Sickens(_) if sketch.template.health.is_empty() => {
                Vec::new()
            }
            Self::Good(0) => Vec::new(),
            Self::Good(after) => vec![(HEALTHY_AFTER_MS, after.to_string())],
            Self::FlapsOnce(after) => vec![(EXIT_AFTER_MS, after.to_string()), (EXITS_IN_LIVES, "1".to_owned())],
            Self::Exits(after) => vec![(EXIT_AFTER_MS, after.to_string())],
            Self::NeverHealthy => vec![(NEVER_HEALTHY, "1".to_owned())],
            Self::Slow => {
                // Far beyond it, since time in which nobody sees anything does not count, and beyond the day of stillness.
                let late = sketch.policy.healthy_deadline + Duration::from_secs(100 * 3_600);
                vec![(HEALTHY_AFTER_MS, late.as_millis().to_string())]
            }
            Self::Sickens(after) => vec![(SICK_AFTER_MS, after.to_string())],
            Self::CannotStart => vec![(CANNOT_START, "1".to_owned())],
        }
    }

    fn promise(self, sketch: &AppSketch) -> Promise {
        let policy = &sketch.policy;
        let millis = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let probe = sketch.template.health.first();
        match self {
            Self::Good(_) => Promise::Kept,
            Self::FlapsOnce(_) => Promise::Open,
            Self::CannotStart => Promise::Rejected,
            Self::Exits(after) if after < millis(policy.min_healthy + policy.bake) => Promise::Rejected,
            Self::Exits(_) => Promise::Open,
            Self::NeverHealthy | Self::Slow if probe.is_some() => Promise::Rejected,
            Self::Sickens(after) => {
                // It is noticed after so many bad answers, which has to be within the bake.
                let noticed = |probe: &trueup_types::probe::Probe| probe.interval * (probe.failures + 1) + probe.grace;
                let noticed = probe.map(|probe| after + millis(noticed(probe)) + 5_000);
                let watched = millis(policy.min_healthy + policy.bake);
                match noticed {
                    Some(noticed) if noticed < watched => Promise::Rejected,
                    Some(_) => Promise::Open,
                    None => Promise::Kept,
                }
            }
            Self::NeverHealthy | Self::Slow => Promise::Kept,
        }
    }
}
