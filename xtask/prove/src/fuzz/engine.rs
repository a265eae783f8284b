//! Runs a target over inputs: what panics or dawdles is caught, cut down and told.
//!
//! The input under way lies in a file for each thread (`target/prove-fuzz/last-N`, replayed as `last:PATH`), for the
//! failures that no process survives: an overflow of the stack, and an endless loop, which a watchdog ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::mutate;
use crate::tier::{Effort, Row, Violation};
use crate::{panics, workers};

/// Longest that one input may take; a reader that takes longer for 16 KiB can be used against the daemon.
const SLOW: Duration = Duration::from_secs(2);
/// What is said of one that does.
const SLOWLY: &str = "it took";
/// Looks of the watchdog, a second apart, that find the same input under way before it is taken to hang: a machine that stands
/// still as a whole makes no looks.
const LOOKS_MAX: u32 = 30;
/// Tries to make a failing input smaller.
const SMALLER_TRIES: usize = 3_000;
/// Longest input that is told in the case string itself, in bytes.
const HEX_BYTES_MAX: usize = 256;
/// Inputs that a worker runs before it takes more.
const BATCH: u64 = 100;

/// One target.
#[derive(Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Panics when something is wrong.
    pub of: fn(&[u8]),
    /// Inputs in CI.
    pub ci: u64,
    /// Inputs in the long run.
    pub long: u64,
}

/// What a thread is busy with.
#[derive(Debug)]
struct Busy {
    /// How often the watchdog has seen this input; nothing between two.
    looks: Option<u32>,
    file: Arc<File>,
    path: PathBuf,
}

/// Runs targets; a panic is a finding.
#[derive(Debug)]
pub struct Attempts {
    folder: PathBuf,
    busy: Arc<Mutex<BTreeMap<String, Busy>>>,
}

impl Attempts {
    /// Findings are written to `folder`.
    pub fn new(folder: PathBuf) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let busy = Arc::new(Mutex::new(BTreeMap::new()));
        watch(Arc::downgrade(&busy));
        Ok(Self { folder, busy })
    }

    /// Feeds one input to a target.
    pub fn attempt(&self, target: &Target, data: &[u8]) -> Result<(), String> {
        // A machine that was busy with something else is not held against it.
        let took = self.timed(target, data)?;
        let took = if took > SLOW { took.min(self.timed(target, data)?) } else { took };
        if took > SLOW { Err(format!("{SLOWLY} {took:?}")) } else { Ok(()) }
    }

    fn timed(&self, target: &Target, data: &[u8]) -> Result<Duration, String> {
        self.begin(target, data);
        let begun = Instant::now();
        let done = panics::quietly(|| (target.of)(data));
        let took = begun.elapsed();
        self.end();
        done.map(|()| took)
    }

    fn begin(&self, target: &Target, data: &[u8]) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let number = busy.len();
        let mine = busy.entry(me()).or_insert_with(|| {
            let path = self.folder.join(format!("last-{number}"));
            let file = Arc::new(File::create(&path).expect("a file of ours can be written"));
            Busy { looks: None, file, path }
        });
        mine.looks = Some(0);
        let file = Arc::clone(&mine.file);
        drop(busy);
        // Shortening the file each time would cost more than the input, so its length stands in its first line.
        let told = [format!("{} {}\n", target.name, data.len()).as_bytes(), data].concat();
        file.write_all_at(&told, 0).expect("a file of ours can be written");
    }

    fn end(&self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = busy.get_mut(&me()) {
            mine.looks = None;
        }
    }

    /// Cuts a failing input down, keeps it, and tells it.
    pub fn tell(&self, target: &Target, data: &[u8], wrong: &str) -> Violation {
        let slow = self.attempt(target, data).is_err_and(|why| why.starts_with(SLOWLY));
        let tries = if slow { 20 } else { SMALLER_TRIES };
        let smallest = mutate::smallest(data, |less| self.attempt(target, less).is_err(), tries);
        let why = self.attempt(target, &smallest).err().unwrap_or_else(|| wrong.to_owned());
        let case = hex(&smallest);
        let path = self.folder.join(format!("{}-{:016x}", target.name, sum(&smallest)));
        let kept = std::fs::write(&path, &smallest).is_ok();
        let input = if smallest.len() > HEX_BYTES_MAX && kept { path.display().to_string() } else { case };
        let told = format!("{}: {why}\n  the input: {:?}", target.name, String::from_utf8_lossy(&smallest));
        Violation { what: told.chars().take(4_000).collect(), replay: format!("{}:{input}", target.name) }
    }
}

