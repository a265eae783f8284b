//! Pulls: what comes from a registry, how far it is, and what is said of what does not come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use trueup_types::AppName;
use trueup_types::step::{Refusal, StepOutcome};

use crate::credentials;
use crate::engine::Fault;
use crate::runtime::Inner;
use crate::work::Work;

/// Longest that a pull may go without a word: layers are reported each second or so.
const SILENCE: Duration = Duration::from_secs(60);
/// When a registry that could not be reached is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// Why an image did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PullFault {
    /// The registry has no such image, or the name is none: asking again changes nothing.
    Missing(String),
    /// The registry wants other credentials, or some at all.
    Unauthorised(String),
    /// It may go better later.
    Later(String),
}

impl PullFault {
    /// What an engine said of a pull. The status alone tells nothing: 500 is a registry that is down, and one that
    /// refuses.
    pub(crate) fn of(fault: &Fault) -> Self {
        let Fault::Answer { status, message } = fault else { return Self::Later(fault.to_string()) };
        let says = |words: &[&str]| words.iter().any(|word| message.to_lowercase().contains(word));
        if says(&["no basic auth credentials", "unauthorized", "authentication required", "denied", "403 forbidden"]) {
            return Self::Unauthorised(message.clone());
        }
        let no_such =
            says(&["manifest unknown", "name unknown", "not found", "repository does not exist", "no such image"]);
        // A name server that does not know the host answers alike: the registry may come back.
        if (no_such || matches!(status, 400 | 404)) && !says(&["no such host", "lookup "]) {
            return Self::Missing(message.clone());
        }
        Self::Later(message.clone())
    }

    /// What comes of a step that needed the image.
    pub(crate) fn outcome(&self, image: &str, with: &str) -> StepOutcome {
        let refused = |why| StepOutcome::Refused { why: Refusal::Invalid(why) };
        match self {
            Self::Missing(why) => refused(format!("the image {image} is not there: {why}")),
            Self::Unauthorised(why) => {
                let registry = credentials::registry(image);
                refused(format!("the registry {registry} does not give {image} to {with}: {why}"))
            }
            Self::Later(why) => {
                StepOutcome::Retry { after: AGAIN, why: format!("the image {image} cannot be pulled: {why}") }
            }
        }
    }
}

/// What a pull has said of each of its layers.
#[derive(Default)]
struct Layers(BTreeMap<String, Layer>);

#[derive(Default)]
struct Layer {
    done: bool,
    loaded: u64,
    bytes: u64,
}

impl Layers {
    fn take(&mut self, word: CreateImageInfo) {
        let (Some(layer), Some(status)) = (word.id, word.status) else { return };
        // The first word of all is about the tag.
        if status.starts_with("Pulling from") {
            return;
        }
        let layer = self.0.entry(layer).or_default();
        layer.done = status == "Pull complete" || status == "Already exists";
        // What is unpacked afterwards is counted from nothing again.
        if status == "Downloading" {
            let detail = word.progress_detail.unwrap_or_default();
            let bytes = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
            (layer.loaded, layer.bytes) = (bytes(detail.current), bytes(detail.total));
        } else if layer.done || status == "Download complete" {
            layer.loaded = layer.bytes;
        }
    }

    fn done(&self) -> usize {
        self.0.values().filter(|layer| layer.done).count()
    }

    /// How many bytes of how many have come, as far as sizes are known.
    fn bytes(&self) -> Option<(u64, u64)> {
        let sum = |of: fn(&Layer) -> u64| self.0.values().map(of).sum::<u64>();
        Some((sum(|layer| layer.loaded), sum(|layer| layer.bytes))).filter(|(_, all)| *all > 0)
    }

    /// How far it is: layers, and megabytes where they are known.
    fn told(&self, image: &str) -> String {
        let megabytes = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10);
        let come = |(loaded, bytes)| format!(", {} of {} MB", megabytes(loaded), megabytes(bytes));
        let bytes = self.bytes().map_or_else(String::new, come);
        format!("pulling {image}: {} of {} layers{bytes}", self.done(), self.0.len())
    }
}

/// What a pull is called while it goes on.
pub(crate) fn work(image: &str) -> String {
    format!("pulling {image}")
}

impl Inner {
    /// Has an image pulled for an app; `Ok` once it is there.
    pub(crate) async fn pull(self: &Arc<Self>, image: &str, app: &AppName) -> Result<(), StepOutcome> {
        let (inner, name) = (Arc::clone(self), image.to_owned());
        self.see_through(&work(image), app, |work| async move {
            let credentials = |why| StepOutcome::Retry { after: AGAIN, why: format!("credentials: {why}") };
            let asker = credentials::asker(&inner.settings, &inner.env, credentials::registry(&name));
            let asker = asker.await.map_err(credentials)?;
            let fetched = inner.fetch(&name, asker.credentials, &work).await;
            fetched.map_err(|fault| fault.outcome(&name, &asker.told))
        })
        .await
    }

