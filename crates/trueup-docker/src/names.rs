//! What an image's name means at this moment: on the engine, or else in its registry, of which only the digest is fetched.
//!
//! A registry that does not answer keeps nobody for long: it is waited for once, and for a while nobody asks it again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use trueup_seams::{Asking, Likeness, ObserveError};
use trueup_types::Release;

use crate::credentials;
use crate::engine::Fault;
use crate::images::{Local, Pin};
use crate::pull::PullFault;
use crate::runtime::Inner;

/// Longest that a registry is waited for: a tick waits, too.
const PATIENCE: Duration = Duration::from_secs(3);
/// For how long one that did not answer is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// What an engine says to a call that it does not know: podman knows none for what a registry has.
const NO_SUCH_CALL: &str = "Not Found";
const UNASKED: &str = "this engine asks no registry what a name means";
/// What stands before the names of images that podman has from nowhere.
const NOWHERE: &str = "localhost/";
/// Most registries that are remembered so.
const SILENT_MAX: usize = 1_000;

/// The registries that did not answer, and until when nobody asks them.
#[derive(Default)]
pub(crate) struct Silent(Mutex<BTreeMap<String, Instant>>);

impl Silent {
    fn holds(&self, registry: &str, now: Instant) -> bool {
        let mut all = self.0.lock().expect("no holder panics");
        all.retain(|_, until| *until > now);
        all.contains_key(registry)
    }

    fn note(&self, registry: &str, now: Instant) {
        let mut all = self.0.lock().expect("no holder panics");
        if all.len() < SILENT_MAX {
            all.insert(registry.to_owned(), now + LEFT_ALONE);
        }
    }
}

impl Inner {
    /// Whether a release was begun with the very image that a name means.
    pub(crate) async fn alike(self: &Arc<Self>, release: &Release, image: &str, asking: Asking) -> Likeness {
        let Some(pin) = self.pins.of(release.digest) else { return Likeness::Unknown };
        if let Some(same) = pin.told(image) {
            return if same { Likeness::Same { anew: false } } else { Likeness::Other };
        }
        let same = match self.local(image).await {
            Ok(Some(there)) => there.is(&pin),
            Ok(None) => match self.registered(image).await {
                Ok(digest) => pin.fetched_by(&digest),
                Err(why) => {
                    tracing::debug!(image, why, "what it is cannot be told");
                    return Likeness::Unknown;
                }
            },
            Err(_) => return Likeness::Unknown,
        };
        if asking == Asking::ForGood
            && let Err(why) = self.pins.tell(&pin, image, same)
        {
            tracing::warn!(image, %why, "what it is cannot be kept in mind");
            return Likeness::Unknown;
        }
        if same { Likeness::Same { anew: true } } else { Likeness::Other }
    }

    /// The digest of what a name means: what fetches it, or its id where it came from no registry.
    pub(crate) async fn resolve(self: &Arc<Self>, image: &str) -> Result<String, ObserveError> {
        let detail = |detail: String| ObserveError { detail };
        match self.local(image).await {
            Ok(Some(there)) => Ok(there.digest()),
            Ok(None) => self.registered(image).await.map_err(detail),
            Err(_) => Err(detail("the engine does not say".to_owned())),
        }
    }

    /// The digest of what a name means in its registry.
    async fn registered(&self, image: &str) -> Result<String, String> {
        let registry = credentials::registry(image);
        let now = Instant::now();
        if self.silent.holds(registry, now) {
            return Err(format!("the registry {registry} did not answer a moment ago"));
        }
        let asking = async {
            let asker =
                credentials::asker(&self.settings, &self.env, registry).await.map_err(PullFault::Unauthorised)?;
            let client = self.engine.client().await.map_err(|fault| PullFault::of(&fault))?;
            let asked = client.inspect_registry_image(image, asker.credentials);
            self.engine.within(PATIENCE, asked).await.map_err(|fault| match fault {
                Fault::Answer { status: 404, message } if message == NO_SUCH_CALL => {
                    PullFault::Missing(UNASKED.to_owned())
                }
                fault @ (Fault::Answer { .. } | Fault::Unreachable(_) | Fault::Broken(_) | Fault::Late(_)) => {
                    PullFault::of(&fault)
                }
            })
        };
        let late = |_| Err(PullFault::Later("it does not answer".to_owned()));
        match tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(late) {
            Ok(found) => found.descriptor.digest.ok_or_else(|| format!("the registry {registry} names no digest")),
            Err(PullFault::Later(why)) => {
                self.silent.note(registry, now);
                Err(format!("the registry {registry}: {why}"))
            }
            // Of another image it may say more.
            Err(PullFault::Missing(why) | PullFault::Unauthorised(why)) => Err(why),
        }
    }
}

impl Local {
    /// Whether this is the image of a pin: the same on this engine, or fetched by the same digest.
    fn is(&self, pin: &Pin) -> bool {
        pin.is(&self.id) || self.source.as_deref().is_some_and(|source| pin.fetched_by(bare(source)))
    }

    fn digest(self) -> String {
        self.source.as_deref().map_or(self.id, |source| bare(source).to_owned())
    }
}

/// What fetches an image that an engine has under a name, of all the digests that it names: the one of that name's own
/// registry before any other.
pub(crate) fn source(image: &str, mut digests: Vec<String>) -> Option<String> {
    digests.retain(|digest| !digest.starts_with(NOWHERE));
    let own = digests.iter().position(|digest| repository(digest) == repository(image));
    (!digests.is_empty()).then(|| digests.swap_remove(own.unwrap_or(0)))
}

/// A name without its tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        Some(_) | None => image,
    }
}

/// The digest at the end of a name.
pub(crate) fn bare(source: &str) -> &str {
    source.rsplit_once('@').map_or(source, |(_, digest)| digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_registry_is_left_alone_for_a_while() {
        let silent = Silent::default();
        let now = Instant::now();
        silent.note("r.example.com", now);
        assert!(silent.holds("r.example.com", now + LEFT_ALONE / 2));
        assert!(!silent.holds("other.example.com", now));
        assert!(!silent.holds("r.example.com", now + LEFT_ALONE));
    }

    #[test]
    fn a_digest_stands_behind_the_name() {
        assert_eq!(bare("r:5000/web@sha256:ab"), "sha256:ab");
        assert_eq!(bare("sha256:ab"), "sha256:ab");
    }

    #[test]
    fn what_fetches_an_image_is_of_its_own_registry_and_of_none_where_it_came_from_none() {
        let of = |image: &str, digests: &[&str]| source(image, digests.iter().map(|one| (*one).to_owned()).collect());
        let (a, b) = ("a.test:5000/web@sha256:aa", "b.test/web@sha256:bb");
        assert_eq!(of("b.test/web:v1", &[a, b]).as_deref(), Some(b));
        assert_eq!(of("a.test:5000/web", &[b, a]).as_deref(), Some(a));
        assert_eq!(of("sha256:cc", &[a, b]).as_deref(), Some(a));
        assert_eq!(of("web:v1", &[]), None);
        // As podman 4.3 says it of an image that was imported.
        assert_eq!(of("localhost/web:v1", &["localhost/web@sha256:dd"]), None);
    }
}
