//! A small world that lives on: instances start, pass, fail, exit and go; an edge has one table; a daemon ticks.
//!
//! A version and a hook behave as the world says (`Behaviour`; a hook that nothing is said of completes after a second);
//! all else follows from time. `tick` is the driver's loop: look,
//! plan, audit, save, act, absorb, and it may die before any step. `laws` sees every step before it lands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use trueup_plan::{absorb, adopt, audit, explain, plan};
use trueup_types::desired::{Cause, DesiredApp, Doubt, Permits, Prune, Wanted};
use trueup_types::observed::{ExitWhy, Health, Incarnation, Instance, Phase, RouteSeen, RouteSight, Sighting};
use trueup_types::record::AppRecord;
use trueup_types::route::AppRoutes;
use trueup_types::step::{InstanceStep, Refusal, Step, StepAction, StepOutcome, StepResult, TargetStep};
use trueup_types::{InstanceId, Observed, Place, Plan, Release, TargetName, Timestamp, Wake};

use super::app::{Sketch, web};
use super::being::{Behaviour, Being, Life};
use super::laws::Watch;
use super::scene::{NOW, address, failure};

/// How long an instance takes to go once told.
const GOES_IN: Duration = Duration::from_millis(200);

/// How long a hook takes of which nothing is said.
const HOOK_TAKES: Duration = Duration::from_secs(1);

/// The world, the daemon's memory, and who watches them.
#[derive(Debug, Clone)]
pub struct Model {
    pub now: Timestamp,
    pub sketch: Sketch,
    pub wanted: Wanted,
    pub permits: Permits,
    pub record: AppRecord,
    pub behaviours: BTreeMap<String, Behaviour>,
    pub beings: BTreeMap<(TargetName, InstanceId), Being>,
    pub share: AppRoutes,
    pub in_flight: BTreeMap<InstanceId, u32>,
    pub sighted_since: Timestamp,
    /// Health is not known before this moment: the daemon has just begun to probe.
    pub blind_until: Timestamp,
    pub edge_dark: bool,
    pub watch: Watch,
    /// What each tick that did something did, for people.
    pub journal: Vec<String>,
    lives: u32,
}

/// What a tick did.
#[derive(Debug)]
pub struct Ticked {
    pub plan: Plan,
    pub done: usize,
    pub moved: bool,
}

impl Model {
    /// A world where nothing is yet and the sketch is wanted.
    pub fn new(sketch: Sketch) -> Self {
        Self {
            now: NOW,
            wanted: Wanted::Present(sketch.build()),
            sketch,
            permits: Permits::all(),
            record: AppRecord::default(),
            behaviours: BTreeMap::new(),
            beings: BTreeMap::new(),
            share: AppRoutes::none(&web()),
            in_flight: BTreeMap::new(),
            sighted_since: Timestamp::ZERO,
            blind_until: Timestamp::ZERO,
            edge_dark: false,
            watch: Watch::default(),
            journal: Vec::new(),
            lives: 0,
        }
    }

    /// Changes the manifest.
    pub fn edit(&mut self, words: &str) {
        self.sketch.change(words);
        self.wanted = Wanted::Present(self.sketch.build());
    }

    /// Takes the manifest away.
    pub fn remove(&mut self, prune: Prune) {
        self.wanted = Wanted::Gone { cause: Cause::Removed, prune };
    }

    /// The wanted app, if one is wanted.
    pub fn desired(&self) -> Option<Arc<DesiredApp>> {
        match &self.wanted {
            Wanted::Present(desired) => Some(Arc::clone(desired)),
            Wanted::Gone { .. } | Wanted::Held { .. } => None,
        }
    }

    fn behaviour(&self, being: &Being) -> Behaviour {
        if let Some(hook) = &being.hook {
            let completes = || Behaviour { exits_after: Some((HOOK_TAKES, 0)), ..Behaviour::default() };
            return self.behaviours.get(hook).cloned().unwrap_or_else(completes);
        }
        let version = &being.release.template.env["VERSION"];
        self.behaviours.get(version).cloned().unwrap_or_default()
    }

    // --- what is seen ---

    fn health(&self, being: &Being) -> Health {
        let Life::Up { since } = being.state else { return Health::Unknown };
        if self.now < self.blind_until {
            return Health::Unknown;
        }
        let behaves = self.behaviour(being);
        let sick = behaves.sick_after.map(|after| since.after(after)).into_iter().chain(being.sick).min();
        let well = since.after(behaves.passes_after);
        match sick {
            Some(sick) if sick <= self.now => Health::Failed { since: sick, last: failure(self.now) },
            _ if behaves.never_passes || well > self.now => Health::Waiting,
            _ => Health::Passing { since: well.max(self.blind_until) },
        }
    }

    /// Whether it truly serves well.
    pub fn passes(&self, being: &Being) -> bool {
        being.hook.is_none() && matches!(self.health(being), Health::Passing { .. })
    }

    /// Whether it has served well for `minHealthy`.
    pub fn steady(&self, being: &Being) -> bool {
        let Health::Passing { since } = self.health(being) else { return false };
        self.now.since(since.max(self.sighted_since)) >= self.sketch.policy.min_healthy
    }

