//! Turns a listing that counts into the next snapshot.
//!
//! Each file falls back on its last good version, and a file that lost something (a profile of another file, say) on
//! its last good apps. Then counts absence: only scans that could see everything count, and an app is gone when two of
//! them missed it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trueup_museum::{Bug, planted};
use trueup_seams::{Snapshot, SourceApp};
use trueup_types::desired::{DesiredApp, Doubt};
use trueup_types::status::FileFault;
use trueup_types::target::TargetSpec;
use trueup_types::{AppName, TargetName};

use crate::claims::{self, Held, Settlement};
use crate::reader::{FileOutcome, Reader, Resolved};
use crate::secrets::Specs;
use crate::walk::{Content, Listing, Seen};

/// For how many scans a name stays among the vanished once that is confirmed; what is not among them is gone anyway.
const VANISHED_SCANS_KEPT: u64 = 16;

/// How many broken files of one listing are tried again by themselves; each costs one reading of everything, and the
/// rest stay at their last good versions until the listing is mended.
const SECOND_CHANCES_MAX: usize = 16;

/// What a snapshot changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    Apps(BTreeSet<AppName>),
    /// Something that concerns every app: a doubt, a target, the first scans.
    All,
}

impl Changed {
    /// With these apps as well.
    pub(crate) fn and(self, more: BTreeSet<AppName>) -> Self {
        match self {
            Self::All => Self::All,
            Self::Apps(apps) => Self::Apps(apps.into_iter().chain(more).collect()),
        }
    }
}

/// Whether absence is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pending {
    Nothing,
    /// A second scan tells whether what is missing is gone.
    SecondScan,
}

/// The last good version of a file.
#[derive(Debug)]
struct Good {
    text: Arc<str>,
    apps: Vec<Arc<DesiredApp>>,
}

/// The newest snapshot, and what it takes to make the next.
pub(crate) struct Catalogue {
    reader: Arc<dyn Reader>,
    good: BTreeMap<String, Good>,
    held: BTreeMap<AppName, Held>,
    snapshot: Snapshot,
    secrets: Specs,
    /// Scans that could see everything; [`Snapshot::scans`] is this, or 1 when none has.
    clear_scans: u64,
}

/// What one listing says, before claims are settled.
#[derive(Default)]
struct Reading {
    candidates: Vec<Held>,
    faults: BTreeMap<String, Vec<String>>,
    unread: Option<Doubt>,
    /// Names that a file at fault may hold.
    claims: Vec<(AppName, String)>,
}

impl Catalogue {
    pub(crate) fn new(reader: Arc<dyn Reader>) -> Self {
        let snapshot = Snapshot::default();
        let secrets = Specs::new();
        Self { reader, good: BTreeMap::new(), held: BTreeMap::new(), snapshot, secrets, clear_scans: 0 }
    }

