//! A machine's config as the platform keeps it: fields it knows, spelled its way, with what it adds.
//!
//! [`Config::parse`] is given what a client sent and gives back what the client will be shown, together with the few
//! parts that the simulation acts upon.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::Refusal;
use crate::shape;
use crate::time::Span;

/// Largest number of volumes that one machine mounts.
const MOUNTS_MAX: usize = 1;
/// Longest time that a program may take to stop.
const STOP_MAX: Duration = Duration::from_secs(300);
/// Shortest interval of a check at the top level.
const TOP_INTERVAL_MIN: Duration = Duration::from_secs(2);
/// Longest a check may wait for its answer.
const CHECK_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// A config: as it is shown, and as it is acted upon.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// As it is shown.
    pub shown: Value,
    /// As it is acted upon.
    pub acted: Acted,
}

/// The parts of a config that change what happens.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Acted {
    pub image: String,
    pub env: BTreeMap<String, String>,
    pub metadata: BTreeMap<String, String>,
    pub init: Init,
    pub guest: Guest,
    pub mounts: Vec<Mount>,
    pub services: Vec<Service>,
    pub checks: BTreeMap<String, Check>,
    pub restart: Restart,
    pub stop_config: Stop,
    pub auto_destroy: bool,
    pub standbys: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Init {
    pub exec: Vec<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Guest {
    pub cpu_kind: String,
    pub cpus: u64,
    pub memory_mb: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mount {
    pub volume: String,
    pub path: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Service {
    pub protocol: String,
    pub internal_port: u16,
    pub ports: Vec<Port>,
    pub checks: Vec<Check>,
    pub autostop: Value,
    pub autostart: Option<bool>,
    pub min_machines_running: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Port {
    pub handlers: Vec<String>,
    pub force_https: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Check {
    pub kind: String,
    #[serde(rename = "type")]
    pub how: String,
    pub port: Option<u16>,
    pub path: String,
    pub interval: Option<Span>,
    pub timeout: Option<Span>,
    pub grace_period: Option<Span>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Restart {
    pub policy: String,
    pub max_retries: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stop {
    pub signal: String,
    pub timeout: Option<Span>,
}

/// What happens when a program ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Never,
    OnFailure,
    Always,
}

/// What the proxy does to a machine that nobody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Autostop {
    Off,
    Stop,
    Suspend,
}

impl Config {
    /// Reads what a client sent.
    ///
    /// # Errors
    /// 400 with the platform's words, when it is refused.
    pub(crate) fn parse(sent: Value) -> Result<Self, Refusal> {
        let bad = |why: String| Refusal::new(400, why);
        let shown = shape::normalise(sent, &shape::CONFIG, "config").map_err(bad)?;
        let mut shown = shown.ok_or_else(|| bad("invalid_argument: config is required".to_owned()))?;
        complete(&mut shown).map_err(bad)?;
        let acted: Acted =
            serde_json::from_value(shown.clone()).map_err(|why| bad(format!("invalid_argument: {why}")))?;
        sound(&acted).map_err(|why| bad(format!("invalid_argument: {why}")))?;
        Ok(Self { shown, acted })
    }

    /// Changes a value of the metadata, in both views; `None` takes it away.
    pub(crate) fn set_metadata(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => {
                self.shown["metadata"][key] = json!(value);
                self.acted.metadata.insert(key.to_owned(), value.to_owned());
            }
            None => {
                if let Some(metadata) = self.shown.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove(key);
                }
                self.acted.metadata.remove(key);
            }
        }
    }
}

impl Acted {
    /// What happens when the program ends by itself; `on-failure` where nothing is said.
    pub(crate) fn policy(&self) -> Policy {
        match self.restart.policy.as_str() {
            "no" => Policy::Never,
            "always" => Policy::Always,
            _ => Policy::OnFailure,
        }
    }

    /// Whether it runs a command once, as a release command is run: it serves nobody, is asked nothing, and is not started
    /// again.
    pub(crate) fn is_command(&self) -> bool {
        let told = !self.init.exec.is_empty() || !self.init.cmd.is_empty();
        told && self.policy() == Policy::Never && self.services.is_empty() && self.checks.is_empty()
    }

    /// What the proxy does when nobody asks: the boldest of the services' words.
    pub(crate) fn autostop(&self) -> Autostop {
        let words = self.services.iter().map(|service| &service.autostop);
        words.fold(Autostop::Off, |so_far, word| match word {
            Value::Bool(true) => Autostop::Stop,
            Value::String(text) if text == "suspend" => Autostop::Suspend,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                so_far
            }
        })
    }

    /// Whether a request may wake it.
    pub(crate) fn autostart(&self) -> bool {
        !self.services.is_empty() && self.services.iter().all(|service| service.autostart.unwrap_or(true))
    }
}

/// What the platform adds and rewrites.
fn complete(shown: &mut Value) -> Result<(), String> {
    let preset = shown.as_object_mut().and_then(|fields| fields.remove("size"));
    if let Some(size) = preset.as_ref().and_then(Value::as_str) {
        let (kind, cpus) = preset_of(size).ok_or_else(|| format!("invalid_argument: unknown size '{size}'"))?;
        let per_cpu = if kind == "shared" { 256 } else { 2_048 };
        let guest = json!({"cpu_kind": kind, "cpus": cpus, "memory_mb": cpus * per_cpu});
        shown["guest"] = guest;
    }
    for (name, default) in [("cpu_kind", json!("shared")), ("cpus", json!(1))] {
        if shown["guest"].get(name).is_none() {
            shown["guest"][name] = default;
        }
    }
    if shown["guest"].get("memory_mb").is_none() {
        let cpus = shown["guest"]["cpus"].as_u64().unwrap_or(1);
        let per_cpu = if shown["guest"]["cpu_kind"] == "shared" { 256 } else { 2_048 };
        shown["guest"]["memory_mb"] = json!(cpus * per_cpu);
    }
    for name in ["init", "dns"] {
        if shown.get(name).is_none() {
            shown[name] = json!({});
        }
    }
    Ok(())
}

/// What `shared-cpu-2x` means.
fn preset_of(size: &str) -> Option<(&'static str, u64)> {
    let (kind, count) = if let Some(rest) = size.strip_prefix("shared-cpu-") {
        ("shared", rest)
    } else {
        ("performance", size.strip_prefix("performance-")?)
    };
    Some((kind, count.strip_suffix('x')?.parse().ok()?))
}

/// Whether the values make sense together.
fn sound(config: &Acted) -> Result<(), String> {
    if config.image.is_empty() {
        return Err("config.image is required".to_owned());
    }
    guest(&config.guest)?;
    if config.mounts.len() > MOUNTS_MAX {
        return Err("machine can only have one mount".to_owned());
    }
    if !config.standbys.is_empty() && !config.services.is_empty() {
        return Err("standby machines cannot have services".to_owned());
    }
    if config.stop_config.timeout.is_some_and(|timeout| timeout.0 > STOP_MAX) {
        return Err("stop_config.timeout cannot be longer than 5m0s".to_owned());
    }
    for service in &config.services {
        if service.internal_port == 0 {
            return Err("services.internal_port is required".to_owned());
        }
        let forced = |port: &Port| port.force_https && !port.handlers.iter().any(|handler| handler == "http");
        if service.ports.iter().any(forced) {
            return Err("force_https is only supported with the http handler".to_owned());
        }
    }
    for (name, check) in &config.checks {
        if check.interval.is_some_and(|interval| interval.0 < TOP_INTERVAL_MIN) {
            return Err(format!("check '{name}' has an interval below 2s"));
        }
        if check.timeout.is_some_and(|timeout| timeout.0 > CHECK_TIMEOUT_MAX) {
            return Err(format!("check '{name}' has a timeout above 1m0s"));
        }
        if check.port.is_none() {
            return Err(format!("check '{name}' has no port"));
        }
    }
    Ok(())
}

/// Whether there is a guest of this size.
fn guest(guest: &Guest) -> Result<(), String> {
    let (counts, low, high, step): (&[u64], _, _, _) = if guest.cpu_kind == "performance" {
        (&[1, 2, 4, 6, 8, 10, 12, 14, 16], 2_048, 8_192, 2_048)
    } else {
        (&[1, 2, 4, 6, 8], 256, 2_048, 256)
    };
    let Guest { cpu_kind, cpus, memory_mb } = guest;
    if !counts.contains(cpus) {
        return Err(format!("invalid number of cpus for {cpu_kind} machines: {cpus}"));
    }
    if *memory_mb < low * cpus {
        return Err(format!("for {cpu_kind} machines with {cpus} cpus the minimum memory is {} MiB", low * cpus));
    }
    if *memory_mb > high * cpus {
        return Err(format!("for {cpu_kind} machines with {cpus} cpus the maximum memory is {} MiB", high * cpus));
    }
    if memory_mb % step != 0 {
        return Err(format!("memory size {memory_mb} MiB is not a multiple of {step} MiB"));
    }
    Ok(())
}
