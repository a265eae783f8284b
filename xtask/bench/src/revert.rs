//! From the edit of a release that exits at once to the verdict `Reverted` in the status.
//!
//! The figure counts from the last allowed exit; what is measured here begins at the edit, and so holds the settle window,
//! every allowed exit and its back-off, and the writing of the status besides: it is an upper bound.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::manifest;
use crate::measure::Setting;
use crate::place::{Place, file, millis_until, name};
use crate::row::{Figure, Row};
use crate::samples::Samples;

/// Measures bad edits, one for each app.
///
/// # Errors
/// When the daemon does not go back.
pub fn run(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let apps = setting.samples(40, 10);
    let mut place = Place::start(&setting.program, apps)?;
    place.await_ready(apps, Duration::from_secs(60))?;
    let mut took = Vec::new();
    for app in 0..apps {
        let began = Instant::now();
        place.bench.write_text(&file(app), &manifest::failing(&name(app), 2));
        let reverted = || place.app(app)["status"]["verdict"]["reverted"].as_bool().filter(|reverted| *reverted);
        took.push(millis_until(began, "the bad release is reverted", reverted).with_context(|| place.tail())?);
    }
    let took = Samples::of(took);
    let row = Row::new("revert-p99", took.percentile(99), "ms", took.count()).figure(Figure::AtMost(2_000.0));
    Ok(vec![
        Row::new("revert-p50", took.median(), "ms", took.count()).note("from the edit on, settle window included"),
        row.beside("worst", took.max()),
    ])
}
