//! The template: what an instance is.

use std::collections::BTreeSet;
use std::time::Duration;

use trueup_types::target::DockerSpec;
use trueup_types::template::{
    Autostop, AutostopMode, BakeKeep, Build, Concurrency, ConcurrencyKind, CpuKind, EnvFrom, FileSpec, Hook, Hooks,
    Port, Protocol, Resources, Restart, RestartPolicy, SourceTree, Stop, Template, Volume,
};
use trueup_types::{Label, PortName, TargetKind, TargetSpec};

use super::health;
use super::machine;
use super::notes::Notes;
use super::read::{Broken, integer, name, parsed, spelled, text, text_map, texts, truth, word};
use crate::node::{View, cut};
use crate::text::Span;
use crate::units;

/// Permission bits of a file that names none.
const FILE_MODE: u32 = 0o644;
/// Longest that a hook may run when it says nothing.
const HOOK_TIMEOUT: Duration = Duration::from_secs(5 * 60);

pub(super) fn lower(spec: View<'_>, target: &TargetSpec, notes: &mut Notes<'_>) -> Template {
    let ports = ports(spec.get("ports"), notes);
    let template = Template {
        image: text(spec.get("image")).ok().flatten(),
        build: build(spec.get("build")).unwrap_or_default(),
        source: source(spec.get("source")).unwrap_or_default(),
        command: texts(spec.get("command")),
        args: texts(spec.get("args")),
        workdir: text(spec.get("workdir")).ok().flatten(),
        user: text(spec.get("user")).ok().flatten(),
        env: text_map(spec.get("env")),
        env_from: env_from(spec.get("envFrom")),
        files: files(spec.get("files"), target, notes),
        health: health::lower(spec.get("health"), &ports, notes),
        ports,
        resources: resources(spec.get("resources")).unwrap_or_default(),
        concurrency: concurrency(spec.get("concurrency"), notes).unwrap_or_default(),
        autostop: autostop(spec.get("autostop")).unwrap_or_default(),
        bake_keep: bake_keep(spec.get("rollout").get("bakeKeep"), target),
        force_https: force_https(spec.get("forceHttps"), target),
        restart: restart(spec.get("restart")).unwrap_or_default(),
        stop: stop(spec.get("stop")).unwrap_or_default(),
        volumes: volumes(spec.get("volumes"), notes),
        hooks: Hooks {
            pre_deploy: hooks(spec.get("hooks").get("preDeploy"), notes),
            post_deploy: hooks(spec.get("hooks").get("postDeploy"), notes),
            on_revert: hooks(spec.get("hooks").get("onRevert"), notes),
        },
    };
    if !spec.get("image").is_absent() && !spec.get("build").is_absent() {
        let help = "keep one: `image` is fetched, `build` is built";
        notes.error_at_key(spec.get("build"), "manifest::image", "`image` and `build` exclude each other", help);
    }
    match &target.kind {
        TargetKind::Process => {
            if spec.get("command").is_absent() {
                let help = "write `command: [/path/to/program, argument]`";
                notes.missing("command", "manifest::command", "`command` is required for processes", help);
            }
        }
        TargetKind::Docker(settings) => container(spec, settings, notes),
        TargetKind::Fly(_) => machine::lower(spec, &template, notes),
    }
    template
}

/// What a container needs, and what it cannot have.
fn container(spec: View<'_>, settings: &DockerSpec, notes: &mut Notes<'_>) {
    if spec.get("image").is_absent() && spec.get("build").is_absent() {
        let help = "write `image: registry.example.com/shop/api:1.4.2`";
        notes.missing("image", "manifest::image", "`image` is required for containers", help);
    }
    let workdir = spec.get("workdir");
    if text(workdir).ok().flatten().is_some_and(|path| !path.starts_with('/')) {
        let message = "the working directory of a container begins with `/`";
        notes.error(workdir, "manifest::workdir", message, "write the whole path within the image");
    }
    if settings.read_only && spec.get("files").items().next().is_some() {
        let message = "`files` cannot be written where the target says `readOnly: true`";
        let help = "put them into the image, or choose a target without `readOnly`";
        notes.error_at_key(spec.get("files"), "manifest::files", message, help);
    }
}

fn build(view: View<'_>) -> Result<Option<Build>, Broken> {
    let Some(context) = text(view.get("context"))? else { return Ok(None) };
    let (dockerfile, target) = (text(view.get("dockerfile"))?, text(view.get("target"))?);
    Ok(Some(Build { context, dockerfile, args: text_map(view.get("args")), target }))
}

