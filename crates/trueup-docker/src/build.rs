//! Builds: a folder becomes an image through the engine, under a name that says what it was made of.
//!
//! The name's tag is the digest of all that goes in, so that what is there already is not built again, and what is built
//! again is another image only if something else went in. The folder is packed into a file of ours first, and held to the
//! digest that the release was planned with: what changes meanwhile is another release.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::body_try_stream;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use trueup_host::Tree;
use trueup_types::Release;
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::template::Build;

use crate::engine::Fault;
use crate::pull::PullFault;
use crate::runtime::Inner;
use crate::work::Work;
use crate::{archive, credentials};

/// Builds at a time: each may take all cores of its engine.
pub(crate) const BUILDS_MAX: usize = 2;
/// Longest that a build may go without a word: a compiler may take long over one step.
const SILENCE: Duration = Duration::from_secs(30 * 60);
/// When a build is tried again that failed for want of something outside.
const AGAIN: Duration = Duration::from_secs(10);
/// Lines of a log that are told with a failure: its end says what went wrong.
const LAST_LINES: usize = 12;
/// Most lines of a log that are kept for that.
const LINES_MAX: usize = 200;
/// Characters of a tag: enough that no two are alike by chance.
const TAG_CHARACTERS: usize = 24;
/// How much is read of the packed folder at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is built of what.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// The name of the image, with its tag.
    pub image: String,
    build: Build,
    tree: String,
}

impl Recipe {
    /// What a release says; `None` where it builds nothing. An error is one line.
    pub(crate) fn of(owner: &str, release: &Release) -> Option<Result<Self, String>> {
        let build = release.template.build.clone()?;
        let Some(tree) = release.inputs.trees.get(&build.context).cloned() else {
            return Some(Err(format!("nobody has read {}, the context of its build", build.context)));
        };
        let mut sum = Sha256::new();
        // JSON keeps the parts apart, and maps in their order.
        let parts = (&tree, build.recipe(), &build.args, &build.target);
        sum.update(serde_json::to_vec(&parts).expect("our own types always become JSON"));
        let bytes: [u8; 32] = sum.finalize().into();
        let tag: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let image = format!("{owner}-build/{}:{}", release.app, &tag[..TAG_CHARACTERS]);
        Some(Ok(Self { image, build, tree }))
    }

    /// What it is called while it is built.
    pub(crate) fn work(&self) -> String {
        format!("building {}", self.image)
    }
}

/// Why a build came to nothing.
struct Failed {
    /// What the engine said last of all.
    why: String,
    /// The end of the log.
    log: Vec<String>,
}

impl Inner {
    /// Has an image built; `Ok` once it is there.
    pub(crate) async fn built(self: &Arc<Self>, recipe: &Recipe, release: &Release) -> Result<(), StepOutcome> {
        let (inner, recipe) = (Arc::clone(self), recipe.clone());
        let app = release.app.clone();
        self.see_through(&recipe.work(), &app, |work| async move {
            // Closed only with the runtime.
            let _turn = inner.builds.acquire().await;
            let packed = inner.packed(&recipe, &work).await;
            let made = match packed {
                Ok(path) => {
                    let made = inner.make(&recipe, &path, &work).await;
                    // It is written anew each time; what cannot be removed is written over.
                    let _ = std::fs::remove_file(&path);
                    made
                }
                Err(outcome) => Err(outcome),
            };
            if made.is_ok() {
                work.say(&format!("built {}", recipe.image));
            }
            made
        })
        .await
    }

