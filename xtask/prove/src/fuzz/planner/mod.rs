//! Any bytes as the life of an app: edits, orders, sights that no world would show, and what comes of steps; the laws judge
//! every plan.
//!
//! The record is always one that the planner made itself, so it is one that a daemon could hold. What is seen is not: the
//! planner has to answer lawfully whatever it is shown.

pub mod corpus;
mod sight;

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::Unstructured;
use trueup_plan::{absorb, adopt, audit, command, explain, plan};
use trueup_sim::AppSketch;
use trueup_types::desired::{Cause, DesiredApp, Doubt, Hold, Permits, Prune, Readiness, Wanted};
use trueup_types::order::{EnvOf, Order};
use trueup_types::policy::{RevertMode, Strategy};
use trueup_types::record::{AppRecord, REJECTED_MAX, Rollout};
use trueup_types::route::AppRoutes;
use trueup_types::step::{InstanceStep, Refusal, Step, StepAction, StepOutcome, StepResult, TargetStep};
use trueup_types::{
    AppName, Instance, InstanceId, Observed, Phase, Plan, Quantity, Revision, RouteSight, TargetName, Timestamp, Wake,
};

/// Most ticks of one input.
const TICKS_MAX: usize = 24;
/// Where time begins.
const BEGINNING: Timestamp = Timestamp::from_millis(1_000_000_000);

/// Lives the bytes.
pub fn target(data: &[u8]) {
    live(data, &mut |_, _| {});
}

/// Lives the bytes, and shows each plan with the life as it was before.
fn live(data: &[u8], shown: &mut dyn FnMut(&Life, &Plan)) {
    let mut bytes = Bytes(Unstructured::new(data));
    let mut life = Life::new();
    for _ in 0..TICKS_MAX {
        if bytes.0.is_empty() {
            break;
        }
        life.befall(&mut bytes);
        life.tick(&mut bytes, shown);
    }
}

/// What is drawn from the bytes; when they are used up, the first of everything.
struct Bytes<'a>(Unstructured<'a>);

impl Bytes<'_> {
    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        self.0.choose(choices).unwrap_or(&choices[0]).clone()
    }

    fn up_to(&mut self, most: u32) -> u32 {
        self.0.int_in_range(0..=most).unwrap_or(0)
    }

    fn yes(&mut self) -> bool {
        self.up_to(1) == 1
    }

    /// One in so many.
    fn rarely(&mut self, many: u32) -> bool {
        self.up_to(many - 1) == many - 1
    }
}

struct Life {
    sketch: AppSketch,
    wanted: Wanted,
    permits: Permits,
    record: AppRecord,
    now: Timestamp,
    /// Looks show what the daemon left, and not what no world would show.
    calm: bool,
}

impl Life {
    fn new() -> Self {
        let sketch = AppSketch::web("web");
        let wanted = Wanted::Present(sketch.build());
        Self { sketch, wanted, permits: Permits::all(), record: AppRecord::default(), now: BEGINNING, calm: false }
    }

    fn desired(&self) -> Option<&DesiredApp> {
        match &self.wanted {
            Wanted::Present(desired) => Some(desired),
            Wanted::Gone { .. } | Wanted::Held { .. } => None,
        }
    }

    /// What happens before a tick.
    fn befall(&mut self, bytes: &mut Bytes<'_>) {
        let waits = [0, 1, 700, 5_000, 11_000, 31_000, 61_000, 301_000, 3_600_000];
        self.now = self.now.after(Duration::from_millis(bytes.of(&waits)));
        match bytes.up_to(9) {
            0 | 1 => self.edit(bytes),
            2 => self.order(bytes),
            3 => self.permit(bytes),
            4 => {
                let prune = bytes.of(&[Prune::Delete, Prune::Orphan]);
                self.wanted = match bytes.up_to(2) {
                    0 => Wanted::Held { why: Doubt::SourceUnavailable("gone".to_owned()) },
                    1 => Wanted::Gone { cause: Cause::Removed, prune },
                    _ => Wanted::Present(self.sketch.build()),
                };
            }
            5 if bytes.rarely(4) => self.record = AppRecord::default(),
            6 => self.calm = !self.calm,
            _ => {}
        }
    }

