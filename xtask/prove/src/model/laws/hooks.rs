//! Law 13, by a memory of our own: a hook begins once for a release, when its turn has come, and alone; and nothing of a
//! release is created before its `preDeploy` hooks have ended well.

use trueup_types::record::Rollout;
use trueup_types::step::InstanceStep;
use trueup_types::{InstanceId, Ordinal, Release, Revision, Task};

use super::super::state::{Being, Wish};
use super::super::world::Kind;
use super::Judge;

impl Judge<'_> {
    /// Judges a step on what runs a hook.
    pub(super) fn hook(&self, step: &InstanceStep) -> Vec<String> {
        let (id, state) = (step.id(), self.state);
        let there = state.find(id).map(|at| &state.beings[at]);
        match step {
            InstanceStep::Create { release, .. } => self.begin(id, release),
            InstanceStep::Start { .. } => vec![format!("law 13: {id} would begin again")],
            InstanceStep::Stop { incarnation, .. } | InstanceStep::Remove { incarnation, .. } => {
                let Some(being) = there.filter(|being| being.incarnation == *incarnation) else {
                    let fresh = self.fresh();
                    return fresh
                        .then(|| format!("law 6: {} {id}, which is not there", step.verb()))
                        .into_iter()
                        .collect();
                };
                self.end(step, being)
            }
        }
    }

    fn begin(&self, id: &InstanceId, release: &Release) -> Vec<String> {
        let mut broken = Vec::new();
        let (state, record) = (self.state, &self.decided.plan.record);
        if id.revision != release.revision || id.app != release.app {
            broken.push(format!("law 6: {id} is not a name of {}", release.revision));
        }
        if state.find(id).is_none() && state.ran.iter().any(|ran| ran.id == *id) {
            broken.push(format!("law 13: {id} would run a second time"));
        }
        let mut others = state.beings.iter().filter(|other| !other.serves() && other.id != *id);
        if self.fresh() && others.any(Being::runs) {
            broken.push(format!("law 13: {id} would run beside another"));
        }
        if state.wish == Wish::Gone {
            broken.push(format!("law 7: {id} is created for an app that is gone"));
        }
        let Some(task) = id.task else { return broken };
        if !is_its_turn(&record.rollout, task, id.revision) {
            broken.push(format!("law 13: {id} would run when its turn has not come"));
        }
        let rejected = state.ghost.rejected & (1 << self.world.number(release.digest)) != 0;
        if rejected && task != Task::OnRevert {
            broken.push(format!("law 7: {id} is of a rejected digest"));
        }
        if task != Task::OnRevert
            && let Some(open) = (0..id.ordinal.0).find(|place| !self.ended_well(id, task, *place))
        {
            broken.push(format!("law 13: {id} would run before number {open} of its kind has ended well"));
        }
        broken
    }

    fn end(&self, step: &InstanceStep, being: &Being) -> Vec<String> {
        let (verb, id, state) = (step.verb(), step.id(), self.state);
        let mut broken = Vec::new();
        if self.decided.permits.destroy.is_err() {
            broken.push(format!("law 9: {verb} {id} though nothing may be destroyed"));
        }
        if matches!(step, InstanceStep::Remove { .. }) && being.runs() {
            broken.push(format!("law 13: {id} is removed while it runs"));
        }
        let given_up = state.wish == Wish::Gone
            || self.decided.plan.record.rejected.values().any(|one| one.revision == id.revision);
        let excused = state.ghost.excused & (1 << being.version) != 0;
        let would_end = being.up() && self.world.nature(being) != Kind::NeverPasses;
        if matches!(step, InstanceStep::Stop { .. }) && would_end && !given_up && !excused {
            broken.push(format!("law 13: {id} is stopped, and would have ended by itself"));
        }
        broken
    }

    /// Law 13: nothing of a release before its `preDeploy` hooks have ended well; a rollback asks for none.
    pub(super) fn unprepared(&self, id: &InstanceId, release: &Release) -> Option<String> {
        let record = &self.decided.plan.record;
        let again = record.history.iter().any(|note| note.revision == id.revision && note.again.is_some());
        if again || record.current == Some(id.revision) {
            return None;
        }
        let mut tasks = release.tasks(Task::PreDeploy);
        let open = tasks.find(|(task, _)| !self.state.ran.iter().any(|ran| ran.id == *task && ran.well))?;
        Some(format!("law 13: {id} would be created before {} has ended well", open.0))
    }

    fn ended_well(&self, id: &InstanceId, task: Task, place: u32) -> bool {
        let before = InstanceId::of_task(&id.app, id.revision, task, Ordinal(place));
        self.state.ran.iter().any(|ran| ran.id == before && ran.well)
    }
}

/// Whether a rollout has come to where hooks of this kind are run.
fn is_its_turn(rollout: &Rollout, task: Task, revision: Revision) -> bool {
    match rollout {
        Rollout::Idle => false,
        Rollout::Underway { to, .. } => task == Task::PreDeploy && *to == revision,
        Rollout::Baking { to, .. } => task == Task::PostDeploy && *to == revision,
        Rollout::Reverting { from, .. } => task == Task::OnRevert && *from == revision,
    }
}
