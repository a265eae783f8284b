//! What nobody can know at a moment, as the laws have to grant it.
//!
//! A host that slept saw nothing meanwhile, so that a belief reaches back over its sleep. What a third party takes away is
//! missed by nobody who looked a moment before. What lands long after it was called for is not in a listing that lags. And
//! where memory was put back or taken away without a trace, what runs on a target is known to nobody until that target is
//! looked at, and to the app that it is of no later than a routine look at everything after that, if it can be seen so long.

use std::collections::BTreeMap;
use std::time::Duration;

use trueup_types::observed::ExitWhy;
use trueup_types::{AppName, InstanceId, TargetName, Timestamp};

use crate::laws::LAG;
use crate::runtime::LISTING_LAG_MAX;
use crate::world::{SimInstance, State};

/// What nobody can know.
#[derive(Debug, Default)]
pub struct Ignorance {
    /// The last sleep of the host: from when to when.
    slept: Option<(Timestamp, Timestamp)>,
    /// What runs, and nobody need know of until then; for ever, until its target is looked at.
    unknown: BTreeMap<(TargetName, InstanceId), Option<Timestamp>>,
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
        self.unknown.retain(|_, until| until.is_none_or(|until| now < until));
        for (_, until) in self.unknown.iter_mut().filter(|((target, _), _)| target == at) {
            until.get_or_insert(now.after(LAG));
        }
    }

    /// A target goes dark: what nobody has noticed there by now, nobody will.
    pub(crate) fn hidden(&mut self, at: &TargetName, now: Timestamp) {
        self.unknown.retain(|_, until| until.is_none_or(|until| now < until));
        self.unknown.iter_mut().filter(|((target, _), _)| target == at).for_each(|(_, until)| *until = None);
    }
}

impl State {
    /// Memory is gone, or what it was before, and nothing tells of it: whatever is there is forgotten.
    pub fn forget_unnoticed(&mut self) {
        let all =
            self.instances.iter().flat_map(|(target, all)| all.keys().map(move |id| (target.clone(), id.clone())));
        self.ignorance.unknown = all.map(|one| (one, None)).collect();
    }

    /// What was called for long ago lands: a listing may lag behind it, and in the dark nobody can see it.
    pub(crate) fn landed(&mut self, at: &TargetName, id: &InstanceId, now: Timestamp) {
        let until = (!self.dark.contains(at)).then(|| now.after(LISTING_LAG_MAX));
        self.ignorance.unknown.insert((at.clone(), id.clone()), until);
    }

    /// Holds a target in the dark, or lights it.
    pub fn darken(&mut self, target: &TargetName, dark: bool, now: Timestamp) {
        if dark {
            self.ignorance.hidden(target, now);
            self.dark.insert(target.clone());
        } else {
            self.dark.remove(target);
        }
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
        let still = |until: &Option<Timestamp>| until.is_none_or(|until| now < until);
        let ours = self.ignorance.unknown.iter().filter(|((_, id), until)| id.app == *app && still(until));
        let there = ours.filter_map(|((target, id), _)| self.instances.get(target)?.get(id));
        there.filter(|one| !one.exited(now)).count()
    }
}
