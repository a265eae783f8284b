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
