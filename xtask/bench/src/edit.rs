//! From an edit to its first step: from the rename of a manifest to the folder of the new release's instance.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::manifest;
use crate::measure::Setting;
use crate::place::{Place, file, millis_until, name};
use crate::row::{Figure, Row};
use crate::samples::Samples;

/// Apps that are edited in turn, so that each has rolled out before it is edited again.
const APPS: usize = 25;
/// The default settle window of the source, in milliseconds: BEHAVIOUR.md.
const SETTLE_MILLIS: f64 = 250.0;
/// What the figure allows beyond it.
const BEYOND_MILLIS: f64 = 50.0;

/// Measures edits.
///
/// # Errors
/// When the daemon does not do what it is told.
pub fn run(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let mut place = Place::start(&setting.program, APPS)?;
    place.await_ready(APPS, Duration::from_secs(60))?;
    let mut dice = fastrand::Rng::with_seed(7);
    let mut took = Vec::new();
    for round in 0..setting.samples(300, 50) {
        // At any phase of whatever the daemon does regularly.
        std::thread::sleep(Duration::from_millis(dice.u64(50..200)));
        let (app, revision) = (round % APPS, round / APPS + 2);
        let aside = place.bench.config_dir().join(format!(".{}", file(app)));
        std::fs::write(&aside, manifest::sleeper(&name(app), revision))?;
        let began = Instant::now();
        std::fs::rename(&aside, place.bench.config_dir().join(file(app)))?;
        let folder = place.instance(app, revision);
        let found = millis_until(began, "the new instance's folder is made", || folder.exists().then_some(()));
        took.push(found.with_context(|| place.tail())?);
    }
    let took = Samples::of(took);
    let note = format!("{SETTLE_MILLIS} ms of it are the settle window");
    let p99 = Row::new("edit-p99", took.percentile(99), "ms", took.count())
        .figure(Figure::AtMost(SETTLE_MILLIS + BEYOND_MILLIS))
        .beside("worst", took.max());
    Ok(vec![Row::new("edit-p50", took.median(), "ms", took.count()).note(note), p99])
}
