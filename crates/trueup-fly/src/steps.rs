//! Start, stop and remove: each safe to repeat, at any moment, by a daemon that has forgotten all.
//!
//! What is done is done to one life of one machine, as it was seen seconds ago. What has changed since the platform refuses
//! itself: it starts nothing twice, and destroys nothing that runs; then the app is looked at again. A verb whose answer is
//! lost is told again: the platform takes each of them twice.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use trueup_types::observed::Phase;
use trueup_types::step::{InstanceStep, Refusal, StepOutcome};
use trueup_types::template::Stop;
use trueup_types::{Incarnation, InstanceId};

use crate::api::Machine;
use crate::apps::NoApp;
use crate::book::{AppBook, Deed, Known};
use crate::client::{Call, encoded};
use crate::config::go;
use crate::fault::{Fault, RETRY_AFTER};
use crate::labels;
use crate::lift;
use crate::memory::Asked;
use crate::runtime::Inner;

/// How long a machine may be on its way before it is given up ("stuck" is five minutes, says the platform's guide to states).
const STUCK: Duration = Duration::from_secs(300);
/// Longest that a program may take to stop.
const STOP_MAX: Duration = Duration::from_secs(300);
/// Longest that one call of a step may take.
const CALL: Duration = Duration::from_secs(9);

/// Tries of one start, and from one to the next: what was just stopped is refused for a moment (reference: 412 texts).
const STARTS: u32 = 4;
const START_AGAIN: Duration = Duration::from_millis(1_000);

/// How old a listing may be that says how a machine is.
const LISTED: Duration = Duration::from_secs(5);

/// A machine, as it is.
pub(crate) struct Found {
    pub fly: String,
    pub known: Known,
}

impl Found {
    pub(crate) fn machine(&self) -> &Machine {
        &self.known.machine
    }

    fn is(&self, life: &Incarnation) -> bool {
        lift::incarnation(&self.known.machine, self.known.started) == *life
    }
}

impl Inner {
    pub(crate) async fn apply(self: &Arc<Self>, step: &InstanceStep) -> StepOutcome {
        let what = format!("{} {}", step.verb(), step.id());
        let done = match step {
            InstanceStep::Create { id, place, release } => self.create(id, place, release).await,
            InstanceStep::Start { id, ended } => self.start(id, ended).await,
            InstanceStep::Stop { id, incarnation, stop } => self.stop(id, incarnation, stop).await,
            InstanceStep::Remove { id, incarnation } => self.remove(id, incarnation).await,
        };
        let outcome = done.unwrap_or_else(|why| why.outcome(&what));
        let app = &step.id().app;
        if !outcome.settled()
            && let Some(fly) = self.memory.look(|kept| kept.homes.get(app).map(|home| home.fly.clone()))
        {
            self.doubt(&fly);
        }
        outcome
    }

    /// The machine of an instance, as it is now.
    async fn find(self: &Arc<Self>, id: &InstanceId) -> Result<Option<Found>, NoApp> {
        let Some(fly) = self.home(&id.app).await? else { return Ok(None) };
        let listed = |read: Option<Instant>| read.is_some_and(|read| read.elapsed() < LISTED);
        let known = |book: &mut AppBook| (listed(book.read) && !book.dirty, book.find(id).cloned());
        let known = match self.book(&fly, known) {
            (true, Some(known)) => Some(known),
            (_, Some(known)) if known.ghost => Some(known),
            (true | false, _) => {
                self.refresh(&fly, CALL).await.map_err(Fault::Unsent)?;
                self.book(&fly, |book| book.find(id).cloned())
            }
        };
        Ok(known.map(|known| Found { fly, known }))
    }

    async fn start(self: &Arc<Self>, id: &InstanceId, ended: &Incarnation) -> Result<StepOutcome, NoApp> {
        let Some(found) = self.find(id).await? else {
            return Ok(StepOutcome::Refused { why: Refusal::Gone });
        };
        if !found.machine().reached() {
            return self.give_up(&found).await;
        }
        if lift::up(found.machine()) || !found.is(ended) {
            return Ok(StepOutcome::AlreadyTrue);
        }
        if found.known.ghost || found.machine().state.ends_with("failed") {
            // There is nothing to start: what stands in the way of another goes.
            return self.destroy(&found, false).await;
        }
        self.tell_to_start(&found).await?;
        Ok(StepOutcome::Done)
    }

    /// Starts a machine that is down.
    pub(crate) async fn tell_to_start(self: &Arc<Self>, found: &Found) -> Result<(), NoApp> {
        // It finds the secrets of the moment when it starts, which may be those of another release by now.
        if let Some(release) = labels::release(&found.machine().config, &found.known.written) {
            self.ensure_secrets(&found.fly, &release).await?;
        }
        let mut tries = 1;
        loop {
            match self.verb(found, "Machines_start", "start", None).await {
                // It reads as stopped a moment before it can be started.
                Err(fault) if fault.has_status(412) && !fault.is_leased() && tries < STARTS => {
                    tries += 1;
                    tokio::time::sleep(START_AGAIN).await;
                }
                Err(fault) if fault.is_absence() => {
                    return Err(NoApp::Outcome(StepOutcome::Refused { why: Refusal::Gone }));
                }
                Err(fault) => return Err(fault.into()),
                Ok(()) => break,
            }
        }
        self.did(found, Deed::Started(found.known.started));
        Ok(())
    }

