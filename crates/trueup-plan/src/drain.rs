//! Who is leaving, and whether it may go.
//!
//! Reads who serves, and says who leaves; keeps in the record since when each has been out of the live table. One that
//! leaves goes when nothing is in flight to it, or when its drain time is over.

use std::collections::BTreeSet;

use trueup_museum::{Bug, planted};
use trueup_types::desired::DesiredApp;
use trueup_types::observed::{ExitWhy, Health};
use trueup_types::record::AppRecord;
use trueup_types::{RouteSight, Timestamp, Wake, WakeReason};

use crate::census::{Census, Member, Role, Vigour};
use crate::rollout::{Heading, Mode, Scene};
use crate::routes::{Key, key};
use crate::share;
use crate::surge::Surge;

/// Who leaves, in name order.
pub(crate) fn leaving(
    desired: &DesiredApp,
    heading: &Heading,
    census: &Census<'_>,
    serving: &BTreeSet<Key>,
    extra: u32,
) -> BTreeSet<Key> {
    let stays = |member: &&Member<'_>| !serving.contains(&key(member));
    let needed = needed_still(desired, heading, census, serving, extra);
    let mut leaving: BTreeSet<_> = census
        .members
        .iter()
        .filter(stays)
        .filter(|member| leaves_by_role(heading, member) && !needed.contains(&key(member)))
        .map(key)
        .collect();
    if heading.mode == Mode::Held {
        leaving.extend(in_the_way(heading.surge(desired), desired.replicas(), extra, census, serving));
    }
    let slots = census.of(Role::Fresh).filter(|member| member.vigour != Vigour::Going).count();
    let wanted = usize::try_from(desired.replicas() + extra).unwrap_or(usize::MAX);
    if heading.mode != Mode::Fallen {
        let mut spare: Vec<_> = census.of(Role::Fresh).filter(stays).collect();
        // Those that do least go first, and those of which nobody knows what they do last of these; among equals the
        // highest ordinal.
        spare.sort_by_key(|member| {
            let vigour = member.vigour;
            (vigour.passes(), vigour == Vigour::Unknown, vigour.runs(), std::cmp::Reverse(member.id().ordinal))
        });
        let going = spare.iter().filter(|member| member.vigour == Vigour::Going).map(|member| key(member));
        leaving.extend(going);
        spare.retain(|member| member.vigour != Vigour::Going);
        let surplus = slots
            .saturating_sub(wanted)
            .min(spare.len() - still_needed(heading.surge(desired), desired.replicas(), census, serving, &spare));
        leaving.extend(spare.into_iter().take(surplus).map(key));
    }
    leaving.extend(in_place(desired, heading, census, serving, extra));
    leaving
}

/// The one of the last good release that has failed too long, while nothing of the new one under watch passes: it is
/// stopped, and started again as what is needed still. It would be replaced without a rollout, and is the way back. Where
/// there are no ways in, that it counts as one that serves is no reason to let it hang.
pub(crate) fn hung(
    scene: &Scene<'_>,
    heading: &Heading,
    census: &Census<'_>,
    serving: &BTreeSet<Key>,
) -> (Option<Key>, Wake) {
    if heading.mode != Mode::Baking || census.of(Role::Fresh).any(|member| member.vigour.passes()) {
        return (None, Wake::OnChange);
    }
    let ways_in = !share::exposure(scene.desired, heading, census).routes.is_empty();
    let asked = ways_in || planted(Bug::KeepsHungWorker);
    let idle = |member: &&Member<'_>| !asked || !serving.contains(&key(member));
    let failing = census.of(Role::Kept).filter(idle);
    let due = failing.filter_map(|member| match &member.seen.health {
        Health::Failed { since, .. } if member.vigour == Vigour::Failing => {
            let since = (*since).max(scene.observed.sighted_since);
            Some((since.after(scene.desired.policy.healthy_deadline), key(member)))
        }
        Health::Failed { .. } | Health::Waiting | Health::Passing { .. } | Health::Unknown => None,
    });
    match due.min() {
        Some((due, one)) if due <= scene.now => (Some(one), Wake::OnChange),
        Some((due, _)) => (None, Wake::At(due, WakeReason::Deadline)),
        None => (None, Wake::OnChange),
    }
}

