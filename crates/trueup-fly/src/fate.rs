//! What becomes of a release, as its record is to tell it: read off what there is, and told until somebody hears it.
//!
//! Who drives us says that a release is coming, that it is judged, and that nobody is watched any more, be it because all went
//! well or because all is put back. Which of the two it is shows within seconds: the one that serves alone is there for good.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;
use trueup_seams::Watch;
use trueup_types::{AppName, Revision};

use crate::book::Known;
use crate::client::{Call, encoded};
use crate::fault::Fault;
use crate::labels;
use crate::lift;
use crate::record::{KEPT_MAX, Recorded};
use crate::runtime::Inner;

/// Longest that one of these calls may take.
const CALL: Duration = Duration::from_secs(5);
/// How long it must look the same before it is said what became of a release: what follows a bad one begins within that.
const SETTLED: Duration = Duration::from_secs(10);
/// How soon is told again what nobody heard, the first time; each time twice as late.
const AGAIN: Duration = Duration::from_secs(5);
/// Times that it is told.
const TIMES: u32 = 8;

/// How a release does, in flyctl's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Fate {
    Running,
    Complete,
    Failed,
    Interrupted,
}

impl Fate {
    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What is known of rollouts and not written down.
#[derive(Debug, Default)]
pub(crate) struct Records {
    apps: Mutex<BTreeMap<AppName, Minded>>,
}

#[derive(Debug, Default)]
pub(crate) struct Minded {
    /// One record of an app is made at a time.
    pub making: Arc<tokio::sync::Mutex<()>>,
    watch: Watch,
    /// How often anybody has said how the rollout stands.
    said: u64,
    /// Releases that were begun here: how often it had been said before. What was said before says nothing of them.
    begun: BTreeMap<Revision, u64>,
    /// Releases whose record could not be made here.
    unmade: BTreeSet<Revision>,
    /// What it looks like for releases, and since when.
    looks: BTreeMap<Revision, (Fate, Instant)>,
    /// When the platform is told again, how often it was, and whether it is being told.
    next: Option<Instant>,
    times: u32,
    under_way: bool,
}

impl Records {
    /// How an app's rollout stands from here on.
    pub(crate) fn watch(&self, app: &AppName, watch: Watch) {
        let mut apps = self.apps();
        let minded = apps.entry(app.clone()).or_default();
        minded.watch = watch;
        minded.said += 1;
    }

    pub(crate) fn forget(&self, app: &AppName) {
        self.apps().remove(app);
    }

    fn apps(&self) -> MutexGuard<'_, BTreeMap<AppName, Minded>> {
        self.apps.lock().expect("no holder panics")
    }

    pub(crate) fn of<T>(&self, app: &AppName, work: impl FnOnce(&mut Minded) -> T) -> T {
        work(self.apps().entry(app.clone()).or_default())
    }
}

/// What is otherwise with a record than it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Everything goes to its release.
    Baked,
    Is(Fate),
}

impl Inner {
    /// Finds out what has become of releases, and tells the platform what it was not told yet, without waiting for it.
    pub(crate) fn mind_records(self: &Arc<Self>) {
        if !self.settings.flyctl_metadata {
            return;
        }
        let now = Instant::now();
        for (app, fly) in self.homes() {
            let (watch, said) = self.records.of(&app, |minded| (minded.watch, minded.said));
            if said == 0 || self.book(&fly, |book| book.read.is_none()) {
                continue;
            }
            self.find_unremembered(&app, &fly, watch);
            let all = self.memory.look(|kept| kept.records.get(&fly).cloned()).unwrap_or_default();
            for one in &all {
                if let Some(turn) = self.turned(&app, one, watch, now) {
                    self.take_turn(&app, &fly, one, turn);
                }
            }
            let untold = self.memory.look(|kept| {
                kept.records.get(&fly).and_then(|all| all.iter().find(|one| !one.told && one.is_due()).cloned())
            });
            if let Some(one) = untold
                && self.records.of(&app, |minded| minded.begin(now))
            {
                let inner = Arc::clone(self);
                self.handle.spawn(async move { inner.tell_record(&app, &fly, one).await });
            }
        }
    }

