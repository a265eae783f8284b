//! What the ingress is told: the app's share of the route table.
//!
//! `routes` says who serves; here that becomes ways in, each with its backends, their addresses and weights. Whose routes
//! are in force is the release's that the app heads for, and each member answers at the port that its own release has for
//! a way in: old and new ones that name it otherwise serve it side by side.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use trueup_museum::{Bug, planted};
use trueup_types::desired::DesiredApp;
use trueup_types::exposure::{Exposure, Route};
use trueup_types::route::{AppRoutes, Backend, RouteEntry};
use trueup_types::{InstanceId, RouteSight};

use crate::canary;
use crate::census::{Census, Member, Role, Vigour};
use crate::rollout::{Heading, Mode};
use crate::routes::{Key, certain, count, key};

/// Whose routes are in force: a release keeps its own until its successor takes over.
pub(crate) fn exposure<'d>(desired: &'d DesiredApp, heading: &'d Heading, census: &Census<'_>) -> &'d Exposure {
    let fresh = census.count(Role::Fresh, |vigour| vigour == Vigour::Steady);
    match (heading.mode, &heading.good, &heading.release) {
        (Mode::Rolling, Some(good), _) if fresh < desired.replicas() || heading.weight.is_some() => &good.exposure,
        // What failed is not asked where what serves well all the same is to be reached.
        (Mode::Fallen, ..) | (_, _, None) => &desired.exposure,
        (_, _, Some(release)) => &release.exposure,
    }
}

/// Where one answers on a way in: at the port that its own release has for it, be it under another host, or at the port of
/// that name. One that has none for any of the ways in force answers at its own first: it serves what takes their place.
pub(crate) fn address(member: &Member<'_>, route: &Route, in_force: &Exposure) -> Option<SocketAddr> {
    let addresses = &member.seen.sighting.addresses;
    let named = |route: &Route| addresses.get(&route.port).copied();
    if planted(Bug::TakesOnePortForAll) {
        return named(route);
    }
    let own = || member.own.into_iter().flat_map(|own| &own.routes);
    let fits = |route: &Route| {
        let same = own().filter(|one| one.key() == route.key());
        let elsewhere = own().filter(|one| one.path == route.path);
        same.chain(elsewhere).find_map(named).or_else(|| named(route))
    };
    fits(route).or_else(|| {
        let reached = in_force.routes.iter().any(|route| fits(route).is_some());
        own().find_map(named).filter(|_| !reached)
    })
}

/// Who is asked when none of those that serve answers: the proven ones that are kept through a bake.
///
/// A release that was promoted and dies takes its requests with it until it is noticed; with these none is lost.
fn standby<'c, 'a>(
    desired: &DesiredApp,
    heading: &Heading,
    census: &'c Census<'a>,
    serving: &BTreeSet<Key>,
    leaving: &BTreeSet<Key>,
) -> impl Iterator<Item = &'c Member<'a>> {
    let kept = heading.mode == Mode::Baking && heading.surge(desired).keeps_old && !serving.is_empty();
    let fit = |member: &Member<'_>| member.vigour.passes() || (member.listed && member.vigour == Vigour::Unknown);
    let idle = |member: &Member<'_>| !serving.contains(&key(member)) && !leaving.contains(&key(member));
    census.of(Role::Kept).filter(move |member| kept && fit(member) && idle(member))
}

/// Whether old and new ones serve beside each other, none remembers by which weights, and it is not known how the old
/// ones do: then each keeps what it has.
fn is_in_doubt(heading: &Heading, census: &Census<'_>, serving: &BTreeSet<Key>) -> bool {
    let of = |role| census.of(role).filter(|member| serving.contains(&key(member)));
    heading.mode == Mode::Rolling
        && heading.weight.is_none()
        && of(Role::Fresh).next().is_some()
        && of(Role::Kept).any(|member| !certain(member))
        && [Role::Fresh, Role::Kept, Role::Stale].into_iter().flat_map(of).all(|member| member.routed)
}

/// The app's share of the route table.
pub(crate) fn share(
    desired: &DesiredApp,
    heading: &Heading,
    census: &Census<'_>,
    serving: &BTreeSet<Key>,
    leaving: &BTreeSet<Key>,
    routes: &RouteSight,
) -> AppRoutes {
    let serves = |member: &&Member<'_>| serving.contains(&key(member));
    let fresh = count(census.of(Role::Fresh).filter(serves));
    let others = count(census.members.iter().filter(serves)) - fresh;
    let weighs = desired.policy.by_count.is_none();
    let shared = heading.weight.filter(|_| fresh > 0 && others > 0 && weighs);
    let (ours, theirs) = shared.map_or((1, 1), |weight| canary::weights(weight, fresh, others));
    let in_doubt = heading.surge(desired).keeps_old && is_in_doubt(heading, census, serving);
    let weight = |member: &Member<'_>| match member.role {
        Role::Fresh | Role::Kept | Role::Stale if in_doubt => member.weight,
        Role::Fresh => ours,
        Role::Kept | Role::Stale => theirs,
    };
    let members = census.members.iter().filter(serves).map(|member| (member, weight(member)));
    let standby = standby(desired, heading, census, serving, leaving).map(|member| (member, 0));
    let members: Vec<_> = members.chain(standby).collect();
    let in_force = exposure(desired, heading, census);
    let entries = in_force.routes.iter().map(|route| RouteEntry {
        host: route.host.clone(),
        path: route.path.clone(),
        backends: members
            .iter()
            .filter_map(|(member, weight)| {
                let address = address(member, route, in_force)?;
                Some(Backend { instance: member.id().clone(), address: Some(address), weight: *weight })
            })
            .collect(),
    });
    let mut entries: Vec<_> = entries.collect();
    // Where none of those that serve has a way in any more, as was asked for, there is none.
    let to_have_none = heading.release.as_ref().is_some_and(|release| release.exposure.routes.is_empty());
    if to_have_none && entries.iter().all(|entry| entry.backends.is_empty()) {
        entries.clear();
    }
    let kept = as_it_is(census, serving, &entries, routes).filter(|_| !entries.is_empty());
    AppRoutes { app: desired.name.clone(), entries: kept.unwrap_or(entries) }
}

/// The ways in that there are, to those that serve on: where the routes in force lead to none that serves well and these
/// do, as when the next release answers at a port that this one does not have.
fn as_it_is(
    census: &Census<'_>,
    serving: &BTreeSet<Key>,
    entries: &[RouteEntry],
    routes: &RouteSight,
) -> Option<Vec<RouteEntry>> {
    let RouteSight::Seen(seen) = routes else { return None };
    let find = |id: &InstanceId| census.members.iter().find(|one| one.id() == id && serving.contains(&key(one)));
    let well = |entries: &[RouteEntry]| {
        let routed = entries.iter().flat_map(|entry| &entry.backends).filter(|one| one.weight > 0);
        routed.filter_map(|one| find(&one.instance)).any(certain)
    };
    // One that was started again since is where it is now.
    let now = |backend: &Backend| {
        let addresses = &find(&backend.instance)?.seen.sighting.addresses;
        let stays = backend.address.is_none_or(|address| addresses.values().any(|one| *one == address));
        let address = if stays { backend.address } else { addresses.values().next().copied() };
        Some(Backend { address, ..backend.clone() })
    };
    let kept =
        |entry: &RouteEntry| RouteEntry { backends: entry.backends.iter().filter_map(now).collect(), ..entry.clone() };
    let kept: Vec<_> = seen.share.entries.iter().map(kept).collect();
    (!well(entries) && well(&kept)).then_some(kept)
}
