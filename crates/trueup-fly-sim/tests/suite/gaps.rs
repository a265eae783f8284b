//! What the specification is known to lack or to get wrong, and nothing else.
//!
//! Each line excuses lines of the contract; one that excuses nothing in the whole suite fails it.

use trueup_fly_sim::Gap;

const fn gap(line: &'static str, why: &'static str) -> Gap {
    Gap { line, why }
}

const LEASES: &str = "leases are declared bare; real answers are wrapped in `status` and `data`";
const STATUSES: &str = "no 401, 403, 404, 409, 412, 422, 429 or 5xx is declared on machines, and hardly any elsewhere";
const BAD: &str = "400 is declared for some operations, and answered by all that read a body or a query";
const WAITS: &str = "wait declares 200 and 400 alone, and one state where it takes a list";
const VERBS: &str = "verbs are declared without an answer, and carry JSON";
const MACHINE: &str = "missing in Machine";
const INPUTS: &str = "an input that is in use, and not declared";
const NONCE: &str = "the nonce is declared for leases alone, though all mutations honour it";
const TYPES: &str = "durations are text there, and numbers are taken; signals too; autostop is answered as a bool";
const CAPITALS: &str = "regions and placements are lower-case there, and in capitals in reality";
const NEWER: &str = "the specification has it since May 2026";

/// The known gaps.
pub const GAPS: &[Gap] = &[
    gap("Machines_*_lease 20* Lease.status is unknown", LEASES),
    gap("Machines_*_lease 20* Lease.data is unknown", LEASES),
    gap("Machines_release_lease 200 has a body", LEASES),
    gap("* 400 is no answer", BAD),
    gap("* 401 is no answer", STATUSES),
    gap("* 403 is no answer", STATUSES),
    gap("* 404 is no answer", STATUSES),
    gap("Machines_wait 408 is no answer", WAITS),
    gap("Machines_create 408 is no answer", STATUSES),
    gap("Machines_* 409 is no answer", STATUSES),
    gap("* 412 is no answer", STATUSES),
    gap("Apps_create 422 is no answer", STATUSES),
    gap("* 429 is no answer", STATUSES),
    gap("* 500 is no answer", STATUSES),
    gap("* 502 is no answer", STATUSES),
    gap("* 503 is no answer", STATUSES),
    gap("Machines_wait query state is wrong: *,*", WAITS),
    gap("Machines_delete 200 has a body", VERBS),
    gap("Machines_start 200 has a body", VERBS),
    gap("Machines_stop 200 has a body", VERBS),
    gap("Machines_suspend 200 has a body", VERBS),
    gap("Machines_restart 200 has a body", VERBS),
    gap("Machines_signal 200 has a body", VERBS),
    gap("Machines_cordon 200 has a body", VERBS),
    gap("Machines_uncordon 200 has a body", VERBS),
    gap("Apps_create 201 has a body", VERBS),
    gap("Machines_* 200 Machine.version is unknown", MACHINE),
    gap("Machines_* 200 Machine.cordoned is unknown", MACHINE),
    gap("* header fly-machine-lease-nonce is unknown", NONCE),
    gap("Machines_list query metadata.* is unknown", INPUTS),
    gap("Machines_delete query kill is unknown", INPUTS),
    gap("Machines_restart query force_stop is unknown", INPUTS),
    gap("Apps_create query wait is unknown", INPUTS),
    gap("Apps_create request CreateAppRequest.app_name is unknown", INPUTS),
    gap("Apps_delete query force is unknown", INPUTS),
    gap("Machines_create_lease query ttl is unknown", INPUTS),
    gap("Machines_exec request MachineExecRequest.machine is unknown", INPUTS),
    gap("Machines_* query include_leases is unknown", NEWER),
    gap("Machines_signal request SignalRequest.signal is no string", TYPES),
    gap("Machines_create * fly.MachineService.autostop is no string", TYPES),
    gap("Machines_* 200 fly.MachineService.autostop is no string", TYPES),
    gap("Machines_create request fly.StopConfig.timeout is no string", TYPES),
    gap("Machines_create request fly.MachineServiceCheck.interval is no string", TYPES),
    gap("Platform_regions_get 200 main.regionResponse.Regions is unknown", CAPITALS),
    gap("Platform_regions_get 200 main.regionResponse.Nearest is unknown", CAPITALS),
    gap("Platform_placements_post 200 main.getPlacementsResponse.Regions is unknown", CAPITALS),
];
