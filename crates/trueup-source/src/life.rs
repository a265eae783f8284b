//! Turns the wheel: waits for an event or a moment, lists, settles, accepts, publishes.
//!
//! The listing and reading run on a blocking thread; between two of them nothing runs at all. Sinks are called after
//! the snapshot that they are told of stands.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use trueup_museum::{Bug, Carried, planted};
use trueup_seams::{Nudge, Secrets, Snapshot};
use trueup_types::desired::Doubt;
use trueup_types::status::{Condition, ConditionStatus};
use trueup_types::{Generation, Timestamp};

use crate::catalogue::{Catalogue, Changed, Pending};
use crate::interest::Interest;
use crate::reader::Reader;
use crate::secrets::{Known, Look};
use crate::settle::{News, Settled, Settler};
use crate::trees::Trees;
use crate::walk::{self, Listing, Trust, Unseen};
use crate::watch::{Watched, Watches};
use crate::{Shared, SourceConfig};

/// How often a directory is listed when the system has no watches left.
const POLL: Duration = Duration::from_secs(2);

/// Listings in one settle window while events come: a burst of a thousand costs these, and not a thousand.
const LISTINGS_PER_WINDOW: u32 = 8;

/// How soon a root that was seen in motion is listed again.
const MOVING_WAIT: Duration = Duration::from_millis(10);

/// A source's state; it moves to a blocking thread and back with each turn.
pub(crate) struct Life {
    config: SourceConfig,
    wake: Arc<Notify>,
    watches: Watches,
    settler: Settler,
    catalogue: Catalogue,
    trees: Trees,
    secrets: Known,
    keeper: Arc<dyn Secrets>,
    /// The listing that counts.
    counts: Option<Listing>,
    /// Of the first root that was seen in this life.
    device: Option<u64>,
    /// When everything was last read, whatever its stat said.
    read_at: Option<Instant>,
}

/// What one turn came to.
struct Turn {
    /// When to list again without an event.
    next: Instant,
    /// A snapshot to publish, and what it changed.
    news: Option<(Snapshot, Changed)>,
}