    /// Each app of ours, and what it is called there.
    fn homes(&self) -> BTreeMap<AppName, String> {
        let kept = self.memory.look(|kept| kept.homes.clone());
        let mut homes: BTreeMap<_, _> = kept.into_iter().map(|(app, home)| (app, home.fly)).collect();
        for (fly, book) in self.books().iter() {
            for known in book.shown() {
                homes.entry(known.written.id.app.clone()).or_insert_with(|| fly.clone());
            }
        }
        homes
    }

    fn take_turn(&self, app: &AppName, fly: &str, one: &Recorded, turn: Turn) {
        match turn {
            Turn::Baked => self.change_record(fly, &one.digest, |one| one.baked = true),
            Turn::Is(fate) => {
                tracing::debug!(%app, revision = %one.revision, fate = fate.word(), "what became of it");
                self.records.of(app, |minded| {
                    (minded.times, minded.next) = (0, None);
                    minded.looks.remove(&one.revision);
                });
                self.change_record(fly, &one.digest, |one| (one.fate, one.told) = (fate, false));
            }
        }
    }

    /// Takes up the record of the release that is on its way, or alone there, where only its machines tell of it.
    fn find_unremembered(&self, app: &AppName, fly: &str, watch: Watch) {
        let machines = self.machines_of(app);
        let of = |known: &&Known| match watch {
            Watch::Coming(to) | Watch::Baking(to) => known.written.id.revision == to,
            Watch::Nobody => machines.iter().all(|other| other.written.digest == known.written.digest),
        };
        let Some(known) = machines.iter().find(of) else { return };
        let (revision, digest) = (known.written.id.revision, known.written.digest);
        if self.recorded(fly, &digest).is_some() {
            return;
        }
        if let Some(mark) = labels::mark(&known.machine.labels()) {
            self.adopt_record(fly, revision, digest, mark);
        }
    }

    /// What is otherwise with a record than it was.
    fn turned(&self, app: &AppName, one: &Recorded, watch: Watch, now: Instant) -> Option<Turn> {
        let revision = one.revision;
        let early = |minded: &mut Minded| minded.begun.get(&revision).is_some_and(|said| minded.said <= *said);
        if self.records.of(app, early) {
            return None;
        }
        let running = one.fate == Fate::Running;
        let fate = match watch {
            Watch::Baking(to) if to == revision => {
                return (running && !one.baked).then_some(Turn::Baked);
            }
            // It was given up once, and is tried again.
            Watch::Coming(to) if to == revision => Fate::Running,
            Watch::Coming(to) | Watch::Baking(to) if running => self.overtaken(app, one, to),
            Watch::Nobody if running => self.settled(app, revision, now)?,
            Watch::Coming(_) | Watch::Baking(_) | Watch::Nobody => return None,
        };
        (fate != one.fate).then_some(Turn::Is(fate))
    }

    /// What has become of a release, in whose place another comes.
    fn overtaken(&self, app: &AppName, one: &Recorded, by: Revision) -> Fate {
        let over = self.records.of(app, |minded| minded.looks.contains_key(&one.revision));
        let routed = self.routed(app);
        let serves = routed.iter().all(|to| *to == one.revision || *to == by);
        match (one.baked || over, serves) {
            (true, true) => Fate::Complete,
            (true, false) => Fate::Failed,
            (false, _) => Fate::Interrupted,
        }
    }

    /// What has become of a release whose rollout is over, once it has looked so for a while.
    fn settled(&self, app: &AppName, revision: Revision, now: Instant) -> Option<Fate> {
        let looks = self.looks(app, revision);
        self.records.of(app, |minded| {
            let Some(fate) = looks else {
                minded.looks.remove(&revision);
                return None;
            };
            let seen = minded.looks.entry(revision).or_insert((fate, now));
            if seen.0 != fate {
                *seen = (fate, now);
            }
            if now.duration_since(seen.1) < SETTLED {
                return None;
            }
            minded.looks.remove(&revision);
            Some(fate)
        })
    }

