//! A machine: what it is, what became of it, and what it is about to become.
//!
//! Data only; [`crate::life`] moves it from state to state.

use std::collections::VecDeque;

use serde_json::Value;

use crate::config::Config;
use crate::time::Moment;

/// Most events that are kept of one machine.
const EVENTS_MAX: usize = 200;
/// Most versions that are kept of one machine.
const VERSIONS_MAX: usize = 50;
/// How many looks into the past of a machine are kept, for lists that lag.
const PAST_MAX: usize = 64;

/// Where a machine stands; the platform may add words at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Created,
    Starting,
    Started,
    Stopping,
    Stopped,
    Suspending,
    Suspended,
    Restarting,
    Replacing,
    Failed,
    LaunchFailed,
    Destroying,
    Destroyed,
}

impl State {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Suspending => "suspending",
            Self::Suspended => "suspended",
            Self::Restarting => "restarting",
            Self::Replacing => "replacing",
            Self::Failed => "failed",
            Self::LaunchFailed => "launch_failed",
            Self::Destroying => "destroying",
            Self::Destroyed => "destroyed",
        }
    }

    /// Whether it stays there by itself.
    pub(crate) const fn rests(self) -> bool {
        matches!(self, Self::Started | Self::Stopped | Self::Suspended | Self::Failed | Self::Destroyed)
    }
}

/// Whether its host can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Host {
    /// It can.
    Ok,
    /// Nobody knows.
    Unknown,
    /// It cannot.
    Unreachable,
}

impl Host {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A config under its own id.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub id: String,
    pub config: Config,
}

/// An entry of the log of what happened to a machine.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub id: String,
    pub kind: &'static str,
    pub status: &'static str,
    pub source: &'static str,
    pub at: Moment,
    pub request: Value,
}

/// The right to change a machine, held by one.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub nonce: String,
    pub expires: Moment,
    pub owner: String,
    pub description: String,
    pub version: String,
}

/// What a check last said.
#[derive(Debug, Clone)]
pub(crate) struct CheckResult {
    pub name: String,
    pub passing: bool,
    pub output: String,
    pub changed: Moment,
    /// Whether the proxy heeds it.
    pub heeded: bool,
}

/// How it was at a moment.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    pub since: Moment,
    pub state: State,
    pub version: String,
}

/// What happens to a machine next; in each state at most one thing is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Its image is there, or is not to be had.
    Prepared,
    /// Its program runs.
    Booted,
    /// Its program has ended, as asked.
    Halted,
    /// Its memory is on disk.
    Asleep,
    /// Its program has ended, and is to start again.
    Turned,
    /// The old version has ended.
    Unseated,
    /// What was read for a moment is over: the new image is pulled.
    Pulling,
    /// The new version is in its place, or cannot be.
    Installed,
    /// Its program ends by itself.
    Exits,
    /// It starts again after it ended.
    Again,
    /// It is gone.
    Erased,
    /// Nobody knows it any more.
    Forgotten,
}

/// What an update goes back to, and whether it starts anything.
#[derive(Debug, Clone)]
pub(crate) struct Replacing {
    pub old: String,
    pub launches: bool,
    /// It ran before.
    pub ran: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub id: String,
    pub app: String,
    pub name: String,
    pub region: String,
    pub private_ip: String,
    pub state: State,
    pub host: Host,
    pub created: Moment,
    pub updated: Moment,
    /// Oldest first; the one of [`Self::instance`] counts.
    pub versions: Vec<Version>,
    pub instance: String,
    pub events: VecDeque<Event>,
    pub checks: Vec<CheckResult>,
    pub lease: Option<Lease>,
    pub cordoned: bool,
    pub skip_launch: bool,
    pub replacing: Option<Replacing>,
    /// Whether the stop was asked for by a person, as its exit will say.
    pub requested_stop: bool,
    pub killed: bool,
    /// It wakes with the memory that it had, and does not start anew.
    pub wakes: bool,
    /// A process of this host is its program.
    pub running: bool,
    /// What that process is still to be sent.
    pub signals: Vec<String>,
    /// What is due belongs to this number; anything older is void.
    pub ticket: u64,
    /// How often it has started.
    pub boots: u32,
    /// How often its program was started again after it had ended.
    pub restarts: u32,
    /// When those were, within the window.
    pub crashes: VecDeque<Moment>,
    pub since: Moment,
    /// The version of the app's secrets that its host has to know at least.
    pub secrets_least: u64,
    /// What its program was given when it started.
    pub env: std::collections::BTreeMap<String, String>,
    /// Overrides how its checks go.
    pub health: Option<crate::knobs::Health>,
    pub last_request: Moment,
    pub forgotten: bool,
    pub past: VecDeque<Past>,
    /// What the proxy was last told, and what each edge believes.
    pub offered: bool,
    pub believed: Vec<bool>,
}

impl Machine {
    /// The version that counts.
    pub(crate) fn version(&self) -> &Version {
        let found = self.versions.iter().rev().find(|version| version.id == self.instance);
        found.expect("the version that counts is never dropped")
    }

    pub(crate) fn config(&self) -> &Config {
        &self.version().config
    }

    pub(crate) fn config_mut(&mut self) -> &mut Config {
        let instance = &self.instance;
        let found = self.versions.iter_mut().rev().find(|version| version.id == *instance);
        &mut found.expect("the version that counts is never dropped").config
    }

    /// Keeps a version; the oldest that does not count goes where there are too many.
    pub(crate) fn keep(&mut self, version: Version) {
        self.versions.push(version);
        if self.versions.len() > VERSIONS_MAX {
            let spared = self.replacing.as_ref().map(|replacing| replacing.old.clone());
            let instance = self.instance.clone();
            let goes = |version: &Version| version.id != instance && Some(&version.id) != spared.as_ref();
            if let Some(at) = self.versions.iter().position(goes) {
                self.versions.remove(at);
            }
        }
    }

    pub(crate) fn log(&mut self, event: Event) {
        self.updated = event.at;
        self.events.push_front(event);
        self.events.truncate(EVENTS_MAX);
    }

    /// Into another state, remembering the one it was in.
    pub(crate) fn enter(&mut self, state: State, now: Moment) {
        self.state = state;
        self.since = now;
        self.updated = now;
        self.past.push_back(Past { since: now, state, version: self.instance.clone() });
        if self.past.len() > PAST_MAX {
            self.past.pop_front();
        }
    }

    /// How it stood at a moment; `None` before it was.
    pub(crate) fn at(&self, moment: Moment) -> Option<&Past> {
        self.past.iter().rev().find(|past| past.since <= moment)
    }

    /// The lease, while it is held.
    pub(crate) fn held(&self, now: Moment) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.expires > now)
    }

    /// Whether its program would answer a request.
    pub(crate) fn answers(&self) -> bool {
        let failing = self.checks.iter().any(|check| check.heeded && !check.passing);
        let awaited = self.checks.is_empty() && crate::checks::heeds_any(&self.config().acted);
        self.state == State::Started && self.host == Host::Ok && !failing && !awaited
    }

    /// Whether the proxy should send it requests.
    pub(crate) fn deserves(&self) -> bool {
        !self.cordoned && !self.config().acted.services.is_empty() && self.answers()
    }
}
