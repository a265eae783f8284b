//! What an engine says of a container becomes a sighting: pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary};
use trueup_types::observed::{ExitWhy, Phase, Sighting};
use trueup_types::{Incarnation, Place, PortName, Timestamp};

use crate::health::{self, Asker};
use crate::labels::Written;
use crate::lower;
use crate::moment::{Clocks, WallMillis, nanos};

/// Characters of a container's id that tell it from all others of its engine.
const ID_CHARACTERS: usize = 12;
/// Exit code of a program that could not be started: it is not there, or may not be executed.
const NOT_STARTED: [i64; 2] = [126, 127];

/// What surrounds a container, beyond what the engine says of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Around {
    /// When its host came up.
    pub booted: Option<WallMillis>,
    /// When the engine could last not be reached: from, to.
    pub dark: Option<(WallMillis, WallMillis)>,
    /// When the engine came up, where it can be told.
    pub engine_up: Option<WallMillis>,
    /// What its first process said of a program that it could not start.
    pub not_started: Option<String>,
    /// Who asks what its image brings to be asked.
    pub asker: Asker,
}

/// Which life of a container this is.
pub(crate) fn incarnation(container: &ContainerInspectResponse) -> Incarnation {
    let id = container.id.as_deref().unwrap_or_default();
    let id = id.get(..ID_CHARACTERS).unwrap_or(id);
    let state = container.state.as_ref();
    let started = state.and_then(|state| nanos(state.started_at.as_deref()?)).unwrap_or(0);
    let failed = state.and_then(refusal).map_or("", |_| "-failed");
    Incarnation(format!("{id}-{started}{failed}").into())
}

/// Since when it is in its state, by the engine's clock.
pub(crate) fn since(container: &ContainerInspectResponse) -> Option<WallMillis> {
    let state = container.state.as_ref()?;
    let moment = if up(container) { &state.started_at } else { &state.finished_at };
    WallMillis::read(moment.as_deref())
}

/// Whether it is in the state that a listing says.
pub(crate) fn is_as_listed(container: &ContainerInspectResponse, entry: &ContainerSummary) -> bool {
    let status = container.state.as_ref().and_then(|state| state.status);
    status.map(|status| status.to_string()) == entry.state.map(|state| state.to_string())
}

/// Whether it may be running.
pub(crate) fn up(container: &ContainerInspectResponse) -> bool {
    use ContainerStateStatusEnum as Status;
    let status = container.state.as_ref().and_then(|state| state.status);
    match status {
        Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING) => true,
        Some(Status::CREATED | Status::REMOVING | Status::EXITED | Status::DEAD | Status::EMPTY) | None => false,
    }
}

/// Whether it has ended, and is no more than what is left of a life.
pub(crate) fn ended(container: &ContainerInspectResponse) -> bool {
    !up(container) && !unstarted(container)
}

/// Whether it was made and never started.
pub(crate) fn unstarted(container: &ContainerInspectResponse) -> bool {
    let status = container.state.as_ref().and_then(|state| state.status);
    matches!(status, Some(ContainerStateStatusEnum::CREATED))
}

/// Its exit code where that alone may mean that its program could not be started.
pub(crate) fn may_not_have_started(container: &ContainerInspectResponse) -> bool {
    let code = container.state.as_ref().and_then(|state| state.exit_code);
    !up(container) && code.is_some_and(|code| NOT_STARTED.contains(&code))
}

/// One container, as the driver sees it.
pub(crate) fn sighting(
    container: &ContainerInspectResponse,
    written: &Written,
    around: &Around,
    clocks: &Clocks,
) -> Sighting {
    let created = WallMillis::read(container.created.as_deref()).map_or(Timestamp::ZERO, |at| clocks.steady(at));
    let state = container.state.clone().unwrap_or_default();
    Sighting {
        id: written.id.clone(),
        incarnation: incarnation(container),
        release: written.digest,
        place: Place::here(),
        phase: phase(&state, created, around, clocks),
        addresses: addresses(container, written),
        checks: None,
        healthcheck: health::of(&state, around.asker, clocks).filter(|_| up(container)),
        created,
        template: written.release.clone(),
    }
}

fn phase(state: &ContainerState, created: Timestamp, around: &Around, clocks: &Clocks) -> Phase {
    use ContainerStateStatusEnum as Status;
    let at = |text: &Option<String>| WallMillis::read(text.as_deref()).map(|at| clocks.steady(at));
    let since = at(&state.started_at).unwrap_or(created);
    match state.status {
        Some(Status::RUNNING | Status::PAUSED) => Phase::Running { since },
        Some(Status::REMOVING | Status::STOPPING) => Phase::Vanishing { since },
        Some(Status::CREATED) => match refusal(state) {
            Some(detail) => Phase::Exited { code: None, at: created, why: ExitWhy::CannotStart { detail } },
            None => Phase::Created,
        },
        // What the engine is about to start again has ended as well: it counts, and nobody else starts it.
        Some(Status::RESTARTING | Status::EXITED | Status::DEAD | Status::EMPTY) | None => Phase::Exited {
            code: state.exit_code.and_then(|code| i32::try_from(code).ok()),
            at: at(&state.finished_at).unwrap_or(since),
            why: why(state, around),
        },
    }
}

