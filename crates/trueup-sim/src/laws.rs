//! The laws as the world sees them: checked when an effect lands, whatever the planner believed.
//!
//! Law 3: no step lowers what passes and is routed below what is wanted, nor raises what runs above the surge. Law 4:
//! the last passing instance is never unrouted. Law 5: nothing routed, and nothing with requests in flight within its
//! drain, is stopped. Law 13: what runs a hook is begun once. What breaks one is written to `State::violations`, which every test asks for.
//!
//! Who acts knows the world of a moment ago, so capacity is judged by what it may believe: an instance that turned bad
//! within [`LAG`] still counts as passing, and one that passes for less than it takes to notice does not yet. And it acts for what was wanted when it looked: [`Wants`] keeps the versions
//! of the last minute, and the mildest counts. Law 3 is not asked where nobody said what is wanted.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use trueup_types::desired::DesiredApp;
use trueup_types::policy::Strategy;
use trueup_types::route::{AppRoutes, RouteTable};
use trueup_types::{AppName, InstanceId, Place, Release, TargetName, Timestamp};

use crate::shapes;
use crate::world::{SimInstance, State};

/// How old a belief may be: a routine look of 30 s, and one more probe.
pub const LAG: Duration = Duration::from_secs(45);
/// How long a tick may go on for what is no longer wanted: some calls that give no answer.
const MEMORY: Duration = Duration::from_secs(180);
/// Drain of an app that is gone.
const DRAIN_WHEN_GONE: Duration = Duration::from_secs(30);

/// What was wanted lately, by app: `None` is an app without a manifest.
#[derive(Debug, Default)]
pub struct Wants(BTreeMap<AppName, Vec<Version>>);

/// What a manifest said, or that there was none, and when it was told last.
type Version = (Option<Arc<DesiredApp>>, Timestamp);

impl Wants {
    /// Takes in what is wanted of an app at `now`.
    pub fn learn(&mut self, app: &AppName, desired: Option<&Arc<DesiredApp>>, now: Timestamp) {
        let versions = self.0.entry(app.clone()).or_default();
        versions.retain(|(_, seen)| now.since(*seen) <= MEMORY);
        let same =
            |known: &Option<Arc<DesiredApp>>| known.as_ref().map(|one| one.intent) == desired.map(|one| one.intent);
        match versions.iter_mut().find(|(known, _)| same(known)) {
            Some((_, seen)) => *seen = now,
            None => versions.push((desired.cloned(), now)),
        }
    }

    fn versions(&self, app: &AppName) -> impl Iterator<Item = Option<&DesiredApp>> {
        self.0.get(app).into_iter().flatten().map(|(desired, _)| desired.as_deref())
    }

    /// How many have to pass and be routed, by the mildest version; `None` when nobody said.
    fn least(&self, app: &AppName) -> Option<u32> {
        self.versions(app).map(|version| version.map_or(0, least)).min()
    }

    /// How many may run, by the mildest version; `None` when nobody said.
    fn most(&self, app: &AppName, beside: bool) -> Option<u32> {
        self.versions(app).map(|version| version.map_or(u32::MAX, |desired| most(desired, beside))).max()
    }

    fn routed(&self, app: &AppName) -> bool {
        self.versions(app).any(|version| version.is_some_and(|desired| !desired.exposure.routes.is_empty()))
    }

    /// Whether somebody wanted the app without any route.
    fn unrouted(&self, app: &AppName) -> bool {
        self.versions(app).any(|version| version.is_none_or(|desired| desired.exposure.routes.is_empty()))
    }

    fn drain(&self, app: &AppName) -> Duration {
        let drains = self.versions(app).map(|version| version.map_or(DRAIN_WHEN_GONE, |desired| desired.policy.drain));
        drains.min().unwrap_or_default()
    }
}

fn least(desired: &DesiredApp) -> u32 {
    if alone(desired) {
        return 0;
    }
    let replicas = desired.replicas();
    let surge = desired.policy.max_surge.of_rounded_up(replicas);
    if replicas == 1 && surge == 0 && desired.policy.max_unavailable.of_rounded_down(1) == 1 {
        // It is replaced in place, as was asked for.
        return 0;
    }
    let missing = desired.policy.max_unavailable.of_rounded_down(replicas).min(replicas.saturating_sub(1));
    replicas.saturating_sub(missing)
}

