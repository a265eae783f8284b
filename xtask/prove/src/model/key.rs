//! What makes two states the same: everything that a decision can depend on, and nothing else.
//!
//! A moment is written as its age, and as no older than matters: whether health has held for `minHealthy`, not since
//! when. A revision is written as its rank among those in use, a life as whether it is the one that is meant. So states
//! merge that differ only in names and in the hour. Only the *key* is so written: the states themselves keep the values
//! that they came by, and every path is a true one.

mod memory;
mod pending;
mod tasks;

use std::time::Duration;

use trueup_types::record::{DeployPhase, Rollout};
use trueup_types::step::{StepAction, TargetStep};
use trueup_types::time::Stopwatch;
use trueup_types::{AppRoutes, InstanceId, Revision, Timestamp, Wake};

use super::deed::{Deed, Purse};
use super::state::{Being, Doing, End, State, Wish};
use super::world::{DRAIN, GRAIN, HEALTHY_DEADLINE, MIN_HEALTHY, SICKENS_AFTER, World};

/// Health for so long clears exits: the planner's `BACKOFF_RESET`.
const FORGIVEN: Duration = trueup_plan::limits::BACKOFF_RESET;
/// An end is waited out after so long, with as few exits as happen here.
const WAITED_OUT: Duration = Duration::from_secs(10);

/// The key of a state, as bytes.
pub fn bytes(world: &World, state: &State) -> Vec<u8> {
    let mut writer = Writer::new(world, state);
    writer.all();
    writer.out
}

/// The key of a state, as a number, never 0.
pub fn fingerprint(world: &World, state: &State) -> u64 {
    mixed(&bytes(world, state)).max(1)
}

/// A number that any other bytes hardly share: eight bytes at a time are folded in by a multiplication to 128 bits, as
/// wyhash does it.
fn mixed(bytes: &[u8]) -> u64 {
    let fold = |one: u64, other: u64| {
        let product = (u128::from(one) * u128::from(other)).to_le_bytes();
        let (low, high) = product.split_at(8);
        let half = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("eight of sixteen bytes"));
        half(low) ^ half(high)
    };
    let mut sum = u64::try_from(bytes.len()).expect("64 bits") ^ 0xa076_1d64_78bd_642f;
    for eight in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..eight.len()].copy_from_slice(eight);
        sum = fold(sum ^ u64::from_le_bytes(word), 0xe703_7ed1_a0b4_28db) ^ sum.rotate_left(29);
    }
    fold(sum, 0x8ebc_6af0_9c88_c6e3)
}

