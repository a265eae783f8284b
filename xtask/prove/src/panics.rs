//! Notices panics, whoever swallows them: those of a task of a runtime end with the task, and its daemon may be killed
//! before anybody asks for its end.
//!
//! A case is played on one thread, so what panicked on that thread while it was played was in it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    /// What panicked on this thread since a case began.
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// Whether this thread tells of its panics: a planted bug may well end in one.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Keeps the panics of planted bugs off the terminal, on this thread.
pub fn hush() {
    watch();
    QUIET.set(true);
}

/// How many want the engine's threads to panic in silence.
static HUSHED: AtomicUsize = AtomicUsize::new(0);

/// While this lives, threads of the store's engine panic without a word: they are caught, and what comes of it is judged.
#[derive(Debug)]
pub struct EngineHush(());

impl EngineHush {
    /// Begins the silence.
    pub fn new() -> Self {
        watch();
        HUSHED.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for EngineHush {
    fn drop(&mut self) {
        HUSHED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether this thread is to panic in silence.
fn is_hushed() -> bool {
    let engine = |name: &str| name.starts_with("store-") || name.starts_with("sled");
    let of_engine = || std::thread::current().name().is_some_and(engine);
    // A thread that ends has none of its own any more.
    QUIET.try_with(Cell::get).unwrap_or_default() || (HUSHED.load(Ordering::Relaxed) > 0 && of_engine())
}

/// Plays a case; a panic in it is an error, be it one that the case goes on after.
///
/// # Errors
/// What the first panic said, and where.
pub fn over<T>(play: impl FnOnce() -> T) -> Result<T, String> {
    watch();
    SEEN.take();
    let played = catch_unwind(AssertUnwindSafe(play));
    let first = SEEN.take().into_iter().next();
    match (played, first) {
        (Ok(played), None) => Ok(played),
        (_, Some(first)) => Err(format!("it panicked: {first}")),
        (Err(panic), None) => Err(format!("it panicked: {}", said(panic.as_ref()))),
    }
}

/// The same, and nothing of it comes to the terminal.
///
/// # Errors
/// What the first panic said, and where.
pub fn quietly<T>(play: impl FnOnce() -> T) -> Result<T, String> {
    let before = QUIET.replace(true);
    let played = over(play);
    QUIET.set(before);
    played
}

/// What a panic said.
pub fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}

fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A thread that ends has nowhere to put it, and is nobody's case.
            let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
            let _ = SEEN.try_with(|seen| seen.borrow_mut().push(said(panic.payload()) + &place));
            if !is_hushed() {
                tell(panic);
            }
        }));
    });
}
