//! The undisturbed runs, each played once and kept: what every other run is held against.

use std::sync::OnceLock;

use super::case::{Case, deaths_at};
use super::play::{Death, Keep, Outcome, Trouble, play};
use super::rule;
use super::scenario::Variant;
use super::vigil;
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
        let replay = case.to_string();
        let trouble = Trouble { deaths: case.deaths.clone(), ..Trouble::default() };
        let outcome = match vigil::over("crashes", &replay, || play(&case.variant, &trouble, Keep::Ending)) {
            Ok(outcome) => outcome,
            Err(what) => return Err(Violation { what, replay }),
        };
        let wrong = rule::after_deaths(&self.outcome, &outcome, &case);
        if wrong.is_empty() {
            return Ok(outcome);
        }
        Err(Violation { what: wrong.join("\n  "), replay })
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
        let index = self.index(number);
        self.references[index].get_or_init(|| Reference::of(self.variants[index]))
    }

    /// Every death, with its variant's undisturbed run, that is asked for by the variant's number and its place.
    pub fn cases(&self, wanted: impl Fn(u64, &Death) -> bool) -> Vec<(&Reference, Death)> {
        let numbered = (0..self.count()).map(|number| (number, self.reference(number)));
        let cases = numbered.flat_map(|(number, reference)| {
            let deaths = reference.deaths.iter().filter(|death| wanted(number, death)).copied();
            deaths.map(|death| (reference, death)).collect::<Vec<_>>()
        });
        cases.collect()
    }

    /// How many variants there are.
    pub fn count(&self) -> u64 {
        u64::try_from(self.variants.len()).unwrap_or(u64::MAX)
    }

    /// Plays all of them; each must keep the laws by itself, and end the same when it is played again.
    pub fn play_all(&self, effort: &Effort) -> Row {
        let mut row = workers::each(effort, "undisturbed runs, twice", self.count(), |number| {
            let replay = format!("{}/", self.variant(number).name());
            let wrong = vigil::over("crashes", &replay, || self.twice(number)).unwrap_or_else(|panic| vec![panic]);
            if wrong.is_empty() {
                return Ok(1);
            }
            Err(Violation { what: wrong.join("\n  "), replay })
        });
        row.floor = self.count();
        row
    }

    /// What is wrong with an undisturbed run and with its repetition.
    fn twice(&self, number: u64) -> Vec<String> {
        let reference = self.reference(number);
        let again = play(&reference.variant, &Trouble::default(), Keep::Calls);
        let mut wrong = rule::calm(&reference.outcome);
        if again.calls != reference.outcome.calls || again.ending != reference.outcome.ending {
            wrong.push("two runs are not the same".to_owned());
        }
        wrong
    }

    fn index(&self, number: u64) -> usize {
        usize::try_from(number).unwrap_or(usize::MAX) % self.variants.len()
    }

    fn variant(&self, number: u64) -> Variant {
        self.variants[self.index(number)]
    }
}
