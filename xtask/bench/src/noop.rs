//! A pass over 10,000 converged apps that finds nothing to do: the real driver in the simulated world, on one thread.
//!
//! Time is paused, so a simulated millisecond after the hint ends when every tick has ended, and no sooner. The peak of
//! memory is that of a process which holds the simulated world as well as the daemon.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use trueup_seams::Source as _;
use trueup_sim::{AppSketch, House};
use trueup_types::{AppName, InstanceId, Ordinal, Revision};

use crate::measure::Setting;
use crate::row::{Figure, Row};
use crate::samples::Samples;
use crate::{part, procfs};

/// How many apps the figure is for.
const APPS: usize = 10_000;
/// Simulated time in which a pass ends: a queue's rounding, and nothing that waits for longer.
const PASS: Duration = Duration::from_millis(5);
/// From one look at whether all has converged to the next, in simulated time.
const GLANCE: Duration = Duration::from_secs(30);
/// Simulated time after which a world that has not converged never will.
const PATIENCE: Duration = Duration::from_secs(6 * 3_600);

/// What the part measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Passes {
    wall_seconds: Vec<f64>,
    cpu_seconds: Vec<f64>,
    peak_mib: f64,
    empty_mib: f64,
    converge_seconds: f64,
    converge_peak_mib: f64,
}

/// Measures time and peak memory of a pass.
///
/// # Errors
/// When the part fails.
pub fn run(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let passes = setting.samples(20, 5);
    let words = ["noop".to_owned(), APPS.to_string(), passes.to_string()];
    let found: Passes = part::measured(&words)?;
    let (wall, cpu) = (Samples::of(found.wall_seconds), Samples::of(found.cpu_seconds));
    let time = Row::new("noop-time", cpu.median(), "s of one core", cpu.count())
        .figure(Figure::AtMost(1.0))
        .beside("worst", cpu.max())
        .beside("wall", wall.median())
        .note("processor time of one look at every app");
    let memory = Row::new("noop-memory", found.peak_mib, "MiB peak", 1)
        .figure(Figure::AtMost(100.0))
        .beside("with no apps", found.empty_mib)
        .beside("while first converging", found.converge_peak_mib)
        .beside("first converging, s", found.converge_seconds)
        .note("of the whole process, simulated world included");
    Ok(vec![time, memory])
}

/// The part: converges, and then passes again and again.
///
/// # Errors
/// When the world does not converge, or a pass is none.
pub fn part(apps: usize, passes: usize) -> anyhow::Result<Passes> {
    paused()?.block_on(async {
        let mut house = House::new();
        // How they got there is not what is measured.
        house.rollouts_max = apps;
        house.start().await;
        let empty_mib = procfs::status_mib(std::process::id(), "VmRSS")?;
        let began = Instant::now();
        // The last has no route, so that what is missing of it is mended in one tick: see `notices`.
        let sketch =
            |index| if index + 1 == apps { AppSketch::worker(&name(index)) } else { AppSketch::web(&name(index)) };
        house.source.put_all((0..apps).map(|index| sketch(index).build()));
        await_live(&house, apps, 1).await?;
        let converge_seconds = began.elapsed().as_secs_f64();
        let converge_peak_mib = peak()?;
        procfs::reset_peak()?;
        let (mut wall_seconds, mut cpu_seconds) = (Vec::new(), Vec::new());
        let before = house.world.lock().journal.len();
        for _ in 0..passes {
            let (began, worked) = (Instant::now(), procfs::on_cpu(std::process::id())?);
            house.source.relist();
            tokio::time::sleep(PASS).await;
            wall_seconds.push(began.elapsed().as_secs_f64());
            cpu_seconds.push((procfs::on_cpu(std::process::id())? - worked).as_secs_f64());
        }
        let peak_mib = peak()?;
        ensure!(house.world.lock().journal.len() == before, "a pass over converged apps changed something");
        notices(&house, apps - 1).await?;
        Ok(Passes { wall_seconds, cpu_seconds, peak_mib, empty_mib, converge_seconds, converge_peak_mib })
    })
}

/// Makes sure that what is measured is a whole pass: one of the same length finds what is missing at the very end.
async fn notices(house: &House, last: usize) -> anyhow::Result<()> {
    house.world.steal(&InstanceId::new(&AppName::new(&name(last))?, Revision(1), Ordinal(0)));
    house.source.relist();
    tokio::time::sleep(PASS).await;
    ensure!(house.running(&name(last)).len() == 1, "the pass that is measured does not reach every app");
    Ok(())
}

/// The name of an app by its number.
#[must_use]
pub fn name(index: usize) -> String {
    format!("app-{index:05}")
}

/// A runtime on this thread, whose time jumps to the next wake.
///
/// # Errors
/// When the system refuses.
pub fn paused() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.context("a runtime cannot be made")
}

/// Our own peak of memory, in MiB.
///
/// # Errors
/// When it cannot be read.
pub fn peak() -> anyhow::Result<f64> {
    procfs::status_mib(std::process::id(), "VmHWM")
}

/// Waits, in simulated time, until every app's last good release is this one and nothing is under way.
///
/// # Errors
/// When they do not get there.
pub async fn await_live(house: &House, apps: usize, revision: u64) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        tokio::time::sleep(GLANCE).await;
        if !house.settled() {
            continue;
        }
        let shown = house.control().status().apps;
        let good = shown.iter().filter(|app| app.status.last_good == Some(Revision(revision))).count();
        if good == apps {
            let violations = house.world.lock().violations.clone();
            ensure!(violations.is_empty(), "laws were broken: {}", violations.join("; "));
            return Ok(());
        }
    }
    bail!("{apps} apps did not get to r{revision} in {PATIENCE:?} of simulated time")
}
