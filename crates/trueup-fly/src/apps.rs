//! What stands around the machines of an app: the app there, its addresses; made when they are first needed, gone with it.
//!
//! Names are derived, so that making one twice is making it once: a name that is taken is ours where it is in our
//! organisation, and another is tried where it is somebody else's. That we set out to make one is written down before.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use trueup_types::AppName;
use trueup_types::step::{Refusal, StepOutcome};

use crate::api::{App, Volume};
use crate::client::{Call, encoded};
use crate::fault::{Fault, RETRY_AFTER, underway};
use crate::memory::Home;
use crate::names;
use crate::runtime::Inner;

/// From one look at an app that was just made, and is not known yet, to the next.
const NOT_YET: Duration = Duration::from_millis(400);
/// Looks at it before the step gives up, to be tried again.
const LOOKS: u32 = 12;
/// Longest that one of these calls may take: several make a step.
pub(crate) const CALL: Duration = Duration::from_secs(8);

/// Why an app is not there: a fault, or what no second try would do.
pub(crate) enum NoApp {
    Fault(Fault),
    Outcome(StepOutcome),
}

impl From<Fault> for NoApp {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl NoApp {
    pub(crate) fn outcome(self, what: &str) -> StepOutcome {
        match self {
            Self::Fault(fault) => fault.outcome(what),
            Self::Outcome(outcome) => outcome,
        }
    }
}

impl Inner {
    /// The app there, made where there is none.
    pub(crate) async fn ensure_app(&self, app: &AppName) -> Result<String, NoApp> {
        let _making = self.making.lock().await;
        let home = self.memory.look(|kept| kept.homes.get(app).cloned());
        if let Some(home) = &home
            && self.books().contains_key(&home.fly)
        {
            return Ok(home.fly.clone());
        }
        let intended = home.map(|home| home.fly);
        if let Some(only) = self.only_apps() {
            return self.ensure_opened(app, &only).await;
        }
        for fly in names::candidates(&self.mine, &self.settings, app) {
            // One that we set out to make before is looked at first, whatever else it may be called.
            let fly = intended.clone().unwrap_or(fly);
            if let Some(there) = self.ours_there(&fly).await? {
                self.settle(app, &there, intended.is_some()).map_err(unwritten)?;
                // Known from here on, it is not asked for again.
                self.book(&there, |_| ());
                return Ok(there);
            }
            if self.make_app(app, &fly).await? {
                return Ok(fly);
            }
            if intended.is_some() {
                break;
            }
        }
        let why = format!("every name that `{}` gives for {app} is taken by somebody else", self.settings.app_name);
        Err(NoApp::Outcome(StepOutcome::Refused { why: Refusal::Invalid(why) }))
    }

    /// The app there, of those that the token opens: it makes none.
    async fn ensure_opened(&self, app: &AppName, only: &BTreeSet<String>) -> Result<String, NoApp> {
        let candidates = names::candidates(&self.mine, &self.settings, app);
        if let Some(fly) = candidates.iter().find(|fly| only.contains(*fly))
            && let Some(there) = self.ours_there(fly).await?
        {
            self.settle(app, &there, false).map_err(unwritten)?;
            self.book(&there, |_| ());
            return Ok(there);
        }
        let (org, fly) = (&self.settings.organization, candidates.first().map_or("", String::as_str));
        let opened: Vec<_> = only.iter().map(String::as_str).collect();
        let why = format!(
            "the token is for {} alone, and {app} would be called {fly} there: use a token of the organisation (`fly tokens create org {org}`), or make it (`fly apps create {fly} --org {org}`) and use a token of it",
            opened.join(", ")
        );
        Err(NoApp::Outcome(StepOutcome::Refused { why: Refusal::Invalid(why) }))
    }

    /// Makes an app of this name; answers whether it is ours now.
    async fn make_app(&self, app: &AppName, fly: &str) -> Result<bool, NoApp> {
        self.settle(app, fly, true).map_err(unwritten)?;
        let org = self.settings.organization.as_str();
        let mut body = json!({"name": fly, "org_slug": org});
        if let Some(network) = &self.settings.network {
            body["network"] = json!(network.as_str());
        }
        let made =
            self.client.tell(Call::post("Apps_create", org, "/v1/apps".to_owned()).json(body).within(CALL)).await;
        match made {
            Ok(()) => {}
            Err(fault) if fault.has_status(422) || fault.has_status(403) => {
                // An earlier try may have made it, which its answer did not tell.
                let ours = self.ours_there(fly).await?.is_some();
                if !ours {
                    self.forget_app(app).map_err(unwritten)?;
                }
                return Ok(ours);
            }
            Err(fault) => return Err(fault.into()),
        }
        tracing::info!(%app, fly, "made an app");
        self.await_app(fly).await?;
        self.book(fly, |_| ());
        Ok(true)
    }

    /// Waits until an app that was just made is known everywhere: until then it may be answered with 404, or 401.
    async fn await_app(&self, fly: &str) -> Result<(), NoApp> {
        for _ in 0..LOOKS {
            match self.ours_there(fly).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {}
                Err(fault) if fault.has_status(401) => {}
                Err(fault) => return Err(fault.into()),
            }
            tokio::time::sleep(NOT_YET).await;
        }
        let why = format!("{fly} was just made, and is not known yet");
        Err(NoApp::Outcome(underway(RETRY_AFTER, why)))
    }