/// How many may run; `beside` says that it may be on its way to a release of which two can stand side by side.
fn most(desired: &DesiredApp, beside: bool) -> u32 {
    let replicas = desired.replicas();
    let recreates = desired.policy.strategy == Strategy::Recreate;
    let surge = if recreates || (alone(desired) && !beside) {
        0
    } else {
        desired.policy.max_surge.of_rounded_up(replicas).max(1)
    };
    replicas + surge
}

/// Whether old and new never run side by side.
fn alone(desired: &DesiredApp) -> bool {
    desired.policy.stop_first.is_some() || desired.policy.strategy == Strategy::Recreate
}

/// The instances that a share sends anything to, each with the address where it is given.
fn live(share: Option<&AppRoutes>) -> BTreeMap<&InstanceId, Option<SocketAddr>> {
    let backends = share.into_iter().flat_map(|share| &share.entries).flat_map(|entry| &entry.backends);
    backends.filter(|backend| backend.weight > 0).map(|backend| (&backend.instance, backend.address)).collect()
}

/// The apps whose shares differ, with the old and the new one; both tables are in name order.
fn changed<'t>(old: &'t RouteTable, new: &'t RouteTable) -> Vec<(Option<&'t AppRoutes>, Option<&'t AppRoutes>)> {
    let (mut old, mut new) = (old.apps.iter().peekable(), new.apps.iter().peekable());
    let mut pairs = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return pairs,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.app.cmp(&other.app),
        };
        let before = old.next_if(|_| order.is_le());
        let after = new.next_if(|_| order.is_ge());
        if before != after {
            pairs.push((before.map(Arc::as_ref), after.map(Arc::as_ref)));
        }
    }
}

/// Whether one that a table names is as asked for; where one name is on two targets the address says which is meant.
fn any(state: &State, id: &InstanceId, address: Option<SocketAddr>, asked: impl Fn(&SimInstance) -> bool) -> bool {
    let all: Vec<_> = state.instances.values().filter_map(|target| target.get(id)).collect();
    let meant = |one: &SimInstance| all.len() < 2 || address.is_none() || address == Some(one.address);
    all.iter().any(|one| meant(one) && asked(one))
}

/// Whether the live table sends anything to an instance. It knows names; where one name is on two targets the address
/// says which of them is meant.
fn is_routed(state: &State, target: &TargetName, id: &InstanceId) -> bool {
    let here = state.instances.get(target).and_then(|all| all.get(id)).map(|one| one.address);
    let twin = state.instances.iter().any(|(other, all)| other != target && all.contains_key(id));
    let found = state.table.apps.binary_search_by(|share| share.app.cmp(&id.app)).ok();
    let entries = found.and_then(|at| state.table.apps.get(at)).into_iter().flat_map(|share| &share.entries);
    let mut ours = entries.flat_map(|entry| &entry.backends).filter(|one| one.instance == *id && one.weight > 0);
    ours.any(|one| !twin || one.address.is_none() || one.address == here)
}

fn believed(state: &State, id: &InstanceId, address: Option<SocketAddr>, now: Timestamp) -> bool {
    let lag = state.ignorance.lag(now);
    any(state, id, address, |one| one.believed(now, lag)) || state.is_missed_by_nobody(id, now)
}

