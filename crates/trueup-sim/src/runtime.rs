//! A runtime over the world: surveys and steps, with whatever goes wrong in between.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trueup_seams::{
    BoxFuture, ExecOutput, Inspect, LogLine, LogQuery, NudgeSink, Nudges, ObserveError, Runtime, Sight, Survey,
};
use trueup_types::desired::Doubt;
use trueup_types::observed::{ExitWhy, Incarnation, Phase};
use trueup_types::step::{InstanceStep, Refusal, StepOutcome, TargetStep};
use trueup_types::{InstanceId, Place, Release, TargetName, Timestamp};

use crate::behaviour::{ANALYSE, Behaviour};
use crate::faults::{CallFault, SightFault, dark};
use crate::laws;
use crate::world::{SimInstance, World};

/// How long a call that hangs takes, which is longer than any deadline of the driver.
const HANG: Duration = Duration::from_secs(3_600);

/// How long a simulated instance takes to go once it is told to.
pub const STOP_TAKES: Duration = Duration::from_millis(50);

/// So many surveys are kept, to be shown again by a listing that travels in time.
const RING: usize = 4;
/// Longest that a listing lags behind: platforms catch up with themselves within seconds. The driver rests on it, as far
/// as a third party may have undone what it saw; see `trueup_driver::deeds`.
pub(crate) const LISTING_LAG_MAX: Duration = trueup_driver::deeds::BELIEVE_AFTER;

/// One target of the world.
pub struct SimRuntime {
    world: World,
    target: TargetName,
    /// Earlier surveys, the newest first.
    before: Mutex<VecDeque<(Timestamp, Survey)>>,
}

/// Whether the laws are asked about an effect: not about one that lands long after it was called for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judge {
    Yes,
    No,
}

impl SimRuntime {
    /// A runtime over one target, which is made when it is not there.
    #[must_use]
    pub fn new(world: &World, target: &TargetName) -> Self {
        world.lock().instances.entry(target.clone()).or_default();
        Self { world: world.clone(), target: target.clone(), before: Mutex::default() }
    }

    fn look(&self) -> Survey {
        let now = self.world.now();
        let mut state = self.world.lock();
        if state.dark.contains(&self.target) {
            return dark();
        }
        let seen = state.instances.get(&self.target).into_iter().flatten();
        let mut places = BTreeMap::from([(Place::here(), Sight::default())]);
        for (id, instance) in seen {
            places.entry(instance.place.clone()).or_default().instances.push(instance.sighting(id, now));
        }
        let truth: Survey = places.into_iter().map(|(place, sight)| (place, Ok(sight))).collect();
        let fault = state.faults.next_sight(&self.target);
        if matches!(fault, None | Some(SightFault::Doubled)) {
            state.ignorance.looked(&self.target, now);
        }
        drop(state);
        let mut before = self.before.lock().expect("no holder panics");
        before.retain(|(at, _)| now.since(*at) < LISTING_LAG_MAX);
        let earlier = |back: usize| before.get(back).or(before.back()).map(|(_, survey)| survey.clone());
        let answer = fault.and_then(|fault| fault.shows(&truth, || earlier(0), || earlier(RING - 1)));
        before.push_front((now, truth.clone()));
        before.truncate(RING);
        drop(before);
        if answer.as_ref().is_some_and(|answer| *answer != truth) {
            self.world.lock().faults.feel();
        }
        answer.unwrap_or(truth)
    }

