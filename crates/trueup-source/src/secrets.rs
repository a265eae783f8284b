//! The secrets that apps ask for, beside their manifests.
//!
//! Given the snapshot of the manifests and what they say of secrets, each that an app asks for is read through the keeper
//! of secrets, and what it is known by from then on is written into the app's inputs: a changed value is an edit of what is
//! wanted. One that cannot be read stays as it was last; an app of whose secret nothing was ever read is nobody's to
//! judge, so that it is taken from the snapshot and its absence means nothing. No value comes by here.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trueup_seams::{Secrets, Snapshot};
use trueup_types::desired::{DesiredApp, Doubt};
use trueup_types::secret::{SecretFrom, SecretSpec};
use trueup_types::status::FileFault;
use trueup_types::{AppName, Label};

use crate::interest::Interest;

/// How long what a command printed counts without another run, where no file that it names has changed: it may ask a
/// server, and costs a process in any case.
const EXEC_AGAIN: Duration = Duration::from_secs(300);
/// And how long its failure does.
const EXEC_RETRY: Duration = Duration::from_secs(30);

/// The secrets of all manifests, by name.
pub(crate) type Specs = BTreeMap<Label, SecretSpec>;

/// What is known of the secrets of all apps.
#[derive(Default)]
pub(crate) struct Known {
    secrets: BTreeMap<Label, One>,
    filled: BTreeMap<AppName, Filled>,
}

/// One secret.
#[derive(Default)]
struct One {
    spec: Option<SecretSpec>,
    /// What counts.
    accepted: Option<String>,
    /// What was read since, and when first: a file may have been read while somebody writes it.
    offered: Option<(String, Instant)>,
    /// Why it could not be read when it was last looked at.
    fault: Option<String>,
    /// When a command was run last, and how the files that it names stood then.
    ran: Option<(Instant, Vec<Stamp>)>,
}

/// What tells that a file is another than before.
type Stamp = Option<(u64, u64, i64, i64)>;

/// An app with its inputs, and what it was made of.
struct Filled {
    bare: Arc<DesiredApp>,
    whole: Arc<DesiredApp>,
}

/// What a look came to.
pub(crate) struct Looked {
    /// The apps whose secrets count as something else than before, or fail otherwise.
    pub changed: BTreeSet<AppName>,
    /// Whether another look is wanted soon.
    pub restless: bool,
}

/// With what a look is taken.
pub(crate) struct Look<'a> {
    pub root: &'a Path,
    pub keeper: &'a dyn Secrets,
    pub settle: Duration,
    pub now: Instant,
}

