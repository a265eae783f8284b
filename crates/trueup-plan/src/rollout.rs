//! Which release is the app heading for?
//!
//! Counts exits, bumps the generation, and moves the rollout by at most one transition a tick. Hands a [`Heading`] to
//! the census. Knows what was seen, but not what will be done about it: `steps` closes the gap.

use std::sync::Arc;

use trueup_museum::{Bug, planted};
use trueup_types::desired::{DesiredApp, Hold, Permits, Readiness};
use trueup_types::number::Percent;
use trueup_types::observed::{ExitWhy, Health, Instance, Phase};
use trueup_types::policy::RevertMode;
use trueup_types::record::{AppRecord, CanaryAt, Exits, Pin, Rollout, Stage};
use trueup_types::time::Stopwatch;
use trueup_types::verdict::Stall;
use trueup_types::{InstanceId, Observed, Release, Revision, Task, Template, Timestamp};

use crate::hooks::Pending;
use crate::surge::Surge;
use crate::{limits, notes, passage, pin};

/// Where the app heads, and what keeps it from going there.
#[derive(Debug, Clone)]
pub(crate) struct Heading {
    /// The release whose instances are wanted; nothing before the first, or when all failed.
    pub release: Option<Arc<Release>>,
    /// The last good release, while another is rolled out.
    pub good: Option<Arc<Release>>,
    /// In which manner.
    pub mode: Mode,
    /// What keeps a new rollout from beginning.
    pub hold: Option<Hold>,
    /// Why it will not get better by itself.
    pub stall: Option<Stall>,
    /// The wanted digest is rejected.
    pub rejected: bool,
    /// What fails in its bake cannot be judged until probes have answered once more.
    pub unsure: bool,
    /// How much of the traffic a canary gets; everything where it is unset, once the gate is met.
    pub weight: Option<Percent>,
    /// The hook that it waits for.
    pub hook: Option<Pending>,
}

impl Heading {
    /// The room on the way there.
    pub(crate) fn surge(&self, desired: &DesiredApp) -> Surge {
        Surge::of(desired, self.release.as_deref())
    }
}

/// In which manner the app is brought to its heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is there, and is kept there.
    Steady,
    /// A rollout is under way.
    Rolling,
    /// Promoted, and watched; the last good ones are kept.
    Baking,
    /// Going back.
    Reverting,
    /// The first release failed: its instances are stopped and kept for evidence.
    Fallen,
    /// The failed rollout is held: the new ones stay, unrouted.
    Held,
    /// Nothing to do yet.
    Empty,
}

/// What the transition reads.
pub(crate) struct Scene<'a> {
    pub desired: &'a DesiredApp,
    pub observed: &'a Observed,
    pub permits: &'a Permits,
    pub now: Timestamp,
}

/// Moves the rollout by at most one transition, and says where the app heads.
pub(crate) fn advance(record: &mut AppRecord, scene: &Scene<'_>) -> Heading {
    notice_intent(record, scene.desired);
    let crashed = count_exits(record, scene);
    end_stale_pin(record, scene.desired);
    let rollout = std::mem::take(&mut record.rollout);
    match rollout {
        Rollout::Idle => idle(record, scene),
        Rollout::Underway { stage: Stage::Prepare, .. } => passage::preparing(record, scene, rollout, crashed),
        Rollout::Underway { .. } => passage::underway(record, scene, rollout, crashed),
        Rollout::Baking { to, began, bake } => passage::baking(record, scene, (to, began, bake), crashed),
        Rollout::Reverting { from, since, spent } => passage::reverting(record, scene, (from, since, spent)),
    }
}

fn notice_intent(record: &mut AppRecord, desired: &DesiredApp) {
    if record.intent != Some(desired.intent) {
        record.generation = record.generation.next();
        record.intent = Some(desired.intent);
        record.prune = desired.prune;
    }
    record.suspend = false;
    if record.needs != desired.policy.depends_on {
        record.needs.clone_from(&desired.policy.depends_on);
    }
}

