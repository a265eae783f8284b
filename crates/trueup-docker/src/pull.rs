//! Pulls, each in a task of its own: a step waits for one a little, then looks again later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use trueup_types::step::{Refusal, StepOutcome};

use crate::credentials;
use crate::engine::Fault;
use crate::runtime::Inner;

/// Longest a step waits for a pull: within the driver's patience with a step, and rarely enough that the looks in
/// between cost nothing.
const WAIT: Duration = Duration::from_secs(20);
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
    fn outcome(&self, image: &str, with: &str) -> StepOutcome {
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

/// How far a pull is.
#[derive(Debug, Clone)]
enum Progress {
    Underway { done: usize, layers: usize },
    Ended(Result<(), PullFault>),
}

/// The pulls that are under way, by image.
#[derive(Default)]
pub(crate) struct Pulls(Mutex<BTreeMap<String, watch::Receiver<Progress>>>);

impl Inner {
    /// Has an image pulled; `Ok` once it is there.
    pub(crate) async fn pull(self: &Arc<Self>, image: &str) -> Result<(), StepOutcome> {
        let with = self.with_whom(image)?;
        let mut progress = self.pull_underway(image);
        let ended = tokio::time::timeout(WAIT, progress.wait_for(|now| matches!(now, Progress::Ended(_)))).await;
        // A task that went without a word has died with its runtime.
        let broke_off = matches!(ended, Ok(Err(_)));
        drop(ended);
        let now = match broke_off {
            true => Progress::Ended(Err(PullFault::Later("the pull broke off".to_owned()))),
            false => progress.borrow().clone(),
        };
        match now {
            Progress::Ended(result) => {
                // The next step that needs it asks anew.
                self.pulls.0.lock().expect("no holder panics").remove(image);
                result.map_err(|fault| fault.outcome(image, &with))
            }
            Progress::Underway { done, layers } => {
                let why = format!("pulling {image}: {done} of {layers} layers");
                Err(StepOutcome::Retry { after: Duration::ZERO, why })
            }
        }
    }

    /// Who asks the registry, for people.
    fn with_whom(&self, image: &str) -> Result<String, StepOutcome> {
        let Some(file) = &self.settings.registry_auth_from else {
            return Ok("who shows no credentials (the target names no `registryAuthFrom`)".to_owned());
        };
        match credentials::read(std::path::Path::new(file), image) {
            Ok(Some(found)) => Ok(format!("`{}` of {file}", found.username.unwrap_or_default())),
            Ok(None) => Ok(format!("who shows no credentials ({file} has none for it)")),
            Err(why) => Err(StepOutcome::Retry { after: AGAIN, why: format!("credentials: {why}") }),
        }
    }

    fn pull_underway(self: &Arc<Self>, image: &str) -> watch::Receiver<Progress> {
        let mut pulls = self.pulls.0.lock().expect("no holder panics");
        if let Some(progress) = pulls.get(image) {
            return progress.clone();
        }
        let (sender, receiver) = watch::channel(Progress::Underway { done: 0, layers: 0 });
        pulls.insert(image.to_owned(), receiver.clone());
        let (inner, image) = (Arc::clone(self), image.to_owned());
        self.handle.spawn(async move {
            let result = inner.fetch(&image, &sender).await;
            if let Err(fault) = &result {
                tracing::info!(image, ?fault, "an image was not pulled");
            }
            sender.send_replace(Progress::Ended(result));
        });
        receiver
    }

    async fn fetch(&self, image: &str, progress: &watch::Sender<Progress>) -> Result<(), PullFault> {
        let file = self.settings.registry_auth_from.as_deref();
        let found = file.map(|file| credentials::read(std::path::Path::new(file), image)).transpose();
        let credentials = found.map_err(PullFault::Later)?.flatten();
        let client = self.engine.client().await.map_err(|fault| PullFault::of(&fault))?;
        let options = CreateImageOptionsBuilder::default().from_image(&tagged(image)).build();
        let mut words = std::pin::pin!(client.create_image(Some(options), None, credentials));
        let mut layers: BTreeMap<String, bool> = BTreeMap::new();
        loop {
            let word = tokio::time::timeout(SILENCE, words.next()).await;
            let word = word.map_err(|_| PullFault::Later(format!("no word in {} s", SILENCE.as_secs())))?;
            let Some(word) = word else { return Ok(()) };
            let word = word.map_err(|error| PullFault::of(&Fault::of(&error)))?;
            if let (Some(layer), Some(status)) = (word.id, word.status) {
                // The first word of all is about the tag.
                if !status.starts_with("Pulling from") {
                    layers.insert(layer, status == "Pull complete" || status == "Already exists");
                }
            }
            let done = layers.values().filter(|done| **done).count();
            progress.send_replace(Progress::Underway { done, layers: layers.len() });
        }
    }
}

/// A name without a tag or digest would fetch all tags there are.
fn tagged(image: &str) -> String {
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
    fn a_bare_name_fetches_one_tag_and_a_port_is_no_tag() {
        let of = ["web", "r:5000/web", "r:5000/web:v1", "web@sha256:00"].map(tagged);
        assert_eq!(of, ["web:latest", "r:5000/web:latest", "r:5000/web:v1", "web@sha256:00"]);
    }
}
