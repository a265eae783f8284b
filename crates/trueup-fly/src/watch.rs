//! Keeps watch where something is on its way, and rings when it has got there.
//!
//! The platform tells nobody anything by itself: this waits for what is on its way, looks at each app when it is due
//! (`due`), and at the whole organisation now and then. A hint only: what rings makes somebody look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use trueup_seams::{BoxFuture, Nudge};
use trueup_types::AppName;
use trueup_types::observed::{Health, Phase};

use crate::book::AppBook;
use crate::client::{Call, encoded};
use crate::due::{Await, CHECKED};
use crate::fault::Fault;
use crate::runtime::Inner;

/// From one round to the next.
const ROUND: Duration = Duration::from_millis(500);
/// Longest that one call waits, in seconds: the most that the platform lets it (working with the Machines API, `wait`).
const WAIT_SECONDS: u64 = 60;
/// How much later than that its answer may come.
const SLACK: Duration = Duration::from_secs(5);
/// Most calls that wait at a time: a connection each.
const WAITS_MAX: usize = 64;

/// What people would notice of each machine.
type Picture = BTreeMap<String, String>;
/// Calls that wait, each for something of one app there.
type Waits = FuturesUnordered<BoxFuture<'static, (String, Result<(), Fault>)>>;

/// Watches until it is aborted, with the runtime.
pub(crate) async fn keep_watch(inner: Arc<Inner>) {
    let mut pictures: BTreeMap<AppName, Picture> = BTreeMap::new();
    let mut waits = Waits::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            Some((fly, ended)) = waits.next(), if !waits.is_empty() => inner.waited(&fly, ended),
        }
        // Looks at each app that is due; what failed is due again.
        if let Err(why) = inner.look_around().await {
            tracing::debug!(why, "not all was seen");
        }
        inner.mind_standbys();
        inner.ask_the_public();
        inner.mind_certificates();
        inner.mind_records();
        inner.await_more(&mut waits);
        let new = inner.picture();
        if let Some(sink) = inner.sink.get() {
            for (app, picture) in &new {
                if pictures.get(app) != Some(picture) {
                    sink(Nudge::App(app.clone()));
                }
            }
            for app in pictures.keys().filter(|app| !new.contains_key(*app)) {
                sink(Nudge::App(app.clone()));
            }
        }
        pictures = new;
    }
}

impl Inner {
    /// Waits for what is on its way, one machine of each app.
    fn await_more(self: &Arc<Self>, waits: &mut Waits) {
        let now = Instant::now();
        for (fly, book) in self.books().iter_mut() {
            if waits.len() >= WAITS_MAX {
                return;
            }
            if let Some(wanted) = book.to_await(now) {
                book.awaited = true;
                let (inner, fly) = (Arc::clone(self), fly.clone());
                waits.push(Box::pin(async move {
                    let ended = inner.wait_for(&fly, &wanted).await;
                    (fly, ended)
                }));
            }
        }
    }

    async fn wait_for(&self, fly: &str, wanted: &Await) -> Result<(), Fault> {
        let id = &wanted.machine;
        let states: Vec<_> = wanted.states.iter().map(|state| format!("state={state}")).collect();
        let version = wanted.version.iter().map(|version| format!("&version={}", encoded(version))).collect::<String>();
        let query = format!("{}&timeout={WAIT_SECONDS}{version}", states.join("&"));
        let path = format!("/v1/apps/{}/machines/{}/wait?{query}", encoded(fly), encoded(id));
        let call = Call::get("Machines_wait", id, path).once_only().held(Duration::from_secs(WAIT_SECONDS) + SLACK);
        self.client.tell(call).await
    }

    /// Takes in that a call has waited: what was waited for is there, or it is not worth waiting for a while.
    fn waited(&self, fly: &str, ended: Result<(), Fault>) {
        let now = Instant::now();
        self.book(fly, |book| {
            book.awaited = false;
            match ended {
                Ok(()) => {
                    book.dirty = true;
                    // A listing that is late would have it waited for again at once.
                    book.await_from = Some(now + ROUND);
                }
                // Not yet.
                Err(fault) if fault.has_status(408) => {}
                Err(fault) => {
                    tracing::debug!(fly, %fault, "nobody waits for it");
                    book.dirty = true;
                    book.await_from = Some(now + CHECKED);
                }
            }
        });
    }

    fn picture(&self) -> BTreeMap<AppName, Picture> {
        let shown: Vec<_> = self.books().values().flat_map(AppBook::shown).cloned().collect();
        let mut pictures: BTreeMap<AppName, Picture> = BTreeMap::new();
        for known in shown {
            let one = self.sighting(&known);
            let text =
                format!("{} {} {} {:?}", one.incarnation, word(&one.phase), well(one.checks.as_ref()), one.release);
            pictures.entry(one.id.app.clone()).or_default().insert(known.machine.id.clone(), text);
        }
        pictures
    }
}

fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Created => "created",
        Phase::Starting => "starting",
        Phase::Running { .. } => "running",
        Phase::Asleep => "asleep",
        Phase::Exited { .. } => "exited",
        Phase::Vanishing { .. } => "vanishing",
    }
}

fn well(health: Option<&Health>) -> &'static str {
    match health {
        None => "",
        Some(Health::Waiting) => "waiting",
        Some(Health::Passing { .. }) => "passing",
        Some(Health::Failed { .. }) => "failed",
        Some(Health::Unknown) => "unknown",
    }
}
