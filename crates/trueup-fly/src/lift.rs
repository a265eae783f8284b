//! What the platform says of a machine becomes a sighting: pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trueup_types::observed::{ExitWhy, Health, Phase, Sighting};
use trueup_types::probe::Check;
use trueup_types::template::AutostopMode;
use trueup_types::{Incarnation, Place, PortName, Release, ReleaseDigest, Timestamp};

use crate::api::{Event, Machine};
use crate::checks;
use crate::drift;
use crate::labels::{self, Written};
use crate::lower::{self, lower};
use crate::memory::Asked;
use crate::moment::{Clocks, WallMillis};

/// A host that cannot be asked for less than this is not given up: its machines may well serve.
pub(crate) const HOST_GRACE: Duration = Duration::from_secs(60);

/// Longest that a stop takes which the platform has heard: the longest grace that it gives a program, and its own time.
const STOPS_WITHIN: Duration = Duration::from_secs(360);

/// What surrounds a machine, beyond what the platform says of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Around {
    /// What we told this life of it.
    pub asked: Option<Asked>,
    /// Whether this life of it was stopped by us for the time of a bake.
    pub naps: bool,
    /// Since when its host cannot be asked.
    pub unreached_since: Option<WallMillis>,
    /// When it started last, where its events no longer say.
    pub started: Option<u64>,
    /// What its checks came to before.
    pub health: Option<Health>,
    /// Whether nobody has ever seen it pass them.
    pub unproven: bool,
}

/// When it started last, in milliseconds since 1970. What is done to a running machine is noted with its state, too: not
/// all that says `started` is a start.
pub(crate) fn started(machine: &Machine) -> Option<u64> {
    let kinds = ["start", "restart", "launch", "update"];
    let starts = |event: &&Event| event.status == "started" && kinds.contains(&event.kind.as_str());
    machine.events().iter().find(starts).map(|event| event.timestamp)
}

/// Which life of a machine this is: its id, a dash, and when it started. `trueup get instances` reads the id off it.
pub(crate) fn incarnation(machine: &Machine, known: Option<u64>) -> Incarnation {
    let started = started(machine).or(known).unwrap_or(0);
    Incarnation(format!("{}-{started}", machine.id).into())
}

/// Whether it may be running.
pub(crate) fn up(machine: &Machine) -> bool {
    !matches!(
        machine.state.as_str(),
        "stopped" | "suspended" | "failed" | "launch_failed" | "destroying" | "destroyed" | "replaced" | "migrated"
    )
}

/// What a machine's config says that it is.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// The whole release, where it can be read.
    pub release: Option<Arc<Release>>,
    /// The digest on its label, where it is still what that says; else one of its own, so that it is nobody's release.
    pub digest: ReleaseDigest,
}

impl Made {
    /// Reads it.
    pub(crate) fn of(machine: &Machine, written: &Written) -> Self {
        let release = labels::release(&machine.config, written);
        Self { digest: digest(machine, written, release.as_ref()), release }
    }
}

/// One machine, as the driver sees it.
pub(crate) fn sighting(
    machine: &Machine,
    written: &Written,
    made: &Made,
    around: &Around,
    clocks: &Clocks,
) -> Sighting {
    let release = made.release.clone();
    let created = machine.created().map_or(Timestamp::ZERO, |at| clocks.steady(at));
    let phase = phase(machine, release.as_deref(), around, clocks, created);
    let phase = if around.unproven { woken(machine, release.as_deref(), phase) } else { phase };
    let checks = match &phase {
        Phase::Running { since } => release.as_ref().and_then(|release| {
            checks::health(machine, &release.template.health, *since, around.health.as_ref(), clocks)
        }),
        Phase::Created | Phase::Starting | Phase::Asleep | Phase::Exited { .. } | Phase::Vanishing { .. } => None,
    };
    Sighting {
        id: written.id.clone(),
        incarnation: incarnation(machine, around.started),
        release: made.digest,
        place: Place::new(&machine.region).unwrap_or_else(|_| Place::here()),
        phase,
        addresses: addresses(machine, release.as_deref()),
        checks,
        healthcheck: None,
        created,
        template: release,
    }
}

