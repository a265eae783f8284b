//! A release: what one rollout carries, and what a revert goes back to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::desired::Inputs;
use crate::digest::{ReleaseDigest, TemplateDigest};
use crate::exposure::Exposure;
use crate::name::{AppName, InstanceId, PortName, TargetName, Task};
use crate::number::{Ordinal, Revision};
use crate::template::{Hook, Template};

/// A revision with all that it takes to make its instances again, without a byte of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The app.
    pub app: AppName,
    /// Its number.
    pub revision: Revision,
    /// What it is: template and inputs.
    pub digest: ReleaseDigest,
    /// Where its instances live.
    pub target: TargetName,
    /// What an instance is.
    pub template: Template,
    /// The routes that were wanted with it; not part of the digest.
    pub exposure: Exposure,
    /// Why two of its instances cannot stand side by side where they live, if they cannot; follows from template and
    /// target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_first: Option<String>,
    /// What was resolved for it.
    pub inputs: Inputs,
    /// Where it came from.
    #[serde(default)]
    pub origin: Origin,
}

impl Release {
    /// The digest of a template with its inputs.
    #[must_use]
    pub fn digest_of(template: TemplateDigest, inputs: &Inputs) -> ReleaseDigest {
        ReleaseDigest::of(&(template, inputs))
    }

    /// Whether two of its instances cannot stand side by side, be it that it was written before that was kept.
    #[must_use]
    pub fn stands_alone(&self) -> bool {
        self.stop_first.is_some() || !self.template.volumes.is_empty()
    }

    /// The hooks of one kind, each with the name of the instance that runs it.
    pub fn tasks(&self, task: Task) -> impl Iterator<Item = (InstanceId, &Hook)> {
        let hooks = (0..).zip(self.template.hooks.of(task));
        hooks.map(move |(place, hook)| (InstanceId::of_task(&self.app, self.revision, task, Ordinal(place)), hook))
    }

    /// The hook that an instance of this release runs; nothing for one that serves.
    #[must_use]
    pub fn hook(&self, id: &InstanceId) -> Option<&Hook> {
        let place = usize::try_from(id.ordinal.0).ok()?;
        self.template.hooks.of(id.task?).get(place)
    }

    /// What an instance finds in its environment, wherever it runs: its ports, the first of them as `PORT`, then what its
    /// secrets hold, then the manifest's, which wins; our own names last, so that nobody can forge them.
    #[must_use]
    pub fn environment<'p>(
        &self,
        id: &InstanceId,
        ports: impl IntoIterator<Item = (&'p PortName, u16)>,
        secrets: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for (name, number) in ports {
            env.entry("PORT".to_owned()).or_insert_with(|| number.to_string());
            env.insert(format!("PORT_{}", name.as_str().to_uppercase().replace('-', "_")), number.to_string());
        }
        env.extend(secrets.clone());
        env.extend(self.template.env.clone());
        env.insert("TRUEUP_APP".to_owned(), self.app.to_string());
        env.insert("TRUEUP_INSTANCE".to_owned(), id.to_string());
        env.insert("TRUEUP_REVISION".to_owned(), self.revision.0.to_string());
        if let (Some(task), Some(hook)) = (id.task, self.hook(id)) {
            env.insert("TRUEUP_HOOK".to_owned(), format!("{}/{}", task.as_str(), hook.name));
        }
        env
    }
}

/// Where a manifest came from, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Origin {
    /// The file, relative to the source root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The commit, where the source knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Its author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}
