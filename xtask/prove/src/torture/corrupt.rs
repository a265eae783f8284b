//! Damage to a store, case by case: noticed or harmless, and nothing wrong is done for it.
//!
//! A case is a kind of damage and a seed; the seed draws the story, the moment, and what exactly befalls which file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::damage::{Around, Damage, befall};
use super::ground::{Ground, content, copy};
use super::judge::{Reading, live_on, read};
use super::shelf::Shelf;
use super::story::{Past, STORIES};
use crate::tier::Violation;

/// Times that a damage is drawn.
const DRAWS_MAX: u32 = 1_000;
/// One in so many stores that lost nothing is lived on with all the same.
const CONTROL: u64 = 32;

/// The pasts, written into real stores.
#[derive(Debug)]
pub struct Library {
    shelves: Vec<Shelf>,
    ground: Ground,
}

impl Library {
    /// Lives through every story and writes it down.
    ///
    /// An error is one of the proof: a story that does not go as written, or a store that does not keep it.
    pub fn new() -> anyhow::Result<Self> {
        let ground = Ground::new()?;
        let shelves = STORIES.iter().map(|story| Shelf::of(Past::of(story)?, &ground));
        Ok(Self { shelves: shelves.collect::<Result<_, _>>()?, ground })
    }
}

/// How cases ended, by kind.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<Damage, [u64; 3]>>);

/// What became of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing was lost.
    Harmless,
    /// Something was, and the store says so.
    Noticed,
    /// It is a whole earlier one, and nothing wrong was done with it.
    Earlier,
}

impl Counts {
    /// Counts a case.
    pub fn count(&self, kind: Damage, fate: Fate) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = match fate {
            Fate::Harmless => 0,
            Fate::Noticed => 1,
            Fate::Earlier => 2,
        };
        counts.entry(kind).or_default()[index] += 1;
    }

    /// For the note: of each kind, how many were noticed, of how many.
    pub fn told(self) -> String {
        let counts = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let told = counts.iter().map(|(kind, [harmless, noticed, earlier])| {
            let all = harmless + noticed + earlier;
            if *earlier > 0 {
                format!("{} {earlier}/{all} earlier", kind.name())
            } else {
                format!("{} {noticed}/{all}", kind.name())
            }
        });
        format!("noticed: {}", told.collect::<Vec<_>>().join(", "))
    }
}

/// The string that replays a case.
pub fn case_name(kind: Damage, seed: u64) -> String {
    format!("corrupt:{}:{seed}", kind.name())
}

/// What a case is about: which past, which moment of it, and what is done.
pub struct Case {
    /// In words.
    pub told: String,
    /// What came of it.
    pub fate: Result<Fate, String>,
}

/// Runs a case.
pub fn run(library: &Library, kind: Damage, seed: u64) -> anyhow::Result<Case> {
    let mut dice = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ kind as u64);
    let folder = library.ground.folder()?;
    let Spoilt { shelf, now, done } = spoilt(library, kind, folder.path(), &mut dice)?;
    let acknowledged = &shelf.past.moments[..=now];
    let reading = read(folder.path(), acknowledged);
    let told = format!("story `{}` at moment {now} of {}: {done}", shelf.past.story.name, shelf.moments());
    let moment = &acknowledged[now];
    let control = seed.is_multiple_of(CONTROL).then(|| moment.memory.clone());
    let (fate, memory) = match reading {
        Reading::Wrong(why) => return Ok(Case { told, fate: Err(why) }),
        Reading::Earlier(_) if !kind.is_whole() => {
            let why = "an earlier state is believed, and nobody noticed".to_owned();
            return Ok(Case { told, fate: Err(why) });
        }
        Reading::Earlier(memory) => (Fate::Earlier, Some(memory)),
        Reading::Noticed(memory) => (Fate::Noticed, Some(memory)),
        Reading::Whole => (Fate::Harmless, control),
    };
    let lived = memory.map_or(Ok(()), |memory| live_on(&shelf.past, moment, memory));
    Ok(Case { told, fate: lived.map(|()| fate) })
}

/// A state that was spoilt.
struct Spoilt<'a> {
    shelf: &'a Shelf,
    now: usize,
    done: String,
}

/// Draws a state and does damage to a copy of it; what changes nothing, as noise of the bytes that were there, is drawn
/// anew.
fn spoilt<'a>(
    library: &'a Library,
    kind: Damage,
    folder: &Path,
    dice: &mut fastrand::Rng,
) -> anyhow::Result<Spoilt<'a>> {
    for _ in 0..DRAWS_MAX {
        let index = dice.usize(..library.shelves.len());
        let shelf = &library.shelves[index];
        let other = &library.shelves[(index + 1 + dice.usize(..library.shelves.len() - 1)) % library.shelves.len()];
        let now = dice.usize(1..shelf.moments());
        let around =
            Around { earlier: shelf.state(dice.usize(..now)), foreign: other.state(dice.usize(..other.moments())) };
        std::fs::remove_dir_all(folder)?;
        copy(shelf.state(now), folder)?;
        let done = befall(kind, folder, around, dice)?;
        if content(folder)? != content(shelf.state(now))? {
            return Ok(Spoilt { shelf, now, done: done.replace(&format!("{}/", folder.display()), "") });
        }
    }
    anyhow::bail!("{} changes nothing, however often it is drawn", kind.name())
}

/// Runs a case of a row.
pub fn row_case(library: &Library, counts: &Counts, number: u64) -> Result<u64, Violation> {
    let kinds = u64::try_from(Damage::ALL.len()).expect("a small number");
    let kind = Damage::ALL[usize::try_from(number % kinds).expect("a small number")];
    let replay = case_name(kind, number);
    match run(library, kind, number) {
        Ok(Case { fate: Ok(fate), .. }) => {
            counts.count(kind, fate);
            Ok(1)
        }
        Ok(Case { told, fate: Err(why) }) => Err(Violation { what: format!("{told}: {why}"), replay }),
        Err(why) => Err(Violation { what: format!("the case itself failed: {why:#}"), replay }),
    }
}
