//! Which image a release is made of: looked up once, and then the same for all of its instances, wherever its tag goes.
//!
//! An image that the engine has is taken as it is; another one is fetched. What was found is kept in a small file, so that
//! a revert, or one instance more, gets the very image that the release was judged by.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::{Release, ReleaseDigest};

use crate::engine::{Fault, QUICK};
use crate::runtime::Inner;
use trueup_host::files::{self, Durability};

/// Most releases that are remembered; the longest untouched go first.
const PINS_MAX: usize = 2_000;

/// The image of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pin {
    release: ReleaseDigest,
    /// The image's id on this engine.
    id: String,
    /// What fetches the same again, where it came from a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

/// All of them, the newest last.
pub(crate) struct Pins {
    path: PathBuf,
    all: Mutex<Vec<Pin>>,
}

impl Pins {
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("images.json");
        let all = files::read(&path).unwrap_or_else(|error| {
            // Without them a tag is looked up again: what moved in between is then taken as it is.
            tracing::warn!(%error, "the images of earlier releases cannot be read");
            None
        });
        Ok(Self { path, all: Mutex::new(all.unwrap_or_default()) })
    }

    fn of(&self, release: ReleaseDigest) -> Option<Pin> {
        let all = self.all.lock().expect("no holder panics");
        all.iter().find(|pin| pin.release == release).cloned()
    }

    fn keep(&self, pin: Pin) -> std::io::Result<()> {
        let mut all = self.all.lock().expect("no holder panics");
        all.retain(|other| other.release != pin.release);
        all.push(pin);
        let surplus = all.len().saturating_sub(PINS_MAX);
        all.drain(..surplus);
        self.path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        files::write(&self.path, &*all, Durability::Synced)
    }
}

/// An image that the engine has.
struct Local {
    id: String,
    source: Option<String>,
}

impl Inner {
    /// The image to make an instance of a release from, once the engine has it.
    pub(crate) async fn image(self: &Arc<Self>, release: &Release) -> Result<String, StepOutcome> {
        let Some(image) = &release.template.image else {
            return Err(StepOutcome::Refused { why: Refusal::Invalid("the release names no image".to_owned()) });
        };
        match self.pins.of(release.digest) {
            Some(pin) => self.pinned(image, &pin).await,
            None => {
                if self.local(image).await?.is_none() {
                    self.pull(image).await?;
                }
                let Some(found) = self.local(image).await? else {
                    let why = format!("the image {image} was pulled, and is gone again");
                    return Err(StepOutcome::Retry { after: crate::engine::RETRY_AFTER, why });
                };
                let pin = Pin { release: release.digest, id: found.id, source: found.source };
                self.pins.keep(pin).map_err(|why| {
                    let why = format!("the image of {} cannot be kept in mind: {why}", release.app);
                    StepOutcome::Retry { after: crate::engine::RETRY_AFTER, why }
                })?;
                Ok(image.clone())
            }
        }
    }

    /// The name of the image that a release began with: its tag where that still says the same, else its id.
    async fn pinned(self: &Arc<Self>, image: &str, pin: &Pin) -> Result<String, StepOutcome> {
        if self.local(image).await?.is_some_and(|there| there.id == pin.id) {
            return Ok(image.to_owned());
        }
        if self.local(&pin.id).await?.is_some() {
            return Ok(pin.id.clone());
        }
        let Some(source) = &pin.source else {
            let why = format!("the image that the release began with ({}) is gone, and came from no registry", pin.id);
            return Err(StepOutcome::Refused { why: Refusal::Invalid(why) });
        };
        self.pull(source).await?;
        Ok(source.clone())
    }

    async fn local(&self, image: &str) -> Result<Option<Local>, StepOutcome> {
        let look = async {
            let client = self.engine.client().await?;
            self.engine.within(QUICK, client.inspect_image(image)).await
        };
        match look.await {
            Ok(found) => Ok(Some(Local {
                id: found.id.unwrap_or_default(),
                source: found.repo_digests.unwrap_or_default().into_iter().next(),
            })),
            Err(fault) if fault.is_absence() => Ok(None),
            // An engine that was asked for a name that is none says so.
            Err(fault @ Fault::Answer { status: 400, .. }) => Err(fault.outcome(image)),
            // Looking changes nothing: whatever went wrong, it can be tried again.
            Err(fault) => {
                let why = format!("the image {image}: {fault}");
                Err(StepOutcome::Retry { after: crate::engine::RETRY_AFTER, why })
            }
        }
    }
}
