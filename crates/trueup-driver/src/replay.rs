//! Asks the planner once more what it was asked before, and holds the two answers against each other.
//!
//! Needs nothing but the recorded decision: the planner has no clock, no files and no chance in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trueup_types::Violation;
use trueup_types::decision::{Answered, Given, RecordedDecision};

/// What came of asking again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The decision as it was recorded, in the words of `trueup why`.
    pub told: Vec<String>,
    /// Where the answers differ: `- path: then`, `+ path: now`; empty where they are the same.
    pub differs: Vec<String>,
}

/// Asks the planner, and the audit, again.
#[must_use]
pub fn replay(decision: &RecordedDecision) -> Replayed {
    let Given { now, wanted, observed, permits, remembered } = &decision.given;
    let record = remembered.record();
    let plan = trueup_plan::plan(wanted, observed, permits, &record, *now);
    let violations = trueup_plan::audit(&record, wanted, observed, permits, &plan);
    let answer = Answered::of(plan, violations);
    let then = decision.answered.plan();
    let mut told = trueup_plan::explain(wanted, observed, permits, &record, &then, *now);
    told.extend(decision.answered.violations.iter().map(forbidden));
    let differs = if answer == decision.answered { Vec::new() } else { difference(&decision.answered, &answer) };
    Replayed { told, differs }
}

/// What the audit said of a plan, and what followed from it.
pub(crate) fn forbidden(violation: &Violation) -> String {
    format!("not done, since it would break {violation}")
}

fn difference(then: &Answered, now: &Answered) -> Vec<String> {
    let spelled = |answer: &Answered| serde_json::to_value(answer).expect("an answer always becomes JSON");
    lines(&spelled(then), &spelled(now))
}

/// The leaves in which two values differ, `- ` before and `+ ` after, by path.
pub(crate) fn lines(before: &Value, after: &Value) -> Vec<String> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten("", before, &mut old);
    flatten("", after, &mut new);
    let paths: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut lines = Vec::new();
    for path in paths {
        let (before, after) = (old.get(path), new.get(path));
        if before != after {
            lines.extend(before.map(|value| format!("- {path}: {value}")));
            lines.extend(after.map(|value| format!("+ {path}: {value}")));
        }
    }
    lines
}

fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, inner, leaves);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), inner, leaves);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            leaves.insert(path.to_owned(), value.to_string());
        }
    }
}
