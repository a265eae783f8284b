//! Sums of money, and between which two they lie.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul, Sub};

use serde::{Deserialize, Serialize};

/// US dollars; shown rounded to cents.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dollars(f64);

impl Dollars {
    /// Nothing.
    pub const NONE: Self = Self(0.0);
    /// Less than this is shown as nothing: half a cent.
    const SHOWN_MIN: f64 = 0.005;

    /// So many dollars.
    #[must_use]
    pub fn new(dollars: f64) -> Self {
        Self(dollars)
    }

    /// The number of dollars.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether cents would show it.
    #[must_use]
    pub fn shows(self) -> bool {
        self.0.abs() >= Self::SHOWN_MIN
    }

    /// With eight decimals, as a price of a second is written.
    #[must_use]
    pub fn finely(self) -> String {
        format!("${:.8}", self.0)
    }
}

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A sum that rounds to nothing has no sign.
        let cents = if self.shows() { self.0 } else { 0.0 };
        if cents < 0.0 { write!(f, "-${:.2}", -cents) } else { write!(f, "${cents:.2}") }
    }
}

impl Add for Dollars {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Dollars {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<f64> for Dollars {
    type Output = Self;
    fn mul(self, times: f64) -> Self {
        Self(self.0 * times)
    }
}

/// What something costs in a month: when all that may sleep sleeps, and when nothing ever does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// All that may sleep sleeps the whole month.
    pub idle: Dollars,
    /// Nothing ever sleeps.
    pub busy: Dollars,
}

impl Span {
    /// The same, asleep or awake.
    #[must_use]
    pub fn steady(cost: Dollars) -> Self {
        Self { idle: cost, busy: cost }
    }

    /// The smaller of the two.
    #[must_use]
    pub fn least(self) -> Dollars {
        if self.idle <= self.busy { self.idle } else { self.busy }
    }

    /// The larger of the two.
    #[must_use]
    pub fn most(self) -> Dollars {
        if self.idle <= self.busy { self.busy } else { self.idle }
    }

    /// The same for a second, where it is for a month of so many.
    #[must_use]
    pub fn second(self, month_seconds: u32) -> Self {
        let share = 1.0 / f64::from(month_seconds);
        Self { idle: self.idle * share, busy: self.busy * share }
    }

    /// What a second costs, with eight decimals.
    #[must_use]
    pub fn per_second(self, month_seconds: u32) -> String {
        let second = self.second(month_seconds);
        between(second.least().finely(), second.most().finely())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&between(self.least().to_string(), self.most().to_string()))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { idle: self.idle + other.idle, busy: self.busy + other.busy }
    }
}

impl Sum for Span {
    fn sum<I: Iterator<Item = Self>>(spans: I) -> Self {
        spans.fold(Self::default(), Add::add)
    }
}

fn between(least: String, most: String) -> String {
    if least == most { least } else { format!("{least} to {most}") }
}

/// What becomes dearer or cheaper, a month.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change(Span);

impl Change {
    /// From what it was to what it would be.
    #[must_use]
    pub fn of(before: Span, after: Span) -> Self {
        Self(Span { idle: after.idle - before.idle, busy: after.busy - before.busy })
    }

    /// Whether cents would show it.
    #[must_use]
    pub fn shows(&self) -> bool {
        self.0.idle.shows() || self.0.busy.shows()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed =
            |cost: Dollars| if cost.shows() && cost > Dollars::NONE { format!("+{cost}") } else { cost.to_string() };
        write!(f, "{} / month", between(signed(self.0.least()), signed(self.0.most())))
    }
}
