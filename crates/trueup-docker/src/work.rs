//! What takes long, a pull or a build, is done in a task of its own: a step looks how far it is, and the driver looks again.
//!
//! One for each thing that is wanted, whoever wants it. How it ends is told to whoever asks next; an end that nobody asked
//! for in time is forgotten, since the world has moved on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use trueup_seams::{Nudge, Underway};
use trueup_types::AppName;
use trueup_types::step::{Refusal, StepOutcome};

use crate::moment::Clocks;
use crate::runtime::Inner;

/// Longest that a step waits: what is nearly there is done at once, and nothing else of the app waits for long.
const WAIT: Duration = Duration::from_millis(700);
/// When a step asks again how far it is; the end itself wakes the app.
const GLANCE: Duration = Duration::from_secs(1);
/// For how long an end that nobody has asked for is worth anything, in milliseconds.
const STALE_MILLIS: u64 = 60_000;
/// Most lines kept between two looks; the older ones are forgotten.
const SAID_MAX: usize = 50;
/// Longest line kept, in characters.
const LINE_CHARS_MAX: usize = 400;

/// All that is under way, by what it is for.
#[derive(Default)]
pub(crate) struct Works(Mutex<BTreeMap<String, Arc<Work>>>);

/// One thing that takes long.
pub(crate) struct Work {
    far: watch::Sender<Far>,
    /// Bytes, of how many.
    bytes: Mutex<Option<(u64, u64)>>,
    said: Mutex<VecDeque<String>>,
}

/// How far it is.
#[derive(Debug, Clone)]
enum Far {
    Underway(String),
    Ended { result: Result<(), StepOutcome>, at_millis: u64 },
}

impl Work {
    fn new() -> Self {
        Self {
            far: watch::Sender::new(Far::Underway("begun".to_owned())),
            bytes: Mutex::default(),
            said: Mutex::default(),
        }
    }

    /// How far it is, in one line.
    pub(crate) fn is_at(&self, how_far: String) {
        self.far.send_replace(Far::Underway(how_far));
    }

    /// How many bytes of how many are done, where both are known.
    pub(crate) fn counts(&self, bytes: Option<(u64, u64)>) {
        *self.bytes.lock().expect("no holder panics") = bytes;
    }

    /// A line for the events.
    pub(crate) fn say(&self, line: &str) {
        let line: String = line.trim_end().chars().take(LINE_CHARS_MAX).collect();
        let mut said = self.said.lock().expect("no holder panics");
        if !line.is_empty() && said.back() != Some(&line) {
            said.push_back(line);
        }
        if said.len() > SAID_MAX {
            said.pop_front();
        }
    }

    fn take_said(&self) -> Vec<String> {
        self.said.lock().expect("no holder panics").drain(..).collect()
    }
}

impl Works {
    /// What has not ended yet.
    pub(crate) fn underway(&self) -> Vec<Underway> {
        let all = self.0.lock().expect("no holder panics");
        let one = |(what, work): (&String, &Arc<Work>)| match &*work.far.borrow() {
            Far::Underway(told) => Some(Underway {
                what: what.clone(),
                told: told.clone(),
                bytes: *work.bytes.lock().expect("no holder panics"),
            }),
            Far::Ended { .. } => None,
        };
        all.iter().filter_map(one).collect()
    }

    /// What is under way, or has ended and nobody has asked how.
    pub(crate) fn find(&self, key: &str) -> Option<Arc<Work>> {
        let mut all = self.0.lock().expect("no holder panics");
        let now = Clocks::wall().0;
        all.retain(|_, work| match &*work.far.borrow() {
            Far::Underway(_) => true,
            Far::Ended { at_millis, .. } => now.saturating_sub(*at_millis) < STALE_MILLIS,
        });
        all.get(key).cloned()
    }
}

impl Inner {
    /// Has something done, once at a time for each key; `Ok` once it is. Whose step asked is woken when it ends.
    pub(crate) async fn see_through<F>(
        self: &Arc<Self>,
        key: &str,
        app: &AppName,
        begin: impl FnOnce(Arc<Work>) -> F,
    ) -> Result<(), StepOutcome>
    where
        F: Future<Output = Result<(), StepOutcome>> + Send + 'static,
    {
        let work = self.works.find(key).unwrap_or_else(|| {
            let work = Arc::new(Work::new());
            self.works.0.lock().expect("no holder panics").insert(key.to_owned(), Arc::clone(&work));
            let doing = begin(Arc::clone(&work));
            self.handle.spawn(finish(Arc::clone(self), Arc::clone(&work), app.clone(), key.to_owned(), doing));
            work
        });
        let mut far = work.far.subscribe();
        // One that is not done in time is looked at again.
        let _ = tokio::time::timeout(WAIT, far.wait_for(|far| matches!(far, Far::Ended { .. }))).await;
        let now = far.borrow().clone();
        let said = work.take_said();
        match now {
            // The last of what was said is told first; how it ended, a moment later.
            Far::Ended { .. } if !said.is_empty() => {
                Err(StepOutcome::Underway { after: Duration::ZERO, why: format!("{key}: it has ended"), said })
            }
            Far::Ended { result, .. } => {
                // Whoever needs it next asks anew.
                self.works.0.lock().expect("no holder panics").remove(key);
                result
            }
            Far::Underway(why) => Err(StepOutcome::Underway { after: GLANCE, why, said }),
        }
    }
}

/// Sees it to its end, be that a panic, and wakes who asked.
async fn finish(
    inner: Arc<Inner>,
    work: Arc<Work>,
    app: AppName,
    key: String,
    doing: impl Future<Output = Result<(), StepOutcome>> + Send + 'static,
) {
    let ended = inner.handle.spawn(doing).await;
    let result = ended.unwrap_or_else(|_| {
        let why = format!("{key} broke off, which is a bug");
        Err(StepOutcome::Refused { why: Refusal::Invalid(why) })
    });
    if let Err(outcome) = &result {
        tracing::info!(key, ?outcome, "what takes long came to nothing");
    }
    work.far.send_replace(Far::Ended { result, at_millis: Clocks::wall().0 });
    if let Some(sink) = inner.sink.get() {
        sink(Nudge::App(app));
    }
}
