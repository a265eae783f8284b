//! Directed scenarios, one for each bug that wants one: they hold in a sound house, and break with their bug.
//!
//! A tier that draws its cases by chance may need many of them to meet a bug; a story walks straight to it.

pub mod driving;
pub mod edge;
pub mod health;
pub mod hooks;
pub mod leaving;
pub mod manifests;
pub mod memory;
pub mod orders;
pub mod parts;
pub mod refusals;
pub mod reverts;
pub mod rollouts;
pub mod seeing;
pub mod shapes;
pub mod sources;
mod stage;
pub mod stores;

use trueup_museum::{Bug, Planted};

use super::exhibit;
use crate::panics;
use crate::tier::Violation;

/// How a story ended: well, or with what went wrong.
pub type Told = Result<(), String>;

/// A story.
#[derive(Clone, Copy)]
pub struct Story {
    /// What it claims, as a name.
    pub name: &'static str,
    /// Tells it.
    pub tell: fn() -> Told,
}

/// What the stories find first: the one of a bug with the bug planted, or any of them without.
pub fn sample(bug: Option<Bug>) -> Option<Violation> {
    let _planted = bug.map(Planted::new);
    bug.map_or_else(all, |bug| vec![exhibit::story_of(bug)]).into_iter().find_map(told)
}

/// Tells a story again.
///
/// # Errors
/// When there is none of this name.
pub fn again(name: &str, bug: Option<Bug>) -> anyhow::Result<Option<String>> {
    let story = all().into_iter().find(|story| story.name == name);
    let story = story.ok_or_else(|| anyhow::anyhow!("there is no story `{name}`"))?;
    let _planted = bug.map(Planted::new);
    Ok(told(story).map(|wrong| wrong.what))
}

/// All stories, each once.
pub fn all() -> Vec<Story> {
    let mut stories: Vec<Story> = Bug::ALL.iter().map(|bug| exhibit::story_of(*bug)).collect();
    stories.sort_by_key(|story| story.name);
    stories.dedup_by_key(|story| story.name);
    stories
}

/// Tells a story; a panic is an end as well.
pub fn told(story: Story) -> Option<Violation> {
    let what = panics::over(story.tell).flatten().err()?;
    Some(Violation { what: format!("{}: {what}", story.name), replay: story.name.to_owned() })
}
