//! `kill -9` of a process that writes, at a moment drawn by chance; then the store is opened again.
//!
//! What was acknowledged is there, to the byte, and at most the one operation more that was under way. A store that was
//! taken away or robbed of its mark before says that it was begun anew, over any number of kills, until it is told that
//! every target was seen. A case is a life of several kills in one state directory; its seed draws them, though not to
//! the microsecond.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use trueup_museum::Bug;
use trueup_seams::{Memory, Store as _};
use trueup_store::SledStore;

use super::ground::Ground;
use super::writer::{APPS, SETTLE_AT, Told, after, app, daemon_after, program};
use crate::waiting::real;

/// Kills in one state directory, one after the other.
pub const KILLS: u64 = 10;

/// What the parent believes of the store.
#[derive(Debug, Default)]
struct Belief {
    /// Acknowledged operations, in the order of [`APPS`].
    done: [u64; 3],
    /// The last acknowledged round of the daemon's own record.
    daemon: u64,
    /// Where the child's next rounds begin: beyond all that it may have numbered before.
    rounds: u64,
    /// Rounds of which the last child has said anything.
    heard: u64,
    /// Memory was lost, and nobody has said since that every target was seen.
    lost: bool,
    /// `settled` was acknowledged.
    settled: bool,
}

/// Lives one life; answers how many times the loss of everything was said.
pub fn life(ground: &Ground, seed: u64, bug: Option<Bug>, tell: &mut dyn FnMut(String)) -> Result<u64, String> {
    let folder = ground.folder().map_err(|why| format!("no folder: {why}"))?;
    let state = folder.path();
    let mut dice = fastrand::Rng::with_seed(seed ^ 0x6b69_6c6c);
    let mut belief = Belief::default();
    let mut said = 0;
    for kill in 0..KILLS {
        if kill > 0 && dice.u8(..6) == 0 {
            tell(rob(state, &mut belief, &mut dice));
        }
        let lines = kill_one(state, &belief, bug, &mut dice).map_err(|why| format!("kill {kill}: {why}"))?;
        tell(format!("kill {kill}: it had said {} lines, the last {:?}", lines.len(), lines.last()));
        belief.hear(&lines)?;
        let opened = SledStore::open(state).and_then(|store| real(store.load()));
        let memory = opened.map_err(|why| format!("kill {kill}: it does not open again: {why}"))?;
        said += u64::from(memory.rebuilt.is_some());
        belief.hold(&memory).map_err(|why| format!("kill {kill}: {why}"))?;
    }
    Ok(said)
}

/// Takes the store or its mark away: what comes next begins anew, and has to say so.
fn rob(state: &Path, belief: &mut Belief, dice: &mut fastrand::Rng) -> String {
    let (what, done) = if dice.bool() {
        ("the store is taken away", std::fs::remove_dir_all(state.join("store")))
    } else {
        ("the mark is taken away", std::fs::remove_file(state.join("store.watermark")))
    };
    done.expect("what a store consists of is there");
    *belief = Belief { lost: true, ..Belief::default() };
    what.to_owned()
}

/// Starts a writer, kills it, and answers what it had said.
fn kill_one(state: &Path, belief: &Belief, bug: Option<Bug>, dice: &mut fastrand::Rng) -> Result<Vec<String>, String> {
    let told = Told { state, done: belief.done, rounds: belief.rounds, bug };
    let mut child = Command::new(program().map_err(|why| why.to_string())?)
        .args(["--child", &format!("torture-writer:{}", told.word())])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| format!("no writer: {why}"))?;
    let out = child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    let mut heard = Vec::new();
    if dice.u8(..4) == 0 {
        // While it opens, or shortly after.
        std::thread::sleep(Duration::from_micros(dice.u64(..40_000)));
    } else {
        heard.extend(lines.by_ref().take(dice.usize(1..150)));
        std::thread::sleep(Duration::from_micros(dice.u64(..3_000)));
    }
    let ended = child.try_wait().map_err(|why| why.to_string())?;
    child.kill().map_err(|why| why.to_string())?;
    // What it still said before it died was acknowledged too.
    heard.extend(lines);
    let ended_badly = child.wait_with_output().map_err(|why| why.to_string())?.stderr;
    let told = |status| format!("the writer gave up by itself, {status}: {}", String::from_utf8_lossy(&ended_badly));
    ended.map_or(Ok(heard), |status| Err(told(status)))
}

impl Belief {
    /// Takes in what the child said before it died.
    fn hear(&mut self, lines: &[String]) -> Result<(), String> {
        let before = self.done;
        for line in lines {
            match line.split_once(' ') {
                Some(("daemon", number)) => self.daemon = number.parse().map_err(|_| format!("it said `{line}`"))?,
                Some((name, number)) => {
                    let index = APPS.iter().position(|app| *app == name).ok_or_else(|| format!("it said `{line}`"))?;
                    self.done[index] = number.parse().map_err(|_| format!("it said `{line}`"))?;
                }
                None => self.settled |= line == "settled",
            }
        }
        self.heard = self.done.iter().zip(before).map(|(now, then)| now - then).max().unwrap_or_default();
        Ok(())
    }

    /// Holds what the store says against what was acknowledged, and believes the store where both may be.
    fn hold(&mut self, memory: &Memory) -> Result<(), String> {
        match &memory.rebuilt {
            Some(why) if !self.lost => return Err(format!("a mere kill cost everything: {why}")),
            // It may have been killed while it was told so.
            None if self.lost && !self.settled && self.heard < SETTLE_AT => {
                return Err("memory was lost, and nobody says so any more".to_owned());
            }
            Some(_) if self.settled => return Err("it was told that every target was seen, and forgot".to_owned()),
            Some(_) | None => {}
        }
        self.lost = memory.rebuilt.is_some();
        self.settled = false;
        for (name, done) in APPS.iter().zip(&mut self.done) {
            let found = memory.apps.get(&app(name));
            let seen = [*done, *done + 1].into_iter().find(|number| after(name, *number).as_ref() == found);
            *done = seen.ok_or_else(|| {
                let found = found.map(|record| record.generation.0);
                format!("{name} stood at {done} or one more, and is found at {found:?}, or altered")
            })?;
        }
        let daemon = memory.daemon.table.0;
        let latest = self.rounds + self.heard + 1;
        if memory.daemon != daemon_after(daemon) || daemon < self.daemon || daemon > latest {
            return Err(format!("the daemon's record stood at {}, and is found at {daemon}", self.daemon));
        }
        self.daemon = daemon;
        self.rounds = latest;
        Ok(())
    }
}
