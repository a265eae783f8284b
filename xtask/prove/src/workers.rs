//! A thread for each core, or several where cases wait, each with cases of its own; long work shows how far it is.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::tier::{Effort, Row, Violation};

/// From one line of progress to the next, on a terminal and elsewhere.
const GLANCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Violations after which a row is given up: something is plainly wrong.
const VIOLATIONS_MAX: usize = 50;
/// Threads for each core where cases wait: one that is turned away by a store tries for half a second.
const WAITING_EACH: usize = 6;

/// Runs the cases `0..count`, each in whatever thread is free, until all are done, time is over or too much is wrong.
///
/// A case answers what it counted, or what is wrong.
pub fn each(effort: &Effort, what: &str, count: u64, case: impl Fn(u64) -> Result<u64, Violation> + Sync) -> Row {
    run(effort, (what, 1), count, &case)
}

/// The same for cases that wait most of their time, for locks and for other threads.
pub fn each_waiting(
    effort: &Effort,
    what: &str,
    count: u64,
    case: impl Fn(u64) -> Result<u64, Violation> + Sync,
) -> Row {
    run(effort, (what, WAITING_EACH), count, &case)
}

/// The same for any kind of case, compiled once.
fn run(
    effort: &Effort,
    (what, each): (&str, usize),
    count: u64,
    case: &(dyn Fn(u64) -> Result<u64, Violation> + Sync),
) -> Row {
    let begun = Instant::now();
    let (next, counted) = (AtomicU64::new(0), AtomicU64::new(0));
    let violations = Mutex::new(Vec::new());
    let told = Mutex::new(begun);
    let work = || {
        while !effort.is_over() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count || violations.lock().expect("no worker panics").len() >= VIOLATIONS_MAX {
                break;
            }
            match case(number) {
                Ok(more) => drop(counted.fetch_add(more, Ordering::Relaxed)),
                Err(violation) => {
                    // The rest may take hours.
                    eprintln!("  {what}: {}: {}", violation.replay, violation.what.lines().next().unwrap_or_default());
                    violations.lock().expect("no worker panics").push(violation);
                }
            }
            tell(&told, what, number, count);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads * each {
            scope.spawn(work);
        }
    });
    Row {
        what: what.to_owned(),
        done: counted.into_inner(),
        floor: 0,
        violations: violations.into_inner().expect("no worker panics"),
        seconds: begun.elapsed().as_secs_f64(),
        note: String::new(),
    }
}

fn tell(told: &Mutex<Instant>, what: &str, number: u64, count: u64) {
    let Ok(mut last) = told.try_lock() else { return };
    let glance = if std::io::stderr().is_terminal() { GLANCE.0 } else { GLANCE.1 };
    if last.elapsed() >= glance {
        *last = Instant::now();
        eprintln!("  {what}: {number} of {count}");
    }
}
