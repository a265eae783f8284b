//! Gives each name and each route to one app.
//!
//! Of several claimants the one that already holds it keeps it; the first in order of file or name where nobody does.
//! Who loses a name is left out; who loses a route stays as it last was. A pure function of the candidates and of what
//! was held.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trueup_museum::{Bug, planted};
use trueup_types::AppName;
use trueup_types::desired::DesiredApp;

/// An app, and the file that it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub file: String,
    pub desired: Arc<DesiredApp>,
    /// Why its newest version is not in force, one line.
    pub error: Option<String>,
}

/// Who holds what.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    pub apps: BTreeMap<AppName, Held>,
    /// What each file is told: path and one line.
    pub faults: Vec<(String, String)>,
    /// Apps of which no version can be in force: absent from `apps`, and not gone.
    pub homeless: Vec<(AppName, String)>,
}

/// Settles the claims of `candidates`, which come in the order of their files.
pub(crate) fn settle(candidates: Vec<Held>, before: &BTreeMap<AppName, Held>) -> Settlement {
    let mut settlement = Settlement::default();
    for candidate in candidates {
        let name = candidate.desired.name.clone();
        let Some(other) = settlement.apps.get(&name) else {
            settlement.apps.insert(name, candidate);
            continue;
        };
        let holder = before.get(&name).map(|held| held.file.as_str());
        let takes_over = holder == Some(candidate.file.as_str()) && holder != Some(other.file.as_str());
        let (winner, loser) = if takes_over { (candidate.clone(), other.clone()) } else { (other.clone(), candidate) };
        let text = format!("app `{name}` is already defined in {}", winner.file);
        settlement.faults.push((loser.file, text));
        settlement.apps.insert(name, winner);
    }
    settle_routes(&mut settlement, before);
    settlement
}

/// Each round every loser goes from its new version to its last, or from its last to none: it ends.
fn settle_routes(settlement: &mut Settlement, before: &BTreeMap<AppName, Held>) {
    loop {
        let lost = lost_routes(&settlement.apps, before);
        if lost.is_empty() {
            return;
        }
        for (app, text) in lost {
            let Some(held) = settlement.apps.remove(&app) else { continue };
            settlement.faults.push((held.file.clone(), format!("app `{app}`: {text}")));
            match before.get(&app).filter(|last| last.desired != held.desired) {
                Some(last) => {
                    let file = held.file;
                    settlement.apps.insert(app, Held { file, desired: Arc::clone(&last.desired), error: Some(text) });
                }
                None => settlement.homeless.push((app, text)),
            }
        }
    }
}

/// The apps that claim a route which another keeps, and what they are told.
fn lost_routes(apps: &BTreeMap<AppName, Held>, before: &BTreeMap<AppName, Held>) -> BTreeMap<AppName, String> {
    let mut claims: BTreeMap<(&str, &str), BTreeSet<&AppName>> = BTreeMap::new();
    for (app, held) in apps {
        for route in &held.desired.exposure.routes {
            claims.entry(route.key()).or_default().insert(app);
        }
    }
    let mut lost = BTreeMap::new();
    for (key, claimants) in
        claims.into_iter().filter(|(_, claimants)| claimants.len() > 1 && !planted(Bug::SharesRoute))
    {
        let holds = |app: &AppName| {
            before.get(app).is_some_and(|held| held.desired.exposure.routes.iter().any(|route| route.key() == key))
        };
        let keeper = claimants.iter().copied().find(|app| holds(app)).or(claimants.first().copied());
        for app in claimants.iter().copied().filter(|app| Some(*app) != keeper) {
            let keeper = keeper.map_or("", AppName::as_str);
            lost.entry(app.clone()).or_insert_with(|| format!("route {}{} is held by app `{keeper}`", key.0, key.1));
        }
    }
    lost
}
