//! What a tier is, and how hard it is asked to try.

use std::time::{Duration, Instant};

/// One way of attacking what is claimed.
pub struct Tier {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in a line.
    pub what: &'static str,
    /// Does it.
    ///
    /// An error is one of the proof itself; what it finds goes into the rows.
    pub run: fn(&Effort) -> anyhow::Result<Vec<Row>>,
    /// Runs one case again and prints all of it; answers whether it passed.
    pub replay: fn(&str) -> anyhow::Result<bool>,
}

/// One line of the table.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Row {
    /// What was counted, such as `single-crash plans`.
    pub what: String,
    /// How many were done.
    pub done: u64,
    /// How many have to be done at this scale.
    pub floor: u64,
    /// What was found; empty when all is well.
    pub violations: Vec<Violation>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What else is worth knowing, such as a peak of memory.
    pub note: String,
}

/// Something that must not be.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Violation {
    /// What is wrong, in a line or more.
    pub what: String,
    /// The case, for `--replay`.
    pub replay: String,
}

/// How much is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// The sample that every CI run takes.
    Ci,
    /// All of it.
    Long,
}

/// How hard a tier tries.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// How much is asked for.
    pub scale: Scale,
    /// Where the seeds begin, if not at their first.
    pub from: Option<u64>,
    end: Option<Instant>,
}

impl Effort {
    /// An effort that ends by itself, or after so long.
    pub fn new(scale: Scale, limit: Option<Duration>) -> Self {
        Self { scale, from: None, end: limit.map(|limit| Instant::now() + limit) }
    }

    /// The first in CI, the second when there is time.
    pub fn of(&self, ci: u64, long: u64) -> u64 {
        match self.scale {
            Scale::Ci => ci,
            Scale::Long => long,
        }
    }

    /// The effort of the first of so many that share what time is left.
    pub fn part(&self, of: u32) -> Self {
        let now = Instant::now();
        let end = self.end.map(|end| now + end.saturating_duration_since(now) / of.max(1));
        Self { scale: self.scale, from: self.from, end }
    }

    /// Whether a limit of time was given.
    pub fn is_limited(&self) -> bool {
        self.end.is_some()
    }

    /// Whether it is time to stop.
    pub fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }
}
