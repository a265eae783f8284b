//! Tortures the store: the real one, on a real file system, with sled under it.
//!
//! [`kills`] ends a writing process with `kill -9`, [`corrupt`] spoils the files of a store in every way that disks and
//! people know, [`disk`] fills the disk, and [`late`] makes writes fail when nobody waits for them. What was acknowledged is there, or its loss is noticed. What a spoilt store
//! says is handed to a real driver, in the simulated world as the last acknowledged record left it ([`judge`]): no law
//! breaks, and nothing that is healthy and wanted is destroyed.

mod corrupt;
mod crowd;
mod damage;
mod disk;
mod ground;
mod judge;
mod kills;
mod late;
mod shelf;
mod story;
mod writer;
mod written;

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use trueup_museum::{Bug, Planted};

use crate::panics::EngineHush;
use crate::tier::{Effort, Row, Tier, Violation};
use crate::workers;
use corrupt::{Case, Counts, Library};
use damage::Damage;
use disk::When;
use ground::Ground;
use late::Figures;

pub use writer::write_by;

/// The tier.
pub const TIER: Tier =
    Tier { name: "torture", what: "kills, spoils and fills the real store under a daemon", run, replay };

/// Kills, at CI's scale and in the long run.
const KILLS: (u64, u64) = (200, 2_000);
/// Spoilt stores, likewise.
const CORRUPTIONS: (u64, u64) = (2_000, 20_000);
/// Full disks, likewise.
const DISKS: (u64, u64) = (60, 600);
/// Lives in which writes fail late, likewise.
const LATES: (u64, u64) = (8, 100);
/// Cases of each way of spoiling for a planted bug.
const SAMPLE_EACH: u64 = 6;
/// Lives for one, of several kills each.
const SAMPLE_LIVES: u64 = 4;
/// Full disks for one.
const SAMPLE_DISKS: u64 = 6;

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let _hush = EngineHush::new();
    let ground = Ground::new()?;
    Ok(vec![killed(effort, &ground), corrupted(effort)?, filled(effort, &ground)?, failed_late(effort, &ground)])
}

fn killed(effort: &Effort, ground: &Ground) -> Row {
    let floor = effort.of(KILLS.0, KILLS.1);
    let said = Mutex::new(0);
    let case = |number| {
        *said.lock().expect("no worker panics") += one_life(ground, number, None)?;
        Ok(kills::KILLS)
    };
    let row = workers::each(effort, "kills", floor.div_ceil(kills::KILLS), case);
    let said = said.into_inner().expect("no worker panics");
    let note = format!("acknowledged records all there; a store that was taken away said so {said} times");
    Row { floor, note, what: "kills of a writing process".to_owned(), ..row }
}

fn one_life(ground: &Ground, number: u64, bug: Option<Bug>) -> Result<u64, Violation> {
    let told = |what| Violation { what, replay: format!("kill:{number}") };
    kills::life(ground, number, bug, &mut drop).map_err(told)
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
        return Ok(left_out(what, floor, "this user cannot mount a tmpfs"));
    }
    let row = workers::each(effort, "full disks", floor, apart);
    let note = "before a save, while saving, at a start; degraded is said, it heals, nothing acknowledged is lost";
    Ok(Row { what, floor, note: note.to_owned(), ..row })
}

/// When the disk is full in a point of the row, and the case that plays it.
fn point_of(number: u64) -> (When, String) {
    let when = When::ALL[usize::try_from(number % 3).expect("a small number")];
    (when, format!("disk:{}:{number}", when.name()))
}

/// One point in a process of its own, as a daemon has one store: what an engine leaves behind in its threads and locks
/// ends with it, and is not the next one's.
fn apart(number: u64) -> Result<u64, Violation> {
    let (_, replay) = point_of(number);
    let wrong = |what: String| Violation { what, replay: replay.clone() };
    let program = writer::program().map_err(|why| wrong(format!("the program is not found: {why}")))?;
    let done = Command::new(program).args(["--only", TIER.name, "--replay", &replay]).output();
    let done = done.map_err(|why| wrong(format!("the child cannot be started: {why}")))?;
    if done.status.success() {
        return Ok(1);
    }
    let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    Err(wrong(if said.is_empty() { format!("the child ended with {}", done.status) } else { said }))
}

fn full(ground: &Ground, number: u64) -> Result<u64, Violation> {
    let (when, replay) = point_of(number);
    match disk::point(ground, when, number) {
        Ok(Some(Ok(_))) => Ok(1),
        Ok(Some(Err(what))) => Err(Violation { what, replay }),
        Ok(None) => Err(Violation { what: "the tmpfs cannot be mounted any more".to_owned(), replay }),
        Err(why) => Err(Violation { what: format!("the case itself failed: {why:#}"), replay }),
    }
}

/// Lives in which writes fail late.
fn failed_late(effort: &Effort, ground: &Ground) -> Row {
    let floor = effort.of(LATES.0, LATES.1);
    let what = "lives with writes that fail late".to_owned();
    if !late::can_fail() {
        return left_out(what, floor, "there is no strace, or this user may not use it");
    }
    let all = Mutex::new(Figures::default());
    let row = workers::each(effort, "late refusals", floor, |number| {
        let lived = late::life(ground, number);
        let told = |what| Violation { what, replay: format!("late:{number}") };
        all.lock().expect("no worker panics").add(lived.map_err(told)?);
        Ok(1)
    });
    let Figures { saved, refused, said } = all.into_inner().expect("no worker panics");
    let note = format!(
        "{} stores each; {saved} saves were acknowledged and are all there, {refused} refused, {said} of them said degraded",
        crowd::STORES
    );
    Row { what, floor, note, ..row }
}

