//! What 1,000 converged apps cost: the daemon's share of a core, its memory beyond that of a daemon without apps, and
//! the processes that stay beside instances, counted for themselves.

use std::time::{Duration, Instant};

use trueup_tests::processes;

use crate::measure::Setting;
use crate::place::Place;
use crate::procfs;
use crate::row::{Figure, Row};

/// How many apps the figure is for.
const APPS: usize = 1_000;
/// How long the daemon is left alone before it is measured.
const CALM: Duration = Duration::from_secs(10);

/// Measures an idle daemon.
///
/// # Errors
/// When the apps do not converge.
pub fn run(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let empty = empty(setting)?;
    let mut place = Place::start(&setting.program, APPS)?;
    let began = Instant::now();
    place.await_ready(APPS, Duration::from_secs(300))?;
    let converged = began.elapsed();
    std::thread::sleep(CALM);
    // Whole rounds of the routine look at everything, which comes each 30 s.
    let window = Duration::from_secs(if setting.quick { 30 } else { 60 });
    let (before, began) = (procfs::on_cpu(place.pid())?, Instant::now());
    std::thread::sleep(window);
    let worked = procfs::on_cpu(place.pid())?.saturating_sub(before);
    let share = worked.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    let memory = procfs::status_mib(place.pid(), "VmRSS")?;
    let ours = processes::of_state(&place.bench.state_dir());
    let shims: Vec<_> = ours.iter().filter(|one| one.command.contains(" shim ")).collect();
    let weights = shims.iter().filter_map(|one| procfs::pss_mib(u32::try_from(one.pid).ok()?).ok());
    let weight: f64 = weights.sum();
    Ok(vec![
        Row::new("idle-cpu", share, "% of a core", 1)
            .figure(Figure::AtMost(0.5))
            .beside("first converging, s", converged.as_secs_f64())
            .note(format!("over {} s with {APPS} apps, one file each", window.as_secs())),
        Row::new("idle-memory", memory - empty, "MiB", 1)
            .figure(Figure::AtMost(30.0))
            .beside("with no apps", empty)
            .beside("peak", procfs::status_mib(place.pid(), "VmHWM")?)
            .note("resident, beyond a daemon without apps"),
        Row::new("idle-shims", weight, "MiB", shims.len())
            .beside("KiB each", weight * 1_024.0 / (shims.len().max(1) as f64))
            .note("proportional share (PSS) of all processes beside instances"),
    ])
}

/// The resident memory of a daemon without apps.
fn empty(setting: &Setting) -> anyhow::Result<f64> {
    let mut place = Place::start(&setting.program, 0)?;
    place.await_ready(0, Duration::from_secs(30))?;
    std::thread::sleep(CALM);
    procfs::status_mib(place.pid(), "VmRSS")
}
