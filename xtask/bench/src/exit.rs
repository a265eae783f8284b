//! From the death of a process to its replacement: from SIGKILL to the next life's living main process.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use crate::measure::Setting;
use crate::place::{Place, millis_until};
use crate::row::{Figure, Row};
use crate::samples::Samples;

/// Measures deaths, one for each app: a second one would wait for its back-off.
///
/// # Errors
/// When the daemon does not do what it promises.
pub fn run(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let apps = setting.samples(200, 40);
    let mut place = Place::start(&setting.program, apps)?;
    place.await_ready(apps, Duration::from_secs(120))?;
    let mut dice = fastrand::Rng::with_seed(11);
    let mut took = Vec::new();
    for app in 0..apps {
        std::thread::sleep(Duration::from_millis(dice.u64(20..120)));
        let folder = place.instance(app, 1);
        let before = lives(&folder).pop().context("the instance has a life")?;
        let main = main_of(&folder, before).context("its main process is written down")?;
        let began = Instant::now();
        kill_process(main, Signal::KILL)?;
        let next = || lives(&folder).into_iter().rfind(|life| *life > before);
        let living = || next().and_then(|life| main_of(&folder, life)).filter(|pid| test_kill_process(*pid).is_ok());
        took.push(millis_until(began, "the next life begins", living).with_context(|| place.tail())?);
    }
    let took = Samples::of(took);
    let p99 = Row::new("exit-p99", took.percentile(99), "ms", took.count())
        .figure(Figure::AtMost(100.0))
        .beside("worst", took.max());
    let note = "the first back-off, 10 ms, included";
    Ok(vec![Row::new("exit-p50", took.median(), "ms", took.count()).note(note), p99])
}

/// The numbers of the lives of an instance, oldest first.
fn lives(folder: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |path: PathBuf| path.file_name()?.to_str()?.strip_prefix("life-")?.parse().ok();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| number(entry.path())).collect();
    numbers.sort_unstable();
    numbers
}

fn main_of(folder: &Path, life: u32) -> Option<Pid> {
    let text = std::fs::read_to_string(folder.join(format!("life-{life}")).join("shim.json")).ok()?;
    let lived: Value = serde_json::from_str(&text).ok()?;
    Pid::from_raw(i32::try_from(lived["main"]["pid"].as_i64()?).ok()?)
}
