//! The server: one route for each thing that a person may ask.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use tokio_util::sync::CancellationToken;
use trueup_seams::{Control, ControlError};
use trueup_types::AppName;
use trueup_types::desired::DesiredApp;

use crate::api::{BODY_BYTES_MAX, By, Given, LogsAsked};
use crate::session;

/// Longest path of a Unix socket, in bytes (`sun_path`, less its closing zero).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Why the socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The system allows no longer path.
    #[error("the socket path {} has {bytes} bytes, at most {SOCKET_PATH_BYTES_MAX} are possible: choose a shorter --state-dir", path.display())]
    PathTooLong {
        /// Which.
        path: PathBuf,
        /// How long it is.
        bytes: usize,
    },
    /// It cannot be opened.
    #[error("the control socket {} cannot be opened", path.display())]
    Bind {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        why: std::io::Error,
    },
}

/// Where the control socket of a state directory lies.
#[must_use]
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join("control.sock")
}

#[derive(Clone)]
pub(crate) struct Served {
    pub control: Arc<dyn Control>,
    leave: CancellationToken,
}

/// Serves until told to leave; `down` tells the whole daemon to leave, once all is down.
///
/// The caller holds the lock of the state directory, so a socket that is there already is a dead daemon's.
///
/// # Errors
/// When the socket cannot be opened.
pub async fn serve(path: PathBuf, control: Arc<dyn Control>, leave: CancellationToken) -> Result<(), ServeError> {
    let bytes = path.as_os_str().len();
    if bytes > SOCKET_PATH_BYTES_MAX {
        return Err(ServeError::PathTooLong { path, bytes });
    }
    let failed = |why| ServeError::Bind { path: path.clone(), why };
    match std::fs::remove_file(&path) {
        Ok(()) => {}
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
        Err(why) => return Err(failed(why)),
    }
    let listener = tokio::net::UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let served = axum::serve(listener, router(control, leave.clone()));
    // What streams has left the server by then; all else ends by itself.
    let ended = served.with_graceful_shutdown(leave.cancelled_owned()).await;
    // The daemon leaves: a socket that stays is removed by the next one.
    let _ = std::fs::remove_file(&path);
    ended.map_err(failed)
}

/// What answers requests, without a socket; `down` cancels `leave` once all is down.
pub fn router(control: Arc<dyn Control>, leave: CancellationToken) -> Router {
    let served = Served { control, leave };
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/apps/{app}/order", post(order))
        .route("/v1/apps/{app}/evidence", get(evidence))
        .route("/v1/apps/{app}/decisions", get(decisions))
        .route("/v1/apps/{app}/instances", get(instances))
        .route("/v1/logs", post(logs))
        .route("/v1/session", get(session::serve))
        .route("/v1/preview", post(preview))
        .route("/v1/prune/approve", post(approve_prune))
        .route("/v1/relist", post(relist))
        .route("/v1/down", post(down))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(served)
}

/// A refusal, as a status and a body that the client reads back.
struct Refused(ControlError);

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            ControlError::NoSuchApp(_) => StatusCode::NOT_FOUND,
            ControlError::Denied(_) => StatusCode::CONFLICT,
            ControlError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.0)).into_response()
    }
}

type Answer<T> = Result<Json<T>, Refused>;

fn named(text: &str) -> Result<AppName, Refused> {
    AppName::new(text).map_err(|why| Refused(ControlError::Denied(why.to_string())))
}

async fn status(State(served): State<Served>) -> Json<trueup_types::status::StatusDocument> {
    Json(served.control.status())
}

async fn order(
    State(served): State<Served>,
    UrlPath(app): UrlPath<String>,
    Json(given): Json<Given>,
) -> Answer<trueup_seams::Receipt> {
    let receipt = served.control.order(&named(&app)?, given.order, &given.by).await?;
    Ok(Json(receipt))
}

async fn evidence(
    State(served): State<Served>,
    UrlPath(app): UrlPath<String>,
) -> Answer<Vec<trueup_types::status::EvidenceFile>> {
    Ok(Json(served.control.evidence(&named(&app)?).await?))
}

async fn decisions(
    State(served): State<Served>,
    UrlPath(app): UrlPath<String>,
) -> Answer<Vec<trueup_types::decision::RecordedDecision>> {
    Ok(Json(served.control.decisions(&named(&app)?)?))
}

async fn instances(
    State(served): State<Served>,
    UrlPath(app): UrlPath<String>,
) -> Answer<Vec<(trueup_types::InstanceId, trueup_types::TargetName)>> {
    Ok(Json(served.control.instances(&named(&app)?)))
}

async fn logs(State(served): State<Served>, Json(asked): Json<LogsAsked>) -> Answer<Vec<trueup_seams::LogLine>> {
    Ok(Json(served.control.logs(&asked.target, &asked.query).await?))
}

async fn preview(
    State(served): State<Served>,
    Json(wanted): Json<Vec<DesiredApp>>,
) -> Answer<Vec<trueup_seams::AppPreview>> {
    Ok(Json(served.control.preview(wanted).await?))
}

async fn approve_prune(State(served): State<Served>, Json(who): Json<By>) -> Answer<Vec<AppName>> {
    Ok(Json(served.control.approve_prune(&who.by).await?))
}

async fn relist(State(served): State<Served>) -> Json<()> {
    served.control.relist();
    Json(())
}

async fn down(State(served): State<Served>, Json(who): Json<By>) -> Answer<()> {
    served.control.down(&who.by).await?;
    served.leave.cancel();
    Ok(Json(()))
}
