//! The laws as the world sees them: checked when an effect lands, whatever the planner believed.
//!
//! Law 4: the last passing instance is never unrouted. Law 5: nothing routed, and nothing with requests in flight
//! within its drain, is stopped. What breaks one is written to `State::violations`, which every test asks for.

use std::collections::{BTreeMap, BTreeSet};

use trueup_types::route::RouteTable;
use trueup_types::{AppName, InstanceId, TargetName, Timestamp};

use crate::world::State;

fn routed(table: &RouteTable) -> BTreeMap<&AppName, BTreeSet<&InstanceId>> {
    let mut apps: BTreeMap<&AppName, BTreeSet<&InstanceId>> = BTreeMap::new();
    for share in &table.apps {
        let backends = share.entries.iter().flat_map(|entry| &entry.backends);
        let live = backends.filter(|backend| backend.weight > 0).map(|backend| &backend.instance);
        apps.entry(&share.app).or_default().extend(live);
    }
    apps
}

fn passing(state: &State, id: &InstanceId, now: Timestamp) -> bool {
    state.instances.values().any(|target| target.get(id).is_some_and(|instance| instance.passing(now)))
}

/// Checks a table that is about to become live.
pub(crate) fn before_route(state: &mut State, next: &RouteTable, now: Timestamp) {
    let (old, new) = (routed(&state.table), routed(next));
    let mut broken = Vec::new();
    for (app, instances) in &old {
        if state.exempt.contains(*app) {
            continue;
        }
        let served = instances.iter().any(|id| passing(state, id, now));
        let serves = new.get(app).is_some_and(|after| after.iter().any(|id| passing(state, id, now)));
        if served && !serves {
            broken.push(format!("law 4: {} unroutes the last passing instance of {app}", next.generation));
        }
    }
    state.violations.extend(broken);
}

/// Checks an instance that is about to be stopped.
pub(crate) fn before_stop(state: &mut State, target: &TargetName, id: &InstanceId, now: Timestamp) {
    let running = state.instances.get(target).and_then(|all| all.get(id)).is_some_and(|one| one.passing(now));
    if !running || state.exempt.contains(&id.app) {
        return;
    }
    if routed(&state.table).get(&id.app).is_some_and(|instances| instances.contains(id)) {
        state.violations.push(format!("law 5: {id} is stopped while it is routed"));
    }
}
