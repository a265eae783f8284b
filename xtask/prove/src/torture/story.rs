//! What a daemon lived through before its store was tortured: short lives in the simulated world.
//!
//! A [`Story`] is a script of edits; [`Past::of`] plays it once, undisturbed, and keeps what the store held at each
//! moment and how it ended. The same script, played again up to a moment, gives the same world: [`Story::until`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use trueup_seams::Memory;
use trueup_sim::behaviour::{EXIT_AFTER_MS, HEALTHY_AFTER_MS, NEVER_HEALTHY, SICK_AFTER_MS};
use trueup_sim::{AppSketch, House};
use trueup_types::policy::Strategy;
use trueup_types::{AppName, InstanceId};

use crate::waiting::simulated;

/// From one look at the store to the next.
const GLANCE: Duration = Duration::from_millis(250);
/// Most moments kept of a past: each costs a copy of the store on the disk.
const MOMENTS_MAX: usize = 14;

/// An edit, so many seconds after the beginning.
type Turn = (u64, fn(&House));

/// A short life.
#[derive(Debug)]
pub struct Story {
    /// Its name, in case strings.
    pub name: &'static str,
    turns: &'static [Turn],
    /// When it ends, in seconds: everything has come to rest.
    seconds: u64,
    /// How often the store is written for nothing at each moment, so that its log grows.
    pub churn: u32,
}

/// All of them.
pub const STORIES: &[Story] = &[
    Story { name: "steady", turns: &[(0, two)], seconds: 150, churn: 0 },
    Story {
        name: "update",
        turns: &[(0, two), (120, |house| put(house, &web().env("VERSION", "v2")))],
        seconds: 360,
        churn: 1,
    },
    Story { name: "bad", turns: &[(0, two), (120, |house| put(house, &exits()))], seconds: 420, churn: 2 },
    Story { name: "sick", turns: &[(0, two), (120, |house| put(house, &sickens()))], seconds: 420, churn: 0 },
    Story {
        name: "mended",
        turns: &[(0, two), (120, |house| put(house, &never())), (160, |house| put(house, &web().env("VERSION", "v3")))],
        seconds: 480,
        churn: 1,
    },
    Story {
        name: "scaled",
        turns: &[(0, two), (90, |house| put(house, &web().replicas(4))), (180, |house| put(house, &web().replicas(1)))],
        seconds: 330,
        churn: 0,
    },
    Story { name: "removed", turns: &[(0, two), (100, |house| remove(house, "jobs"))], seconds: 240, churn: 4 },
    Story {
        name: "twice",
        turns: &[
            (0, two),
            (100, |house| put(house, &web().env("VERSION", "v2"))),
            (240, |house| put(house, &web().strategy(Strategy::Rolling).env("VERSION", "v3"))),
        ],
        seconds: 420,
        churn: 0,
    },
    Story { name: "crowd", turns: &[(0, crowd), (100, crowd_moves)], seconds: 360, churn: 12 },
];

fn web() -> AppSketch {
    AppSketch::web("web").replicas(2).strategy(Strategy::BlueGreen).env(HEALTHY_AFTER_MS, "700")
}

fn exits() -> AppSketch {
    web().strategy(Strategy::Rolling).env("VERSION", "v2").env(EXIT_AFTER_MS, "2000")
}

fn sickens() -> AppSketch {
    web().env("VERSION", "v2").env(SICK_AFTER_MS, "20000")
}

fn never() -> AppSketch {
    web().env("VERSION", "v2").env(NEVER_HEALTHY, "1")
}

fn two(house: &House) {
    put(house, &web());
    put(house, &AppSketch::worker("jobs"));
}

fn member(number: u32) -> AppSketch {
    AppSketch::web(&format!("app-{number}")).env("TEXT", &"x".repeat(60 * usize::try_from(number).unwrap_or(1)))
}

fn crowd(house: &House) {
    (0..16).for_each(|number| put(house, &member(number)));
}

fn crowd_moves(house: &House) {
    (0..4).for_each(|number| put(house, &member(number).env("VERSION", "v2")));
    put(house, &member(4).env("VERSION", "v2").env(EXIT_AFTER_MS, "1000"));
    put(house, &member(5).replicas(3));
}

/// Wants an app; whoever keeps the laws is told of the old wish and of the new one.
fn put(house: &House, sketch: &AppSketch) {
    let desired = sketch.build();
    learn(house, &desired.name);
    let now = house.world.now();
    house.world.lock().wants.learn(&desired.name, Some(&desired), now);
    house.source.put(desired);
}