/// How many have to pass and be routed; none where it may be on its way to a release of which no two can stand side by side.
fn least_of(state: &State, app: &AppName) -> Option<u32> {
    if state.shapes.may_stop_first(app) { Some(0) } else { state.wants.least(app) }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Checks a table that is about to become live.
pub(crate) fn before_route(state: &mut State, next: &RouteTable, now: Timestamp) {
    let mut broken = Vec::new();
    for (old, new) in changed(&state.table, next) {
        let Some(app) = old.map(|share| &share.app).filter(|app| !state.exempt.contains(*app)) else {
            continue;
        };
        // Nobody is to reach it any more, as was asked for.
        let to_have_none = state.wants.unrouted(app) || state.shapes.may_be_unrouted(app);
        if new.is_none() && to_have_none {
            continue;
        }
        let noticed = |one: &SimInstance| one.noticed(now, state.ignorance.slept());
        let served = live(old).iter().filter(|(id, at)| any(state, id, **at, noticed)).count();
        let serves = live(new).iter().filter(|(id, at)| believed(state, id, **at, now)).count();
        let least = least_of(state, app);
        if served > 0 && serves == 0 && least != Some(0) {
            broken.push(format!("law 4: {} unroutes the last passing instance of {app}", next.generation));
        }
        // What is to have no ways in any more gives up those that it had one by one.
        if serves < served && number(serves) < least.unwrap_or(0) && !to_have_none {
            let least = least.unwrap_or(0);
            broken.push(format!("law 3: {} leaves {serves} of {served} of {app}, at least {least}", next.generation));
        }
    }
    state.broken(now, broken);
}

/// Keeps in mind since when what runs has been out of the live table.
pub(crate) fn note_unrouted(state: &mut State, next: &RouteTable, now: Timestamp) {
    let (mut left, mut back) = (Vec::new(), Vec::new());
    for (old, new) in changed(&state.table, next) {
        let (old, new) = (live(old), live(new));
        left.extend(old.into_keys().filter(|id| !new.contains_key(*id)).cloned());
        back.extend(new.into_keys().cloned());
    }
    for id in back {
        state.unrouted.remove(&id);
    }
    for id in left {
        state.unrouted.insert(id, now);
    }
}

/// Checks an instance that is about to be stopped.
pub(crate) fn before_stop(state: &mut State, target: &TargetName, id: &InstanceId, now: Timestamp) {
    let passes = state
        .instances
        .get(target)
        .and_then(|all| all.get(id))
        .is_some_and(|one| one.noticed(now, state.ignorance.slept()));
    if !passes || state.exempt.contains(&id.app) {
        return;
    }
    let mut broken = Vec::new();
    if is_routed(state, target, id) {
        broken.push(format!("law 5: {id} is stopped while it is routed"));
    }
    let drain = state.wants.drain(&id.app);
    let out = state.unrouted.get(id).copied();
    let busy = state.in_flight.get(id).is_some_and(|count| *count > 0);
    if busy && out.is_some_and(|since| now.since(since) < drain) {
        broken.push(format!("law 5: {id} is stopped within its drain"));
    }
    // While some of it have ways in, it is the table that says who serves.
    let has_ways_in = state.of_app(&id.app).any(|(_, one)| !one.release.exposure.routes.is_empty());
    if !state.wants.routed(&id.app) && !has_ways_in {
        let lag = state.ignorance.lag(now);
        // Of twins on two targets only this one goes.
        let others =
            state.instances.iter().flat_map(|(place, all)| all.iter().map(move |(other, one)| (place, other, one)));
        let ours = others.filter(|(place, other, _)| other.app == id.app && (*place, *other) != (target, id));
        let serves = ours.filter(|(_, other, one)| other.task.is_none() && one.believed(now, lag)).count();
        let serves = serves + state.missed_by_nobody(&id.app, now);
        let least = least_of(state, &id.app).unwrap_or(0);
        if number(serves) < least {
            broken.push(format!("law 3: stopping {id} leaves {serves}, at least {least}"));
        }
    }
    state.broken(now, broken);
}

/// Checks an instance that is about to be created or started.
pub(crate) fn before_begin(
    state: &mut State,
    (target, place, id): (&TargetName, &Place, &InstanceId),
    release: &Release,
    now: Timestamp,
) {
    shapes::before_begin(state, (target, place, id), release, now);
    if state.exempt.contains(&id.app) || id.task.is_some() {
        return;
    }
    // One that was made and never started is none that runs.
    let runs = state.of_app(&id.app).filter(|(_, one)| !one.exited(now) && one.lives > 0).count();
    let runs = number(runs.saturating_sub(state.unknown(&id.app, now)));
    let beside = state.shapes.may_stand_beside(&id.app);
    let most = state.wants.most(&id.app, beside).unwrap_or(u32::MAX);
    if runs.saturating_add(1) > most {
        let broken = format!("law 3: {id} is one more than {runs}, at most {most}");
        state.broken(now, [broken]);
    }
}
