//! What is written on a machine: whose it is, which instance of which release.
//!
//! Labels are in every listing, that of a whole organisation too; the release itself is in a file of the machine's config
//! ([`crate::RELEASE_PATH`]), which a closer look shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use trueup_types::fly::FlySpec;
use trueup_types::{InstanceId, OwnerId, Release, ReleaseDigest, TargetName};

use crate::config::MachineConfig;
use crate::lower::{LOWERING, RELEASE_PATH};
use crate::record::Mark;

/// The version of what we write. A newer one than ours is an error, never a guess.
const VERSION: u32 = 1;

/// Whose it is: what does not carry ours is not touched.
const OWNER: &str = "trueup_owner";
/// For which target it was made: two may share an organisation.
const TARGET: &str = "trueup_target";
/// The name of the instance.
const INSTANCE: &str = "trueup_instance";
const APP: &str = "trueup_app";
const REVISION: &str = "trueup_revision";
const ORDINAL: &str = "trueup_ordinal";
const DIGEST: &str = "trueup_digest";
/// Which create made it: the same for each try of one.
const OPERATION: &str = "trueup_operation";
/// The image that it was made with.
const IMAGE: &str = "trueup_image";
/// The version of the lowering that made it.
const MADE_BY: &str = "trueup_lowering";
const LABELS_VERSION: &str = "trueup_version";
/// Which record of flyctl's a machine's release has, and its number; our own, where it has none.
const RELEASE_ID: &str = "fly_release_id";
const RELEASE_VERSION: &str = "fly_release_version";

/// Whose machines, of which target.
#[derive(Debug, Clone)]
pub(crate) struct Mine {
    pub owner: OwnerId,
    pub target: TargetName,
}

/// What labels say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub id: InstanceId,
    pub digest: ReleaseDigest,
    pub image: String,
    /// Whether this daemon would make the same of the same release.
    pub same_lowering: bool,
}

impl Mine {
    /// The name of one deed of ours: whoever finds it on a machine knows that this deed has made it.
    pub(crate) fn operation(&self, id: &InstanceId, digest: &ReleaseDigest) -> String {
        format!("{}.{}.{id}.{}", self.owner, self.target, digest.short())
    }

    /// Writes the labels of an instance on its config.
    pub(crate) fn label(
        &self,
        config: &mut MachineConfig,
        id: &InstanceId,
        release: &Release,
        settings: &FlySpec,
        mark: Option<&Mark>,
    ) {
        let pairs = [
            (OWNER, self.owner.to_string()),
            (TARGET, self.target.to_string()),
            (APP, id.app.to_string()),
            (INSTANCE, id.to_string()),
            (REVISION, id.revision.0.to_string()),
            (ORDINAL, id.ordinal.to_string()),
            (DIGEST, release.digest.to_string()),
            (OPERATION, self.operation(id, &release.digest)),
            (IMAGE, config.image.clone()),
            (MADE_BY, LOWERING.to_string()),
            (LABELS_VERSION, VERSION.to_string()),
        ];
        config.metadata.extend(pairs.map(|(key, value)| (key.to_owned(), value)));
        if settings.flyctl_metadata {
            let group = if id.task.is_some() { "fly_app_release_command" } else { "app" };
            let theirs = [
                ("fly_platform_version", "v2".to_owned()),
                ("fly_process_group", group.to_owned()),
                (RELEASE_VERSION, mark.map_or(id.revision.0, |mark| mark.version).to_string()),
            ];
            config.metadata.extend(theirs.map(|(key, value)| (key.to_owned(), value)));
            config.metadata.extend(mark.map(|mark| (RELEASE_ID.to_owned(), mark.id.clone())));
        }
    }

    /// Whether labels say that something is ours.
    pub(crate) fn owns(&self, labels: &BTreeMap<String, String>) -> bool {
        let says = |key, value: &str| labels.get(key).is_some_and(|there| there == value);
        says(OWNER, self.owner.as_str()) && says(TARGET, self.target.as_str())
    }
}

impl Written {
    /// Reads labels of ours.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(crate) fn read(labels: &BTreeMap<String, String>) -> Result<Self, String> {
        let of = |key| labels.get(key).map(String::as_str).unwrap_or_default();
        let version = of(LABELS_VERSION);
        if version.parse::<u32>().is_ok_and(|version| version > VERSION) {
            return Err(format!("its labels are of version {version}, later than ours; upgrade this daemon"));
        }
        let id = of(INSTANCE).parse().map_err(|why| format!("its label {INSTANCE}: {why}"))?;
        let digest = of(DIGEST).parse().map_err(|why| format!("its label {DIGEST}: {why}"))?;
        let same_lowering = of(MADE_BY) == LOWERING.to_string();
        Ok(Self { id, digest, image: of(IMAGE).to_owned(), same_lowering })
    }
}

/// The record that a machine's release has, by its labels.
pub(crate) fn mark(labels: &BTreeMap<String, String>) -> Option<Mark> {
    let version = labels.get(RELEASE_VERSION)?.parse().ok()?;
    Some(Mark { id: labels.get(RELEASE_ID)?.clone(), version })
}

/// The release that a machine carries, where it is the one that its labels name.
pub(crate) fn release(config: &Value, written: &Written) -> Option<Arc<Release>> {
    let files = config.get("files")?.as_array()?;
    let file = files.iter().find(|file| file.get("guest_path").and_then(Value::as_str) == Some(RELEASE_PATH))?;
    let text = STANDARD.decode(file.get("raw_value")?.as_str()?).ok()?;
    let release: Release = serde_json::from_slice(&text).ok()?;
    // What somebody has put in its place is not believed.
    let whole = release.digest == written.digest && release.app == written.id.app;
    whole.then(|| Arc::new(release))
}

#[cfg(test)]
mod tests {
    use trueup_sim::AppSketch;
    use trueup_types::Revision;

    use super::*;

    /// The labels of a machine of ours that are not in our own names.
    fn theirs(flyctl_metadata: bool, id: &str, mark: Option<&Mark>) -> BTreeMap<String, String> {
        let mine =
            Mine { owner: OwnerId::new("ours").expect("a name"), target: TargetName::new("prod").expect("a name") };
        let settings = FlySpec { flyctl_metadata, ..crate::sample::settings() };
        let mut config = MachineConfig::default();
        let id = id.parse().expect("a name");
        mine.label(&mut config, &id, &AppSketch::web("web").release(Revision(3)), &settings, mark);
        assert_eq!(Written::read(&config.metadata).expect("it is read back").id, id);
        config.metadata.retain(|key, _| !key.starts_with("trueup_"));
        config.metadata
    }

    #[test]
    fn flyctls_marks_are_written_where_somebody_asks_for_them_alone() {
        let record = Mark { id: "rel_9".to_owned(), version: 7 };
        assert_eq!(theirs(false, "web-r3-0", Some(&record)), BTreeMap::new());
        let pairs = |group: &str, version: &str| -> BTreeMap<String, String> {
            [("fly_platform_version", "v2"), ("fly_process_group", group), ("fly_release_version", version)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        };
        assert_eq!(theirs(true, "web-r3-0", None), pairs("app", "3"), "no record, no id");
        let written = theirs(true, "web-r3-pre0", Some(&record));
        assert_eq!(mark(&written), Some(record), "it is read back");
        let mut wanted = pairs("fly_app_release_command", "7");
        wanted.insert("fly_release_id".to_owned(), "rel_9".to_owned());
        assert_eq!(written, wanted, "a hook is none of the app's");
    }
}
