//! What an image's own HEALTHCHECK says of a container becomes a health: pure.
//!
//! An engine asks by itself, in the container, as the image says; this only reads what it found. It is one more source
//! beside the probes, which are asked from elsewhere.

use bollard::models::{ContainerState, Health as Found, HealthStatusEnum as Status, HealthcheckResult};
use trueup_types::observed::ProbeFailure;
use trueup_types::{Health, Label, Timestamp};

use crate::moment::{Clocks, WallMillis};

/// What it is called among the probes.
const NAME: &str = "healthcheck";
/// Most of its output that is kept as evidence, in bytes: as much as of a probe's.
const BODY_BYTES_MAX: usize = 1_024;

/// Who runs the checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The engine itself, always.
    #[default]
    Engine,
    /// A timer of systemd's, where there is one: podman has no process of its own that could. What was never asked is `starting`
    /// for ever then.
    Perhaps,
}

/// What the image's check says; nothing where it has none, or where nobody may have asked it.
pub(crate) fn of(state: &ContainerState, asker: Asker, clocks: &Clocks) -> Option<Health> {
    let found = state.health.as_ref()?;
    let log = found.log.as_deref().unwrap_or_default();
    let started = WallMillis::read(state.started_at.as_deref()).map_or(Timestamp::ZERO, |at| clocks.steady(at));
    match (found.status?, asker) {
        (Status::EMPTY | Status::NONE, _) | (Status::STARTING, Asker::Perhaps) => None,
        (Status::STARTING, Asker::Engine) => Some(Health::Waiting),
        (Status::HEALTHY, _) => Some(Health::Passing { since: since(log, well, clocks).unwrap_or(started) }),
        (Status::UNHEALTHY, _) => {
            let since = since(log, |one| !well(one), clocks).unwrap_or(started);
            Some(Health::Failed { since, last: failure(found, log, since, clocks) })
        }
    }
}

fn well(one: &HealthcheckResult) -> bool {
    one.exit_code == Some(0)
}

/// When the run of answers of one kind began that the log ends with; an engine keeps the last five.
fn since(log: &[HealthcheckResult], alike: impl Fn(&HealthcheckResult) -> bool, clocks: &Clocks) -> Option<Timestamp> {
    let run = log.iter().rev().take_while(|one| alike(one));
    run.filter_map(|one| ended(one, clocks)).last()
}

fn ended(one: &HealthcheckResult, clocks: &Clocks) -> Option<Timestamp> {
    WallMillis::read(one.end.as_deref()).map(|at| clocks.steady(at))
}

fn failure(found: &Found, log: &[HealthcheckResult], since: Timestamp, clocks: &Clocks) -> ProbeFailure {
    let last = log.iter().rev().find(|one| !well(one));
    let code = last.and_then(|one| one.exit_code);
    let detail = match code {
        // What docker writes where it gave up waiting, or could not ask.
        Some(-1) | None => "the image's own check gave no answer".to_owned(),
        Some(code) => format!("the image's own check ended with {code}"),
    };
    let times =
        found.failing_streak.filter(|times| *times > 1).map_or_else(String::new, |times| format!(", {times} times"));
    let mut body = last.and_then(|one| one.output.clone()).unwrap_or_default();
    body.truncate(body.floor_char_boundary(BODY_BYTES_MAX));
    ProbeFailure {
        probe: Label::new(NAME).expect("a literal name"),
        at: last.and_then(|one| ended(one, clocks)).unwrap_or(since),
        detail: detail + &times,
        status: None,
        body: body.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn found(health: &str, asker: Asker) -> Option<Health> {
        let state = format!(r#"{{"Status": "running", "StartedAt": "2026-01-01T00:00:00Z", "Health": {health}}}"#);
        let state = serde_json::from_str(&state).expect("it is a state");
        // Steady time is the wall clock's here.
        let clocks = Clocks { now: Arc::new(|| Timestamp::from_millis(Clocks::wall().0)) };
        of(&state, asker, &clocks)
    }

    fn log(entries: &[(u8, i64)]) -> String {
        let one = |(second, code): &(u8, i64)| {
            let at = format!("2026-01-01T00:01:{second:02}Z");
            format!(r#"{{"Start": "{at}", "End": "{at}", "ExitCode": {code}, "Output": "said at {second}\n"}}"#)
        };
        entries.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// Of steady time both sides of a look are told to a millisecond or so.
    fn second(at: Timestamp) -> u64 {
        (at.as_millis() + 500) / 1_000 % 60
    }

    #[test]
    fn none_has_no_opinion_and_who_may_never_be_asked_neither() {
        assert_eq!(found("null", Asker::Engine), None);
        assert_eq!(found(r#"{"Status": "none"}"#, Asker::Engine), None);
        assert_eq!(found(r#"{"Status": ""}"#, Asker::Perhaps), None);
        assert_eq!(found(r#"{"Status": "starting", "Log": null}"#, Asker::Engine), Some(Health::Waiting));
        assert_eq!(found(r#"{"Status": "starting", "Log": []}"#, Asker::Perhaps), None);
    }

    #[test]
    fn healthy_passes_since_its_checks_began_to_pass() {
        let health = format!(r#"{{"Status": "healthy", "Log": [{}]}}"#, log(&[(1, 1), (2, 0), (3, 0)]));
        for asker in [Asker::Engine, Asker::Perhaps] {
            let Some(Health::Passing { since }) = found(&health, asker) else { panic!("it passes") };
            assert_eq!(second(since), 2);
        }
    }

    #[test]
    fn unhealthy_fails_and_says_what_the_check_said() {
        let entries = log(&[(1, 0), (2, 1), (3, 7)]);
        let health = format!(r#"{{"Status": "unhealthy", "FailingStreak": 3, "Log": [{entries}]}}"#);
        let Some(Health::Failed { since, last }) = found(&health, Asker::Perhaps) else { panic!("it fails") };
        assert_eq!((second(since), second(last.at)), (2, 3));
        assert_eq!((last.probe.as_str(), last.body.as_str()), ("healthcheck", "said at 3"));
        assert_eq!(last.detail, "the image's own check ended with 7, 3 times");
        let silent = found(r#"{"Status": "unhealthy", "FailingStreak": 1, "Log": []}"#, Asker::Engine);
        let Some(Health::Failed { last, .. }) = silent else { panic!("it fails") };
        assert_eq!(last.detail, "the image's own check gave no answer");
    }
}
