//! Probes: the questions asked of each instance, part of what it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::{Label, PortName};
use crate::time::human;

/// One probe: a question asked of each instance again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Its name, unique in the template.
    pub name: Label,
    /// The question.
    pub check: Check,
    /// From one question to the next.
    #[serde(with = "human")]
    pub interval: Duration,
    /// Longest wait for an answer.
    #[serde(with = "human")]
    pub timeout: Duration,
    /// After the start, failures within this time count as `Waiting`, not as `Failed`.
    #[serde(with = "human")]
    pub grace: Duration,
    /// Failures in a row that make it failed; at least 1.
    pub failures: u32,
    /// Successes in a row that make it passing; at least 1.
    pub successes: u32,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    /// `GET path`, good when the status is one of those given.
    #[serde(rename_all = "camelCase")]
    Http {
        /// The path, beginning with `/`.
        path: String,
        /// The port by name.
        port: PortName,
        /// Good statuses, each 100 to 599; not empty.
        #[serde(default = "Check::any_success", skip_serializing_if = "is_any_success")]
        status: Vec<u16>,
    },
    /// Good when a connection opens.
    #[serde(rename_all = "camelCase")]
    Tcp {
        /// The port by name.
        port: PortName,
    },
    /// Good when the command exits with 0, run as the instance's user with its environment.
    #[serde(rename_all = "camelCase")]
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// Good when the upgrade is accepted and a ping is answered.
    #[serde(rename_all = "camelCase")]
    Websocket {
        /// The path, beginning with `/`.
        path: String,
        /// The port by name.
        port: PortName,
    },
}

impl Check {
    /// The good statuses of a probe that names none: 200 to 299.
    #[must_use]
    pub fn any_success() -> Vec<u16> {
        (200..=299).collect()
    }
}

fn is_any_success(status: &Vec<u16>) -> bool {
    status.len() == 100 && *status == Check::any_success()
}