/// Of whose doing its end is; whether it was told to go is known elsewhere.
fn why(state: &ContainerState, around: &Around) -> ExitWhy {
    if let Some(detail) = refusal(state).or_else(|| around.not_started.clone()) {
        return ExitWhy::CannotStart { detail };
    }
    let started = WallMillis::read(state.started_at.as_deref());
    let finished = WallMillis::read(state.finished_at.as_deref());
    let before_boot = started.zip(around.booted).is_some_and(|(started, booted)| started < booted);
    let with_the_engine =
        finished.zip(around.dark).is_some_and(|(finished, (from, to))| (from..=to).contains(&finished));
    let before_engine = finished.zip(around.engine_up).is_some_and(|(finished, up)| finished < up);
    // A host that goes down takes its containers with it, and so does an engine: that is no fault of theirs.
    if before_boot || with_the_engine || before_engine { ExitWhy::HostLost } else { ExitWhy::ByItself }
}

/// Why it can never be started as it is, where the engine has said so.
pub(crate) fn refusal(state: &ContainerState) -> Option<String> {
    let error = state.error.as_deref().filter(|error| !error.is_empty())?;
    never_starts(error).then(|| error.replace('\n', " "))
}

/// What engines say of a container that no second try would start; all else (a port, a network, no memory) may pass.
const NEVER: [&str; 6] = [
    "executable file not found",
    "executable file `",
    "exec format error",
    "unable to find user",
    "unable to find group",
    "no matching entries in",
];
/// What they say so of a program alone: of another file, it is the engine that lacks something.
const NEVER_OF_A_PROGRAM: [&str; 3] = ["permission denied", "no such file or directory", "is a directory"];

/// Whether an engine's words about a start mean that no second try would succeed.
pub(crate) fn never_starts(message: &str) -> bool {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    says(&NEVER) || (message.contains("exec: \"") && says(&NEVER_OF_A_PROGRAM))
}

