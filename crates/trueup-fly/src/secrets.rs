//! Secrets of an app there: set before a machine that needs them is made or started, and never read back.
//!
//! The platform keeps them for an app, under names, and a machine finds those of the moment when it starts. So what a release
//! needs is set just before a machine of it starts. That it is there is told by two digests: our own of what we have set,
//! and the platform's of what is there; where either differs it is set again. What no kept release needs is unset, where it
//! was ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::{AppName, Release};

use crate::api::Secrets as Listed;
use crate::apps::NoApp;
use crate::client::{Call, encoded};
use crate::fault::{Fault, RETRY_AFTER};
use crate::lower::RESERVED;
use crate::runtime::Inner;

/// Longest that one of these calls may take: a create makes several.
const CALL: Duration = Duration::from_secs(8);
/// How our own variables begin: no secret forges them.
const OWN: &str = "TRUEUP_";

/// What we have set of an app's secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Set {
    /// By name.
    marks: BTreeMap<String, Mark>,
    /// The version that this came to there.
    version: u64,
}

/// One secret that we have set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Mark {
    /// The keyed digest of its value.
    ours: String,
    /// What the platform's digest of it was.
    theirs: String,
}

impl Inner {
    /// Makes an app's secrets there those of a release; answers the version that its machines need, where they need any.
    pub(crate) async fn ensure_secrets(&self, fly: &str, release: &Release) -> Result<Option<u64>, NoApp> {
        if release.template.env_from.is_empty() {
            return Ok(None);
        }
        let wanted = self.secrets_of(release).map_err(|why| NoApp::Outcome(StepOutcome::Refused { why }))?;
        let _setting = self.setting.lock().await;
        let set = self.memory.look(|kept| kept.secrets.get(fly).cloned()).unwrap_or_default();
        let there = self.list_secrets(fly).await?;
        let mark = |name: &str, value: &str| self.secrets.mark(&format!("{fly}/{name}={value}"));
        let stands = |name: &String, value: &String| {
            set.marks.get(name).is_some_and(|known| {
                known.ours == mark(name, value) && there.get(name).is_some_and(|theirs| *theirs == known.theirs)
            })
        };
        let missing: BTreeMap<_, _> = wanted.iter().filter(|(name, value)| !stands(name, value)).collect();
        if missing.is_empty() {
            return Ok(Some(set.version));
        }
        // Written before it is done: what was set by whoever died then is known to be ours, and unset one day.
        self.note_secrets(fly, |set| {
            for name in missing.keys() {
                set.marks.entry((*name).clone()).or_default();
            }
        })?;
        let names: Vec<_> = missing.keys().map(|name| name.as_str()).collect();
        tracing::info!(fly, names = names.join(", "), "sets secrets");
        let answer = self.update_secrets(fly, json!(missing)).await?;
        let theirs = answer.digests();
        self.note_secrets(fly, |set| {
            set.version = answer.version;
            for (name, value) in missing {
                let theirs = theirs.get(name).cloned().unwrap_or_default();
                set.marks.insert(name.clone(), Mark { ours: mark(name, value), theirs });
            }
        })?;
        Ok(Some(answer.version))
    }

    /// What a release's secrets come to there: the manifest's own variables win, as they do everywhere.
    fn secrets_of(&self, release: &Release) -> Result<BTreeMap<String, String>, Refusal> {
        let mut values = self.secrets.environment(release).map_err(Refusal::Invalid)?;
        if let Some(name) = values.keys().find(|name| name.starts_with(RESERVED)) {
            let why = format!("the secret's key `{name}`: names that begin with `{RESERVED}` are the platform's own");
            return Err(Refusal::NotServed(why));
        }
        values.retain(|name, _| !release.template.env.contains_key(name) && !name.starts_with(OWN));
        Ok(values)
    }

    /// Unsets what we have set and none of these releases needs; what fails is done the next time.
    pub(crate) async fn keep_secrets(&self, app: &AppName, releases: &[Arc<Release>]) {
        let Some(fly) = self.memory.look(|kept| kept.homes.get(app).map(|home| home.fly.clone())) else { return };
        let mut needed = BTreeSet::new();
        for release in releases {
            match self.secrets_of(release) {
                Ok(values) => needed.extend(values.into_keys()),
                // Who does not know what is needed takes nothing away.
                Err(_) => return,
            }
        }
        if let Err(why) = self.unset_secrets(&fly, &needed).await {
            let why = why.outcome("unset secrets");
            tracing::warn!(%app, fly, ?why, "secrets that no release needs are still there");
        }
    }

    async fn unset_secrets(&self, fly: &str, needed: &BTreeSet<String>) -> Result<(), NoApp> {
        let _setting = self.setting.lock().await;
        let Some(set) = self.memory.look(|kept| kept.secrets.get(fly).cloned()) else { return Ok(()) };
        let idle: BTreeMap<_, _> =
            set.marks.into_keys().filter(|name| !needed.contains(name)).map(|name| (name, Value::Null)).collect();
        if idle.is_empty() {
            return Ok(());
        }
        let answer = self.update_secrets(fly, json!(idle)).await?;
        let names: Vec<_> = idle.keys().map(String::as_str).collect();
        tracing::info!(fly, names = names.join(", "), "unset secrets that no release needs");
        self.note_secrets(fly, |set| {
            set.marks.retain(|name, _| !idle.contains_key(name));
            set.version = answer.version;
        })
    }

    /// Unsets all that we have set, of an app that stays where ours goes.
    pub(crate) async fn unset_all_secrets(&self, fly: &str) -> Result<(), NoApp> {
        match self.unset_secrets(fly, &BTreeSet::new()).await {
            Err(NoApp::Fault(fault)) if fault.is_absence() => Ok(()),
            done @ (Ok(()) | Err(_)) => done,
        }
    }

    /// The platform's digests of what is there; the values stay there.
    async fn list_secrets(&self, fly: &str) -> Result<BTreeMap<String, String>, Fault> {
        let path = format!("/v1/apps/{}/secrets", encoded(fly));
        let listed: Listed = self.client.read(Call::get("Secrets_list", fly, path).within(CALL)).await?;
        Ok(listed.digests())
    }

    /// Sets secrets, and unsets those that are null. To do it twice is to do it once, but for the version.
    async fn update_secrets(&self, fly: &str, values: Value) -> Result<Listed, Fault> {
        let path = format!("/v1/apps/{}/secrets", encoded(fly));
        let body = json!({"values": values});
        self.client.read(Call::post("Secrets_update", fly, path).json(body).within(CALL)).await
    }

    fn note_secrets(&self, fly: &str, change: impl FnOnce(&mut Set)) -> Result<(), NoApp> {
        let noted = self.memory.change(|kept| {
            let set = kept.secrets.entry(fly.to_owned()).or_default();
            change(set);
            if set.marks.is_empty() {
                kept.secrets.remove(fly);
            }
        });
        noted.map_err(|error| {
            let why = format!("its folder cannot be written: {error}");
            NoApp::Outcome(StepOutcome::Retry { after: RETRY_AFTER, why })
        })
    }
}