    /// Packs the folder into a file, and holds it to what was planned.
    async fn packed(&self, recipe: &Recipe, work: &Work) -> Result<PathBuf, StepOutcome> {
        let (context, build) = (self.root.join(&recipe.build.context), recipe.build.clone());
        work.is_at(format!("packing {}", context.display()));
        let folder = self.folder.join("builds");
        let path = folder.join(recipe.image.replace(['/', ':'], "-"));
        let (planned, file) = (recipe.tree.clone(), path.clone());
        let packing = tokio::task::spawn_blocking(move || -> Result<(), StepOutcome> {
            let retry = |why: String| StepOutcome::Retry { after: AGAIN, why };
            let read = || Tree::read(&context, Some(build.recipe()), None, tokio::time::Instant::now().into_std());
            let tree = read().map_err(|why| refused(format!("the context of the build cannot be read: {why}")))?;
            let shown = context.display();
            if tree.digest() != planned {
                return Err(retry(format!("{shown} is not what the release was planned with")));
            }
            if tree.entries().all(|(path, _)| path != build.recipe()) {
                return Err(refused(format!("there is no {} in {shown}", build.recipe())));
            }
            std::fs::create_dir_all(&folder).map_err(|why| retry(format!("{}: {why}", folder.display())))?;
            archive::pack(&context, &tree, &file).map_err(|why| retry(format!("{shown}: {why}")))?;
            // What was packed is what was read, if nothing has changed since.
            match read().map(|after| after.digest()) {
                Ok(after) if after == planned => Ok(()),
                Ok(_) | Err(_) => Err(retry(format!("{shown} changes while it is packed"))),
            }
        });
        let packed = packing.await.unwrap_or_else(|_| Err(refused("packing broke off, which is a bug".to_owned())));
        packed.map(|()| path)
    }

    async fn make(&self, recipe: &Recipe, path: &Path, work: &Work) -> Result<(), StepOutcome> {
        let retry = |why| StepOutcome::Retry { after: AGAIN, why: format!("building {}: {why}", recipe.image) };
        let known =
            credentials::all(&self.settings, &self.env).await.map_err(|why| retry(format!("credentials: {why}")))?;
        let file = tokio::fs::File::open(path).await.map_err(|why| retry(why.to_string()))?;
        let body = tokio_util::io::ReaderStream::with_capacity(file, CHUNK_BYTES);
        let client = self.engine.client().await.map_err(|fault| retry(fault.to_string()))?;
        let options = BuildImageOptionsBuilder::default()
            .dockerfile(recipe.build.recipe())
            .t(&recipe.image)
            .buildargs(&recipe.build.args.clone().into_iter().collect::<HashMap<_, _>>())
            .target(recipe.build.target.as_deref().unwrap_or_default())
            .labels(&self.mine.common())
            .rm(true)
            .forcerm(true)
            .build();
        let mut words = std::pin::pin!(client.build_image(options, Some(known), Some(body_try_stream(body))));
        let mut log: Vec<String> = Vec::new();
        work.is_at(format!("building {}", recipe.image));
        loop {
            let word = tokio::time::timeout(SILENCE, words.next()).await;
            let word = word.map_err(|_| retry(format!("no word in {} minutes", SILENCE.as_secs() / 60)))?;
            let word = match word {
                None => return Ok(()),
                Some(Err(error)) => return Err(failed(recipe, &Failed::of(&Fault::of(&error), log))),
                Some(Ok(word)) => word,
            };
            if let Some(why) = word.error_detail.and_then(|detail| detail.message) {
                return Err(failed(recipe, &Failed { why, log }));
            }
            for line in word.stream.iter().flat_map(|text| text.lines()).filter(|line| !line.trim().is_empty()) {
                if line.starts_with("Step ") {
                    work.is_at(format!("building {}: {line}", recipe.image));
                }
                work.say(line);
                log.push(line.to_owned());
                let surplus = log.len().saturating_sub(LINES_MAX);
                log.drain(..surplus);
            }
        }
    }
}

impl Failed {
    fn of(fault: &Fault, log: Vec<String>) -> Self {
        Self { why: fault.to_string(), log }
    }

