//! Makes a machine, once, whatever the platform answers.
//!
//! There is no key that makes a second try the first again, and a create may go well and say that it did not. So each
//! carries its name, which no two machines of an app may share, and in its labels the deed that made it; whoever does not
//! know whether it went well looks for that before trying again, and takes what is found.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::{InstanceId, Place, Release};

use crate::addresses::Reach;
use crate::api::Machine;
use crate::apps::NoApp;
use crate::book::{Deed, Known};
use crate::client::{Call, encoded};
use crate::due::CHECKED;
use crate::fate::Fate;
use crate::fault::{Fault, RETRY_AFTER, underway};
use crate::labels::Written;
use crate::lease::TTL_SECONDS;
use crate::lower::lower;
use crate::runtime::Inner;
use crate::survey::region;

/// Tries of one create within one step.
const TRIES: u32 = 3;
/// How long after an answer that says nothing one looks whether it went well (flyctl waits as long).
const LOOK_AFTER: Duration = Duration::from_millis(500);
/// Longest that one try may take.
const TRY: Duration = Duration::from_secs(10);
/// Longest that all of it may take: the driver gives a step thirty seconds.
const ALL: Duration = Duration::from_secs(26);
/// How old a listing may be that says that there is nothing of the name: the platform itself refuses a second one of it.
const LISTED: Duration = CHECKED;

impl Inner {
    pub(crate) async fn create(
        self: &std::sync::Arc<Self>,
        id: &InstanceId,
        place: &Place,
        release: &Release,
    ) -> Result<StepOutcome, NoApp> {
        let config = match lower(release, id) {
            Ok(config) => config,
            Err(why) => return Ok(StepOutcome::Refused { why: Refusal::NotServed(why) }),
        };
        let deadline = Instant::now() + ALL;
        let fly = self.ensure_app(&id.app).await?;
        if let Some(outcome) = self.there_already(&fly, id, release).await? {
            return Ok(outcome);
        }
        if !release.exposure.routes.is_empty() && id.task.is_none() {
            // The first one's are there early, as the DNS is not at once; after that they follow the table.
            if self.reach_of(&id.app) == Reach::default() {
                let hosts = release.exposure.routes.iter().map(|route| route.host.as_str());
                self.ensure_addresses(&fly, Reach::of(hosts)).await?;
            }
            // Nothing waits for one: whoever minds them asks as soon as the app is there.
            self.certified.hurry(&id.app);
        }
        let secrets = self.ensure_secrets(&fly, release).await?;
        let region = region(place, &self.settings.primary_region);
        let mut config = config;
        config.mounts = self.mounts(&fly, &region, id, release, config.guest.as_ref()).await?;
        let mark = self.record(&fly, release, &config.image).await;
        self.mine.label(&mut config, id, release, &self.settings, mark.as_ref());
        // Nobody sends it anything before it is told to: a name that is registered at birth would get requests untried.
        let mut body =
            json!({"name": id.to_string(), "region": region, "config": config, "skip_service_registration": true});
        // Another host may not have heard of them yet.
        if let Some(version) = secrets {
            body["min_secrets_version"] = json!(version);
        }
        if self.is_held_from_birth(&fly, release) {
            body["lease_ttl"] = json!(TTL_SECONDS);
        }
        self.make(&fly, id, release, &body, deadline).await
    }

    /// Whether a machine of a release is one of a rollout, whose machines nobody else is to change.
    fn is_held_from_birth(&self, fly: &str, release: &Release) -> bool {
        if !self.settings.flyctl_metadata {
            return false;
        }
        let now = Instant::now();
        let rolls = match self.recorded(fly, &release.digest) {
            Some(one) => one.fate == Fate::Running,
            None => self.book(fly, |book| book.shown().all(|known| known.written.digest != release.digest)),
        };
        if rolls {
            self.client.leases.begins(&release.app, now);
        }
        self.client.leases.wants(&release.app, now)
    }

    /// What comes of a create where something of the name is there; nothing where there is not.
    async fn there_already(
        self: &std::sync::Arc<Self>,
        fly: &str,
        id: &InstanceId,
        release: &Release,
    ) -> Result<Option<StepOutcome>, Fault> {
        let listed = |read: Option<Instant>| read.is_some_and(|read| read.elapsed() < LISTED);
        let (found, fresh) = self.book(fly, |book| (book.find(id).cloned(), listed(book.read)));
        if found.is_none() && fresh {
            return Ok(None);
        }
        let found = match found {
            Some(found) => Some(found),
            None => {
                self.refresh(fly, TRY).await.map_err(Fault::Unsent)?;
                self.book(fly, |book| book.find(id).cloned())
            }
        };
        Ok(found.map(|known| same_or_taken(&known, release)))
    }

