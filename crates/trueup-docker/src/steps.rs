//! The four steps: create, start, stop, remove. Each is safe to repeat, at any moment, by a daemon that has forgotten all.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use bollard::body_full;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use trueup_types::docker::Address;
use trueup_types::step::{InstanceStep, Refusal, StepOutcome};
use trueup_types::template::Stop;
use trueup_types::{Incarnation, InstanceId, Release};

use crate::archive;
use crate::asked::Asked;
use crate::engine::{Fault, QUICK, RETRY_AFTER, START};
use crate::labels::{INSTANCE, Written};
use crate::lift;
use crate::lower;
use crate::moment::Clocks;
use crate::orphan::{self, Remnant};
use crate::runtime::Inner;
use crate::seen::Whereabouts;

/// Longest an engine may take for a stop beyond the grace that the manifest gives.
const STOP_SLACK: Duration = Duration::from_secs(30);
/// From one try of a stop that broke off to the next.
const STOP_AGAIN: Duration = Duration::from_secs(1);
/// Tries of one stop; after that the next survey begins anew.
const STOP_TRIES: u32 = 5;

/// A container of ours, found by its labels.
struct Found {
    id: String,
    written: Written,
    container: ContainerInspectResponse,
}

/// When a container was last looked at that is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// It runs, and it is the life that is meant.
    JustNow,
    /// It may have gone, or be another life by now.
    Before,
}

impl Found {
    fn is(&self, life: &Incarnation) -> bool {
        lift::incarnation(&self.container) == *life
    }
}

impl Inner {
    /// Does a step about an instance that was last seen there.
    pub(crate) async fn apply(self: &Arc<Self>, step: &InstanceStep, at: Whereabouts) -> StepOutcome {
        let what = format!("{} {}", step.verb(), step.id());
        let done = match step {
            InstanceStep::Create { id, release, .. } => self.create(id, release, at, &what).await,
            InstanceStep::Start { id, ended } => self.start(id, ended, at, &what).await,
            InstanceStep::Stop { id, incarnation, stop } => self.stop(id, incarnation, stop, at).await,
            InstanceStep::Remove { id, incarnation } => self.remove(id, incarnation, at).await,
        };
        done.unwrap_or_else(|fault| fault.outcome(&what))
    }

    /// The container of an instance: the one that it was seen in, or else by its labels.
    async fn find_at(&self, id: &InstanceId, at: Whereabouts) -> Result<Option<Found>, Fault> {
        if let Whereabouts::At(container) = at
            && let Some(inspected) = self.inspected(&container).await?
        {
            let labels = inspected.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
            let written = Written::read(&labels).map_err(Fault::Unreachable)?;
            return Ok(Some(Found { id: container, written, container: inspected }));
        }
        self.find(id).await
    }

    /// The container of an instance: by its labels, since somebody may have renamed it. The engine must have answered.
    async fn find(&self, id: &InstanceId) -> Result<Option<Found>, Fault> {
        let mut labels = self.mine.filter();
        labels.push(format!("{INSTANCE}={id}"));
        let Some(entry) = self.the_one(self.list(labels).await?, id) else { return Ok(None) };
        let (Some(container), Some(labels)) = (entry.id, entry.labels) else { return Ok(None) };
        let written = Written::read(&labels).map_err(Fault::Unreachable)?;
        let inspected = self.inspected(&container).await?;
        Ok(inspected.map(|inspected| Found { id: container, written, container: inspected }))
    }

    async fn create(
        self: &Arc<Self>,
        id: &InstanceId,
        release: &Arc<Release>,
        at: Whereabouts,
        what: &str,
    ) -> Result<StepOutcome, Fault> {
        // What was not there at the last look is made without another: its name is given away once.
        let found = if at == Whereabouts::Nowhere { None } else { self.find_at(id, at).await? };
        if let Some(found) = found {
            return Ok(same_or_taken(&found, release));
        }
        let secrets = match self.secrets.environment(release) {
            Ok(secrets) => secrets,
            Err(why) => return Ok(StepOutcome::Refused { why: Refusal::Invalid(why) }),
        };
        let image = match self.image(release).await {
            Ok(image) => image,
            Err(outcome) => return Ok(outcome),
        };
        self.ensure_network().await?;
        let client = self.engine.client().await?;
        let body = lower::container(&self.mine, &self.settings, id, release, &image, &secrets);
        let make = async |name: &str| {
            let options = CreateContainerOptionsBuilder::default().name(name).build();
            self.engine.within(QUICK, client.create_container(Some(options), body.clone())).await
        };
        let made = match make(&self.mine.container(id)).await {
            Err(fault) if fault.has_status(409) && self.held_by_another_target(id).await? => {
                make(&self.mine.container_apart(id)).await
            }
            made @ (Ok(_) | Err(_)) => made,
        };
        match made {
            Ok(made) => self.begin(&made.id, release, what).await,
            // The name is held. By what an earlier call of ours made, or by somebody else's.
            Err(fault) if fault.has_status(409) => match self.find(id).await? {
                Some(found) => Ok(same_or_taken(&found, release)),
                None => Ok(StepOutcome::Refused { why: Refusal::NameTaken }),
            },
            // The image went, or the network did, between our look and the call.
            Err(fault) if fault.is_absence() => {
                self.doubt_network().await;
                Ok(StepOutcome::Retry { after: RETRY_AFTER, why: format!("{what}: {fault}") })
            }
            Err(fault) => Err(fault),
        }
    }

