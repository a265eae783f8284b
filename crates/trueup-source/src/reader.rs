//! Who turns texts into apps: the one thing that a source must be given.

use std::collections::BTreeMap;
use std::sync::Arc;

use trueup_types::desired::DesiredApp;
use trueup_types::secret::SecretSpec;
use trueup_types::target::TargetSpec;
use trueup_types::{AppName, Label, TargetName};

/// Turns all the files of a source into apps and targets.
pub trait Reader: Send + Sync {
    /// Reads files, by path relative to the root (`/` between folders).
    ///
    /// A pure function of the texts. It is given all of them, as a Profile or Target in one file concerns apps in
    /// others; a file that has not changed is the same `Arc` as before, so that what was parsed can be kept by it. It
    /// may be called several times for one listing: with what is there, then with last good texts for files at fault.
    ///
    /// Names and routes that two files claim need not be judged: the source, which knows who holds them, does.
    fn resolve(&self, files: &BTreeMap<String, Arc<str>>) -> Resolved;
}

/// What all files together say.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// What each file says; a file left out says nothing, which is no error.
    pub files: BTreeMap<String, FileOutcome>,
    /// The targets.
    pub targets: BTreeMap<TargetName, TargetSpec>,
    /// Where the secrets are that apps ask for.
    pub secrets: BTreeMap<Label, SecretSpec>,
}

/// What one file says.
#[derive(Debug, Clone, Default)]
pub struct FileOutcome {
    /// Its apps; of no account when there are errors.
    pub apps: Vec<Arc<DesiredApp>>,
    /// What is wrong with it, most important first; the first line of each must stand by itself.
    pub errors: Vec<String>,
    /// The apps that it may hold though it has errors, as far as can be told.
    pub claims: Vec<AppName>,
}
