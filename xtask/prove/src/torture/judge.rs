//! What a spoilt store says of itself, and what a daemon does that believes it.
//!
//! [`read`] opens it as a daemon would and holds what it says against what was acknowledged. [`live_on`] hands the memory
//! to a real driver, in the world as the last acknowledged record left it, and watches what it destroys.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use trueup_seams::{Memory, Store};
use trueup_store::SledStore;
use trueup_types::AppName;

use super::story::{Moment, Past, Standing};
use crate::waiting::{real, simulated};

/// Longest that a store may take to open and load, whatever it finds: twice the engine's own patience, and some.
const OPENING_MAX: Duration = Duration::from_secs(75);
/// Simulated time within which all must have come to rest again.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// Most characters of a journal that are told of a case.
const JOURNAL_CHARS_MAX: usize = 4_000;

/// What a store says.
#[derive(Debug)]
pub enum Reading {
    /// All that was acknowledged.
    Whole,
    /// Less, and it says so.
    Noticed(Memory),
    /// All of an earlier moment, as if nothing had happened.
    Earlier(Memory),
    /// Something wrong.
    Wrong(String),
}

/// Opens a state directory and holds it against what was acknowledged, moment by moment, the last one last.
pub fn read(state: &Path, acknowledged: &[Moment]) -> Reading {
    let begun = std::time::Instant::now();
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let store = SledStore::open(state).map_err(|why| format!("it does not open: {why}"))?;
        let memory = real(store.load()).map_err(|why| format!("it does not load: {why}"))?;
        if memory.rebuilt.is_some() {
            begins_anew(&store, &memory)?;
        }
        Ok(memory)
    }));
    if begun.elapsed() > OPENING_MAX {
        return Reading::Wrong(format!("it took {:?} to open", begun.elapsed()));
    }
    match opened {
        Err(_) => Reading::Wrong("a panic escaped".to_owned()),
        Ok(Err(why)) => Reading::Wrong(why),
        Ok(Ok(memory)) => judge(memory, acknowledged),
    }
}

fn judge(memory: Memory, acknowledged: &[Moment]) -> Reading {
    let (last, earlier) = acknowledged.split_last().expect("there is a last moment");
    if memory.rebuilt.is_some() {
        return Reading::Noticed(memory);
    }
    let foreign = memory.events.iter().find(|event| !last.memory.events.contains(event));
    if let Some(event) = foreign {
        return Reading::Wrong(format!("it makes up the event {event:?}"));
    }
    let same = |moment: &Moment| moment.memory.apps == memory.apps && moment.memory.daemon == memory.daemon;
    if same(last) {
        Reading::Whole
    } else if earlier.iter().any(same) {
        Reading::Earlier(memory)
    } else {
        let known: Vec<_> = memory.apps.keys().map(AppName::as_str).collect();
        Reading::Wrong(format!("nobody noticed: it knows {known:?}, in a state that never was"))
    }
}

/// A store that was begun anew uses nothing of the old one, saves, and goes on saying so until it is told otherwise.
fn begins_anew(store: &SledStore, memory: &Memory) -> Result<(), String> {
    if !memory.apps.is_empty() {
        return Err("a store in doubt is used all the same".to_owned());
    }
    let app = AppName::new("after").expect("a literal name");
    let record = trueup_types::AppRecord { restarts: 7, ..trueup_types::AppRecord::default() };
    real(async {
        store.save(&app, &record).await.map_err(|why| format!("it was begun anew and does not save: {why}"))?;
        let again = store.load().await.map_err(|why| format!("it was begun anew and does not load: {why}"))?;
        if again.rebuilt.is_none() {
            return Err("it forgot that it was begun anew".to_owned());
        }
        if again.apps.get(&app) != Some(&record) {
            return Err("it was begun anew and does not keep what is saved".to_owned());
        }
        store.forget(&app).await.map_err(|why| format!("it was begun anew and does not forget: {why}"))
    })
}

/// What comes of a daemon that starts with this memory at a moment: every law that broke, everything that was destroyed
/// though the undisturbed run kept it, and every app that does not end as there.
pub fn live_on(past: &Past, moment: &Moment, memory: Memory) -> Result<(), String> {
    simulated(async {
        let mut house = past.story.until(moment.glance).await;
        let copy = house.store.copy();
        assert_eq!(copy.apps, moment.memory.apps, "{} does not go the same way twice", past.story.name);
        let before: BTreeSet<_> = Standing::of(&house).lives.intersection(&past.end.lives).cloned().collect();
        house.kill().await;
        house.store.put_back_unnoticed(memory);
        house.start().await;
        past.story.go_on(&house, moment.glance).await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while (!house.settled() || Standing::of(&house).apps != past.end.apps) && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let end = Standing::of(&house);
        let broken = house.world.lock().violations.clone();
        let gone: Vec<_> = before.difference(&end.lives).map(|(id, life)| format!("{id} (life {life})")).collect();
        let bugs: Vec<_> = house.control().status().events.into_iter().filter(|event| event.reason == "Bug").collect();
        let told = if !broken.is_empty() {
            broken.join("; ")
        } else if let Some(bug) = bugs.first() {
            format!("a bug is told: {}", bug.message)
        } else if !house.settled() {
            format!("not settled within {} s", PATIENCE.as_secs())
        } else if !gone.is_empty() {
            format!("healthy and wanted, and gone: {}", gone.join(", "))
        } else if end.apps != past.end.apps {
            format!("it ends with {:?} instead of {:?}", end.apps, past.end.apps)
        } else {
            return Ok(());
        };
        let journal = house.world.lock().journal.join("\n  ");
        Err(format!("{told}\n  {}", journal.chars().take(JOURNAL_CHARS_MAX).collect::<String>()))
    })
}
