//! A process that writes to a store until it is killed, and says what was acknowledged.
//!
//! The proof runs itself again as this child. Each app has numbered operations that both sides know ([`after`]), so that
//! the parent can tell from a record which operation it saw last.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use trueup_museum::{Bug, Planted};
use trueup_seams::{DaemonRecord, Store};
use trueup_store::SledStore;
use trueup_types::desired::Inputs;
use trueup_types::record::AppRecord;
use trueup_types::release::Origin;
use trueup_types::status::{Event, EventKind};
use trueup_types::{
    AppName, Exposure, Generation, Release, ReleaseDigest, Revision, TableGeneration, TargetName, Template, Timestamp,
};

use crate::waiting::real;

/// The apps that are written, all at once.
pub const APPS: [&str; 3] = ["api", "db", "web"];

/// Every so many operations an app is forgotten.
const FORGET_EVERY: u64 = 9;
/// The round in which the store is told that every target was seen.
pub const SETTLE_AT: u64 = 25;

/// The program that is the child, where it is another than this one.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Has another program be the child: its own tests are not the proof.
pub fn write_by(program: PathBuf) {
    // Whoever said it first said the same.
    let _ = PROGRAM.set(program);
}

/// The program that is the child.
pub fn program() -> std::io::Result<PathBuf> {
    PROGRAM.get().cloned().map_or_else(std::env::current_exe, Ok)
}

/// The app of a name.
pub fn app(name: &str) -> AppName {
    AppName::new(name).expect("a literal name")
}

/// What an app's record is after so many operations; nothing before the first, and after one that forgets.
pub fn after(name: &str, operations: u64) -> Option<AppRecord> {
    if operations == 0 || operations.is_multiple_of(FORGET_EVERY) {
        return None;
    }
    let revisions = [operations, operations + 1].map(|number| release(name, number / 2 + 1));
    Some(AppRecord {
        generation: Generation(operations),
        highest: Revision(operations / 2 + 2),
        current: Some(revisions[0].revision),
        releases: revisions.into_iter().map(|release| (release.revision, Arc::new(release))).collect(),
        ..AppRecord::default()
    })
}

/// The daemon's own record after so many rounds.
pub fn daemon_after(rounds: u64) -> DaemonRecord {
    DaemonRecord { table: TableGeneration(rounds), ..DaemonRecord::default() }
}

/// Some are small, some fill a page of the engine, a few lie in a file of their own.
fn release(name: &str, revision: u64) -> Release {
    let bytes = match revision % 16 {
        3 => 5_000,
        11 => 300_000,
        _ => usize::try_from(revision * 37 % 900).expect("a small number"),
    };
    let template = Template { command: vec!["/bin/app".to_owned(), "x".repeat(bytes)], ..Template::default() };
    Release {
        app: app(name),
        revision: Revision(revision),
        digest: ReleaseDigest::of(&(name, revision)),
        target: TargetName::local(),
        template,
        exposure: Exposure::default(),
        stop_first: None,
        inputs: Inputs::default(),
        origin: Origin::default(),
    }
}

fn event(sequence: u64) -> Event {
    let at = Timestamp::from_millis(sequence);
    let (kind, reason, message) = (EventKind::Normal, "Tortured".to_owned(), "x".repeat(90));
    Event { sequence, first: at, last: at, count: 1, kind, reason, app: None, revision: None, message }
}

/// What the child is told: the state directory, where each app and the daemon stand, and a bug to plant.
#[derive(Debug)]
pub struct Told<'a> {
    /// Where.
    pub state: &'a Path,
    /// Operations so far, in the order of [`APPS`].
    pub done: [u64; 3],
    /// Rounds of the daemon's own record so far.
    pub rounds: u64,
    /// What to plant.
    pub bug: Option<Bug>,
}

impl Told<'_> {
    /// As one word for the command line.
    pub fn word(&self) -> String {
        let [one, two, three] = self.done;
        let bug = self.bug.map_or("", Bug::name);
        format!("{one},{two},{three},{},{bug},{}", self.rounds, self.state.display())
    }
}

/// The child's life; it ends when it is killed, or when nobody listens any more.
pub fn write_for_ever(word: &str) -> anyhow::Result<()> {
    let parts: Vec<&str> = word.splitn(6, ',').collect();
    let [one, two, three, rounds, bug, state] = parts[..] else { anyhow::bail!("the writer is not told enough") };
    let mut done = [one.parse::<u64>()?, two.parse()?, three.parse()?];
    let rounds: u64 = rounds.parse()?;
    let _planted = Bug::ALL.iter().find(|known| known.name() == bug).map(|bug| Planted::new(*bug));
    let store = SledStore::open(Path::new(state)).map_err(|why| anyhow::anyhow!("{why}"))?;
    say("open")?;
    real(async {
        for round in 1.. {
            let names = [0, 1, 2].map(|index| (APPS[index], done[index] + 1));
            let [one, two, three] = names.map(|(name, number)| operation(&store, name, number));
            let (one, two, three) = tokio::join!(one, two, three);
            one.and(two).and(three)?;
            done = done.map(|number| number + 1);
            let number = rounds + round;
            store.append_events(&[event(number)]).await.map_err(|why| anyhow::anyhow!("{why}"))?;
            if round % 3 == 0 {
                store.save_daemon(&daemon_after(number)).await.map_err(|why| anyhow::anyhow!("{why}"))?;
                say(&format!("daemon {number}"))?;
            }
            if round == SETTLE_AT {
                store.settled().await.map_err(|why| anyhow::anyhow!("{why}"))?;
                say("settled")?;
            }
        }
        Ok(())
    })
}

async fn operation(store: &SledStore, name: &str, number: u64) -> anyhow::Result<()> {
    let app = app(name);
    let done = match after(name, number) {
        Some(record) => store.save(&app, &record).await,
        None => store.forget(&app).await,
    };
    done.map_err(|why| anyhow::anyhow!("{why}"))?;
    say(&format!("{name} {number}"))
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}
