//! Sees to it that every case ends, and that whatever ends it has a name.
//!
//! Simulated time, calls and readings of the clock are bounded where a case is played. What is left is code that never
//! comes back at all, or panics: the latter is caught here, and of the former somebody who sits beside it tells, for the
//! thread it runs on is lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use crate::panics;

/// Longest that a case may take, in real time: a thousand times as long as most, on a machine that is busy.
const CASE_MAX: Duration = Duration::from_secs(180);
/// From one look at the cases to the next.
const GLANCE: Duration = Duration::from_secs(5);

/// The cases under way, by number: how each is played again, and since when it runs.
static UNDER_WAY: Mutex<BTreeMap<u64, (String, Instant)>> = Mutex::new(BTreeMap::new());

/// Plays a case of a tier; a panic is an error.
///
/// A case that does not come back ends the program, which names it.
///
/// # Errors
/// What the panic said.
pub fn over<T>(tier: &'static str, case: &str, play: impl FnOnce() -> T) -> Result<T, String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static SITTING: Once = Once::new();
    SITTING.call_once(|| drop(std::thread::spawn(sit)));
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let replay = format!("cargo xtask prove --only {tier} --replay '{case}'");
    under_way().insert(number, (replay, Instant::now()));
    let played = panics::over(play);
    under_way().remove(&number);
    played
}

pub fn under_way() -> std::sync::MutexGuard<'static, BTreeMap<u64, (String, Instant)>> {
    UNDER_WAY.lock().expect("no holder of the cases panics")
}

fn sit() {
    loop {
        std::thread::sleep(GLANCE);
        if let Some((replay, _)) = under_way().values().find(|(_, since)| since.elapsed() >= CASE_MAX) {
            eprintln!("a case has not ended in {} s of real time:\n  {replay}", CASE_MAX.as_secs());
            std::process::exit(1);
        }
    }
}
