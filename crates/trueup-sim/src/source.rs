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
    hushed: bool,
    unheard: u64,
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

    /// Wants these and no longer those, in one snapshot; what is gone is confirmed.
    pub fn commit(&self, desired: impl IntoIterator<Item = Arc<DesiredApp>>, gone: &[AppName]) {
        self.edit(|snapshot| {
            for app in gone {
                snapshot.apps.remove(app);
                snapshot.vanished.insert(app.clone(), snapshot.scans);
            }
            for app in desired {
                snapshot.vanished.remove(&app.name);
                snapshot.apps.insert(app.name.clone(), SourceApp { desired: app, error: None });
            }
        });
        self.nudge(&Nudge::All);
    }

    /// Finds the newest version of this app bad: the one before stays in force.
    pub fn refuse(&self, app: &AppName, why: &str) {
        self.edit(|snapshot| {
            if let Some(found) = snapshot.apps.get_mut(app) {
                found.error = Some(why.to_owned());
            }
        });
        self.nudge(&Nudge::App(app.clone()));
    }

    /// Puts the root in doubt, or takes the doubt away.
    pub fn doubt(&self, doubt: Option<Doubt>) {
        self.edit(|snapshot| snapshot.doubt = doubt);
        self.nudge(&Nudge::All);
    }

    /// Has one more target, or has it no more.
    pub fn target(&self, spec: TargetSpec, there: bool) {
        self.edit(|snapshot| {
            let name = spec.name.clone();
            if there {
                snapshot.targets.insert(name, spec)
            } else {
                snapshot.targets.remove(&name)
            };
        });
        self.nudge(&Nudge::All);
    }

    /// Says nothing of changes from here on, as a watch that lost its events; or says it again.
    pub fn hush(&self, hushed: bool) {
        self.inner.lock().expect("no holder panics").hushed = hushed;
    }

    /// How many changes nobody was told of.
    #[must_use]
    pub fn unheard(&self) -> u64 {
        self.inner.lock().expect("no holder panics").unheard
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
        let (sinks, hushed) = {
            let mut inner = self.inner.lock().expect("no holder panics");
            inner.unheard += u64::from(inner.hushed);
            (inner.sinks.clone(), inner.hushed)
        };
        for sink in sinks.iter().filter(|_| !hushed) {
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