/// Counts each exit by itself once, by incarnation; answers the newest that was counted now.
fn count_exits(record: &mut AppRecord, scene: &Scene<'_>) -> Option<Instance> {
    let mut newest = None;
    for one in &scene.observed.instances {
        let id = &one.sighting.id;
        let (code, at, by_itself) = match &one.sighting.phase {
            Phase::Exited { code, at, why } => (*code, *at, matches!(why, ExitWhy::ByItself)),
            Phase::Running { .. } => {
                forgive(record, one, scene.now);
                continue;
            }
            Phase::Created | Phase::Starting | Phase::Asleep | Phase::Vanishing { .. } => continue,
        };
        let counted = record.exits.get(id).is_some_and(|exits| exits.last == one.sighting.incarnation);
        if !by_itself || (counted && !planted(Bug::CountsExitTwice)) {
            continue;
        }
        let count = record.exits.get(id).map_or(0, |exits| exits.count) + 1;
        let last = one.sighting.incarnation.clone();
        record.exits.insert(id.clone(), Exits { count, last, at, code });
        newest = Some(one.clone());
    }
    let seen = |id: &InstanceId| scene.observed.instances.iter().any(|one| one.sighting.id == *id);
    record.exits.retain(|id, _| seen(id));
    record.backoff.instances.retain(|id, _| seen(id));
    newest
}

/// Forgets the exits of an instance that has been healthy long enough.
fn forgive(record: &mut AppRecord, one: &Instance, now: Timestamp) {
    if let Health::Passing { since } = one.health
        && now.since(since) >= limits::BACKOFF_RESET
        && !planted(Bug::NeverForgivesExits)
    {
        record.exits.remove(&one.sighting.id);
        record.backoff.instances.remove(&one.sighting.id);
    }
}

fn end_stale_pin(record: &mut AppRecord, desired: &DesiredApp) {
    let holds = |pin: &Pin| pin.holds(desired.template_digest) || planted(Bug::PinOutlivesEdit);
    if !record.pin.as_ref().is_some_and(holds) {
        record.pin = None;
    }
}

/// The release that a pin, or the manifest, asks for.
enum Asked {
    /// One that is remembered and good.
    Pinned(Arc<Release>),
    /// The manifest's.
    Manifest,
}

fn asked(record: &AppRecord, desired: &DesiredApp) -> Asked {
    pin::asked(record, desired).map_or(Asked::Manifest, Asked::Pinned)
}

/// Whether `release` is what is asked for.
pub(crate) fn answers(record: &AppRecord, desired: &DesiredApp, release: &Release) -> bool {
    match asked(record, desired) {
        Asked::Pinned(pinned) => pinned.digest == release.digest && pinned.target == release.target,
        Asked::Manifest => {
            release.target == desired.placement.target
                && release.template == *desired.template
                && release.inputs == desired.inputs_with(record.restarts)
        }
    }
}

pub(crate) fn is_rejected(record: &AppRecord, desired: &DesiredApp) -> bool {
    if record.rejected.is_empty() || planted(Bug::RetriesRejected) {
        return false;
    }
    let key = match asked(record, desired) {
        Asked::Pinned(pinned) => (pinned.digest, pinned.target.clone()),
        Asked::Manifest => (desired.release_digest(record.restarts), desired.placement.target.clone()),
    };
    record.rejected.contains_key(&key)
}

pub(crate) fn idle(record: &mut AppRecord, scene: &Scene<'_>) -> Heading {
    let current = record.current_release().cloned();
    if let Some(release) = &current
        && answers(record, scene.desired, release)
    {
        let release = refresh_exposure(record, scene.desired, release);
        return steady(Some(release), false);
    }
    if is_rejected(record, scene.desired) {
        return match current {
            Some(release) if scene.desired.policy.revert == RevertMode::Hold => passage::held(release),
            Some(release) => steady(Some(release), true),
            None => fallen(record, scene.desired),
        };
    }
    begin(record, scene, current)
}

/// Keeps the stored routes of the served release as the manifest has them.
pub(crate) fn refresh_exposure(record: &mut AppRecord, desired: &DesiredApp, release: &Arc<Release>) -> Arc<Release> {
    if record.pin.is_some() || release.exposure == desired.exposure {
        return Arc::clone(release);
    }
    let next = Arc::new(Release { exposure: desired.exposure.clone(), ..Release::clone(release) });
    record.releases.insert(release.revision, Arc::clone(&next));
    next
}

pub(crate) fn steady(release: Option<Arc<Release>>, rejected: bool) -> Heading {
    let mode = if release.is_some() { Mode::Steady } else { Mode::Empty };
    Heading { release, good: None, mode, hold: None, stall: None, rejected, unsure: false, weight: None, hook: None }
}

fn fallen(record: &AppRecord, desired: &DesiredApp) -> Heading {
    let key = (desired.release_digest(record.restarts), desired.placement.target.clone());
    let release = record.rejected.get(&key).and_then(|rejection| record.release(rejection.revision)).cloned();
    Heading {
        release,
        good: None,
        mode: Mode::Fallen,
        hold: None,
        stall: Some(Stall::NothingToRevertTo),
        rejected: true,
        unsure: false,
        weight: None,
        hook: None,
    }
}

