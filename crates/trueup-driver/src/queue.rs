//! Who is to be looked at next.
//!
//! Two laws: equal keys merge to the earliest time, and two ticks of one app never overlap. Four priorities, with
//! ageing, so that a resync is late but never starved. Holds names only, never what changed. A plain value: the driver
//! locks it, and waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use trueup_museum::{Bug, planted};
use trueup_types::{AppName, Timestamp};

/// How urgent a look is; the first is the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A person edited a manifest, or said a word.
    Edit,
    /// Something died, or its health changed.
    Failure,
    /// A rollout's next step.
    Rollout,
    /// A routine look.
    Resync,
}

/// All priorities, the most urgent first.
const PRIORITIES: [Priority; 4] = [Priority::Edit, Priority::Failure, Priority::Rollout, Priority::Resync];

/// What has been ready for so long goes before anything more urgent.
pub const AGED: Duration = Duration::from_secs(1);

/// One look that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Not before.
    pub at: Timestamp,
    /// How urgent.
    pub priority: Priority,
    /// What asked for it, for `why`.
    pub why: &'static str,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    asks: BTreeMap<AppName, Ask>,
    waiting: BTreeSet<(Timestamp, AppName)>,
    ready: [VecDeque<AppName>; 4],
    running: BTreeSet<AppName>,
    again: BTreeMap<AppName, Ask>,
}

impl Queue {
    /// Asks for a look; an earlier one that was asked for stays.
    pub fn ask(&mut self, app: &AppName, ask: Ask) {
        let place = if self.running.contains(app) { &mut self.again } else { &mut self.asks };
        let old = place.get(app).cloned();
        let merged = match &old {
            None => ask,
            Some(old) => Ask {
                at: old.at.min(ask.at),
                priority: old.priority.min(ask.priority),
                why: if ask.at < old.at { ask.why } else { old.why },
            },
        };
        if old.as_ref() == Some(&merged) {
            return;
        }
        place.insert(app.clone(), merged.clone());
        if self.running.contains(app) {
            return;
        }
        if let Some(old) = old {
            self.waiting.remove(&(old.at, app.clone()));
            self.ready[old.priority as usize].retain(|one| one != app);
        }
        self.waiting.insert((merged.at, app.clone()));
    }

    /// Takes the next app that is due; it counts as running until [`Queue::done`].
    pub fn take(&mut self, now: Timestamp) -> Option<(AppName, Ask)> {
        self.promote(now);
        let aged = |app: &AppName| {
            self.asks.get(app).is_some_and(|ask| now.since(ask.at) >= AGED && !planted(Bug::StarvesRoutine))
        };
        let old = PRIORITIES.iter().rev().find(|p| self.ready[**p as usize].front().is_some_and(aged));
        let urgent = PRIORITIES.iter().find(|p| !self.ready[**p as usize].is_empty());
        let priority = *old.or(urgent)?;
        let app = self.ready[priority as usize].pop_front()?;
        let ask = self.asks.remove(&app)?;
        if !planted(Bug::OverlapsLooks) {
            self.running.insert(app.clone());
        }
        Some((app, ask))
    }

    /// Ends a look; what was asked for meanwhile is asked for now.
    pub fn done(&mut self, app: &AppName) {
        self.running.remove(app);
        if let Some(ask) = self.again.remove(app)
            && !planted(Bug::ForgetsAskDuringLook)
        {
            self.ask(app, ask);
        }
    }

    /// When the next look is due; `None` when nothing is asked for.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        if self.ready.iter().any(|ready| !ready.is_empty()) {
            return Some(Timestamp::ZERO);
        }
        self.waiting.first().map(|(at, _)| *at)
    }

    /// How many looks are under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// How many looks are asked for and not under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.asks.len()
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.asks.is_empty()
    }

    fn promote(&mut self, now: Timestamp) {
        while let Some((at, app)) = self.waiting.first().cloned() {
            if at > now {
                return;
            }
            self.waiting.pop_first();
            if let Some(ask) = self.asks.get(&app) {
                self.ready[ask.priority as usize].push_back(app);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn app(index: u8) -> AppName {
        AppName::new(&format!("a{index}")).expect("a name")
    }

    fn ask(at: u64, priority: Priority) -> Ask {
        Ask { at: Timestamp::from_millis(at), priority, why: "test" }
    }

    #[test]
    fn equal_keys_merge_to_the_earliest_time_and_the_highest_priority() {
        let mut queue = Queue::default();
        queue.ask(&app(1), ask(50, Priority::Resync));
        queue.ask(&app(1), ask(20, Priority::Rollout));
        queue.ask(&app(1), ask(90, Priority::Edit));
        assert_eq!(queue.take(Timestamp::from_millis(19)), None);
        let (_, taken) = queue.take(Timestamp::from_millis(20)).expect("it is due");
        assert_eq!((taken.at, taken.priority), (Timestamp::from_millis(20), Priority::Edit));
        assert_eq!(queue.take(Timestamp::from_millis(1_000)), None, "N asks are one look");
    }

    #[test]
    fn a_look_asked_for_meanwhile_comes_after_and_once() {
        let mut queue = Queue::default();
        queue.ask(&app(1), ask(0, Priority::Edit));
        queue.take(Timestamp::ZERO).expect("it is due");
        queue.ask(&app(1), ask(0, Priority::Edit));
        queue.ask(&app(1), ask(0, Priority::Failure));
        assert_eq!(queue.take(Timestamp::ZERO), None, "two ticks of one app never overlap");
        queue.done(&app(1));
        assert!(queue.take(Timestamp::ZERO).is_some());
        queue.done(&app(1));
        assert_eq!(queue.take(Timestamp::ZERO), None);
    }

    #[test]
    fn a_resync_is_late_but_never_starved() {
        let mut queue = Queue::default();
        queue.ask(&app(1), ask(0, Priority::Resync));
        for index in 2..50 {
            queue.ask(&app(index), ask(500, Priority::Edit));
        }
        let (first, _) = queue.take(Timestamp::from_millis(600)).expect("due");
        assert_ne!(first, app(1), "an edit goes first");
        let (second, _) = queue.take(Timestamp::from_millis(1_001)).expect("due");
        assert_eq!(second, app(1), "what waits for a second goes before");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_overlaps(script in proptest::collection::vec((0_u8..6, 0_u64..40, 0_usize..4, any::<bool>()), 1..120)) {
            let mut queue = Queue::default();
            let (mut owed, mut running, mut now) = (BTreeSet::new(), Vec::new(), 0_u64);
            for (index, delay, priority, take) in script {
                if take {
                    now += delay;
                    if let Some((taken, asked)) = queue.take(Timestamp::from_millis(now)) {
                        prop_assert!(asked.at.as_millis() <= now);
                        prop_assert!(!running.contains(&taken), "overlap");
                        prop_assert!(owed.remove(&taken), "nobody asked");
                        running.push(taken);
                    } else if let Some(done) = running.pop() {
                        queue.done(&done);
                    }
                } else {
                    queue.ask(&app(index), ask(now + delay, PRIORITIES[priority]));
                    owed.insert(app(index));
                }
            }
            while let Some(done) = running.pop() {
                queue.done(&done);
            }
            while let Some((taken, _)) = queue.take(Timestamp::from_millis(now + 1_000)) {
                prop_assert!(owed.remove(&taken));
                queue.done(&taken);
            }
            prop_assert!(owed.is_empty(), "lost: {owed:?}");
        }
    }
}
