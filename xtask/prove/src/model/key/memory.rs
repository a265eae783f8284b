//! What of the daemon's memory a decision can depend on.

use std::time::Duration;

use trueup_types::Revision;
use trueup_types::record::{Outcome, Rollout, Stage};

use super::super::state::Wish;
use super::super::world::{BAKE, HEALTHY_DEADLINE, PROGRESS_DEADLINE};
use super::Writer;

impl Writer<'_> {
    pub(super) fn memory(&mut self) {
        let (world, state, record) = (self.world, self.state, &self.state.record);
        let desired = match state.wish {
            Wish::Gone => None,
            Wish::Present { version, size } => Some(world.app(version, size)),
        };
        let acquainted = desired.is_some_and(|desired| record.intent == Some(desired.intent));
        let again = record.reverted_generation == Some(record.generation);
        let fresh = record.generation.0 == 0;
        self.flags(&[acquainted, again, fresh, record.suspended.is_some(), record.pin.is_some()]);
        self.byte(u8::try_from(record.restarts).expect("few"));
        self.highest();
        for revision in record.current.into_iter().chain(record.pin.as_ref().map(|pin| pin.to)) {
            self.byte(0xfe);
            self.release(revision);
        }
        if let Some(pin) = &record.pin {
            self.flags(&[desired.is_some_and(|desired| pin.template == Some(desired.template_digest))]);
        }
        self.rollout();
        for ((digest, _), rejection) in &record.rejected {
            self.byte(world.number(*digest));
            self.release(rejection.revision);
        }
        self.byte(0xfd);
        self.byte(u8::try_from(record.backoff.failures).unwrap_or(u8::MAX));
        self.wait(record.backoff.until.map_or(Duration::ZERO, |until| until.since(state.now)));
        for until in record.backoff.instances.values() {
            self.wait(until.since(state.now));
        }
        if let Some(refused) = &record.refused {
            self.revision(refused.revision);
        }
        // The rest says nothing more, but that the next tick will put it in order.
        let waits = if let Rollout::Underway { waits, .. } = &record.rollout { waits.len() } else { 0 };
        for count in [record.draining.len(), record.exits.len(), record.backoff.instances.len(), waits] {
            self.byte(u8::try_from(count).expect("few"));
        }
        if self.worded() {
            for note in &record.history {
                self.revision(note.revision);
                self.byte(note.outcome.map_or(0, outcome));
            }
            self.byte(0xfc);
        }
    }

    fn release(&mut self, revision: Revision) {
        self.revision(revision);
        let release = self.state.record.release(revision);
        self.byte(release.map_or(u8::MAX, |release| self.world.number(release.digest)));
    }

    /// Where the next revision will be, which matters only when memory has fallen behind the world.
    fn highest(&mut self) {
        let highest = self.state.record.highest;
        let behind = self.revisions.last().filter(|last| **last > highest);
        if behind.is_some() {
            for at in 0..self.revisions.len() {
                let ahead = self.revisions[at].0.saturating_sub(highest.0);
                self.byte(u8::try_from(ahead).expect("few"));
            }
        }
        self.byte(u8::MAX);
        // What was never noted may have been under way when memory was lost, and goes on.
        let newest = self.revisions.last().map_or(highest, |last| highest.max(*last));
        if !self.state.record.history.iter().any(|note| note.revision == newest) {
            let release = self.state.record.release(newest);
            self.byte(release.map_or(u8::MAX, |release| self.world.number(release.digest)));
        }
    }

    fn rollout(&mut self) {
        let record = &self.state.record;
        match &record.rollout {
            Rollout::Idle => self.byte(0),
            Rollout::Underway { to, stage, progress, passed, waits, canary, .. } => {
                self.byte(1);
                self.flags(&[*stage == Stage::Prepare]);
                self.release(*to);
                self.byte(u8::try_from(canary.step).expect("few"));
                if let Some(shared) = &canary.shared {
                    self.flags(&[canary.promoted]);
                    self.watch(shared, self.world.pause());
                }
                self.watch(progress, PROGRESS_DEADLINE);
                self.byte(u8::try_from(*passed).expect("few"));
                for (id, watch) in waits {
                    // Of what has gone the watch goes at the next look.
                    if self.state.find(id).is_some() {
                        self.name(id);
                        self.watch(watch, HEALTHY_DEADLINE);
                    }
                }
            }
            Rollout::Baking { to, bake, .. } => {
                self.byte(2);
                self.release(*to);
                self.watch(bake, BAKE);
            }
            Rollout::Reverting { from, spent, .. } => {
                self.byte(3);
                self.revision(*from);
                self.watch(spent, PROGRESS_DEADLINE);
            }
        }
        self.byte(u8::MAX);
    }
}

fn outcome(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Live => 1,
        Outcome::Reverted => 2,
        Outcome::Failed => 3,
        Outcome::Superseded => 4,
        Outcome::RolledBack => 5,
    }
}
