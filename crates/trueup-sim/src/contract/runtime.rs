//! The contract of a runtime: idempotent steps, incarnations that are never confused, and surveys that show what was done.

use std::sync::Arc;
use std::time::Duration;

use trueup_seams::Runtime;
use trueup_types::observed::{ExitWhy, Phase, Sighting};
use trueup_types::step::{InstanceStep, Refusal, StepOutcome, TargetStep};
use trueup_types::template::{Hook, Stop};
use trueup_types::{AppName, InstanceId, Label, Ordinal, Place, Release, Revision, Task};

/// How long an instance may take to be up, or to be gone.
const PATIENCE: Duration = Duration::from_secs(20);
/// From one look to the next.
const GLANCE: Duration = Duration::from_millis(10);

/// Makes the release of an app and revision.
pub type ReleaseMaker = Box<dyn Fn(&AppName, Revision) -> Arc<Release> + Send + Sync>;

/// What the suite needs of an adapter.
pub struct RuntimeFixture {
    /// The adapter, over a target with nothing of ours on it.
    pub runtime: Arc<dyn Runtime>,
    /// Where instances are made.
    pub place: Place,
    /// Makes the release of this app and revision: it runs until it is told to stop, and goes within a second.
    pub release: ReleaseMaker,
    /// A command that exits with 0 at once.
    pub done: Vec<String>,
}

/// Runs the whole suite.
///
/// # Panics
/// When a promise is broken.
pub async fn check(fixture: &RuntimeFixture) {
    absent_things_are_already_gone(fixture).await;
    creating_twice_is_creating_once(fixture).await;
    lives_are_never_confused(fixture).await;
    a_taken_name_is_refused(fixture).await;
    what_runs_is_not_removed(fixture).await;
    what_is_gone_is_not_started(fixture).await;
    a_hook_is_run_by_an_instance_of_its_own(fixture).await;
}

async fn absent_things_are_already_gone(fixture: &RuntimeFixture) {
    let id = fixture.id("absent", 1);
    let nobody = trueup_types::Incarnation("nobody".into());
    let stop = InstanceStep::Stop { id: id.clone(), incarnation: nobody.clone(), stop: Stop::default() };
    assert_eq!(fixture.apply(stop).await, StepOutcome::AlreadyTrue, "stopping the absent is already true");
    let remove = InstanceStep::Remove { id, incarnation: nobody };
    assert_eq!(fixture.apply(remove).await, StepOutcome::AlreadyTrue, "removing the absent is already true");
}

async fn creating_twice_is_creating_once(fixture: &RuntimeFixture) {
    let id = fixture.id("twice", 1);
    assert_eq!(fixture.create(&id).await, StepOutcome::Done, "the first create is done");
    let first = fixture.await_running(&id).await;
    assert_eq!(fixture.create(&id).await, StepOutcome::AlreadyTrue, "the second create is already true");
    let second = fixture.await_running(&id).await;
    assert_eq!(first.incarnation, second.incarnation, "the second create started nothing");
    assert_eq!(fixture.all(&id).await.len(), 1, "one name is one instance");
    let release = (fixture.release)(&id.app, id.revision);
    assert_eq!(first.release, release.digest, "the label is the release's digest");
    fixture.clear(&id).await;
}

async fn lives_are_never_confused(fixture: &RuntimeFixture) {
    let id = fixture.id("lives", 1);
    assert_eq!(fixture.create(&id).await, StepOutcome::Done);
    let first = fixture.await_running(&id).await.incarnation;
    let early = InstanceStep::Start { id: id.clone(), ended: first.clone() };
    assert_eq!(fixture.apply(early).await, StepOutcome::AlreadyTrue, "starting what runs is already true");
    fixture.stop(&id, &first).await;
    fixture.await_exited(&id).await;
    fixture.stop(&id, &first).await;
    let start = InstanceStep::Start { id: id.clone(), ended: first.clone() };
    assert_eq!(fixture.apply(start.clone()).await, StepOutcome::Done, "what is down can be started");
    let second = fixture.await_running(&id).await.incarnation;
    assert_ne!(first, second, "a new start is a new incarnation");
    assert_eq!(fixture.apply(start).await, StepOutcome::AlreadyTrue, "a start of an older life starts nothing");
    fixture.stop(&id, &first).await;
    let there = fixture.await_running(&id).await.incarnation;
    assert_eq!(there, second, "a stop of an older life stops nothing");
    fixture.clear(&id).await;
}

async fn a_taken_name_is_refused(fixture: &RuntimeFixture) {
    let id = fixture.id("taken", 1);
    assert_eq!(fixture.create(&id).await, StepOutcome::Done);
    let before = fixture.await_running(&id).await.incarnation;
    let other = Arc::new(Release {
        digest: trueup_types::ReleaseDigest::of("another"),
        ..Release::clone(&(fixture.release)(&id.app, id.revision))
    });
    let create = InstanceStep::Create { id: id.clone(), place: fixture.place.clone(), release: other };
    let refused = StepOutcome::Refused { why: Refusal::NameTaken };
    assert_eq!(fixture.apply(create).await, refused, "a name held by another digest is refused");
    assert_eq!(fixture.await_running(&id).await.incarnation, before, "and what holds it is untouched");
    fixture.clear(&id).await;
}