    async fn perform(&self, step: &TargetStep) -> StepOutcome {
        let TargetStep::Instance(step) = step;
        let (fault, refused) = {
            let mut state = self.world.lock();
            let dark = state.dark.contains(&self.target);
            let drawn = state.faults.next_call(&step.id().app);
            (if dark { Some(CallFault::LostBefore) } else { drawn }, !dark && state.faults.refuses(step))
        };
        let unknown = |why: &str| StepOutcome::Unknown { why: Doubt::OutcomeUnknown(why.to_owned()) };
        let busy = || StepOutcome::Retry { after: Duration::from_millis(500), why: "the platform is busy".to_owned() };
        match fault {
            _ if refused => StepOutcome::Refused { why: Refusal::Invalid("no such user".to_owned()) },
            None => self.effect(step, Judge::Yes),
            Some(CallFault::RefusedForNow) => busy(),
            Some(CallFault::Underway) => {
                let why = "pulling its image".to_owned();
                StepOutcome::Underway { after: Duration::from_secs(1), why, said: Vec::new() }
            }
            Some(CallFault::Halfway) => {
                self.halfway(step);
                busy()
            }
            Some(CallFault::Limited(after)) => StepOutcome::Retry { after, why: "too many requests".to_owned() },
            Some(CallFault::LostBefore) => unknown("connection refused"),
            Some(CallFault::LostAfter) => {
                let _ = self.effect(step, Judge::Yes);
                unknown("connection reset")
            }
            Some(CallFault::Late(wait)) => {
                let late = Self::new(&self.world, &self.target);
                let step = step.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    if late.effect(&step, Judge::No) == StepOutcome::Done {
                        let now = late.world.now();
                        late.world.lock().landed(&late.target, step.id(), now);
                    }
                });
                unknown("timed out")
            }
            Some(CallFault::Hangs) => {
                tokio::time::sleep(HANG).await;
                unknown("timed out")
            }
            Some(CallFault::HangsAfter) => {
                let _ = self.effect(step, Judge::Yes);
                tokio::time::sleep(HANG).await;
                unknown("timed out")
            }
            Some(CallFault::BusyAfter) => {
                let _ = self.effect(step, Judge::Yes);
                StepOutcome::Retry { after: Duration::from_millis(500), why: "internal error".to_owned() }
            }
            Some(CallFault::ConflictAfter) => {
                let _ = self.effect(step, Judge::Yes);
                StepOutcome::Refused { why: Refusal::NameTaken }
            }
        }
    }

    /// What is left of a step when the engine dies in the middle of it.
    fn halfway(&self, step: &InstanceStep) {
        match step {
            InstanceStep::Create { id, place, release } => drop(self.make(id, place, release)),
            InstanceStep::Start { id, .. } => {
                let mut state = self.world.lock();
                state.instances.entry(self.target.clone()).or_default().remove(id);
            }
            InstanceStep::Stop { .. } | InstanceStep::Remove { .. } => {}
        }
    }

    fn effect(&self, step: &InstanceStep, judge: Judge) -> StepOutcome {
        if judge == Judge::Yes {
            self.ask_the_laws(step);
        }
        let release = self.release_of(step);
        let outcome = match step {
            InstanceStep::Create { id, place, release } => self.create(id, place, release),
            InstanceStep::Start { id, ended } => self.start(id, ended),
            InstanceStep::Stop { id, incarnation, .. } => self.stop(id, incarnation),
            InstanceStep::Remove { id, incarnation } => self.remove(id, incarnation),
        };
        if outcome == StepOutcome::Done {
            let now = self.world.now();
            let mut state = self.world.lock();
            state.note(now, &format!("{} {}", step.verb(), step.id()));
            state.count(step, release);
            drop(state);
            self.world.changed.notify_one();
        }
        outcome
    }

    /// The release of what a step is about.
    fn release_of(&self, step: &InstanceStep) -> Option<Arc<Release>> {
        if let InstanceStep::Create { release, .. } = step {
            return Some(Arc::clone(release));
        }
        let state = self.world.lock();
        state.instances.get(&self.target)?.get(step.id()).map(|there| Arc::clone(&there.release))
    }

    fn ask_the_laws(&self, step: &InstanceStep) {
        let now = self.world.now();
        let mut state = self.world.lock();
        let there = state.instances.get(&self.target).and_then(|target| target.get(step.id()));
        let runs = there.is_some_and(|one| matches!(one.phase(now), Phase::Running { .. }));
        let meant = |incarnation: &Incarnation| there.is_some_and(|one| one.incarnation() == *incarnation);
        match step {
            InstanceStep::Create { id, place, release } if there.is_none() => {
                laws::before_begin(&mut state, (&self.target, place, id), release, now);
            }
            InstanceStep::Start { id, ended } if meant(ended) && !runs => {
                let Some((place, release)) = there.map(|one| (one.place.clone(), Arc::clone(&one.release))) else {
                    return;
                };
                laws::before_begin(&mut state, (&self.target, &place, id), &release, now);
            }
            InstanceStep::Stop { id, incarnation, .. } if meant(incarnation) && runs => {
                laws::before_stop(&mut state, &self.target, id, now);
            }
            InstanceStep::Create { .. }
            | InstanceStep::Start { .. }
            | InstanceStep::Stop { .. }
            | InstanceStep::Remove { .. } => {}
        }
    }

    fn create(&self, id: &InstanceId, place: &Place, release: &Arc<Release>) -> StepOutcome {
        let made = self.make(id, place, release);
        if made == StepOutcome::Done {
            self.begin_life(id, self.world.now());
        }
        made
    }

    /// Makes an instance that is not started.
    fn make(&self, id: &InstanceId, place: &Place, release: &Arc<Release>) -> StepOutcome {
        let now = self.world.now();
        let mut state = self.world.lock();
        if let Some(there) = state.instances.get(&self.target).and_then(|target| target.get(id)) {
            let same = there.release.digest == release.digest;
            return if same { StepOutcome::AlreadyTrue } else { StepOutcome::Refused { why: Refusal::NameTaken } };
        }
        let instance = SimInstance {
            release: Arc::clone(release),
            place: place.clone(),
            life: 0,
            lives: 0,
            behaviour: Behaviour::of_instance(id, release),
            started: now,
            created: now,
            end: None,
            asked: None,
            address: state.address_next(),
            sick: None,
            cured: None,
        };
        state.instances.entry(self.target.clone()).or_default().insert(id.clone(), instance);
        StepOutcome::Done
    }

    fn start(&self, id: &InstanceId, ended: &Incarnation) -> StepOutcome {
        let now = self.world.now();
        {
            let state = self.world.lock();
            let Some(there) = state.instances.get(&self.target).and_then(|target| target.get(id)) else {
                return StepOutcome::Refused { why: Refusal::Gone };
            };
            if there.incarnation() != *ended || !down(&there.phase(now)) {
                return StepOutcome::AlreadyTrue;
            }
        }
        self.begin_life(id, now);
        StepOutcome::Done
    }

    fn begin_life(&self, id: &InstanceId, now: Timestamp) {
        let mut state = self.world.lock();
        let life = state.life_next;
        state.life_next += 1;
        let address = state.address_next();
        let Some(instance) = state.instances.get_mut(&self.target).and_then(|target| target.get_mut(id)) else {
            return;
        };
        instance.life = life;
        instance.lives += 1;
        let again = id.task.is_some() && !state.hooks_begun.insert(id.clone());
        state.broken(now, again.then(|| format!("law 13: {id} is run a second time")));
        let Some(instance) = state.instances.get_mut(&self.target).and_then(|target| target.get_mut(id)) else {
            return;
        };
        instance.started = now;
        instance.asked = None;
        instance.sick = None;
        instance.cured = None;
        instance.address = address;
        instance.end = if instance.behaviour.cannot_start {
            let why = ExitWhy::CannotStart { detail: "no such command".to_owned() };
            Some((now, None, why))
        } else {
            let exit = instance.behaviour.exit_in_life(instance.lives);
            exit.map(|after| (now.after(after), Some(instance.behaviour.exit_code), ExitWhy::ByItself))
        };
        let end = instance.end.as_ref().map(|(at, ..)| *at);
        drop(state);
        self.nudge_at(id, end);
    }

    /// Nudges when the life ends, as a pidfd or an event stream would.
    fn nudge_at(&self, id: &InstanceId, end: Option<Timestamp>) {
        let Some(end) = end else { return };
        let (world, target, app) = (self.world.clone(), self.target.clone(), id.app.clone());
        let wait = end.since(world.now());
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            world.nudge(&target, &app);
        });
    }

    fn stop(&self, id: &InstanceId, incarnation: &Incarnation) -> StepOutcome {
        let now = self.world.now();
        let mut state = self.world.lock();
        let Some(instance) = state.instances.get_mut(&self.target).and_then(|target| target.get_mut(id)) else {
            return StepOutcome::AlreadyTrue;
        };
        if instance.incarnation() != *incarnation || !matches!(instance.phase(now), Phase::Running { .. }) {
            return StepOutcome::AlreadyTrue;
        }
        let gone = now.after(STOP_TAKES);
        instance.asked = Some(now);
        instance.end = Some((gone, Some(0), ExitWhy::Asked));
        drop(state);
        self.nudge_at(id, Some(gone));
        StepOutcome::Done
    }

    fn remove(&self, id: &InstanceId, incarnation: &Incarnation) -> StepOutcome {
        let now = self.world.now();
        let mut state = self.world.lock();
        let target = state.instances.entry(self.target.clone()).or_default();
        let Some(instance) = target.get(id) else { return StepOutcome::AlreadyTrue };
        if instance.incarnation() != *incarnation {
            return StepOutcome::AlreadyTrue;
        }
        if !down(&instance.phase(now)) {
            return StepOutcome::Refused { why: Refusal::StillRunning };
        }
        target.remove(id);
        StepOutcome::Done
    }
}

