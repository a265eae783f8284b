//! The undisturbed runs, each played once and kept: what every other run is held against.

use std::sync::OnceLock;

use super::case::{Case, deaths_at};
use super::play::{Death, Keep, Outcome, Trouble, play};
use super::rule;
use super::scenario::Variant;
use crate::tier::{Effort, Row, Violation};
use crate::workers;

/// A variant with its undisturbed run.
pub struct Reference {
    /// Which.
    pub variant: Variant,
    /// What came of it.
    pub outcome: Outcome,
    /// Every death that its calls allow.
    pub deaths: Vec<Death>,
}

impl Reference {
    /// Plays a variant undisturbed.
    pub fn of(variant: Variant) -> Self {
        let outcome = play(&variant, &Trouble::default(), Keep::Calls);
        let deaths = outcome.calls.iter().flat_map(|call| deaths_at(call.kind, call.number)).collect();
        Self { variant, outcome, deaths }
    }

    /// Plays it with these deaths.
    ///
    /// # Errors
    /// What is wrong with it, and how to see it again.
    pub fn dies(&self, deaths: Vec<Death>) -> Result<Outcome, Violation> {
        let case = Case { variant: self.variant, deaths };
        let trouble = Trouble { deaths: case.deaths.clone(), ..Trouble::default() };
        let outcome = play(&case.variant, &trouble, Keep::Ending);
        let wrong = rule::after_deaths(&self.outcome, &outcome, &case);
        if wrong.is_empty() {
            return Ok(outcome);
        }
        Err(Violation { what: wrong.join("\n  "), replay: case.to_string() })
    }
}

/// The undisturbed runs of some variants, played when they are asked for.
pub struct Book {
    variants: Vec<Variant>,
    references: Vec<OnceLock<Reference>>,
}

impl Book {
    /// A book of these variants.
    pub fn of(variants: Vec<Variant>) -> Self {
        let references = variants.iter().map(|_| OnceLock::new()).collect();
        Self { variants, references }
    }

    /// The undisturbed run of one variant, counted round.
    pub fn reference(&self, number: u64) -> &Reference {
        let index = usize::try_from(number).unwrap_or(usize::MAX) % self.variants.len();
        self.references[index].get_or_init(|| Reference::of(self.variants[index]))
    }

    /// How many variants there are.
    pub fn len(&self) -> u64 {
        u64::try_from(self.variants.len()).unwrap_or(u64::MAX)
    }

    /// Plays all of them; each must keep the laws by itself, and end the same when it is played again.
    pub fn play_all(&self, effort: &Effort) -> Row {
        let mut row = workers::each(effort, "undisturbed runs, twice", self.len(), |number| {
            let reference = self.reference(number);
            let again = play(&reference.variant, &Trouble::default(), Keep::Calls);
            let mut wrong = rule::calm(&reference.outcome);
            if again.calls != reference.outcome.calls || again.ending != reference.outcome.ending {
                wrong.push("two runs are not the same".to_owned());
            }
            if wrong.is_empty() {
                return Ok(1);
            }
            Err(Violation { what: wrong.join("\n  "), replay: format!("{}/", reference.variant.name()) })
        });
        row.floor = self.len();
        row
    }
}