    /// Its name, where there is an app of it that is our organisation's; one of another's is as if it were not there.
    async fn ours_there(&self, fly: &str) -> Result<Option<String>, Fault> {
        let call = Call::get("Apps_show", fly, format!("/v1/apps/{}", encoded(fly))).within(CALL);
        match self.client.read::<App>(call).await {
            Ok(app) => {
                let slug = &app.organization.slug;
                let ours = slug.is_empty() || slug == self.settings.organization.as_str();
                Ok(ours.then(|| fly.to_owned()))
            }
            Err(fault) if fault.is_absence() || fault.has_status(403) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Writes down which app there it is. One whose name is random can be nobody's but ours.
    fn settle(&self, app: &AppName, fly: &str, made: bool) -> std::io::Result<()> {
        let ours = made || !self.settings.app_name_is_derived();
        self.memory.change(|kept| {
            let home = Home { fly: fly.to_owned(), ours };
            kept.homes.entry(app.clone()).and_modify(|known| known.fly = fly.to_owned()).or_insert(home);
        })?;
        Ok(())
    }

    fn forget_app(&self, app: &AppName) -> std::io::Result<()> {
        self.certified.forget(app);
        self.records.forget(app);
        let forgotten = self.memory.change(|kept| {
            kept.homes.remove(app);
            kept.words.remove(app);
            kept.certified.remove(app);
        });
        forgotten.map(drop)
    }

    /// Takes an app away there, with its addresses, once nothing of it is left; what we have not made stays, and so does
    /// what holds a disk.
    pub(crate) async fn retire(&self, app: &AppName) -> StepOutcome {
        let what = format!("retire {app}");
        match self.retire_app(app).await {
            Ok(outcome) => outcome,
            Err(NoApp::Fault(fault)) if fault.is_unsure() => {
                StepOutcome::Retry { after: RETRY_AFTER, why: fault.to_string() }
            }
            Err(why) => why.outcome(&what),
        }
    }

    async fn retire_app(&self, app: &AppName) -> Result<StepOutcome, NoApp> {
        let Some(fly) = self.home(app).await? else { return Ok(StepOutcome::AlreadyTrue) };
        let remembered = self.memory.look(|kept| kept.homes.get(app).cloned());
        let ours = remembered.map_or(!self.settings.app_name_is_derived(), |home| home.ours);
        // Who was given a token for one app was given the app.
        let ours = ours && self.only_apps().is_none();
        let mut stays = !ours;
        if ours {
            let machines = match self.list_machines(&fly, CALL).await {
                Ok(machines) => machines,
                Err(fault) if fault.is_absence() => return self.retired(app, &fly, false),
                Err(fault) => return Err(fault.into()),
            };
            let (left, others): (Vec<_>, Vec<_>) = machines
                .into_iter()
                .filter(|machine| !machine.is_going())
                .partition(|machine| self.mine.owns(&machine.labels()));
            let known = self.book(&fly, |book| {
                left.iter().any(|one| book.machines.get(&one.id).is_none_or(|known| !known.is_removed()))
            });
            if known {
                self.book(&fly, |book| book.dirty = true);
                let why = format!("{fly} has machines of ours");
                return Ok(StepOutcome::Retry { after: RETRY_AFTER, why });
            }
            let path = format!("/v1/apps/{}/volumes", encoded(&fly));
            let volumes: Vec<Volume> = self.client.read(Call::get("Volumes_list", &fly, path).within(CALL)).await?;
            if !others.is_empty() || volumes.iter().any(|volume| !volume.is_going()) {
                stays = true;
                tracing::warn!(%app, fly, machines = others.len(), volumes = volumes.len(), "the app stays, with what is not ours to destroy");
                self.drop_certificates(app, &fly, &BTreeSet::new()).await?;
            } else {
                // It may have machines on their way out.
                let path = format!("/v1/apps/{}?force=true", encoded(&fly));
                let call = Call::new("DELETE", "Apps_delete", self.settings.organization.as_str(), path).within(CALL);
                match self.client.tell(call).await {
                    Ok(()) => tracing::info!(%app, fly, "took an app away"),
                    Err(fault) if fault.is_absence() => {}
                    Err(fault) => return Err(fault.into()),
                }
            }
        } else {
            self.drop_certificates(app, &fly, &BTreeSet::new()).await?;
        }
        if stays {
            self.unset_all_secrets(&fly).await?;
        }
        self.retired(app, &fly, stays)
    }

    fn retired(&self, app: &AppName, fly: &str, stays: bool) -> Result<StepOutcome, NoApp> {
        self.forget_app(app).map_err(unwritten)?;
        let forgotten = self.memory.change(|kept| {
            kept.secrets.remove(fly);
            kept.records.remove(fly);
            kept.making.retain(|disk, _| disk.split('/').next() != Some(fly));
            // Whose disks stay finds them again when it comes back.
            if !stays {
                kept.disks.remove(fly);
                kept.freed.remove(fly);
            }
        });
        forgotten.map_err(unwritten)?;
        self.books().remove(fly);
        self.addressed.lock().expect("no holder panics").remove(fly);
        Ok(StepOutcome::Done)
    }
}

fn unwritten(error: std::io::Error) -> NoApp {
    NoApp::Outcome(StepOutcome::Retry { after: RETRY_AFTER, why: format!("its folder cannot be written: {error}") })
}
