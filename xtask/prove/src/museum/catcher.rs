//! Who catches: the tiers that run a sample of their cases with a bug planted.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use trueup_museum::Bug;

use super::stories;
use crate::tier::Violation;
use crate::{ambiguity, crashes, model, seeds, torture};

/// The name of the directed scenarios among the catchers.
pub const STORY: &str = "story";

/// One that may catch a bug.
pub struct Catcher {
    /// Its tier's name, or [`STORY`].
    pub name: &'static str,
    /// What its sample finds, with a bug planted or without.
    pub sample: fn(Option<Bug>) -> Vec<Violation>,
}

impl Catcher {
    /// What its sample finds; a panic is a find as well.
    pub fn ask(&self, bug: Option<Bug>) -> Vec<Violation> {
        catch_unwind(AssertUnwindSafe(|| (self.sample)(bug))).unwrap_or_else(|panic| {
            let what = format!("the sample panicked: {}", panicked(panic.as_ref()));
            vec![Violation { what, replay: self.name.to_owned() }]
        })
    }
}

/// What a panic said.
pub fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}

/// All of them.
pub const ALL: &[Catcher] = &[
    Catcher { name: STORY, sample: stories::sample },
    Catcher { name: "crashes", sample: crashes::sample },
    Catcher { name: "ambiguity", sample: ambiguity::sample },
    Catcher { name: "seeds", sample: seeds::sample },
    Catcher { name: "model", sample: model::sample },
    Catcher { name: "torture", sample: torture::sample },
];

/// The one of this name.
pub fn named(name: &str) -> Option<&'static Catcher> {
    ALL.iter().find(|one| one.name == name)
}