impl Life {
    pub(crate) fn new(
        config: SourceConfig,
        reader: Arc<dyn Reader>,
        keeper: Arc<dyn Secrets>,
        wake: &Arc<Notify>,
    ) -> Self {
        Self {
            watches: Watches::new(wake),
            wake: Arc::clone(wake),
            settler: Settler::new(config.settle),
            catalogue: Catalogue::new(reader),
            trees: Trees::default(),
            secrets: Known::default(),
            keeper,
            counts: None,
            device: None,
            read_at: None,
            config,
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self, shared: Arc<Shared>) {
        let gap = self.config.settle / LISTINGS_PER_WINDOW;
        let mut next = Instant::now();
        let mut listed = None;
        let wake = Arc::clone(&self.wake);
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = wake.notified() => {}
            }
            if let Some((began, ended)) = listed {
                // A listing that takes long leaves as much time to others.
                let rest: Duration = gap.max(Instant::saturating_duration_since(&ended, began));
                tokio::time::sleep_until((ended + rest).min(next.max(ended))).await;
            }
            let began = Instant::now();
            let bugs = Carried::here();
            let turned = tokio::task::spawn_blocking(move || {
                bugs.plant();
                let turn = self.turn(began);
                (self, turn)
            });
            self = match turned.await {
                Ok((life, turn)) => {
                    next = turn.next;
                    if let Some((snapshot, changed)) = turn.news {
                        publish(&shared, snapshot, changed);
                    }
                    life
                }
                Err(ended) if ended.is_panic() => return mourn(&shared),
                // The runtime ends.
                Err(_) => return,
            };
            listed = Some((began, Instant::now()));
        }
    }

    fn turn(&mut self, now: Instant) -> Turn {
        let full = self.read_at.is_none_or(|at| now.saturating_duration_since(at) >= self.config.rescan);
        let trust = if full { Trust::Nothing } else { Trust::Stat };
        let before = self.settler.pending().or(self.counts.as_ref());
        let mut listing = match walk::list(&self.config.root, before, trust, now) {
            Ok(listing) => listing,
            Err(Unseen::Moving) => return Turn { next: now + self.config.settle.max(MOVING_WAIT), news: None },
            Err(Unseen::Doubt(why)) => {
                // The parent of the root tells when it is back.
                self.watches.set(&Interest::in_root(&self.config.root));
                return self.doubt(why, now);
            }
        };
        if full {
            self.read_at = Some(now);
        }
        self.trees.add_to(&mut listing.interest);
        self.secrets.add_to(&self.config.root, &mut listing.interest);
        let watched = self.watches.set(&listing.interest);
        if let Some(why) = self.suspicion(&listing) {
            return self.doubt(why, now);
        }
        self.device = Some(listing.device);
        let listing = self.carried(listing);
        let news = self.news(&listing);
        match self.settler.offer(listing, self.counts.as_ref(), news, now) {
            Settled::Wait(at) => Turn { next: at, news: None },
            Settled::Counts(listing) => self.counted(*listing, watched, now),
        }
    }

    /// How a listing differs from the one that counts.
    fn news(&self, listing: &Listing) -> News {
        let Some(counts) = &self.counts else { return News::Any };
        let Ok(root) = self.config.root.canonicalize() else { return News::Any };
        let arrivals = self.watches.arrivals();
        let new = listing.newer_than(counts);
        let came = |file: &&str| arrivals.holds(&root.join(file));
        let whole = new.is_some_and(|new| !new.is_empty() && new.iter().all(came));
        drop(arrivals);
        if whole && self.catalogue.keeps_all(listing) { News::Whole } else { News::Any }
    }

    fn counted(&mut self, listing: Listing, watched: Watched, now: Instant) -> Turn {
        let same = self.counts.as_ref().is_some_and(|counts| counts.same(&listing));
        let changed = if same { self.catalogue.confirm() } else { self.catalogue.accept(&listing) };
        self.counts = Some(listing);
        self.watches.arrivals().forget();
        let looked = self.trees.look(&self.config.root, self.catalogue.snapshot(), self.config.settle, now);
        let (root, settle) = (&self.config.root, self.config.settle);
        let look = Look { root, keeper: self.keeper.as_ref(), settle, now };
        let read = self.secrets.look(self.catalogue.secrets(), self.catalogue.snapshot(), &look);
        let changed = changed.and(looked.changed).and(read.changed);
        let soon = self.catalogue.pending() == Pending::SecondScan
            || watched == Watched::More
            || looked.restless
            || read.restless;
        let next = if soon { now + self.config.settle } else { now + self.idle() };
        let next = self.settler.pending().map_or(next, |_| now + self.config.settle);
        Turn { next, news: Some((self.with_conditions(), changed)) }
    }

    fn doubt(&mut self, why: String, now: Instant) -> Turn {
        self.settler.reset();
        let changed = self.catalogue.doubt(why);
        let next = now + POLL.min(self.config.rescan);
        let news = (changed == Changed::All).then(|| (self.with_conditions(), changed));
        Turn { next, news }
    }

    /// Why a root that can be listed is not believed.
    fn suspicion(&self, listing: &Listing) -> Option<String> {
        let root = self.config.root.display();
        if self.device.is_some_and(|device| device != listing.device) {
            return Some(format!("{root} lies on another device than before; a restart accepts it"));
        }
        (listing.is_empty() && !planted(Bug::TrustsEmptyRoot)).then(|| format!("{root} holds no manifest"))
    }

    /// What lies where nothing could be seen stays as it was.
    fn carried(&self, mut listing: Listing) -> Listing {
        let Some(counts) = &self.counts else { return listing };
        let below = |gap: &str, file: &str| {
            gap.is_empty() || file == gap || file.strip_prefix(gap).is_some_and(|rest| rest.starts_with('/'))
        };
        let kept: Vec<_> =
            counts.files.iter().filter(|(file, _)| listing.gaps.keys().any(|gap| below(gap, file))).collect();
        for (file, seen) in kept {
            listing.files.entry(file.clone()).or_insert_with(|| seen.clone());
        }
        listing
    }

    fn idle(&self) -> Duration {
        if planted(Bug::TrustsEventsAlone) {
            return Duration::from_secs(86_400);
        }
        if self.watches.degraded().is_some() { POLL.min(self.config.rescan) } else { self.config.rescan }
    }

    fn with_conditions(&mut self) -> Snapshot {
        let mut snapshot = self.catalogue.snapshot().clone();
        self.trees.fill(&mut snapshot);
        self.secrets.fill(&mut snapshot);
        let doubt = snapshot.doubt.as_ref().map(|doubt| ("SourceUnavailable", format!("{doubt}; nothing is deleted")));
        let degraded = self.watches.degraded();
        let degraded = degraded.map(|why| ("WatchDegraded", format!("{why}; changes are found by polling")));
        let told = doubt.into_iter().chain(degraded);
        snapshot.conditions = told.map(|(kind, message)| condition(kind, message)).collect();
        snapshot
    }
}

/// A source has no clock: who shows the condition stamps it when it first sees it.
fn condition(kind: &str, message: String) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: ConditionStatus::True,
        reason: kind.to_owned(),
        message,
        last_transition_time: Timestamp::ZERO,
        observed_generation: Generation(0),
    }
}

/// A reader that panicked took the state along: nothing is known of the source from here on, which is said.
fn mourn(shared: &Shared) {
    let why = "reading the manifests panicked, which is a bug; a restart reads them again";
    tracing::error!(why);
    let mut snapshot = shared.snapshot.read().unwrap_or_else(PoisonError::into_inner).as_ref().clone();
    snapshot.doubt = Some(Doubt::SourceUnavailable(why.to_owned()));
    snapshot.conditions = vec![condition("SourceUnavailable", why.to_owned())];
    publish(shared, snapshot, Changed::All);
}

