//! Who may reach an app. A change here restarts nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::PortName;

/// The routes of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// In the manifest's order; host and path are unique over all apps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// One way in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The host, in lower case and without a port.
    pub host: String,
    /// The path prefix, beginning with `/`.
    pub path: String,
    /// The port of the template that answers.
    pub port: PortName,
    /// Whether and how the way in is encrypted.
    #[serde(default, skip_serializing_if = "Tls::is_off")]
    pub tls: Tls,
}

impl Route {
    /// What no two apps may share.
    #[must_use]
    pub fn key(&self) -> (&str, &str) {
        (&self.host, &self.path)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host, self.path)
    }
}

/// Whether and how a route is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tls {
    /// In the clear.
    #[default]
    Off,
    /// A certificate is obtained and renewed.
    Auto,
}

impl Tls {
    fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// How it stands with the certificate of a host, where a platform obtains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// The host.
    pub host: String,
    /// How far it has come.
    pub state: Certified,
}

/// How far a certificate has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Certified {
    /// It is there.
    Issued,
    /// It was asked for, and comes once the DNS says so.
    Pending {
        /// What its owner must set, one line.
        records: String,
    },
    /// It could not be asked for, or nobody could ask how it stands: one line.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Certified {
    /// One word, for tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Issued => "Issued",
            Self::Pending { .. } => "Pending",
            Self::Unknown { .. } => "Unknown",
        }
    }
}
