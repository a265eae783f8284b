//! What has to be true: at every moment, and in the end.
//!
//! The end is judged by the manifests and by what was rejected, not by what the planner says of itself.

use std::collections::{BTreeMap, BTreeSet};

use trueup_types::observed::Phase;
use trueup_types::record::{AppRecord, Evidence, Rollout};
use trueup_types::verdict::{Stall, State};
use trueup_types::{AppName, EnvOf, InstanceId, Release, ReleaseDigest};

use super::play::Act;
use super::setting::{Cast, Promise, Setting, Wish};

/// Most times that a target has to say no to an app, in twenty minutes or twice that: each instance asks ever less often,
/// and begins anew only when something else was done.
const REFUSALS_MAX: u32 = 200;

/// The laws as the world saw them, and the bugs that daemons noticed in themselves.
pub fn always(act: &Act) -> Vec<String> {
    let mut wrong = act.stage.world.lock().violations.clone();
    wrong.extend(act.stage.bugs());
    wrong.extend(act.stage.scribe.bugs());
    let hot =
        |(app, times): (&AppName, &u32)| (*times > REFUSALS_MAX).then(|| format!("{app} was refused {times} times"));
    wrong.extend(act.stage.world.lock().faults.refusals().iter().filter_map(hot));
    wrong.sort();
    wrong.dedup();
    wrong
}

/// What is wrong with a converged world.
pub fn end(act: &Act, setting: &Setting) -> Vec<String> {
    let memory = act.shelf.memory();
    let mut wrong = left_over(act, &memory);
    for (app, wish) in &act.wishes {
        let cast = setting.cast(app).expect("only apps of the setting are wished for");
        let judge = Judge { act, cast, wish, record: memory.get(app) };
        if let Err(why) = judge.app() {
            wrong.push(format!("{app}: {why}; {}", act.standing()));
        }
    }
    wrong
}

/// Nothing is left of apps that are gone, and nobody is routed to who is not there.
fn left_over(act: &Act, memory: &BTreeMap<AppName, AppRecord>) -> Vec<String> {
    let mut wrong = Vec::new();
    let wished = |app: &AppName| act.wishes.contains_key(app);
    let orphan = |app: &AppName| act.orphaned(app);
    let state = act.stage.world.lock();
    for (target, instances) in &state.instances {
        let strangers = instances.keys().filter(|id| !wished(&id.app) && !orphan(&id.app));
        wrong.extend(strangers.map(|id| format!("{id} is left over on {target}")));
    }
    for share in &state.table.apps {
        if !wished(&share.app) && !orphan(&share.app) {
            wrong.push(format!("{} is left over in the table", share.app));
        }
    }
    for app in memory.keys() {
        if !wished(app) && !orphan(app) {
            wrong.push(format!("the record of {app} is left over"));
        }
    }
    wrong
}

impl Act {
    /// Whether what runs of an app that is gone was to be left running.
    fn orphaned(&self, app: &AppName) -> bool {
        self.orphans.contains(app)
    }
}

/// Judges one app.
struct Judge<'a> {
    act: &'a Act,
    cast: &'a Cast,
    wish: &'a Wish,
    /// What is remembered of it.
    record: Option<&'a AppRecord>,
}

/// What is there of an app.
struct There {
    /// What runs: name and digest.
    running: Vec<(InstanceId, ReleaseDigest)>,
    /// Names of what is down and still there.
    down: Vec<InstanceId>,
    /// Whom the live table sends requests to.
    routed: BTreeSet<InstanceId>,
}

impl There {
    fn routes_to_nobody_else(&self) -> Result<(), String> {
        let running: BTreeSet<_> = self.running.iter().map(|(id, _)| id.clone()).collect();
        if self.routed.is_subset(&running) { Ok(()) } else { Err(format!("{:?} are routed to", self.routed)) }
    }
}

