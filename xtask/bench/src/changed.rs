//! 1,000 apps change at once in the simulated world: everything from the edit to the last old instance's end, through
//! the real driver, with time paused where only waiting counts.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use trueup_sim::{AppSketch, House};

use crate::measure::Setting;
use crate::noop::{await_live, name, paused, peak};
use crate::row::{Figure, Row};
use crate::samples::Samples;
use crate::{part, procfs};

/// How many apps the figure is for.
const APPS: usize = 1_000;
/// The daemon's own bound on rollouts at a time; simulated waiting for a place is free, looking again is not.
const CAPPED: usize = 4;

/// What the part measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Change {
    wall_seconds: f64,
    cpu_seconds: f64,
    peak_mib: f64,
}

/// Measures the change with the daemon's own bound on rollouts at a time, and with none.
///
/// # Errors
/// When the part fails.
pub fn run(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (word, at_once, note) in
        [("capped", CAPPED, "4 rollouts at a time, as a daemon does"), ("together", APPS, "all at the same time")]
    {
        let words = ["changed".to_owned(), APPS.to_string(), at_once.to_string()];
        let runs = (0..setting.samples(3, 1)).map(|_| part::measured(&words));
        let runs = runs.collect::<anyhow::Result<Vec<Change>>>()?;
        let of = |value: fn(&Change) -> f64| Samples::of(runs.iter().map(value).collect());
        let wall = of(|run| run.wall_seconds);
        let row = Row::new(&format!("changed-{word}"), wall.median(), "s", wall.count())
            .figure(Figure::AtMost(5.0))
            .beside("processor", of(|run| run.cpu_seconds).median())
            .beside("peak MiB", of(|run| run.peak_mib).max());
        rows.push(row.note(note));
    }
    Ok(rows)
}

/// The part: converges, changes every app, and converges again.
///
/// # Errors
/// When the world does not converge.
pub fn part(apps: usize, at_once: usize) -> anyhow::Result<Change> {
    paused()?.block_on(async {
        let mut house = House::new();
        house.rollouts_max = at_once;
        house.start().await;
        let sketch = |index: usize| AppSketch::web(&name(index));
        house.source.put_all((0..apps).map(|index| sketch(index).build()));
        await_live(&house, apps, 1).await?;
        procfs::reset_peak()?;
        let (began, worked) = (Instant::now(), procfs::on_cpu(std::process::id())?);
        house.source.put_all((0..apps).map(|index| sketch(index).env("VERSION", "v2").build()));
        await_live(&house, apps, 2).await?;
        let cpu_seconds = (procfs::on_cpu(std::process::id())? - worked).as_secs_f64();
        Ok(Change { wall_seconds: began.elapsed().as_secs_f64(), cpu_seconds, peak_mib: peak()? })
    })
}
