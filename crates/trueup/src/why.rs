//! `trueup why`: the last decisions about an app.

use std::fmt::Write as _;

use anyhow::bail;
use trueup_types::AppName;

use crate::cli::Places;
use crate::status_reader;
use crate::table::age;
use crate::terminal::out;

/// Runs `trueup why`, newest decision first.
pub(crate) fn run(places: &Places, name: &AppName) -> anyhow::Result<()> {
    let status = status_reader::read(places)?;
    status.warn_if_old();
    let Some(app) = status.app(name.as_str()) else {
        bail!("there is no app `{name}`; `trueup get apps` lists them");
    };
    let mut text = format!("{name} is {}: {}\n", app.status.word, app.status.verdict.message);
    for decision in &app.status.decisions {
        let _ = writeln!(text, "\n{} ago, woken by: {}", age(decision.at, status.now), decision.woke_by);
        for line in &decision.lines {
            let _ = writeln!(text, "  {line}");
        }
    }
    out(&text);
    Ok(())
}
