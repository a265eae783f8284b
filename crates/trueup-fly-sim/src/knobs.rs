//! What can be set: how long things take, what is late, who may ask, how images behave. A scenario is all of it in one file.
//!
//! The binary reads YAML and hands over a [`Scenario`]; tests build one. [`crate::deed`] has what can be done on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::deed::{Deed, Planned};
use crate::faults::Rule;
use crate::time::Span;

/// A whole simulated platform, as a file describes it.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scenario {
    /// What all names are drawn from.
    pub seed: u64,
    /// The organisations; `personal` where none is named.
    pub orgs: Vec<String>,
    /// Who may ask; every token may where none is named.
    pub tokens: Vec<Token>,
    /// The regions; a short list of real ones where none is named.
    pub regions: Vec<String>,
    /// How long things take.
    pub latency: Latency,
    /// What is seen late.
    pub lag: Lag,
    /// How often one may ask.
    pub limits: Limits,
    /// How long after a change each edge of the proxy acts upon it.
    pub edges: Edges,
    /// What the platform may do in either of two ways.
    pub habits: Habits,
    /// How images behave; the first that matches counts.
    pub images: Vec<Behaviour>,
    /// What goes wrong with requests.
    pub faults: Vec<Rule>,
    /// What happens by itself, and when.
    pub timeline: Vec<Planned>,
    /// What is done before anybody asks.
    pub first: Vec<Deed>,
}

/// A token that is known.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    /// As it is sent, without its scheme.
    pub token: String,
    /// Whose apps it is about.
    #[serde(default = "personal")]
    pub org: String,
    /// The one app it is good for, where it is a deploy token.
    #[serde(default)]
    pub app: Option<String>,
    /// Whether it may read logs.
    #[serde(default = "yes")]
    pub logs: bool,
}

fn personal() -> String {
    "personal".to_owned()
}

fn yes() -> bool {
    true
}

/// How long things take.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Latency {
    /// `created` until the image is there.
    pub pull: Span,
    /// `starting` until `started`.
    pub boot: Span,
    /// `stopping` until the program has ended, where its image says nothing.
    pub stop: Span,
    /// `suspending` until `suspended`.
    pub suspend: Span,
    /// `destroying` until `destroyed`.
    pub destroy: Span,
    /// `destroyed` until nobody knows it.
    pub linger: Span,
    /// How long an updated machine reads `stopped` between two versions.
    pub glimpse: Span,
    /// From the end of a program to its next start.
    pub restart: Span,
    /// How long after `stopped` the host still refuses to start.
    pub settle: Span,
    /// `started` until the first results of checks are there.
    pub checks: Span,
    /// Between two runs of a check that names no interval.
    pub interval: Span,
    /// How long until an asked-for certificate is there; never where the DNS is to be proven.
    pub certificate: Option<Span>,
    /// How long a started machine of a service with autostop may go unasked; for ever where nothing is said.
    pub idle: Option<Span>,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            pull: Span::millis(3_000),
            boot: Span::millis(1_000),
            stop: Span::millis(500),
            suspend: Span::millis(1_000),
            destroy: Span::millis(1_000),
            linger: Span::millis(10_000),
            glimpse: Span::millis(200),
            restart: Span::millis(1_000),
            settle: Span::millis(500),
            checks: Span::millis(500),
            interval: Span::millis(15_000),
            certificate: Some(Span::millis(30_000)),
            idle: None,
        }
    }
}

/// What is seen late.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lag {
    /// A machine that was just created is not found by its id.
    pub machine: Span,
    /// An app that was just created is not found.
    pub app: Span,
    /// A list shows what was.
    pub list: Span,
    /// The list of an organisation shows what was.
    pub org: Span,
    /// A host hears of an app's secrets, but of a version that it is told to wait for.
    pub secrets: Span,
}

impl Default for Lag {
    fn default() -> Self {
        let none = Span::default();
        Self { machine: none, app: none, list: none, org: Span::millis(1_000), secrets: none }
    }
}

/// How often one may ask.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Whether anybody counts.
    pub enforced: bool,
    /// Each action on each machine or app: so many a second.
    pub per_second: f64,
    /// And so many at once.
    pub burst: f64,
    /// Reading one machine: so many a second.
    pub reads_per_second: f64,
    /// And so many at once.
    pub reads_burst: f64,
    /// Apps deleted in a minute.
    pub app_deletes_per_minute: f64,
    /// What `Retry-After` says; the header is not sent where nothing is said.
    pub retry_after: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enforced: true,
            per_second: 1.0,
            burst: 3.0,
            reads_per_second: 5.0,
            reads_burst: 10.0,
            app_deletes_per_minute: 100.0,
            retry_after: None,
        }
    }
}

