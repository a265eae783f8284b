//! What is asked of the simulation and not of the platform: everything below `/_sim/`, without a token.
//!
//! | request | does |
//! |---|---|
//! | `GET /_sim` | what there is |
//! | `POST /_sim/clock` `{"by": "30s"}` | turns the clock ahead |
//! | `POST /_sim/deeds` | does one thing, or a list of things |
//! | `GET /_sim/calls` | how often each operation was asked for |
//! | `GET /_sim/traffic/{app}` | who could answer its requests, moment by moment |

use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Asked, Refusal, Reply};
use crate::deed::Deed;
use crate::sim::FlySim;
use crate::time::Span;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    by: Span,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Deeds {
    Many(Vec<Value>),
    One(Value),
}

impl FlySim {
    /// Answers what is about the simulation itself; `None` for all else.
    pub(crate) fn administer(&self, asked: &Asked) -> Option<Reply> {
        let rest = asked.path.strip_prefix("/_sim")?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let parts: Vec<_> = rest.split('/').filter(|part| !part.is_empty()).collect();
        let answer = match (asked.method.as_str(), parts.as_slice()) {
            ("GET", []) => Ok(self.inventory()),
            ("GET", ["clock"]) => Ok(json!({"now": self.now().rfc3339()})),
            ("POST", ["clock"]) => self.turn(asked),
            ("POST", ["deeds"]) => self.do_all(asked),
            ("GET", ["calls"]) => Ok(json!(self.calls())),
            ("GET", ["traffic", app]) => Ok(self.shown_traffic(app)),
            _ => Err(Refusal::new(404, "the simulation knows no such request")),
        };
        Some(answer.map_or_else(Refusal::into_reply, |value| Reply::json(200, value)))
    }

    fn turn(&self, asked: &Asked) -> Result<Value, Refusal> {
        let turn: Turn = serde_json::from_value(asked.read()?).map_err(|why| Refusal::new(400, why.to_string()))?;
        self.advance(turn.by.0);
        Ok(json!({"now": self.now().rfc3339()}))
    }

    fn do_all(&self, asked: &Asked) -> Result<Value, Refusal> {
        let bad = |why: serde_json::Error| Refusal::new(400, format!("no deed: {why}"));
        let deeds = match serde_json::from_value(asked.read()?).map_err(bad)? {
            Deeds::Many(deeds) => deeds,
            Deeds::One(deed) => vec![deed],
        };
        let deeds: Result<Vec<Deed>, _> = deeds.into_iter().map(serde_json::from_value).collect();
        Ok(deeds.map_err(bad)?.into_iter().map(|deed| self.carry_out(deed)).collect())
    }

    fn shown_traffic(&self, app: &str) -> Value {
        let row = |traffic: &crate::app::Traffic| json!({"since": traffic.since.rfc3339(), "healthy": traffic.healthy, "blind": traffic.blind});
        self.traffic(app).iter().map(row).collect()
    }
}
