//! What a started machine costs, by its size and place.

use trueup_types::Place;
use trueup_types::fly::Guest;
use trueup_types::template::CpuKind;

use crate::money::Dollars;
use crate::table::PriceTable;

/// MiB of a GiB.
const GIB_MIB: f64 = 1_024.0;

/// What a machine costs that runs all month; `None` where its region has no price.
pub(crate) fn month(guest: &Guest, region: &Place, prices: &PriceTable) -> Option<Dollars> {
    let markup = prices.markup(region)?;
    let cpu = prices.cpu(guest.cpu_kind);
    let cpus = f64::from(guest.cpus);
    let included = cpus * cpu.included_gib;
    let extra = (gib(guest.memory_mib) - included).max(0.0);
    let second = cpus * cpu.usd_per_cpu_second + extra * prices.machines.memory.usd_per_gib_second;
    Some(Dollars::new(second * markup * f64::from(prices.month_seconds)))
}

/// `shared-cpu-1x, 512 MiB`.
pub(crate) fn name(guest: &Guest) -> String {
    let preset = match guest.cpu_kind {
        CpuKind::Shared => format!("shared-cpu-{}x", guest.cpus),
        CpuKind::Performance => format!("performance-{}x", guest.cpus),
    };
    let memory = guest.memory_mib;
    if memory.is_multiple_of(1_024) {
        format!("{preset}, {} GiB", memory / 1_024)
    } else {
        format!("{preset}, {memory} MiB")
    }
}

fn gib(mib: u64) -> f64 {
    mib as f64 / GIB_MIB
}
