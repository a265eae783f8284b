//! Keeps the history of releases: what began when, what came of it, and what may be forgotten.

use std::collections::BTreeSet;

use trueup_museum::{Bug, planted};
use trueup_types::policy::History;
use trueup_types::record::{Again, AppRecord, DeployPhase, Outcome, PhaseNote, ReleaseNote, Rollout};
use trueup_types::{Observed, Release, Revision, Timestamp};

/// Notes that a release begins, in its first phase.
pub(crate) fn open(record: &mut AppRecord, release: &Release, now: Timestamp) {
    let pin = record.pin.as_ref().filter(|pin| record.releases.contains_key(&pin.to));
    record.history.push(ReleaseNote {
        revision: release.revision,
        digest: release.digest,
        started: now,
        ended: None,
        outcome: None,
        phases: vec![PhaseNote { phase: DeployPhase::Prepare, started: now, ended: None }],
        cause: None,
        again: pin.map(|pin| Again { of: pin.to, env: pin.env, by: pin.word.by.clone() }),
    });
}

/// Notes that a release enters a phase, once.
pub(crate) fn enter(record: &mut AppRecord, revision: Revision, phase: DeployPhase, now: Timestamp) {
    let Some(note) = find(record, revision) else { return };
    if note.phases.iter().any(|one| one.phase == phase) {
        return;
    }
    end_phase(note, now);
    note.phases.push(PhaseNote { phase, started: now, ended: None });
}

/// When a release entered a phase, where that was noted.
pub(crate) fn entered(record: &AppRecord, revision: Revision, phase: DeployPhase) -> Option<Timestamp> {
    let note = record.history.iter().find(|note| note.revision == revision)?;
    note.phases.iter().find(|one| one.phase == phase).map(|one| one.started)
}

/// Notes that a release is the good one from here on; and where a person went back to it, that the one before it was
/// rolled back, whose end stays when it was.
pub(crate) fn live(record: &mut AppRecord, to: Revision, now: Timestamp) {
    let left = record.current.replace(to).filter(|left| *left != to);
    close(record, to, Outcome::Live, None, now);
    let went_back = find(record, to).is_some_and(|note| note.again.is_some());
    if let Some(note) = left.filter(|_| went_back).and_then(|left| find(record, left)) {
        note.outcome = Some(Outcome::RolledBack);
    }
}

/// Notes what came of a release; the first word stands.
pub(crate) fn close(
    record: &mut AppRecord,
    revision: Revision,
    outcome: Outcome,
    cause: Option<String>,
    now: Timestamp,
) {
    let Some(note) = find(record, revision) else { return };
    if note.outcome.is_some() {
        return;
    }
    end_phase(note, now);
    note.ended = Some(now);
    note.outcome = Some(outcome);
    note.cause = cause.or(note.cause.take());
}

fn find(record: &mut AppRecord, revision: Revision) -> Option<&mut ReleaseNote> {
    record.history.iter_mut().find(|note| note.revision == revision)
}

fn end_phase(note: &mut ReleaseNote, now: Timestamp) {
    if let Some(last) = note.phases.last_mut()
        && last.ended.is_none()
    {
        last.ended = Some(now);
    }
}

/// Whether a release was live once, or is.
pub(crate) fn was_good(record: &AppRecord, revision: Revision) -> bool {
    let live = |note: &ReleaseNote| matches!(note.outcome, Some(Outcome::Live | Outcome::RolledBack));
    let was_live = record.history.iter().any(|note| note.revision == revision && live(note));
    was_live || record.current == Some(revision) || planted(Bug::RollsBackToBad)
}

/// The newest release that was live before the one that is: where a person goes back to who names none.
pub(crate) fn way_back(record: &AppRecord) -> Option<Revision> {
    let current = record.current?;
    record.releases.keys().rev().copied().find(|one| *one < current && was_good(record, *one))
}

/// Forgets releases beyond the limits, but never one that is in use.
pub(crate) fn trim(record: &mut AppRecord, observed: &Observed, history: &History, now: Timestamp) {
    let limit = usize::try_from(history.limit).unwrap_or(usize::MAX).max(1);
    let goes_by_age = |note: &ReleaseNote| note.ended.is_some_and(|ended| now.since(ended) >= history.keep_for);
    let few = record.history.len() <= limit && record.releases.len() <= limit;
    if few && !record.history.iter().any(goes_by_age) {
        return;
    }
    let used = if planted(Bug::TrimsLastGood) { BTreeSet::new() } else { in_use(record, observed) };
    let surplus = record.history.len().saturating_sub(limit);
    let mut index = 0;
    record.history.retain(|note| {
        let goes = (index < surplus || goes_by_age(note)) && !used.contains(&note.revision);
        index += 1;
        !goes
    });
    let noted: BTreeSet<_> = record.history.iter().map(|note| note.revision).collect();
    record.releases.retain(|revision, _| used.contains(revision) || noted.contains(revision));
}

fn in_use(record: &AppRecord, observed: &Observed) -> BTreeSet<Revision> {
    let mut used: BTreeSet<_> = observed.instances.iter().map(|one| one.sighting.id.revision).collect();
    used.extend(record.current);
    used.extend(way_back(record));
    used.extend(record.pin.as_ref().map(|pin| pin.to));
    match &record.rollout {
        Rollout::Idle => {}
        Rollout::Underway { to, .. } | Rollout::Baking { to, .. } => drop(used.insert(*to)),
        Rollout::Reverting { from, .. } => drop(used.insert(*from)),
    }
    used
}
