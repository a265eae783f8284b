//! A source on a directory, what it has told, and words for what its snapshots hold.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trueup_seams::{Absence, NoSecrets, Nudge, Secrets, Snapshot, Source};
use trueup_source::{DirectorySource, Reader, SourceConfig};

use super::toy::{Toy, name};

/// Short, so that the tests are; long enough that a write is not mistaken for two.
pub const SETTLE: Duration = Duration::from_millis(30);
/// Longer than any test: what happens is caused by events.
pub const NEVER: Duration = Duration::from_secs(3_600);
/// After this a condition that was waited for will not come.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A source on a directory of its own.
pub struct Bed {
    _dir: tempfile::TempDir,
    pub root: PathBuf,
    pub source: Arc<DirectorySource>,
    pub reader: Arc<Toy>,
    pub nudges: Arc<Mutex<Vec<Nudge>>>,
    /// Each snapshot that somebody was woken for.
    pub history: Arc<Mutex<Vec<Arc<Snapshot>>>>,
}

impl Bed {
    /// Starts on these files, and waits until absence can be told.
    pub async fn new(files: &[(&str, &str)]) -> Self {
        let bed = Self::start(files, NEVER);
        bed.until("absence can be told", |now| now.scans >= 2 || now.unread.is_some() || now.doubt.is_some()).await;
        bed
    }

    pub fn start(files: &[(&str, &str)], rescan: Duration) -> Self {
        Self::keeping(files, rescan, Arc::new(NoSecrets))
    }

    /// The same with somebody who reads secrets.
    pub fn keeping(files: &[(&str, &str)], rescan: Duration, keeper: Arc<dyn Secrets>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("manifests");
        std::fs::create_dir(&root).expect("makes");
        for (file, text) in files {
            write(&root, file, text);
        }
        Self::with(dir, root, rescan, keeper)
    }

    pub fn on(dir: tempfile::TempDir, root: PathBuf, rescan: Duration) -> Self {
        Self::with(dir, root, rescan, Arc::new(NoSecrets))
    }

    fn with(dir: tempfile::TempDir, root: PathBuf, rescan: Duration, keeper: Arc<dyn Secrets>) -> Self {
        let reader = Arc::new(Toy::default());
        let config = SourceConfig { root: root.clone(), settle: SETTLE, rescan };
        let source = DirectorySource::start(config, Arc::clone(&reader) as Arc<dyn Reader>, keeper);
        let nudges = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&nudges);
        source.listen(Arc::new(move |nudge| told.lock().expect("nobody panics").push(nudge)));
        let history = Arc::new(Mutex::new(Vec::new()));
        let (of, kept) = (Arc::downgrade(&source), Arc::clone(&history));
        source.listen(Arc::new(move |_| {
            if let Some(source) = of.upgrade() {
                kept.lock().expect("nobody panics").push(source.snapshot());
            }
        }));
        Self { _dir: dir, root, source, reader, nudges, history }
    }

    pub fn write(&self, file: &str, text: &str) {
        write(&self.root, file, text);
    }

    pub fn remove(&self, file: &str) {
        std::fs::remove_file(self.root.join(file)).expect("removes");
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let reached = async {
            loop {
                let now = self.source.snapshot();
                if holds(&now) {
                    return now;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        match tokio::time::timeout(DEADLINE, reached).await {
            Ok(now) => now,
            Err(_) => panic!("never: {what}; {:#?}", told(&self.source.snapshot())),
        }
    }

    /// What absence of an app meant, snapshot by snapshot, once it was absent.
    pub fn absences(&self, app: &str) -> Vec<Absence> {
        let app = name(app);
        let history = self.history.lock().expect("nobody panics");
        let mut absences: Vec<_> =
            history.iter().filter(|now| !now.apps.contains_key(&app)).map(|now| now.absence(&app)).collect();
        absences.dedup();
        absences
    }

    /// Lists until so many more scans have been counted: what had to be seen has been.
    pub async fn scans(&self, more: u64) -> Arc<Snapshot> {
        let wanted = self.source.snapshot().scans + more;
        self.until("scans", |now| {
            self.source.relist();
            now.scans >= wanted
        })
        .await
    }
}

pub fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().expect("in a folder")).expect("makes");
    std::fs::write(path, text).expect("writes");
}

pub fn told(now: &Snapshot) -> impl std::fmt::Debug + use<> {
    let apps: Vec<_> =
        now.apps.iter().map(|(app, of)| (app.clone(), command(now, app.as_str()), of.error.clone())).collect();
    (
        now.scans,
        apps,
        now.vanished.clone(),
        now.doubt.clone(),
        now.unread.clone(),
        now.faults.clone(),
        now.conditions.clone(),
    )
}

pub fn command(now: &Snapshot, app: &str) -> Option<String> {
    now.apps.get(app).map(|of| of.desired.template.command[0].clone())
}

pub fn runs(now: &Snapshot, app: &str, wanted: &str) -> bool {
    command(now, app).as_deref() == Some(wanted)
}

pub fn conditions(now: &Snapshot) -> Vec<&str> {
    now.conditions.iter().map(|condition| condition.kind.as_str()).collect()
}