    /// A machine whose host cannot be asked, and has not been for long: another takes its place, but where it holds a disk.
    async fn give_up(self: &Arc<Self>, found: &Found) -> Result<StepOutcome, NoApp> {
        if !found.machine().volumes().is_empty() {
            let why = format!("{}: its host cannot be reached, and holds its disk", found.known.written.id);
            return Ok(StepOutcome::Retry { after: Duration::from_secs(30), why });
        }
        tracing::warn!(machine = found.machine().id, "its host cannot be reached: it is given up");
        self.destroy(found, true).await
    }

    async fn stop(self: &Arc<Self>, id: &InstanceId, life: &Incarnation, stop: &Stop) -> Result<StepOutcome, NoApp> {
        let Some(found) = self.find(id).await? else { return Ok(StepOutcome::AlreadyTrue) };
        // One that the platform has put to sleep would wake for a request: it is told to go as well.
        let sleeps = self.sighting(&found.known).phase == Phase::Asleep;
        if found.known.ghost || !(lift::up(found.machine()) || sleeps) || !found.is(life) {
            return Ok(StepOutcome::AlreadyTrue);
        }
        let machine = found.machine().id.clone();
        let asked = self.memory.look(|kept| kept.asked.get(&machine).cloned()).filter(|asked| asked.life == *life);
        let heard = asked.is_some_and(|asked| asked.heard);
        if heard && found.machine().state == "stopping" {
            return Ok(StepOutcome::AlreadyTrue);
        }
        let on_its_way = ["created", "creating", "replacing"].contains(&found.machine().state.as_str());
        let since = found.machine().updated();
        if on_its_way && (self.clocks.wall)() >= since.after(STUCK) {
            return self.destroy(&found, true).await;
        }
        // Written before, so that an end that comes while nobody looks is still known to be of our doing.
        let note = Asked { life: life.clone(), at: (self.clocks.wall)(), heard: false };
        if let Err(error) = self.memory.change(|kept| kept.asked.insert(machine.clone(), note)) {
            let why = format!("its folder cannot be written: {error}");
            return Ok(StepOutcome::Retry { after: RETRY_AFTER, why });
        }
        if found.machine().state == "stopped" {
            return Ok(StepOutcome::Done);
        }
        self.tell_to_stop(&found, stop).await?;
        // Unwritten, it is told again, which does no harm.
        let _ = self.memory.change(|kept| {
            if let Some(asked) = kept.asked.get_mut(&machine) {
                asked.heard = true;
            }
        });
        self.did(&found, Deed::Stopped(found.known.started));
        Ok(if heard { StepOutcome::AlreadyTrue } else { StepOutcome::Done })
    }

    async fn remove(self: &Arc<Self>, id: &InstanceId, life: &Incarnation) -> Result<StepOutcome, NoApp> {
        let Some(found) = self.find(id).await? else { return Ok(StepOutcome::AlreadyTrue) };
        if !found.machine().reached() {
            // Nobody there can say whose lease it is, nor stop it: force alone helps.
            return self.destroy(&found, true).await;
        }
        if !found.is(life) || found.machine().is_going() {
            return Ok(StepOutcome::AlreadyTrue);
        }
        if !found.known.ghost && lift::up(found.machine()) {
            return Ok(StepOutcome::Refused { why: Refusal::StillRunning });
        }
        self.destroy(&found, false).await
    }

    /// Destroys a machine, and any other of its name: a create that was told twice may have made two.
    async fn destroy(self: &Arc<Self>, found: &Found, force: bool) -> Result<StepOutcome, NoApp> {
        let id = &found.known.written.id;
        let all: Vec<_> = self.book(&found.fly, |book| book.all(id).cloned().collect());
        for known in all {
            let own = known.machine.id == found.machine().id;
            let one = Found { fly: found.fly.clone(), known };
            self.free_disks(&one);
            if !one.known.ghost {
                let query = if force || !own { "?force=true" } else { "" };
                let path = format!("/v1/apps/{}/machines/{}{query}", encoded(&one.fly), encoded(&one.machine().id));
                let call = Call::new("DELETE", "Machines_delete", &one.machine().id, path).within(CALL);
                match self.client.tell(call).await {
                    Ok(()) => {}
                    Err(fault) if fault.is_absence() => {}
                    Err(fault) => return Err(fault.into()),
                }
            }
            self.did(&one, Deed::Removed);
        }
        Ok(StepOutcome::Done)
    }

    /// Asks its program to go, and the platform to see to it.
    pub(crate) async fn tell_to_stop(&self, found: &Found, stop: &Stop) -> Result<(), Fault> {
        let body = json!({"signal": stop.signal, "timeout": go(stop.timeout.min(STOP_MAX))});
        self.verb(found, "Machines_stop", "stop", Some(body)).await
    }

    /// Tells a machine something.
    pub(crate) async fn verb(
        &self,
        found: &Found,
        action: &'static str,
        verb: &str,
        body: Option<serde_json::Value>,
    ) -> Result<(), Fault> {
        let id = &found.machine().id;
        let path = format!("/v1/apps/{}/machines/{}/{verb}", encoded(&found.fly), encoded(id));
        let call = Call { body, ..Call::post(action, id, path).within(CALL) };
        self.client.tell(call).await
    }

    pub(crate) fn did(&self, found: &Found, deed: Deed) {
        let id = &found.machine().id;
        self.book(&found.fly, |book| {
            let known = book.machines.entry(id.clone()).or_insert_with(|| found.known.clone());
            let state = match &deed {
                Deed::Started(_) => Some("starting"),
                Deed::Stopped(_) => Some("stopping"),
                Deed::Made | Deed::Removed | Deed::Told(_) => None,
            };
            if let Some(state) = state {
                state.clone_into(&mut known.machine.state);
            }
            known.deed = Some((deed, Instant::now()));
            known.ghost = false;
        });
    }
}
