//! What can go wrong with a call, sorted by what to do about it.

use std::time::Duration;

use serde_json::Value;
use trueup_seams::ObserveError;
use trueup_types::desired::Doubt;
use trueup_types::step::{Refusal, StepOutcome};

use crate::wire::{Lost, Reply};

/// How soon a step is tried again that could not be done just then.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How soon where a region has no room, or a host cannot be reached: that does not pass in seconds.
const LATER: Duration = Duration::from_secs(30);
/// Longest message of the platform's that is passed on, in characters.
const MESSAGE_MAX: usize = 400;
/// What an answer says, in `status`, where there is no room.
const NO_ROOM: &str = "insufficient_capacity";

/// Why a call did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The platform said no.
    Answer(Answer),
    /// Nothing was sent: it cannot be reached, or we may not ask yet, or we have no token.
    Unsent(String),
    /// It was sent, and nobody knows what came of it.
    Broken(String),
    /// It was sent, and not answered in time.
    Late(Duration),
}

/// What the platform said when it said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: u16,
    /// The machine-readable word; often there is none.
    pub code: String,
    pub message: String,
    /// What names it in the platform's own logs.
    pub request_id: Option<String>,
    pub retry_after: Option<Duration>,
}

impl Answer {
    /// Reads an answer that is no success, whatever it holds: JSON of several shapes, plain text, nothing.
    pub(crate) fn read(reply: &Reply) -> Self {
        let json: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        let word = |name: &str| json.get(name).and_then(Value::as_str).filter(|word| !word.is_empty());
        let raw = String::from_utf8_lossy(&reply.body);
        let message = word("message").or_else(|| word("error")).unwrap_or_else(|| raw.trim());
        let message: String = message.chars().take(MESSAGE_MAX).collect();
        Self {
            status: reply.status,
            code: word("status").unwrap_or_default().to_owned(),
            message: message.replace(['\n', '\r'], " "),
            request_id: reply.request_id.clone(),
            retry_after: reply.retry_after.map(Duration::from_secs),
        }
    }
}

impl From<Lost> for Fault {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Unsent(why) => Self::Unsent(why),
            Lost::Broken(why) => Self::Broken(why),
        }
    }
}

impl Fault {
    pub(crate) fn has_status(&self, wanted: u16) -> bool {
        matches!(self, Self::Answer(answer) if answer.status == wanted)
    }

    /// The platform says that there is no such thing.
    pub(crate) fn is_absence(&self) -> bool {
        self.has_status(404)
    }

    /// Somebody else holds the machine's lease; some answers say so with the status of another thing.
    pub(crate) fn is_leased(&self) -> bool {
        matches!(self, Self::Answer(answer)
            if matches!(answer.status, 409 | 412) && answer.message.contains("lease currently held"))
    }

    /// There is no room for it.
    pub(crate) fn is_no_room(&self) -> bool {
        let Self::Answer(answer) = self else { return false };
        let says = ["insufficient resources", "could not reserve resource", "temporarily disabled"];
        answer.code == NO_ROOM || says.iter().any(|words| answer.message.contains(words))
    }

    /// The same call may go well in a moment, and does no harm if it was done already.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Answer(answer) => matches!(answer.status, 408 | 429 | 500..=599),
            Self::Unsent(_) | Self::Broken(_) | Self::Late(_) => true,
        }
    }

    /// It was surely not done.
    pub(crate) fn is_undone(&self) -> bool {
        match self {
            Self::Answer(answer) => answer.status == 429,
            Self::Unsent(_) => true,
            Self::Broken(_) | Self::Late(_) => false,
        }
    }

    /// It may have been done all the same.
    pub(crate) fn is_unsure(&self) -> bool {
        match self {
            Self::Answer(answer) => matches!(answer.status, 408 | 500..=599),
            Self::Unsent(_) => false,
            Self::Broken(_) | Self::Late(_) => true,
        }
    }

    /// What comes of a step that met it. Who tells of a failure names the step; what only passes is told by itself.
    pub(crate) fn outcome(&self, what: &str) -> StepOutcome {
        let again = |after| StepOutcome::Retry { after, why: self.to_string() };
        let passes = |after| underway(after, format!("{what}: {self}"));
        match self {
            Self::Answer(_) if self.is_leased() => passes(RETRY_AFTER),
            Self::Answer(_) if self.is_no_room() => again(LATER),
            Self::Answer(answer) => match answer.status {
                429 => again(answer.retry_after.unwrap_or(RETRY_AFTER)),
                503 if answer.message.contains("unreachable") => again(LATER),
                401 | 403 => again(LATER),
                409 | 412 => passes(RETRY_AFTER),
                408 | 500..=599 => StepOutcome::Unknown { why: Doubt::OutcomeUnknown(self.to_string()) },
                _ => StepOutcome::Refused { why: Refusal::Invalid(self.to_string()) },
            },
            Self::Unsent(_) => again(RETRY_AFTER),
            Self::Broken(_) | Self::Late(_) => StepOutcome::Unknown { why: Doubt::OutcomeUnknown(self.to_string()) },
        }
    }
}

