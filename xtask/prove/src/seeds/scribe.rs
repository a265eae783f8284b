//! Writes down what a daemon says to its store: how often it saves, and, when asked, what.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use trueup_seams::store::StoreResult;
use trueup_seams::{BoxFuture, DaemonRecord, Memory, Store, StoreHealth};
use trueup_types::record::Rollout;
use trueup_types::status::Event;
use trueup_types::{AppName, AppRecord};

/// A store with a scribe before it.
pub struct Scribe {
    inner: Arc<dyn Store>,
    saves: AtomicU64,
    /// What was said, where it is kept: the whole record and a line for people.
    said: Option<Mutex<Vec<String>>>,
    /// The daemon's own words about bugs: the laws its plans would have broken.
    bugs: Mutex<Vec<String>>,
}

impl Scribe {
    /// A scribe before a store, who keeps what is said or only counts it.
    pub fn new(inner: Arc<dyn Store>, keeps: bool) -> Arc<Self> {
        let said = keeps.then(Mutex::default);
        Arc::new(Self { inner, saves: AtomicU64::new(0), said, bugs: Mutex::default() })
    }

    /// Whether what is said is kept.
    pub fn keeps(&self) -> bool {
        self.said.is_some()
    }

    /// How many records were saved or forgotten.
    pub fn saves(&self) -> u64 {
        self.saves.load(Ordering::Relaxed)
    }

    /// What was said, where it is kept.
    pub fn said(&self) -> Vec<String> {
        self.said.as_ref().map(|said| said.lock().expect("no scribe panics").clone()).unwrap_or_default()
    }

    /// The bugs that daemons have noticed in themselves.
    pub fn bugs(&self) -> Vec<String> {
        self.bugs.lock().expect("no scribe panics").clone()
    }

    fn write(&self, line: impl FnOnce() -> String) {
        if let Some(said) = &self.said {
            said.lock().expect("no scribe panics").push(line());
        }
    }
}

impl Store for Scribe {
    fn load(&self) -> BoxFuture<'_, StoreResult<Memory>> {
        self.inner.load()
    }

    fn save<'a>(&'a self, app: &'a AppName, record: &'a AppRecord) -> BoxFuture<'a, StoreResult<()>> {
        self.saves.fetch_add(1, Ordering::Relaxed);
        self.write(|| format!("save {app} {}\n  {}", brief(record), serde_json::json!(record)));
        self.inner.save(app, record)
    }

    fn forget<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StoreResult<()>> {
        self.saves.fetch_add(1, Ordering::Relaxed);
        self.write(|| format!("forget {app}"));
        self.inner.forget(app)
    }

    fn save_daemon<'a>(&'a self, record: &'a DaemonRecord) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.save_daemon(record)
    }

    fn append_events<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>> {
        let bugs = events.iter().filter(|event| event.reason == "Bug").map(|event| event.message.clone());
        self.bugs.lock().expect("no scribe panics").extend(bugs);
        for event in events {
            self.write(|| {
                let app = event.app.as_ref().map_or("daemon", AppName::as_str);
                format!("{} {app} {}: {}", event.last, event.reason, event.message)
            });
        }
        self.inner.append_events(events)
    }

    fn settled(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.inner.settled()
    }

    fn health(&self) -> StoreHealth {
        self.inner.health()
    }
}

/// A record in a line.
pub fn brief(record: &AppRecord) -> String {
    let passage = match &record.rollout {
        Rollout::Idle => "idle".to_owned(),
        Rollout::Underway { to, stage, .. } => format!("toward {to} ({stage:?})"),
        Rollout::Baking { to, .. } => format!("baking {to}"),
        Rollout::Reverting { from, .. } => format!("reverting {from}"),
    };
    let current = record.current.map_or_else(|| "nothing".to_owned(), |current| current.to_string());
    let rejected: Vec<_> = record.rejected.values().map(|one| one.revision.to_string()).collect();
    let pin = record.pin.as_ref().map(|pin| format!(" pinned to {}", pin.to)).unwrap_or_default();
    format!("{} {current} good, {passage}, rejected [{}]{pin}", record.generation, rejected.join(" "))
}
