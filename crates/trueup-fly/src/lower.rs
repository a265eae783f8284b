//! A release becomes a machine's config: pure, and snapshot-tested.
//!
//! What comes of it is the same for the same release for ever, since what is there is held against it ([`crate::drift`]);
//! whoever changes it raises [`LOWERING`], so that what an older daemon made is not taken for altered. Volumes and labels
//! are put on it by the runtime, which knows ids and owners.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use trueup_types::fly::Guest as Size;
use trueup_types::probe::{Check as Question, Probe};
use trueup_types::template::{AutostopMode, ConcurrencyKind, CpuKind, Protocol, RestartPolicy};
use trueup_types::{InstanceId, PortName, Release, Template};

use crate::config::{
    Check, Concurrency, Dns, File, Guest, Init, MachineConfig, Restart, Service, ServicePort, StopConfig, go,
};

/// The version of what this module makes of a release.
pub(crate) const LOWERING: u32 = 1;
/// Where a machine carries the release that it was made for. It is a file, since nobody says how long a label may be.
pub const RELEASE_PATH: &str = "/.trueup/release.json";
/// The first number given to a port that names none.
const PORT_FIRST: u16 = 8_080;
/// Longest time that a program may take to stop (reference: Machines API, `stop_config`).
const STOP_MAX: Duration = Duration::from_secs(300);
/// Shortest interval of a check (flyctl's validation refuses shorter ones).
const INTERVAL_MIN: Duration = Duration::from_secs(2);
/// Longest interval, timeout and grace of a check: the platform cuts what is longer.
const CHECK_MAX: Duration = Duration::from_secs(60);
/// Shortest grace of a check that has any.
const GRACE_MIN: Duration = Duration::from_secs(1);
/// What the platform keeps for itself among the names of variables.
pub(crate) const RESERVED: &str = "FLY_";

/// One port of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inside {
    pub name: PortName,
    pub number: u16,
    pub protocol: Protocol,
}

/// The ports of a machine: those that name no number get one from 8080 upward that no other has.
pub(crate) fn ports(template: &Template) -> Vec<Inside> {
    let fixed: Vec<u16> = template.ports.iter().filter_map(|port| port.port).collect();
    let mut free = (PORT_FIRST..).filter(|number| !fixed.contains(number));
    let inside = template.ports.iter().map(|port| Inside {
        name: port.name.clone(),
        number: port.port.filter(|port| *port != 0).or_else(|| free.next()).unwrap_or(PORT_FIRST),
        protocol: port.protocol,
    });
    inside.collect()
}

/// The config of a machine that is an instance of a release, without labels and volumes.
///
/// # Errors
/// What the release asks for that Fly's machines do not have, in words.
pub fn lower(release: &Release, id: &InstanceId) -> Result<MachineConfig, String> {
    let template = &release.template;
    let image = template.image.as_deref().ok_or("it names no image")?;
    let image = release.inputs.images.get(image).map_or_else(|| image.to_owned(), |digest| pinned(image, digest));
    let size = Size::of(&template.resources).map_err(|wrong| format!("{}; {}", wrong.message, wrong.help))?;
    let ports = ports(template);
    let hook = id.task.is_some();
    Ok(MachineConfig {
        image,
        env: environment(id, release, if hook { &[] } else { &ports })?,
        init: init(id, release),
        guest: Some(guest(&size)),
        metadata: BTreeMap::new(),
        mounts: Vec::new(),
        services: if hook { Vec::new() } else { services(release, &ports)? },
        checks: if hook { BTreeMap::new() } else { checks(template, &ports)? },
        restart: Some(restart(template, hook)),
        stop_config: Some(StopConfig {
            signal: template.stop.signal.clone(),
            timeout: go(template.stop.timeout.min(STOP_MAX)),
        }),
        files: files(release),
        // What runs a hook is reached by nobody, by no name.
        dns: hook.then_some(Dns { skip_registration: true }),
    })
}

/// An image by its digest; the tag stays, for people.
fn pinned(image: &str, digest: &str) -> String {
    if image.contains('@') || !digest.starts_with("sha256:") { image.to_owned() } else { format!("{image}@{digest}") }
}

/// `exec` takes the place of all that the image says, and so do a manifest's `command` with its `args`; `args` alone take
/// that of the image's arguments.
fn init(id: &InstanceId, release: &Release) -> Init {
    if let Some(hook) = release.hook(id) {
        return Init { exec: hook.command.clone(), cmd: Vec::new() };
    }
    let (command, args) = (&release.template.command, &release.template.args);
    if command.is_empty() {
        return Init { exec: Vec::new(), cmd: args.clone() };
    }
    Init { exec: command.iter().chain(args).cloned().collect(), cmd: Vec::new() }
}

