//! Waiting for a state: answered when it is reached, or with 408 when the time is up, which is a minute at most.

use std::time::Duration;

use serde_json::json;

use crate::call::{Answer, Call, Done, Refusal, ok};
use crate::cloud::Cloud;
use crate::machine::{Host, State};

/// The shortest and the longest wait, in seconds.
const SECONDS: (u64, u64) = (1, 60);
/// What may be waited for.
const STATES: [&str; 6] = ["started", "stopped", "suspended", "destroyed", "failed", "settled"];

impl Cloud {
    pub(crate) fn wait(&mut self, call: &Call) -> Answer {
        let asked = &call.asked;
        let words = asked.query.iter().filter(|(key, _)| key == "state").flat_map(|(_, value)| value.split(','));
        let mut wanted: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        if wanted.is_empty() {
            wanted.push("started");
        }
        let version = asked.param("version").or_else(|| asked.param("instance_id")).filter(|text| !text.is_empty());
        let seconds = read_seconds(call)?;
        if let Some(unknown) = wanted.iter().find(|word| !STATES.contains(*word)) {
            return Err(Refusal::new(400, format!("invalid_argument: invalid state '{unknown}'")));
        }
        if wanted == ["stopped"] && version.is_none() {
            return Err(Refusal::new(400, "invalid_argument: instance_id is required when waiting for stopped"));
        }
        let machine = self.machine(call.app(), call.machine())?;
        if let Some(version) = version
            && !machine.versions.iter().any(|known| known.id == version)
        {
            return Err(Refusal::new(400, format!("invalid_argument: machine version '{version}' not found")));
        }
        let current = version.is_none_or(|version| version == machine.instance);
        // An old version is `replaced`, which nobody can wait for.
        let word = if current { machine.state.word() } else { "replaced" };
        let last = machine.events.front().map(|event| event.id.clone()).unwrap_or_default();
        let new_enough = asked.param("from_event_id").is_none_or(|from| last.as_str() > from);
        let reached = wanted.contains(&word) || (wanted.contains(&"settled") && machine.state.rests());
        // A host that is not reached tells nobody how its machines are.
        if current && reached && new_enough && machine.host == Host::Ok {
            return ok(json!({"ok": true, "state": word, "version": machine.instance, "event_id": last}));
        }
        let until = call.began.after(Duration::from_secs(seconds));
        if self.now < until && machine.state != State::Destroyed {
            return Ok(Done::Later(until));
        }
        let wanted = wanted.join(",");
        Err(Refusal::new(
            408,
            format!("deadline_exceeded: machine failed to reach desired state, {wanted}, currently {word}"),
        ))
    }
}

fn read_seconds(call: &Call) -> Result<u64, Refusal> {
    let Some(text) = call.asked.param("timeout").filter(|text| !text.is_empty()) else { return Ok(SECONDS.1) };
    let number = text.strip_suffix('s').unwrap_or(text).parse::<u64>();
    let number = number.map_err(|_| Refusal::new(400, format!("invalid_argument: invalid timeout '{text}'")))?;
    Ok(number.clamp(SECONDS.0, SECONDS.1))
}
