//! What a keeper of secrets promises: values go from where they are read to the instance, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use trueup_types::secret::SecretSpec;
use trueup_types::{AppName, Release};

/// Reads secrets and keeps their values, by what they are: a release carries a fingerprint of them, and whoever makes its
/// instances asks for the values of that one, be it of now or of then.
pub trait Secrets: Send + Sync {
    /// Reads a secret from where its manifest says, keeps its values, and answers their keyed fingerprint: the same for the
    /// same values, and nothing that values could be tried against by whoever lacks the key.
    ///
    /// Paths begin at `root`. Blocks, and wants a thread for that, within a tokio runtime.
    ///
    /// # Errors
    /// One line: what cannot be had, and how to mend it; never a byte of a value.
    fn read(&self, spec: &SecretSpec, root: &Path) -> Result<String, String>;

    /// What the secrets of a release put into the environment of its instances: of two with one key the later wins.
    ///
    /// # Errors
    /// One line, where values of then are kept no more.
    fn environment(&self, release: &Release) -> Result<BTreeMap<String, String>, String>;

    /// A keyed digest of one value, for whoever has to know later whether it was this one.
    fn mark(&self, value: &str) -> String;

    /// Every value that is kept, so that it can be struck out of what is shown.
    fn values(&self) -> Arc<BTreeSet<String>>;

    /// Says which fingerprints the releases of an app may need again.
    fn needed(&self, app: &AppName, fingerprints: BTreeSet<String>);

    /// Removes what no app needs, and is not what was read last. Only for who has told of every app.
    fn sweep(&self);
}

/// Knows of no secret: for worlds that have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn read(&self, spec: &SecretSpec, _: &Path) -> Result<String, String> {
        Err(format!("the secret `{}` cannot be read here", spec.name))
    }

    fn environment(&self, release: &Release) -> Result<BTreeMap<String, String>, String> {
        match release.template.env_from.first() {
            None => Ok(BTreeMap::new()),
            Some(one) => Err(format!("the values of the secret `{}` are not kept here", one.secret)),
        }
    }

    fn mark(&self, _: &str) -> String {
        String::new()
    }

    fn values(&self) -> Arc<BTreeSet<String>> {
        Arc::default()
    }

    fn needed(&self, _: &AppName, _: BTreeSet<String>) {}

    fn sweep(&self) {}
}