    /// What a release whose rollout is over looks like: alone and well, or gone, or neither yet.
    fn looks(&self, app: &AppName, revision: Revision) -> Option<Fate> {
        let machines = self.machines_of(app);
        let runs = |known: &&Known| known.written.id.task.is_none() && !known.ghost && lift::up(&known.machine);
        let (own, others): (Vec<_>, Vec<_>) =
            machines.iter().filter(runs).partition(|known| known.written.id.revision == revision);
        let routed = self.routed(app);
        let here = routed.contains(&revision);
        let ways =
            self.memory.look(|kept| kept.shares.iter().any(|share| share.app == *app && !share.entries.is_empty()));
        let of = |known: &&Known| known.written.id.revision == revision && known.written.id.task.is_none();
        let well = machines.iter().filter(of).any(|known| self.answers(known));
        match () {
            () if !here && !routed.is_empty() => Some(Fate::Failed),
            () if own.is_empty() && !well => Some(Fate::Failed),
            () if well && others.is_empty() && (here || !ways) => {
                routed.iter().all(|to| *to == revision).then_some(Fate::Complete)
            }
            () => None,
        }
    }

    /// The releases that the table sends requests to.
    fn routed(&self, app: &AppName) -> Vec<Revision> {
        self.memory.look(|kept| {
            let of = kept.shares.iter().filter(|share| share.app == *app).flat_map(|share| &share.entries);
            let asked = of.flat_map(|entry| &entry.backends).filter(|one| one.weight > 0);
            asked.map(|one| one.instance.revision).collect()
        })
    }

    async fn tell_record(&self, app: &AppName, fly: &str, one: Recorded) {
        let told = self.told_of(fly, &one).await;
        let given_up = self.records.of(app, |minded| minded.ended(told.is_ok(), Instant::now()));
        match told {
            Ok(true) => self.change_record(fly, &one.digest, |now| now.told |= now.fate == one.fate),
            // It was never made, or is there no more.
            Ok(false) => self.change_records(fly, |all| all.retain(|known| known.digest != one.digest)),
            Err(fault) => {
                if given_up {
                    let fate = one.fate.word();
                    tracing::warn!(%app, fly, revision = %one.revision, fate, %fault, "`fly releases` shows what was: given up");
                    self.change_record(fly, &one.digest, |now| now.told = true);
                } else {
                    tracing::debug!(%app, fly, %fault, "`fly releases` shows what was");
                }
            }
        }
    }

    /// Tells the platform of a record; answers whether there is one.
    async fn told_of(&self, fly: &str, one: &Recorded) -> Result<bool, Fault> {
        let found = match &one.mark {
            Some(mark) => Some(mark.clone()),
            None => self.find_record(fly, one).await?,
        };
        let Some(mark) = found else { return Ok(false) };
        let call = Call::new("PATCH", "Releases_update", &mark.id, format!("/api/v1/releases/{}", encoded(&mark.id)));
        let body = json!({"status": one.fate.word(), "metadata": {}});
        match self.client.tell(call.json(body).bearer().once_only().within(CALL)).await {
            Ok(()) => Ok(true),
            Err(fault) if fault.is_absence() => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}

impl Recorded {
    /// Whether there is anything to tell: one that nobody has answered is looked for once it has ended.
    fn is_due(&self) -> bool {
        self.mark.is_some() || self.fate != Fate::Running
    }
}

impl Minded {
    /// A release begins: what was said so far is not said of it.
    pub(crate) fn begins(&mut self, revision: Revision) {
        self.begun.insert(revision, self.said);
        while self.begun.len() > KEPT_MAX {
            self.begun.pop_first();
        }
    }

    /// The record of a release could not be made, and is not tried again.
    pub(crate) fn is_unmade(&mut self, revision: Revision) {
        self.unmade.insert(revision);
        while self.unmade.len() > KEPT_MAX {
            self.unmade.pop_first();
        }
    }

    pub(crate) fn gave_up(&self, revision: Revision) -> bool {
        self.unmade.contains(&revision)
    }

    /// Whether it is time to tell something; it is under way then.
    fn begin(&mut self, now: Instant) -> bool {
        let begins = !self.under_way && self.next.is_none_or(|next| next <= now);
        self.under_way |= begins;
        begins
    }

    /// What was told was heard, or was not; answers whether that was the last time.
    fn ended(&mut self, heard: bool, now: Instant) -> bool {
        self.under_way = false;
        let last = self.times + 1 >= TIMES;
        if heard || last {
            (self.times, self.next) = (0, None);
            return last && !heard;
        }
        self.next = Some(now + AGAIN * 2_u32.pow(self.times));
        self.times += 1;
        false
    }
}