/// How long after a change each edge of the proxy acts upon it.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Edges(pub Vec<Span>);

impl Default for Edges {
    fn default() -> Self {
        Self(vec![Span::millis(1_000), Span::millis(3_000), Span::millis(5_000)])
    }
}

/// What the platform was seen doing in either of two ways.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Habits {
    /// An update of a machine that did not run starts it, as the documentation says; it stays stopped otherwise.
    pub update_launches_stopped: bool,
    /// The status of a mutation that another's lease forbids: 409, some say 412.
    pub leased_status: u16,
    /// The status of a create for which no host has room.
    pub capacity_status: u16,
    /// What an app that was just made, and is not known yet, is answered with: 404 or 401.
    pub new_app_status: u16,
    /// A 429 carries JSON, and no plain text.
    pub limit_json: bool,
    /// The times of exit events are numbers, as they once were.
    pub exited_at_millis: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            update_launches_stopped: false,
            leased_status: 409,
            capacity_status: 412,
            new_app_status: 404,
            limit_json: false,
            exited_at_millis: false,
        }
    }
}

/// How machines of an image behave.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Behaviour {
    /// Which images: `*` stands for anything.
    pub image: String,
    /// Only where the environment has all of these.
    pub env: BTreeMap<String, String>,
    /// How long the pull takes.
    pub pull: Option<Span>,
    /// It cannot be pulled.
    pub unpullable: Option<Unpullable>,
    /// How long the start takes.
    pub boot: Option<Span>,
    /// How long the program takes to stop when asked; it is killed where that is too long.
    pub stop: Option<Span>,
    /// How its checks go.
    pub health: Health,
    /// It ends by itself.
    pub exits: Option<Exits>,
    /// What it writes when it starts.
    pub prints: Vec<String>,
    /// What its commands answer; the first that matches counts.
    pub exec: Vec<Ran>,
    /// With which status it answers the world, where no process of this host does.
    pub answers: u16,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            image: "*".to_owned(),
            env: BTreeMap::new(),
            pull: None,
            unpullable: None,
            boot: None,
            stop: None,
            health: Health::Passes,
            exits: None,
            prints: Vec::new(),
            exec: Vec::new(),
            answers: 200,
        }
    }
}

/// What becomes of a machine whose image cannot be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unpullable {
    /// It is `failed`, and stays.
    Failed,
    /// It is `launch_failed`, and then destroyed.
    Vanishes,
}

/// How checks go, from the moment a machine has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// They pass, once their grace is over.
    Passes,
    /// They never do.
    Never,
    /// They fail so long, then pass.
    PassesAfter(Span),
    /// They pass so long, then fail.
    FailsAfter(Span),
    /// They pass and fail by turns.
    Flaps {
        /// So long they pass.
        up: Span,
        /// So long they fail.
        down: Span,
    },
}

impl Health {
    /// Whether they pass so long after the start.
    pub(crate) fn good(self, age: Duration) -> bool {
        match self {
            Self::Passes => true,
            Self::Never => false,
            Self::PassesAfter(span) => age >= span.0,
            Self::FailsAfter(span) => age < span.0,
            Self::Flaps { up, down } => {
                let round = (up.0 + down.0).as_millis().max(1);
                age.as_millis() % round < up.0.as_millis()
            }
        }
    }

    /// Whether they may still turn, so long after the start.
    pub(crate) fn may_turn(self, age: Duration) -> bool {
        match self {
            Self::Passes | Self::Never => false,
            Self::PassesAfter(span) | Self::FailsAfter(span) => age < span.0,
            Self::Flaps { .. } => true,
        }
    }
}

/// A program that ends by itself.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Exits {
    /// So long after it has started.
    pub after: Span,
    /// With this code.
    pub code: i32,
    /// Because the memory was used up.
    pub oom: bool,
    /// Only the first so many starts; all, where nothing is said.
    pub times: Option<u32>,
}

impl Default for Exits {
    fn default() -> Self {
        Self { after: Span::millis(1_000), code: 1, oom: false, times: None }
    }
}

/// What a command answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ran {
    /// What the command contains.
    pub command: String,
    /// Its exit code.
    pub code: i32,
    /// What it wrote.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// Whether a text fits a pattern, in which `*` stands for anything.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in [("*", ""), ("*", "a/b:1"), ("*/shop:*", "r/shop:v2"), ("a*c", "abc"), ("abc", "abc")] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("*/shop", "r/shop:v2"), ("a*c", "abd"), ("ab*ba", "aba")] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }
}
