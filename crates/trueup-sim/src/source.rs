//! A source in memory: a test says what is wanted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use trueup_seams::{Nudge, NudgeSink, Snapshot, Source, SourceApp};
use trueup_types::desired::{DesiredApp, Doubt};
use trueup_types::target::TargetSpec;
use trueup_types::{AppName, TargetName};

/// Manifests in memory.
#[derive(Default)]
pub struct SimSource {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    snapshot: Arc<Snapshot>,
    sinks: Vec<NudgeSink>,
}

impl SimSource {
    /// A source with no apps and the target `local`, whose absences are confirmed.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let source = Self::default();
        source.edit(|snapshot| {
            snapshot.targets = BTreeMap::from([(TargetName::local(), TargetSpec::local())]);
        });
        Arc::new(source)
    }

    /// Wants this app.
    pub fn put(&self, desired: Arc<DesiredApp>) {
        let app = desired.name.clone();
        self.edit(|snapshot| {
            snapshot.vanished.remove(&app);
            snapshot.apps.insert(app.clone(), SourceApp { desired, error: None });
        });
        self.nudge(&Nudge::App(app));
    }

    /// Wants all of these, in one snapshot.
    pub fn put_all(&self, desired: impl IntoIterator<Item = Arc<DesiredApp>>) {
        self.edit(|snapshot| {
            for app in desired {
                snapshot.apps.insert(app.name.clone(), SourceApp { desired: app, error: None });
            }
        });
        self.nudge(&Nudge::All);
    }

    /// Removes a manifest, and confirms it.
    pub fn remove(&self, app: &AppName) {
        self.edit(|snapshot| {
            snapshot.apps.remove(app);
            snapshot.vanished.insert(app.clone(), snapshot.scans);
        });
        self.nudge(&Nudge::App(app.clone()));
    }

    /// Puts the root in doubt, or takes the doubt away.
    pub fn doubt(&self, doubt: Option<Doubt>) {
        self.edit(|snapshot| snapshot.doubt = doubt);
        self.nudge(&Nudge::All);
    }

    fn edit(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut inner = self.inner.lock().expect("no holder panics");
        let mut next = Snapshot::clone(&inner.snapshot);
        change(&mut next);
        // Two scans, so that what vanished in this edit is confirmed.
        next.scans += 2;
        inner.snapshot = Arc::new(next);
    }

    fn nudge(&self, nudge: &Nudge) {
        let sinks = self.inner.lock().expect("no holder panics").sinks.clone();
        for sink in sinks {
            sink(nudge.clone());
        }
    }
}

impl Source for SimSource {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.inner.lock().expect("no holder panics").snapshot)
    }

    fn listen(&self, sink: NudgeSink) {
        self.inner.lock().expect("no holder panics").sinks.push(sink);
    }

    fn relist(&self) {
        self.edit(|_| {});
        self.nudge(&Nudge::All);
    }
}
