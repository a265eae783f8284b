//! A release becomes a container: pure, and snapshot-tested.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions, NetworkingConfig, PortBinding, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use trueup_types::docker::{DockerSpec, Healthcheck, LogDriver, RestartBy};
use trueup_types::template::{Protocol, Resources, RestartPolicy as Restarts};
use trueup_types::{InstanceId, PortName, Release, Template};

use crate::labels::Mine;

/// The first number given to a port that names none.
const PORT_FIRST: u16 = 8_080;
/// Longest host name, in bytes (`HOST_NAME_MAX` of Linux, less its end).
const HOSTNAME_BYTES_MAX: usize = 63;
/// Most bytes of one file of a log; the engine keeps two, then forgets the older.
const LOG_SIZE: &str = "10m";

/// One port of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inside {
    pub name: PortName,
    pub number: u16,
    pub protocol: Protocol,
}

impl Inside {
    /// As an engine writes it.
    pub(crate) fn key(&self) -> String {
        let transport = match self.protocol {
            Protocol::Http | Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        format!("{}/{transport}", self.number)
    }
}

/// The ports of a container: those that name no number get one from 8080 upward that no other has.
pub(crate) fn ports(template: &Template) -> Vec<Inside> {
    let mut next = PORT_FIRST;
    let fixed: Vec<u16> = template.ports.iter().filter_map(|port| port.port).collect();
    let number = |port: Option<u16>| {
        port.unwrap_or_else(|| {
            while fixed.contains(&next) {
                next += 1;
            }
            next += 1;
            next - 1
        })
    };
    let mut number = number;
    let inside = template.ports.iter().map(|port| Inside {
        name: port.name.clone(),
        number: number(port.port.filter(|port| *port != 0)),
        protocol: port.protocol,
    });
    inside.collect()
}

/// What the engine is told to create.
pub(crate) fn container(
    mine: &Mine,
    settings: &DockerSpec,
    id: &InstanceId,
    release: &Release,
    image: &str,
    secrets: &BTreeMap<String, String>,
) -> ContainerCreateBody {
    let template = &release.template;
    // What runs a hook is reached by nobody.
    let ports = if id.task.is_none() { ports(template) } else { Vec::new() };
    let (entrypoint, cmd) = words(id, release);
    let name = id.to_string();
    ContainerCreateBody {
        image: Some(image.to_owned()),
        hostname: Some(name).filter(|name| name.len() <= HOSTNAME_BYTES_MAX),
        entrypoint,
        cmd,
        env: Some(environment(id, release, &ports, secrets)),
        working_dir: template.workdir.clone(),
        user: template.user.clone(),
        labels: Some(mine.of(id, release)),
        // An engine before API 1.42 takes the signal from here, a later one from the stop itself.
        stop_signal: Some(template.stop.signal.clone()),
        // What the image says, where it says anything; what runs a hook is judged by its end.
        healthcheck: (id.task.is_some() || settings.healthcheck == Healthcheck::Off).then(no_check),
        // Bindings without these are silently dropped.
        exposed_ports: Some(ports.iter().map(Inside::key).collect()),
        host_config: Some(host(mine, settings, id, template, &ports)),
        networking_config: settings.network.as_ref().map(|network| {
            let endpoint = EndpointSettings { aliases: Some(vec![id.app.to_string()]), ..EndpointSettings::default() };
            NetworkingConfig { endpoints_config: Some(HashMap::from([(network.to_string(), endpoint)])) }
        }),
        ..ContainerCreateBody::default()
    }
}

/// Whatever an image says of its health is not asked.
fn no_check() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }
}

/// `command` takes the place of the image's entry point, and `args` that of its arguments.
fn words(id: &InstanceId, release: &Release) -> (Option<Vec<String>>, Option<Vec<String>>) {
    if let Some(hook) = release.hook(id) {
        return (Some(hook.command.clone()), None);
    }
    let some = |words: &[String]| Some(words.to_vec()).filter(|words| !words.is_empty());
    (some(&release.template.command), some(&release.template.args))
}