fn source(view: View<'_>) -> Result<Option<SourceTree>, Broken> {
    let Some(path) = text(view.get("path"))? else { return Ok(None) };
    Ok(Some(SourceTree { path, exclude: texts(view.get("exclude")) }))
}

fn env_from(view: View<'_>) -> Vec<EnvFrom> {
    view.items().filter_map(|item| Some(EnvFrom { secret: name(item.get("secret")).ok()?? })).collect()
}

/// The secrets that are asked for, each with its place.
pub(super) fn secrets(view: View<'_>, notes: &mut Notes<'_>) -> Vec<(Label, Span)> {
    let mut secrets: Vec<(Label, Span)> = Vec::new();
    for item in view.items() {
        let at = item.get("secret");
        let Ok(Some(name)) = name::<Label>(at) else { continue };
        if secrets.iter().any(|(other, _)| *other == name) {
            let message = format!("the secret `{name}` is asked for twice");
            notes.error(at, "manifest::secret::twice", message, "keep one of them");
        }
        secrets.push((name, notes.place(at)));
    }
    secrets
}

fn files(view: View<'_>, target: &TargetSpec, notes: &mut Notes<'_>) -> Vec<FileSpec> {
    let mut files: Vec<FileSpec> = Vec::new();
    for item in view.items() {
        let at = item.get("path");
        let Ok(Some(path)) = text(at) else { continue };
        let (Ok(Some(content)), Ok(mode)) = (text(item.get("content")), parsed(item.get("mode"), units::mode)) else {
            continue;
        };
        if path.split('/').any(|part| part == "..") {
            let message = format!("the file `{}` climbs out with `..`", cut(&path));
            notes.error(at, "manifest::files::path", message, "write the path without `..`");
        }
        match &target.kind {
            TargetKind::Process if path.starts_with('/') => {
                let message = format!("the file `{}` is absolute, which process targets do not serve", cut(&path));
                let help = "write it relative to the instance's own directory: old and new instances would share an absolute one";
                notes.error(at, "manifest::files::path", message, help);
            }
            TargetKind::Docker(_) | TargetKind::Fly(_) if !path.starts_with('/') => {
                let message = format!("the file `{}` does not begin with `/`", cut(&path));
                notes.error(at, "manifest::files::path", message, "write the whole path within the container");
            }
            TargetKind::Process | TargetKind::Docker(_) | TargetKind::Fly(_) => {}
        }
        if files.iter().any(|file| file.path == path) {
            notes.error(
                at,
                "manifest::files::path",
                format!("the file `{}` is written twice", cut(&path)),
                "keep one of them",
            );
        }
        files.push(FileSpec { path, content, mode: mode.unwrap_or(FILE_MODE) });
    }
    files
}

fn ports(view: View<'_>, notes: &mut Notes<'_>) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    for item in view.items() {
        let Ok(port) = port(item) else { continue };
        if let Some(other) = ports.iter().find(|other| other.name == port.name) {
            let message = format!("two ports are named `{}`", other.name);
            let help = "give each a `name` of its own; a port without one is named by its protocol";
            notes.error(item, "manifest::ports::name", message, help);
        }
        let udp = |port: &Port| port.protocol == Protocol::Udp;
        let same = |other: &&Port| other.port.is_some() && other.port == port.port && udp(other) == udp(&port);
        if let Some(other) = ports.iter().find(same) {
            let message = format!("the ports `{}` and `{}` have one number", other.name, port.name);
            notes.error(item, "manifest::ports::number", message, "give each a number of its own, or leave it out");
        }
        ports.push(port);
    }
    ports
}