    /// Whether the name of an instance's container is held by one of another target of ours: an app that moves from one to
    /// the other is on both for a while.
    async fn held_by_another_target(&self, id: &InstanceId) -> Result<bool, Fault> {
        let there = self.inspected(&self.mine.container(id)).await?;
        let labels = there.and_then(|there| there.config).and_then(|config| config.labels);
        Ok(labels.is_some_and(|labels| self.mine.is_of_another_target(&labels)))
    }

    async fn start(
        self: &Arc<Self>,
        id: &InstanceId,
        ended: &Incarnation,
        at: Whereabouts,
        what: &str,
    ) -> Result<StepOutcome, Fault> {
        let Some(found) = self.find_at(id, at).await? else {
            return Ok(StepOutcome::Refused { why: Refusal::Gone });
        };
        if lift::up(&found.container) || !found.is(ended) {
            return Ok(StepOutcome::AlreadyTrue);
        }
        let Some(release) = &found.written.release else {
            let why = format!("{id}: what it is cannot be read from its labels");
            return Ok(StepOutcome::Refused { why: Refusal::Invalid(why) });
        };
        if lift::unstarted(&found.container) {
            self.ensure_network().await?;
        }
        self.begin(&found.id, release, what).await
    }

    /// Writes the manifest's files into a container and starts it.
    async fn begin(&self, container: &str, release: &Release, what: &str) -> Result<StepOutcome, Fault> {
        let client = self.engine.client().await?;
        let files = archive::of(&release.template);
        let files = files.map_err(|why| Fault::Answer { status: 400, message: format!("its files: {why}") })?;
        if let Some(files) = files {
            let options = UploadToContainerOptionsBuilder::default().path("/").build();
            let upload = client.upload_to_container(container, Some(options), body_full(files.into()));
            match self.engine.within(QUICK, upload).await {
                Ok(()) => {}
                // Somebody has taken it away meanwhile.
                Err(fault) if fault.is_absence() || fault.has_status(409) => return Ok(not_started(&fault, what)),
                Err(fault) => return Err(fault),
            }
        }
        match self.engine.within(START, client.start_container(container, None)).await {
            Ok(()) => Ok(StepOutcome::Done),
            Err(fault) => {
                self.doubt_network().await;
                match Remnant::of(&fault) {
                    Some(remnant) => self.clear(container, remnant, &format!("{what}: {fault}")).await,
                    None => Ok(not_started(&fault, what)),
                }
            }
        }
    }

    /// Clears away what an engine left of a start that it has forgotten, so that the next goes well.
    async fn clear(&self, container: &str, remnant: Remnant, why: &str) -> Result<StepOutcome, Fault> {
        let ended = self.put_down(container).await;
        let mended = match remnant {
            Remnant::Process if ended == 0 => "no process of it is found here; restart the containerd of its host",
            Remnant::Process => "it ran without the engine's knowledge, and has been ended",
            Remnant::Folder => {
                let client = self.engine.client().await?;
                let options = RemoveContainerOptionsBuilder::default().v(true).force(true).build();
                match self.engine.within(START, client.remove_container(container, Some(options))).await {
                    Err(fault) if !fault.is_absence() => return Err(fault),
                    Ok(()) | Err(_) => "it is made anew",
                }
            }
        };
        tracing::warn!(container, ended, "{why}: {mended}");
        Ok(StepOutcome::Retry { after: RETRY_AFTER, why: format!("{why}: {mended}") })
    }

    /// Ends what runs of a container that the engine says is not running, where the engine is on this host; how many there
    /// were.
    async fn put_down(&self, container: &str) -> usize {
        if !matches!(self.settings.address(), Address::Socket(_)) {
            return 0;
        }
        let container = container.to_owned();
        let put_down = tokio::task::spawn_blocking(move || orphan::put_down(&container));
        put_down.await.unwrap_or_default()
    }