/// How many of a rollout's new ones come before a good one that is down: those that are missing, while one of a superseded
/// release passes and serves. A good one that is slow to come up would else keep them out for as long as they may take.
pub(crate) fn ahead(desired: &DesiredApp, heading: &Heading, census: &Census<'_>) -> usize {
    let ways_in = !share::exposure(desired, heading, census).routes.is_empty();
    let asked = ways_in || planted(Bug::RestartsHungBeforeNew);
    let superseded = || census.of(Role::Stale).any(|member| (member.routed || !asked) && member.vigour.passes());
    if heading.mode != Mode::Rolling || !superseded() {
        return 0;
    }
    let there = census.of(Role::Fresh).filter(|member| member.vigour.runs() || member.vigour == Vigour::Completed);
    usize::try_from(desired.replicas()).unwrap_or(usize::MAX).saturating_sub(there.count())
}

/// The one that fails and does not serve, where what is to take its place finds no room beside it: others serve meanwhile,
/// or two never run side by side, and none has passed for so long that there is nothing to lose. A good one that has not
/// come up yet goes, too, where new ones come before it.
fn in_place(
    desired: &DesiredApp,
    heading: &Heading,
    census: &Census<'_>,
    serving: &BTreeSet<Key>,
    extra: u32,
) -> Option<Key> {
    let role = if heading.mode == Mode::Rolling { Role::Kept } else { Role::Fresh };
    let passes = || census.members.iter().filter(|member| member.vigour.passes());
    let served = passes().any(|member| serving.contains(&key(member)));
    let alone = matches!(heading.mode, Mode::Steady | Mode::Reverting) && heading.surge(desired).alone();
    let nothing_to_lose = alone && extra > 0 && passes().next().is_none();
    if !(served || nothing_to_lose) || !crowded(desired, heading, census, extra) {
        return None;
    }
    let failing = || census.of(role).filter(|member| member.vigour == Vigour::Failing).map(key);
    let waiting = |member: &&Member<'_>| member.vigour == Vigour::Waiting && ahead(desired, heading, census) > 0;
    let idle = || failing().chain(census.of(role).filter(waiting).map(key)).find(|one| !serving.contains(one));
    idle().or_else(|| failing().find(|_| nothing_to_lose))
}

/// Whether what is to come up finds no room.
fn crowded(desired: &DesiredApp, heading: &Heading, census: &Census<'_>, extra: u32) -> bool {
    let (surge, replicas) = (heading.surge(desired), desired.replicas());
    let room = match heading.mode {
        Mode::Rolling => surge.free(census, replicas),
        Mode::Steady | Mode::Reverting | Mode::Held if extra > 0 => surge.free_to_replace(census, replicas),
        Mode::Steady | Mode::Reverting | Mode::Held | Mode::Baking | Mode::Fallen | Mode::Empty => return false,
    };
    // One that is down finds room only where another goes.
    room == 0 && census.count(Role::Fresh, |vigour| vigour.runs() || vigour == Vigour::Completed) < replicas + extra
}

