//! `trueup events`: what happened, followed if wanted.

use std::time::Duration;

use anyhow::bail;
use trueup_types::status::Event;

use crate::cli::{Events, Places};
use crate::get::{EVENT_HEADERS, event_cells};
use crate::status_reader::{self, Status};
use crate::table::render;
use crate::terminal::out;

/// From one look at the file to the next, while watching.
const GLANCE: Duration = Duration::from_millis(200);

/// Runs `trueup events`.
pub(crate) async fn run(places: &Places, asked: &Events) -> anyhow::Result<()> {
    for kind in &asked.types {
        if !["Normal", "Warning"].contains(&kind.as_str()) {
            bail!("`{kind}` is no type of event; there are Normal and Warning");
        }
    }
    let mut status = status_reader::read(places)?;
    status.warn_if_old();
    let mut shown = print(&status, asked, 0, asked.no_headers);
    if !asked.watch {
        return Ok(());
    }
    loop {
        tokio::time::sleep(GLANCE).await;
        // Between two writings the file may be missing for a moment.
        if let Ok(newer) = status_reader::read(places) {
            status = newer;
        }
        shown = print(&status, asked, shown, true);
    }
}

/// Prints what lies behind a sequence number; answers the newest.
fn print(status: &Status, asked: &Events, behind: u64, no_headers: bool) -> u64 {
    let chosen = status.document.events.iter().filter(|event| event.sequence > behind && wanted(event, asked));
    let rows: Vec<_> = chosen.map(|event| event_cells(event, status)).collect();
    if !rows.is_empty() || !no_headers {
        out(&render(&EVENT_HEADERS, rows, no_headers));
    }
    status.document.events.iter().map(|event| event.sequence).max().unwrap_or(behind).max(behind)
}

fn wanted(event: &Event, asked: &Events) -> bool {
    let object = asked.object.as_ref().is_none_or(|object| event.object() == *object);
    let kind = format!("{:?}", event.kind);
    object && (asked.types.is_empty() || asked.types.contains(&kind))
}
