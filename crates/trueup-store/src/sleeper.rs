//! An engine of this process of which a thread has fallen asleep in the middle of a write, as a write that fails late
//! leaves it: it holds whatever sled holds meanwhile. For who proves that no store waits for another's.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::journal::Journal;

/// The thread; it is woken, and the engine closed, when this is dropped.
#[derive(Debug)]
pub struct Sleeper {
    waker: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sleeper {
    /// Opens an engine in a directory of its own, and comes back once a write to it sleeps.
    ///
    /// # Errors
    /// What the engine says, where it does not open; or that nothing sleeps.
    pub fn begin(dir: &Path) -> Result<Self, String> {
        let journal = Journal::open(dir).map_err(|why| why.to_string())?;
        let ((waker, woken), (asleep, falls_asleep)) = (channel(), channel());
        let held = Mutex::new((asleep, woken));
        let thread = journal.dreaming(move || {
            let (asleep, woken) = &*held.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = asleep.send(());
            let _ = woken.recv();
        });
        falls_asleep.recv().map_err(|_| "the write ended by itself".to_owned())?;
        Ok(Self { waker: Some(waker), thread: Some(thread) })
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        drop(self.waker.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
