//! The model: every state that a small world can reach, gone through with the *real* planner.
//!
//! A [`world`] is one app with one policy, two or three versions that behave well or badly, and so many edits and faults
//! that may happen at any moment. A [`state`] is what there is and what the daemon remembers; [`moves`] says what can
//! happen next, [`act`] lets it happen, [`tick`] asks the planner as the driver would, and [`laws`] judges every decision
//! and every step by means of its own. [`search`] meets every state once, by its [`key`], and holds against each that
//! the world comes to [`rest`] as it is wanted once nothing goes wrong any more.
//!
//! Knows nothing of the driver: what is between a look and an act is here a deed like any other.

mod act;
mod deed;
mod effect;
pub mod key;
mod laws;
mod moves;
mod rest;
pub mod scope;
pub mod search;
pub mod state;
pub mod story;
pub mod table;
pub mod tick;
pub mod world;

use std::sync::Mutex;
use std::time::Instant;

use trueup_museum::{Bug, Planted};

use crate::tier::{Effort, Row, Scale, Tier, Violation};
use crate::workers;

use search::{Figures, Search};
use world::World;

/// Goes through every state of small worlds.
pub const TIER: Tier =
    Tier { name: "model", what: "every state that small worlds can reach, with the real planner", run, replay };

/// Most states of each world in a sample.
const SAMPLE_STATES_MAX: u64 = 8_192;
/// Most states of each world at the long scale, where few are gone through to their end: with as many worlds as there are
/// that comes to what is asked for, in half an hour.
const LONG_STATES_MAX: u64 = 300_000;
/// Distinct states at each scale.
const FLOOR: (u64, u64) = (5_000_000, 50_000_000);

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let worlds = scope::worlds(effort.scale);
    let count = u64::try_from(worlds.len())?;
    let most = effort.of(u64::MAX, LONG_STATES_MAX);
    let all = Mutex::new(Figures::default());
    let mut row = workers::each(effort, "model states", count, |number| {
        let world = &worlds[usize::try_from(number).expect("few worlds")];
        let figures = go_through(world, None, &|states| states >= most || effort.is_over())?;
        all.lock().expect("no worker panics").add(figures);
        Ok(figures.states)
    });
    let all = all.into_inner().expect("no worker panics");
    row.floor = effort.of(FLOOR.0, FLOOR.1);
    row.note = format!(
        "{count} worlds, {} of them to their end, {} deeds tried, at most {} from any state to rest, {} MiB at the peak",
        all.ended,
        all.deeds,
        all.farthest,
        peak_mib(),
    );
    Ok(vec![row])
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.states += other.states;
        self.ended += other.ended;
        self.deeds += other.deeds;
        self.deepest = self.deepest.max(other.deepest);
        self.farthest = self.farthest.max(other.farthest);
    }
}

pub(crate) fn go_through(world: &World, bug: Option<Bug>, stop: &dyn Fn(u64) -> bool) -> Result<Figures, Violation> {
    let _planted = bug.map(Planted::new);
    let searched = story::beginning(world).and_then(|begin| Search::new(world).run(&begin, stop));
    searched.map_err(|found| {
        let path = story::shorten(world, found.path);
        Violation { what: format!("{}: {}", world.name, found.what), replay: story::spell(world, &path) }
    })
}

/// What a small run finds first, with a bug planted: the worlds of the smallest app, each as far as it gets.
pub fn sample(bug: Option<Bug>) -> Option<Violation> {
    let mut worlds = scope::worlds(Scale::Ci).into_iter().filter(scope::is_sample);
    let enough = |states| states >= SAMPLE_STATES_MAX;
    worlds.find_map(|world| go_through(&world, bug, &enough).err())
}

/// Goes a path again, with a bug planted or without; answers what is wrong at its end.
///
/// # Errors
/// When there is no such path.
pub fn again(case: &str, bug: Option<Bug>) -> anyhow::Result<Option<String>> {
    let _planted = bug.map(Planted::new);
    along(case, &mut drop)
}

fn along(case: &str, say: &mut dyn FnMut(String)) -> anyhow::Result<Option<String>> {
    let (name, path) = case.split_once(':').ok_or_else(|| anyhow::anyhow!("a case is WORLD:DEED.DEED.…"))?;
    let world = named(name)?;
    let path = path.split('.').filter(|word| !word.is_empty()).map(str::parse).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(story::tell(&world, &path, say))
}

/// Goes a path again, `WORLD:DEED.DEED.…`, or through all of a world, `WORLD` or `WORLD@EFW` with so many edits, faults
/// and words.
fn replay(case: &str) -> anyhow::Result<bool> {
    if !case.contains(':') {
        return whole(case);
    }
    let wrong = along(case, &mut |line| println!("{line}"))?;
    println!("{}", wrong.as_deref().unwrap_or("all is well"));
    Ok(wrong.is_none())
}

fn whole(case: &str) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let (name, purses) = case.split_once('@').unwrap_or((case, ""));
    let mut world = named(name)?;
    for (purse, digit) in world.scenario.purses.iter_mut().zip(purses.bytes()) {
        *purse = digit.saturating_sub(b'0');
    }
    let searched = go_through(&world, None, &|_| false);
    match &searched {
        Ok(figures) => println!("{figures:?} in {:?}, {} MiB at the peak", begun.elapsed(), peak_mib()),
        Err(found) => println!("{}\n{}", found.what, found.replay),
    }
    Ok(searched.is_ok())
}

fn named(name: &str) -> anyhow::Result<World> {
    let world = scope::worlds(Scale::Long).into_iter().find(|world| world.name == name);
    world.ok_or_else(|| anyhow::anyhow!("there is no world `{name}`"))
}

/// The most memory that this process ever held, in MiB; 0 where nobody says.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) / 1_024
}