fn me() -> String {
    let id: ThreadId = std::thread::current().id();
    format!("{id:?}")
}

/// Ends the proof when an input hangs, and says which.
fn watch(busy: Weak<Mutex<BTreeMap<String, Busy>>>) {
    std::thread::spawn(move || {
        while let Some(shared) = busy.upgrade() {
            let stuck = {
                let mut busy = shared.lock().unwrap_or_else(PoisonError::into_inner);
                busy.values_mut().filter_map(|one| one.looks.as_mut()).for_each(|looks| *looks += 1);
                let stuck = busy.values().find(|one| one.looks.is_some_and(|looks| looks > LOOKS_MAX));
                stuck.map(|one| one.path.display().to_string())
            };
            if let Some(path) = stuck {
                eprintln!("fuzz: an input hangs\n  cargo xtask prove --only fuzz --replay 'last:{path}'");
                std::process::exit(101);
            }
            drop(shared);
            std::thread::sleep(Duration::from_secs(1));
        }
    });
}

/// Whether an input makes a target panic; nobody keeps the panic off the terminal.
pub fn fails(target: &Target, data: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.of)(data))).is_err()
}

/// The first of so many inputs that fails, cut down.
pub fn first(target: &Target, inputs: u64) -> Option<Violation> {
    let corpus = corpus(target.name).expect("every target has a corpus");
    let failing = (0..inputs).map(|number| made(&corpus, number)).find(|data| fails(target, data))?;
    let smallest = mutate::smallest(&failing, |less| fails(target, less), SMALLER_TRIES);
    let what = format!("{} panics at {:?}", target.name, String::from_utf8_lossy(&smallest));
    Some(Violation { what, replay: format!("{}:{}", target.name, hex(&smallest)) })
}

/// The input of a number.
fn made(corpus: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut dice = fastrand::Rng::with_seed(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mutate::input(corpus, number, &mut dice)
}

/// Runs a target over its corpus and what is made of it.
pub fn row(effort: &Effort, target: &Target, attempts: &Attempts) -> anyhow::Result<Row> {
    let corpus = corpus(target.name)?;
    let floor = effort.of(target.ci, target.long);
    let seeds = corpus.len();
    let what = format!("{} inputs", target.name);
    let batch = |batch: u64| {
        for number in batch * BATCH..(batch + 1) * BATCH {
            let data = made(&corpus, number);
            if let Err(wrong) = attempts.attempt(target, &data) {
                return Err(attempts.tell(target, &data, &wrong));
            }
        }
        Ok(BATCH)
    };
    let row = workers::each(effort, &what, floor.div_ceil(BATCH), batch);
    let mut violations = row.violations;
    // One fault is found over and over.
    violations.sort_by(|one, other| one.replay.len().cmp(&other.replay.len()).then(one.replay.cmp(&other.replay)));
    violations.dedup_by(|one, other| one.replay == other.replay);
    let note = format!("from {seeds} of the corpus, {:.0}/s", rate(row.done, row.seconds));
    Ok(Row { what, floor, note, violations, ..row })
}

fn rate(done: u64, seconds: f64) -> f64 {
    f64::from(u32::try_from(done).unwrap_or(u32::MAX)) / seconds.max(0.001)
}

/// The committed inputs of a target, in name order.
pub fn corpus(name: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    anyhow::ensure!(!paths.is_empty(), "{} holds nothing", folder.display());
    paths.iter().map(|path| Ok(std::fs::read(path)?)).collect()
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The target's name and the input of a file that a thread was busy with when the process ended.
pub fn last(file: &[u8]) -> anyhow::Result<(String, Vec<u8>)> {
    let end = file.iter().position(|byte| *byte == b'\n').ok_or_else(|| anyhow::anyhow!("it was not begun"))?;
    let head = std::str::from_utf8(&file[..end])?;
    let (name, bytes) = head.split_once(' ').ok_or_else(|| anyhow::anyhow!("`{head}` begins no such file"))?;
    let data = file.get(end + 1..end + 1 + bytes.parse::<usize>()?);
    Ok((name.to_owned(), data.ok_or_else(|| anyhow::anyhow!("it was cut short"))?.to_vec()))
}

/// Bytes from hexadecimal digits.
pub fn unhex(text: &str) -> anyhow::Result<Vec<u8>> {
    anyhow::ensure!(text.len().is_multiple_of(2) && text.is_ascii(), "neither a file nor hexadecimal: {text}");
    let byte = |at| Ok(u8::from_str_radix(&text[at..at + 2], 16)?);
    (0..text.len()).step_by(2).map(byte).collect()
}
