//! Who catches: the tiers that run a sample of their cases with a bug planted.

use trueup_museum::Bug;

use super::stories;
use crate::tier::Violation;

/// The name of the directed scenarios among the catchers.
pub const STORY: &str = "story";

/// One that may catch a bug.
pub struct Catcher {
    /// Its tier's name, or [`STORY`].
    pub name: &'static str,
    /// What its sample finds, with a bug planted or without.
    pub sample: fn(Option<Bug>) -> Vec<Violation>,
}

/// All of them.
pub const ALL: &[Catcher] = &[Catcher { name: STORY, sample: stories::sample }];

/// The one of this name.
pub fn named(name: &str) -> Option<&'static Catcher> {
    ALL.iter().find(|one| one.name == name)
}