fn publish(shared: &Shared, snapshot: Snapshot, changed: Changed) {
    let conditions_changed = {
        let mut published = shared.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *published, Arc::new(snapshot));
        before.conditions != published.conditions
    };
    let apps = match changed {
        Changed::Apps(apps) if !conditions_changed => apps,
        Changed::Apps(_) | Changed::All => {
            call(shared, &[Nudge::All]);
            return;
        }
    };
    call(shared, &nudges(apps));
}

fn nudges(apps: BTreeSet<trueup_types::AppName>) -> Vec<Nudge> {
    apps.into_iter().map(Nudge::App).collect()
}

/// Sinks are called without the lock: one may listen again.
fn call(shared: &Shared, nudges: &[Nudge]) {
    let sinks = shared.sinks.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for sink in &sinks {
        for nudge in nudges {
            sink(nudge.clone());
        }
    }
}

#[cfg(test)]
#[path = "../tests/directory/toy.rs"]
#[allow(dead_code, reason = "the tests of the whole source read more kinds of lines")]
mod toy;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use trueup_seams::NoSecrets;

    use super::*;

    const SETTLE: Duration = Duration::from_secs(80);
    const WHOLE: Duration = Duration::from_secs(10);
    const PATIENCE: Duration = Duration::from_secs(20);

    type Change = fn(&Path);

    /// A source of two apps that has counted them, and the moment when it had.
    fn counted(root: &Path) -> (Life, Instant) {
        std::fs::write(root.join("web.yaml"), "app web v1").expect("writes");
        std::fs::write(root.join("api.yaml"), "app api v1").expect("writes");
        let config = SourceConfig { root: root.to_owned(), settle: SETTLE, rescan: SETTLE * 100 };
        let mut life = Life::new(config, Arc::new(toy::Toy::default()), Arc::new(NoSecrets), &Arc::default());
        let mut now = Instant::now();
        while life.catalogue.snapshot().scans < 2 {
            now = life.turn(now).next;
        }
        (life, now)
    }

    /// Renames a text into its place, and waits until the watcher has said so.
    fn rename(life: &Life, file: &str, text: &str) {
        let root = life.config.root.canonicalize().expect("it is there");
        let aside = root.join(".aside");
        std::fs::write(&aside, text).expect("writes");
        std::fs::rename(&aside, root.join(file)).expect("renames");
        let began = Instant::now();
        while !life.watches.arrivals().holds(&root.join(file)) {
            assert!(began.elapsed() < PATIENCE, "the watcher says nothing of {file}");
            std::thread::yield_now();
        }
    }

    /// How long a listing at this moment has to hold still.
    fn wait(life: &mut Life, now: Instant) -> Duration {
        let turn = life.turn(now);
        assert!(turn.news.is_none(), "nothing counts at once");
        turn.next - now
    }

    #[test]
    fn what_was_renamed_into_its_place_waits_only_for_the_rest_of_its_set() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut life, now) = counted(dir.path());
        rename(&life, "web.yaml", "app web v2");
        rename(&life, "late.yaml", "app late v1");
        assert_eq!(wait(&mut life, now), WHOLE);
        let (_, changed) = life.turn(now + WHOLE).news.expect("it counts");
        assert_eq!(changed, Changed::Apps(["late", "web"].map(toy::name).into()));
        // What was renamed before says nothing of what is written now.
        std::fs::write(dir.path().join("web.yaml"), "app web v3").expect("writes");
        assert_eq!(wait(&mut life, now + WHOLE * 2), SETTLE);
    }

    #[test]
    fn where_anything_is_written_missed_or_wrong_all_hold_still_as_long_as_ever() {
        let beside: [(&str, Change); 4] = [
            ("half a file", |root| std::fs::write(root.join("late.yaml"), "app late v1").expect("writes")),
            ("a file goes", |root| std::fs::remove_file(root.join("api.yaml")).expect("removes")),
            ("an app goes from a file", |root| std::fs::write(root.join("api.yaml"), "").expect("writes")),
            ("a fault", |root| std::fs::write(root.join("late.yaml"), "nonsense").expect("writes")),
        ];
        for (what, change) in beside {
            let dir = tempfile::tempdir().expect("a directory");
            let (mut life, now) = counted(dir.path());
            change(dir.path());
            rename(&life, "web.yaml", "app web v2");
            assert_eq!(wait(&mut life, now), SETTLE, "{what}");
        }
        for (what, text) in [("an app moves away", "app other v1"), ("a fault", "app web v2\nnonsense")] {
            let dir = tempfile::tempdir().expect("a directory");
            let (mut life, now) = counted(dir.path());
            rename(&life, "web.yaml", text);
            assert_eq!(wait(&mut life, now), SETTLE, "{what}");
        }
    }
}
