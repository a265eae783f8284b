//! How many may run at once, and how many may be missing.
//!
//! Reads the policy once and answers in instances. Where two cannot stand side by side the surge is nothing and one may
//! be missing, whatever the manifest says; whether they can is the release's that the app heads for, which may be an
//! earlier one than the manifest's.

use trueup_museum::{Bug, planted};
use trueup_types::Release;
use trueup_types::desired::DesiredApp;
use trueup_types::policy::Strategy;

use crate::census::{Census, Role, Vigour};

/// The room that a policy gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surge {
    /// Above the wanted number while rolling.
    pub surge: u32,
    /// Below the wanted number while rolling.
    pub unavailable: u32,
    /// Old and new run side by side until the bake has ended.
    pub keeps_old: bool,
    /// The old ones are all gone before the first new one starts.
    pub recreates: bool,
    /// Two instances cannot stand side by side.
    pub stop_first: bool,
}

impl Surge {
    /// The room of an app's policy, on its way to a release.
    pub(crate) fn of(desired: &DesiredApp, release: Option<&Release>) -> Self {
        let (policy, replicas) = (&desired.policy, desired.replicas());
        let stop_first = stops_first(desired, release);
        let recreates = policy.strategy == Strategy::Recreate;
        let surge = if stop_first || recreates { 0 } else { policy.max_surge.of_rounded_up(replicas) };
        // Someone always serves, but where the only one cannot have its successor beside it.
        let most = if surge == 0 { replicas.saturating_sub(1).max(1) } else { replicas.saturating_sub(1) };
        let unavailable = match (recreates, stop_first) {
            (true, _) => replicas,
            (false, _) if planted(Bug::IgnoresUpdateLimits) => replicas,
            (false, true) => policy.max_unavailable.of_rounded_down(replicas).clamp(1, most),
            (false, false) => policy.max_unavailable.of_rounded_down(replicas).min(most),
        };
        let side_by_side = match policy.strategy {
            Strategy::BlueGreen | Strategy::Canary => true,
            Strategy::Rolling | Strategy::Recreate => false,
        };
        Self { surge, unavailable, keeps_old: side_by_side && surge >= replicas, recreates, stop_first }
    }

    /// How many may be missing at this moment, so that others can take their place.
    pub(crate) fn room(&self, census: &Census<'_>, replicas: u32) -> u32 {
        let fresh = census.count(Role::Fresh, |vigour| vigour.runs() || vigour == Vigour::Completed);
        let others = census.members.iter().any(|one| one.role != Role::Fresh && one.vigour.runs());
        let in_the_way = if self.recreates { others } else { self.free(census, replicas) == 0 };
        if fresh < replicas && in_the_way { self.unavailable } else { 0 }
    }

    /// Whether old and new never run side by side, be it for a replacement.
    pub(crate) fn alone(&self) -> bool {
        self.recreates || self.stop_first
    }

    /// How many more may be started at this moment.
    pub(crate) fn free(&self, census: &Census<'_>, replicas: u32) -> u32 {
        let surge = if planted(Bug::SurgesUnbounded) { 2 * replicas } else { self.surge };
        (replicas + surge).saturating_sub(running(census))
    }

    /// The same for a replacement that starts first, which is allowed one beyond a surge of nothing.
    pub(crate) fn free_to_replace(&self, census: &Census<'_>, replicas: u32) -> u32 {
        let over = if self.alone() { 0 } else { 1 };
        (replicas + self.surge.max(over)).saturating_sub(running(census))
    }
}

/// Whether two of what the app heads for cannot stand side by side.
fn stops_first(desired: &DesiredApp, release: Option<&Release>) -> bool {
    let wanted = desired.policy.stop_first.is_some();
    match release.filter(|_| !planted(Bug::ForgetsWhoseDisk)) {
        None => wanted,
        // One that was written before that was kept is as the manifest's, where it is the manifest's.
        Some(release) => release.stands_alone() || (wanted && release.template == *desired.template),
    }
}

fn running(census: &Census<'_>) -> u32 {
    let running = census.members.iter().filter(|one| one.vigour.runs() || one.vigour == Vigour::Going).count();
    u32::try_from(running).unwrap_or(u32::MAX)
}