/// What the instance finds in its environment; the image's own stays beneath.
fn environment(
    id: &InstanceId,
    release: &Release,
    ports: &[Inside],
    secrets: &BTreeMap<String, String>,
) -> Vec<String> {
    let env = release.environment(id, ports.iter().map(|port| (&port.name, port.number)), secrets);
    env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn host(mine: &Mine, settings: &DockerSpec, id: &InstanceId, template: &Template, ports: &[Inside]) -> HostConfig {
    // By default the edge is on this host, and nobody else is let in.
    let published = settings.published().to_string();
    let binding = || PortBinding { host_ip: Some(published.clone()), host_port: Some("0".to_owned()) };
    let hosts: Vec<_> = settings.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect();
    let limits = limits(&template.resources);
    let some = |words: &[String]| Some(words.to_vec()).filter(|words| !words.is_empty());
    HostConfig {
        // Signals reach a program that is not written to be the first process, and its orphans are waited for.
        init: Some(true),
        restart_policy: Some(RestartPolicy { name: Some(restart(settings, id, template)), maximum_retry_count: None }),
        port_bindings: Some(ports.iter().map(|port| (port.key(), Some(vec![binding()]))).collect()),
        log_config: Some(log(settings)),
        extra_hosts: some(&hosts),
        network_mode: settings.network.as_ref().map(ToString::to_string),
        readonly_rootfs: settings.read_only.then_some(true),
        tmpfs: Some(settings.tmpfs.iter().map(|path| (path.clone(), String::new())).collect())
            .filter(|tmpfs: &HashMap<_, _>| !tmpfs.is_empty()),
        cap_drop: some(&settings.drop_capabilities),
        security_opt: settings.no_new_privileges.then(|| vec!["no-new-privileges".to_owned()]),
        mounts: Some(volumes(mine, id, template)).filter(|mounts| !mounts.is_empty()),
        ..limits
    }
}

/// Who starts it again: the planner, but where the engine is told to. What runs a hook runs once.
fn restart(settings: &DockerSpec, id: &InstanceId, template: &Template) -> RestartPolicyNameEnum {
    match (settings.restart, template.restart.policy) {
        (RestartBy::Engine, _) if id.task.is_some() => RestartPolicyNameEnum::NO,
        (RestartBy::Trueup, _) | (RestartBy::Engine, Restarts::Never) => RestartPolicyNameEnum::NO,
        (RestartBy::Engine, Restarts::OnFailure) => RestartPolicyNameEnum::ON_FAILURE,
        (RestartBy::Engine, Restarts::Always) => RestartPolicyNameEnum::UNLESS_STOPPED,
    }
}

/// Where the target says nothing, a log is kept within bounds.
fn log(settings: &DockerSpec) -> HostConfigLogConfig {
    let driver = settings.log.as_ref().map_or(LogDriver::JsonFile, |log| log.driver);
    let mut options: HashMap<_, _> = match driver {
        LogDriver::JsonFile | LogDriver::Local => {
            [("max-size".to_owned(), LOG_SIZE.to_owned()), ("max-file".to_owned(), "2".to_owned())].into()
        }
        LogDriver::Journald => HashMap::new(),
    };
    options.extend(settings.log.iter().flat_map(|log| log.options.clone()));
    HostConfigLogConfig { typ: Some(driver.as_str().to_owned()), config: Some(options) }
}

fn limits(resources: &Resources) -> HostConfig {
    let memory = resources.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok());
    let files = resources.open_files.and_then(|most| i64::try_from(most).ok());
    let ulimit = |most| ResourcesUlimits { name: Some("nofile".to_owned()), soft: Some(most), hard: Some(most) };
    HostConfig {
        memory,
        // As much as that and no more: otherwise the engine adds as much again in swap.
        memory_swap: memory,
        nano_cpus: resources.cpus.map(|cpus| i64::from(cpus) * 1_000_000_000),
        pids_limit: resources.pids.map(i64::from),
        ulimits: files.map(|most| vec![ulimit(most)]),
        ..HostConfig::default()
    }
}