    fn edit(&mut self, bytes: &mut Bytes<'_>) {
        let version = bytes.of(&["v1", "v2", "v3", "v4"]);
        self.sketch = AppSketch { template: template(version), ..self.sketch.clone() };
        let policy = &mut self.sketch.policy;
        match bytes.up_to(9) {
            0 => self.sketch.replicas = bytes.up_to(4),
            1 => policy.strategy = bytes.of(&[Strategy::BlueGreen, Strategy::Rolling, Strategy::Recreate]),
            2 => policy.max_surge = bytes.of(&[Quantity::Count(1), Quantity::Count(0), Quantity::Count(3)]),
            3 => policy.max_unavailable = bytes.of(&[Quantity::Count(0), Quantity::Count(1), Quantity::Count(2)]),
            4 => policy.bake = bytes.of(&[Duration::from_secs(60), Duration::ZERO]),
            5 => policy.revert = bytes.of(&[RevertMode::Auto, RevertMode::Hold]),
            6 => policy.suspend = bytes.yes(),
            7 => self.sketch.target = target_of(bytes),
            8 => policy.stop_first = bytes.of(&[None, Some("a volume has one owner".to_owned())]),
            _ => {
                let routed = AppSketch::web("web").exposure;
                self.sketch.exposure = if bytes.yes() { routed } else { trueup_types::Exposure::default() };
            }
        }
        // A policy that could never move is refused where manifests are read.
        if self.sketch.policy.max_surge == Quantity::Count(0)
            && self.sketch.policy.max_unavailable == Quantity::Count(0)
        {
            self.sketch.policy.max_surge = Quantity::Count(1);
        }
        self.wanted = Wanted::Present(self.sketch.build());
    }

    fn order(&mut self, bytes: &mut Bytes<'_>) {
        let which = if bytes.yes() { Some(bytes.up_to(11)) } else { None };
        let to = which.map(|which| Revision(u64::from(which % 6)));
        let env = if which.is_some_and(|which| which > 5) { EnvOf::Now } else { EnvOf::Then };
        let orders = [
            Order::Rollback { to, env },
            Order::Retry,
            Order::Resume,
            Order::Suspend,
            Order::Restart,
            Order::Promote,
            Order::Abort,
            Order::Reconcile,
        ];
        if let Ok(record) = command(&self.record, self.desired(), &bytes.of(&orders), "ann", self.now) {
            self.record = record;
        }
    }

    fn permit(&mut self, bytes: &mut Bytes<'_>) {
        let hold = bytes.of(&[Hold::StoreDegraded, Hold::InDoubt(Doubt::StoreRebuilt), Hold::RolloutCap { limit: 4 }]);
        let permit = if bytes.yes() { Ok(()) } else { Err(hold) };
        match bytes.up_to(3) {
            0 => self.permits.create = permit,
            1 => self.permits.destroy = permit,
            2 => self.permits.start_rollout = permit,
            _ => {
                let other = AppName::new("db").expect("a literal name");
                let how = bytes.of(&[Readiness::Ready, Readiness::NotReady, Readiness::Missing]);
                self.permits.dependencies = BTreeMap::from([(other, how)]);
            }
        }
    }

    fn tick(&mut self, bytes: &mut Bytes<'_>, shown: &mut dyn FnMut(&Self, &Plan)) {
        let observed = self.look(bytes);
        if self.record == AppRecord::default() && !observed.instances.is_empty() {
            self.record = adopt(&self.sketch.name, &observed.instances, self.now);
        }
        let decided = plan(&self.wanted, &observed, &self.permits, &self.record, self.now);
        self.judge(&observed, &decided, bytes);
        shown(self, &decided);
        let outcomes = outcomes(&decided.steps, bytes);
        let absorbed = absorb(decided.record.clone(), &outcomes, self.now);
        assert!(absorbed.highest >= self.record.highest, "law 10: a revision is given out twice");
        let text = serde_json::to_vec(&absorbed).expect("a record is plain JSON");
        let read: AppRecord = serde_json::from_slice(&text).expect("what the store writes it reads");
        self.record = AppRecord { releases: absorbed.releases.clone(), ..read };
        assert_eq!(self.record, absorbed, "a record is another after a restart");
    }

    fn judge(&self, observed: &Observed, decided: &Plan, bytes: &mut Bytes<'_>) {
        let Self { wanted, permits, record, now, .. } = self;
        let told = || explain(wanted, observed, permits, record, decided, *now).join("\n");
        let broken = audit(record, wanted, observed, permits, decided);
        assert!(broken.is_empty(), "{broken:?}\n{}\n{:#?}", told(), decided.steps);
        let mut shuffled = observed.clone();
        if bytes.yes() {
            shuffled.instances.extend(observed.instances.clone());
        }
        shuffled.instances.reverse();
        let again = plan(wanted, &shuffled, permits, record, *now);
        assert_eq!(again, *decided, "how a listing was put together decides something");
        let absorbed = absorb(decided.record.clone(), &[], *now);
        assert_eq!(absorbed, decided.record, "no outcomes, and something is learnt");
        let most = observed.instances.len() * 2 + 12;
        assert!(decided.steps.len() <= most, "law 11: {} steps\n{}", decided.steps.len(), told());
        assert!(decided.record.rejected.len() <= REJECTED_MAX, "law 11: rejected digests without a bound");
        let idle = decided.steps.is_empty() && decided.record == *record;
        let spins = idle && matches!(decided.wake, Wake::At(at, _) if at <= *now);
        assert!(!spins, "it changes nothing, and wants to be asked again at once: {:?}\n{}", decided.wake, told());
        let destroys = decided.steps.iter().any(destroys);
        let held = matches!(wanted, Wanted::Held { .. }) || permits.destroy.is_err();
        assert!(!(destroys && held), "law 9: something is destroyed in doubt\n{}", told());
        assert!(!self.leaves_nobody(observed, decided), "nobody passes, and nobody is asked any more\n{}", told());
        let creates = decided.steps.iter().any(creates);
        assert!(!creates || permits.create.is_ok(), "something is created though nothing may be\n{}", told());
    }