impl Known {
    /// Reads the secrets that a snapshot's apps ask for.
    pub(crate) fn look(&mut self, specs: &Specs, snapshot: &Snapshot, look: &Look<'_>) -> Looked {
        let mut wanted: BTreeMap<&Label, BTreeSet<AppName>> = BTreeMap::new();
        for (name, app) in &snapshot.apps {
            for one in &app.desired.template.env_from {
                wanted.entry(&one.secret).or_default().insert(name.clone());
            }
        }
        let mut looked = Looked { changed: BTreeSet::new(), restless: false };
        self.secrets.retain(|name, _| wanted.contains_key(name));
        for (name, apps) in wanted {
            let one = self.secrets.entry(name.clone()).or_default();
            let before = (one.accepted.clone(), one.fault.clone());
            let known = one.spec.clone();
            match specs.get(name) {
                Some(spec) => one.look(spec, look),
                // Its app is kept as it was last, and so is what it asks for.
                None => one.fault = Some(format!("there is no secret `{name}` any more")),
            }
            // What is new is watched from the next look on.
            looked.restless |= one.offered.is_some() || one.spec != known;
            if before != (one.accepted.clone(), one.fault.clone()) {
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
            if app.desired.template.env_from.is_empty() {
                continue;
            }
            let asked = || app.desired.template.env_from.iter().map(|one| &one.secret);
            let fault = asked().find_map(|secret| self.secrets.get(secret)?.fault.clone());
            if let Some(fault) = fault {
                app.error.get_or_insert(fault);
            }
            let accepted = |secret: &Label| Some((secret.to_string(), self.secrets.get(secret)?.accepted.clone()?));
            let Some(fingerprints) = asked().map(accepted).collect::<Option<BTreeMap<_, _>>>() else {
                unread.push(name.clone());
                continue;
            };
            let made = self.filled.get(name).filter(|made| made.whole.inputs.secret_fingerprints == fingerprints);
            let made = made.filter(|made| Arc::ptr_eq(&made.bare, &app.desired)).map(|made| Arc::clone(&made.whole));
            let whole = made.unwrap_or_else(|| Arc::new(app.desired.with_secrets(fingerprints)));
            let bare = std::mem::replace(&mut app.desired, Arc::clone(&whole));
            self.filled.insert(name.clone(), Filled { bare, whole });
        }
        for name in unread {
            let Some(app) = snapshot.apps.remove(&name) else { continue };
            let why = app.error.unwrap_or_else(|| "its secrets were not read yet".to_owned());
            let file = app.desired.origin.file.clone().unwrap_or_else(|| name.to_string());
            snapshot.unread.get_or_insert_with(|| Doubt::ManifestInvalid(format!("{file}: {why}")));
            snapshot.faults.push(FileFault { file, errors: vec![why] });
        }
        let accepted = self.secrets.iter().filter_map(|(name, one)| Some((name.clone(), one.accepted.clone()?)));
        snapshot.secrets = accepted.collect();
    }

    /// Adds what to watch.
    pub(crate) fn add_to(&self, root: &Path, interest: &mut Interest) {
        let specs = self.secrets.values().filter_map(|one| one.spec.as_ref());
        for path in specs.flat_map(|spec| paths(&spec.from, root)) {
            // A folder of one file for each key is watched itself, and so is where a link leads.
            if let Ok(real) = path.canonicalize() {
                match real.metadata() {
                    Ok(meta) if meta.is_dir() => drop(interest.folders.insert(real, meta.ino())),
                    Ok(_) | Err(_) => interest.add_linked(real),
                }
            }
            // What is not there yet is seen to appear.
            if path.parent().is_some_and(Path::is_dir) {
                interest.add_linked(path);
            }
        }
    }
}

impl One {
    fn look(&mut self, spec: &SecretSpec, look: &Look<'_>) {
        let same = self.spec.as_ref() == Some(spec);
        if !same {
            (self.spec, self.ran) = (Some(spec.clone()), None);
        }
        if let SecretFrom::Exec(_) = &spec.from {
            let stamps: Vec<_> = paths(&spec.from, look.root).iter().map(|path| stamp(path)).collect();
            let rest = if self.fault.is_some() { EXEC_RETRY } else { EXEC_AGAIN };
            let fresh =
                |(at, then): &(Instant, Vec<Stamp>)| *then == stamps && look.now.saturating_duration_since(*at) < rest;
            if self.ran.as_ref().is_some_and(fresh) {
                return;
            }
            self.ran = Some((look.now, stamps));
        }
        let fingerprint = match look.keeper.read(spec, look.root) {
            Ok(fingerprint) => fingerprint,
            Err(why) => {
                tracing::debug!(secret = %spec.name, %why, "a secret cannot be read");
                (self.fault, self.offered) = (Some(why), None);
                return;
            }
        };
        self.fault = None;
        let written_elsewhere = matches!(spec.from, SecretFrom::File(_)) && same;
        if self.accepted.is_none() || self.accepted.as_ref() == Some(&fingerprint) || !written_elsewhere {
            (self.accepted, self.offered) = (Some(fingerprint), None);
            return;
        }
        let since = match &self.offered {
            Some((offered, since)) if *offered == fingerprint => *since,
            Some(_) | None => look.now,
        };
        if look.now.saturating_duration_since(since) >= look.settle && since != look.now {
            (self.accepted, self.offered) = (Some(fingerprint), None);
        } else {
            self.offered = Some((fingerprint, since));
        }
    }
}

/// The files whose change is a reason to read again.
fn paths(from: &SecretFrom, root: &Path) -> Vec<PathBuf> {
    match from {
        SecretFrom::Env(_) => Vec::new(),
        SecretFrom::File(path) => vec![root.join(path)],
        // Any word may be a file; an option is none.
        SecretFrom::Exec(words) => {
            let words = words.iter().filter(|word| !word.is_empty() && !word.starts_with('-'));
            words.map(|word| root.join(word)).filter(|path| path.is_file()).collect()
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = path.metadata().ok()?;
    Some((meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

/// An app with what its secrets were read as, for those who judge manifests and do not follow them.
///
/// # Errors
/// One line, when one of them is not there or cannot be read.
pub fn read_secrets(
    root: &Path,
    desired: &DesiredApp,
    specs: &BTreeMap<Label, SecretSpec>,
    keeper: &dyn Secrets,
) -> Result<DesiredApp, String> {
    if desired.template.env_from.is_empty() {
        return Ok(desired.clone());
    }
    let read = |name: &Label| {
        let spec = specs.get(name).ok_or_else(|| format!("there is no secret `{name}`"))?;
        Ok((name.to_string(), keeper.read(spec, root)?))
    };
    let read: Result<_, String> = desired.template.env_from.iter().map(|one| read(&one.secret)).collect();
    read.map(|fingerprints| desired.with_secrets(fingerprints)).map_err(|why| format!("app {}: {why}", desired.name))
}