async fn what_runs_is_not_removed(fixture: &RuntimeFixture) {
    let id = fixture.id("runs", 1);
    assert_eq!(fixture.create(&id).await, StepOutcome::Done);
    let there = fixture.await_running(&id).await;
    let remove = InstanceStep::Remove { id: id.clone(), incarnation: there.incarnation.clone() };
    let refused = StepOutcome::Refused { why: Refusal::StillRunning };
    assert_eq!(fixture.apply(remove).await, refused, "what runs is not removed");
    assert_eq!(fixture.await_running(&id).await.incarnation, there.incarnation);
    fixture.clear(&id).await;
}

async fn what_is_gone_is_not_started(fixture: &RuntimeFixture) {
    let id = fixture.id("gone", 1);
    assert_eq!(fixture.create(&id).await, StepOutcome::Done);
    let ended = fixture.await_running(&id).await.incarnation;
    fixture.clear(&id).await;
    let gone = StepOutcome::Refused { why: Refusal::Gone };
    assert_eq!(fixture.apply(InstanceStep::Start { id, ended }).await, gone, "what is not there is not started");
}

async fn a_hook_is_run_by_an_instance_of_its_own(fixture: &RuntimeFixture) {
    let serves = fixture.id("hooked", 1);
    let id = InstanceId::of_task(&serves.app, serves.revision, Task::PreDeploy, serves.ordinal);
    let name = Label::new("done").expect("a literal name");
    let hook = Hook { name, command: fixture.done.clone(), timeout: PATIENCE };
    let mut release = Release::clone(&(fixture.release)(&id.app, id.revision));
    release.template.hooks.pre_deploy.push(hook);
    let create = InstanceStep::Create { id: id.clone(), place: fixture.place.clone(), release: Arc::new(release) };
    assert_eq!(fixture.apply(create.clone()).await, StepOutcome::Done, "what runs a hook is created");
    let ended = fixture.await_exited(&id).await;
    let well = matches!(ended.phase, Phase::Exited { code: Some(0), why: ExitWhy::ByItself, .. });
    assert!(well, "the hook's command ran to its end, and no other: {ended:?}");
    assert!(fixture.all(&serves).await.is_empty(), "nothing that serves was made with it");
    assert_eq!(fixture.apply(create).await, StepOutcome::AlreadyTrue, "creating it again runs nothing");
    assert_eq!(fixture.await_exited(&id).await.incarnation, ended.incarnation, "it had one life");
    let remove = InstanceStep::Remove { id: id.clone(), incarnation: ended.incarnation };
    assert_eq!(fixture.apply(remove).await, StepOutcome::Done, "what is left of it can be removed");
}

impl RuntimeFixture {
    fn id(&self, app: &str, revision: u64) -> InstanceId {
        InstanceId::new(&AppName::new(app).expect("a literal name"), Revision(revision), Ordinal(0))
    }

    async fn apply(&self, step: InstanceStep) -> StepOutcome {
        self.runtime.apply(&TargetStep::Instance(step)).await
    }

    async fn create(&self, id: &InstanceId) -> StepOutcome {
        let release = (self.release)(&id.app, id.revision);
        self.apply(InstanceStep::Create { id: id.clone(), place: self.place.clone(), release }).await
    }

    async fn stop(&self, id: &InstanceId, incarnation: &trueup_types::Incarnation) {
        let stop = Stop { timeout: Duration::from_secs(5), ..Stop::default() };
        let step = InstanceStep::Stop { id: id.clone(), incarnation: incarnation.clone(), stop };
        let outcome = self.apply(step).await;
        assert!(outcome.settled(), "a stop settles: {outcome:?}");
    }

    /// Stops and removes it, and sees that it is gone.
    async fn clear(&self, id: &InstanceId) {
        let there = self.await_running(id).await;
        self.stop(id, &there.incarnation).await;
        self.await_exited(id).await;
        let remove = InstanceStep::Remove { id: id.clone(), incarnation: there.incarnation.clone() };
        assert_eq!(self.apply(remove.clone()).await, StepOutcome::Done, "what is down can be removed");
        assert!(self.all(id).await.is_empty(), "a survey after a remove does not show it");
        assert_eq!(self.apply(remove).await, StepOutcome::AlreadyTrue, "removing twice is removing once");
    }

    async fn all(&self, id: &InstanceId) -> Vec<Sighting> {
        let survey = self.runtime.survey().await;
        let seen = survey.into_values().map(|sight| sight.expect("the target is in sight"));
        seen.flat_map(|sight| sight.instances).filter(|one| one.id == *id).collect()
    }

    async fn await_running(&self, id: &InstanceId) -> Sighting {
        self.await_phase(id, |phase| matches!(phase, Phase::Running { .. })).await
    }

    async fn await_exited(&self, id: &InstanceId) -> Sighting {
        self.await_phase(id, |phase| matches!(phase, Phase::Exited { .. })).await
    }

    async fn await_phase(&self, id: &InstanceId, wanted: impl Fn(&Phase) -> bool) -> Sighting {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let seen = self.all(id).await;
            if let Some(one) = seen.iter().find(|one| wanted(&one.phase)) {
                return one.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "{id} did not get there; last seen: {seen:?}");
            tokio::time::sleep(GLANCE).await;
        }
    }
}