    /// Whether it may go better later: what a step of the recipe did is its own doing; what could not be fetched or stored
    /// is not.
    fn may_pass(&self) -> bool {
        let why = self.why.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
        let outside =
            ["dial tcp", "no such host", "i/o timeout", "tls handshake", "toomanyrequests", "no space left", "engine"];
        let own = ["returned a non-zero code", "exit status", "exit code"];
        says(&outside) && !says(&own)
    }
}

fn failed(recipe: &Recipe, failed: &Failed) -> StepOutcome {
    let image = &recipe.image;
    if failed.may_pass() {
        return StepOutcome::Retry { after: AGAIN, why: format!("building {image}: {}", failed.why) };
    }
    let unfetched = PullFault::of(&Fault::Answer { status: 500, message: failed.why.clone() });
    if let PullFault::Unauthorised(why) = unfetched {
        return refused(format!("the build of {image} may not fetch what it begins from: {why}"));
    }
    let from = failed.log.len().saturating_sub(LAST_LINES);
    let log = failed.log[from..].join(" | ");
    let log = if log.is_empty() { String::new() } else { format!("; the log ends: {log}") };
    refused(format!("the build of {image} failed: {}{log}", failed.why.replace('\n', " ")))
}

fn refused(why: String) -> StepOutcome {
    StepOutcome::Refused { why: Refusal::Invalid(why) }
}

#[cfg(test)]
mod tests {
    use trueup_sim::AppSketch;
    use trueup_types::Revision;

    use super::*;

    fn recipe(change: impl FnOnce(&mut Build), tree: &str) -> Recipe {
        let mut build = Build { context: "shop".to_owned(), dockerfile: None, args: Default::default(), target: None };
        change(&mut build);
        let mut sketch = AppSketch::web("web");
        sketch.template.build = Some(build);
        let mut release = sketch.release(Revision(1));
        release.inputs.trees.insert("shop".to_owned(), tree.to_owned());
        Recipe::of("ours", &release).expect("it builds").expect("its context was read")
    }

    #[test]
    fn an_image_is_named_by_all_that_goes_into_it() {
        let plain = recipe(|_| {}, "tree").image;
        assert!(plain.starts_with("ours-build/web:"), "{plain}");
        assert_eq!(recipe(|_| {}, "tree").image, plain);
        assert_eq!(recipe(|build| build.dockerfile = Some("Dockerfile".to_owned()), "tree").image, plain);
        let others = [
            recipe(|_| {}, "another"),
            recipe(|build| build.dockerfile = Some("Other".to_owned()), "tree"),
            recipe(|build| build.target = Some("final".to_owned()), "tree"),
            recipe(|build| drop(build.args.insert("A".to_owned(), "1".to_owned())), "tree"),
        ];
        for other in others {
            assert_ne!(other.image, plain);
        }
    }

    #[test]
    fn what_a_recipe_did_is_told_from_what_could_not_be_fetched() {
        let kind = |why: &str| {
            let log = vec!["Step 1/2 : FROM base".to_owned(), "cc: error".to_owned()];
            match failed(&recipe(|_| {}, "tree"), &Failed { why: why.to_owned(), log }) {
                StepOutcome::Retry { .. } => "later".to_owned(),
                StepOutcome::Refused { why } => why.to_string(),
                other @ (StepOutcome::Done
                | StepOutcome::AlreadyTrue
                | StepOutcome::Underway { .. }
                | StepOutcome::Unknown { .. }) => panic!("{other:?}"),
            }
        };
        let own = kind("The command '/bin/sh -c cc dial tcp' returned a non-zero code: 1");
        assert!(own.ends_with("the log ends: Step 1/2 : FROM base | cc: error"), "{own}");
        assert!(kind("dockerfile parse error line 1: unknown instruction: FORM").contains("FORM"));
        assert!(kind("pull access denied for base, repository does not exist").contains("may not fetch"));
        assert_eq!(kind("Get \"http://r:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused"), "later");
        assert_eq!(kind("write /var/lib/docker/tmp/x: no space left on device"), "later");
        assert_eq!(kind("the engine broke off: connection closed"), "later");
    }
}
