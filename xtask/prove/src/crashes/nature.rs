//! What a release is like, and how often what was done to its instances.
//!
//! A scenario's bad releases say in their environment how they go bad. Rules count what is good one by one, and what
//! dies by itself not so: whether the daemon or its own end comes first is a matter of moments.

use std::collections::BTreeMap;

use trueup_sim::behaviour::{ANALYSED_BAD, CANNOT_START, EXIT_AFTER_MS, NEVER_HEALTHY, SICK_AFTER_MS};
use trueup_sim::world::Deed;
use trueup_types::Release;

/// What a release is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nature {
    /// Nothing is wrong with it.
    Good,
    /// It lives on and does not pass, from the start or later, or is found wanting by an analysis.
    Sick,
    /// It dies by itself, at its start or later.
    Mortal,
}

impl Nature {
    /// That of a release.
    pub fn of(release: &Release) -> Self {
        let says = |key: &str| release.template.env.contains_key(key);
        match () {
            () if says(EXIT_AFTER_MS) || says(CANNOT_START) => Self::Mortal,
            () if [NEVER_HEALTHY, SICK_AFTER_MS, ANALYSED_BAD].into_iter().any(says) => Self::Sick,
            () => Self::Good,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Sick => "sick",
            Self::Mortal => "mortal",
        }
    }
}

/// What is counted: a verb, what the release is like, the app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tally {
    /// The app.
    pub app: String,
    /// `create`, `start`, `stop` or `remove`.
    pub verb: &'static str,
    /// What the release is like.
    pub nature: Nature,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}s of {}, {}", self.verb, self.app, self.nature.word())
    }
}

/// How often what was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Tally, u32>);

impl Counts {
    /// Counts deeds.
    pub fn of(deeds: &[Deed]) -> Self {
        let mut counts = BTreeMap::new();
        for deed in deeds {
            let (app, nature) = (deed.id.app.to_string(), Nature::of(&deed.release));
            *counts.entry(Tally { app, verb: deed.verb, nature }).or_default() += 1;
        }
        Self(counts)
    }

    /// Each, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (&Tally, u32)> {
        self.0.iter().map(|(tally, count)| (tally, *count))
    }

    /// How often a verb was done to instances of an app whose release is like one of these.
    pub fn sum(&self, app: &str, verb: &str, natures: &[Nature]) -> u32 {
        let ours = |tally: &Tally| tally.app == app && tally.verb == verb && natures.contains(&tally.nature);
        self.iter().filter(|(tally, _)| ours(tally)).map(|(_, count)| count).sum()
    }

    /// Those that are asked for, as they are spelled.
    pub fn only(&self, asked: impl Fn(&Tally) -> bool) -> BTreeMap<String, u32> {
        self.iter().filter(|(tally, _)| asked(tally)).map(|(tally, count)| (tally.to_string(), count)).collect()
    }

    /// The apps that anything was done to.
    pub fn apps(&self) -> impl Iterator<Item = &str> {
        let mut last = None;
        self.0.keys().map(|tally| tally.app.as_str()).filter(move |app| last.replace(*app) != Some(*app))
    }
}
