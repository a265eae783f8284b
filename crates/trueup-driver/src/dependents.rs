//! Which apps depend on which, of all that are remembered: what goes, goes before what it depends on.
//!
//! Learned from the records, so that it is known of apps whose manifests are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use trueup_types::AppName;

/// By the app that is depended on.
#[derive(Debug, Default)]
pub(crate) struct Dependents(Mutex<BTreeMap<AppName, BTreeSet<AppName>>>);

impl Dependents {
    /// Takes in what an app depends on; nothing for one that is gone, or stays for ever.
    pub(crate) fn learn(&self, app: &AppName, before: &BTreeSet<AppName>, needs: &BTreeSet<AppName>) {
        if before.is_empty() && needs.is_empty() {
            return;
        }
        let mut known = self.0.lock().expect("no holder panics");
        for need in before.difference(needs) {
            if let Some(all) = known.get_mut(need) {
                all.remove(app);
                if all.is_empty() {
                    known.remove(need);
                }
            }
        }
        for need in needs {
            known.entry(need.clone()).or_default().insert(app.clone());
        }
    }

    /// Which apps depend on this one.
    pub(crate) fn of(&self, app: &AppName) -> BTreeSet<AppName> {
        self.0.lock().expect("no holder panics").get(app).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_needed_is_forgotten() {
        let name = |name: &str| AppName::new(name).expect("a name");
        let needs = |names: &[&str]| names.iter().map(|one| name(one)).collect::<BTreeSet<_>>();
        let known = Dependents::default();
        known.learn(&name("web"), &needs(&[]), &needs(&["db", "cache"]));
        known.learn(&name("api"), &needs(&[]), &needs(&["db"]));
        assert_eq!(known.of(&name("db")), needs(&["api", "web"]));
        known.learn(&name("web"), &needs(&["db", "cache"]), &needs(&["cache"]));
        known.learn(&name("api"), &needs(&["db"]), &needs(&[]));
        assert_eq!((known.of(&name("db")), known.of(&name("cache"))), (needs(&[]), needs(&["web"])));
    }
}
