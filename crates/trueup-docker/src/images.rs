//! Which image a release is made of: looked up once, and then the same for all of its instances, wherever its tag goes.
//!
//! An image that the engine has is taken as it is; another one is fetched, or built. What was found is kept in a small file, so that
//! a revert, or one instance more, gets the very image that the release was judged by.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::query_parameters::RemoveImageOptionsBuilder;
use serde::{Deserialize, Serialize};
use trueup_host::files::{self, Durability};
use trueup_types::docker::OldImages;
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::{AppName, Release, ReleaseDigest};

use crate::build::Recipe;
use crate::engine::{Fault, QUICK, RETRY_AFTER};
use crate::names;
use crate::pull;
use crate::runtime::Inner;

/// Most releases that are remembered; the longest untouched go first.
const PINS_MAX: usize = 2_000;
/// Longest that the removal of an image may take: its layers are folders full of files.
const REMOVAL: Duration = Duration::from_secs(60);

/// The image of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pin {
    release: ReleaseDigest,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app: Option<AppName>,
    /// What it was called then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The image's id on this engine.
    id: String,
    /// What fetches the same again, where it came from a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Whether it is here because of us.
    #[serde(default)]
    ours: bool,
    /// The last name that it was held against, and whether that meant the same image then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_against: Option<(String, bool)>,
}

impl Pin {
    /// Whether this is the image of that id.
    pub(crate) fn is(&self, id: &str) -> bool {
        self.id == id
    }

    /// Whether a digest fetches it.
    pub(crate) fn fetched_by(&self, digest: &str) -> bool {
        self.source.as_deref().is_some_and(|source| names::bare(source) == digest)
    }

    /// Whether a name means this image, where that was found out.
    pub(crate) fn told(&self, image: &str) -> Option<bool> {
        let own = self.name.as_deref().is_some_and(|name| name == image);
        if own {
            return Some(true);
        }
        self.held_against.as_ref().filter(|(name, _)| name == image).map(|(_, same)| *same)
    }
}

/// All of them, the newest last.
pub(crate) struct Pins {
    path: PathBuf,
    all: Mutex<Vec<Pin>>,
    /// The names of images that were not here when we began to bring them; a step ends before they have come. A daemon that
    /// begins anew takes what came meanwhile for somebody else's, and leaves it.
    begun: Mutex<BTreeSet<String>>,
}

impl Pins {
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("images.json");
        let all = files::read(&path).unwrap_or_else(|error| {
            // Without them a tag is looked up again: what moved in between is then taken as it is.
            tracing::warn!(%error, "the images of earlier releases cannot be read");
            None
        });
        Ok(Self { path, all: Mutex::new(all.unwrap_or_default()), begun: Mutex::default() })
    }

    pub(crate) fn of(&self, release: ReleaseDigest) -> Option<Pin> {
        let all = self.all.lock().expect("no holder panics");
        all.iter().find(|pin| pin.release == release).cloned()
    }

    fn keep(&self, pin: Pin) -> std::io::Result<()> {
        let mut all = self.all.lock().expect("no holder panics");
        all.retain(|other| other.release != pin.release);
        all.push(pin);
        let surplus = all.len().saturating_sub(PINS_MAX);
        all.drain(..surplus);
        self.write(&all)
    }

    /// Keeps what a name was found to mean, for the image of one release.
    pub(crate) fn tell(&self, pin: &Pin, image: &str, same: bool) -> std::io::Result<()> {
        let mut all = self.all.lock().expect("no holder panics");
        for kept in all.iter_mut().filter(|kept| kept.release == pin.release) {
            kept.held_against = Some((image.to_owned(), same));
        }
        self.write(&all)
    }

    /// Whether an image of this id is here because of us.
    fn brought(&self, id: Option<&str>) -> bool {
        let all = self.all.lock().expect("no holder panics");
        all.iter().any(|pin| pin.ours && Some(pin.id.as_str()) == id)
    }

    /// Notes that an image of this name is brought by us.
    fn begin(&self, name: &str) {
        let mut begun = self.begun.lock().expect("no holder panics");
        if begun.len() >= PINS_MAX {
            begun.pop_first();
        }
        begun.insert(name.to_owned());
    }

    /// Whether an image of this name was brought by us, which is asked once.
    fn ended(&self, name: &str) -> bool {
        self.begun.lock().expect("no holder panics").remove(name)
    }

    /// Whether another release has the same image.
    fn needed_by_another(&self, this: &Pin) -> bool {
        let all = self.all.lock().expect("no holder panics");
        all.iter().any(|pin| pin.id == this.id && pin.release != this.release)
    }

    /// The releases of an app but these.
    fn all_but(&self, app: &AppName, kept: &[ReleaseDigest]) -> Vec<Pin> {
        let all = self.all.lock().expect("no holder panics");
        let goes = |pin: &&Pin| pin.app.as_ref() == Some(app) && !kept.contains(&pin.release);
        all.iter().filter(goes).cloned().collect()
    }

    fn forget(&self, gone: &Pin) -> std::io::Result<()> {
        let mut all = self.all.lock().expect("no holder panics");
        all.retain(|pin| pin != gone);
        self.write(&all)
    }

    fn write(&self, all: &Vec<Pin>) -> std::io::Result<()> {
        self.path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        files::write(&self.path, all, Durability::Synced)
    }
}

