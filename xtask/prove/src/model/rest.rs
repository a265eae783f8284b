//! What the world must be like when nothing goes wrong any more and nothing is left to do.

use std::sync::Arc;
use std::time::Duration;

use trueup_types::Release;
use trueup_types::policy::RevertMode;
use trueup_types::record::Rollout;

use super::state::{Being, State, Wish};
use super::tick::{Course, Notes, Sight, carry_out, decide};
use super::world::World;

/// Most deeds from any state to rest, once nothing goes wrong any more; time that passes and ticks count as one each.
pub const REST_MAX: u8 = 200;

/// What is wrong with a world at rest.
pub fn at_rest(world: &World, state: &State) -> Option<String> {
    as_wanted(world, state).or_else(|| is_still(world, state))
}

/// Law 2: whenever it is looked at again, nothing is done.
fn is_still(world: &World, state: &State) -> Option<String> {
    for hours in [0, 1, 24] {
        let mut later = state.clone();
        later.now = later.now.after(Duration::from_secs(3_600 * hours));
        let decided = decide(world, &later, Sight::Fresh, &later.record);
        if let Some(step) = decided.plan.steps.first() {
            return Some(format!("law 2: at rest, after {hours} h it would {step}"));
        }
        let mut notes = Notes::default();
        carry_out(world, &mut later, &decided, Course::Whole, &mut notes);
        let again = decide(world, &later, Sight::Fresh, &later.record);
        if !Arc::ptr_eq(&again.after, &later.record) {
            return Some(format!("law 2: at rest, after {hours} h its memory goes on changing"));
        }
    }
    None
}

fn as_wanted(world: &World, state: &State) -> Option<String> {
    let record = &*state.record;
    if let Some(task) = state.beings.iter().find(|being| !being.serves() && being.runs()) {
        return Some(format!("law 1: {} runs on", task.id));
    }
    let Wish::Present { version, size } = state.wish else {
        let left = !state.beings.is_empty() || !state.share.entries.is_empty();
        return left.then(|| "law 1: it is gone, and something is left".to_owned());
    };
    if record.rollout != Rollout::Idle {
        return Some("law 1: a rollout is not at its end".to_owned());
    }
    let desired = world.app(version, size);
    let wanted = desired.release_digest(record.restarts);
    let rejected = record.rejected.contains_key(&(wanted, desired.placement.target.clone()));
    let held = desired.policy.revert == RevertMode::Hold && !record.rejected.is_empty();
    if desired.replicas() == 0 {
        let evidence = rejected && (held || record.current.is_none()) && state.serving().all(|being| !being.runs());
        let none = state.serving().next().is_none() || evidence;
        return (!none).then(|| "law 1: none is wanted, and one is left".to_owned());
    }
    let Some(current) = record.current_release() else {
        let fallen = rejected && state.serving().all(|being| !being.up() || being.passes());
        return (!fallen).then(|| "law 1: nothing is good, and nothing was found bad".to_owned());
    };
    if !world.is_good(world.version(current.digest)) {
        // Memory was lost, or a person promoted it, and it is all that is known.
        return None;
    }
    if record.pin.is_none() && !rejected && current.digest != wanted {
        return Some(format!("law 1: {} serves, which is not wanted", current.revision));
    }
    full(world, state, current, held)
}

/// As many as are wanted pass, in the table, and nothing else is there.
fn full(world: &World, state: &State, current: &Release, held: bool) -> Option<String> {
    let ours = |being: &Being| being.id.revision == current.revision && being.release.digest == current.digest;
    let well: Vec<_> = state.serving().filter(|being| ours(being) && being.passes()).collect();
    let replicas = usize::try_from(state.replicas(world)).expect("few");
    if well.len() != replicas {
        return Some(format!("law 1: {} run well, {replicas} are wanted", well.len()));
    }
    if well.len() != state.serving().count() && !held {
        return Some("law 1: something is left over".to_owned());
    }
    if !world.shape.routed {
        return (!state.share.entries.is_empty()).then(|| "law 1: a worker is in the table".to_owned());
    }
    let [entry] = state.share.entries.as_slice() else { return Some("law 1: the table has not one entry".to_owned()) };
    let listed: Vec<_> = entry.backends.iter().map(|backend| (&backend.instance, backend.address)).collect();
    let wanted: Vec<_> = well.iter().map(|being| (&being.id, Some(being.address()))).collect();
    (listed != wanted).then(|| format!("law 1: {listed:?} are in the table"))
}
