//! What takes long, for one who stands beside a daemon: a bar for each pull and build on a terminal, elsewhere a line now and then.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;
use trueup_driver::Driver;
use trueup_seams::Underway;

use crate::terminal::say;

/// From one look to the next.
const GLANCE: Duration = Duration::from_millis(250);
/// Where no bar is, a line is written at each of so many parts.
const PARTS: u64 = 4;
/// A bar of bytes, and one of what cannot be counted.
const COUNTED: &str = "{spinner} {msg} [{bar:30}] {bytes} of {total_bytes}";
const UNCOUNTED: &str = "{spinner} {msg}";

/// Shows what is under way until told to leave.
pub(crate) async fn show(driver: Arc<Driver>, bars: MultiProgress, leave: CancellationToken) {
    let mut shown = if std::io::stderr().is_terminal() { Shown::Bars(bars, BTreeMap::new()) } else { Shown::lines() };
    while !leave.is_cancelled() {
        shown.take(&driver.underway());
        tokio::select! {
            () = leave.cancelled() => {}
            () = tokio::time::sleep(GLANCE) => {}
        }
    }
    shown.take(&[]);
}

enum Shown {
    Bars(MultiProgress, BTreeMap<String, ProgressBar>),
    Lines(Lines),
}

impl Shown {
    fn lines() -> Self {
        Self::Lines(Lines::default())
    }

    fn take(&mut self, now: &[Underway]) {
        match self {
            Self::Lines(lines) => lines.take(now).iter().for_each(|line| say(line)),
            Self::Bars(bars, known) => {
                known.retain(|what, bar| {
                    let stays = now.iter().any(|one| one.what == *what);
                    if !stays {
                        bar.finish_and_clear();
                    }
                    stays
                });
                for one in now {
                    let bar = known.entry(one.what.clone()).or_insert_with(|| bars.add(ProgressBar::no_length()));
                    draw(bar, one);
                }
            }
        }
    }
}

fn draw(bar: &ProgressBar, one: &Underway) {
    let (template, message) = if one.bytes.is_some() { (COUNTED, &one.what) } else { (UNCOUNTED, &one.told) };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if let Some((done, of)) = one.bytes {
        bar.set_length(of);
        bar.set_position(done.min(of));
    }
    bar.set_message(message.clone());
    bar.tick();
}

/// What was written so far, by what it is about: how many parts were done then.
#[derive(Default)]
struct Lines(BTreeMap<String, u64>);

impl Lines {
    /// The lines that are due: as something begins, at each further part of it, and as it ends.
    fn take(&mut self, now: &[Underway]) -> Vec<String> {
        let mut due = Vec::new();
        self.0.retain(|what, _| {
            let stays = now.iter().any(|one| one.what == *what);
            if !stays {
                due.push(format!("{what}: it has ended"));
            }
            stays
        });
        for one in now {
            let part = one.bytes.map_or(0, |(done, of)| done.saturating_mul(PARTS) / of.max(1));
            match self.0.insert(one.what.clone(), part) {
                None => due.push(one.what.clone()),
                Some(before) if before < part => due.push(one.told.clone()),
                Some(_) => {}
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(done: u64, of: u64) -> Underway {
        let told = format!("pulling web:1: {done} of {of} MB");
        Underway { what: "pulling web:1".to_owned(), told, bytes: (of > 0).then_some((done, of)) }
    }

    #[test]
    fn a_line_is_written_now_and_then() {
        let mut lines = Lines::default();
        let mut said = |now: &[Underway]| lines.take(now).join("; ");
        assert_eq!(said(&[at(0, 0)]), "pulling web:1");
        assert_eq!(said(&[at(0, 0)]), "");
        assert_eq!(said(&[at(1, 8)]), "", "an eighth is no part");
        assert_eq!(said(&[at(4, 8)]), "pulling web:1: 4 of 8 MB");
        assert_eq!(said(&[at(5, 8)]), "");
        assert_eq!(said(&[at(8, 8)]), "pulling web:1: 8 of 8 MB");
        assert_eq!(said(&[]), "pulling web:1: it has ended");
        assert_eq!(said(&[]), "");
    }

    #[test]
    fn bars_come_and_go_with_what_they_are_about() {
        let target = indicatif::ProgressDrawTarget::hidden();
        let mut shown = Shown::Bars(MultiProgress::with_draw_target(target), BTreeMap::new());
        shown.take(&[at(1, 8)]);
        let Shown::Bars(_, bars) = &shown else { unreachable!("it was made so") };
        let bar = bars["pulling web:1"].clone();
        assert_eq!((bar.position(), bar.length(), bar.message().as_str()), (1, Some(8), "pulling web:1"));
        shown.take(&[at(6, 8)]);
        assert_eq!(bar.position(), 6);
        shown.take(&[]);
        assert!(bar.is_finished());
    }
}