/// An image that the engine has.
pub(crate) struct Local {
    pub id: String,
    pub source: Option<String>,
}

/// Where the image of a release comes from.
enum Origin {
    /// It is what a name means.
    Named(String),
    /// It is built.
    Built(Recipe),
}

impl Origin {
    fn of(owner: &str, release: &Release) -> Result<Self, StepOutcome> {
        if let Some(recipe) = Recipe::of(owner, release) {
            return recipe.map(Self::Built).map_err(refused);
        }
        let image = release.template.image.clone();
        image.map(Self::Named).ok_or_else(|| refused("the release names no image".to_owned()))
    }

    fn name(&self) -> &str {
        match self {
            Self::Named(image) => image,
            Self::Built(recipe) => &recipe.image,
        }
    }

    /// What it is called while it is brought.
    fn work(&self) -> String {
        match self {
            Self::Named(image) => pull::work(image),
            Self::Built(recipe) => recipe.work(),
        }
    }
}

fn refused(why: String) -> StepOutcome {
    StepOutcome::Refused { why: Refusal::Invalid(why) }
}

impl Inner {
    /// The image to make an instance of a release from, once the engine has it.
    pub(crate) async fn image(self: &Arc<Self>, release: &Release) -> Result<String, StepOutcome> {
        let origin = Origin::of(self.mine.owner.as_str(), release)?;
        match self.pins.of(release.digest) {
            Some(pin) => self.pinned(&origin, release, &pin).await,
            None => {
                let there = self.local(origin.name()).await?;
                let known = self.pins.brought(there.as_ref().map(|there| there.id.as_str()));
                // An engine has it a moment before it has said all there is to say of that.
                let underway = self.works.find(&origin.work()).is_some();
                if there.is_none() {
                    self.pins.begin(origin.name());
                }
                let there = if there.is_none() || underway {
                    self.bring(&origin, release).await?;
                    self.local(origin.name()).await?
                } else {
                    there
                };
                let Some(found) = there else {
                    let why = format!("the image {} was there a moment ago, and is gone again", origin.name());
                    return Err(StepOutcome::Retry { after: RETRY_AFTER, why });
                };
                let ours = self.pins.ended(origin.name()) || known;
                self.keep_pin(&origin, release, found, ours)?;
                Ok(origin.name().to_owned())
            }
        }
    }

    fn keep_pin(&self, origin: &Origin, release: &Release, found: Local, ours: bool) -> Result<(), StepOutcome> {
        let pin = Pin {
            release: release.digest,
            app: Some(release.app.clone()),
            name: Some(origin.name().to_owned()),
            id: found.id,
            // podman names a digest of what it has built, too, as of a registry that has never seen it.
            source: found.source.filter(|_| matches!(origin, Origin::Named(_))),
            ours,
            held_against: None,
        };
        self.pins.keep(pin).map_err(|why| {
            let why = format!("the image of {} cannot be kept in mind: {why}", release.app);
            StepOutcome::Retry { after: RETRY_AFTER, why }
        })
    }