fn port(item: View<'_>) -> Result<Port, Broken> {
    let words = [("http", Protocol::Http), ("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
    let protocol = word(item.get("protocol"), &words)?.unwrap_or(Protocol::Http);
    let own = PortName::new(protocol.as_str()).map_err(|_| Broken)?;
    let port = integer::<u16>(item.get("port"))?.filter(|port| *port != 0);
    Ok(Port { name: name(item.get("name"))?.unwrap_or(own), port, protocol })
}

fn resources(view: View<'_>) -> Result<Resources, Broken> {
    let kinds = [("shared", CpuKind::Shared), ("performance", CpuKind::Performance)];
    Ok(Resources {
        cpu_kind: word(view.get("cpuKind"), &kinds)?,
        cpus: integer(view.get("cpus"))?,
        memory_bytes: spelled(view.get("memory"), units::size)?,
        pids: integer(view.get("pids"))?,
        open_files: integer(view.get("openFiles"))?,
    })
}

fn concurrency(view: View<'_>, notes: &mut Notes<'_>) -> Result<Option<Concurrency>, Broken> {
    let kinds = [("requests", ConcurrencyKind::Requests), ("connections", ConcurrencyKind::Connections)];
    let kind = word(view.get("kind"), &kinds)?.unwrap_or(ConcurrencyKind::Requests);
    let (Some(soft), Some(hard)) = (integer(view.get("soft"))?, integer(view.get("hard"))?) else { return Ok(None) };
    if soft > hard {
        let message = format!("`soft` is {soft}, above `hard`, which is {hard}");
        notes.error(view.get("soft"), "manifest::concurrency", message, "make `soft` at most `hard`");
    }
    Ok(Some(Concurrency { kind, soft, hard }))
}

fn autostop(view: View<'_>) -> Result<Option<Autostop>, Broken> {
    let modes = [("off", AutostopMode::Off), ("stop", AutostopMode::Stop), ("suspend", AutostopMode::Suspend)];
    let Some(mode) = word(view.get("mode"), &modes)? else { return Ok(None) };
    Ok(Some(Autostop { mode, min_running: integer(view.get("minRunning"))?.unwrap_or(0) }))
}

/// Where it is the habit to say so changes nothing.
fn bake_keep(view: View<'_>, target: &TargetSpec) -> Option<BakeKeep> {
    let said = word(view, &[("running", BakeKeep::Running), ("stopped", BakeKeep::Stopped)]).ok().flatten();
    match target.kind {
        TargetKind::Fly(_) => said.filter(|keep| *keep != BakeKeep::Running),
        TargetKind::Process | TargetKind::Docker(_) => said,
    }
}

/// Elsewhere nothing is redirected: to say so changes nothing.
fn force_https(view: View<'_>, target: &TargetSpec) -> Option<bool> {
    let said = truth(view).ok().flatten();
    match target.kind {
        TargetKind::Fly(_) => said.filter(|force| !force),
        TargetKind::Process | TargetKind::Docker(_) => said.filter(|force| *force),
    }
}

fn restart(view: View<'_>) -> Result<Restart, Broken> {
    let policies =
        [("always", RestartPolicy::Always), ("on-failure", RestartPolicy::OnFailure), ("never", RestartPolicy::Never)];
    let default = Restart::default();
    Ok(Restart {
        policy: word(view.get("policy"), &policies)?.unwrap_or(default.policy),
        max_retries: integer(view.get("maxRetries"))?.unwrap_or(default.max_retries),
    })
}

fn stop(view: View<'_>) -> Result<Stop, Broken> {
    let default = Stop::default();
    Ok(Stop {
        signal: text(view.get("signal"))?.unwrap_or(default.signal),
        timeout: parsed(view.get("timeout"), units::wait)?.unwrap_or(default.timeout),
    })
}

fn volumes(view: View<'_>, notes: &mut Notes<'_>) -> Vec<Volume> {
    let mut volumes: Vec<Volume> = Vec::new();
    for item in view.items() {
        let (Ok(Some(name)), Ok(Some(path))) = (name(item.get("name")), text(item.get("path"))) else { continue };
        let Ok(size_bytes) = spelled(item.get("size"), units::size) else { continue };
        if volumes.iter().any(|volume| volume.name == name || volume.path == path) {
            let message = format!("the volume `{name}` shares its name or its path with another");
            notes.error(item, "manifest::volumes", message, "give each a name and a path of its own");
        }
        volumes.push(Volume { name, path, size_bytes });
    }
    volumes
}

fn hooks(view: View<'_>, notes: &mut Notes<'_>) -> Vec<Hook> {
    let mut hooks: Vec<Hook> = Vec::new();
    let mut seen = BTreeSet::new();
    for item in view.items() {
        let Ok(Some(name)) = name::<trueup_types::Label>(item.get("name")) else { continue };
        if !seen.insert(name.clone()) {
            notes.error(
                item.get("name"),
                "manifest::hooks",
                format!("two hooks are named `{name}`"),
                "give each its own",
            );
        }
        let timeout = parsed(item.get("timeout"), units::timeout).ok().flatten().unwrap_or(HOOK_TIMEOUT);
        hooks.push(Hook { name, command: texts(item.get("command")), timeout });
    }
    hooks
}
