//! Law 14: a canary takes its steps one at a time, none is left out, and it is sent its step's share, no more and no less,
//! while others can answer.

use trueup_types::desired::{DesiredApp, Wanted};
use trueup_types::exposure::Exposure;
use trueup_types::policy::Strategy;
use trueup_types::record::Rollout;
use trueup_types::{Instance, Revision, RouteEntry, RouteSight, Violation};

use super::{Scene, law, passing};

impl Scene<'_> {
    pub(super) fn steps(&self, found: &mut Vec<Violation>) {
        let Wanted::Present(desired) = self.wanted else { return };
        let Rollout::Underway { to, canary: stood, .. } = &self.before.rollout else { return };
        if !self.takes_steps(desired) {
            return;
        }
        let steps = &desired.policy.steps;
        match &self.plan.record.rollout {
            Rollout::Underway { to: next, canary, .. } if next == to => {
                if canary.step < stood.step || canary.step > stood.step + 1 {
                    found.push(law(14, format!("the canary would go from step {} to {}", stood.step, canary.step)));
                }
                let at = usize::try_from(canary.step).unwrap_or(usize::MAX);
                if let Some(step) = steps.get(at) {
                    self.share_of(*to, u64::from(step.weight.get()), found);
                }
            }
            Rollout::Baking { to: next, .. } if next == to => {
                let last = u32::try_from(steps.len()).unwrap_or(u32::MAX).saturating_sub(1);
                if stood.step < last && self.others_pass(*to) {
                    found.push(law(14, format!("{to} would be promoted from step {} of {last}", stood.step)));
                }
            }
            Rollout::Idle | Rollout::Underway { .. } | Rollout::Baking { .. } | Rollout::Reverting { .. } => {}
        }
    }

    /// Whether others can answer: of the good release, or of whichever is routed.
    fn others_pass(&self, to: Revision) -> bool {
        let good = self.before.current_release();
        let answers = |one: &Instance| {
            let (id, digest) = (&one.sighting.id, one.sighting.release);
            let ours = good.is_some_and(|good| good.revision == id.revision && good.digest == digest);
            ours || self.routed.contains(id)
        };
        self.observed.instances.iter().any(|one| one.sighting.id.revision != to && passing(one) && answers(one))
    }

    /// The way in of the same name, as it is routed at this moment.
    fn seen(&self, entry: &RouteEntry) -> Option<&RouteEntry> {
        let RouteSight::Seen(seen) = &self.observed.routes else { return None };
        seen.share.entries.iter().find(|one| one.host == entry.host && one.path == entry.path)
    }

    /// Whether what is rolled out is to go by steps: there are ways in to share, and room for both.
    fn takes_steps(&self, desired: &DesiredApp) -> bool {
        let (policy, record) = (&desired.policy, &self.plan.record);
        let both =
            policy.stop_first.is_none() && policy.max_surge.of_rounded_up(desired.replicas()) >= desired.replicas();
        let ways_in = |exposure: &Exposure| !exposure.routes.is_empty();
        let good = self.before.current_release().is_some_and(|good| ways_in(&good.exposure));
        let routed = good && ways_in(&desired.exposure);
        policy.strategy == Strategy::Canary && both && routed && record.pin.is_none()
    }

    fn share_of(&self, to: Revision, percent: u64, found: &mut Vec<Violation>) {
        let whole = matches!(self.wanted, Wanted::Present(desired) if desired.policy.by_count.is_some());
        let Some(share) = self.route_step().filter(|_| self.others_pass(to)) else { return };
        for entry in &share.entries {
            let (ours, all) = weights(entry, to);
            let (had, of) = self.seen(entry).map_or((0, 0), |seen| weights(seen, to));
            // Where nobody remembers its steps it keeps what it has.
            let more = of == 0 || ours * of > had * all;
            // Less than its share is nothing, or what it has: weights add up to all that there is.
            let shared = ours > 0 && self.permits.destroy.is_ok() && !whole;
            let less = shared && ours * 100 < all * percent && (of == 0 || ours * of != had * all);
            // Where only whole instances can be told, one of them less is at most the share.
            let most = if whole { ours.saturating_sub(1) } else { ours };
            if (most * 100 > all * percent && more) || less {
                found.push(law(14, format!("{to} would get {ours} of {all} at a step of {percent} %")));
            }
        }
    }
}

/// What a way in sends to a release, and to all.
fn weights(entry: &RouteEntry, to: Revision) -> (u64, u64) {
    let weight = |ours: bool| -> u64 {
        let counted = entry.backends.iter().filter(|one| !ours || one.instance.revision == to);
        counted.map(|one| u64::from(one.weight)).sum()
    };
    (weight(true), weight(false))
}