    /// What the newest snapshot's manifests say of secrets.
    pub(crate) fn secrets(&self) -> &Specs {
        &self.secrets
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whether another scan is wanted soon.
    pub(crate) fn pending(&self) -> Pending {
        let unconfirmed = self.snapshot.vanished.values().any(|first| *first >= self.snapshot.scans);
        let clear = self.snapshot.unread.is_none() && self.snapshot.doubt.is_none();
        if clear && (unconfirmed || self.clear_scans < 2) { Pending::SecondScan } else { Pending::Nothing }
    }

    /// Whether a listing holds everything that is held now, and nothing that is at fault.
    pub(crate) fn keeps_all(&self, listing: &Listing) -> bool {
        let text = |seen: &Seen| match &seen.content {
            Content::Text { text, .. } => Some(Arc::clone(text)),
            Content::Unreadable(_) => None,
        };
        let texts = listing.files.iter().map(|(file, seen)| Some((file.clone(), text(seen)?)));
        let Some(texts) = texts.collect::<Option<BTreeMap<_, _>>>() else { return false };
        let resolved = self.reader.resolve(&texts);
        if !listing.gaps.is_empty() || resolved.files.values().any(|outcome| !outcome.errors.is_empty()) {
            return false;
        }
        let apps: BTreeSet<_> =
            resolved.files.values().flat_map(|outcome| &outcome.apps).map(|app| &app.name).collect();
        let local = TargetName::local();
        let mut targets = self.snapshot.targets.keys().filter(|target| **target != local);
        self.held.keys().all(|app| apps.contains(app)) && targets.all(|target| resolved.targets.contains_key(target))
    }

    /// Takes a listing whose content is not that of the one before.
    pub(crate) fn accept(&mut self, listing: &Listing) -> Changed {
        let (reading, targets) = self.read(listing);
        let Reading { candidates, mut faults, mut unread, claims: _ } = reading;
        let Settlement { apps, faults: told, homeless } = claims::settle(candidates, &self.held);
        for (file, text) in told {
            faults.entry(file).or_default().push(text);
        }
        if let Some((app, text)) = homeless.first() {
            unread.get_or_insert_with(|| Doubt::ManifestInvalid(format!("app `{app}`: {text}")));
        }
        let mut all = self.snapshot.doubt.is_some() || self.snapshot.unread != unread;
        let mut changed = differing(&self.held, &apps);
        if self.snapshot.targets != targets {
            all = true;
        }
        self.snapshot.apps = apps
            .iter()
            .map(|(app, held)| {
                (app.clone(), SourceApp { desired: Arc::clone(&held.desired), error: held.error.clone() })
            })
            .collect();
        let missing = self.held.keys().filter(|app| !apps.contains_key(*app)).cloned().collect();
        self.held = apps;
        self.snapshot.targets = targets;
        self.snapshot.faults = faults.into_iter().map(|(file, errors)| FileFault { file, errors }).collect();
        self.snapshot.unread = unread;
        match self.count(missing) {
            Changed::All => Changed::All,
            Changed::Apps(_) if all => Changed::All,
            Changed::Apps(apps) => {
                changed.extend(apps);
                Changed::Apps(changed)
            }
        }
    }

    /// Takes a listing that is the same as the one before: one more scan.
    pub(crate) fn confirm(&mut self) -> Changed {
        let doubted = self.snapshot.doubt.is_some();
        let changed = self.count(BTreeSet::new());
        if doubted { Changed::All } else { changed }
    }

    /// The root is in doubt: what was known stays, and nothing counts as gone.
    pub(crate) fn doubt(&mut self, why: String) -> Changed {
        let doubt = Some(Doubt::SourceUnavailable(why));
        if self.snapshot.doubt == doubt {
            return Changed::Apps(BTreeSet::new());
        }
        self.snapshot.doubt = doubt;
        self.put_off(self.clear_scans + 1);
        Changed::All
    }

    /// Counts one scan, which did not find `missing` nor what had vanished before and is not back.
    fn count(&mut self, missing: BTreeSet<AppName>) -> Changed {
        self.snapshot.doubt = None;
        let clear = self.snapshot.unread.is_none();
        if clear {
            self.clear_scans += 1;
        }
        let scans = self.clear_scans.max(1);
        self.snapshot.scans = scans;
        let apps = &self.snapshot.apps;
        self.snapshot.vanished.retain(|app, first| !apps.contains_key(app) && *first + VANISHED_SCANS_KEPT >= scans);
        for app in missing {
            let first = if planted(Bug::DeletesAtFirstMiss) { scans - 1 } else { scans };
            self.snapshot.vanished.entry(app).or_insert(first);
        }
        if !clear {
            self.put_off(self.clear_scans + 1);
            return Changed::Apps(BTreeSet::new());
        }
        if scans <= 2 {
            // Names that only the store knows are judged by these.
            return Changed::All;
        }
        let confirmed = self.snapshot.vanished.iter().filter(|(_, first)| **first + 1 == scans);
        Changed::Apps(confirmed.map(|(app, _)| app.clone()).collect())
    }

    /// What is missing and not confirmed counts from scan `first` on: this one could not see everything.
    fn put_off(&mut self, first: u64) {
        let scans = self.snapshot.scans;
        self.snapshot.vanished.values_mut().filter(|missed| **missed >= scans).for_each(|missed| *missed = first);
    }

    /// Reads what is there; then, where files are at fault, once more with their last good texts.
    fn read(&mut self, listing: &Listing) -> (Reading, BTreeMap<TargetName, TargetSpec>) {
        let mut texts: BTreeMap<String, Arc<str>> = BTreeMap::new();
        let mut broken: BTreeMap<String, FileOutcome> = BTreeMap::new();
        for (file, seen) in &listing.files {
            match &seen.content {
                Content::Text { text, .. } => {
                    texts.insert(file.clone(), Arc::clone(text));
                }
                Content::Unreadable(why) => {
                    broken.insert(file.clone(), FileOutcome { errors: vec![why.clone()], ..FileOutcome::default() });
                }
            }
        }
        let resolved = self.reader.resolve(&texts);
        for (file, outcome) in &resolved.files {
            if !outcome.errors.is_empty() {
                broken.insert(file.clone(), outcome.clone());
            }
        }
        let resolved = self.without_strangers(&mut texts, &mut broken, resolved);
        let mut resolved = self.fall_back(&mut texts, &mut broken, resolved);
        self.good.retain(|file, _| listing.files.contains_key(file));
        let mut reading = Reading::default();
        for (gap, why) in &listing.gaps {
            let place = if gap.is_empty() { "." } else { gap };
            reading.faults.insert(place.to_owned(), vec![why.clone()]);
            reading.unread.get_or_insert_with(|| Doubt::ManifestInvalid(format!("{place}: {why}")));
        }
        for file in listing.files.keys() {
            let replaced_text = self.replaces(file, listing, &texts);
            self.read_file(file, &mut resolved, broken.remove(file), replaced_text, &texts, &mut reading);
        }
        self.keep_claimed(&mut reading);
        resolved.targets.entry(TargetName::local()).or_insert_with(TargetSpec::local);
        self.secrets = resolved.secrets;
        (reading, resolved.targets)
    }

    /// Puts the last good texts of broken files in their place, and reads again.
    ///
    /// A file may have been broken by another one's fault only (a profile that went with it): each is tried again by
    /// itself among the good ones.
    fn fall_back(
        &self,
        texts: &mut BTreeMap<String, Arc<str>>,
        broken: &mut BTreeMap<String, FileOutcome>,
        resolved: Resolved,
    ) -> Resolved {
        let mut replaced: Vec<(String, Option<Arc<str>>)> = Vec::new();
        for file in broken.keys() {
            if let Some(good) = self.good.get(file)
                && texts.get(file) != Some(&good.text)
            {
                replaced.push((file.clone(), texts.insert(file.clone(), Arc::clone(&good.text))));
            }
        }
        if replaced.is_empty() {
            return resolved;
        }
        let mut resolved = self.reader.resolve(texts);
        if replaced.len() == 1 {
            return resolved;
        }
        for (file, newest) in replaced.into_iter().take(SECOND_CHANCES_MAX) {
            let Some(newest) = newest else { continue };
            let Some(good) = texts.insert(file.clone(), newest) else { continue };
            let tried = self.reader.resolve(texts);
            if tried.files.get(&file).is_none_or(|outcome| outcome.errors.is_empty()) {
                resolved = tried;
                broken.remove(&file);
            } else {
                texts.insert(file, good);
            }
        }
        resolved
    }

    /// Leaves out the files that were never good, where that alone mends one that was: a newcomer that defines what is
    /// already defined must not put its holder in the wrong.
    fn without_strangers(
        &self,
        texts: &mut BTreeMap<String, Arc<str>>,
        broken: &mut BTreeMap<String, FileOutcome>,
        resolved: Resolved,
    ) -> Resolved {
        let wrong = |resolved: &Resolved| {
            let files = resolved.files.iter().filter(|(file, _)| self.good.contains_key(*file));
            files.filter(|(_, outcome)| !outcome.errors.is_empty()).count()
        };
        let strange = |file: &String| broken.contains_key(file) && !self.good.contains_key(file);
        let victims = wrong(&resolved);
        if victims == 0 || !texts.keys().any(strange) {
            return resolved;
        }
        let known: BTreeMap<_, _> = texts
            .iter()
            .filter(|(file, _)| !strange(file))
            .map(|(file, text)| (file.clone(), Arc::clone(text)))
            .collect();
        let tried = self.reader.resolve(&known);
        if wrong(&tried) < victims {
            let mended = |file: &String| tried.files.get(file).is_none_or(|outcome| outcome.errors.is_empty());
            broken.retain(|file, _| !known.contains_key(file) || !mended(file));
            *texts = known;
            return tried;
        }
        resolved
    }

    /// What moved into a file that cannot be read stays as it was.
    fn keep_claimed(&self, reading: &mut Reading) {
        let mut named: BTreeSet<_> = reading.candidates.iter().map(|held| held.desired.name.clone()).collect();
        for (app, file) in std::mem::take(&mut reading.claims) {
            if let Some(last) = self.held.get(&app)
                && named.insert(app)
            {
                let error = reading.faults.get(&file).and_then(|errors| errors.first()).map(|error| first_line(error));
                reading.candidates.push(Held { file, desired: Arc::clone(&last.desired), error });
            }
        }
    }

    /// Whether a last good text stands in for what lies in `file`.
    fn replaces(&self, file: &str, listing: &Listing, texts: &BTreeMap<String, Arc<str>>) -> bool {
        let Some(used) = texts.get(file) else { return false };
        match listing.files.get(file).map(|seen| &seen.content) {
            Some(Content::Text { text, .. }) => text != used,
            Some(Content::Unreadable(_)) => true,
            None => false,
        }
    }

    /// Takes one file's apps: its own, those of its last good text, or its last good apps.
    fn read_file(
        &mut self,
        file: &str,
        resolved: &mut Resolved,
        first: Option<FileOutcome>,
        replaced: bool,
        texts: &BTreeMap<String, Arc<str>>,
        reading: &mut Reading,
    ) {
        let outcome = resolved.files.remove(file).unwrap_or_default();
        let text = texts.get(file);
        let errors = match &first {
            Some(first) if replaced || text.is_none() => first.errors.clone(),
            Some(_) | None => outcome.errors.clone(),
        };
        if outcome.errors.is_empty()
            && let Some(text) = text
        {
            self.good.insert(file.to_owned(), Good { text: Arc::clone(text), apps: outcome.apps });
        }
        let error = errors.first().map(|error| first_line(error));
        let lost = error.is_some() && planted(Bug::ForgetsLastGood);
        let good = self.good.get(file).filter(|_| !lost).map(|good| good.apps.clone());
        if good.is_none()
            && let Some(error) = &error
        {
            reading.unread.get_or_insert_with(|| Doubt::ManifestInvalid(format!("{file}: {error}")));
        }
        for desired in good.unwrap_or_default() {
            reading.candidates.push(Held { file: file.to_owned(), desired, error: error.clone() });
        }
        if !errors.is_empty() {
            for claimed in first.map(|first| first.claims).unwrap_or_default() {
                reading.claims.push((claimed, file.to_owned()));
            }
            reading.faults.entry(file.to_owned()).or_default().extend(errors);
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// The apps that are new, gone, or not as they were.
fn differing(before: &BTreeMap<AppName, Held>, after: &BTreeMap<AppName, Held>) -> BTreeSet<AppName> {
    let same =
        |a: &Held, b: &Held| a.error == b.error && (Arc::ptr_eq(&a.desired, &b.desired) || a.desired == b.desired);
    let changed = after.iter().filter(|(app, held)| !before.get(*app).is_some_and(|last| same(last, held)));
    let gone = before.keys().filter(|app| !after.contains_key(*app));
    changed.map(|(app, _)| app).chain(gone).cloned().collect()
}
