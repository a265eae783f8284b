//! What a bake keeps may be stopped meanwhile (`bakeKeep: stopped`): it costs no more than its disk then, and is started
//! before anybody is sent to it.
//!
//! ```text
//!  on standby, and no edge of the proxy knows it ──► stopped, told as asleep
//!  asked for again                               ──► started and registered, told as asleep until it passes its checks
//!  it passes                                     ──► the others are taken out
//! ```
//!
//! To everybody else such a one is what the platform has put to sleep: it serves when it is asked. That it is by our hand is
//! written down before, for the platform starts it for nobody. Who loses the note finds a machine that was told to stop, and
//! starts it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use trueup_types::Timestamp;
use trueup_types::observed::{Health, Phase, Sighting};
use trueup_types::route::AppRoutes;
use trueup_types::template::BakeKeep;

use crate::apps::NoApp;
use crate::book::{Deed, Known};
use crate::fault::Fault;
use crate::lift;
use crate::memory::Nap;
use crate::runtime::Inner;
use crate::steps::Found;

/// How much later it is noted that checks pass: a look at an app may be so old.
const NOTED: Duration = Duration::from_secs(10);
/// Machines started at a time.
const WOKEN_MAX: usize = 8;

impl Inner {
    pub(crate) fn nap_of(&self, known: &Known) -> Option<Nap> {
        self.memory.look(|kept| kept.naps.get(&known.machine.id).cloned())
    }

    /// What is told of one that gets up: that it sleeps, until it answers.
    pub(crate) fn as_kept(&self, known: &Known, seen: Sighting) -> Sighting {
        if !self.nap_of(known).is_some_and(|nap| nap.woken) || !comes_up(&seen, (self.clocks.now)()) {
            return seen;
        }
        Sighting { phase: Phase::Asleep, checks: None, ..seen }
    }

    /// Whether one that was stopped by us has not answered yet.
    pub(crate) fn gets_up(&self, known: &Known) -> bool {
        self.nap_of(known).is_some()
    }

    /// Takes in that one that was woken is up, or has ended.
    pub(crate) fn rise(&self, known: &Known, seen: &Sighting) {
        let Some(nap) = self.nap_of(known).filter(|nap| nap.woken) else { return };
        let same_life = nap.life == seen.incarnation;
        if same_life || comes_up(seen, (self.clocks.now)()) {
            return;
        }
        // Unwritten, it is taken in the next time.
        let _ = self.memory.change(|kept| kept.naps.remove(&known.machine.id));
    }

    /// Whether those on standby of an app are stopped: those that got its requests before, while these answer.
    fn stops_standbys(&self, share: &AppRoutes, machines: &[Known]) -> bool {
        let Some(baking) = self.public.baking(&share.app) else { return false };
        let routed: Vec<_> = machines.iter().filter(|known| share.routes_to(&known.written.id)).collect();
        let stops = |known: &&Known| {
            let release = known.made.release.as_deref().filter(|release| release.revision == baking);
            release.is_some_and(|release| release.template.bake_keep == Some(BakeKeep::Stopped))
        };
        !routed.is_empty() && routed.iter().all(|known| stops(known) && self.is_known(known) && self.answers(known))
    }

    /// Those of an app's standby that may be stopped: they run well, and no edge of the proxy sends them anything.
    pub(crate) fn may_lie_down(&self, share: &AppRoutes, machines: &[Known]) -> Vec<Known> {
        if !self.stops_standbys(share, machines) {
            return Vec::new();
        }
        let standby = |known: &Known| share.lists(&known.written.id) && !share.routes_to(&known.written.id);
        let idle = |known: &Known| {
            let runs = matches!(self.sighting(known).phase, Phase::Running { .. });
            runs && self.answers(known) && !self.may_be_asked(known) && !known.ghost
        };
        machines.iter().filter(|known| standby(known) && idle(known)).cloned().collect()
    }

    /// Stops one on standby.
    pub(crate) async fn lie_down(&self, fly: &str, known: &Known) -> Result<(), Fault> {
        let Some(release) = &known.made.release else { return Ok(()) };
        let nap = Nap { life: lift::incarnation(&known.machine, known.started), woken: false };
        if let Err(error) = self.memory.change(|kept| kept.naps.insert(known.machine.id.clone(), nap)) {
            return Err(Fault::Unsent(format!("its folder cannot be written: {error}")));
        }
        let found = Found { fly: fly.to_owned(), known: known.clone() };
        let told = self.tell_to_stop(&found, &release.template.stop).await;
        told.inspect_err(|_| self.doubt(fly))?;
        tracing::info!(instance = %known.written.id, "stopped for the time of the bake");
        self.did(&found, Deed::Stopped(known.started));
        Ok(())
    }

    /// Starts those of these that we have stopped.
    pub(crate) async fn wake(self: &Arc<Self>, fly: &str, named: &[Known]) -> Result<(), NoApp> {
        let asleep = named.iter().filter(|known| {
            let life = lift::incarnation(&known.machine, known.started);
            self.nap_of(known).is_some_and(|nap| nap.life == life)
        });
        let waking: Vec<_> = asleep.map(|known| self.wake_one(fly, known)).collect();
        let woken: Vec<_> = futures_util::stream::iter(waking).buffered(WOKEN_MAX).collect().await;
        woken.into_iter().collect()
    }

    async fn wake_one(self: &Arc<Self>, fly: &str, known: &Known) -> Result<(), NoApp> {
        if known.machine.state == "starting" {
            // It was told.
            return Ok(());
        }
        let id = &known.machine.id;
        let noted = self.memory.change(|kept| {
            if let Some(nap) = kept.naps.get_mut(id) {
                nap.woken = true;
            }
        });
        noted.map_err(|error| Fault::Unsent(format!("its folder cannot be written: {error}")))?;
        tracing::info!(instance = %known.written.id, "started, as it is asked for again");
        let found = Found { fly: fly.to_owned(), known: known.clone() };
        let started = self.tell_to_start(&found).await;
        let passes = |fault: &Fault| fault.is_transient() || (fault.has_status(412) && !fault.is_no_room());
        if let Err(NoApp::Fault(fault)) = &started
            && !passes(fault)
        {
            // It does not get up: what becomes of it is for others to decide, who see that it is down.
            let _ = self.memory.change(|kept| kept.naps.remove(id));
        }
        started.inspect_err(|_| self.doubt(fly))
    }
}

/// Whether it is on its way up, and nobody can know yet how it does.
fn comes_up(seen: &Sighting, now: Timestamp) -> bool {
    match seen.phase {
        Phase::Starting | Phase::Asleep => true,
        Phase::Running { since } => match seen.checks {
            None | Some(Health::Passing { .. }) => false,
            // The first answers are of the time before it listened.
            Some(Health::Waiting | Health::Failed { .. } | Health::Unknown) => now.since(since) < patience(seen),
        },
        Phase::Created | Phase::Exited { .. } | Phase::Vanishing { .. } => false,
    }
}

/// How long after its start one must have passed its checks: their grace, and as many turns as they bear.
fn patience(seen: &Sighting) -> Duration {
    let probes = seen.template.iter().flat_map(|release| &release.template.health);
    let each = probes.map(|probe| probe.grace + probe.interval * probe.failures);
    each.max().unwrap_or_default() + NOTED
}