/// What passes by itself: no failure.
pub(crate) fn underway(after: Duration, why: String) -> StepOutcome {
    StepOutcome::Underway { after, why, said: Vec::new() }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answer(answer) => {
                write!(f, "{} {}", answer.status, answer.message)?;
                match &answer.request_id {
                    Some(id) => write!(f, " (request {id})"),
                    None => Ok(()),
                }
            }
            Self::Unsent(why) => write!(f, "not asked: {why}"),
            Self::Broken(why) => write!(f, "the connection broke off: {why}"),
            Self::Late(patience) => write!(f, "no answer in {} s", patience.as_secs()),
        }
    }
}

impl From<Fault> for ObserveError {
    fn from(fault: Fault) -> Self {
        Self { detail: fault.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Fault {
        let reply = Reply { status, request_id: Some("01J-iad".to_owned()), retry_after: None, body: body.into() };
        Fault::Answer(Answer::read(&reply))
    }

    #[test]
    fn errors_of_every_shape_are_read() {
        let shown = |status, body| answer(status, body).to_string();
        assert_eq!(shown(404, r#"{"error":"machine not found"}"#), "404 machine not found (request 01J-iad)");
        assert_eq!(shown(409, r#"{"status":"error","message":"held","error":"x"}"#), "409 held (request 01J-iad)");
        assert_eq!(shown(429, "slow down\n"), "429 slow down (request 01J-iad)");
        assert_eq!(shown(502, "<html>"), "502 <html> (request 01J-iad)");
    }

    /// Whoever tells of a failure has named the step already.
    #[test]
    fn what_fails_does_not_say_the_name_of_its_step() {
        let lease = r#"{"error":"machine ID x lease currently held by y, expires at z"}"#;
        for (fault, wanted) in [
            (answer(429, "slow down"), "429 slow down (request 01J-iad)"),
            (answer(500, "oh"), "500 oh (request 01J-iad)"),
            (answer(400, "bad"), "400 bad (request 01J-iad)"),
            (Fault::Late(Duration::from_secs(9)), "no answer in 9 s"),
            (
                answer(409, lease),
                "stop web-r1-0: 409 machine ID x lease currently held by y, expires at z (request 01J-iad)",
            ),
        ] {
            let said = match fault.outcome("stop web-r1-0") {
                StepOutcome::Retry { why, .. } | StepOutcome::Underway { why, .. } => why,
                StepOutcome::Refused { why } => why.to_string(),
                StepOutcome::Unknown { why: Doubt::OutcomeUnknown(why) } => why,
                other @ (StepOutcome::Done | StepOutcome::AlreadyTrue | StepOutcome::Unknown { .. }) => {
                    panic!("it is no success: {other:?}")
                }
            };
            assert_eq!(said, wanted);
        }
    }

    #[test]
    fn each_error_says_what_to_do() {
        let lease = r#"{"error":"machine ID x lease currently held by y, expires at z"}"#;
        let room = r#"{"error":"could not reserve resource for machine","status":"insufficient_capacity"}"#;
        let away = r#"{"error":"unavailable: the host of machine x is unreachable"}"#;
        let rows = [
            (answer(400, r#"{"error":"bad config"}"#), "never"),
            (answer(422, r#"{"error":"bad name"}"#), "never"),
            (answer(401, "{}"), "30s"),
            (answer(408, r#"{"error":"deadline_exceeded"}"#), "unsure"),
            (answer(409, lease), "passes in 2s"),
            (answer(412, lease), "passes in 2s"),
            (
                answer(
                    412,
                    r#"{"error":"failed_precondition: unable to start machine from current state: 'created'"}"#,
                ),
                "passes in 2s",
            ),
            (answer(412, room), "30s"),
            (answer(429, ""), "2s"),
            (answer(500, ""), "unsure"),
            (answer(503, away), "30s"),
            (Fault::Unsent("x".to_owned()), "2s"),
            (Fault::Broken("x".to_owned()), "unsure"),
            (Fault::Late(Duration::from_secs(9)), "unsure"),
        ];
        for (fault, wanted) in rows {
            let outcome = fault.outcome("create");
            let told = if let StepOutcome::Retry { after, .. } = &outcome {
                format!("{}s", after.as_secs())
            } else if let StepOutcome::Underway { after, .. } = &outcome {
                format!("passes in {}s", after.as_secs())
            } else if let StepOutcome::Refused { .. } = &outcome {
                "never".to_owned()
            } else {
                assert!(matches!(outcome, StepOutcome::Unknown { .. }), "a fault is no success: {outcome:?}");
                "unsure".to_owned()
            };
            assert_eq!(told, wanted, "{fault}");
        }
    }
}
