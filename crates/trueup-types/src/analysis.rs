//! Analyses: the questions that a canary's step asks of the world while it lasts, and what has come of them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::Label;
use crate::time::human;

/// One analysis: a question asked again and again while a step lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// Its name, unique in the step.
    pub name: Label,
    /// The question.
    pub ask: Ask,
    /// From one question to the next.
    #[serde(with = "human")]
    pub interval: Duration,
    /// Longest wait for an answer.
    #[serde(with = "human")]
    pub timeout: Duration,
    /// Bad answers in a row that fail the release; at least 1.
    pub failures: u32,
}

/// What an analysis asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// `GET url`: good when the status is 200 to 299 and what the JSON holds is as expected.
    #[serde(rename_all = "camelCase")]
    Http {
        /// The whole address, `http://…`.
        url: String,
        /// A JSON pointer (RFC 6901) into the answer, and what is expected there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        json: Option<(String, Expectation)>,
    },
    /// Good when the command exits with 0, run in one of the new instances.
    #[serde(rename_all = "camelCase")]
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// An instant query of Prometheus' HTTP API (`/api/v1/query`): good when the first sample is as expected.
    #[serde(rename_all = "camelCase")]
    Prometheus {
        /// The address of the server, `http://…`.
        url: String,
        /// The query, in its language.
        query: String,
        /// What the sample is to be.
        expect: Expectation,
    },
}

/// What a value is to be: `< 0.01`, `== ok`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expectation {
    comparison: Comparison,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
    Same,
    Other,
}

/// The longer sign before the shorter that it begins with.
const SIGNS: [(&str, Comparison); 6] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Same),
    ("!=", Comparison::Other),
    ("<", Comparison::Below),
    (">", Comparison::Above),
];

impl Expectation {
    /// Whether a value is as expected: numbers are compared as numbers, anything else only for being the same.
    #[must_use]
    pub fn holds(&self, found: &str) -> bool {
        let numbers = self.value.parse::<f64>().ok().zip(found.trim().parse::<f64>().ok());
        match (self.comparison, numbers) {
            // Nothing compares with what is not a number, such as the rate of no requests at all.
            (_, Some((_, found))) if found.is_nan() => false,
            (Comparison::Below, Some((bound, found))) => found < bound,
            (Comparison::AtMost, Some((bound, found))) => found <= bound,
            (Comparison::Above, Some((bound, found))) => found > bound,
            (Comparison::AtLeast, Some((bound, found))) => found >= bound,
            (Comparison::Same, Some((bound, found))) => found.total_cmp(&bound).is_eq(),
            (Comparison::Other, Some((bound, found))) => found.total_cmp(&bound).is_ne(),
            (Comparison::Same, None) => found == self.value,
            (Comparison::Other, None) => found != self.value,
            (Comparison::Below | Comparison::AtMost | Comparison::Above | Comparison::AtLeast, None) => false,
        }
    }
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let sign = SIGNS.iter().find(|(sign, _)| text.starts_with(sign));
        let Some((sign, comparison)) = sign else {
            return Err("does not begin with one of `<`, `<=`, `>`, `>=`, `==` and `!=`".to_owned());
        };
        let value = text.trim_start_matches(sign).trim().to_owned();
        let number = value.parse::<f64>().is_ok_and(f64::is_finite);
        if value.is_empty() {
            return Err("compares with nothing".to_owned());
        }
        if !number && !matches!(comparison, Comparison::Same | Comparison::Other) {
            return Err(format!("compares with `{value}`, which is not a number"));
        }
        Ok(Self { comparison: *comparison, value })
    }
}

impl TryFrom<String> for Expectation {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Expectation> for String {
    fn from(expectation: Expectation) -> Self {
        expectation.to_string()
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = SIGNS.iter().find(|(_, comparison)| *comparison == self.comparison).map_or("", |(sign, _)| sign);
        write!(f, "{sign} {}", self.value)
    }
}

/// What has come of one analysis since its step began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tally {
    /// Good answers.
    pub good: u32,
    /// Bad answers in a row, up to now.
    pub bad: u32,
    /// What the last answer was, where it was not good; why there was none, where nobody could ask.
    pub last: Option<String>,
}

/// The answer to an analysis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// As expected.
    Good,
    /// Not as expected: one line.
    Bad(String),
    /// Nobody could be asked: one line. It says nothing of the release.
    Nothing(String),
}

impl Tally {
    /// Counts an answer.
    pub fn count(&mut self, answer: Answer) {
        match answer {
            Answer::Good => *self = Self { good: self.good.saturating_add(1), bad: 0, last: None },
            Answer::Bad(why) => (self.bad, self.last) = (self.bad.saturating_add(1), Some(why)),
            Answer::Nothing(why) => self.last = Some(why),
        }
    }

    /// Whether its step may end: it was answered well, the last time too.
    #[must_use]
    pub fn content(&self) -> bool {
        self.good > 0 && self.last.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectation(text: &str) -> Expectation {
        text.parse().expect("an expectation")
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_words_as_words() {
        assert!(expectation("< 0.01").holds("0.009") && !expectation("< 0.01").holds("0.01"));
        assert!(expectation(">=5").holds("5.0") && !expectation("> 5").holds("5"));
        assert!(
            expectation("== 1").holds("1.0") && expectation("== ok").holds("ok") && !expectation("!= ok").holds("ok")
        );
        assert!(!expectation("< 1").holds("NaN") && !expectation("!= 1").holds("NaN"), "no requests prove nothing");
        assert!(!expectation("< 1").holds("few"));
    }

    #[test]
    fn what_compares_with_nothing_is_refused() {
        for text in ["0.01", "<", "< few", "", "=< 5", "< inf"] {
            assert!(text.parse::<Expectation>().is_err(), "`{text}`");
        }
        assert_eq!(expectation(" <=  3 ").to_string(), "<= 3");
    }

    #[test]
    fn silence_is_no_failure_and_no_success() {
        let mut tally = Tally::default();
        tally.count(Answer::Good);
        assert!(tally.content());
        tally.count(Answer::Nothing("connection refused".to_owned()));
        assert!(!tally.content() && tally.bad == 0);
        tally.count(Answer::Bad("it is 3".to_owned()));
        tally.count(Answer::Nothing("connection refused".to_owned()));
        tally.count(Answer::Bad("it is 3".to_owned()));
        assert_eq!(tally.bad, 2, "what nobody could ask about does not end a row");
    }
}
