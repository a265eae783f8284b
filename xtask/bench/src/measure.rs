//! What can be measured, by name.
//!
//! A measure that fails, or panics as a test helper does, becomes a broken row; the others go on.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use crate::row::Row;
use crate::{changed, docker, edge, edit, exit, failed, fly, idle, noop, planner, revert};

/// What all measures are told.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The trueup that is measured.
    pub program: PathBuf,
    /// Whether fewer samples do.
    pub quick: bool,
    /// The measures and rows that were asked for; all when there are none.
    pub only: Vec<String>,
}

impl Setting {
    /// Whether a measure, a group of rows or a row was asked for, by itself, in part or with what it lies within.
    #[must_use]
    pub fn asks(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|asked| within(name, asked) || within(asked, name))
    }

    /// One number or the other: `full`, or fewer when it shall be quick.
    #[must_use]
    pub fn samples(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

/// Whether `long` is `short`, or a part of it: `edge-1t-rps` lies within `edge-1t`, and `edge-1tlog` does not.
#[must_use]
pub fn within(long: &str, short: &str) -> bool {
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// One measurement, which gives rows whose names begin with its own.
pub struct Measure {
    /// Its name, for `--only`.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    run: fn(&Setting) -> anyhow::Result<Vec<Row>>,
}

/// All of them, the quietest first.
pub const MEASURES: &[Measure] = &[
    Measure { name: "planner", about: "plans a second, of one app", run: planner::run },
    Measure { name: "noop", about: "a pass over 10,000 apps that changes nothing, simulated world", run: noop::run },
    Measure { name: "changed", about: "1,000 changed apps end to end, simulated world", run: changed::run },
    Measure { name: "edit", about: "from an edit to its first step, real processes", run: edit::run },
    Measure { name: "exit", about: "from a process's death to its replacement", run: exit::run },
    Measure { name: "revert", about: "from a bad edit to the verdict Reverted", run: revert::run },
    Measure { name: "idle", about: "what 1,000 converged apps cost the daemon", run: idle::run },
    Measure { name: "edge", about: "requests a second beside HAProxy and nginx", run: edge::run },
    Measure {
        name: "docker",
        about: "20 services on a real engine, and updates under load, beside docker-compose",
        run: docker::run,
    },
    Measure { name: "fly", about: "calls and time of a rollout of ten machines, simulated platform", run: fly::run },
    Measure { name: "failed", about: "failed requests over rollouts under load", run: failed::run },
];

impl Measure {
    /// Takes the measurement.
    #[must_use]
    pub fn take(&self, setting: &Setting) -> Vec<Row> {
        let taken = std::panic::catch_unwind(AssertUnwindSafe(|| (self.run)(setting)));
        let why = match taken {
            Ok(Ok(rows)) => return rows.into_iter().map(|row| row.of(self.name)).collect(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                // A helper's panic brings a whole status with it; its first line says what was waited for.
                text.unwrap_or_default().lines().next().unwrap_or("it panicked").to_owned()
            }
        };
        vec![Row::broken(self.name, &why).of(self.name)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_asked_for_by_its_own_name_and_by_all_that_it_lies_within() {
        let asks = |asked: &str, name: &str| {
            let only = vec![asked.to_owned()];
            Setting { program: PathBuf::new(), quick: true, only }.asks(name)
        };
        assert!(asks("edge", "edge-1t-rps") && asks("edge-1t", "edge-1t-rps") && asks("edge-1t-rps", "edge-1t"));
        assert!(!asks("edge-1t", "edge-1tlog-rps") && !asks("edge-1t-rps", "edge-1t-p50") && !asks("edge", "edit"));
    }
}
