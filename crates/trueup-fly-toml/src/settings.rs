//! What an instance is besides its ports: image, words, variables, files, size, disk, and how it is asked to go; and how one
//! release follows another.

use std::collections::BTreeMap;
use std::time::Duration;

use trueup_types::fly::Guest;
use trueup_types::template::{CpuKind, Resources};

use crate::groups::{Groups, label};
use crate::live::Live;
use crate::page::{Field, Yaml};
use crate::reader::{Remark, Section};
use crate::units;
use crate::words;

/// What the platform does where a fly.toml does not say (fly.toml's reference, runtime options; machine restart policy).
const SIGNAL: &str = "SIGINT";
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const RETRIES: u32 = 10;
/// How long a release command may take where a fly.toml does not say.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(300);
/// The size of a volume that is made where a fly.toml does not say, in GiB.
const VOLUME_GIB: u64 = 1;
/// What can ask a program to go here.
const SIGNALS: [&str; 6] = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"];
/// Longest that a machine waits for its program to go.
const STOP_MAX: Duration = Duration::from_secs(300);
/// What the platform keeps for itself among the names of variables.
const RESERVED: &str = "FLY_";
/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

/// One group being read.
pub(crate) struct Reading<'a> {
    pub root: &'a Section<'a>,
    pub groups: &'a Groups,
    pub group: &'a str,
    pub live: Option<&'a Live>,
    pub remarks: &'a mut Vec<Remark>,
}

