//! One measured value, with the figure that it must reach.

use std::collections::BTreeMap;

use serde::Serialize;

/// A bound that BEHAVIOUR.md sets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Figure {
    /// The value may not be larger.
    AtMost(f64),
    /// The value may not be smaller.
    AtLeast(f64),
}

impl Figure {
    fn met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// One row of the report.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its name, for `--only`.
    pub name: String,
    /// What was measured; nothing when it was left out or broke.
    pub value: Option<f64>,
    /// In what.
    pub unit: &'static str,
    /// What it must reach, where something is promised.
    pub figure: Option<Figure>,
    /// Whether it does.
    pub met: Option<bool>,
    /// How many measurements stand behind the value.
    pub samples: usize,
    /// How to measure it again.
    pub command: String,
    /// How it was measured, or why it was not.
    pub note: String,
    /// Other values of the same measurement: peers in the same run, spreads.
    pub beside: BTreeMap<String, f64>,
    /// The measurement itself failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub broken: bool,
}

impl Row {
    /// A value without a promise.
    #[must_use]
    pub fn new(name: &str, value: f64, unit: &'static str, samples: usize) -> Self {
        Self {
            name: name.to_owned(),
            value: Some(value),
            unit,
            figure: None,
            met: None,
            samples,
            command: String::new(),
            note: String::new(),
            beside: BTreeMap::new(),
            broken: false,
        }
    }

    /// A value that could not be measured here.
    #[must_use]
    pub fn left_out(name: &str, why: &str) -> Self {
        Self { value: None, note: format!("LEFT OUT: {why}"), ..Self::new(name, 0.0, "", 0) }
    }

    /// A measurement that failed.
    #[must_use]
    pub fn broken(name: &str, why: &str) -> Self {
        Self {
            value: None,
            met: Some(false),
            broken: true,
            note: format!("BROKEN: {why}"),
            ..Self::new(name, 0.0, "", 0)
        }
    }

    /// With the figure that it must reach.
    #[must_use]
    pub fn figure(mut self, figure: Figure) -> Self {
        self.figure = Some(figure);
        self.met = self.value.map(|value| figure.met_by(value));
        self
    }

    /// With how it was measured.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// With another value beside it.
    #[must_use]
    pub fn beside(mut self, name: &str, value: f64) -> Self {
        self.beside.insert(name.to_owned(), value);
        self
    }

    /// Of this measure, which is how to measure it again.
    #[must_use]
    pub fn of(mut self, measure: &str) -> Self {
        self.command = format!("cargo xtask bench --only {measure}");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_met_at_its_bound_and_missed_beyond() {
        let met = |value, figure| Row::new("x", value, "s", 1).figure(figure).met;
        assert_eq!(met(1.0, Figure::AtMost(1.0)), Some(true));
        assert_eq!(met(1.01, Figure::AtMost(1.0)), Some(false));
        assert_eq!(met(0.95, Figure::AtLeast(0.95)), Some(true));
        assert_eq!(met(0.94, Figure::AtLeast(0.95)), Some(false));
        assert_eq!(Row::left_out("x", "no wrk").figure(Figure::AtMost(1.0)).met, None);
    }
}
