//! The client: what the command line holds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use trueup_seams::{AppPreview, ControlError, LogLine, LogQuery, Receipt};
use trueup_types::decision::RecordedDecision;
use trueup_types::desired::DesiredApp;
use trueup_types::order::Order;
use trueup_types::status::{EvidenceFile, StatusDocument};
use trueup_types::{AppName, InstanceId, TargetName};

use crate::api::{By, Given, LogsAsked};
use crate::serve::socket_path;

/// Longest an ordinary answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest `down` may take: it drains and stops every app.
const DOWN_PATIENCE: Duration = Duration::from_secs(180);

/// Why a daemon could not be asked, or did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon answers at {}: start one with `trueup run`, or say which with --state-dir", path.display())]
    NoDaemon {
        /// The socket.
        path: PathBuf,
    },
    /// It said no.
    #[error(transparent)]
    Refused(ControlError),
    /// It broke off, or spoke another version.
    #[error("the daemon's answer cannot be used")]
    Broken(#[source] reqwest::Error),
}

/// A connection to the daemon of a state directory.
#[derive(Debug, Clone)]
pub struct ControlClient {
    http: reqwest::Client,
    path: PathBuf,
}

impl ControlClient {
    /// A client of the daemon of this state directory; nothing is opened yet.
    ///
    /// # Errors
    /// When a client cannot be made at all.
    pub fn new(state_dir: &Path) -> Result<Self, ClientError> {
        let path = socket_path(state_dir);
        let builder = reqwest::Client::builder().no_proxy().unix_socket(path.clone());
        Ok(Self { http: builder.build().map_err(ClientError::Broken)?, path })
    }

    /// Where the daemon listens.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The newest status.
    ///
    /// # Errors
    /// As [`ClientError`] says; so for all below.
    pub async fn status(&self) -> Result<StatusDocument, ClientError> {
        self.get("/v1/status").await
    }

    /// One person's word to one app.
    pub async fn order(&self, app: &AppName, order: Order, by: &str) -> Result<Receipt, ClientError> {
        let given = Given { by: by.to_owned(), order };
        self.post(&format!("/v1/apps/{app}/order"), &given, PATIENCE).await
    }

    /// What was found on an app's failed releases, newest first.
    pub async fn evidence(&self, app: &AppName) -> Result<Vec<EvidenceFile>, ClientError> {
        self.get(&format!("/v1/apps/{app}/evidence")).await
    }

    /// The last decisions about an app, newest first, masked.
    pub async fn decisions(&self, app: &AppName) -> Result<Vec<RecordedDecision>, ClientError> {
        self.get(&format!("/v1/apps/{app}/decisions")).await
    }

    /// Which instances of an app there are, newest revision first.
    pub async fn instances(&self, app: &AppName) -> Result<Vec<(InstanceId, TargetName)>, ClientError> {
        self.get(&format!("/v1/apps/{app}/instances")).await
    }

    /// Lines that an instance wrote.
    pub async fn logs(&self, target: &TargetName, query: &LogQuery) -> Result<Vec<LogLine>, ClientError> {
        let asked = LogsAsked { target: target.clone(), query: query.clone() };
        self.post("/v1/logs", &asked, PATIENCE).await
    }

    /// What would be done if these were all.
    pub async fn preview(&self, wanted: &[DesiredApp]) -> Result<Vec<AppPreview>, ClientError> {
        self.post("/v1/preview", wanted, PATIENCE).await
    }

    /// Lets the apps behind the mass-delete guard go.
    pub async fn approve_prune(&self, by: &str) -> Result<Vec<AppName>, ClientError> {
        self.post("/v1/prune/approve", &By { by: by.to_owned() }, PATIENCE).await
    }

    /// Lists the manifests again.
    pub async fn relist(&self) -> Result<(), ClientError> {
        self.post("/v1/relist", &(), PATIENCE).await
    }

    /// Stops every app, and then the daemon.
    pub async fn down(&self, by: &str) -> Result<(), ClientError> {
        self.post("/v1/down", &By { by: by.to_owned() }, DOWN_PATIENCE).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(self.http.get(url(path)).timeout(PATIENCE)).await
    }

    async fn post<B, T>(&self, path: &str, body: &B, patience: Duration) -> Result<T, ClientError>
    where
        B: Serialize + ?Sized,
        T: DeserializeOwned,
    {
        self.send(self.http.post(url(path)).json(body).timeout(patience)).await
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, ClientError> {
        let answer = request.send().await.map_err(|error| {
            if error.is_connect() {
                ClientError::NoDaemon { path: self.path.clone() }
            } else {
                ClientError::Broken(error)
            }
        })?;
        if answer.status().is_success() {
            return answer.json().await.map_err(ClientError::Broken);
        }
        let refused = answer.json::<ControlError>().await.map_err(ClientError::Broken)?;
        Err(ClientError::Refused(refused))
    }
}

/// The host is never looked up: the socket is the way.
fn url(path: &str) -> String {
    format!("http://trueup{path}")
}
