//! What a step does to the small world, as the seams promise it: idempotent, and only to the life that is meant.

use std::sync::Arc;

use trueup_types::desired::Doubt;
use trueup_types::observed::Incarnation;
use trueup_types::step::{InstanceStep, Refusal, StepAction, StepOutcome, TargetStep};
use trueup_types::{AppRoutes, Release, Step};

use super::state::{Being, Doing, End, Ran, State};
use super::world::{Kind, World};

/// Lets a step take effect; a table that was made when there were fewer `tables` than now comes too late.
pub fn land(world: &World, state: &mut State, step: &Step, tables: u32) -> StepOutcome {
    match &step.action {
        StepAction::Route { share } => route(state, share, tables),
        StepAction::Target { step: TargetStep::Instance(step), .. } => instance(world, state, step),
    }
}

fn route(state: &mut State, share: &AppRoutes, tables: u32) -> StepOutcome {
    if state.dark {
        return StepOutcome::Unknown { why: Doubt::OutcomeUnknown("the edge does not answer".to_owned()) };
    }
    if tables != state.tables {
        return StepOutcome::Refused { why: Refusal::Superseded };
    }
    for being in &mut state.beings {
        if state.share.lists(&being.id) && !share.lists(&being.id) {
            being.unrouted = state.now;
        }
    }
    state.share = Arc::new(share.clone());
    state.tables += 1;
    StepOutcome::Done
}

fn instance(world: &World, state: &mut State, step: &InstanceStep) -> StepOutcome {
    match step {
        InstanceStep::Create { release, .. } => create(world, state, step, release),
        InstanceStep::Start { id, ended } => {
            let Some(at) = state.find(id) else {
                return StepOutcome::Refused { why: Refusal::Gone };
            };
            let down = matches!(state.beings[at].doing, Doing::Down { .. });
            if !down || state.beings[at].incarnation != *ended {
                return StepOutcome::AlreadyTrue;
            }
            begin(world, state, at);
            StepOutcome::Done
        }
        InstanceStep::Stop { incarnation, .. } => {
            let Some(at) = meant(state, step, incarnation) else { return StepOutcome::AlreadyTrue };
            if !state.beings[at].up() {
                return StepOutcome::AlreadyTrue;
            }
            state.beings[at].doing = Doing::Going;
            StepOutcome::Done
        }
        InstanceStep::Remove { incarnation, .. } => {
            let Some(at) = meant(state, step, incarnation) else { return StepOutcome::AlreadyTrue };
            if state.beings[at].runs() {
                return StepOutcome::Refused { why: Refusal::StillRunning };
            }
            state.beings.remove(at);
            StepOutcome::Done
        }
    }
}

/// Where the life is that a step means, if it is there still.
fn meant(state: &State, step: &InstanceStep, incarnation: &Incarnation) -> Option<usize> {
    state.find(step.id()).filter(|at| state.beings[*at].incarnation == *incarnation)
}

fn create(world: &World, state: &mut State, step: &InstanceStep, release: &Arc<Release>) -> StepOutcome {
    let id = step.id();
    if let Some(at) = state.find(id) {
        let same = state.beings[at].release.digest == release.digest;
        return if same { StepOutcome::AlreadyTrue } else { StepOutcome::Refused { why: Refusal::NameTaken } };
    }
    let version = world.version(release.digest);
    let being = Being {
        id: id.clone(),
        release: Arc::clone(release),
        version,
        life: 0,
        incarnation: Incarnation("".into()),
        since: state.now,
        doing: Doing::Waiting,
        busy: false,
        unrouted: state.now,
    };
    if world.nature(&being) == Kind::Refused {
        return StepOutcome::Refused { why: Refusal::Invalid("no such user".to_owned()) };
    }
    let at = state.beings.partition_point(|other| other.id < being.id);
    state.beings.insert(at, being);
    begin(world, state, at);
    StepOutcome::Done
}

fn begin(world: &World, state: &mut State, at: usize) {
    state.lives += 1;
    let (life, now) = (state.lives, state.now);
    let being = &mut state.beings[at];
    being.life = life;
    being.incarnation = Incarnation(format!("life-{life}").into());
    being.since = now;
    being.busy = false;
    being.doing = match world.nature(being) {
        Kind::CannotStart => Doing::Down { at: now, why: End::CannotStart },
        Kind::Good | Kind::NeverPasses | Kind::Fails | Kind::Sickens | Kind::Collapses | Kind::Dies | Kind::Refused => {
            Doing::Waiting
        }
    };
    if !being.serves() {
        let ran = Ran { id: being.id.clone(), well: false };
        Arc::make_mut(&mut state.ran).push(ran);
    }
}
