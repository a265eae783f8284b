//! A process that has several stores at once, a thread for each, and writes to them while its writes are made to fail.
//!
//! The proof runs itself again as this child, under strace ([`super::late`]). What it says, a line each, is what was
//! acknowledged (`store number`), `refused`, and how each store ended: `well store number` or `wrong store why`. A line of
//! its input says that nothing fails any more; when its input ends, so does it, whatever it is waiting for.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use trueup_seams::{Store as _, StoreHealth};
use trueup_store::SledStore;

use super::written::{Written, healed};
use crate::panics::EngineHush;
use crate::waiting::real;

/// Stores in one process.
pub const STORES: usize = 4;

/// Longest that a save may take, be it refused: the engine tries what wakes a sleeper after 1, 2 and 4 s.
const SAVE_MAX: Duration = Duration::from_secs(15);
/// Longest that a store may take to open or to close.
const OPEN_MAX: Duration = Duration::from_secs(15);
/// From a refused save to the next.
const AGAIN: Duration = Duration::from_millis(40);
/// Refusals in a row by a store that says that all is well: one may be healed before it is asked how it stands.
const UNSAID_MAX: u32 = 4;

/// Whether nothing fails any more.
static OVER: AtomicBool = AtomicBool::new(false);

/// Where a store of the crowd lies.
pub fn state(folder: &Path, store: usize) -> PathBuf {
    folder.join(format!("state-{store}"))
}

/// The child's life.
pub fn write_until_told(folder: &Path) -> anyhow::Result<()> {
    let _hush = EngineHush::new();
    std::thread::Builder::new().name("told".to_owned()).spawn(|| {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            OVER.store(line == "over", Ordering::Relaxed);
        }
        // Whoever started this has gone.
        std::process::exit(1);
    })?;
    std::thread::scope(|scope| {
        for store in 0..STORES {
            scope.spawn(move || match live(folder, store) {
                Ok(done) => say(&format!("well {store} {done}")),
                Err(why) => say(&format!("wrong {store} {}", why.replace('\n', " "))),
            });
        }
    });
    Ok(())
}

/// Writes to one store until nothing fails any more, and holds what it says then against what was acknowledged.
fn live(folder: &Path, number: usize) -> Result<u64, String> {
    let state = state(folder, number);
    let mut written = Written::after(0);
    let store = within("opening", OPEN_MAX, || SledStore::open(&state))?.map_err(|why| format!("no store: {why}"))?;
    real(async {
        let mut unsaid = 0;
        while !OVER.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let done = written.next(&store).await;
            if begun.elapsed() > SAVE_MAX {
                return Err(format!("a save took {:?}, and ended with {done:?}", begun.elapsed()));
            }
            if done.is_ok() {
                say(&format!("{number} {}", written.done));
                continue;
            }
            unsaid = if store.health() == StoreHealth::Good { unsaid + 1 } else { 0 };
            say(if unsaid == 0 { "refused" } else { "refused in silence" });
            if unsaid > UNSAID_MAX {
                return Err(format!("it refuses again and again, and says that all is well: {done:?}"));
            }
            tokio::time::sleep(AGAIN).await;
        }
        healed(&store).await?;
        written.hold(&store).await?;
        written.next(&store).await.map_err(|why| format!("it healed, and refuses: {why}"))?;
        written.hold(&store).await
    })?;
    within("closing", OPEN_MAX, || drop(store))?;
    let again = within("opening again", OPEN_MAX, || SledStore::open(&state))?;
    real(written.hold(&again.map_err(|why| format!("it does not open again: {why}"))?))?;
    Ok(written.done)
}

fn within<T>(what: &str, most: Duration, call: impl FnOnce() -> T) -> Result<T, String> {
    let begun = Instant::now();
    let done = call();
    if begun.elapsed() > most { Err(format!("{what} took {:?}", begun.elapsed())) } else { Ok(done) }
}

fn say(line: &str) {
    // Nobody listens any more: then its input has ended, too.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
