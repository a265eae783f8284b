//! Goes through every state that a world can reach, depth first.
//!
//! A path lies on the stack, so nothing but fingerprints is kept of where we have been. From each new state the way on
//! which nothing goes wrong any more is followed to rest, or to a state whose way is known: that is how bounded liveness
//! is held against *every* state, and how a cycle is found that never comes to rest.

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
    decided: Decided,
    moves: Vec<Action>,
    next: usize,
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
        Self { world, table: Table::new(), stack: Vec::new(), figures: Figures::default() }
    }

    /// Meets every state that can be reached, until something is wrong or `stop` says so.
    pub fn run(mut self, begin: &State, stop: &dyn Fn(u64) -> bool) -> Result<Figures, Found> {
        let key = fingerprint(self.world, begin);
        self.table.visit(key);
        self.rests(begin, key)?;
        self.push(begin.clone());
        while let Some(frame) = self.stack.last_mut() {
            let Some(action) = frame.moves.get(frame.next).copied() else {
                self.stack.pop();
                continue;
            };
            frame.next += 1;
            self.figures.deeds += 1;
            let mut state = frame.state.clone();
            let mut notes = Notes::default();
            state.act(self.world, action, Some(&frame.decided), &mut notes);
            if !notes.broken.is_empty() {
                return Err(self.found(notes.broken.join("; "), &[]));
            }
            let key = fingerprint(self.world, &state);
            if self.table.visit(key) {
                self.rests(&state, key)?;
                self.push(state);
                if self.table.len().is_multiple_of(GLANCE) && stop(u64::try_from(self.table.len()).expect("64 bits")) {
                    break;
                }
            }
        }
        self.figures.states = u64::try_from(self.table.len()).expect("64 bits");
        Ok(self.figures)
    }

    fn push(&mut self, state: State) {
        let decided = decide(self.world, &state, Sight::Fresh, &state.record);
        let moves = state.moves(self.world, &decided);
        self.stack.push(Frame { state, decided, moves, next: 0 });
        self.figures.deepest = self.figures.deepest.max(self.stack.len());
    }

    /// The path to where we are, and a way on from there.
    fn found(&self, what: String, way: &[Action]) -> Found {
        let path = self.stack.iter().filter_map(|frame| frame.next.checked_sub(1).map(|at| frame.moves[at]));
        Found { what, path: path.chain(way.iter().copied()).collect() }
    }

    /// Follows the way to rest, once nothing goes wrong any more.
    fn rests(&mut self, from: &State, key: u64) -> Result<(), Found> {
        let (mut state, mut key) = (from.clone(), key);
        let (mut chain, mut way) = (Vec::new(), Vec::new());
        let end = loop {
            match self.table.distance(key) {
                Distance::Known(known) => break known,
                Distance::Asked => return Err(self.found("law 1: it goes round and round".to_owned(), &way)),
                Distance::Unknown => {}
            }
            if chain.len() >= usize::from(REST_MAX) {
                return Err(self.found(format!("law 1: no rest after {REST_MAX} deeds"), &way));
            }
            self.table.keep(key, Distance::Asked);
            chain.push(key);
            let Some(action) = state.fair(self.world) else {
                if let Some(wrong) = at_rest(self.world, &state) {
                    return Err(self.found(wrong, &way));
                }
                chain.pop();
                self.table.keep(key, Distance::Known(0));
                break 0;
            };
            way.push(action);
            let mut notes = Notes::default();
            state.act(self.world, action, None, &mut notes);
            if !notes.broken.is_empty() {
                return Err(self.found(notes.broken.join("; "), &way));
            }
            key = fingerprint(self.world, &state);
        };
        for (ahead, key) in (1_u8..).zip(chain.iter().rev()) {
            let distance = end.saturating_add(ahead);
            if distance > REST_MAX {
                return Err(self.found(format!("law 1: no rest after {REST_MAX} deeds"), &way));
            }
            self.table.keep(*key, Distance::Known(distance));
            self.figures.farthest = self.figures.farthest.max(distance);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use super::*;
    use crate::model::{key, scope, story};
    use crate::tier::Scale;
    use trueup_museum::{Bug, Planted};

    fn world(name: &str) -> World {
        scope::worlds(Scale::Ci).into_iter().find(|world| world.name == name).expect("a world of that name")
    }

    #[test]
    fn the_search_meets_exactly_the_states_that_a_plain_one_meets_that_keeps_whole_keys() {
        let world = world("rolling1/mute");
        let mut begin = story::beginning(&world).expect("nothing is wrong at the beginning");
        begin.left = [1, 1, 0];
        let (mut met, mut open) = (BTreeSet::from([key::bytes(&world, &begin)]), VecDeque::from([begin.clone()]));
        while let Some(state) = open.pop_front() {
            let decided = decide(&world, &state, Sight::Fresh, &state.record);
            for action in state.moves(&world, &decided) {
                let mut next = state.clone();
                next.act(&world, action, None, &mut Notes::default());
                if met.insert(key::bytes(&world, &next)) {
                    open.push_back(next);
                }
            }
        }
        let figures = Search::new(&world).run(&begin, &|_| false).expect("nothing is wrong");
        assert_eq!(figures.states, u64::try_from(met.len()).expect("few"));
        assert!(met.len() > 300, "{} states are no search", met.len());
    }

    #[test]
    fn a_planted_bug_is_found_and_its_path_replays() {
        let world = world("bluegreen1/fails");
        let _planted = Planted::new(Bug::RetriesRejected);
        let begin = story::beginning(&world).expect("nothing is wrong at the beginning");
        let found = Search::new(&world).run(&begin, &|_| false).expect_err("the bug is there");
        let path = story::shorten(&world, found.path);
        assert!(story::tell(&world, &path, &mut |_| ()).is_some(), "{:?} goes wrong again", path);
    }
}
