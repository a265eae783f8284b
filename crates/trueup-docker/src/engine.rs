//! One call to the engine: connected when it is needed, given a deadline, and told apart when it fails.

use std::sync::Mutex;
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use trueup_host::spelled;
use trueup_seams::ObserveError;
use trueup_types::Doubt;
use trueup_types::docker::{Address, DockerSpec};
use trueup_types::step::{Refusal, StepOutcome};

use crate::health::Asker;

/// Longest a call may take that only looks, or that writes a little. They take milliseconds; a loaded engine, seconds.
pub(crate) const QUICK: Duration = Duration::from_secs(10);
/// Longest a start may take: within the driver's patience with a step.
pub(crate) const START: Duration = Duration::from_secs(20);
/// The client's own deadline, in seconds: beyond every one of ours, so that ours decide.
const CLIENT_SECONDS: u64 = 24 * 60 * 60;
/// When something that an engine could not do is tried again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What podman calls itself.
const PODMAN: &str = "Podman Engine";

/// An engine behind a socket or a port.
pub(crate) struct Engine {
    /// As manifests spell it.
    address: String,
    /// Connected and agreed on a version; forgotten when a connection breaks, as another engine may come up.
    client: Mutex<Option<Docker>>,
    /// Who asks what images bring to be asked, as far as its last answer told.
    asker: Mutex<Asker>,
}

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The engine said no.
    Answer { status: u16, message: String },
    /// Nothing reached it, or it did not understand: nothing was done.
    Unreachable(String),
    /// It broke off, and nobody knows what was done.
    Broken(String),
    /// No answer in time, and nobody knows what was done.
    Late(Duration),
}

impl Engine {
    pub(crate) fn new(address: Address<'_>) -> Self {
        Self { address: address.to_string(), client: Mutex::new(None), asker: Mutex::default() }
    }

    /// A client that has agreed on a version with the engine.
    pub(crate) async fn client(&self) -> Result<Docker, Fault> {
        if let Some(client) = self.client.lock().expect("no holder panics").clone() {
            return Ok(client);
        }
        let shown = self.address.trim_start_matches(DockerSpec::SCHEME);
        let unreachable = |error: Error| Fault::Unreachable(format!("{shown}: {}", spelled(&error)));
        let client = if self.address.starts_with(DockerSpec::TCP) {
            Docker::connect_with_http(&self.address, CLIENT_SECONDS, API_DEFAULT_VERSION)
        } else {
            Docker::connect_with_unix(&self.address, CLIENT_SECONDS, API_DEFAULT_VERSION)
        };
        let client = client.map_err(unreachable)?;
        let agreed = tokio::time::timeout(QUICK, client.negotiate_version()).await;
        let client = agreed.map_err(|_| Fault::Unreachable(format!("{shown} does not answer")))?;
        let client = client.map_err(unreachable)?;
        let version = self.look(client.version()).await?;
        let mut parts = version.components.iter().flatten();
        let asker = if parts.any(|part| part.name == PODMAN) { Asker::Perhaps } else { Asker::Engine };
        *self.asker.lock().expect("no holder panics") = asker;
        *self.client.lock().expect("no holder panics") = Some(client.clone());
        Ok(client)
    }

    /// Who asks what images bring to be asked.
    pub(crate) fn asker(&self) -> Asker {
        *self.asker.lock().expect("no holder panics")
    }

    /// Waits for an answer, at most so long.
    pub(crate) async fn within<T>(
        &self,
        patience: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Fault> {
        let fault = match tokio::time::timeout(patience, call).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Fault::of(&error),
            Err(_) => Fault::Late(patience),
        };
        match &fault {
            // Another engine has come up, of another version than the one that we agreed with.
            Fault::Answer { message, .. } if message.contains("client version") => self.forget(),
            Fault::Answer { .. } | Fault::Late(_) => {}
            Fault::Unreachable(_) | Fault::Broken(_) => self.forget(),
        }
        Err(fault)
    }

    /// The same for a call that only looks: whatever an engine says to it, but that there is no such thing, is no verdict
    /// on what is to be done.
    pub(crate) async fn look<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
        self.within(QUICK, call).await.map_err(|fault| match fault {
            Fault::Answer { status, message } if status != 404 => Fault::Unreachable(message),
            other @ (Fault::Answer { .. } | Fault::Unreachable(_) | Fault::Broken(_) | Fault::Late(_)) => other,
        })
    }

    /// Connects and agrees anew with the next call.
    pub(crate) fn forget(&self) {
        *self.client.lock().expect("no holder panics") = None;
    }
}

impl Fault {
    /// What a client's error is.
    pub(crate) fn of(error: &Error) -> Self {
        if let Error::DockerResponseServerError { status_code, message } = error {
            return Self::Answer { status: *status_code, message: message.trim().to_owned() };
        }
        // An answer that began well and then said no, within the stream.
        if let Error::DockerStreamError { error } = error {
            return Self::Answer { status: 500, message: error.trim().to_owned() };
        }
        let refused = matches!(error, Error::HyperLegacyError { err } if err.is_connect());
        let nothing_sent = refused || matches!(error, Error::SocketNotFoundError(_));
        if nothing_sent { Self::Unreachable(spelled(error)) } else { Self::Broken(spelled(error)) }
    }

    /// Whether the engine said that there is no such thing.
    pub(crate) fn is_absence(&self) -> bool {
        self.has_status(404)
    }

    /// Whether the engine spoke of a state that it only passes through: podman calls a container `stopped` from its end
    /// until it has been cleaned up, which is no word of the API.
    pub(crate) fn is_of_passage(&self) -> bool {
        matches!(self, Self::Broken(why) if why.contains("unknown variant `stopped`"))
    }

    pub(crate) fn has_status(&self, wanted: u16) -> bool {
        matches!(self, Self::Answer { status, .. } if *status == wanted)
    }

    /// What comes of a step that met it: a refusal where the engine says that the request is wrong, and honest
    /// ignorance where nobody knows what was done.
    pub(crate) fn outcome(&self, what: &str) -> StepOutcome {
        match self {
            Self::Answer { status: 400..=499, message } => {
                StepOutcome::Refused { why: Refusal::Invalid(format!("{what}: {message}")) }
            }
            Self::Answer { .. } | Self::Unreachable(_) => {
                StepOutcome::Retry { after: RETRY_AFTER, why: format!("{what}: {self}") }
            }
            Self::Broken(_) | Self::Late(_) => {
                StepOutcome::Unknown { why: Doubt::OutcomeUnknown(format!("{what}: {self}")) }
            }
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answer { message, .. } => f.write_str(message),
            Self::Unreachable(why) => write!(f, "the engine is not to be asked: {why}"),
            Self::Broken(why) => write!(f, "the engine broke off: {why}"),
            Self::Late(patience) => write!(f, "no answer from the engine in {} s", patience.as_secs()),
        }
    }
}

impl From<Fault> for ObserveError {
    fn from(fault: Fault) -> Self {
        Self { detail: fault.to_string() }
    }
}