    async fn make(
        self: &std::sync::Arc<Self>,
        fly: &str,
        id: &InstanceId,
        release: &Release,
        body: &Value,
        deadline: Instant,
    ) -> Result<StepOutcome, NoApp> {
        let mut last = None;
        for _ in 0..TRIES {
            let left = deadline.saturating_duration_since(Instant::now()).min(TRY);
            if left.is_zero() {
                break;
            }
            let (path, asked) = (format!("/v1/apps/{}/machines", encoded(fly)), Instant::now());
            let call = Call::post("Machines_create", fly, path).json(body.clone()).once_only().within(left);
            let fault = match self.client.read::<Machine>(call).await {
                Ok(mut machine) => {
                    let nonce = std::mem::take(&mut machine.nonce);
                    let machine = self.made(fly, machine)?.machine.id;
                    if !nonce.is_empty() {
                        self.client.leases.born(&id.app, fly, &machine, nonce, asked);
                    }
                    return Ok(StepOutcome::Done);
                }
                Err(fault) => fault,
            };
            if let Some(outcome) = self.adopted(fly, id, release, &fault).await? {
                return Ok(outcome);
            }
            if !fault.is_unsure() {
                return Err(fault.into());
            }
            tracing::info!(instance = %id, %fault, "a create is tried again");
            last = Some(fault);
        }
        let why = last.map_or_else(|| "there was no time for it".to_owned(), |fault| fault.to_string());
        Ok(StepOutcome::Retry { after: RETRY_AFTER, why })
    }

    /// After a create that did not say that it went well: what it made, or an earlier one did, is taken for its own.
    async fn adopted(
        self: &std::sync::Arc<Self>,
        fly: &str,
        id: &InstanceId,
        release: &Release,
        fault: &Fault,
    ) -> Result<Option<StepOutcome>, NoApp> {
        let taken = fault.has_status(409) && !fault.is_leased();
        if !taken && !fault.is_unsure() {
            return Ok(None);
        }
        tokio::time::sleep(LOOK_AFTER).await;
        let operation = self.mine.operation(id, &release.digest);
        let listed = self.list_machines(fly, TRY).await?;
        let named = listed.into_iter().filter(|machine| machine.name == id.to_string() && !machine.is_going());
        let mut found: Vec<_> = named.collect();
        if found.is_empty()
            && let Some(machine) = named_in(fault)
        {
            // Lists are late; the refusal itself says which machine has the name.
            found.extend(self.read_machine(fly, &machine).await?.filter(|machine| !machine.is_going()));
        }
        let Some(machine) = found.into_iter().next() else {
            let why = format!("{id}: its name is taken, by a machine that nobody shows yet");
            return Ok(taken.then(|| underway(RETRY_AFTER, why)));
        };
        if !self.mine.owns(&machine.labels()) {
            return Ok(Some(StepOutcome::Refused { why: Refusal::NameTaken }));
        }
        let made_by_this = machine.labels().values().any(|value| *value == operation);
        tracing::info!(instance = %id, machine = machine.id, made_by_this, "what was made without a word is ours");
        let known = self.made(fly, machine)?;
        Ok(Some(same_or_taken(&known, release)))
    }

    /// Remembers a machine that was made.
    fn made(&self, fly: &str, machine: Machine) -> Result<Known, Fault> {
        let written = Written::read(&machine.labels()).map_err(Fault::Broken)?;
        let mut known = Known::new(machine, written);
        known.deed = Some((Deed::Made, Instant::now()));
        self.book(fly, |book| book.machines.insert(known.machine.id.clone(), known.clone()));
        Ok(known)
    }
}

fn same_or_taken(known: &Known, release: &Release) -> StepOutcome {
    let same = known.written.digest == release.digest;
    if same { StepOutcome::AlreadyTrue } else { StepOutcome::Refused { why: Refusal::NameTaken } }
}

/// The machine that a refusal names: `unique machine name violation, machine ID … already exists with name …`.
fn named_in(fault: &Fault) -> Option<String> {
    let Fault::Answer(answer) = fault else { return None };
    let (_, rest) = answer.message.split_once("machine ID ")?;
    let id: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    (!id.is_empty()).then_some(id)
}
