//! What goes wrong with requests: rules that are asked in order, each with what it is about and how often.

use serde::Deserialize;

use crate::call::Call;
use crate::ids::Dice;
use crate::knobs::fits;
use crate::time::Span;

/// When a request goes wrong, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Which operations, by their id in the specification: `Machines_create`, `Machines_*`, `*`; or [`Rule::REQUEST`].
    pub operation: String,
    /// Only of this app.
    #[serde(default)]
    pub app: Option<String>,
    /// Only of this machine.
    #[serde(default)]
    pub machine: Option<String>,
    /// How often; for ever where nothing is said.
    #[serde(default)]
    pub times: Option<u32>,
    /// How many go well before.
    #[serde(default)]
    pub skip: u32,
    /// How likely, in a thousand.
    #[serde(default = "always")]
    pub permille: u16,
    /// What goes wrong.
    pub fault: Fault,
}

impl Rule {
    /// A request of the world for an app itself, in place of an operation.
    pub const REQUEST: &str = "App_request";
}

fn always() -> u16 {
    1_000
}

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// Nothing is done, and this is answered.
    Answers(Said),
    /// It is done, and this is answered.
    CommitsThenAnswers(Said),
    /// Nothing is done, and the connection is cut.
    Cut,
    /// It is done, and the connection is cut.
    CommitsThenCut,
    /// It is done so much later than it came.
    Delays(Span),
    /// It is done, and answered so much later.
    CommitsThenDelays(Span),
    /// Nothing is done, and nothing is ever answered.
    Hangs,
    /// It is done, and nothing is ever answered.
    CommitsThenHangs,
}

/// A wrong answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Said {
    /// Its status.
    pub status: u16,
    /// What stands in its `error`; the usual words where nothing is said.
    #[serde(default)]
    pub error: Option<String>,
    /// Plain text in place of JSON.
    #[serde(default)]
    pub text: Option<String>,
    /// What `Retry-After` says.
    #[serde(default)]
    pub retry_after: Option<u32>,
}

impl Said {
    /// Only this status, with the usual words.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, error: None, text: None, retry_after: None }
    }

    pub(crate) fn reply(&self) -> crate::call::Reply {
        use crate::call::{Body, Reply};
        let usual = match self.status {
            408 => "deadline_exceeded: context deadline exceeded",
            429 => "rate limit exceeded",
            503 => "unavailable: upstream connect error",
            _ => "unknown: internal error",
        };
        let body = match (&self.text, &self.error) {
            (Some(text), _) => Body::Text(text.clone()),
            (None, error) => Body::Json(serde_json::json!({"error": error.as_deref().unwrap_or(usual)})),
        };
        let headers = self.retry_after.map(|seconds| ("retry-after", seconds.to_string())).into_iter().collect();
        Reply { status: self.status, headers, body }
    }
}

/// The rules that are in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
}

impl Faults {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    pub(crate) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// What goes wrong with this call.
    pub(crate) fn draw(&mut self, action: &str, call: &Call, dice: &mut Dice) -> Option<Fault> {
        self.draw_for(action, (call.name("app"), call.name("machine")), dice)
    }

    /// What goes wrong with something that is about this app and this machine.
    pub(crate) fn draw_for(&mut self, action: &str, (app, machine): (&str, &str), dice: &mut Dice) -> Option<Fault> {
        let about = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        for rule in &mut self.rules {
            // What the world asks is no operation: it is named, or left alone.
            let meant = fits(&rule.operation, action) && (action != Rule::REQUEST || rule.operation == action);
            if !meant || !about(&rule.app, app) || !about(&rule.machine, machine) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.times == Some(0) || (rule.permille < 1_000 && !dice.happens(rule.permille)) {
                continue;
            }
            rule.times = rule.times.map(|times| times - 1);
            return Some(rule.fault.clone());
        }
        None
    }
}
