//! The folders that apps ship, beside their manifests: what an image is built of.
//!
//! Given the snapshot of the manifests and the root, each such folder is read, and what it comes to is written into the
//! app's inputs: an edit of the folder is an edit of what is wanted. Like a listing, a folder counts once it has held
//! still. One that cannot be read stays as it was last; an app whose folder was never read is nobody's to judge, so that
//! it is taken from the snapshot and its absence means nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trueup_host::Tree;
use trueup_seams::Snapshot;
use trueup_types::desired::{DesiredApp, Doubt};
use trueup_types::status::FileFault;
use trueup_types::template::Build;
use trueup_types::{AppName, IntentDigest};

use crate::interest::Interest;

/// Most folders of shipped trees that are watched; what changes in the others is found by reading everything anew.
const WATCHED_MAX: usize = 2_000;

/// The trees of all apps.
#[derive(Default)]
pub(crate) struct Trees {
    known: BTreeMap<Folder, Known>,
    filled: BTreeMap<AppName, Filled>,
}

/// Which folder, by the words of the manifest: where it is, and the recipe within it.
type Folder = (String, Option<String>);

/// One folder.
#[derive(Default)]
struct Known {
    tree: Tree,
    /// What counts.
    accepted: Option<String>,
    /// What was seen since, and when first.
    offered: Option<(String, Instant)>,
    /// Why it could not be read when it was last looked at.
    fault: Option<String>,
}

/// An app with its inputs, and what it was made of.
struct Filled {
    bare: Arc<DesiredApp>,
    digest: String,
    whole: Arc<DesiredApp>,
}

/// What a look came to.
pub(crate) struct Looked {
    /// The apps whose folders count as something else than before, or fail otherwise.
    pub changed: BTreeSet<AppName>,
    /// Whether another look is wanted soon.
    pub restless: bool,
}

impl Trees {
    /// Reads the folders of a snapshot's apps.
    pub(crate) fn look(&mut self, root: &Path, snapshot: &Snapshot, settle: Duration, now: Instant) -> Looked {
        let mut wanted: BTreeMap<Folder, BTreeSet<AppName>> = BTreeMap::new();
        for (name, app) in &snapshot.apps {
            if let Some(build) = &app.desired.template.build {
                wanted.entry(folder(build)).or_default().insert(name.clone());
            }
        }
        let mut looked = Looked { changed: BTreeSet::new(), restless: false };
        self.known.retain(|folder, _| wanted.contains_key(folder));
        for (folder, apps) in wanted {
            let known = self.known.entry(folder.clone()).or_default();
            let before = (known.accepted.clone(), known.fault.clone());
            let watched = known.tree.folders().count();
            known.look(&root.join(&folder.0), folder.1.as_deref(), settle, now);
            looked.restless |= known.offered.is_some() || known.tree.folders().count() > watched;
            if before != (known.accepted.clone(), known.fault.clone()) {
                looked.changed.extend(apps);
            }
        }
        looked
    }

    /// Writes into a snapshot what counts.
    pub(crate) fn fill(&mut self, snapshot: &mut Snapshot) {
        self.filled.retain(|name, _| snapshot.apps.contains_key(name));
        let mut unread = Vec::new();
        for (name, app) in &mut snapshot.apps {
            let Some(build) = &app.desired.template.build else { continue };
            let known = self.known.get(&folder(build));
            if let Some(fault) = known.and_then(|known| known.fault.as_ref()) {
                app.error.get_or_insert_with(|| format!("the context of its build: {fault}"));
            }
            let Some(digest) = known.and_then(|known| known.accepted.as_ref()) else {
                unread.push(name.clone());
                continue;
            };
            let made = self.filled.get(name).filter(|made| made.digest == *digest);
            let made = made.filter(|made| Arc::ptr_eq(&made.bare, &app.desired)).map(|made| Arc::clone(&made.whole));
            let whole = made.unwrap_or_else(|| Arc::new(with_tree(&app.desired, &build.context, digest)));
            let bare = std::mem::replace(&mut app.desired, Arc::clone(&whole));
            self.filled.insert(name.clone(), Filled { bare, digest: digest.clone(), whole });
        }
        for name in unread {
            let Some(app) = snapshot.apps.remove(&name) else { continue };
            let why = app.error.unwrap_or_else(|| "the context of its build was not read yet".to_owned());
            let file = app.desired.origin.file.clone().unwrap_or_else(|| name.to_string());
            snapshot.unread.get_or_insert_with(|| Doubt::ManifestInvalid(format!("{file}: {why}")));
            snapshot.faults.push(FileFault { file, errors: vec![why] });
        }
    }

    /// Adds what to watch.
    pub(crate) fn add_to(&self, interest: &mut Interest) {
        let folders = self.known.values().flat_map(|known| known.tree.folders());
        for (path, inode) in folders.take(WATCHED_MAX) {
            interest.folders.entry(path.to_owned()).or_insert(inode);
        }
    }
}

impl Known {
    fn look(&mut self, path: &Path, recipe: Option<&str>, settle: Duration, now: Instant) {
        let tree = match Tree::read(path, recipe, Some(&self.tree), now.into_std()) {
            Ok(tree) => tree,
            Err(why) => {
                (self.fault, self.offered) = (Some(why), None);
                return;
            }
        };
        let digest = tree.digest();
        (self.tree, self.fault) = (tree, None);
        // The first is read after its manifest has held still.
        if self.accepted.is_none() || self.accepted.as_ref() == Some(&digest) {
            (self.accepted, self.offered) = (Some(digest), None);
            return;
        }
        let since = match &self.offered {
            Some((offered, since)) if *offered == digest => *since,
            Some(_) | None => now,
        };
        if now.saturating_duration_since(since) >= settle && since != now {
            (self.accepted, self.offered) = (Some(digest), None);
        } else {
            self.offered = Some((digest, since));
        }
    }
}

/// An app with what it ships, for those who judge manifests and do not follow them.
///
/// # Errors
/// One line, when the folder cannot be read.
pub fn shipped(root: &Path, desired: &DesiredApp) -> Result<DesiredApp, String> {
    let Some(build) = &desired.template.build else { return Ok(desired.clone()) };
    let (path, recipe) = (root.join(&build.context), build.recipe());
    let tree = Tree::read(&path, Some(recipe), None, Instant::now().into_std());
    let tree = tree.map_err(|why| format!("app {}: the context of its build: {why}", desired.name))?;
    Ok(with_tree(desired, &build.context, &tree.digest()))
}

fn folder(build: &Build) -> Folder {
    (build.context.clone(), Some(build.recipe().to_owned()))
}

/// An edit of the folder is an edit of what is wanted, so that it moves the generation as well.
fn with_tree(desired: &DesiredApp, context: &str, digest: &str) -> DesiredApp {
    let mut whole = desired.clone();
    whole.inputs.trees.insert(context.to_owned(), digest.to_owned());
    whole.intent = IntentDigest::of(&(desired.intent, &whole.inputs.trees));
    whole
}

/// The folder that paths in manifests begin from: the directory itself, or the one that a single file lies in.
#[must_use]
pub fn root_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if path.is_file() => parent.to_owned(),
        Some(_) | None => path.to_owned(),
    }
}
