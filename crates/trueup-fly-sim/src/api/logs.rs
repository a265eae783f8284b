//! What machines wrote, page by page.

use serde_json::json;

use crate::call::{Answer, Call, Refusal, ok};
use crate::cloud::Cloud;

/// Most lines of a page.
const PAGE: usize = 100;

impl Cloud {
    pub(crate) fn logs(&mut self, call: &Call) -> Answer {
        if !call.token.reads_logs() {
            return Err(Refusal::new(403, "You are not authorized to read logs of this app"));
        }
        let app = self.app(call.app())?;
        let fits =
            |name: &str, have: &str| call.asked.param(name).is_none_or(|wanted| wanted.is_empty() || wanted == have);
        let from: u64 = call.asked.param("next_token").and_then(|text| text.parse().ok()).unwrap_or(0);
        let behind = (app.first_line..).zip(&app.lines).skip_while(|(number, _)| *number < from);
        let mut lines = Vec::new();
        let mut next = from.max(app.first_line);
        for (number, line) in behind {
            if lines.len() == PAGE {
                break;
            }
            next = number + 1;
            if fits("instance", &line.machine) && fits("region", &line.region) {
                lines.push(json!({"id": number.to_string(), "type": "log", "attributes": {
                    "timestamp": line.at.rfc3339(), "message": line.message, "level": line.level,
                    "instance": line.machine, "region": line.region,
                    "meta": {"instance": line.machine, "region": line.region, "event": {"provider": "app"}},
                }}));
            }
        }
        ok(json!({"data": lines, "meta": {"next_token": next.to_string()}}))
    }
}
