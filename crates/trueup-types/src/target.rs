//! A target: a runtime somewhere, and what it can serve.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::desired::DesiredApp;
use crate::name::{Label, TargetName};

/// One runtime somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetSpec {
    /// Its name.
    pub name: TargetName,
    /// What runs there.
    pub kind: TargetKind,
    /// Who routes to it.
    pub ingress: IngressKind,
}

impl TargetSpec {
    /// The target of apps that name none.
    #[must_use]
    pub fn local() -> Self {
        Self { name: TargetName::local(), kind: TargetKind::Process, ingress: IngressKind::Edge }
    }
}

/// What runs on a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetKind {
    /// Processes on this host.
    Process,
    /// Containers of a Docker engine.
    Docker(DockerSpec),
}

/// Where an engine is, and how containers are made on it, whatever the app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DockerSpec {
    /// The engine's address, as `unix:///var/run/docker.sock`, which is also its default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The network that all containers of the target are on; the engine's own where it is unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Label>,
    /// A configuration file of Docker's with credentials of registries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_auth_from: Option<String>,
    /// Whether the root of each container may only be read.
    pub read_only: bool,
    /// Folders of each container that are in memory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<String>,
    /// Capabilities that containers do without; `ALL` for every one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_capabilities: Vec<String>,
    /// Whether programs in containers can never gain rights that they did not start with.
    pub no_new_privileges: bool,
}

impl DockerSpec {
    /// What an engine's address begins with.
    pub const SCHEME: &str = "unix://";
    /// The socket of an engine that nobody has named.
    const SOCKET: &str = "/var/run/docker.sock";

    /// The engine's socket.
    #[must_use]
    pub fn socket(&self) -> &str {
        let host = self.host.as_deref().unwrap_or(Self::SOCKET);
        host.strip_prefix(Self::SCHEME).unwrap_or(host)
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("process"),
            Self::Docker(_) => f.write_str("docker"),
        }
    }
}

/// Who routes to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IngressKind {
    /// The built-in edge proxy.
    Edge,
    /// Nobody: routes are an error.
    None,
}

impl TargetKind {
    /// The manifest fields of `app` that this kind does not serve, as paths below `spec`.
    ///
    /// A field that is not served is an error by name, never ignored.
    #[must_use]
    pub fn unserved(&self, app: &DesiredApp) -> Vec<&'static str> {
        let template = &app.template;
        let elsewhere = app.placement.spread.keys().any(|place| place.as_str() != "here");
        match self {
            Self::Docker(_) => {
                let asked = [
                    (template.build.is_some(), "build"),
                    (template.source.is_some(), "source"),
                    (!template.env_from.is_empty(), "envFrom"),
                    (template.resources.cpu_kind.is_some(), "resources.cpuKind"),
                    (template.concurrency.is_some(), "concurrency"),
                    (template.autostop.is_some(), "autostop"),
                    (elsewhere, "regions"),
                ];
                asked.into_iter().filter_map(|(there, path)| there.then_some(path)).collect()
            }
            Self::Process => {
                let asked = [
                    (template.image.is_some(), "image"),
                    (template.build.is_some(), "build"),
                    (template.source.is_some(), "source"),
                    (!template.env_from.is_empty(), "envFrom"),
                    (template.resources.cpu_kind.is_some(), "resources.cpuKind"),
                    (template.resources.cpus.is_some(), "resources.cpus"),
                    (template.concurrency.is_some(), "concurrency"),
                    (template.autostop.is_some(), "autostop"),
                    (!template.volumes.is_empty(), "volumes"),
                    (elsewhere, "regions"),
                ];
                asked.into_iter().filter_map(|(there, path)| there.then_some(path)).collect()
            }
        }
    }
}