fn addresses(
    container: &ContainerInspectResponse,
    written: &Written,
) -> std::collections::BTreeMap<PortName, SocketAddr> {
    let bound = container.network_settings.as_ref().and_then(|network| network.ports.as_ref());
    let (Some(bound), Some(release)) = (bound, &written.release) else { return std::collections::BTreeMap::new() };
    let address = |inside: &lower::Inside| {
        let binding = bound.get(&inside.key())?.as_ref()?.first()?;
        let port: u16 = binding.host_port.as_deref()?.parse().ok()?;
        let host = binding.host_ip.as_deref().and_then(|host| host.parse::<IpAddr>().ok());
        // Bound to all addresses, it is reached by the nearest one.
        let host = host.filter(|host| !host.is_unspecified()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Some((inside.name.clone(), SocketAddr::new(host, port)))
    };
    lower::ports(&release.template).iter().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trueup_types::ReleaseDigest;

    use super::*;

    fn clocks() -> Clocks {
        Clocks { now: Arc::new(|| Timestamp::from_millis(Clocks::wall().0)) }
    }

    /// What an engine says of a container, as JSON of its API.
    fn seen(state: &str, around: &Around) -> Sighting {
        let text = format!(r#"{{"Id": "0123456789abcdef", "Created": "2026-11-01T00:00:00Z", "State": {state}}}"#);
        let container: ContainerInspectResponse = serde_json::from_str(&text).expect("it is JSON");
        let id = "web-r1-0".parse().expect("a name");
        sighting(&container, &Written { id, digest: ReleaseDigest::of("x"), release: None }, around, &clocks())
    }

    fn told(state: &str, around: &Around) -> String {
        match seen(state, around).phase {
            Phase::Exited { code, why, .. } => format!("exited {code:?} {why:?}"),
            Phase::Running { .. } => "running".to_owned(),
            Phase::Vanishing { .. } => "vanishing".to_owned(),
            phase @ (Phase::Created | Phase::Starting | Phase::Asleep) => format!("{phase:?}").to_lowercase(),
        }
    }

    #[test]
    fn states_become_phases() {
        let around = Around::default();
        let started = r#""StartedAt": "2026-11-01T00:00:01Z", "FinishedAt": "2026-11-01T00:00:09Z""#;
        let state = |words: &str| told(&format!("{{{words}, {started}}}"), &around);
        assert_eq!(state(r#""Status": "running""#), "running");
        assert_eq!(state(r#""Status": "paused""#), "running");
        assert_eq!(state(r#""Status": "restarting", "ExitCode": 3"#), "exited Some(3) ByItself");
        assert_eq!(state(r#""Status": "removing""#), "vanishing");
        assert_eq!(state(r#""Status": "exited", "ExitCode": 137, "OOMKilled": true"#), "exited Some(137) ByItself");
        assert_eq!(told(r#"{"Status": "created"}"#, &around), "created");
        let busy = r#"{"Status": "created", "ExitCode": 128, "Error": "Bind for 127.0.0.1:1 failed: port is already allocated"}"#;
        assert_eq!(told(busy, &around), "created", "a port may come free");
        let never =
            r#"{"Status": "created", "ExitCode": 127, "Error": "exec: \"x\": executable file not found in $PATH"}"#;
        assert!(told(never, &around).starts_with("exited None CannotStart"), "{}", told(never, &around));
    }

    #[test]
    fn what_no_second_try_would_start_is_told_from_what_may_pass() {
        let never = [
            r#"OCI runtime create failed: exec: "nope": executable file not found in $PATH: unknown"#,
            r#"unable to start container process: exec: "/bin/nope": stat /bin/nope: no such file or directory: unknown"#,
            r#"unable to start container process: exec: "/etc/passwd": permission denied: unknown"#,
            "crun: executable file `nope` not found in $PATH: No such file or directory",
            "exec /bin/nope: exec format error",
            "unable to find user nobody2: no matching entries in passwd file",
        ];
        let later = [
            "driver failed programming external connectivity: Bind for 127.0.0.1:1 failed: port is already allocated",
            "listen tcp4 127.0.0.1:1: bind: address already in use",
            "network shared not found",
            "open /var/lib/docker/containers/0/hostname: no such file or directory",
            "mkdir /run/containerd: permission denied",
            "cannot allocate memory",
        ];
        assert!(never.iter().all(|words| never_starts(words)), "{never:?}");
        assert!(!later.iter().any(|words| never_starts(words)), "{later:?}");
    }

    #[test]
    fn what_ended_with_its_host_or_its_engine_is_no_fault_of_its_own() {
        let exited = r#"{"Status": "exited", "ExitCode": 255, "StartedAt": "2026-11-01T00:00:01Z", "FinishedAt": "2026-11-01T00:01:00Z"}"#;
        let at = |text| WallMillis::read(Some(text));
        let booted = |text| Around { booted: at(text), ..Around::default() };
        assert_eq!(told(exited, &booted("2026-11-01T00:00:00Z")), "exited Some(255) ByItself");
        assert_eq!(told(exited, &booted("2026-11-01T00:00:30Z")), "exited Some(255) HostLost", "another boot");
        let dark = |from, to| Around { dark: at(from).zip(at(to)), ..Around::default() };
        assert_eq!(told(exited, &dark("2026-11-01T00:00:50Z", "2026-11-01T00:01:10Z")), "exited Some(255) HostLost");
        assert_eq!(told(exited, &dark("2026-11-01T00:01:05Z", "2026-11-01T00:01:10Z")), "exited Some(255) ByItself");
        let up = |text| Around { engine_up: at(text), ..Around::default() };
        assert_eq!(
            told(exited, &up("2026-11-01T00:01:01Z")),
            "exited Some(255) HostLost",
            "another life of the engine"
        );
        assert_eq!(told(exited, &up("2026-11-01T00:00:59Z")), "exited Some(255) ByItself");
    }

    #[test]
    fn each_start_is_another_incarnation_and_so_is_one_that_failed() {
        let of = |state: &str| seen(state, &Around::default()).incarnation;
        let first = of(r#"{"Status": "running", "StartedAt": "2026-11-01T00:00:01.000000001Z"}"#);
        let ended = of(r#"{"Status": "exited", "StartedAt": "2026-11-01T00:00:01.000000001Z"}"#);
        let second = of(r#"{"Status": "running", "StartedAt": "2026-11-01T00:00:01.000000002Z"}"#);
        assert_eq!(first, ended);
        assert_ne!(first, second);
        let (created, failed) =
            (of(r#"{"Status": "created"}"#), of(r#"{"Status": "created", "Error": "exec format error"}"#));
        assert_ne!(created, failed);
    }

    #[test]
    fn a_listing_that_still_shows_one_up_is_no_mark_of_its_end() {
        let container = |status: &str| {
            let text = format!(r#"{{"Id": "ab", "State": {{"Status": "{status}"}}}}"#);
            serde_json::from_str::<ContainerInspectResponse>(&text).expect("it is JSON")
        };
        let entry: ContainerSummary = serde_json::from_str(r#"{"State": "running"}"#).expect("it is JSON");
        assert!(is_as_listed(&container("running"), &entry));
        assert!(!is_as_listed(&container("exited"), &entry));
    }
}
