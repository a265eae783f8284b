//! The placement: on which target, in which places, how many.

use std::collections::BTreeMap;

use trueup_types::desired::Placement;
use trueup_types::template::Exclusive;
use trueup_types::{Place, TargetKind, TargetSpec};

use super::notes::Notes;
use super::read::integer;
use crate::node::View;

/// Instances of an app that says nothing.
const REPLICAS: u32 = 1;

pub(super) fn lower(spec: View<'_>, target: &TargetSpec, notes: &mut Notes<'_>) -> Placement {
    let (replicas, regions) = (spec.get("replicas"), spec.get("regions"));
    if regions.is_absent() {
        let count = integer(replicas).ok().flatten().unwrap_or(REPLICAS);
        let place = match &target.kind {
            TargetKind::Process | TargetKind::Docker(_) => Place::here(),
            TargetKind::Fly(spec) => spec.primary_region.clone(),
        };
        return Placement { target: target.name.clone(), spread: BTreeMap::from([(place, count)]) };
    }
    if !replicas.is_absent() {
        let help = "keep one: `regions` says how many in each";
        notes.error_at_key(regions, "manifest::regions", "`regions` and `replicas` exclude each other", help);
    }
    let place = |(key, view)| Some((Place::new(key).ok()?, integer(view).ok()??));
    Placement { target: target.name.clone(), spread: regions.entries().filter_map(place).collect() }
}

/// Two instances for ever cannot share what one alone can have, however they are rolled.
pub(super) fn sharing(spec: View<'_>, exclusive: Option<Exclusive>, replicas: u32, notes: &mut Notes<'_>) {
    match exclusive {
        Some(Exclusive::HostPort(port)) if replicas > 1 => {
            let message = format!("{replicas} instances cannot all listen on port {port} of one host");
            let help = "leave the number out: each instance gets its own, told by `$PORT`; or ask for one replica";
            notes.error_at_key(spec.get("ports"), "manifest::ports::fixed", message, help);
        }
        Some(Exclusive::HostPort(_) | Exclusive::Volume(_)) | None => {}
    }
}