fn down(phase: &Phase) -> bool {
    matches!(phase, Phase::Created | Phase::Exited { .. })
}

impl Runtime for SimRuntime {
    fn survey(&self) -> BoxFuture<'_, Survey> {
        Box::pin(async { self.look() })
    }

    fn apply<'a>(&'a self, step: &'a TargetStep) -> BoxFuture<'a, StepOutcome> {
        Box::pin(self.perform(step))
    }
}

impl Inspect for SimRuntime {
    fn logs<'a>(&'a self, query: &'a LogQuery) -> BoxFuture<'a, Result<Vec<LogLine>, ObserveError>> {
        Box::pin(async {
            let state = self.world.lock();
            let instance = state.instances.get(&self.target).and_then(|target| target.get(&query.instance));
            let line = |instance: &SimInstance| LogLine {
                at: Some(instance.started),
                position: instance.life,
                text: format!("life {} began", instance.life),
            };
            instance
                .map(|found| vec![line(found)])
                .ok_or_else(|| ObserveError { detail: "no such instance".to_owned() })
        })
    }

    fn exec<'a>(
        &'a self,
        instance: &'a InstanceId,
        command: &'a [String],
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput, ObserveError>> {
        Box::pin(async move {
            let now = self.world.now();
            let state = self.world.lock();
            let found = state.instances.get(&self.target).and_then(|target| target.get(instance));
            let found = found.ok_or_else(|| ObserveError { detail: "no such instance".to_owned() })?;
            let analysed = command.first().is_some_and(|word| word == ANALYSE);
            let code = i32::from(!found.passing(now) || (analysed && found.behaviour.analysed_bad));
            Ok(ExecOutput { code: Some(code), output: String::new() })
        })
    }
}

impl Nudges for SimRuntime {
    fn listen(&self, sink: NudgeSink) {
        self.world.lock().sinks.entry(self.target.clone()).or_default().push(sink);
    }
}