impl<'a> Reading<'a> {
    /// The sections of a name that are about the group.
    fn sections(&self, keys: &[&str]) -> Vec<Section<'a>> {
        let all = keys.iter().flat_map(|key| self.root.sections(key));
        all.filter(|section| self.groups.about(section, self.group)).collect()
    }

    /// `command` and `args`.
    pub(crate) fn words(&mut self) -> Vec<Field> {
        let own = self.groups.command(self.root, self.group, self.remarks);
        let experimental = self.root.section("experimental");
        let read = |key: &str| experimental.as_ref().and_then(|section| section.texts(key));
        let (exec, entrypoint, cmd) = (read("exec"), read("entrypoint"), read("cmd"));
        if let Some(exec) = exec {
            let beside = [&entrypoint, &cmd].into_iter().flatten().map(|words| words.remark("`exec` takes its place"));
            self.remarks.extend(beside);
            self.remarks.extend(own.map(|own| own.remark("`experimental.exec` takes its place")));
            return vec![Field::new("command", Yaml::texts(exec.value))];
        }
        if let (Some(cmd), Some(_)) = (&cmd, &own) {
            self.remarks.push(cmd.remark("the commands of `processes` take its place"));
        }
        let args = own.or(cmd).map(|args| args.value).unwrap_or_default();
        match entrypoint {
            Some(entrypoint) if args.is_empty() => {
                self.remarks
                    .push(entrypoint.remark("`command` replaces the image's arguments too; name them in `args`"));
                vec![Field::new("command", Yaml::texts(entrypoint.value))]
            }
            Some(entrypoint) => {
                vec![Field::new("command", Yaml::texts(entrypoint.value)), Field::new("args", Yaml::texts(args))]
            }
            None if args.is_empty() => Vec::new(),
            None => vec![Field::new("args", Yaml::texts(args)).note("After the image's own entry point.")],
        }
    }

    pub(crate) fn env(&mut self, primary_region: &str) -> Option<Field> {
        let mut env: BTreeMap<String, Yaml> = BTreeMap::new();
        for table in self.root.sections("env") {
            for name in table.keys().into_iter().filter(|name| !name.starts_with(RESERVED)) {
                env.extend(table.scalar(name).map(|value| (name.to_owned(), Yaml::text(value.value))));
            }
        }
        // flyctl sets it, and programs rely on it.
        env.entry("PRIMARY_REGION".to_owned()).or_insert_with(|| Yaml::text(primary_region));
        Some(Field::new("env", Yaml::Map(env.into_iter().collect())))
    }

    pub(crate) fn files(&mut self, read: &dyn Fn(&str) -> Result<String, String>) -> Option<Field> {
        let mut files = Vec::new();
        for section in self.sections(&["files"]) {
            let Some(path) = section.text("guest_path") else { continue };
            if !path.value.starts_with('/') {
                self.remarks.push(path.remark(format!("`{}` does not begin with `/`; no file is written", path.value)));
                continue;
            }
            let content = match (section.text("raw_value"), section.text("local_path")) {
                (Some(raw), _) => Ok(raw.value),
                (None, Some(local)) => {
                    read(&local.value).map_err(|why| local.remark(format!("{why}; `{}` is not written", path.value)))
                }
                (None, None) => {
                    Err(path.remark("its content is a secret's, which is in no manifest; not carried over"))
                }
            };
            match content {
                Ok(content) => {
                    files.push(Yaml::map([("path", Yaml::text(path.value)), ("content", Yaml::text(content))]))
                }
                Err(remark) => self.remarks.push(remark),
            }
        }
        (!files.is_empty()).then(|| Field::new("files", Yaml::List(files)))
    }

    /// The machine's size: what `[[vm]]` says, else what is live, else the platform's smallest.
    pub(crate) fn resources(&mut self) -> Field {
        let vm = self.vm();
        let (size, note) = match &vm {
            Some(vm) => (self.size_of(vm), None),
            None => match self.live.and_then(|live| live.of_group(self.group).next()) {
                Some(machine) => {
                    let kind = kind(machine.cpu_kind.as_deref().unwrap_or_default());
                    (Size { kind, cpus: machine.cpus, memory_mib: machine.memory_mib }, Some("As its machines are."))
                }
                None => (Size::default(), Some("fly.toml does not say; the platform's smallest.")),
            },
        };
        let resources = Resources {
            cpu_kind: size.kind,
            cpus: size.cpus,
            memory_bytes: size.memory_mib.map(|mib| mib.saturating_mul(MIB)),
            ..Resources::default()
        };
        let guest = Guest::of(&resources).unwrap_or_else(|wrong| {
            let what = format!("{}; {}; the platform's smallest is written", wrong.message, wrong.help);
            let remark = |vm: &Section<'_>| vm.remark(what.clone());
            self.remarks.extend(vm.as_ref().map(remark));
            Guest { cpu_kind: CpuKind::Shared, cpus: 1, memory_mib: 256 }
        });
        let kind = match guest.cpu_kind {
            CpuKind::Shared => "shared",
            CpuKind::Performance => "performance",
        };
        let value = Yaml::map([
            ("cpuKind", Yaml::text(kind)),
            ("cpus", Yaml::Number(u64::from(guest.cpus))),
            ("memory", Yaml::text(units::mib(guest.memory_mib))),
        ]);
        let field = Field::new("resources", value);
        note.into_iter().fold(field, Field::note)
    }

    /// The `[[vm]]` that names the group, else one that names none: that is about all.
    fn vm(&self) -> Option<Section<'a>> {
        let all: Vec<_> = ["vm", "compute", "computes"].iter().flat_map(|key| self.root.sections(key)).collect();
        let named = |section: &&Section<'a>| {
            self.groups.named(section).is_some_and(|names| names.iter().any(|name| name == self.group))
        };
        let common = |section: &&Section<'a>| self.groups.named(section).is_none();
        all.iter().find(named).or_else(|| all.iter().find(common)).cloned()
    }

    fn size_of(&mut self, vm: &Section<'a>) -> Size {
        let mut size = Size::default();
        if let Some(preset) = vm.text("size") {
            match preset.parsed(preset_of) {
                Ok(found) => size = found.value,
                Err(remark) => self.remarks.push(remark),
            }
        }
        if let Some(said) = vm.text("cpu_kind") {
            match kind(&said.value) {
                Some(kind) => size.kind = Some(kind),
                None => self.remarks.push(said.remark(format!("there is no kind of CPU called `{}`", said.value))),
            }
        }
        if let Some(cpus) = vm.count("cpus") {
            // A preset's memory is its CPUs'.
            size = Size { cpus: Some(cpus.value), memory_mib: None, ..size };
        }
        for key in ["memory_mb", "memory"] {
            let Some(memory) = vm.scalar(key) else { continue };
            match memory.parsed(units::memory_mib) {
                Ok(mib) => size.memory_mib = Some(mib.value),
                Err(remark) => self.remarks.push(remark),
            }
        }
        size
    }

    pub(crate) fn volumes(&mut self) -> Option<Field> {
        let mounts = self.sections(&["mounts", "mount"]);
        let mount = mounts.first()?;
        let (source, path) = (mount.text("source")?, mount.text("destination")?);
        if !path.value.starts_with('/') {
            self.remarks.push(
                path.remark(format!("`{}` does not begin with `/`; `{}` is not written", path.value, source.value)),
            );
            return None;
        }
        let live = self.live.and_then(|live| live.volumes.get(&source.value)).copied();
        let mut notes = vec![format!(
            "A new volume for each instance. What is on `{}` stays there: copy it, or restore a backup.",
            source.value
        )];
        let said = match mount.scalar("initial_size").map(|size| size.parsed(units::volume_gib)) {
            Some(Ok(gib)) => Some(gib.value),
            Some(Err(remark)) => {
                self.remarks.push(remark);
                None
            }
            None => None,
        };
        // Volumes grow, and what is made new should hold what is on the old.
        let size = live.or(said).unwrap_or(VOLUME_GIB);
        if live.is_none() && said.is_none() {
            notes.push(format!("fly.toml does not say its size; flyctl would make {VOLUME_GIB} GiB."));
        }
        let name = label(&source.value);
        if name != source.value {
            notes.push(format!("`{}` there.", source.value));
        }
        let size = ("size", Yaml::text(format!("{size}Gi")));
        let value = Yaml::map([("name", Yaml::text(name)), ("path", Yaml::text(path.value)), size]);
        Some(notes.into_iter().fold(Field::new("volumes", Yaml::List(vec![value])), Field::note))
    }

    /// What follows an exit. An app that is reached is always there: what serves is never done.
    pub(crate) fn restart(&mut self, public: bool) -> Field {
        let said = self.sections(&["restart"]).into_iter().next();
        let policy = said.as_ref().and_then(|section| section.text("policy"));
        let retries = said.as_ref().and_then(|section| section.count("retries")).map_or(RETRIES, |count| count.value);
        let word = match policy.as_ref().map(|policy| policy.value.as_str()) {
            Some("always") => "always",
            Some("never" | "no") => "never",
            Some("on-failure") | None => "on-failure",
            Some(other) => {
                let what = format!("`{other}` is none of always, on-failure and never");
                self.remarks.extend(policy.as_ref().map(|policy| policy.remark(what)));
                "on-failure"
            }
        };
        if let Some(policy) = policy.as_ref().filter(|_| public && word == "never") {
            self.remarks.push(policy.remark("an app with routes is started again when it ends"));
        }
        let retries = ("maxRetries", Yaml::Number(u64::from(retries.min(1_000))));
        let field =
            Field::new("restart", Yaml::map([("policy", Yaml::text(if public { "always" } else { word })), retries]));
        if policy.is_none() { field.note("As the platform does where fly.toml does not say.") } else { field }
    }

    pub(crate) fn stop(&mut self) -> Field {
        let (signal, timeout) = (self.root.text("kill_signal"), self.root.scalar("kill_timeout"));
        let unsaid = signal.is_none() && timeout.is_none();
        let signal = match signal {
            Some(said) if SIGNALS.contains(&said.value.as_str()) => said.value,
            Some(said) => {
                let what = format!("{} asks nothing of a program; {SIGNAL} is written", said.value);
                self.remarks.push(said.remark(what));
                SIGNAL.to_owned()
            }
            None => SIGNAL.to_owned(),
        };
        let timeout = match timeout.map(|said| said.parsed(|text| units::duration(text, Duration::from_secs(1)))) {
            Some(Ok(timeout)) => {
                if timeout.value > STOP_MAX {
                    self.remarks.push(timeout.remark("a machine waits 5 minutes at most"));
                }
                timeout.value.min(STOP_MAX)
            }
            Some(Err(remark)) => {
                self.remarks.push(remark);
                STOP_TIMEOUT
            }
            None => STOP_TIMEOUT,
        };
        let timeout = ("timeout", Yaml::text(units::spelled(timeout)));
        let field = Field::new("stop", Yaml::map([("signal", Yaml::text(signal)), timeout]));
        if unsaid { field.note("As the platform does where fly.toml does not say.") } else { field }
    }

    /// The release command: once for each release, by the default group's app alone.
    pub(crate) fn hooks(&mut self) -> Option<Field> {
        let deploy = self.root.section("deploy").filter(|_| self.groups.is_default(self.group))?;
        let command = deploy.text("release_command")?;
        let words = match command.parsed(words::split) {
            Ok(words) if words.value.is_empty() => return None,
            Ok(words) => words.value,
            Err(remark) => {
                self.remarks.push(remark);
                return None;
            }
        };
        let timeout = match deploy.scalar("release_command_timeout").filter(|said| said.value != "none") {
            Some(said) => said.parsed(|text| units::duration(text, Duration::from_secs(1))).map(|time| time.value),
            None => Ok(RELEASE_TIMEOUT),
        };
        let timeout = timeout.unwrap_or_else(|remark| {
            self.remarks.push(remark);
            RELEASE_TIMEOUT
        });
        let hook = Yaml::map([
            ("name", Yaml::text("release")),
            ("command", Yaml::texts(words)),
            ("timeout", Yaml::text(units::spelled(timeout))),
        ]);
        let field = Field::new("hooks", Yaml::map([("preDeploy", Yaml::List(vec![hook]))]));
        Some(field.note(
            "Runs without the image's entry point, which flyctl would run before it: name it here if it matters.",
        ))
    }

    pub(crate) fn rollout(&mut self) -> Option<Field> {
        let deploy = self.root.section("deploy")?;
        let mut entries: Vec<(String, Yaml)> = Vec::new();
        let mut notes = Vec::new();
        let strategy = deploy.text("strategy");
        match strategy.as_ref().map(|strategy| strategy.value.as_str()) {
            Some("bluegreen") => entries.push(("strategy".to_owned(), Yaml::text("blueGreen"))),
            Some("rolling") => entries.push(("strategy".to_owned(), Yaml::text("rolling"))),
            Some("canary") => {
                entries.push(("strategy".to_owned(), Yaml::text("rolling")));
                notes.push("flyctl's canary is one machine first, then the rest one by one: so is this.".to_owned());
            }
            Some(other) => {
                let what = format!("`{other}` does not wait for health, which is never so here; none is written");
                self.remarks.extend(strategy.as_ref().map(|strategy| strategy.remark(what)));
            }
            None => {}
        }
        if let Some(said) = deploy.scalar("max_unavailable") {
            match said.parsed(unavailable) {
                Ok(quantity) => entries.push(("maxUnavailable".to_owned(), quantity.value)),
                Err(remark) => self.remarks.push(remark),
            }
        }
        if let Some(said) = deploy.scalar("wait_timeout") {
            match said.parsed(|text| units::duration(text, Duration::from_secs(1))) {
                Ok(wait) if wait.value > Duration::ZERO => {
                    entries.push(("healthyDeadline".to_owned(), Yaml::text(units::spelled(wait.value))));
                    // A rollout may go longer without progress than one instance may take.
                    entries.push(("progressDeadline".to_owned(), Yaml::text(units::spelled(wait.value * 2))));
                }
                Ok(wait) => self.remarks.push(wait.remark("no time at all would fail every rollout; not carried over")),
                Err(remark) => self.remarks.push(remark),
            }
        }
        let field = Field::new("rollout", Yaml::Map(entries.clone()));
        (!entries.is_empty()).then(|| notes.into_iter().fold(field, Field::note))
    }
}