/// How many of the spare ones stay until enough of those that serve surely pass: as many as pass, and where these are too
/// few all of which nobody knows how they do.
fn still_needed(
    surge: Surge,
    replicas: u32,
    census: &Census<'_>,
    serving: &BTreeSet<Key>,
    spare: &[&Member<'_>],
) -> usize {
    let sure = census.members.iter().filter(|member| member.vigour.passes() && serving.contains(&key(member))).count();
    let least = usize::try_from(replicas.saturating_sub(surge.unavailable));
    let short = least.unwrap_or(usize::MAX).saturating_sub(sure);
    let passing = spare.iter().filter(|member| member.vigour.passes()).count();
    let unknown = spare.iter().filter(|member| member.vigour == Vigour::Unknown).count();
    if passing >= short { short } else { passing + unknown }
}

fn leaves_by_role(heading: &Heading, member: &Member<'_>) -> bool {
    match (member.role, heading.mode) {
        (Role::Fresh, Mode::Fallen) => true,
        (Role::Fresh, _) => false,
        // A held rollout keeps what failed, for a person to look at.
        (Role::Stale, Mode::Held) => false,
        (Role::Kept | Role::Stale, _) => true,
    }
}

/// The old ones that do not serve and are needed all the same: as many as serve too few, or as make the way back.
///
/// One that died is started again rather than given up, but one that made room stays down.
fn needed_still(
    desired: &DesiredApp,
    heading: &Heading,
    census: &Census<'_>,
    serving: &BTreeSet<Key>,
    extra: u32,
) -> BTreeSet<Key> {
    let surge = heading.surge(desired);
    let old = || census.of(Role::Kept).filter(|member| serving.contains(&key(member))).count();
    let (least, there) = match heading.mode {
        Mode::Rolling | Mode::Baking if surge.keeps_old => (desired.replicas(), old()),
        Mode::Rolling | Mode::Baking => (desired.replicas().saturating_sub(surge.unavailable), serving.len()),
        Mode::Steady | Mode::Reverting | Mode::Fallen | Mode::Held | Mode::Empty => (0, 0),
    };
    let short = usize::try_from(least).unwrap_or(usize::MAX).saturating_sub(there);
    let mut idle: Vec<_> = census.of(Role::Kept).filter(|member| !serving.contains(&key(member))).collect();
    let fresh = census.of(Role::Fresh).filter(|member| !serving.contains(&key(member)));
    let taken = fresh.filter(|member| member.vigour.runs() && member.vigour != Vigour::Failing).count();
    // A daemon that has just begun does not know yet how those do that came in its place.
    let replaced = !surge.keeps_old && taken >= short;
    idle.retain(|member| member.vigour != Vigour::Going && !(replaced && made_room(member)));
    // Those that are nearest to serving stay; one that was told to go is not started again in place of one that fails.
    idle.sort_by_key(|member| {
        let vigour = member.vigour;
        (made_room(member), vigour == Vigour::Failing, !vigour.runs(), !vigour.passes(), member.id().ordinal)
    });
    let mut needed: BTreeSet<_> = idle.into_iter().take(short).map(key).collect();
    // One that passes and will not serve is no reason to keep out what would; one of the good release will.
    let missing = census.count(Role::Fresh, |vigour| vigour.runs() || vigour == Vigour::Completed) < desired.replicas();
    let shut_out = heading.mode == Mode::Baking && missing && surge.free(census, desired.replicas()) == 0;
    let crowded = shut_out || crowded(desired, heading, census, extra);
    let will_serve = |member: &Member<'_>| !crowded || member.role == Role::Kept;
    needed.extend(healthy_still(desired, heading, census, serving, &needed, will_serve));
    needed
}

/// Whether it is down because it was told to go.
fn made_room(member: &Member<'_>) -> bool {
    matches!(member.exited(), Some((_, _, ExitWhy::Asked)))
}

/// The ones of other releases that are healthy, as far as anybody knows, and go only when enough others pass; on the way
/// back only until it is known how those do that serve.
fn healthy_still(
    desired: &DesiredApp,
    heading: &Heading,
    census: &Census<'_>,
    serving: &BTreeSet<Key>,
    needed: &BTreeSet<Key>,
    will_serve: impl Fn(&Member<'_>) -> bool,
) -> Vec<Key> {
    match heading.mode {
        Mode::Rolling | Mode::Baking | Mode::Steady if !heading.rejected => {}
        Mode::Reverting => {}
        Mode::Rolling | Mode::Baking | Mode::Steady | Mode::Fallen | Mode::Held | Mode::Empty => return Vec::new(),
    }
    let stays = |member: &&Member<'_>| serving.contains(&key(member)) || needed.contains(&key(member));
    let there = census.members.iter().filter(|member| member.vigour.passes()).filter(stays).count();
    let least = desired.replicas().saturating_sub(heading.surge(desired).unavailable);
    let short = usize::try_from(least).unwrap_or(usize::MAX).saturating_sub(there);
    let others = census.members.iter().filter(|member| member.role != Role::Fresh);
    // A daemon that has just begun knows the health of none: what may be healthy stays until that of the rest is known.
    let unsure = census.members.iter().filter(stays).any(|member| member.vigour == Vigour::Unknown);
    if heading.mode == Mode::Reverting && !unsure {
        return Vec::new();
    }
    let may_pass = |vigour: Vigour| vigour.passes() || (unsure && vigour == Vigour::Unknown);
    let wanted_here = |member: &Member<'_>| unsure || will_serve(member);
    let healthy = others.filter(|member| may_pass(member.vigour) && !stays(member) && wanted_here(member));
    healthy.take(short).map(key).collect()
}

/// Those of a held rollout that keep the good release from its number, or from a replacement of what fails of it; the
/// newest stay longest, for a person to look at, and what may pass until it is known how those do that serve.
fn in_the_way(surge: Surge, replicas: u32, extra: u32, census: &Census<'_>, serving: &BTreeSet<Key>) -> Vec<Key> {
    let there = census.count(Role::Fresh, |vigour| vigour.runs() || vigour == Vigour::Completed);
    let coming = surge.free_to_replace(census, replicas) + census.count(Role::Stale, |vigour| vigour == Vigour::Going);
    let short = (replicas + extra).saturating_sub(there).saturating_sub(coming);
    let short = usize::try_from(short).unwrap_or(usize::MAX);
    let unsure = census.members.iter().any(|one| one.vigour == Vigour::Unknown && serving.contains(&key(one)));
    let stays = |vigour: Vigour| unsure && (vigour.passes() || vigour == Vigour::Unknown);
    let held = census.of(Role::Stale).filter(|member| member.vigour.runs() && !serving.contains(&key(member)));
    held.filter(|member| !stays(member.vigour)).take(short).map(key).collect()
}

/// Notes since when each leaving one has been out of the live table; a table that is not seen says nothing.
pub(crate) fn mark(
    record: &mut AppRecord,
    routes: &RouteSight,
    census: &Census<'_>,
    leaving: &BTreeSet<Key>,
    now: Timestamp,
) {
    let RouteSight::Seen(_) = routes else { return };
    let gone: Vec<_> = census.members.iter().filter(|one| leaving.contains(&key(one)) && !one.listed).collect();
    record.draining.retain(|id, _| gone.iter().any(|member| member.id() == id));
    for member in gone {
        record.draining.entry(member.id().clone()).or_insert(now);
    }
}

/// Whether anything of an app can be in a table, now or since an earlier release.
pub(crate) fn has_ways_in(record: &AppRecord, desired: &DesiredApp) -> bool {
    let exposures = record.releases.values().map(|release| &release.exposure).chain([&desired.exposure]);
    exposures.into_iter().any(|exposure| !exposure.routes.is_empty())
}

/// Whether a leaving one may be stopped; else when its drain is over.
pub(crate) fn drained(
    record: &AppRecord,
    desired: &DesiredApp,
    routes: &RouteSight,
    member: &Member<'_>,
    now: Timestamp,
) -> Result<(), Option<Timestamp>> {
    match routes {
        RouteSight::Unknown(_) if has_ways_in(record, desired) => Err(None),
        RouteSight::Unknown(_) => Ok(()),
        RouteSight::Seen(_) if member.listed && !planted(Bug::StopsRouted) => Err(None),
        RouteSight::Seen(_) if member.in_flight == 0 || planted(Bug::ForgetsInFlight) => Ok(()),
        RouteSight::Seen(_) if planted(Bug::DrainsForever) => Err(None),
        RouteSight::Seen(_) => {
            let since = record.draining.get(member.id()).copied().unwrap_or(now);
            let due = since.after(desired.policy.drain);
            if due <= now { Ok(()) } else { Err(Some(due)) }
        }
    }
}