    async fn fetch(&self, image: &str, credentials: Option<DockerCredentials>, work: &Work) -> Result<(), PullFault> {
        work.is_at(format!("pulling {image}"));
        let client = self.engine.client().await.map_err(|fault| PullFault::of(&fault))?;
        let options = CreateImageOptionsBuilder::default().from_image(&tagged(image)).build();
        let mut words = std::pin::pin!(client.create_image(Some(options), None, credentials));
        let (mut layers, mut told) = (Layers::default(), 0);
        loop {
            let word = tokio::time::timeout(SILENCE, words.next()).await;
            let word = word.map_err(|_| PullFault::Later(format!("no word in {} s", SILENCE.as_secs())))?;
            let Some(word) = word else { return Ok(()) };
            layers.take(word.map_err(|error| PullFault::of(&Fault::of(&error)))?);
            work.is_at(layers.told(image));
            work.counts(layers.bytes());
            // The bytes are for whoever looks; the events are told of each layer.
            if layers.done() > told {
                told = layers.done();
                work.say(&format!("pulling {image}: {told} of {} layers", layers.0.len()));
            }
        }
    }
}

/// A name without a tag or digest would fetch all tags there are.
pub(crate) fn tagged(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(status: u16, message: &str) -> &'static str {
        match PullFault::of(&Fault::Answer { status, message: message.to_owned() }) {
            PullFault::Missing(_) => "missing",
            PullFault::Unauthorised(_) => "unauthorised",
            PullFault::Later(_) => "later",
        }
    }

    #[test]
    fn what_engines_say_of_pulls_is_told_apart() {
        // As Docker Engine 20.10 and podman 4.3 say it.
        let said = [
            (404, "manifest for r:5000/web:v9 not found: manifest unknown: manifest unknown", "missing"),
            (500, "initializing source docker://r/web:v9: reading manifest v9 in r/web: manifest unknown", "missing"),
            (400, "invalid reference format: repository name must be lowercase", "missing"),
            (500, "Head \"http://r:5000/v2/web/manifests/v1\": no basic auth credentials", "unauthorised"),
            (500, "Head \"http://r:5000/v2/web/manifests/v1\": unauthorized: authentication required", "unauthorised"),
            (
                404,
                "pull access denied for web, repository does not exist or may require 'docker login'",
                "unauthorised",
            ),
            (500, "Get \"http://r:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused", "later"),
            (500, "Get \"https://r/v2/\": dial tcp: lookup r on 1.1.1.1:53: no such host", "later"),
            (500, "toomanyrequests: You have reached your pull rate limit", "later"),
            (500, "write /var/lib/docker/tmp/x: no space left on device", "later"),
        ];
        for (status, message, expected) in said {
            assert_eq!(class(status, message), expected, "{status} {message}");
        }
        assert!(matches!(PullFault::of(&Fault::Broken("eof".to_owned())), PullFault::Later(_)));
    }

    #[test]
    fn how_far_a_pull_is_is_counted_in_layers_and_in_bytes() {
        let mut layers = Layers::default();
        let mut take = |id: &str, status: &str, detail: &str| {
            let text = format!(r#"{{"id": "{id}", "status": "{status}", "progressDetail": {detail}}}"#);
            layers.take(serde_json::from_str(&text).expect("it is JSON"));
            layers.told("web:1")
        };
        assert_eq!(take("1", "Pulling from shop/web", "{}"), "pulling web:1: 0 of 0 layers");
        assert_eq!(take("a", "Pulling fs layer", "{}"), "pulling web:1: 0 of 1 layers");
        assert_eq!(take("b", "Already exists", "{}"), "pulling web:1: 1 of 2 layers");
        let far = take("a", "Downloading", r#"{"current": 1500000, "total": 4000000}"#);
        assert_eq!(far, "pulling web:1: 1 of 2 layers, 1.5 of 4.0 MB");
        let far = take("a", "Extracting", r#"{"current": 100000, "total": 4000000}"#);
        assert_eq!(far, "pulling web:1: 1 of 2 layers, 1.5 of 4.0 MB");
        assert_eq!(take("a", "Pull complete", "{}"), "pulling web:1: 2 of 2 layers, 4.0 of 4.0 MB");
    }

    #[test]
    fn a_bare_name_fetches_one_tag_and_a_port_is_no_tag() {
        let of = ["web", "r:5000/web", "r:5000/web:v1", "web@sha256:00"].map(tagged);
        assert_eq!(of, ["web:latest", "r:5000/web:latest", "r:5000/web:v1", "web@sha256:00"]);
    }
}
