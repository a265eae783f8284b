//! Goes through every state that a world can reach, depth first.
//!
//! A path lies on the stack, so nothing but fingerprints is kept of where we have been. What is done first in a new state
//! is what happens when nothing goes wrong any more, and so on to rest, or to a state whose way is known: that is how
//! bounded liveness is held against *every* state, and how a cycle is found that never comes to rest. Everything else that
//! can happen on that way is tried when it is gone back.

use super::deed::Action;
use super::key::fingerprint;
use super::rest::{REST_MAX, at_rest};
use super::state::State;
use super::table::{Distance, Table};
use super::tick::{Decided, Notes, Sight, decide};
use super::world::World;

/// From one question to whoever may stop us to the next, in states.
const GLANCE: usize = 1_024;

/// What a search found out.
#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    /// Distinct states.
    pub states: u64,
    /// Worlds that were gone through to their end.
    pub ended: u32,
    /// Deeds that were tried.
    pub deeds: u64,
    /// The longest path that was held at once.
    pub deepest: usize,
    /// The longest way to rest, in deeds.
    pub farthest: u8,
}

/// A law that was broken, and the path to it from the world's beginning.
#[derive(Debug)]
pub struct Found {
    pub what: String,
    pub path: Vec<Action>,
}

/// A state that is being gone on from.
struct Frame {
    state: State,
    /// What its daemon would do; nothing where it has nothing to do.
    decided: Option<Decided>,
    /// What has not been tried yet, the first last.
    moves: Vec<Action>,
    /// What is being tried.
    tried: Option<Action>,
}

impl Frame {
    fn new(world: &World, state: State) -> Self {
        // A daemon that has just found nothing to do finds the same when it is asked again.
        let decided = state.quiet.is_none().then(|| decide(world, &state, Sight::Fresh, &state.record));
        let steps = decided.as_ref().map_or(0, |decided| decided.plan.steps.len());
        let mut moves = state.moves(world, steps);
        moves.reverse();
        Self { state, decided, moves, tried: None }
    }

    /// Tries something: the state that it leads to, and what is wrong with it.
    fn try_out(&mut self, world: &World, action: Action) -> (State, Notes) {
        self.tried = Some(action);
        let mut state = self.state.clone();
        let mut notes = Notes::default();
        state.act(world, action, self.decided.as_ref(), &mut notes);
        (state, notes)
    }
}

/// A search through one world.
pub struct Search<'w> {
    world: &'w World,
    table: Table,
    stack: Vec<Frame>,
    figures: Figures,
}

impl<'w> Search<'w> {
    /// A search that has met nothing yet.
    pub fn new(world: &'w World) -> Self {
        Self { world, table: Table::small(), stack: Vec::new(), figures: Figures::default() }
    }

    /// Meets every state that can be reached, until something is wrong or `stop` says so.
    pub fn run(mut self, begin: &State, stop: &dyn Fn(u64) -> bool) -> Result<Figures, Found> {
        self.enter(begin.clone(), fingerprint(self.world, begin))?;
        let mut glance = GLANCE;
        while let Some(frame) = self.stack.last_mut() {
            let Some(action) = frame.moves.pop() else {
                self.stack.pop();
                continue;
            };
            self.figures.deeds += 1;
            let (state, notes) = frame.try_out(self.world, action);
            if !notes.broken.is_empty() {
                return Err(self.found(notes.broken.join("; ")));
            }
            let key = fingerprint(self.world, &state);
            if self.table.distance(key) == Distance::Unmet {
                self.enter(state, key)?;
            }
            if self.table.count() >= glance {
                glance = self.table.count() + GLANCE;
                if stop(u64::try_from(self.table.count()).expect("64 bits")) {
                    break;
                }
            }
        }
        self.figures.ended = u32::from(self.stack.is_empty());
        self.figures.states = u64::try_from(self.table.count()).expect("64 bits");
        Ok(self.figures)
    }

    /// The path to where we are.
    fn found(&self, what: String) -> Found {
        Found { what, path: self.stack.iter().filter_map(|frame| frame.tried).collect() }
    }

    /// Meets a new state and all that follow from it once nothing goes wrong any more.
    fn enter(&mut self, state: State, key: u64) -> Result<(), Found> {
        let (mut state, mut key) = (state, key);
        let mut chain = Vec::new();
        let end = loop {
            match self.table.distance(key) {
                Distance::Known(known) => break known,
                Distance::Asked => return Err(self.found("law 1: it goes round and round".to_owned())),
                Distance::Unmet => {}
            }
            if chain.len() > usize::from(REST_MAX) {
                return Err(self.found(format!("law 1: no rest after {REST_MAX} deeds")));
            }
            self.table.keep(key, Distance::Asked);
            chain.push(key);
            let mut frame = Frame::new(self.world, state);
            self.figures.deepest = self.figures.deepest.max(self.stack.len() + 1);
            let Some(action) = frame.state.fair(self.world) else {
                let wrong = at_rest(self.world, &frame.state);
                self.stack.push(frame);
                if let Some(wrong) = wrong {
                    return Err(self.found(wrong));
                }
                chain.pop();
                self.table.keep(key, Distance::Known(0));
                break 0;
            };
            let at = frame.moves.iter().position(|one| *one == action);
            frame.moves.remove(at.expect("what happens when nothing goes wrong is among what can happen"));
            self.figures.deeds += 1;
            let (next, notes) = frame.try_out(self.world, action);
            self.stack.push(frame);
            if !notes.broken.is_empty() {
                return Err(self.found(notes.broken.join("; ")));
            }
            key = fingerprint(self.world, &next);
            state = next;
        };
        self.measure(&chain, end)
    }

    /// Keeps how far each state of a way is from rest, its end being so far.
    fn measure(&mut self, chain: &[u64], end: u8) -> Result<(), Found> {
        for (ahead, key) in (1_u8..).zip(chain.iter().rev()) {
            let distance = end.saturating_add(ahead);
            if distance > REST_MAX {
                return Err(self.found(format!("law 1: no rest after {REST_MAX} deeds")));
            }
            self.table.keep(*key, Distance::Known(distance));
            self.figures.farthest = self.figures.farthest.max(distance);
        }
        Ok(())
    }
}