    async fn bring(self: &Arc<Self>, origin: &Origin, release: &Release) -> Result<(), StepOutcome> {
        match origin {
            Origin::Named(image) => self.pull(image, &release.app).await,
            Origin::Built(recipe) => self.built(recipe, release).await,
        }
    }

    /// The name of the image that a release began with: its tag where that still says the same, else its id.
    async fn pinned(self: &Arc<Self>, origin: &Origin, release: &Release, pin: &Pin) -> Result<String, StepOutcome> {
        if self.local(origin.name()).await?.is_some_and(|there| there.id == pin.id) {
            return Ok(origin.name().to_owned());
        }
        if self.local(&pin.id).await?.is_some() {
            return Ok(pin.id.clone());
        }
        let recipe = match (origin, &pin.source) {
            (Origin::Built(recipe), _) => recipe,
            (Origin::Named(_), Some(source)) => {
                self.pull(source, &release.app).await?;
                return Ok(source.clone());
            }
            (Origin::Named(_), None) => {
                let gone = format!("the image that the release began with ({}) is gone", pin.id);
                return Err(refused(format!("{gone}, and came from no registry")));
            }
        };
        // Built of the same it is the same, though its id be another.
        self.built(recipe, release).await?;
        if let Some(found) = self.local(&recipe.image).await? {
            self.keep_pin(origin, release, found, true)?;
        }
        Ok(recipe.image.clone())
    }

    pub(crate) async fn local(&self, image: &str) -> Result<Option<Local>, StepOutcome> {
        let look = async {
            let client = self.engine.client().await?;
            self.engine.within(QUICK, client.inspect_image(image)).await
        };
        match look.await {
            Ok(found) => Ok(Some(Local {
                id: found.id.unwrap_or_default(),
                source: names::source(image, found.repo_digests.unwrap_or_default()),
            })),
            Err(fault) if fault.is_absence() => Ok(None),
            // An engine that was asked for a name that is none says so.
            Err(fault @ Fault::Answer { status: 400, .. }) => Err(fault.outcome(image)),
            // Looking changes nothing: whatever went wrong, it can be tried again.
            Err(fault) => {
                let why = format!("the image {image}: {fault}");
                Err(StepOutcome::Retry { after: RETRY_AFTER, why })
            }
        }
    }

    /// Forgets the images of releases of an app that are not kept, and removes those that nobody needs any more.
    pub(crate) async fn prune(&self, app: &AppName, kept: &[ReleaseDigest]) {
        if self.settings.old_images == OldImages::Keep {
            return;
        }
        for pin in self.pins.all_but(app, kept) {
            if pin.ours
                && !self.pins.needed_by_another(&pin)
                && let Err(fault) = self.remove_image(&pin).await
            {
                // A container is still made of it: it is tried again when that has gone.
                tracing::info!(image = pin.name, %fault, "an old image stays");
                continue;
            }
            if let Err(why) = self.pins.forget(&pin) {
                tracing::warn!(%app, %why, "the image of an earlier release cannot be forgotten");
            }
        }
    }

    /// Removes an image that we brought, if nobody has given it another name. An engine keeps what containers are made of.
    async fn remove_image(&self, pin: &Pin) -> Result<(), Fault> {
        let client = self.engine.client().await?;
        let there = match self.engine.look(client.inspect_image(&pin.id)).await {
            Ok(there) => there,
            Err(fault) if fault.is_absence() => return Ok(()),
            Err(fault) => return Err(fault),
        };
        let tags = there.repo_tags.unwrap_or_default();
        let name = pin.name.as_deref().map(crate::pull::tagged);
        if tags.iter().any(|tag| Some(tag) != name.as_ref()) {
            return Ok(());
        }
        let options = RemoveImageOptionsBuilder::default().build();
        let removed = self.engine.within(REMOVAL, client.remove_image(&pin.id, Some(options), None)).await?;
        tracing::info!(image = pin.name, layers = removed.len(), "an old image was removed");
        Ok(())
    }
}
