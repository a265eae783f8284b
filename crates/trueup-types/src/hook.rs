//! Hooks: commands run once for a release, part of what it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::{Label, Task};
use crate::time::human;

/// Tasks run once for each release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks {
    /// Before any instance is created.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_deploy: Vec<Hook>,
    /// After promotion.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_deploy: Vec<Hook>,
    /// After a revert from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_revert: Vec<Hook>,
}

impl Hooks {
    /// Those of one kind, in the order in which they run.
    #[must_use]
    pub fn of(&self, task: Task) -> &[Hook] {
        match task {
            Task::PreDeploy => &self.pre_deploy,
            Task::PostDeploy => &self.post_deploy,
            Task::OnRevert => &self.on_revert,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        Task::ALL.into_iter().all(|task| self.of(task).is_empty())
    }
}

/// A task run once for a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// Its name, unique among its kind.
    pub name: Label,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Longest it may run.
    #[serde(with = "human")]
    pub timeout: Duration,
}
