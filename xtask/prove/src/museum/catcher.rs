//! Who catches: the tiers that run a sample of their cases with a bug planted, and play one case again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use trueup_museum::Bug;

use super::stories;
use crate::panics::said;
use crate::tier::Violation;
use crate::{ambiguity, crashes, fuzz, model, operations, seeds, torture};

/// The name of the directed scenarios among the catchers.
pub const STORY: &str = "story";

/// One that may catch a bug.
pub struct Catcher {
    /// Its tier's name, or [`STORY`].
    pub name: &'static str,
    /// What its sample finds first, with a bug planted or without.
    pub sample: fn(Option<Bug>) -> Option<Violation>,
    /// Plays a case again, with a bug planted or without: what is wrong with it. An error is a case that means nothing.
    pub again: fn(&str, Option<Bug>) -> anyhow::Result<Option<String>>,
}

impl Catcher {
    /// What its sample finds first; a panic is a find as well.
    pub fn ask(&self, bug: Option<Bug>) -> Option<Violation> {
        catch_unwind(AssertUnwindSafe(|| (self.sample)(bug))).unwrap_or_else(|panic| {
            let what = format!("the sample panicked: {}", said(panic.as_ref()));
            Some(Violation { what, replay: self.name.to_owned() })
        })
    }

    /// What is wrong with a case; a panic is as well.
    ///
    /// # Errors
    /// When the case means nothing to the tier any more.
    pub fn play(&self, case: &str, bug: Option<Bug>) -> anyhow::Result<Option<String>> {
        catch_unwind(AssertUnwindSafe(|| (self.again)(case, bug)))
            .unwrap_or_else(|panic| Ok(Some(format!("it panicked: {}", said(panic.as_ref())))))
    }
}

/// All of them.
pub const ALL: &[Catcher] = &[
    Catcher { name: STORY, sample: stories::sample, again: stories::again },
    Catcher { name: "crashes", sample: crashes::sample, again: crashes::again },
    Catcher { name: "ambiguity", sample: ambiguity::sample, again: ambiguity::again },
    Catcher { name: "seeds", sample: seeds::sample, again: seeds::again },
    Catcher { name: "model", sample: model::sample, again: model::again },
    Catcher { name: "operations", sample: operations::sample, again: operations::again },
    Catcher { name: "torture", sample: torture::sample, again: torture::again },
    Catcher { name: "fuzz", sample: fuzz::sample, again: fuzz::again },
];

/// The one of this name.
pub fn named(name: &str) -> Option<&'static Catcher> {
    ALL.iter().find(|one| one.name == name)
}
