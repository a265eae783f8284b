//! What a source of manifests promises: complete snapshots, and honest absence.

use std::collections::BTreeMap;
use std::sync::Arc;

use trueup_types::desired::{DesiredApp, Doubt};
use trueup_types::status::{Condition, FileFault};
use trueup_types::target::TargetSpec;
use trueup_types::{AppName, Label, TargetName};

use crate::NudgeSink;

/// Where manifests come from.
pub trait Source: Send + Sync {
    /// The last accepted snapshot. Cheap: a clone of an `Arc`.
    fn snapshot(&self) -> Arc<Snapshot>;

    /// Calls `sink` when a new snapshot is accepted: with the apps that changed, or with `All`.
    fn listen(&self, sink: NudgeSink);

    /// Lists again now, without waiting for an event.
    fn relist(&self);
}

/// What stands for a secret that nobody has read here.
const UNREAD: &str = "unread";

/// All manifests at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Counts stable scans of this life; 0 before the first.
    pub scans: u64,
    /// The apps, each in its last good version.
    pub apps: BTreeMap<AppName, SourceApp>,
    /// The targets, `local` always among them.
    pub targets: BTreeMap<TargetName, TargetSpec>,
    /// What each secret that an app asks for was read as: keyed fingerprints.
    pub secrets: BTreeMap<Label, String>,
    /// For names that were there in this life: the first scan that missed them.
    pub vanished: BTreeMap<AppName, u64>,
    /// Why absence means nothing at all: the root is in doubt.
    pub doubt: Option<Doubt>,
    /// Why absence means nothing for names that no file has: a file that has never parsed.
    pub unread: Option<Doubt>,
    /// Files that do not parse.
    pub faults: Vec<FileFault>,
    /// `SourceUnavailable`, `WatchDegraded`: abnormal-true.
    pub conditions: Vec<Condition>,
}

/// One app of a snapshot.
#[derive(Debug, Clone)]
pub struct SourceApp {
    /// What is wanted: the last good version.
    pub desired: Arc<DesiredApp>,
    /// Why its newest version is not in force, one line.
    pub error: Option<String>,
}

/// What it means that a snapshot does not hold an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// Its manifest is gone, in two stable snapshots.
    Confirmed,
    /// One more snapshot will tell.
    Unconfirmed,
    /// Nobody knows.
    InDoubt(Doubt),
}

impl Snapshot {
    /// An app as somebody's manifests want it, with what its secrets were read as here: whoever asks reads none of them.
    #[must_use]
    pub fn with_secrets(&self, app: DesiredApp) -> DesiredApp {
        let asked = || app.template.env_from.iter().map(|one| &one.secret);
        if asked().next().is_none() {
            return app;
        }
        let known = |secret: &Label| self.secrets.get(secret).cloned().unwrap_or_else(|| UNREAD.to_owned());
        app.with_secrets(asked().map(|secret| (secret.to_string(), known(secret))).collect())
    }

    /// What it means that this snapshot does not hold `app`.
    #[must_use]
    pub fn absence(&self, app: &AppName) -> Absence {
        if let Some(doubt) = self.doubt.as_ref().or(self.unread.as_ref()) {
            return Absence::InDoubt(doubt.clone());
        }
        let first_missed = self.vanished.get(app).copied().unwrap_or(1);
        if self.scans > first_missed { Absence::Confirmed } else { Absence::Unconfirmed }
    }
}