/// A share below 1, else a count.
fn unavailable(text: &str) -> Result<Yaml, String> {
    let number: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
    if !(0.0..=1_000.0).contains(&number) {
        return Err("is neither a share nor a count".to_owned());
    }
    if number > 0.0 && number < 1.0 {
        return Ok(Yaml::text(format!("{:.0}%", number * 100.0)));
    }
    Ok(Yaml::Number(number as u64))
}

/// What a `[[vm]]` asks for; the platform's own where it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    kind: Option<CpuKind>,
    cpus: Option<u32>,
    memory_mib: Option<u64>,
}

fn kind(word: &str) -> Option<CpuKind> {
    match word {
        "shared" => Some(CpuKind::Shared),
        "performance" => Some(CpuKind::Performance),
        _ => None,
    }
}

/// `shared-cpu-2x`, `performance-4x`.
fn preset_of(text: &str) -> Result<Size, String> {
    let (kind, rest) = match (text.strip_prefix("shared-cpu-"), text.strip_prefix("performance-")) {
        (Some(rest), _) => (CpuKind::Shared, rest),
        (None, Some(rest)) => (CpuKind::Performance, rest),
        (None, None) => return Err("is no size that is sold".to_owned()),
    };
    let cpus = rest.strip_suffix('x').and_then(|cpus| cpus.parse().ok());
    let cpus = cpus.ok_or_else(|| "is no size that is sold".to_owned())?;
    Ok(Size { kind: Some(kind), cpus: Some(cpus), memory_mib: None })
}
