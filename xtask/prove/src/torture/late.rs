//! Writes that fail late: in a thread of the engine's own, while others wait for it, in a process with several stores.
//!
//! strace makes the writes of a child ([`super::crowd`]) fail, now and again, after a pause, in whatever thread they are
//! made; then strace is ended, and nothing fails any more. Each call comes back within its bound, what was acknowledged is
//! there, whoever refuses says that it is degraded, and all heal by themselves. A case is a seed: it draws which calls
//! fail, how and how often, though not in whose hands.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use trueup_store::SledStore;

use super::crowd::{self, STORES};
use super::ground::Ground;
use super::writer::program;
use super::written::Written;
use crate::waiting::real;

/// Refusals that are waited for.
const ENOUGH: u64 = 12;
/// How long calls fail at least, and at most.
const FAILING: (Duration, Duration) = (Duration::from_millis(900), Duration::from_secs(12));
/// Longest from then on to the end: longer than the child's own bounds together.
const ENDING_MAX: Duration = Duration::from_secs(120);
/// What is told of what the child and strace said beside their lines, in bytes.
const ASIDE_BYTES_MAX: usize = 1_000;

/// How a life went.
#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    /// Saves that were acknowledged.
    pub saved: u64,
    /// Saves that were refused.
    pub refused: u64,
    /// Refusals after which the store said that it is degraded.
    pub said: u64,
}

impl Figures {
    /// Takes in those of another life.
    pub fn add(&mut self, other: Self) {
        self.saved += other.saved;
        self.refused += other.refused;
        self.said += other.said;
    }
}

/// Which calls fail, and how.
#[derive(Debug)]
pub struct Failures {
    calls: &'static str,
    error: &'static str,
    pause: Duration,
    first: u32,
    step: u32,
}

impl Failures {
    /// Draws them.
    pub fn of(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed ^ 0x6c61_7465);
        let calls = ["pwrite64", "pwrite64", "pwrite64", "pwrite64,ftruncate", "pwrite64,fdatasync,fsync"];
        Self {
            calls: calls[dice.usize(..calls.len())],
            error: ["ENOSPC", "EIO"][dice.usize(..2)],
            pause: Duration::from_micros([0, 5_000, 20_000, 20_000][dice.usize(..4)]),
            // strace counts the calls of each thread by themselves.
            first: dice.u32(1..50),
            step: [1, 3, 5, 9, 14][dice.usize(..5)],
        }
    }

    /// In words.
    pub fn told(&self) -> String {
        let Self { calls, error, pause, first, step } = self;
        format!("{calls} fail with {error} after {pause:?}, in each thread from call {first} on, each {step}.")
    }

    fn strace(&self) -> Command {
        let Self { calls, error, pause, first, step } = self;
        let inject = format!("inject={calls}:error={error}:delay_enter={}:when={first}+{step}", pause.as_micros());
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject]);
        strace
    }
}

/// Whether strace is there and may be used by this user.
pub fn can_fail() -> bool {
    let failures = Failures { calls: "ftruncate", error: "EIO", pause: Duration::ZERO, first: 1, step: 1 };
    let tried = failures.strace().arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// Lives one life.
pub fn life(ground: &Ground, seed: u64) -> Result<Figures, String> {
    let folder = ground.folder().map_err(|why| format!("no folder: {why}"))?;
    let aside = folder.path().join("aside");
    let lived = Crowd::begin(folder.path(), &aside, &Failures::of(seed)).and_then(Crowd::live);
    let figures = lived.map_err(|why| {
        let aside = std::fs::read(&aside).unwrap_or_default();
        let told = String::from_utf8_lossy(&aside[aside.len().saturating_sub(ASIDE_BYTES_MAX)..]).trim().to_owned();
        if told.is_empty() { why } else { format!("{why}\n{told}") }
    })?;
    let (figures, done) = figures;
    for (number, done) in done.into_iter().enumerate() {
        let store = SledStore::open(&crowd::state(folder.path(), number));
        let store = store.map_err(|why| format!("store {number} does not open for another process: {why}"))?;
        real(Written::after(done).hold(&store)).map_err(|why| format!("store {number}, for another process: {why}"))?;
    }
    Ok(figures)
}

/// The child under strace.
struct Crowd {
    strace: Child,
    /// When this is gone, the child ends.
    told: ChildStdin,
    lines: Receiver<String>,
    figures: Figures,
    /// Operations of each store that ended well.
    done: [Option<u64>; STORES],
}

impl Crowd {
    fn begin(folder: &Path, aside: &Path, failures: &Failures) -> Result<Self, String> {
        let told = |why: std::io::Error| format!("no strace: {why}");
        let mut strace = failures
            .strace()
            .arg(program().map_err(told)?)
            .args(["--child", &format!("torture-crowd:{}", folder.display())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(aside).map_err(told)?)
            .spawn()
            .map_err(told)?;
        let (out, told) = (strace.stdout.take().expect("it is piped"), strace.stdin.take().expect("it is piped"));
        let (line, lines) = std::sync::mpsc::channel();
        // Ends with the child, whose input ends with us.
        std::thread::spawn(move || {
            let mut said = BufReader::new(out).lines().map_while(Result::ok);
            said.try_for_each(|said| line.send(said))
        });
        Ok(Self { strace, told, lines, figures: Figures::default(), done: [None; STORES] })
    }

    /// Lets calls fail for a while, ends that, and waits until every store has said how it ended.
    fn live(mut self) -> Result<(Figures, [u64; STORES]), String> {
        let begun = Instant::now();
        while begun.elapsed() < FAILING.0 || self.figures.refused < ENOUGH {
            let left = FAILING.1.saturating_sub(begun.elapsed());
            match self.lines.recv_timeout(left.min(FAILING.0)) {
                Ok(line) => self.hear(&line)?,
                Err(RecvTimeoutError::Disconnected) => return Err("the writer gave up by itself".to_owned()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if left.is_zero() {
                break;
            }
        }
        let ended = self.strace.kill().and_then(|()| self.strace.wait()).and_then(|_| writeln!(self.told, "over"));
        ended.map_err(|why| format!("strace cannot be ended: {why}"))?;
        let over = Instant::now();
        loop {
            match self.lines.recv_timeout(ENDING_MAX.saturating_sub(over.elapsed())) {
                Ok(line) => self.hear(&line)?,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return Err(format!("it does not come back within {ENDING_MAX:?}")),
            }
        }
        if self.figures.refused == 0 {
            return Err("nothing was refused: this shows nothing".to_owned());
        }
        let done = self.done.map(|done| done.ok_or("a store never said how it ended"));
        let done: Result<Vec<u64>, _> = done.into_iter().collect();
        Ok((self.figures, done?.try_into().expect("as many as there are stores")))
    }

    fn hear(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("wrong"), Some(store), Some(why)) => return Err(format!("store {store}: {why}")),
            (Some("well"), Some(store), Some(done)) => {
                let slot = store.parse().ok().and_then(|store: usize| self.done.get_mut(store));
                *slot.ok_or_else(|| format!("it said `{line}`"))? = done.parse().ok();
            }
            (Some("refused"), silent, _) => {
                self.figures.refused += 1;
                self.figures.said += u64::from(silent.is_none());
            }
            _ => self.figures.saved += 1,
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}
