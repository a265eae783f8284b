//! What a target of containers is: where its engine is, who is let in, and how containers are made on it.
//!
//! The manifest hands over a [`DockerSpec`]; the adapter reads it. Knows neither the wire nor the network.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::fly::TokenFrom;
use crate::name::Label;

/// Where an engine is, and how containers are made on it, whatever the app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DockerSpec {
    /// The engine's address, as `unix:///var/run/docker.sock`, which is also its default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The address of the engine's host that ports are published on; 127.0.0.1 where it is unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<IpAddr>,
    /// The network that all containers of the target are on; the engine's own where it is unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Label>,
    /// A configuration file of Docker's with credentials of registries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_auth_from: Option<String>,
    /// The registries that manifests know credentials of: every `Registry` of the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registries: Vec<RegistrySpec>,
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
    /// Names of hosts that containers know beyond those of the network, each with its address.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_hosts: BTreeMap<String, String>,
    /// How the engine keeps the logs of containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSpec>,
    /// Who starts again what has ended.
    #[serde(skip_serializing_if = "RestartBy::is_trueup")]
    pub restart: RestartBy,
    /// What becomes of images that no release needs any more.
    #[serde(skip_serializing_if = "OldImages::stay")]
    pub old_images: OldImages,
    /// Whether an image's own HEALTHCHECK is asked.
    #[serde(skip_serializing_if = "Healthcheck::is_image")]
    pub healthcheck: Healthcheck,
}

/// A registry, and who asks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistrySpec {
    /// Its name in the manifests.
    pub name: Label,
    /// Its host, as images name it: `registry.example.com:5000`.
    pub host: String,
    /// Who asks.
    pub username: String,
    /// Where the password is.
    pub password_from: TokenFrom,
}

/// How the engine keeps the logs of containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogSpec {
    /// Which of its ways; only of some can `trueup logs` read them back.
    pub driver: LogDriver,
    /// Words for it, as the engine knows them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A way of an engine's to keep logs that can be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// A file of JSON for each container.
    JsonFile,
    /// The engine's own format, smaller.
    Local,
    /// systemd's journal.
    Journald,
}

impl LogDriver {
    /// The word of manifests and of engines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::Local => "local",
            Self::Journald => "journald",
        }
    }
}

/// Who starts again what has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RestartBy {
    /// trueup, once it runs.
    #[default]
    Trueup,
    /// The engine, so that apps are back after a reboot before anybody else is.
    Engine,
}

impl RestartBy {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
    fn is_trueup(&self) -> bool {
        *self == Self::Trueup
    }
}

/// What becomes of images that no release needs any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OldImages {
    /// They stay.
    #[default]
    Keep,
    /// Those that were pulled or built for a release of ours are removed once no release that is kept needs them.
    Prune,
}

impl OldImages {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
    fn stay(&self) -> bool {
        *self == Self::Keep
    }
}

/// Whether an image's own HEALTHCHECK is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Healthcheck {
    /// Where the image has one.
    #[default]
    Image,
    /// Never.
    Off,
}

impl Healthcheck {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
    fn is_image(&self) -> bool {
        *self == Self::Image
    }
}

/// Where an engine listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// A socket of this host.
    Socket(&'a str),
    /// A host and a port, in the clear.
    Tcp(&'a str),
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}{path}", DockerSpec::SCHEME),
            Self::Tcp(host) => write!(f, "{}{host}", DockerSpec::TCP),
        }
    }
}

impl DockerSpec {
    /// What the address of a socket begins with.
    pub const SCHEME: &str = "unix://";
    /// What the address of an engine begins with that listens on a port.
    pub const TCP: &str = "tcp://";
    /// The socket of an engine that nobody has named.
    const SOCKET: &str = "/var/run/docker.sock";

    /// The address that ports are published on.
    #[must_use]
    pub fn published(&self) -> IpAddr {
        self.publish.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Where the engine listens.
    #[must_use]
    pub fn address(&self) -> Address<'_> {
        let host = self.host.as_deref().unwrap_or(Self::SOCKET);
        match host.strip_prefix(Self::TCP) {
            Some(host) => Address::Tcp(host),
            None => Address::Socket(host.strip_prefix(Self::SCHEME).unwrap_or(host)),
        }
    }
}
