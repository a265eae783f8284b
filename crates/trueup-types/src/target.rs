//! A target: a runtime somewhere, and what it can serve.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::desired::DesiredApp;
pub use crate::docker::DockerSpec;
pub use crate::fly::FlySpec;
use crate::name::TargetName;
use crate::pattern::HostPattern;

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
    /// How the hosts of its apps' routes are called that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<HostPattern>,
}

impl TargetSpec {
    /// The target of apps that name none.
    #[must_use]
    pub fn local() -> Self {
        Self { name: TargetName::local(), kind: TargetKind::Process, ingress: IngressKind::Edge, hosts: None }
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
    /// Fly.io Machines.
    Fly(FlySpec),
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("process"),
            Self::Docker(_) => f.write_str("docker"),
            Self::Fly(_) => f.write_str("fly"),
        }
    }
}

/// Who routes to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IngressKind {
    /// The built-in edge proxy.
    Edge,
    /// The platform itself.
    Platform,
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
                    (template.source.is_some(), "source"),
                    (template.resources.cpu_kind.is_some(), "resources.cpuKind"),
                    (template.concurrency.is_some(), "concurrency"),
                    (template.autostop.is_some(), "autostop"),
                    (template.force_https.is_some(), "forceHttps"),
                    (template.bake_keep.is_some(), "rollout.bakeKeep"),
                    (elsewhere, "regions"),
                ];
                asked.into_iter().filter_map(|(there, path)| there.then_some(path)).collect()
            }
            Self::Fly(_) => {
                let resources = &template.resources;
                let asked = [
                    (template.build.is_some(), "build"),
                    (template.source.is_some(), "source"),
                    (template.workdir.is_some(), "workdir"),
                    (template.user.is_some(), "user"),
                    (resources.pids.is_some(), "resources.pids"),
                    (resources.open_files.is_some(), "resources.openFiles"),
                ];
                asked.into_iter().filter_map(|(there, path)| there.then_some(path)).collect()
            }
            Self::Process => {
                let asked = [
                    (template.image.is_some(), "image"),
                    (template.build.is_some(), "build"),
                    (template.source.is_some(), "source"),
                    (template.resources.cpu_kind.is_some(), "resources.cpuKind"),
                    (template.resources.cpus.is_some(), "resources.cpus"),
                    (template.concurrency.is_some(), "concurrency"),
                    (template.autostop.is_some(), "autostop"),
                    (template.force_https.is_some(), "forceHttps"),
                    (template.bake_keep.is_some(), "rollout.bakeKeep"),
                    (!template.volumes.is_empty(), "volumes"),
                    (elsewhere, "regions"),
                ];
                asked.into_iter().filter_map(|(there, path)| there.then_some(path)).collect()
            }
        }
    }
}