fn digest(machine: &Machine, written: &Written, release: Option<&Arc<Release>>) -> ReleaseDigest {
    if machine.config.is_null() {
        return written.digest;
    }
    let image = machine.config.get("image").and_then(Value::as_str).unwrap_or_default();
    let other_image = !written.image.is_empty() && written.image != image;
    let altered = match release.filter(|_| written.same_lowering) {
        Some(release) => lower(release, &written.id).ok().and_then(|made| {
            let made = serde_json::to_value(made).expect("our own types always become JSON");
            drift::altered(&made, &machine.config)
        }),
        None => other_image.then(|| "image".to_owned()),
    };
    match altered {
        None => written.digest,
        Some(field) => {
            tracing::debug!(machine = machine.id, instance = %written.id, field, "altered behind our back");
            ReleaseDigest::of(&("altered", &machine.instance_id))
        }
    }
}

fn phase(machine: &Machine, release: Option<&Release>, around: &Around, clocks: &Clocks, created: Timestamp) -> Phase {
    let steady = |millis: u64| clocks.steady(WallMillis(millis));
    let since = started(machine).or(around.started).map_or(created, steady);
    let lost = around.unreached_since.filter(|since| (clocks.wall)() >= since.after(HOST_GRACE));
    if let Some(lost) = lost {
        return Phase::Exited { code: None, at: clocks.steady(lost), why: ExitWhy::HostLost };
    }
    let asked = around.asked.as_ref();
    let going = || Phase::Vanishing { since: clocks.steady(asked.map_or_else(|| machine.updated(), |asked| asked.at)) };
    // One that runs on long after it was heard has not been stopped, whatever was said.
    let goes = asked.is_some_and(|asked| asked.heard && (clocks.wall)() < asked.at.after(STOPS_WITHIN));
    let naps = release.and_then(|release| release.template.autostop.as_ref());
    let naps = around.naps || naps.is_some_and(|autostop| autostop.mode != AutostopMode::Off);
    let naps = naps && around.asked.is_none();
    match machine.state.as_str() {
        "started" if goes => going(),
        "started" => Phase::Running { since },
        "stopping" | "suspending" if naps => Phase::Asleep,
        "stopping" | "suspending" | "destroying" | "destroyed" => going(),
        "suspended" if around.asked.is_none() => Phase::Asleep,
        "stopped" | "suspended" => stopped(machine, around, clocks, naps, since),
        "failed" | "launch_failed" => Phase::Exited {
            code: None,
            at: clocks.steady(machine.updated()),
            why: ExitWhy::CannotStart { detail: why_failed(machine) },
        },
        // `created`, `starting`, `replacing`, and whatever word comes next: it is on its way, or will say otherwise.
        _ => Phase::Starting,
    }
}

/// Who sleeps counts as well, and that takes having been well: one that was put to sleep before it has passed its checks is
/// no evidence for its release, and is to be started as one that was only made.
fn woken(machine: &Machine, release: Option<&Release>, phase: Phase) -> Phase {
    let checked = release
        .is_some_and(|release| release.template.health.iter().any(|probe| !matches!(probe.check, Check::Exec { .. })));
    match phase {
        Phase::Asleep if checked && up(machine) => Phase::Starting,
        Phase::Asleep if checked => Phase::Created,
        phase @ (Phase::Created
        | Phase::Starting
        | Phase::Running { .. }
        | Phase::Asleep
        | Phase::Exited { .. }
        | Phase::Vanishing { .. }) => phase,
    }
}