struct Writer<'a> {
    world: &'a World,
    state: &'a State,
    revisions: Vec<Revision>,
    out: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(world: &'a World, state: &'a State) -> Self {
        let mut writer = Self { world, state, revisions: Vec::new(), out: Vec::with_capacity(192) };
        writer.rank(writer.used());
        if !world.scenario.hooks.is_empty() {
            let open = writer.left_open();
            writer.rank(open);
        }
        writer
    }

    /// Adds revisions to those in use.
    fn rank(&mut self, more: Vec<Revision>) {
        self.revisions.extend(more);
        self.revisions.sort_unstable();
        self.revisions.dedup();
    }

    /// The revisions in use.
    fn used(&self) -> Vec<Revision> {
        let (state, record) = (self.state, &self.state.record);
        let mut used: Vec<_> = state.serving().map(|being| being.id.revision).collect();
        used.extend(self.newest());
        used.extend(record.current);
        used.extend(record.pin.as_ref().map(|pin| pin.to));
        used.extend(record.refused.as_ref().map(|refused| refused.revision));
        used.extend(record.rejected.values().map(|rejection| rejection.revision));
        match &record.rollout {
            Rollout::Idle => {}
            Rollout::Underway { to, .. } | Rollout::Baking { to, .. } => used.push(*to),
            Rollout::Reverting { from, .. } => used.push(*from),
        }
        if self.worded() {
            used.extend(record.history.iter().map(|note| note.revision));
        }
        let listed = state.share.entries.iter().flat_map(|entry| &entry.backends);
        used.extend(listed.map(|backend| backend.instance.revision));
        used.extend(state.old.iter().flat_map(|old| &old.instances).map(|one| one.sighting.id.revision));
        let routes = state.old.iter().filter_map(|old| match &old.routes {
            trueup_types::RouteSight::Seen(seen) => Some(&seen.share),
            trueup_types::RouteSight::Unknown(_) => None,
        });
        let listed = routes.flat_map(|share| &share.entries).flat_map(|entry| &entry.backends);
        used.extend(listed.map(|backend| backend.instance.revision));
        let late = state.late.iter().map(|late| &late.step);
        let steps = late.chain(state.second.iter().flat_map(|second| &second.steps));
        for step in steps {
            match &step.action {
                StepAction::Target { step: TargetStep::Instance(step), .. } => used.push(step.id().revision),
                StepAction::Route { share } => {
                    let listed = share.entries.iter().flat_map(|entry| &entry.backends);
                    used.extend(listed.map(|backend| backend.instance.revision));
                }
            }
        }
        used
    }

    /// People may speak here, and what they may say depends on the history.
    fn worded(&self) -> bool {
        self.world.scenario.deeds.iter().any(|deed: &Deed| deed.purse() == Purse::Word)
    }

    fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    fn flags(&mut self, flags: &[bool]) {
        let bits = flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag));
        self.byte(bits);
    }

    fn wait(&mut self, wait: Duration) {
        let millis = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&millis.to_le_bytes());
    }

    /// How long ago, but at most `most`.
    fn age(&mut self, since: Timestamp, most: Duration) {
        self.wait(self.state.now.since(since).min(most));
    }

    fn revision(&mut self, revision: Revision) {
        let rank = self.revisions.binary_search(&revision).expect("every revision in use is ranked");
        self.byte(u8::try_from(rank).expect("few"));
    }

    fn name(&mut self, id: &InstanceId) {
        self.revision(id.revision);
        let task = id.task.map_or(0, |task| 1 + task as u8);
        self.byte(u8::try_from(id.ordinal.0).expect("few") << 2 | task);
    }

    fn all(&mut self) {
        let state = self.state;
        self.out.extend_from_slice(&state.left);
        match state.wish {
            Wish::Gone => self.byte(u8::MAX),
            Wish::Present { version, size } => self.byte(version << 4 | size),
        }
        self.flags(&[state.doubt, state.dark, state.blind, state.rebuilt, state.ghost.reverted]);
        self.byte(state.held.map_or(0, |held| 1 + held as u8));
        let ghost = &state.ghost;
        self.out.extend_from_slice(&[ghost.good, ghost.excused]);
        self.out.extend_from_slice(&ghost.rejected.to_le_bytes());
        self.byte(ghost.seen.map_or(u8::MAX, |(version, size)| version << 4 | size));
        match state.quiet {
            None => self.byte(0),
            Some(Wake::OnChange) => self.byte(1),
            Some(Wake::At(at, _)) => {
                self.byte(2);
                self.wait(at.since(state.now));
            }
        }
        self.byte(u8::try_from(state.serving().count()).expect("few"));
        for being in state.serving() {
            self.being(being);
        }
        self.tasks();
        self.share(&state.share);
        self.memory();
        self.pending();
    }

    fn being(&mut self, being: &Being) {
        self.name(&being.id);
        self.byte(self.world.number(being.release.digest));
        let exits = self.state.record.exits.get(&being.id);
        let forgiven = if exits.is_some() { FORGIVEN } else { MIN_HEALTHY };
        let sickens = self.world.kind(being.version).turns_bad();
        match being.doing {
            Doing::Waiting => self.byte(0),
            Doing::Well { since } => {
                self.byte(1);
                self.age(since, forgiven);
            }
            Doing::Sick { since } => {
                self.byte(2);
                self.age(since, HEALTHY_DEADLINE);
            }
            Doing::Going => self.byte(3),
            Doing::Down { at, why } => {
                self.byte(4 + why as u8);
                match why {
                    End::ItsOwn | End::CannotStart => self.age(at, WAITED_OUT),
                    End::Finished | End::Asked | End::HostLost => {}
                }
            }
        }
        if sickens {
            self.age(being.since, SICKENS_AFTER);
        }
        if self.is_young(being) {
            self.age(being.since, HEALTHY_DEADLINE);
        }
        let draining = self.state.record.draining.get(&being.id).copied();
        let counted = exits.is_some_and(|exits| exits.last == being.incarnation);
        self.flags(&[being.busy, counted, draining.is_some()]);
        self.byte(exits.map_or(0, |exits| u8::try_from(exits.count).unwrap_or(u8::MAX)));
        if being.busy {
            self.age(being.unrouted, DRAIN);
            self.age(draining.unwrap_or(self.state.now), 3 * DRAIN);
        }
    }

    /// Whether it began its life within the bake, or within a canary, and so is judged by the age of that life.
    fn is_young(&self, being: &Being) -> bool {
        let (to, since) = match &self.state.record.rollout {
            Rollout::Underway { to, canary, .. } if canary.begun() => (*to, DeployPhase::Route),
            Rollout::Baking { to, .. } => (*to, DeployPhase::Bake),
            Rollout::Idle | Rollout::Underway { .. } | Rollout::Reverting { .. } => return false,
        };
        let note = self.state.record.history.iter().find(|note| note.revision == to);
        let mut phases = note.into_iter().flat_map(|note| &note.phases);
        let promoted = phases.find(|one| one.phase == since).map(|one| one.started);
        being.id.revision == to && being.up() && promoted.is_some_and(|promoted| being.since > promoted)
    }

    fn share(&mut self, share: &AppRoutes) {
        for entry in &share.entries {
            self.byte(u8::try_from(entry.backends.len()).expect("few"));
            for backend in &entry.backends {
                self.name(&backend.instance);
                let there = self.state.find(&backend.instance).map(|at| self.state.beings[at].address());
                self.byte(u8::try_from(backend.weight).unwrap_or(u8::MAX));
                self.flags(&[there == backend.address]);
            }
        }
        self.byte(u8::MAX);
    }

    fn watch(&mut self, watch: &Stopwatch, limit: Duration) {
        self.wait(watch.watched().min(limit));
        // What was not watched will not count.
        let marked = watch.due(Duration::ZERO);
        self.age(marked, limit);
        self.age(marked.max(self.state.sighted_since), limit);
        let mut later = *watch;
        later.advance(Timestamp::ZERO, marked.after(GRAIN));
        let stopped = later.watched() == watch.watched();
        self.flags(&[stopped]);
    }
}
