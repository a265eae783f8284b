//! What a plan makes dearer or cheaper, app by app and in all, where apps are on Fly.

use std::collections::BTreeMap;

use trueup_cost::{Change, PriceTable};
use trueup_seams::AppPreview;
use trueup_types::{AppName, TargetName, TargetSpec};

use crate::cost;

/// The changes of a month's costs that cents show.
#[derive(Debug, Default)]
pub(super) struct Costs {
    apps: BTreeMap<AppName, Change>,
    all: Option<Change>,
}

impl Costs {
    /// Of all apps that a plan looks at, by the table that is built in.
    pub(super) fn of(previews: &[AppPreview], targets: &BTreeMap<TargetName, TargetSpec>) -> Self {
        let prices = PriceTable::built_in();
        let bill = |apps| cost::bill(targets, apps, cost::ASSUMED, &prices);
        let before = bill(previews.iter().filter_map(|preview| preview.before.as_ref()).collect::<Vec<_>>());
        // What is in force is not known where no daemon runs: then only what is new makes anything dearer.
        let known = |preview: &&AppPreview| preview.before.is_some() || preview.change == trueup_seams::Change::Create;
        let after = bill(previews.iter().filter(known).filter_map(|preview| preview.after.as_ref()).collect());
        let change = |app: &AppName| Change::of(before.month_of(app), after.month_of(app));
        let apps = previews.iter().map(|preview| (preview.app.clone(), change(&preview.app)));
        let all = Some(Change::of(before.month, after.month)).filter(Change::shows);
        Self { apps: apps.filter(|(_, change)| change.shows()).collect(), all }
    }

    /// What one app's change costs, for people.
    pub(super) fn line(&self, app: &AppName) -> Option<String> {
        self.apps.get(app).map(|change| format!("cost: {change}"))
    }

    /// The same, for programs.
    pub(super) fn object(&self, app: &AppName) -> Option<&Change> {
        self.apps.get(app)
    }

    /// What all changes cost.
    pub(super) fn summary(&self) -> String {
        self.all.map(|change| format!(" Cost: {change}.")).unwrap_or_default()
    }
}
