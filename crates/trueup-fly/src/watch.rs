//! Keeps watch where something is on its way, and rings when it has got there.
//!
//! The platform tells nobody anything: this asks, an app that moves each second, a quiet one with checks as often as these
//! may turn, and the whole organisation now and then. A hint only: what rings makes somebody look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trueup_seams::Nudge;
use trueup_types::AppName;
use trueup_types::observed::{Health, Phase};

use crate::book::AppBook;
use crate::runtime::Inner;

/// From one round to the next.
const ROUND: Duration = Duration::from_millis(500);
/// From one listing of the organisation to the next, where nobody else has asked for one.
const AROUND: Duration = Duration::from_secs(15);
/// Longest a look may take.
const LOOK: Duration = Duration::from_secs(9);

/// What people would notice of each machine.
type Picture = BTreeMap<String, String>;

/// Watches until it is aborted, with the runtime.
pub(crate) async fn keep_watch(inner: Arc<Inner>) {
    let mut pictures: BTreeMap<AppName, Picture> = BTreeMap::new();
    let mut around = Instant::now();
    loop {
        tokio::time::sleep(ROUND).await;
        if around.elapsed() >= AROUND {
            around = Instant::now();
            if let Err(why) = inner.look_around().await {
                tracing::debug!(why, "nobody was seen");
            }
        }
        let now = Instant::now();
        let due: Vec<_> = inner
            .books()
            .iter()
            .filter(|(_, book)| book.dirty || book.is_due(now))
            .map(|(fly, _)| fly.clone())
            .collect();
        for fly in due {
            if let Err(why) = inner.refresh(&fly, LOOK).await {
                tracing::debug!(why, "an app was not seen");
            }
        }
        inner.ask_the_public();
        inner.mind_certificates();
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