/// A row of what cannot be done here. CI can do all of it, and there it fails.
fn left_out(what: String, floor: u64, why: &str) -> Row {
    let note = format!("LEFT OUT: {why}");
    eprintln!("  {what}: {note}");
    let floor = if std::env::var_os("CI").is_some() { floor } else { 0 };
    Row { what, done: 0, floor, violations: Vec::new(), seconds: 0.0, note }
}

/// A case that was played: what it was about, and how it ended.
struct Told {
    about: String,
    end: Result<String, String>,
}

/// Plays one case: `kill:SEED`, `corrupt:KIND:SEED`, `disk:WHEN:SEED` or `late:SEED`, with a bug planted or without.
///
/// The past is written without the bug: what is spoilt is what a sound daemon left.
fn play(case: &str, bug: Option<Bug>) -> anyhow::Result<Told> {
    let _hush = EngineHush::new();
    let parts: Vec<&str> = case.split(':').collect();
    match parts[..] {
        ["kill", seed] => {
            let mut about = Vec::new();
            let ground = Ground::new()?;
            let _planted = bug.map(Planted::new);
            let said = kills::life(&ground, seed.parse()?, bug, &mut |line| about.push(line));
            let end = said.map(|said| format!("the loss of everything was said {said} times"));
            Ok(Told { about: about.join("\n"), end })
        }
        ["corrupt", kind, seed] => {
            let kind = Damage::named(kind).ok_or_else(|| anyhow::anyhow!("there is no damage `{kind}`"))?;
            let library = Library::new()?;
            let _planted = bug.map(Planted::new);
            let Case { told, fate } = corrupt::run(&library, kind, seed.parse()?)?;
            Ok(Told { about: told, end: fate.map(|fate| format!("{fate:?}")) })
        }
        ["disk", when, seed] => {
            let when = When::ALL.into_iter().find(|one| one.name() == when);
            let when = when.ok_or_else(|| anyhow::anyhow!("`{case}` says no moment"))?;
            let ground = Ground::new()?;
            let _planted = bug.map(Planted::new);
            let done = disk::point(&ground, when, seed.parse()?)?;
            Ok(Told {
                about: String::new(),
                end: done.ok_or_else(|| anyhow::anyhow!("this user cannot mount a tmpfs"))?,
            })
        }
        ["late", seed] => {
            let seed = seed.parse()?;
            let end = late::life(&Ground::new()?, seed).map(|figures| format!("{figures:?}"));
            Ok(Told { about: late::Failures::of(seed).told(), end })
        }
        _ => anyhow::bail!("`{case}` is none of kill:SEED, corrupt:KIND:SEED, disk:WHEN:SEED, late:SEED"),
    }
}

fn replay(case: &str) -> anyhow::Result<bool> {
    let Told { about, end } = play(case, None)?;
    println!("{about}");
    match &end {
        Ok(well) => println!("well: {well}"),
        Err(wrong) => println!("wrong: {wrong}"),
    }
    Ok(end.is_ok())
}

/// Plays a case again, with a bug planted or without; answers what is wrong.
///
/// # Errors
/// When there is no such case.
pub fn again(case: &str, bug: Option<Bug>) -> anyhow::Result<Option<String>> {
    Ok(play(case, bug)?.end.err())
}

/// What a short torture finds first, with a bug planted in every thread and process that works.
///
/// The engine's threads and the writing child take the bug along.
pub fn sample(bug: Option<Bug>) -> Option<Violation> {
    let _hush = EngineHush::new();
    let itself =
        |why: anyhow::Error| Violation { what: format!("the sample itself failed: {why:#}"), replay: String::new() };
    let found = || -> anyhow::Result<Option<Violation>> {
        let (library, ground) = (Library::new()?, Ground::new()?);
        let _planted = bug.map(Planted::new);
        let counts = Counts::default();
        let kinds = u64::try_from(Damage::ALL.len())?;
        let spoilt = (0..kinds * SAMPLE_EACH).find_map(|number| corrupt::row_case(&library, &counts, number).err());
        let killed = || (0..SAMPLE_LIVES).find_map(|number| one_life(&ground, number, bug).err());
        let disks = if disk::Disk::new(&ground)?.is_some() { SAMPLE_DISKS } else { 0 };
        let filled = || (0..disks).find_map(|number| full(&ground, number).err());
        Ok(spoilt.or_else(killed).or_else(filled))
    };
    found().unwrap_or_else(|why| Some(itself(why)))
}

/// The hidden children: `torture-writer:…` and `torture-crowd:FOLDER`.
pub fn child(word: &str) -> anyhow::Result<()> {
    match word.split_once(':') {
        Some(("torture-writer", told)) => writer::write_for_ever(told),
        Some(("torture-crowd", folder)) => crowd::write_until_told(Path::new(folder)),
        _ => anyhow::bail!("there is no child `{word}`"),
    }
}