fn remove(house: &House, app: &str) {
    let app = AppName::new(app).expect("a literal name");
    learn(house, &app);
    let now = house.world.now();
    house.world.lock().wants.learn(&app, None, now);
    house.source.remove(&app);
}

/// The wish that ends was in force until this moment.
fn learn(house: &House, app: &AppName) {
    use trueup_seams::Source as _;
    let now = house.world.now();
    if let Some(known) = house.source.snapshot().apps.get(app) {
        house.world.lock().wants.learn(app, Some(&Arc::clone(&known.desired)), now);
    }
}

impl Story {
    fn glances(&self) -> u64 {
        self.seconds * 4
    }

    /// Plays the glances `from..to`; needs a paused runtime, and a daemon in the house.
    async fn play(&self, house: &House, from: u64, to: u64) {
        for glance in from..to {
            for (_, turn) in self.turns.iter().filter(|(second, _)| second * 4 == glance) {
                turn(house);
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// The world as it was at a moment, with its daemon still running.
    pub async fn until(&self, glance: u64) -> House {
        let mut house = House::new();
        house.start().await;
        self.play(&house, 0, glance).await;
        house
    }

    /// Plays on from a moment to the end.
    pub async fn go_on(&self, house: &House, glance: u64) {
        self.play(house, glance, self.glances()).await;
    }
}

/// What the store held at one moment.
#[derive(Debug, Clone)]
pub struct Moment {
    /// So many glances after the beginning.
    pub glance: u64,
    /// All that was acknowledged.
    pub memory: Memory,
}

/// How things stand, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Of each app that is wanted: the versions of the instances that pass, and how many of them are routed.
    pub apps: BTreeMap<AppName, (Vec<String>, usize)>,
    /// The lives that run.
    pub lives: BTreeSet<(InstanceId, u64)>,
}

impl Standing {
    /// How things stand in a house.
    pub fn of(house: &House) -> Self {
        use trueup_seams::Source as _;
        let now = house.world.now();
        let wanted: Vec<AppName> = house.source.snapshot().apps.keys().cloned().collect();
        let (mut apps, mut lives) = (BTreeMap::new(), BTreeSet::new());
        for app in wanted {
            let routed = house.world.routed(&app);
            let running = house.world.running(&app);
            let state = house.world.lock();
            let passing = state.instances.values().flatten().filter(|(id, one)| id.app == app && one.passing(now));
            let versions = passing.map(|(_, one)| one.release.template.env["VERSION"].clone());
            let mut versions: Vec<String> = versions.collect();
            versions.sort();
            apps.insert(app, (versions, routed.len()));
            lives.extend(running);
        }
        Self { apps, lives }
    }
}

/// A story, as it went undisturbed.
#[derive(Debug)]
pub struct Past {
    /// Which.
    pub story: &'static Story,
    /// What the store held, moment by moment; each differs from the one before.
    pub moments: Vec<Moment>,
    /// How it ended.
    pub end: Standing,
}

impl Past {
    /// Plays a story.
    ///
    /// An error is one of the story: it does not go as it was written.
    pub fn of(story: &'static Story) -> anyhow::Result<Self> {
        simulated(async {
            let mut house = House::new();
            house.start().await;
            let mut moments: Vec<Moment> = Vec::new();
            let mut saves = 0;
            for glance in 0..story.glances() {
                story.play(&house, glance, glance + 1).await;
                if house.store.saves() != saves {
                    saves = house.store.saves();
                    moments.push(Moment { glance: glance + 1, memory: house.store.copy() });
                }
            }
            let end = Standing::of(&house);
            anyhow::ensure!(house.settled(), "{} does not come to rest", story.name);
            let broken = house.world.lock().violations.clone();
            anyhow::ensure!(broken.is_empty(), "{}, undisturbed: {broken:?}", story.name);
            let moments = thinned(moments);
            anyhow::ensure!(moments.len() > 2, "{} gives the store nothing to do", story.name);
            Ok(Self { story, moments, end })
        })
    }
}

/// At most so many, evenly, and the last one always.
fn thinned(moments: Vec<Moment>) -> Vec<Moment> {
    let (count, last) = (moments.len(), moments.len().saturating_sub(1));
    let most = MOMENTS_MAX.min(count).max(1);
    let kept: BTreeSet<usize> = (1..=most).map(|index| index * last / most).collect();
    moments.into_iter().enumerate().filter(|(index, _)| kept.contains(index)).map(|(_, moment)| moment).collect()
}