    /// Whether a plan takes out of the routes whoever runs there and puts nobody in, though somebody should always serve.
    fn leaves_nobody(&self, observed: &Observed, decided: &Plan) -> bool {
        let (Wanted::Present(desired), RouteSight::Seen(seen)) = (&self.wanted, &observed.routes) else { return false };
        let (policy, replicas) = (&desired.policy, desired.replicas());
        // Old and new one by one, in the same place: for a moment there is nobody.
        let alone =
            policy.stop_first.is_some() || policy.strategy == Strategy::Recreate || heads_alone(&decided.record);
        let in_place = replicas == 1 && policy.max_surge.of_rounded_up(1) == 0;
        let next = decided.steps.iter().find_map(|step| match &step.action {
            StepAction::Route { share } => Some(share),
            StepAction::Target { .. } => None,
        });
        // What never was good is left by whoever fails: there is nothing to stand by.
        let proven = decided.record.current.is_some();
        let bound = proven && replicas > 0 && !alone && !in_place;
        // Without an entry it is unrouted on purpose.
        let Some(next) = next.filter(|next| bound && !next.entries.is_empty()) else { return false };
        let running = |id: &InstanceId| {
            let runs = |one: &Instance| one.sighting.id == *id && matches!(one.sighting.phase, Phase::Running { .. });
            observed.instances.iter().any(runs)
        };
        let (before, after) = (backends(&seen.share), backends(next));
        before.into_iter().any(running) && after.is_empty()
    }
}

/// Whether two of what an app heads for, or goes back to, cannot stand side by side.
fn heads_alone(record: &AppRecord) -> bool {
    let to = match &record.rollout {
        Rollout::Underway { to, .. } | Rollout::Baking { to, .. } => record.release(*to),
        Rollout::Idle | Rollout::Reverting { .. } => record.current_release(),
    };
    to.is_some_and(|release| release.stands_alone())
}

/// Who is sent anything.
fn backends(share: &AppRoutes) -> Vec<&InstanceId> {
    let all = share.entries.iter().flat_map(|entry| &entry.backends);
    all.filter(|backend| backend.weight > 0).map(|backend| &backend.instance).collect()
}

fn template(version: &str) -> trueup_types::Template {
    let own = AppSketch::web("web").env("VERSION", version).template;
    trueup_types::Template { args: vec![format!("--{version}")], ..own }
}

fn target_of(bytes: &mut Bytes<'_>) -> TargetName {
    bytes.of(&[TargetName::local(), TargetName::new("other").expect("a literal name")])
}

/// What comes of steps, up to the first that is not settled.
fn outcomes(steps: &[Step], bytes: &mut Bytes<'_>) -> Vec<StepResult> {
    let mut results = Vec::new();
    for step in steps {
        let outcome = bytes.of(&[
            StepOutcome::Done,
            StepOutcome::Done,
            StepOutcome::Done,
            StepOutcome::AlreadyTrue,
            StepOutcome::Retry { after: Duration::from_secs(3), why: "busy".to_owned() },
            StepOutcome::Refused { why: Refusal::NameTaken },
            StepOutcome::Unknown { why: Doubt::OutcomeUnknown("timed out".to_owned()) },
        ]);
        let settled = outcome.settled();
        results.push(StepResult { step: step.clone(), outcome });
        if !settled {
            break;
        }
    }
    results
}

fn destroys(step: &Step) -> bool {
    match &step.action {
        StepAction::Route { .. } => false,
        StepAction::Target { step: TargetStep::Instance(step), .. } => match step {
            InstanceStep::Stop { .. } | InstanceStep::Remove { .. } => true,
            InstanceStep::Create { .. } | InstanceStep::Start { .. } => false,
        },
    }
}

fn creates(step: &Step) -> bool {
    match &step.action {
        StepAction::Route { .. } => false,
        StepAction::Target { step: TargetStep::Instance(step), .. } => matches!(step, InstanceStep::Create { .. }),
    }
}
