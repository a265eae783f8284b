//! A thread that does what is asked of it, one call after another, and catches what a call panics with.
//!
//! The engine's calls run on one: they may panic, and they may never come back. One thread for all of an engine's
//! writes, as what the engine keeps in memory is then kept by one thread's share of the heap.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::engine_error::EngineError;

/// Stack, in bytes: recovery of a deep tree is the most that runs on it.
const STACK_BYTES: usize = 1024 * 1024;

/// Longest that a call may take before it is given up. To open a small store takes 10 ms.
const CALL_WAIT_MAX: Duration = Duration::from_secs(30);

type Job = Box<dyn FnOnce() + Send>;

/// A thread that waits for work; it ends after its last call when this is dropped.
pub(crate) struct Hand(Sender<Job>);

impl Hand {
    /// Starts the thread.
    pub(crate) fn new(name: &str) -> Result<Self, EngineError> {
        let (jobs, next) = std::sync::mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        match thread.spawn(move || next.into_iter().for_each(|job| job())) {
            Ok(_) => Ok(Self(jobs)),
            Err(why) => Err(EngineError::Refused(format!("no thread for the store: {why}"))),
        }
    }

    /// Has `call` done after what was asked before; its result goes to `done`, and a panic is an error.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        done: Sender<Result<T, EngineError>>,
        call: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
    ) {
        let bugs = trueup_museum::Carried::here();
        let job = move || {
            bugs.plant();
            let result = catch_unwind(AssertUnwindSafe(call));
            let result = result.unwrap_or_else(|panic| Err(EngineError::Broken(told(panic.as_ref()))));
            // Whoever asked may have given up.
            let _ = done.send(result);
        };
        // The thread outlives every job, and so every job is taken.
        let _ = self.0.send(Box::new(job));
    }
}

/// Runs `call` on a thread of its own, and waits for it up to [`CALL_WAIT_MAX`].
pub(crate) fn bounded<T: Send + 'static>(
    name: &str,
    call: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    within(CALL_WAIT_MAX, name, call)
}

/// The same, up to `wait`.
pub(crate) fn within<T: Send + 'static>(
    wait: Duration,
    name: &str,
    call: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let (done, answer) = std::sync::mpsc::channel();
    Hand::new(name)?.ask(done, call);
    answer.recv_timeout(wait).unwrap_or_else(|_| Err(EngineError::Broken("the engine does not answer".to_owned())))
}

fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("the engine panicked: {}", text.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_so_is_silence() {
        let panicked: Result<(), _> = bounded("test", || panic!("as sled does"));
        assert!(matches!(panicked, Err(EngineError::Broken(why)) if why.contains("as sled does")));
        let (ends, end) = std::sync::mpsc::channel::<()>();
        let silent = within(Duration::ZERO, "test", move || {
            let _ = end.recv();
            Ok(())
        });
        drop(ends);
        assert!(matches!(silent, Err(EngineError::Broken(why)) if why.contains("does not answer")));
    }

    #[test]
    fn it_survives_a_panic_and_does_what_is_asked_next() {
        let hand = Hand::new("test").expect("a thread");
        let (done, answer) = std::sync::mpsc::channel();
        hand.ask::<u32>(done.clone(), || panic!("torn page"));
        hand.ask(done, || Ok(7));
        let first = answer.recv().expect("an answer").expect_err("it panicked");
        assert_eq!(first.to_string(), "the engine panicked: torn page");
        assert_eq!(answer.recv().expect("an answer").expect("it did not"), 7);
    }
}
