//! Tortures the store: the real one, on a real file system, with sled under it.
//!
//! [`kills`] ends a writing process with `kill -9`, [`corrupt`] spoils the files of a store in every way that disks and
//! people know, and [`disk`] fills the disk. What was acknowledged is there, or its loss is noticed. What a spoilt store
//! says is handed to a real driver, in the simulated world as the last acknowledged record left it ([`judge`]): no law
//! breaks, and nothing that is healthy and wanted is destroyed.

mod corrupt;
mod damage;
mod disk;
mod ground;
mod judge;
mod kills;
mod shelf;
mod story;
mod writer;

use std::sync::Mutex;
use std::time::Instant;

use trueup_museum::{Bug, Planted};

use crate::tier::{Effort, Row, Tier, Violation};
use crate::workers;
use corrupt::{Case, Counts, Library};
use damage::Damage;
use disk::When;
use ground::{Ground, Hush};

/// The tier.
pub const TIER: Tier =
    Tier { name: "torture", what: "kills, spoils and fills the real store under a daemon", run, replay };

/// Kills, at CI's scale and in the long run.
const KILLS: (u64, u64) = (200, 2_000);
/// Spoilt stores, likewise.
const CORRUPTIONS: (u64, u64) = (2_000, 20_000);
/// Full disks, likewise.
const DISKS: (u64, u64) = (60, 600);
/// Cases of each way of spoiling for a planted bug.
const SAMPLE_EACH: u64 = 6;

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let _hush = Hush::new();
    let ground = Ground::new()?;
    Ok(vec![killed(effort, &ground), corrupted(effort)?, filled(effort, &ground)?])
}

fn killed(effort: &Effort, ground: &Ground) -> Row {
    let floor = effort.of(KILLS.0, KILLS.1);
    let said = Mutex::new(0);
    let case = |number| match kills::life(ground, number, None, &mut drop) {
        Ok(more) => {
            *said.lock().expect("no worker panics") += more;
            Ok(kills::KILLS)
        }
        Err(what) => Err(Violation { what, replay: format!("kill:{number}") }),
    };
    let row = workers::each(effort, "kills", floor.div_ceil(kills::KILLS), case);
    let said = said.into_inner().expect("no worker panics");
    let note = format!("acknowledged records all there; a store that was taken away said so {said} times");
    Row { floor, note, what: "kills of a writing process".to_owned(), ..row }
}

fn corrupted(effort: &Effort) -> anyhow::Result<Row> {
    let begun = Instant::now();
    let floor = effort.of(CORRUPTIONS.0, CORRUPTIONS.1);
    let library = Library::new()?;
    let counts = Counts::default();
    let row = workers::each(effort, "corruptions", floor, |number| corrupt::row_case(&library, &counts, number));
    let what = "corruptions, noticed or harmless".to_owned();
    Ok(Row { floor, note: counts.told(), what, seconds: begun.elapsed().as_secs_f64(), ..row })
}

fn filled(effort: &Effort, ground: &Ground) -> anyhow::Result<Row> {
    let floor = effort.of(DISKS.0, DISKS.1);
    let what = "full-disk points".to_owned();
    if disk::Disk::new(ground)?.is_none() {
        // CI can mount one; elsewhere the row says that it was left out.
        let floor = if std::env::var_os("CI").is_some() { floor } else { 0 };
        let note = "LEFT OUT: this user cannot mount a tmpfs".to_owned();
        return Ok(Row { what, done: 0, floor, violations: Vec::new(), seconds: 0.0, note });
    }
    let row = workers::each(effort, "full disks", floor, |number| full(ground, number));
    let note = "before a save, while saving, at a start; degraded is said, it heals, nothing acknowledged is lost";
    Ok(Row { what, floor, note: note.to_owned(), ..row })
}

fn full(ground: &Ground, number: u64) -> Result<u64, Violation> {
    let when = When::ALL[usize::try_from(number % 3).expect("a small number")];
    let replay = format!("disk:{}:{number}", when.name());
    match disk::point(ground, when, number) {
        Ok(Some(Ok(_))) => Ok(1),
        Ok(Some(Err(what))) => Err(Violation { what, replay }),
        Ok(None) => Err(Violation { what: "the tmpfs cannot be mounted any more".to_owned(), replay }),
        Err(why) => Err(Violation { what: format!("the case itself failed: {why:#}"), replay }),
    }
}

/// Runs one case again: `kill:SEED`, `corrupt:KIND:SEED` or `disk:WHEN:SEED`.
fn replay(case: &str) -> anyhow::Result<bool> {
    let _hush = Hush::new();
    let parts: Vec<&str> = case.split(':').collect();
    let (told, done) = match parts[..] {
        ["kill", seed] => {
            let mut told = Vec::new();
            let done = kills::life(&Ground::new()?, seed.parse()?, None, &mut |line| told.push(line));
            (told.join("\n"), done.map(|said| format!("the loss of everything was said {said} times")))
        }
        ["corrupt", kind, seed] => {
            let kind = Damage::named(kind).ok_or_else(|| anyhow::anyhow!("there is no damage `{kind}`"))?;
            let Case { told, fate } = corrupt::run(&Library::new()?, kind, seed.parse()?)?;
            (told, fate.map(|fate| format!("{fate:?}")))
        }
        ["disk", when, seed] => {
            let when = When::ALL.into_iter().find(|one| one.name() == when);
            let when = when.ok_or_else(|| anyhow::anyhow!("`{case}` says no moment"))?;
            let done = disk::point(&Ground::new()?, when, seed.parse()?)?;
            (String::new(), done.ok_or_else(|| anyhow::anyhow!("this user cannot mount a tmpfs"))?)
        }
        _ => anyhow::bail!("`{case}` is none of kill:SEED, corrupt:KIND:SEED, disk:WHEN:SEED"),
    };
    println!("{told}");
    match &done {
        Ok(well) => println!("well: {well}"),
        Err(wrong) => println!("wrong: {wrong}"),
    }
    Ok(done.is_ok())
}

/// A short torture with a bug planted in every thread and process that works: what it finds.
///
/// The engine's threads and the writing child take the bug along.
pub fn sample(bug: Option<Bug>) -> Vec<Violation> {
    let _hush = Hush::new();
    let itself =
        |why: anyhow::Error| Violation { what: format!("the sample itself failed: {why:#}"), replay: String::new() };
    let found = || -> anyhow::Result<Vec<Violation>> {
        // The past is written without the bug: what is spoilt is what a sound daemon left.
        let (library, ground) = (Library::new()?, Ground::new()?);
        let _planted = bug.map(Planted::new);
        let counts = Counts::default();
        let kinds = u64::try_from(Damage::ALL.len())?;
        let spoilt = (0..kinds * SAMPLE_EACH).filter_map(|number| corrupt::row_case(&library, &counts, number).err());
        let mut found: Vec<Violation> = spoilt.collect();
        let lives = (0..4).filter_map(|number| {
            let what = kills::life(&ground, number, bug, &mut drop).err()?;
            Some(Violation { what, replay: format!("kill:{number}") })
        });
        found.extend(lives);
        if disk::Disk::new(&ground)?.is_some() {
            found.extend((0..6).filter_map(|number| full(&ground, number).err()));
        }
        Ok(found)
    };
    found().unwrap_or_else(|why| vec![itself(why)])
}

/// The hidden child: `torture-writer:…`.
pub fn child(word: &str) -> anyhow::Result<()> {
    let word = word.strip_prefix("torture-writer:").ok_or_else(|| anyhow::anyhow!("there is no child `{word}`"))?;
    writer::write_for_ever(word)
}