/// What a machine that is down is.
fn stopped(machine: &Machine, around: &Around, clocks: &Clocks, naps: bool, since: Timestamp) -> Phase {
    let Some(event) = last_exit(machine) else {
        return match (started(machine).or(around.started), naps) {
            (None, _) => Phase::Created,
            (Some(_), true) => Phase::Asleep,
            (Some(_), false) if around.asked.is_some() => {
                Phase::Exited { code: None, at: clocks.steady(machine.updated()), why: ExitWhy::Asked }
            }
            // It went without a word, as with its host.
            (Some(_), false) => {
                Phase::Exited { code: None, at: clocks.steady(machine.updated()), why: ExitWhy::HostLost }
            }
        };
    };
    let exit = event.exit().unwrap_or(&Value::Null);
    let requested = exit.get("requested_stop").and_then(Value::as_bool).unwrap_or(false);
    if requested && naps {
        return Phase::Asleep;
    }
    let at = exit.get("exited_at").and_then(WallMillis::read_either).unwrap_or(WallMillis(event.timestamp));
    let code = |name: &str| exit.get(name).and_then(Value::as_i64).and_then(|code| i32::try_from(code).ok());
    let signal = code("guest_signal").filter(|signal| *signal > 0).map(|signal| 128 + signal);
    let why = if requested || around.asked.is_some() { ExitWhy::Asked } else { ExitWhy::ByItself };
    let code = code("exit_code").filter(|code| *code >= 0).or(signal).or_else(|| code("guest_exit_code"));
    Phase::Exited { code, at: clocks.steady(at).max(since), why }
}

/// How its program ended, where that was after its last start.
fn last_exit(machine: &Machine) -> Option<&Event> {
    let events = machine.events();
    let exit = events.iter().position(|event| event.kind == "exit" && event.exit().is_some())?;
    let start = events.iter().position(|event| event.status == "started" && event.kind == "start");
    start.is_none_or(|start| exit < start).then(|| &events[exit])
}

/// In words, why a machine never came up.
fn why_failed(machine: &Machine) -> String {
    let image = machine.config.get("image").and_then(Value::as_str).unwrap_or("its image");
    let told = machine.events().iter().find_map(|event| event.request.get("error")?.as_str());
    match told {
        Some(error) => format!("the platform could not launch {image}: {error}"),
        None => format!("the platform could not launch {image}; most often it cannot be pulled"),
    }
}

