//! What is written on a container: whose it is, which instance, and the whole release.

use std::collections::HashMap;
use std::sync::Arc;

use trueup_types::{InstanceId, OwnerId, Release, ReleaseDigest, TargetName};

/// The version of what we write. A newer one than ours is an error, never a guess.
pub(crate) const VERSION: u32 = 1;

/// Whose it is: what does not carry ours is not touched.
pub(crate) const OWNER: &str = "dev.trueup.owner";
/// For which target it was made: two may share an engine.
pub(crate) const TARGET: &str = "dev.trueup.target";
/// The name of the instance.
pub(crate) const INSTANCE: &str = "dev.trueup.instance";
/// The app, for people and for events.
pub(crate) const APP: &str = "dev.trueup.app";
const REVISION: &str = "dev.trueup.revision";
const DIGEST: &str = "dev.trueup.digest";
const RELEASE: &str = "dev.trueup.release";
const LABELS_VERSION: &str = "dev.trueup.version";

/// Whose containers, of which target.
#[derive(Debug, Clone)]
pub(crate) struct Mine {
    pub owner: OwnerId,
    pub target: TargetName,
}

impl Mine {
    /// The name of an instance's container: derived, so that nothing is created twice.
    pub(crate) fn container(&self, id: &InstanceId) -> String {
        format!("{}-{id}", self.owner)
    }

    /// The same where another target of ours has that name on the same engine.
    pub(crate) fn container_apart(&self, id: &InstanceId) -> String {
        format!("{}-{}-{id}", self.owner, self.target)
    }

    /// Whether labels say that something is ours, of another target.
    pub(crate) fn is_of_another_target(&self, labels: &HashMap<String, String>) -> bool {
        let owner = labels.get(OWNER).is_some_and(|owner| owner == self.owner.as_str());
        owner && labels.get(TARGET).is_some_and(|target| target != self.target.as_str())
    }

    /// The labels of what belongs to no single instance.
    pub(crate) fn common(&self) -> HashMap<String, String> {
        HashMap::from([
            (OWNER.to_owned(), self.owner.to_string()),
            (TARGET.to_owned(), self.target.to_string()),
            (LABELS_VERSION.to_owned(), VERSION.to_string()),
        ])
    }

    /// The labels of an instance.
    pub(crate) fn of(&self, id: &InstanceId, release: &Release) -> HashMap<String, String> {
        let mut labels = self.common();
        labels.extend([
            (APP.to_owned(), id.app.to_string()),
            (INSTANCE.to_owned(), id.to_string()),
            (REVISION.to_owned(), release.revision.0.to_string()),
            (DIGEST.to_owned(), release.digest.to_string()),
            (RELEASE.to_owned(), serde_json::to_string(release).expect("our own types always become JSON")),
        ]);
        labels
    }

    /// The filter of a listing that shows all of ours.
    pub(crate) fn filter(&self) -> Vec<String> {
        vec![format!("{OWNER}={}", self.owner), format!("{TARGET}={}", self.target)]
    }

    /// Whether labels say that something is ours.
    pub(crate) fn owns(&self, labels: &HashMap<String, String>) -> bool {
        let says = |key, value: &str| labels.get(key).is_some_and(|there| there == value);
        says(OWNER, self.owner.as_str()) && says(TARGET, self.target.as_str())
    }
}

/// What the labels of an instance say.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub id: InstanceId,
    pub digest: ReleaseDigest,
    /// `None` where somebody has written something else there.
    pub release: Option<Arc<Release>>,
}

impl Written {
    /// Reads them; the error is one line.
    pub(crate) fn read(labels: &HashMap<String, String>) -> Result<Self, String> {
        let label = |key: &str| labels.get(key).map(String::as_str).unwrap_or_default();
        let version: u32 = label(LABELS_VERSION).parse().unwrap_or(0);
        if version > VERSION {
            let name = label(INSTANCE);
            return Err(format!("{name} is of version {version}; this trueup knows up to {VERSION}: upgrade it"));
        }
        let id: InstanceId = label(INSTANCE).parse().map_err(|error| format!("its label {INSTANCE}: {error}"))?;
        let digest: ReleaseDigest =
            label(DIGEST).parse().map_err(|error| format!("{id}: its label {DIGEST}: {error}"))?;
        let release: Option<Release> = serde_json::from_str(label(RELEASE)).ok();
        let release = release.filter(|release| release.digest == digest && release.app == id.app).map(Arc::new);
        Ok(Self { id, digest, release })
    }
}