    fn sighting(&self, id: &InstanceId, being: &Being) -> Sighting {
        let phase = match &being.state {
            Life::Made => Phase::Created,
            Life::Up { since } => Phase::Running { since: *since },
            Life::Going { .. } => Phase::Vanishing { since: being.born },
            Life::Down { code, at, why } => Phase::Exited { code: *code, at: *at, why: why.clone() },
        };
        let ports = being.release.template.ports.iter();
        Sighting {
            id: id.clone(),
            incarnation: Incarnation(format!("life-{}", being.life).into()),
            release: being.release.digest,
            place: being.place.clone(),
            phase,
            addresses: ports.map(|port| (port.name.clone(), address(id, being.life))).collect(),
            checks: None,
            healthcheck: None,
            created: being.born,
            template: Some(Arc::clone(&being.release)),
        }
    }

    /// What a look sees.
    pub fn look(&self) -> Observed {
        let instances = self.beings.iter().map(|((target, id), being)| Instance {
            sighting: self.sighting(id, being),
            target: target.clone(),
            health: self.health(being),
        });
        let routes = match self.edge_dark {
            true => RouteSight::Unknown(Doubt::TargetDark("the edge does not answer".to_owned())),
            false => RouteSight::Seen(RouteSeen { share: self.share.clone(), in_flight: self.in_flight.clone() }),
        };
        Observed::sorted(self.now, self.sighted_since, instances.collect(), routes)
    }

    // --- what is done ---

    /// One tick; the daemon dies before step `dies_at`, and what came of the steps is lost then.
    pub fn tick(&mut self, dies_at: Option<usize>) -> Ticked {
        let observed = self.look();
        let before = std::mem::take(&mut self.record);
        let plan = plan(&self.wanted, &observed, &self.permits, &before, self.now);
        for broken in audit(&before, &self.wanted, &observed, &self.permits, &plan) {
            self.watch.note(format!("audit: {broken}"));
        }
        self.watch.plan(&before, &observed, &plan, &self.wanted, &self.permits, self.now);
        self.record = plan.record.clone();
        self.tell(&before, &plan, dies_at);
        let mut results = Vec::new();
        for (index, step) in plan.steps.iter().enumerate() {
            if dies_at == Some(index) {
                self.restart_daemon();
                return Ticked { moved: true, done: index, plan };
            }
            let outcome = self.apply(step);
            let settled = outcome.settled();
            results.push(StepResult { step: step.clone(), outcome });
            if !settled {
                break;
            }
        }
        self.record = absorb(self.record.clone(), &results, self.now);
        let moved = self.record != before || !results.is_empty();
        if !moved && matches!(plan.wake, Wake::At(at, _) if at <= self.now) {
            self.watch.note("law 11: a wake for nothing, at once and for ever".to_owned());
        }
        Ticked { done: results.len(), moved, plan }
    }

    fn tell(&mut self, before: &AppRecord, plan: &Plan, dies_at: Option<usize>) {
        if plan.steps.is_empty() && plan.record == *before {
            return;
        }
        let mut lines = explain(&self.wanted, &self.look(), &self.permits, before, plan, self.now);
        if let Some(step) = dies_at.filter(|step| *step < plan.steps.len()) {
            lines.push(format!("it dies before step {step}"));
        }
        self.journal.push(format!("{:?}\n    {}", self.now, lines.join("\n    ")));
    }

    fn apply(&mut self, step: &Step) -> StepOutcome {
        let mut watch = std::mem::take(&mut self.watch);
        watch.step(self, step);
        self.watch = watch;
        match &step.action {
            StepAction::Route { share } if !self.edge_dark => {
                self.share = share.clone();
                StepOutcome::Done
            }
            StepAction::Route { .. } => StepOutcome::Retry { after: Duration::ZERO, why: "edge".to_owned() },
            StepAction::Target { target, step: TargetStep::Instance(step) } => self.apply_to(target, step),
        }
    }

    fn apply_to(&mut self, target: &TargetName, step: &InstanceStep) -> StepOutcome {
        let key = (target.clone(), step.id().clone());
        let now = self.now;
        let refused = self.beings.get(&key).is_some_and(|being| self.behaviour(being).refused);
        match (step, self.beings.get_mut(&key)) {
            (InstanceStep::Create { release, .. }, Some(there)) if there.release.digest == release.digest => {
                StepOutcome::AlreadyTrue
            }
            (InstanceStep::Create { .. }, Some(_)) => StepOutcome::Refused { why: Refusal::NameTaken },
            (InstanceStep::Create { release, place, .. }, None) => self.create(key, release, place),
            (_, None) => StepOutcome::AlreadyTrue,
            (InstanceStep::Start { .. }, Some(being)) => {
                if let Life::Up { .. } | Life::Going { .. } = being.state {
                    return StepOutcome::AlreadyTrue;
                }
                if refused {
                    return StepOutcome::Refused { why: Refusal::Invalid("no such user".to_owned()) };
                }
                being.life += 1;
                being.sick = None;
                being.state = Life::Up { since: now };
                self.settle_in(&key);
                StepOutcome::Done
            }
            (InstanceStep::Stop { .. }, Some(being)) => {
                let Life::Up { .. } = being.state else { return StepOutcome::AlreadyTrue };
                being.state = Life::Going { until: now.after(GOES_IN) };
                self.in_flight.remove(&key.1);
                StepOutcome::Done
            }
            (InstanceStep::Remove { .. }, Some(being)) => {
                if let Life::Up { .. } | Life::Going { .. } = being.state {
                    return StepOutcome::Refused { why: Refusal::StillRunning };
                }
                self.beings.remove(&key);
                StepOutcome::Done
            }
        }
    }