    async fn stop(
        self: &Arc<Self>,
        id: &InstanceId,
        life: &Incarnation,
        stop: &Stop,
        at: Whereabouts,
    ) -> Result<StepOutcome, Fault> {
        let Some(found) = self.find_at(id, at).await? else { return Ok(StepOutcome::AlreadyTrue) };
        if !lift::up(&found.container) || !found.is(life) {
            return Ok(StepOutcome::AlreadyTrue);
        }
        if let Some(asked) = self.asked.of(&found.id, life) {
            self.see_off(&found.id, asked, Looked::JustNow);
            return Ok(StepOutcome::AlreadyTrue);
        }
        let asked = Asked::new(life.clone(), Clocks::wall(), stop.clone());
        if let Err(why) = self.asked.note(&found.id, asked.clone()) {
            return Ok(StepOutcome::Retry { after: RETRY_AFTER, why: format!("stop {id}: {why}") });
        }
        self.see_off(&found.id, asked, Looked::JustNow);
        Ok(StepOutcome::Done)
    }

    /// Has a container stopped, in a task: an engine answers only when it is down. Once at a time for each.
    pub(crate) fn see_off(self: &Arc<Self>, container: &str, asked: Asked, mut looked: Looked) {
        if !self.stopping().insert(container.to_owned()) {
            return;
        }
        let (inner, container) = (Arc::clone(self), container.to_owned());
        self.handle.spawn(async move {
            for _ in 0..STOP_TRIES {
                match inner.stop_now(&container, &asked, looked).await {
                    Ok(()) => break,
                    Err(fault) => tracing::info!(container, %fault, "a stop is tried again"),
                }
                looked = Looked::Before;
                tokio::time::sleep(STOP_AGAIN).await;
            }
            inner.stopping().remove(&container);
        });
    }

    /// Asks the engine to stop a container, and waits until it has; what is left of the grace is what counts.
    async fn stop_now(&self, container: &str, asked: &Asked, looked: Looked) -> Result<(), Fault> {
        if looked == Looked::Before {
            let Some(there) = self.inspected(container).await? else { return Ok(()) };
            if !lift::up(&there) || lift::incarnation(&there) != asked.incarnation {
                return Ok(());
            }
        }
        let client = self.engine.client().await?;
        let gone_by = Duration::from_millis(Clocks::wall().0.saturating_sub(asked.at().0));
        let grace = asked.stop.timeout.saturating_sub(gone_by);
        // An engine counts whole seconds, and 0 would leave no time at all.
        let seconds = i32::try_from(grace.as_millis().div_ceil(1_000)).unwrap_or(i32::MAX).max(1);
        let options = StopContainerOptionsBuilder::default().signal(&asked.stop.signal).t(seconds).build();
        let patience = grace + STOP_SLACK;
        match self.engine.within(patience, client.stop_container(container, Some(options))).await {
            // 304: it is down already.
            Err(fault) if !fault.is_absence() && !fault.has_status(304) => Err(fault),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn remove(
        self: &Arc<Self>,
        id: &InstanceId,
        life: &Incarnation,
        at: Whereabouts,
    ) -> Result<StepOutcome, Fault> {
        let Some(found) = self.find_at(id, at).await? else { return Ok(StepOutcome::AlreadyTrue) };
        if !found.is(life) {
            return Ok(StepOutcome::AlreadyTrue);
        }
        if lift::up(&found.container) {
            return Ok(StepOutcome::Refused { why: Refusal::StillRunning });
        }
        if lift::unstarted(&found.container) && self.put_down(&found.id).await > 0 {
            tracing::warn!(instance = %id, "it ran without the engine's knowledge, and has been ended");
        }
        let client = self.engine.client().await?;
        // `v` takes what the image itself declared; volumes with a name stay.
        let options = RemoveContainerOptionsBuilder::default().v(true).build();
        match self.engine.within(START, client.remove_container(&found.id, Some(options))).await {
            Ok(()) => {}
            Err(fault) if fault.is_absence() => return Ok(StepOutcome::AlreadyTrue),
            // It is on its way out, or has come up a moment ago: look again.
            Err(fault) if fault.has_status(409) => {
                return Ok(StepOutcome::Retry { after: RETRY_AFTER, why: format!("remove {id}: {fault}") });
            }
            Err(fault) => return Err(fault),
        }
        self.release_network().await;
        Ok(StepOutcome::Done)
    }

    fn stopping(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.stopping.lock().expect("no holder panics")
    }
}

fn same_or_taken(found: &Found, release: &Release) -> StepOutcome {
    let same = found.written.digest == release.digest;
    if same { StepOutcome::AlreadyTrue } else { StepOutcome::Refused { why: Refusal::NameTaken } }
}

/// What comes of a start that the engine could not do. What no second try would start is seen as that by the next survey,
/// with its container; all else (a port, no memory, a network that went) may pass.
fn not_started(fault: &Fault, what: &str) -> StepOutcome {
    match fault {
        Fault::Answer { message, .. } if lift::never_starts(message) => StepOutcome::Done,
        Fault::Answer { status: 304, .. } => StepOutcome::AlreadyTrue,
        Fault::Answer { .. } => StepOutcome::Retry { after: RETRY_AFTER, why: format!("{what}: {fault}") },
        Fault::Unreachable(_) | Fault::Broken(_) | Fault::Late(_) => fault.outcome(what),
    }
}