/// Where its ports answer, on the organisation's private network.
fn addresses(machine: &Machine, release: Option<&Release>) -> BTreeMap<PortName, SocketAddr> {
    let (Ok(ip), Some(release)) = (machine.private_ip.parse::<IpAddr>(), release) else { return BTreeMap::new() };
    let ports = lower::ports(&release.template);
    ports.into_iter().map(|port| (port.name, SocketAddr::new(ip, port.number))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trueup_sim::AppSketch;
    use trueup_types::Revision;
    use trueup_types::template::Autostop;

    use super::*;

    /// The moment it is: a hundred seconds after all began.
    const NOW: u64 = 1_787_270_500_000;

    fn clocks() -> Clocks {
        Clocks { now: Arc::new(|| Timestamp::from_millis(200_000)), wall: Arc::new(|| WallMillis(NOW)) }
    }

    fn written() -> Written {
        let digest = AppSketch::web("web").release(Revision(1)).digest;
        Written { id: "web-r1-0".parse().expect("a name"), digest, image: "a:1".to_owned(), same_lowering: false }
    }

    /// A machine in a state, with what happened to it so many seconds ago, newest first.
    fn machine(state: &str, events: &serde_json::Value) -> Machine {
        let events: Vec<_> = events
            .as_array()
            .into_iter()
            .flatten()
            .map(|event| {
                let ago = event[1].as_u64().unwrap_or(0);
                let (kind, status) = event[0].as_str().and_then(|text| text.split_once('/')).expect("kind/status");
                json!({"type": kind, "status": status, "timestamp": NOW - ago * 1_000, "request": event[2]})
            })
            .collect();
        let value = json!({"id": "0123456789abcd", "state": state, "region": "fra", "config": {"image": "a:1"},
            "created_at": "2026-08-21T00:00:00Z", "updated_at": "2026-08-21T00:01:00Z", "events": events});
        serde_json::from_value(value).expect("it is a machine")
    }

    fn told(machine: &Machine, release: Option<Release>, around: &Around) -> String {
        let made = Made { release: release.map(Arc::new), digest: written().digest };
        match sighting(machine, &written(), &made, around, &clocks()).phase {
            Phase::Exited { code, at, why } => format!("exited {code:?} at {} {why:?}", at.as_millis() / 1_000),
            Phase::Running { since } => format!("running since {}", since.as_millis() / 1_000),
            Phase::Vanishing { .. } => "vanishing".to_owned(),
            phase @ (Phase::Created | Phase::Starting | Phase::Asleep) => format!("{phase:?}").to_lowercase(),
        }
    }

    fn naps() -> Release {
        let mut sketch = AppSketch::web("web");
        sketch.template.autostop = Some(Autostop { mode: AutostopMode::Stop, min_running: 0 });
        sketch.release(Revision(1))
    }

    #[test]
    fn states_and_events_become_phases() {
        let exit = |requested: bool, code: i32| {
            json!({"exit_event": {"exit_code": code, "requested_stop": requested,
            "guest_signal": -1, "exited_at": "2026-08-21T00:01:30.000Z"}})
        };
        let up = json!(["start/started", 90]);
        let none = Around::default();
        let rows = [
            ("created", json!([["launch/created", 90]]), "starting"),
            ("starting", json!([]), "starting"),
            ("replacing", json!([up]), "starting"),
            ("some-new-word", json!([up]), "starting"),
            ("started", json!([["cordon/started", 5], up]), "running since 110"),
            (
                "started",
                json!([["uncordon/started", 5], ["start/started", 20], ["exit/stopped", 21, exit(false, 1)], up]),
                "running since 180",
            ),
            ("stopping", json!([up]), "vanishing"),
            ("destroying", json!([up]), "vanishing"),
            ("suspended", json!([up]), "asleep"),
            ("stopped", json!([]), "created"),
            ("stopped", json!([["exit/stopped", 10, exit(false, 137)], up]), "exited Some(137) at 190 ByItself"),
            ("stopped", json!([["exit/stopped", 10, exit(true, 0)], up]), "exited Some(0) at 190 Asked"),
            (
                "stopped",
                json!([["exit/stopped", 10, {"MonitorEvent": exit(false, 3)}], up]),
                "exited Some(3) at 190 ByItself",
            ),
            ("stopped", json!([up]), "exited None at 160 HostLost"),
            (
                "failed",
                json!([]),
                "exited None at 160 CannotStart { detail: \"the platform could not launch a:1; most often it cannot be pulled\" }",
            ),
        ];
        for (state, events, wanted) in rows {
            assert_eq!(told(&machine(state, &events), None, &none), wanted, "{state} {events}");
        }
    }

    #[test]
    fn who_asked_decides_what_an_end_is() {
        let exit = json!({"exit_event": {"exit_code": 0, "requested_stop": true}});
        let ended = machine("stopped", &json!([["exit/stopped", 10, exit], ["start/started", 90]]));
        let asked = |heard: bool, ago: u64| Around {
            asked: Some(Asked { life: Incarnation("x".into()), at: WallMillis(NOW - ago * 1_000), heard }),
            ..Around::default()
        };
        assert_eq!(told(&ended, Some(naps()), &Around::default()), "asleep", "the platform lets it nap");
        assert_eq!(told(&ended, Some(naps()), &asked(true, 12)), "exited Some(0) at 190 Asked", "we told it to go");
        let up = machine("started", &json!([["start/started", 90]]));
        assert_eq!(told(&up, None, &asked(true, 3)), "vanishing");
        assert_eq!(told(&up, None, &asked(false, 3)), "running since 110", "nobody heard: it is told again");
        assert_eq!(told(&up, None, &asked(true, 400)), "running since 110", "it was heard and never stopped");
    }

    #[test]
    fn a_host_that_cannot_be_asked_is_given_up_after_a_while() {
        let up = machine("started", &json!([["start/started", 90]]));
        let since = |ago: u64| Around { unreached_since: Some(WallMillis(NOW - ago * 1_000)), ..Around::default() };
        assert_eq!(told(&up, None, &since(59)), "running since 110");
        assert_eq!(told(&up, None, &since(60)), "exited None at 140 HostLost");
    }

    #[test]
    fn each_start_is_another_life() {
        let life = |events: serde_json::Value| incarnation(&machine("started", &events), Some(7)).to_string();
        let first = life(json!([["start/started", 90]]));
        assert_eq!(first, life(json!([["cordon/started", 5], ["exit/stopped", 6], ["start/started", 90]])));
        assert_ne!(first, life(json!([["start/started", 20], ["start/started", 90]])));
        assert_eq!(life(json!([])), "0123456789abcd-7", "what its events no longer say is remembered");
    }
}
