//! How long the world takes to answer.

use std::time::Duration;

/// How long answers take: a call happens at once, and its answer comes so much later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Of steps.
    pub step: Duration,
    /// Of tables.
    pub table: Duration,
    /// Of saves.
    pub save: Duration,
}