impl Judge<'_> {
    fn replicas(&self) -> u32 {
        self.cast.replicas(self.wish)
    }

    fn app(&self) -> Result<(), String> {
        let app = &self.cast.sketch.name;
        let record = self.record.ok_or("it is not remembered")?;
        let shown = self.act.stage.driver().and_then(|driver| driver.shown(app)).ok_or("it is not shown")?;
        self.rejections(record)?;
        let state = &shown.status.verdict.state;
        match state {
            State::Suspended if self.wish.suspend || record.suspended.is_some() => return Ok(()),
            State::Waiting(_) if self.waits() => return self.keeps(record),
            State::Ready | State::Completed => {}
            State::Stalled(Stall::NothingToRevertTo) if record.current.is_none() => return self.fallen(record),
            State::Stalled(Stall::Held) => return self.held(record),
            State::Suspended
            | State::Waiting(_)
            | State::Stalled(_)
            | State::Progressing
            | State::Baking
            | State::Reverting
            | State::Removing
            | State::Gone
            | State::Orphaned
            | State::Unknown(_) => return Err(format!("it stands as {state:?}")),
        }
        self.serves(record)
    }

    /// Whether something that it depends on is not ready, so that it may wait for ever.
    fn waits(&self) -> bool {
        !self.wish.alone && !self.cast.sketch.policy.depends_on.is_empty()
    }

    /// What it has to head for: its pin, its manifest, or where that is rejected its last good release.
    fn serves(&self, record: &AppRecord) -> Result<(), String> {
        if record.rollout != Rollout::Idle {
            return Err("a rollout is under way".to_owned());
        }
        if self.replicas() == 0 {
            return self.exactly(None, 0);
        }
        let current = record.current_release().ok_or("it is ready and nothing is good")?;
        if let Some(pin) = &record.pin {
            let then = record.release(pin.to).ok_or("it is pinned to a release that is not kept")?;
            if current.template.args != then.template.args {
                return Err(format!("{} serves, which is not the program of {}", current.revision, pin.to));
            }
            let env = match pin.env {
                EnvOf::Then => then.template.env.clone(),
                EnvOf::Now => self.cast.manifest(self.wish).template.env.clone(),
            };
            if current.template.env != env {
                return Err(format!("{} serves in another environment than was asked for", current.revision));
            }
            return self.exactly(Some(current), self.replicas());
        }
        let desired = self.cast.manifest(self.wish);
        let wanted = desired.release_digest(record.restarts);
        let rejected = record.rejected.contains_key(&(wanted, self.wish.target.clone()));
        let is_wanted = current.digest == wanted && current.target == self.wish.target;
        match (is_wanted, rejected) {
            (true, _) | (false, true) => {}
            (false, false) => return Err(format!("{} serves, which is not what is wanted", current.revision)),
        }
        if is_wanted && current.exposure != desired.exposure {
            return Err(format!("{} does not have the ways in that are wanted", current.revision));
        }
        let promise = self.cast.promise(self.wish.version);
        if promise == Promise::Rejected && is_wanted && !self.act.tainted.contains(&current.app) {
            return Err(format!("{} is live though it is bad", current.revision));
        }
        self.exactly(Some(current), self.replicas())
    }

    /// An app that waits keeps what it has.
    fn keeps(&self, record: &AppRecord) -> Result<(), String> {
        let Some(current) = record.current_release() else { return self.remains() };
        self.exactly(Some(current), self.replicas())
    }

    /// Where nothing was ever good, what serves well all the same goes on: no more of it than are wanted.
    fn remains(&self) -> Result<(), String> {
        let there = self.there();
        self.all_pass(&there)?;
        if there.running.len() > self.replicas() as usize {
            return Err(format!("{} run, {} are wanted", there.running.len(), self.replicas()));
        }
        there.routes_to_nobody_else()
    }

    /// A first release that failed: nothing runs but what serves well all the same, and the remains are evidence.
    fn fallen(&self, record: &AppRecord) -> Result<(), String> {
        self.all_pass(&self.there())?;
        if record.rejected.is_empty() { Err("nothing was good and nothing was rejected".to_owned()) } else { Ok(()) }
    }

    fn all_pass(&self, there: &There) -> Result<(), String> {
        let now = self.act.stage.world.now();
        let state = self.act.stage.world.lock();
        let all = || state.instances.values().flatten();
        let well = |id: &InstanceId| all().any(|(other, one)| other == id && one.passing(now));
        let badly = there.running.iter().find(|(id, _)| !well(id));
        badly.map_or(Ok(()), |(id, _)| Err(format!("{id} runs badly though nothing was ever good")))
    }

    /// A failed rollout that is held: the good release serves, and what failed stays to be looked at.
    fn held(&self, record: &AppRecord) -> Result<(), String> {
        let current = record.current_release().ok_or("it is held and nothing is good")?;
        let there = self.there();
        let is_good =
            |(id, digest): &&(InstanceId, ReleaseDigest)| *digest == current.digest && id.revision == current.revision;
        let good = there.running.iter().filter(is_good).count();
        if good != self.replicas() as usize {
            return Err(format!("{good} of the good release run, {} are wanted", self.replicas()));
        }
        Ok(())
    }

    /// Exactly so many of a release run, all of them and nobody else is routed to, and nothing else is there.
    fn exactly(&self, release: Option<&Release>, replicas: u32) -> Result<(), String> {
        let there = self.there();
        let names = |there: &There| {
            let all: Vec<_> = there.running.iter().map(|(id, _)| id.to_string()).collect();
            all.join(" ")
        };
        let digest = release.map(|release| release.digest);
        let of = there.running.iter().filter(|(_, one)| Some(*one) == digest).count();
        if of != replicas as usize || there.running.len() != of {
            return Err(format!("[{}] run, {replicas} of {:?} are wanted", names(&there), release.map(|r| r.revision)));
        }
        if !there.down.is_empty() {
            return Err(format!("{:?} are down and left over", there.down));
        }
        let running: BTreeSet<_> = there.running.iter().map(|(id, _)| id.clone()).collect();
        let routes = release.is_some_and(|release| !release.exposure.routes.is_empty()) && replicas > 0;
        let wanted = if routes { running } else { BTreeSet::new() };
        if there.routed != wanted {
            return Err(format!("{:?} are routed to, {wanted:?} should be", there.routed));
        }
        Ok(())
    }

    /// A version that a calm world keeps is rejected only for something that befell it.
    fn rejections(&self, record: &AppRecord) -> Result<(), String> {
        for rejection in record.rejected.values() {
            let Some(release) = record.release(rejection.revision) else { continue };
            if self.cast.promise_of(release) != Some(Promise::Kept) || self.act.harmed.contains(&release.app) {
                continue;
            }
            let excused = match &rejection.evidence {
                Evidence::Hook { .. } | Evidence::NoProgress | Evidence::NotHealthyInTime { .. } => self.act.hindered,
                Evidence::Aborted { .. } => true,
                Evidence::Exited { .. }
                | Evidence::CannotStart { .. }
                | Evidence::FailedInBake { .. }
                | Evidence::Analysis { .. } => false,
            };
            if !excused {
                return Err(format!("{} was rejected though it is good: {:?}", release.revision, rejection.evidence));
            }
        }
        Ok(())
    }

    fn there(&self) -> There {
        let app = &self.cast.sketch.name;
        let now = self.act.stage.world.now();
        let mut there = There { running: Vec::new(), down: Vec::new(), routed: self.act.stage.world.routed(app) };
        let state = self.act.stage.world.lock();
        for (id, one) in state.instances.values().flatten().filter(|(id, _)| id.app == *app) {
            match one.phase(now) {
                Phase::Running { .. } => there.running.push((id.clone(), one.release.digest)),
                Phase::Created | Phase::Starting | Phase::Asleep | Phase::Exited { .. } | Phase::Vanishing { .. } => {
                    there.down.push(id.clone())
                }
            }
        }
        there
    }
}
