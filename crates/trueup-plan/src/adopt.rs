//! Makes a record from labels when memory is lost.
//!
//! The runtime gives back, beside each instance, the whole release that it was made from; that is enough to go on
//! without restarting anything. What passed and was lost, a rejected digest, is found bad once more at most.

use std::collections::BTreeMap;
use std::sync::Arc;

use trueup_museum::{Bug, planted};
use trueup_types::observed::{ExitWhy, Health, Instance, Phase};
use trueup_types::record::{AppRecord, Outcome, ReleaseNote};
use trueup_types::{AppName, Generation, Release, Revision, Timestamp};

/// A record that goes on with what is there: generation and revision continue from the highest label.
///
/// The last good release is taken to be the *oldest* one that has a running instance: a rollout keeps the good ones until
/// the new ones are proven, so what is oldest was good, and what is newer is judged again. One that was told to go, and is
/// there still beside something newer, made room for it, and counts as well: its successor may not have been proven yet.
#[must_use]
pub fn adopt(app: &AppName, instances: &[Instance], now: Timestamp) -> AppRecord {
    let ours = instances.iter().filter(|one| one.sighting.id.app == *app);
    let newest = ours.clone().map(|one| one.sighting.id.revision).max();
    let mut releases: BTreeMap<Revision, Arc<Release>> = BTreeMap::new();
    let mut record = AppRecord::default();
    let mut standing: Option<Revision> = None;
    for one in ours {
        let revision = one.sighting.id.revision;
        record.highest = record.highest.max(revision);
        record.homes.insert(one.target.clone());
        if let Some(release) = &one.sighting.template {
            releases.insert(revision, Arc::clone(release));
        }
        if one.sighting.id.task.is_some() {
            continue;
        }
        let stands = match &one.sighting.phase {
            Phase::Running { .. } | Phase::Asleep => true,
            Phase::Vanishing { .. } | Phase::Exited { why: ExitWhy::Asked, .. } => newest > Some(revision),
            Phase::Created | Phase::Starting | Phase::Exited { .. } => false,
        };
        let sick = matches!(one.health, Health::Failed { .. });
        if stands && !sick && one.sighting.template.is_some() {
            let wrongly = planted(Bug::AdoptsNewest);
            standing = standing.filter(|oldest| (*oldest < revision) != wrongly).or(Some(revision));
        }
    }
    record.generation = Generation(record.highest.0);
    record.current = standing;
    if let Some((revision, release)) = standing.and_then(|revision| releases.get_key_value(&revision)) {
        record.history.push(ReleaseNote {
            revision: *revision,
            digest: release.digest,
            started: now,
            ended: Some(now),
            outcome: Some(Outcome::Live),
            phases: Vec::new(),
            cause: None,
            again: None,
        });
    }
    record.releases = releases;
    record
}