/// What the instance finds in its environment, but for what the platform adds.
fn environment(id: &InstanceId, release: &Release, ports: &[Inside]) -> Result<BTreeMap<String, String>, String> {
    if let Some(name) = release.template.env.keys().find(|name| name.starts_with(RESERVED)) {
        return Err(format!("the variable `{name}`: names that begin with `{RESERVED}` are the platform's own"));
    }
    Ok(release.environment(id, ports.iter().map(|port| (&port.name, port.number)), &BTreeMap::new()))
}

fn guest(size: &Size) -> Guest {
    let cpu_kind = match size.cpu_kind {
        CpuKind::Shared => "shared",
        CpuKind::Performance => "performance",
    };
    Guest { cpu_kind: cpu_kind.to_owned(), cpus: size.cpus, memory_mb: size.memory_mib }
}

/// The ports that the proxy knows: the one that speaks HTTP to the world, and what else a route names.
///
/// An app without routes has the first of these all the same, so that a route which comes later needs no restart: nobody
/// reaches it before the app has an address and the machine is registered, and it has neither without a route.
fn services(release: &Release, ports: &[Inside]) -> Result<Vec<Service>, String> {
    let routed = |port: &&Inside| release.exposure.routes.iter().any(|route| route.port == port.name);
    let http = |port: &&Inside| port.protocol == Protocol::Http;
    let mut web: Vec<_> = ports.iter().filter(http).filter(routed).collect();
    web.extend(ports.iter().find(http).filter(|_| web.is_empty()));
    if let [_, second, ..] = web.as_slice() {
        return Err(format!(
            "routes to two HTTP ports: `{}` is the second, and the platform's 443 has one",
            second.name
        ));
    }
    let plain = ports.iter().filter(|port| routed(port) && !http(port));
    Ok(web.into_iter().chain(plain).map(|port| service(&release.template, port)).collect())
}

fn service(template: &Template, port: &Inside) -> Service {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let ports = match port.protocol {
        Protocol::Http => vec![
            ServicePort {
                port: 80,
                handlers: words(&["http"]),
                force_https: Some(template.force_https.unwrap_or(true)),
            },
            ServicePort { port: 443, handlers: words(&["tls", "http"]), force_https: None },
        ],
        Protocol::Tcp | Protocol::Udp => {
            vec![ServicePort { port: port.number, handlers: Vec::new(), force_https: None }]
        }
    };
    let autostop = template.autostop.as_ref();
    let mode = match autostop.map(|autostop| autostop.mode) {
        None | Some(AutostopMode::Off) => "off",
        Some(AutostopMode::Stop) => "stop",
        Some(AutostopMode::Suspend) => "suspend",
    };
    Service {
        protocol: if port.protocol == Protocol::Udp { "udp" } else { "tcp" }.to_owned(),
        internal_port: port.number,
        ports,
        concurrency: template.concurrency.as_ref().map(|concurrency| Concurrency {
            kind: match concurrency.kind {
                ConcurrencyKind::Requests => "requests",
                ConcurrencyKind::Connections => "connections",
            }
            .to_owned(),
            soft_limit: concurrency.soft,
            hard_limit: concurrency.hard,
        }),
        autostop: mode.into(),
        // What was told to stop stays down, where nothing is put to sleep.
        autostart: Some(mode != "off"),
        min_machines_running: autostop.map(|autostop| autostop.min_running),
    }
}

/// Our probes, asked by the platform from beside the machine; one that is a command is asked by ourselves.
fn checks(template: &Template, ports: &[Inside]) -> Result<BTreeMap<String, Check>, String> {
    let mut checks = BTreeMap::new();
    for probe in &template.health {
        let (port, path) = match &probe.check {
            Question::Http { path, port, status } if status.iter().any(|status| (200..300).contains(status)) => {
                (port, Some(path.clone()))
            }
            Question::Http { .. } => {
                return Err(format!("the probe `{}`: Fly's checks pass with 200 to 299 alone", probe.name));
            }
            // The platform speaks no WebSocket: that the port answers is all it can say.
            Question::Tcp { port } | Question::Websocket { port, .. } => (port, None),
            Question::Exec { .. } => continue,
        };
        let inside = ports.iter().find(|inside| inside.name == *port);
        let number = inside.ok_or_else(|| format!("the probe `{}`: there is no port `{port}`", probe.name))?.number;
        checks.insert(probe.name.to_string(), check(probe, number, path));
    }
    Ok(checks)
}

fn check(probe: &Probe, port: u16, path: Option<String>) -> Check {
    Check {
        how: if path.is_some() { "http" } else { "tcp" }.to_owned(),
        // No request goes to one that has just come up and does not answer yet, nor to one that was woken.
        kind: "readiness".to_owned(),
        port,
        method: path.is_some().then(|| "GET".to_owned()),
        path,
        interval: go(probe.interval.clamp(INTERVAL_MIN, CHECK_MAX)),
        timeout: go(probe.timeout.min(CHECK_MAX)),
        grace_period: (!probe.grace.is_zero()).then(|| go(probe.grace.clamp(GRACE_MIN, CHECK_MAX))),
    }
}

