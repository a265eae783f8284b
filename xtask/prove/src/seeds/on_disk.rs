//! The real store with its guard, over a directory: what a daemon on a host has.
//!
//! Each daemon opens it anew, as a process would, and what becomes of it becomes of its files. Its owner is a thread of
//! its own while simulated time stands still, so each call is waited for where it is made.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, RwLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tempfile::TempDir;
use trueup_seams::store::StoreResult;
use trueup_seams::{BoxFuture, DaemonRecord, Memory, Store, StoreError, StoreHealth};
use trueup_store::SledStore;
use trueup_types::status::Event;
use trueup_types::{AppName, AppRecord};

use super::event::Loss;
use super::shelf::Shelf;

/// A place in memory where there is one: a thousand syncs of a disk are not what is tried here.
const SHARED_MEMORY: &str = "/dev/shm";

/// A shelf with the real store on it.
pub struct OnDisk {
    dir: TempDir,
    store: Arc<Waited>,
}

impl OnDisk {
    /// A shelf in a new directory.
    pub fn new() -> anyhow::Result<Self> {
        let dir = if Path::new(SHARED_MEMORY).is_dir() { TempDir::new_in(SHARED_MEMORY)? } else { TempDir::new()? };
        let store =
            Arc::new(Waited { state: dir.path().join("state"), open: RwLock::default(), full: Mutex::new(false) });
        Ok(Self { dir, store })
    }

    fn copy(&self) -> PathBuf {
        self.dir.path().join("copy")
    }

    /// Puts what was copied in the place of what is there; with its watermark nobody can notice.
    fn put_back(&self, watermark: bool) -> std::io::Result<()> {
        let (state, copy) = (&self.store.state, self.copy());
        if !copy.is_dir() {
            return Ok(());
        }
        if watermark {
            remove(state)?;
            return copy_all(&copy, state);
        }
        remove(&state.join("store"))?;
        copy_all(&copy.join("store"), &state.join("store"))
    }
}

impl Shelf for OnDisk {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn befall(&self, loss: Loss) {
        if let Loss::Full(full) = loss {
            *self.store.full.lock().expect("no holder panics") = full;
            return;
        }
        // Files are moved while nobody holds them.
        self.store.close();
        let done = match loss {
            Loss::Copied => remove(&self.copy()).and_then(|()| copy_all(&self.store.state, &self.copy())),
            Loss::Lost => remove(&self.store.state.join("store")),
            Loss::Wiped => remove(&self.store.state),
            Loss::PutBack => self.put_back(false),
            Loss::PutBackUnnoticed => self.put_back(true),
            Loss::Full(_) => Ok(()),
        };
        done.expect("files of a directory of our own can be moved");
    }

    fn started(&self) {
        // Every daemon opens the store for itself.
        self.store.close();
    }
}

/// The real store, each call waited for; opened when it is first asked, and again after it was closed.
struct Waited {
    state: PathBuf,
    open: RwLock<Option<SledStore>>,
    full: Mutex<bool>,
}

impl Waited {
    fn close(&self) {
        drop(self.open.write().expect("no holder panics").take());
    }

    fn with<T>(&self, ask: impl FnOnce(&SledStore) -> StoreResult<T>) -> StoreResult<T> {
        if self.open.read().expect("no holder panics").is_none() {
            let opened = SledStore::open(&self.state)?;
            // The guard of a store that is held: nobody else is let in.
            let second = SledStore::open(&self.state);
            assert!(matches!(second, Err(StoreError::Locked(_))), "a second daemon was let in: {second:?}");
            *self.open.write().expect("no holder panics") = Some(opened);
        }
        let open = self.open.read().expect("no holder panics");
        ask(open.as_ref().expect("it was just opened"))
    }

    fn change<T>(&self, ask: impl FnOnce(&SledStore) -> StoreResult<T>) -> StoreResult<T> {
        if *self.full.lock().expect("no holder panics") {
            return Err(StoreError::Unavailable("no space left".to_owned()));
        }
        self.with(ask)
    }
}

impl Store for Waited {
    fn load(&self) -> BoxFuture<'_, StoreResult<Memory>> {
        Box::pin(async { self.with(|store| now(store.load())) })
    }

    fn save<'a>(&'a self, app: &'a AppName, record: &'a AppRecord) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async { self.change(|store| now(store.save(app, record))) })
    }

    fn forget<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async { self.change(|store| now(store.forget(app))) })
    }

    fn save_daemon<'a>(&'a self, record: &'a DaemonRecord) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async { self.change(|store| now(store.save_daemon(record))) })
    }

    fn append_events<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async { self.change(|store| now(store.append_events(events))) })
    }

    fn settled(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async { self.change(|store| now(store.settled())) })
    }

    fn health(&self) -> StoreHealth {
        if *self.full.lock().expect("no holder panics") {
            return StoreHealth::Degraded { why: "no space left".to_owned() };
        }
        let open = self.open.read().expect("no holder panics");
        open.as_ref().map_or(StoreHealth::Good, Store::health)
    }
}

/// Waits for an answer on this thread; simulated time stands still meanwhile.
pub fn now<T>(answer: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut answer = pin!(answer);
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(why),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
