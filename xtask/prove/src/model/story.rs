//! A path as a line of text, told again as a story, and made as short as it can be.

use super::deed::Action;
use super::rest::{REST_MAX, at_rest};
use super::search::Found;
use super::state::State;
use super::tick::{Notes, Sight, decide};
use super::world::World;

/// The state that a world begins with: nothing at all, or its first version serving.
pub fn beginning(world: &World) -> Result<State, Found> {
    let mut state = State::empty(world);
    if world.scenario.empty {
        return Ok(state);
    }
    let mut path = Vec::new();
    while let Some(action) = state.fair(world) {
        path.push(action);
        let mut notes = Notes::default();
        state.act(world, action, None, &mut notes);
        if !notes.broken.is_empty() || path.len() > usize::from(REST_MAX) {
            return Err(Found { what: format!("at the beginning: {}", notes.broken.join("; ")), path });
        }
    }
    Ok(state)
}

/// Tells a path; answers what is wrong at its end.
pub fn tell(world: &World, path: &[Action], out: &mut dyn FnMut(String)) -> Option<String> {
    let mut state = match beginning(world) {
        Ok(state) => state,
        Err(found) => return Some(found.what),
    };
    for action in path {
        if let Some(wrong) = go(world, &mut state, *action, out) {
            return Some(wrong);
        }
    }
    out("nothing goes wrong any more:".to_owned());
    for _ in 0..=REST_MAX {
        let Some(action) = state.fair(world) else { return at_rest(world, &state) };
        if let Some(wrong) = go(world, &mut state, action, out) {
            return Some(wrong);
        }
    }
    Some(format!("law 1: no rest after {REST_MAX} deeds"))
}

fn go(world: &World, state: &mut State, action: Action, out: &mut dyn FnMut(String)) -> Option<String> {
    let decided = decide(world, state, Sight::Fresh, &state.record);
    if !state.moves(world, decided.plan.steps.len()).contains(&action) {
        out(format!("{action} cannot be here"));
        return None;
    }
    let at = state.now.since(super::state::BEGINNING).as_secs();
    let being = state.beings.get(usize::from(action.1)).map_or_else(String::new, |being| format!(" ({})", being.id));
    out(format!("+{at}s {action}: {}{being}", action.0.told()));
    let mut notes = Notes { broken: Vec::new(), tale: Some(Vec::new()) };
    state.act(world, action, Some(&decided), &mut notes);
    notes.tale.into_iter().flatten().for_each(out);
    (!notes.broken.is_empty()).then(|| notes.broken.join("; "))
}

/// A path that still goes wrong though nothing more can be left out of it.
pub fn shorten(world: &World, path: Vec<Action>) -> Vec<Action> {
    let wrong = |path: &[Action]| tell(world, path, &mut |_| ()).is_some();
    let mut path = path;
    let mut size = path.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < path.len() {
            let mut shorter = path.clone();
            shorter.drain(at..(at + size).min(path.len()));
            if wrong(&shorter) {
                path = shorter;
            } else {
                at += size;
            }
        }
        if size == 1 {
            return path;
        }
        size = size.div_ceil(2);
    }
}

/// Spells a path for `--replay`.
pub fn spell(world: &World, path: &[Action]) -> String {
    let actions: Vec<_> = path.iter().map(ToString::to_string).collect();
    format!("{}:{}", world.name, actions.join("."))
}
