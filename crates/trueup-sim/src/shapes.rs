//! What the world has seen of an app's releases: whether two of one can stand side by side, and who owns a disk.
//!
//! What is wanted says that of one release, and an app may be on its way to another: to one that it was pinned to, or back.
//! So an app of which a release that cannot was ever begun may stop first, and one of which a release that can was begun may
//! have one more; and one of which a release without ways in was begun may give up those that it has. That a disk has one owner holds whatever was wanted.

use std::collections::BTreeSet;

use trueup_types::{AppName, InstanceId, Place, Release, TargetName, Timestamp};

use crate::world::State;

/// What was seen of the releases that were begun.
#[derive(Debug, Default)]
pub struct Shapes {
    alone: BTreeSet<AppName>,
    beside: BTreeSet<AppName>,
    unrouted: BTreeSet<AppName>,
}

impl Shapes {
    fn learn(&mut self, release: &Release) {
        let unrouted = release.exposure.routes.is_empty().then_some(&mut self.unrouted);
        let of = if release.stands_alone() { &mut self.alone } else { &mut self.beside };
        for of in unrouted.into_iter().chain([of]) {
            if !of.contains(&release.app) {
                of.insert(release.app.clone());
            }
        }
    }

    /// Whether a release was begun of which no two can stand side by side.
    pub(crate) fn may_stop_first(&self, app: &AppName) -> bool {
        self.alone.contains(app)
    }

    /// Whether a release was begun that nobody was to reach.
    pub(crate) fn may_be_unrouted(&self, app: &AppName) -> bool {
        self.unrouted.contains(app)
    }

    /// Whether a release was begun of which two can.
    pub(crate) fn may_stand_beside(&self, app: &AppName) -> bool {
        self.beside.contains(app)
    }
}

/// Checks that an instance that is about to be created or started will be the only owner of its disks.
pub(crate) fn before_begin(
    state: &mut State,
    (target, place, id): (&TargetName, &Place, &InstanceId),
    release: &Release,
    now: Timestamp,
) {
    if id.task.is_some() {
        return;
    }
    state.shapes.learn(release);
    let owned = |other: &Release| {
        release.template.volumes.iter().any(|disk| other.template.volumes.iter().any(|one| one.name == disk.name))
    };
    let there = state.instances.get(target).into_iter().flatten();
    let others = there.filter(|(other, one)| other.app == id.app && *other != id && one.place == *place);
    let owners = others.filter(|(_, one)| one.lives > 0 && !one.exited(now) && owned(&one.release)).count();
    if owners > state.unknown(&id.app, now) && !state.exempt.contains(&id.app) {
        let broken = format!("law 3: {id} would own a disk that {owners} of it own already");
        state.broken(now, [broken]);
    }
}
