//! What nobody can know at a moment, as the laws have to grant it.
//!
//! A host that slept saw nothing meanwhile, so that a belief reaches back over its sleep. What a third party takes away is
//! missed by nobody who looked a moment before. And where memory was put back or
//! taken away without a trace, what runs on a target is known to nobody until that target is looked at, and to the app
//! that it is of no later than a routine look at everything after that.

use std::collections::BTreeMap;
use std::time::Duration;

use trueup_types::observed::ExitWhy;
use trueup_types::{AppName, InstanceId, TargetName, Timestamp};

use crate::laws::LAG;
use crate::world::{SimInstance, State};

/// What nobody can know.
#[derive(Debug, Default)]
pub struct Ignorance {
    /// The last sleep of the host: from when to when.
    slept: Option<(Timestamp, Timestamp)>,
    /// What runs, and no memory tells of; and when its target was looked at first since.
    forgotten: BTreeMap<(TargetName, InstanceId), Option<Timestamp>>,
    /// What a third party took away: each ended at that moment, if not before.
    stolen: BTreeMap<InstanceId, SimInstance>,
}

impl Ignorance {
    /// The host sleeps for so long, from `now` on.
    pub fn sleep(&mut self, now: Timestamp, time: Duration) {
        self.slept = Some((now, now.after(time)));
    }

    /// From when to when the host slept last.
    pub(crate) fn slept(&self) -> Option<(Timestamp, Timestamp)> {
        self.slept
    }

    /// How old a belief may be at `now`.
    #[must_use]
    pub fn lag(&self, now: Timestamp) -> Duration {
        match self.slept {
            Some((from, to)) if now.since(to) < LAG => LAG + to.since(from),
            Some(_) | None => LAG,
        }
    }

    /// A third party takes one away.
    pub(crate) fn steal(&mut self, id: &InstanceId, mut one: SimInstance, now: Timestamp) {
        if one.end.as_ref().is_none_or(|(at, ..)| *at > now) {
            one.end = Some((now, None, ExitWhy::ByItself));
        }
        self.stolen.insert(id.clone(), one);
    }

    /// A target was looked at, and showed what is there.
    pub(crate) fn looked(&mut self, at: &TargetName, now: Timestamp) {
        self.forgotten.retain(|_, seen| seen.is_none_or(|seen| now.since(seen) < LAG));
        for (_, seen) in self.forgotten.iter_mut().filter(|((target, _), _)| target == at) {
            seen.get_or_insert(now);
        }
    }
}

impl State {
    /// Memory is gone, or what it was before, and nothing tells of it: whatever is there is forgotten.
    pub fn forget_unnoticed(&mut self) {
        let all =
            self.instances.iter().flat_map(|(target, all)| all.keys().map(move |id| (target.clone(), id.clone())));
        self.ignorance.forgotten = all.map(|one| (one, None)).collect();
    }

    /// Whether who looked a moment ago believes that this one passes, which a third party has taken away since.
    pub(crate) fn is_missed_by_nobody(&self, id: &InstanceId, now: Timestamp) -> bool {
        let there = || self.instances.values().any(|target| target.contains_key(id));
        let lag = self.ignorance.lag(now);
        self.ignorance.stolen.get(id).is_some_and(|one| one.believed(now, lag)) && !there()
    }

    /// How many of an app are missed by nobody yet.
    pub(crate) fn missed_by_nobody(&self, app: &AppName, now: Timestamp) -> usize {
        self.ignorance.stolen.keys().filter(|id| id.app == *app && self.is_missed_by_nobody(id, now)).count()
    }

    /// How many of an app run that nobody can know of.
    pub(crate) fn unknown(&self, app: &AppName, now: Timestamp) -> usize {
        let fresh = |seen: &Option<Timestamp>| seen.is_none_or(|seen| now.since(seen) < LAG);
        let ours = self.ignorance.forgotten.iter().filter(|((_, id), seen)| id.app == *app && fresh(seen));
        let there = ours.filter_map(|((target, id), _)| self.instances.get(target)?.get(id));
        there.filter(|one| !one.exited(now)).count()
    }
}
