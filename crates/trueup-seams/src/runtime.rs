//! What a runtime and an ingress promise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use trueup_types::observed::Sighting;
use trueup_types::route::{RouteTable, TableSight};
use trueup_types::step::{StepOutcome, TargetStep};
use trueup_types::{AppName, Certificate, InstanceId, Place, Release, Revision, Route, Timestamp};

use crate::BoxFuture;
use crate::session::{self, Session, SessionAsked};

/// Longest that a command may run which a person asked for and is not at.
const ALONE: Duration = Duration::from_secs(3_600);

/// A place where instances live.
pub trait Runtime: Send + Sync {
    /// Everything on this target that carries our owner label, place by place.
    ///
    /// Partial sight of a place is that place's error: a listing cut short is never a shorter listing.
    fn survey(&self) -> BoxFuture<'_, Survey>;

    /// Does one step, or finds it already done. Safe to repeat, at any moment, by a daemon that has forgotten all.
    ///
    /// Does not wait for health, nor for a stop to end. A timeout is [`StepOutcome::Unknown`].
    fn apply<'a>(&'a self, step: &'a TargetStep) -> BoxFuture<'a, StepOutcome>;

    /// Takes away what stands around an app here, once no instance of it is left and none is to come: what the platform
    /// calls an app, its addresses, its certificates. Never its disks. Safe to repeat.
    ///
    /// Called until it is `Done` or `AlreadyTrue`; the app is remembered until then.
    fn retire<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, StepOutcome> {
        // Most targets have nothing around an app.
        let _ = app;
        Box::pin(async { StepOutcome::AlreadyTrue })
    }

    /// Says which releases of an app may be needed again: what was brought here for another one of it may go. A hint, told
    /// when something of the app has been removed; does not wait.
    fn keep<'a>(&'a self, app: &'a AppName, releases: &'a [Arc<Release>]) -> BoxFuture<'a, ()> {
        // Most targets bring nothing that would stay behind.
        let _ = (app, releases);
        Box::pin(std::future::ready(()))
    }

    /// Which release of an app is coming, or is watched after everything went to it. Told after each tick; does not wait.
    fn watch(&self, app: &AppName, watch: Watch) {
        // Most targets see nothing that the driver does not ask for.
        let _ = (app, watch);
    }

    /// Whether a release was begun with the very image that a name means. Answers soon, be it with ignorance.
    fn alike<'a>(&'a self, release: &'a Release, image: &'a str, asking: Asking) -> BoxFuture<'a, Likeness> {
        // Most targets have no images.
        let _ = (release, image, asking);
        Box::pin(std::future::ready(Likeness::Unknown))
    }

    /// What fetches the very image that a name means at this moment, a digest; nothing where names of images mean nothing here.
    ///
    /// # Errors
    /// One line, where it cannot be told.
    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<Option<String>, ObserveError>> {
        let _ = image;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// What takes long here at this moment, such as a pull: for whoever stands beside the daemon.
    fn underway(&self) -> Vec<Underway> {
        // Most targets have it at once, or not at all.
        Vec::new()
    }

    /// What an app is called here, where its platform has a name of its own for it and that name is known.
    fn called(&self, app: &AppName) -> Option<String> {
        let _ = app;
        None
    }

    /// Which ways in an app is to have here. Told after each tick; does not wait.
    fn names(&self, app: &AppName, routes: &[Route]) {
        // Most targets have names of nobody to care for.
        let _ = (app, routes);
    }

    /// How it stands with the certificates of the names of an app, in the order of their hosts.
    fn certificates(&self, app: &AppName) -> Vec<Certificate> {
        let _ = app;
        Vec::new()
    }
}

/// How an app's rollout stands, as far as a target may care.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Watch {
    /// None is under way.
    #[default]
    Nobody,
    /// This one is coming; others serve, or none does.
    Coming(Revision),
    /// Everything goes to this one, and it is judged.
    Baking(Revision),
}

/// Something that takes long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Underway {
    /// What it is, the same as long as it goes on: `pulling web:1`.
    pub what: String,
    /// How far it is, one line.
    pub told: String,
    /// How many bytes of how many are done, where both are known.
    pub bytes: Option<(u64, u64)>,
}

/// For what it is asked whether two images are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// To act on it: the answer is kept, and given again wherever the name leads later.
    ForGood,
    /// To show it: nothing is kept.
    ToShow,
}

/// Whether two images are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// They are.
    Same {
        /// Whether that was found out just now, and not an earlier time.
        anew: bool,
    },
    /// They are not.
    Other,
    /// It cannot be told.
    Unknown,
}

/// What a survey saw, place by place.
pub type Survey = BTreeMap<Place, Result<Sight, ObserveError>>;

/// What is in one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// All instances of ours, in any order.
    pub instances: Vec<Sighting>,
}

/// Why a place could not be seen, or not wholly: one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObserveError {
    /// What went wrong.
    pub detail: String,
}

impl std::fmt::Display for ObserveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for ObserveError {}

/// What brings requests to instances.
pub trait Ingress: Send + Sync {
    /// The live table, and what is in flight.
    fn observe(&self) -> BoxFuture<'_, Result<TableSight, ObserveError>>;

    /// Makes a whole table true; an older generation than the live one is `Refused(Superseded)`.
    fn apply<'a>(&'a self, table: &'a RouteTable) -> BoxFuture<'a, StepOutcome>;
}

/// A look inside, for people and for exec probes.
pub trait Inspect: Send + Sync {
    /// Lines that an instance wrote, oldest first.
    fn logs<'a>(&'a self, query: &'a LogQuery) -> BoxFuture<'a, Result<Vec<LogLine>, ObserveError>>;

    /// Runs a command as the instance's user, in its directory and environment; killed after `timeout`.
    fn exec<'a>(
        &'a self,
        instance: &'a InstanceId,
        command: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput, ObserveError>>;

    /// The same with somebody at it. Where a target cannot do that, a command runs with nobody at it, and what it said is
    /// shown at its end.
    fn attach<'a>(&'a self, asked: &'a SessionAsked) -> BoxFuture<'a, Result<Session, ObserveError>> {
        Box::pin(async move {
            if asked.stdin || asked.terminal.is_some() {
                let detail = "on this target nobody can be at a command: leave out -i and -t".to_owned();
                return Err(ObserveError { detail });
            }
            self.exec(&asked.instance, &asked.command, ALONE).await.map(session::over)
        })
    }
}

/// Which log lines.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogQuery {
    /// Of which instance.
    pub instance: InstanceId,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// At most so many, the newest.
    pub lines_max: usize,
    /// Of the incarnation before this one.
    pub previous: bool,
    /// Only what lies behind this position, for following; positions come with each line.
    pub after: Option<u64>,
}

/// One line that an instance wrote.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// When, where it is known to a second or better.
    pub at: Option<Timestamp>,
    /// Its position: grows within one incarnation.
    pub position: u64,
    /// The text, without its line end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// What a command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code; 128 + signal for a signal; `None` when it was killed at its timeout.
    pub code: Option<i32>,
    /// Standard output and standard error, at most 64 KiB together.
    pub output: String,
}

/// Hints that something may have changed. Correctness never depends on them.
pub trait Nudges: Send + Sync {
    /// Calls `sink` with each hint from here on, until the runtime is dropped.
    fn listen(&self, sink: NudgeSink);
}

/// Where hints go; cheap, and never blocks.
pub type NudgeSink = Arc<dyn Fn(Nudge) + Send + Sync>;

/// What may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nudge {
    /// Something of this app.
    App(AppName),
    /// Anything.
    All,
}
