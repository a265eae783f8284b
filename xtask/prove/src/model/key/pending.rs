//! What of a state was begun and has not happened yet: a late call, a second daemon's plan, a look that is remembered.

use trueup_types::Observed;
use trueup_types::observed::{ExitWhy, Health, Phase, RouteSight};
use trueup_types::step::{InstanceStep, Step, StepAction, TargetStep};

use super::super::world::{HEALTHY_DEADLINE, MIN_HEALTHY, PROGRESS_DEADLINE};
use super::{FORGIVEN, WAITED_OUT, Writer};

impl Writer<'_> {
    /// What was begun and has not happened yet.
    pub(super) fn pending(&mut self) {
        let state = self.state;
        if let Some(late) = &state.late {
            self.byte(1);
            self.step(&late.step);
            self.flags(&[late.tables == state.tables]);
        }
        if let Some(second) = &state.second {
            self.byte(2);
            self.flags(&[second.tables == state.tables]);
            for step in &second.steps[second.next..] {
                self.step(step);
            }
        }
        if let Some(old) = &state.old {
            self.byte(3);
            self.sight(old);
        }
    }

    fn step(&mut self, step: &Step) {
        let step = match &step.action {
            StepAction::Route { share } => {
                self.byte(0);
                return self.share(share);
            }
            StepAction::Target { step: TargetStep::Instance(step), .. } => step,
        };
        self.name(step.id());
        let there = self.state.find(step.id()).map(|at| &self.state.beings[at].incarnation);
        let (verb, meant) = match step {
            InstanceStep::Create { release, .. } => (16 + self.world.number(release.digest), None),
            InstanceStep::Start { ended, .. } => (1, Some(ended)),
            InstanceStep::Stop { incarnation, .. } => (2, Some(incarnation)),
            InstanceStep::Remove { incarnation, .. } => (3, Some(incarnation)),
        };
        self.byte(verb);
        self.flags(&[meant.is_some() && meant == there]);
    }

    fn sight(&mut self, old: &Observed) {
        for one in &old.instances {
            self.name(&one.sighting.id);
            self.byte(self.world.number(one.sighting.release));
            let there = self.state.find(&one.sighting.id).map(|at| &self.state.beings[at].incarnation);
            let exits = self.state.record.exits.get(&one.sighting.id);
            let counted = exits.is_some_and(|exits| exits.last == one.sighting.incarnation);
            self.flags(&[there == Some(&one.sighting.incarnation), counted]);
            match &one.sighting.phase {
                Phase::Exited { at, why, .. } => {
                    self.byte(if matches!(why, ExitWhy::ByItself) { 1 } else { 2 });
                    self.age(*at, WAITED_OUT);
                }
                Phase::Vanishing { .. } => self.byte(3),
                Phase::Created | Phase::Starting | Phase::Asleep => self.byte(4),
                Phase::Running { .. } => self.byte(5),
            }
            match &one.health {
                Health::Waiting => self.byte(0),
                Health::Unknown => self.byte(1),
                Health::Passing { since } => {
                    self.byte(2);
                    self.age(*since, if exits.is_some() { FORGIVEN } else { MIN_HEALTHY });
                }
                Health::Failed { since, .. } => {
                    self.byte(3);
                    self.age(*since, HEALTHY_DEADLINE);
                }
            }
        }
        self.age(old.sighted_since, PROGRESS_DEADLINE);
        if let RouteSight::Seen(seen) = &old.routes {
            self.share(&seen.share);
            let busy = u8::try_from(seen.in_flight.len()).expect("few");
            self.byte(busy);
        }
    }
}