/// Begins the rollout of what is asked for, unless something holds it, or nothing would be tried by it.
pub(crate) fn begin(record: &mut AppRecord, scene: &Scene<'_>, current: Option<Arc<Release>>) -> Heading {
    if scene.desired.replicas() == 0 {
        return steady(current, false);
    }
    if let Some(hold) = held_back(scene) {
        return Heading { hold: Some(hold), ..steady(current, false) };
    }
    let release = next_release(record, scene);
    let to = release.revision;
    passage::forget_failures(record);
    record.highest = to;
    record.homes.insert(release.target.clone());
    record.releases.insert(to, Arc::clone(&release));
    notes::open(record, &release, scene.now);
    record.rollout = Rollout::Underway {
        to,
        stage: Stage::Prepare,
        began: scene.now,
        progress: Stopwatch::started(scene.now),
        passed: 0,
        waits: std::collections::BTreeMap::new(),
        canary: CanaryAt::default(),
    };
    passage::prepare(record, scene, &release).unwrap_or_else(|| rolling(release, current))
}

pub(crate) fn rolling(release: Arc<Release>, good: Option<Arc<Release>>) -> Heading {
    Heading { mode: Mode::Rolling, good, ..steady(Some(release), false) }
}

/// What keeps a rollout from beginning. A revert asks none of this.
pub(crate) fn held_back(scene: &Scene<'_>) -> Option<Hold> {
    let waiting: Vec<_> = scene
        .permits
        .dependencies
        .iter()
        .filter(|(_, readiness)| **readiness != Readiness::Ready && !planted(Bug::IgnoresDependencies))
        .map(|(app, _)| app.clone())
        .collect();
    if !waiting.is_empty() {
        return Some(Hold::Dependencies(waiting));
    }
    scene.permits.start_rollout.clone().and(scene.permits.create.clone()).err()
}

fn next_release(record: &AppRecord, scene: &Scene<'_>) -> Arc<Release> {
    let desired = scene.desired;
    if let Some(release) = begun_before(record, scene) {
        return release;
    }
    let before = if planted(Bug::ReusesRevision) { record.current.unwrap_or_default() } else { newest(record, scene) };
    let revision = before.next();
    match asked(record, desired) {
        Asked::Pinned(pinned) => Arc::new(Release { revision, ..Release::clone(&pinned) }),
        Asked::Manifest => Arc::new(Release {
            app: desired.name.clone(),
            revision,
            digest: desired.release_digest(record.restarts),
            target: desired.placement.target.clone(),
            template: Template::clone(&desired.template),
            exposure: desired.exposure.clone(),
            stop_first: desired.policy.stop_first.clone(),
            inputs: desired.inputs_with(record.restarts),
            origin: desired.origin.clone(),
        }),
    }
}

/// The newest revision that was ever given out, as far as anybody knows: what is seen of it counts too, for memory may be
/// older than the world.
fn newest(record: &AppRecord, scene: &Scene<'_>) -> Revision {
    let seen = scene.observed.instances.iter().chain(&scene.observed.tasks).map(|one| one.sighting.id.revision).max();
    seen.map_or(record.highest, |seen| seen.max(record.highest))
}

/// The newest release, where it is what is asked for and no memory is left of how it went: a rollout that was under way
/// when memory was lost goes on with the instances that it had made. Not where its undoing was seen: it was left.
fn begun_before(record: &AppRecord, scene: &Scene<'_>) -> Option<Arc<Release>> {
    let revision = newest(record, scene);
    let noted = record.history.iter().any(|note| note.revision == revision);
    let seen = scene.observed.instances.iter().chain(&scene.observed.tasks);
    let mut labels = seen.filter(|one| one.sighting.id.revision == revision);
    let labelled =
        labels.find_map(|one| one.sighting.template.clone().filter(|label| label.digest == one.sighting.release));
    let release = record.release(revision).cloned().or(labelled)?;
    let same = release.revision == revision && answers(record, scene.desired, &release);
    let undone = scene.observed.tasks.iter().any(|one| {
        let id = &one.sighting.id;
        id.revision == revision && id.task == Some(Task::OnRevert)
    });
    if noted || undone || record.current == Some(revision) || !same {
        return None;
    }
    Some(Arc::new(Release { exposure: scene.desired.exposure.clone(), ..Release::clone(&release) }))
}