/// The platform starts again what crashes, so that nothing that serves rests on a daemon; after so many times the planner
/// decides. A hook runs once.
fn restart(template: &Template, hook: bool) -> Restart {
    match template.restart.policy {
        RestartPolicy::Always | RestartPolicy::OnFailure if !hook => {
            Restart { policy: "on-failure".to_owned(), max_retries: Some(template.restart.max_retries) }
        }
        RestartPolicy::Always | RestartPolicy::OnFailure | RestartPolicy::Never => {
            Restart { policy: "no".to_owned(), max_retries: None }
        }
    }
}

fn files(release: &Release) -> Vec<File> {
    let own = serde_json::to_string(release).expect("our own types always become JSON");
    let theirs = release.template.files.iter().map(|file| File {
        guest_path: file.path.clone(),
        raw_value: STANDARD.encode(&file.content),
        mode: Some(file.mode),
    });
    let own = File { guest_path: RELEASE_PATH.to_owned(), raw_value: STANDARD.encode(own), mode: Some(0o400) };
    theirs.chain([own]).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::expect;
    use serde_json::Value;
    use trueup_sim::AppSketch;
    use trueup_types::exposure::{Route, Tls};
    use trueup_types::probe::Check;
    use trueup_types::template::{Autostop, FileSpec, Hook, Hooks, Port, Resources, Stop};
    use trueup_types::{Label, Revision, Task};

    use super::*;

    fn sketch() -> AppSketch {
        let mut sketch = AppSketch::web("web");
        let port = |name: &str, port, protocol| Port { name: name.parse().expect("a name"), port, protocol };
        let hook = Hook {
            name: Label::new("migrate").expect("a name"),
            command: vec!["migrate".to_owned(), "run".to_owned()],
            timeout: Duration::from_secs(60),
        };
        sketch.template = Template {
            image: Some("registry.fly.io/web:1".to_owned()),
            args: vec!["--verbose".to_owned()],
            env: [("COLOUR".to_owned(), "green".to_owned()), ("TRUEUP_APP".to_owned(), "forged".to_owned())].into(),
            ports: vec![port("http", None, Protocol::Http), port("admin", Some(8_080), Protocol::Tcp)],
            resources: Resources { cpus: Some(2), memory_bytes: Some(1 << 29), ..Resources::default() },
            stop: Stop { signal: "SIGQUIT".to_owned(), timeout: Duration::from_secs(600) },
            concurrency: Some(trueup_types::template::Concurrency {
                kind: ConcurrencyKind::Requests,
                soft: 200,
                hard: 250,
            }),
            autostop: Some(Autostop { mode: AutostopMode::Suspend, min_running: 1 }),
            health: vec![Probe {
                name: Label::new("ready").expect("a name"),
                check: Check::Http {
                    path: "/health".to_owned(),
                    port: "http".parse().expect("a name"),
                    status: vec![200],
                },
                interval: Duration::from_secs(1),
                timeout: Duration::from_millis(1_500),
                grace: Duration::from_secs(300),
                failures: 3,
                successes: 1,
            }],
            files: vec![FileSpec { path: "/app/config".to_owned(), content: "a = 1".to_owned(), mode: 0o644 }],
            hooks: Hooks { pre_deploy: vec![hook], ..Hooks::default() },
            ..Template::default()
        };
        sketch
    }

    /// What the platform is sent, a line for each value, without our own file.
    fn sent(sketch: &AppSketch, id: &str) -> String {
        let config = lower(&sketch.release(Revision(3)), &id.parse().expect("a name")).expect("it can be had");
        let mut value = serde_json::to_value(config).expect("it is JSON");
        if let Some(files) = value["files"].as_array_mut() {
            files.retain(|file| file["guest_path"] != RELEASE_PATH);
        }
        let mut lines = Vec::new();
        flatten("", &value, &mut lines);
        lines.sort();
        lines.join("\n")
    }

    fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
        if let Some(map) = value.as_object().filter(|map| !map.is_empty()) {
            map.iter().for_each(|(key, value)| flatten(&format!("{path} {key}"), value, lines));
        } else if let Some(all) = value.as_array().filter(|all| all.iter().any(Value::is_object)) {
            all.iter().enumerate().for_each(|(at, value)| flatten(&format!("{path}[{at}]"), value, lines));
        } else {
            lines.push(format!("{}: {value}", path.trim_start()));
        }
    }

    #[test]
    fn a_release_becomes_a_machine() {
        expect![[r#"
            checks ready grace_period: "60s"
            checks ready interval: "2s"
            checks ready kind: "readiness"
            checks ready method: "GET"
            checks ready path: "/health"
            checks ready port: 8081
            checks ready timeout: "1500ms"
            checks ready type: "http"
            env COLOUR: "green"
            env PORT: "8081"
            env PORT_ADMIN: "8080"
            env PORT_HTTP: "8081"
            env TRUEUP_APP: "web"
            env TRUEUP_INSTANCE: "web-r3-1"
            env TRUEUP_REVISION: "3"
            files[0] guest_path: "/app/config"
            files[0] mode: 420
            files[0] raw_value: "YSA9IDE="
            guest cpu_kind: "shared"
            guest cpus: 2
            guest memory_mb: 512
            image: "registry.fly.io/web:1"
            init cmd: ["--verbose"]
            restart max_retries: 3
            restart policy: "on-failure"
            services[0] autostart: true
            services[0] autostop: "suspend"
            services[0] concurrency hard_limit: 250
            services[0] concurrency soft_limit: 200
            services[0] concurrency type: "requests"
            services[0] internal_port: 8081
            services[0] min_machines_running: 1
            services[0] ports[0] force_https: true
            services[0] ports[0] handlers: ["http"]
            services[0] ports[0] port: 80
            services[0] ports[1] handlers: ["tls","http"]
            services[0] ports[1] port: 443
            services[0] protocol: "tcp"
            stop_config signal: "SIGQUIT"
            stop_config timeout: "300s""#]]
        .assert_eq(&sent(&sketch(), "web-r3-1"));
    }

    #[test]
    fn what_runs_a_hook_is_reached_by_nobody_and_runs_once() {
        let sketch = sketch();
        let id = InstanceId::of_task(&sketch.name, Revision(3), Task::PreDeploy, trueup_types::Ordinal(0));
        expect![[r#"
            dns skip_registration: true
            env COLOUR: "green"
            env TRUEUP_APP: "web"
            env TRUEUP_HOOK: "preDeploy/migrate"
            env TRUEUP_INSTANCE: "web-r3-pre0"
            env TRUEUP_REVISION: "3"
            files[0] guest_path: "/app/config"
            files[0] mode: 420
            files[0] raw_value: "YSA9IDE="
            guest cpu_kind: "shared"
            guest cpus: 2
            guest memory_mb: 512
            image: "registry.fly.io/web:1"
            init exec: ["migrate","run"]
            restart policy: "no"
            stop_config signal: "SIGQUIT"
            stop_config timeout: "300s""#]]
        .assert_eq(&sent(&sketch, &id.to_string()));
    }

    #[test]
    fn what_machines_do_not_have_is_said_in_words() {
        let refused = |change: &dyn Fn(&mut AppSketch)| {
            let mut sketch = sketch();
            change(&mut sketch);
            let id = "web-r3-0".parse().expect("a name");
            lower(&sketch.release(Revision(3)), &id).expect_err("it cannot be had")
        };
        let second = |sketch: &mut AppSketch| {
            let name: PortName = "other".parse().expect("a name");
            sketch.template.ports.push(Port { name: name.clone(), port: None, protocol: Protocol::Http });
            let route = Route { host: "o.test".to_owned(), path: "/".to_owned(), port: name, tls: Tls::Off };
            sketch.exposure.routes.push(route);
        };
        assert_eq!(refused(&|sketch| sketch.template.image = None), "it names no image");
        assert!(
            refused(&|sketch| drop(sketch.template.env.insert("FLY_X".to_owned(), String::new()))).contains("FLY_X")
        );
        assert!(refused(&|sketch| sketch.template.resources.cpus = Some(3)).contains("3 shared CPUs"));
        assert!(refused(&second).contains("`other` is the second"));
        assert!(
            refused(&|sketch| {
                let Check::Http { status, .. } = &mut sketch.template.health[0].check else { return };
                *status = vec![401];
            })
            .contains("200 to 299")
        );
    }

    #[test]
    fn commands_digests_and_redirects_are_as_the_manifest_says() {
        let mut sketch = sketch();
        sketch.template.command = vec!["/app".to_owned()];
        sketch.template.force_https = Some(false);
        let mut release = sketch.release(Revision(3));
        release.inputs.images.insert("registry.fly.io/web:1".to_owned(), "sha256:ab".to_owned());
        let config = lower(&release, &"web-r3-0".parse().expect("a name")).expect("it can be had");
        assert_eq!(config.image, "registry.fly.io/web:1@sha256:ab");
        assert_eq!((config.init.exec, config.init.cmd), (vec!["/app".to_owned(), "--verbose".to_owned()], vec![]));
        assert_eq!(config.services[0].ports[0].force_https, Some(false));
    }
}