    fn create(&mut self, key: (TargetName, InstanceId), release: &Arc<Release>, place: &Place) -> StepOutcome {
        self.lives += 1;
        let being = Being {
            release: Arc::clone(release),
            hook: release.hook(&key.1).map(|hook| hook.name.to_string()),
            place: place.clone(),
            born: self.now,
            life: 10 * self.lives,
            state: Life::Up { since: self.now },
            sick: None,
        };
        if self.behaviour(&being).refused {
            self.watch.refused(&key.1);
            return StepOutcome::Refused { why: Refusal::Invalid("no such user".to_owned()) };
        }
        self.beings.insert(key.clone(), being);
        self.settle_in(&key);
        StepOutcome::Done
    }

    /// What happens to one in the moment that it starts.
    fn settle_in(&mut self, key: &(TargetName, InstanceId)) {
        let cannot = self.behaviour(&self.beings[key]).cannot_start;
        let now = self.now;
        let being = self.beings.get_mut(key).expect("just started");
        if cannot {
            let why = ExitWhy::CannotStart { detail: "no such command".to_owned() };
            being.state = Life::Down { code: None, at: now, why };
        }
        self.exits();
    }

    // --- what happens ---

    fn exits_at(&self, being: &Being) -> Option<(Timestamp, Option<i32>, ExitWhy)> {
        match being.state {
            Life::Up { since } => {
                let (after, code) = self.behaviour(being).exits_after?;
                Some((since.after(after), Some(code), ExitWhy::ByItself))
            }
            Life::Going { until } => Some((until, Some(143), ExitWhy::Asked)),
            Life::Made | Life::Down { .. } => None,
        }
    }

    fn exits(&mut self) {
        let due: Vec<_> = self
            .beings
            .iter()
            .filter_map(|(key, being)| self.exits_at(being).map(|exit| (key.clone(), exit)))
            .filter(|(_, (at, _, _))| *at <= self.now)
            .collect();
        for (key, (at, code, why)) in due {
            self.in_flight.remove(&key.1);
            self.beings.get_mut(&key).expect("just seen").state = Life::Down { code, at, why };
        }
    }

    /// The next moment at which something happens by itself.
    pub fn next_event(&self) -> Option<Timestamp> {
        let mut moments = vec![self.blind_until];
        for being in self.beings.values() {
            moments.extend(self.exits_at(being).map(|(at, _, _)| at));
            if let Life::Up { since } = being.state {
                let behaves = self.behaviour(being);
                moments.push(since.after(behaves.passes_after));
                moments.extend(behaves.sick_after.map(|after| since.after(after)));
            }
        }
        moments.into_iter().filter(|at| *at > self.now).min()
    }

    /// Time passes.
    pub fn pass(&mut self, to: Timestamp) {
        self.now = self.now.max(to);
        self.exits();
    }

    /// Ends one by itself.
    pub fn crash(&mut self, index: usize, code: i32) {
        self.end(index, Some(code), &ExitWhy::ByItself);
    }

    /// Ends all at once: their host went down.
    pub fn lose_host(&mut self) {
        (0..self.beings.len()).for_each(|index| self.end(index, None, &ExitWhy::HostLost));
        self.restart_daemon();
    }

    fn end(&mut self, index: usize, code: Option<i32>, why: &ExitWhy) {
        let now = self.now;
        let Some((key, being)) = self.nth(index) else { return };
        if let Life::Up { .. } = being.state {
            being.state = Life::Down { code, at: now, why: why.clone() };
            self.in_flight.remove(&key.1);
        }
    }

    /// Whatever the n-th is, if there are so many.
    pub fn nth(&mut self, index: usize) -> Option<((TargetName, InstanceId), &mut Being)> {
        self.beings.iter_mut().nth(index).map(|(key, being)| (key.clone(), being))
    }

    /// The daemon begins anew: it has not probed yet, and what it did not watch does not count.
    pub fn restart_daemon(&mut self) {
        self.sighted_since = self.now;
        self.blind_until = self.now.after(Duration::from_millis(500));
    }

    /// The store is lost: what runs says what was.
    pub fn lose_store(&mut self) {
        self.restart_daemon();
        let observed = self.look();
        let all: Vec<_> = observed.instances.into_iter().chain(observed.tasks).collect();
        self.record = adopt(&web(), &all, self.now);
        self.watch.memory_is_lost(self.record.current);
    }
}