/// Volumes by app and place in the row, so that each instance finds its own again, whatever its revision. What runs a
/// hook gets none: a volume has one owner at a time.
fn volumes(mine: &Mine, id: &InstanceId, template: &Template) -> Vec<Mount> {
    let mount = |volume: &trueup_types::template::Volume| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(format!("{}-{}-{}-{}", mine.owner, id.app, volume.name, id.ordinal)),
        target: Some(volume.path.clone()),
        volume_options: Some(MountVolumeOptions { labels: Some(mine.common()), ..MountVolumeOptions::default() }),
        ..Mount::default()
    };
    template.volumes.iter().filter(|_| id.task.is_none()).map(mount).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use trueup_sim::AppSketch;
    use trueup_types::template::{Hook, Port, Stop, Volume};
    use trueup_types::{Label, OwnerId, Revision, TargetName, Task};

    use super::*;

    fn mine() -> Mine {
        Mine { owner: OwnerId::new("ours").expect("a name"), target: TargetName::new("here").expect("a name") }
    }

    fn release() -> Release {
        let mut sketch = AppSketch::web("web");
        let label = |name| Label::new(name).expect("a name");
        let port = |name: &str, port, protocol| Port { name: name.parse().expect("a name"), port, protocol };
        sketch.template = Template {
            image: Some("shop/web:1".to_owned()),
            args: vec!["--verbose".to_owned()],
            env: [("COLOUR".to_owned(), "green".to_owned()), ("TRUEUP_APP".to_owned(), "forged".to_owned())].into(),
            ports: vec![
                port("http", None, Protocol::Http),
                port("admin", Some(8_081), Protocol::Tcp),
                port("dns", None, Protocol::Udp),
            ],
            resources: Resources { cpus: Some(2), memory_bytes: Some(1 << 29), ..Resources::default() },
            stop: Stop { signal: "SIGQUIT".to_owned(), ..Stop::default() },
            volumes: vec![Volume { name: label("data"), path: "/data".to_owned(), size_bytes: None }],
            hooks: trueup_types::template::Hooks {
                pre_deploy: vec![Hook {
                    name: label("migrate"),
                    command: vec!["migrate".to_owned(), "run".to_owned()],
                    timeout: std::time::Duration::from_secs(60),
                }],
                ..Default::default()
            },
            ..Template::default()
        };
        sketch.release(Revision(3))
    }

    /// What an engine is sent, keys sorted, without the labels, which have a test of their own.
    fn sent(id: &str, settings: &DockerSpec) -> String {
        let id: InstanceId = id.parse().expect("a name");
        let body = container(&mine(), settings, &id, &release(), "shop/web:1", &BTreeMap::new());
        let mut lines = Vec::new();
        flatten(
            "",
            &serde_json::to_value(ContainerCreateBody { labels: None, ..body }).expect("it is JSON"),
            &mut lines,
        );
        lines.sort();
        lines.join("\n")
    }

    fn flatten(path: &str, value: &serde_json::Value, lines: &mut Vec<String>) {
        if let Some(map) = value.as_object().filter(|map| !map.is_empty()) {
            map.iter().for_each(|(key, value)| flatten(&format!("{path} {key}"), value, lines));
        } else if let Some(all) = value.as_array().filter(|all| all.iter().any(serde_json::Value::is_object)) {
            all.iter().enumerate().for_each(|(at, value)| flatten(&format!("{path}[{at}]"), value, lines));
        } else {
            lines.push(format!("{}: {value}", path.trim_start()));
        }
    }

    #[test]
    fn a_release_becomes_a_container() {
        let settings = DockerSpec { network: Some(Label::new("apps").expect("a name")), ..DockerSpec::default() };
        expect![[r#"
            Cmd: ["--verbose"]
            Env: ["COLOUR=green","PORT=8080","PORT_ADMIN=8081","PORT_DNS=8082","PORT_HTTP=8080","TRUEUP_APP=web","TRUEUP_INSTANCE=web-r3-1","TRUEUP_REVISION=3"]
            ExposedPorts 8080/tcp: {}
            ExposedPorts 8081/tcp: {}
            ExposedPorts 8082/udp: {}
            HostConfig Init: true
            HostConfig LogConfig Config max-file: "2"
            HostConfig LogConfig Config max-size: "10m"
            HostConfig LogConfig Type: "json-file"
            HostConfig Memory: 536870912
            HostConfig MemorySwap: 536870912
            HostConfig Mounts[0] Source: "ours-web-data-1"
            HostConfig Mounts[0] Target: "/data"
            HostConfig Mounts[0] Type: "volume"
            HostConfig Mounts[0] VolumeOptions Labels dev.trueup.owner: "ours"
            HostConfig Mounts[0] VolumeOptions Labels dev.trueup.target: "here"
            HostConfig Mounts[0] VolumeOptions Labels dev.trueup.version: "1"
            HostConfig NanoCpus: 2000000000
            HostConfig NetworkMode: "apps"
            HostConfig PortBindings 8080/tcp[0] HostIp: "127.0.0.1"
            HostConfig PortBindings 8080/tcp[0] HostPort: "0"
            HostConfig PortBindings 8081/tcp[0] HostIp: "127.0.0.1"
            HostConfig PortBindings 8081/tcp[0] HostPort: "0"
            HostConfig PortBindings 8082/udp[0] HostIp: "127.0.0.1"
            HostConfig PortBindings 8082/udp[0] HostPort: "0"
            HostConfig RestartPolicy Name: "no"
            Hostname: "web-r3-1"
            Image: "shop/web:1"
            NetworkingConfig EndpointsConfig apps Aliases: ["web"]
            StopSignal: "SIGQUIT""#]].assert_eq(&sent("web-r3-1", &settings));
    }

    #[test]
    fn what_runs_a_hook_has_no_ports_and_no_volumes_and_a_target_may_harden_all() {
        let settings = DockerSpec {
            read_only: true,
            tmpfs: vec!["/tmp".to_owned()],
            drop_capabilities: vec!["ALL".to_owned()],
            no_new_privileges: true,
            ..DockerSpec::default()
        };
        let id = InstanceId::of_task(&release().app, Revision(3), Task::PreDeploy, trueup_types::Ordinal(0));
        expect![[r#"
            Entrypoint: ["migrate","run"]
            Env: ["COLOUR=green","TRUEUP_APP=web","TRUEUP_HOOK=preDeploy/migrate","TRUEUP_INSTANCE=web-r3-pre0","TRUEUP_REVISION=3"]
            ExposedPorts: {}
            Healthcheck Test: ["NONE"]
            HostConfig CapDrop: ["ALL"]
            HostConfig Init: true
            HostConfig LogConfig Config max-file: "2"
            HostConfig LogConfig Config max-size: "10m"
            HostConfig LogConfig Type: "json-file"
            HostConfig Memory: 536870912
            HostConfig MemorySwap: 536870912
            HostConfig NanoCpus: 2000000000
            HostConfig PortBindings: {}
            HostConfig ReadonlyRootfs: true
            HostConfig RestartPolicy Name: "no"
            HostConfig SecurityOpt: ["no-new-privileges"]
            HostConfig Tmpfs /tmp: ""
            Hostname: "web-r3-pre0"
            Image: "shop/web:1"
            StopSignal: "SIGQUIT""#]].assert_eq(&sent(&id.to_string(), &settings));
    }

    #[test]
    fn labels_give_back_what_was_written_and_a_later_version_is_an_error() {
        let (release, id): (_, InstanceId) = (release(), "web-r3-1".parse().expect("a name"));
        let mut labels = mine().of(&id, &release);
        let read = crate::labels::Written::read(&labels).expect("it reads");
        assert_eq!((read.id, read.digest), (id, release.digest));
        assert_eq!(read.release.as_deref(), Some(&release));
        assert!(mine().owns(&labels));
        labels.insert("dev.trueup.release".to_owned(), "{}".to_owned());
        assert_eq!(
            crate::labels::Written::read(&labels).expect("it reads").release,
            None,
            "altered, it is not believed"
        );
        labels.insert("dev.trueup.version".to_owned(), "2".to_owned());
        let why = crate::labels::Written::read(&labels).expect_err("it is of a later version");
        assert!(why.contains("upgrade"), "{why}");
        labels.insert("dev.trueup.target".to_owned(), "there".to_owned());
        assert!(!mine().owns(&labels));
    }
}
