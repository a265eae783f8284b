//! What a person, through the control socket, may ask of a running daemon.
//!
//! The driver implements it; the server carries it over HTTP; the command line speaks to the server.

use serde::{Deserialize, Serialize};
use trueup_types::decision::RecordedDecision;
use trueup_types::desired::DesiredApp;
use trueup_types::order::{Denial, Order};
use trueup_types::status::{EvidenceFile, StatusDocument};
use trueup_types::{AppName, InstanceId, TargetName, Timestamp};

use crate::BoxFuture;
use crate::runtime::{LogLine, LogQuery};
use crate::session::{Session, SessionAsked};

/// A running daemon, as people reach it.
pub trait Control: Send + Sync {
    /// One person's word to one app. Returns when the record that holds it is saved and a tick has been queued.
    fn order<'a>(&'a self, app: &'a AppName, order: Order, by: &'a str)
    -> BoxFuture<'a, Result<Receipt, ControlError>>;

    /// Lets the apps that wait behind the mass-delete guard go; answers which.
    fn approve_prune<'a>(&'a self, by: &'a str) -> BoxFuture<'a, Result<Vec<AppName>, ControlError>>;

    /// Lists the manifests again now.
    fn relist(&self);

    /// Stops every app (recorded, so that only the next `run` brings them back), then the ingress; returns when all are
    /// down. The daemon is left for the caller to end.
    fn down<'a>(&'a self, by: &'a str) -> BoxFuture<'a, Result<(), ControlError>>;

    /// The newest status, at this moment.
    fn status(&self) -> StatusDocument;

    /// What was found on an app's failed releases, newest first.
    fn evidence<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, Result<Vec<EvidenceFile>, ControlError>>;

    /// The last decisions about an app, newest first, as they were made: masked, and decided the same way when asked again.
    ///
    /// # Errors
    /// When there is no such app.
    fn decisions(&self, app: &AppName) -> Result<Vec<RecordedDecision>, ControlError>;

    /// What would be done if `wanted` were the whole source; nothing is done.
    fn preview(&self, wanted: Vec<DesiredApp>) -> BoxFuture<'_, Result<Vec<AppPreview>, ControlError>>;

    /// Which instances of an app there are, newest revision first, then those that run or ran its hooks; each with its target.
    fn instances(&self, app: &AppName) -> Vec<(InstanceId, TargetName)>;

    /// Lines that an instance wrote.
    fn logs<'a>(
        &'a self,
        target: &'a TargetName,
        query: &'a LogQuery,
    ) -> BoxFuture<'a, Result<Vec<LogLine>, ControlError>>;

    /// Runs a command in an instance, with somebody at it.
    fn attach<'a>(
        &'a self,
        target: &'a TargetName,
        asked: &'a SessionAsked,
    ) -> BoxFuture<'a, Result<Session, ControlError>>;
}

/// What an accepted order came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// One line, for the terminal: `app/web rolls back to r4`.
    pub message: String,
    /// When it was taken down: a decision of that moment or later knows of it, and none before does.
    pub at: Timestamp,
}

/// What a plan would do with one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppPreview {
    /// Which.
    pub app: AppName,
    /// What becomes of it.
    pub change: Change,
    /// What is in force, for the field diff; nothing for a new app.
    pub before: Option<DesiredApp>,
    /// What would be; nothing for a removed one.
    pub after: Option<DesiredApp>,
    /// What fetches the very image that a release would begin with, where its target tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Instances that would be created.
    pub create: u32,
    /// Instances that would be replaced.
    pub replace: u32,
    /// Instances that would be started again.
    pub restart: u32,
    /// Instances that would be removed without a replacement.
    pub remove: u32,
    /// Why there would be downtime, if there would.
    pub downtime: Option<String>,
    /// What holds it back, or makes it no change though the manifest differs: a rejected digest, a pin, a suspend.
    pub notes: Vec<String>,
    /// The planner's first steps, in order.
    pub steps: Vec<String>,
}

/// What becomes of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Nothing.
    None,
    /// It is new.
    Create,
    /// A new revision rolls.
    Roll,
    /// Policy, replicas or routes change; nothing restarts.
    Adjust,
    /// It drifted, and is repaired.
    Repair,
    /// It goes.
    Remove,
}

/// Why a daemon does not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "error", content = "detail")]
pub enum ControlError {
    /// No app of that name.
    NoSuchApp(AppName),
    /// The app cannot do that now, in one line.
    Denied(String),
    /// It could not be done, in one line.
    Failed(String),
}

impl From<Denial> for ControlError {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial.to_string())
    }
}

impl std::fmt::Display for ControlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchApp(app) => write!(f, "there is no app `{app}`; `trueup get apps` lists them"),
            Self::Denied(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ControlError {}
