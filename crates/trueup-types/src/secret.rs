//! A secret: keys and values that no manifest holds, and where they are read from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::Label;

/// Where the values of a secret are; they themselves are in no manifest, plan, record or status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretSpec {
    /// Its name, by which apps ask for it.
    pub name: Label,
    /// Where its values are.
    pub from: SecretFrom,
}

/// The one place that the values of a secret are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretFrom {
    /// Each key in a variable of the daemon's environment.
    Env(BTreeMap<String, String>),
    /// In this file of lines `KEY=value`, or in this folder of one file for each key; relative to the manifests' directory.
    File(String),
    /// On the standard output of this command, run in the manifests' directory.
    Exec(Vec<String>),
}

impl fmt::Display for SecretFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(_) => f.write_str("the daemon's environment"),
            Self::File(path) => write!(f, "{path}"),
            Self::Exec(command) => write!(f, "the command `{}`", command.first().map_or("", String::as_str)),
        }
    }
}

/// Whether text can be the name of a variable everywhere: what shells, engines and platforms agree on.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
