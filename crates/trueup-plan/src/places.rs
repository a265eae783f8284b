//! Which instances are where they are not wanted, and whether one is to move.
//!
//! An app may be wanted so many times in each of several places. Where their number is right and their places are not, one
//! more starts where one is missing, and once it serves one goes where there is one too many. Knows nothing of releases.

use std::collections::{BTreeMap, BTreeSet};

use trueup_types::Place;
use trueup_types::desired::DesiredApp;

use crate::census::{Census, Member, Role, Vigour};
use crate::routes::{Key, key};
use crate::surge::Surge;

/// Those of the release that the app heads for which are too many where they are: the highest ordinals, and first those that
/// do not pass.
pub(crate) fn misplaced(desired: &DesiredApp, census: &Census<'_>) -> BTreeSet<Key> {
    let mut by_place: BTreeMap<&Place, Vec<&Member<'_>>> = BTreeMap::new();
    for member in census.of(Role::Fresh).filter(|member| member.vigour != Vigour::Going) {
        by_place.entry(&member.seen.sighting.place).or_default().push(member);
    }
    let too_many = |(place, mut there): (&Place, Vec<&Member<'_>>)| {
        there.sort_by_key(|member| (!member.vigour.passes(), member.id().ordinal));
        let wanted = desired.placement.spread.get(place).copied().unwrap_or(0);
        there.into_iter().skip(usize::try_from(wanted).unwrap_or(usize::MAX)).map(key).collect::<Vec<_>>()
    };
    by_place.into_iter().flat_map(too_many).collect()
}

/// Whether one more is wanted for a while: where all serve, one is to start in a place that has too few, for another that is
/// too many elsewhere; and as long as it has not begun to serve, it stays. Then the other goes, before the next one moves.
///
/// Not where two never stand side by side: what holds them apart, a disk, does not move with them.
pub(crate) fn one_moves(desired: &DesiredApp, surge: Surge, census: &Census<'_>, serving: &BTreeSet<Key>) -> bool {
    let proven = |place: &Place| {
        let there = census.of(Role::Fresh).filter(|member| member.seen.sighting.place == *place);
        there.filter(|member| matches!(member.vigour, Vigour::Steady | Vigour::Completed)).count()
    };
    let count = |wanted: u32| usize::try_from(wanted).unwrap_or(usize::MAX);
    let lacks = desired.placement.spread.iter().any(|(place, wanted)| proven(place) < count(*wanted));
    if !lacks || surge.alone() {
        return false;
    }
    let misplaced = misplaced(desired, census);
    let idle = |member: &Member<'_>| !serving.contains(&key(member)) && !misplaced.contains(&key(member));
    let coming = census.of(Role::Fresh).any(|member| member.vigour.runs() && idle(member));
    !misplaced.is_empty() && (coming || census.of(Role::Fresh).count() == count(desired.replicas()))
}
