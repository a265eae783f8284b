//! What is live, of which a fly.toml says nothing: how many machines, where, of what size, from which image.
//!
//! Whoever asked the Machines API hands over its answers as they came; strings are open, and whatever is missing is unknown.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What somebody saw of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The organisation's slug.
    pub organization: Option<String>,
    /// Its machines that somebody meant to stay.
    pub machines: Vec<LiveMachine>,
    /// The names of its secrets.
    pub secrets: Vec<String>,
    /// The host names that it has certificates for.
    pub hosts: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// The largest volume of each name, in GiB.
    pub volumes: BTreeMap<String, u64>,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveMachine {
    /// Its process group.
    pub group: String,
    /// Where it is.
    pub region: String,
    /// Its image, with its digest where that is known.
    pub image: Option<String>,
    /// `shared` or `performance`.
    pub cpu_kind: Option<String>,
    /// How many CPUs.
    pub cpus: Option<u32>,
    /// Memory, in MiB.
    pub memory_mib: Option<u64>,
}

/// An address of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: String,
    /// Whether other apps have it too.
    pub shared: bool,
}

impl Address {
    /// Whether only the organisation reaches it.
    pub(crate) fn is_private(&self) -> bool {
        self.ip.starts_with("fdaa:")
    }

    /// Whether it is an IPv4 address of the app's own, which is paid for.
    pub(crate) fn is_dedicated_v4(&self) -> bool {
        !self.shared && self.ip.contains('.')
    }
}

/// The answers of the Machines API about one app; `Null` where there was none.
#[derive(Debug, Clone, Copy)]
pub struct Answers<'a> {
    /// Of `GET /v1/apps/{app}`.
    pub app: &'a Value,
    /// Of its `/machines`.
    pub machines: &'a Value,
    /// Of its `/volumes`.
    pub volumes: &'a Value,
    /// Of its `/secrets`.
    pub secrets: &'a Value,
    /// Of its `/certificates`.
    pub certificates: &'a Value,
    /// Of its `/ip_assignments`.
    pub addresses: &'a Value,
}

/// The group of a machine that names none.
const GROUP: &str = "app";
/// Groups of machines that flyctl makes for a moment.
const PASSING: &str = "fly_app_";
/// States of machines that are gone, or going.
const GOING: [&str; 3] = ["destroying", "destroyed", "replaced"];

impl Live {
    /// What the answers say.
    #[must_use]
    pub fn of(answers: Answers<'_>) -> Self {
        let names = |list: &Value, key: &str| -> Vec<String> {
            let items = list.as_array().into_iter().flatten();
            let names: BTreeSet<_> = items.filter_map(|item| item[key].as_str().map(str::to_owned)).collect();
            names.into_iter().collect()
        };
        let mut volumes: BTreeMap<String, u64> = BTreeMap::new();
        for volume in answers.volumes.as_array().into_iter().flatten() {
            if let (Some(name), Some(gib)) = (volume["name"].as_str(), volume["size_gb"].as_u64()) {
                let size = volumes.entry(name.to_owned()).or_default();
                *size = gib.max(*size);
            }
        }
        let addresses = answers.addresses["ips"].as_array().into_iter().flatten();
        let address = |one: &Value| {
            Some(Address { ip: one["ip"].as_str()?.to_owned(), shared: one["shared"].as_bool().unwrap_or(false) })
        };
        Self {
            organization: answers.app["organization"]["slug"].as_str().map(str::to_owned),
            machines: answers.machines.as_array().into_iter().flatten().filter_map(machine).collect(),
            secrets: names(&answers.secrets["secrets"], "name"),
            hosts: names(&answers.certificates["certificates"], "hostname"),
            addresses: addresses.filter_map(address).collect(),
            volumes,
        }
    }

    /// Whether it has addresses, and only the organisation reaches them.
    pub(crate) fn is_private(&self) -> bool {
        !self.addresses.is_empty() && self.addresses.iter().all(Address::is_private)
    }

    /// The machines of a group.
    pub(crate) fn of_group(&self, group: &str) -> impl Iterator<Item = &LiveMachine> {
        self.machines.iter().filter(move |machine| machine.group == group)
    }

    /// How many machines a group has in each region.
    pub(crate) fn spread(&self, group: &str) -> BTreeMap<String, u64> {
        let mut spread = BTreeMap::new();
        for machine in self.of_group(group) {
            *spread.entry(machine.region.clone()).or_default() += 1;
        }
        spread
    }
}

fn machine(machine: &Value) -> Option<LiveMachine> {
    let config = &machine["config"];
    let config = if config.is_null() { &machine["incomplete_config"] } else { config };
    let metadata = &config["metadata"];
    let group = metadata["fly_process_group"].as_str().or_else(|| metadata["process_group"].as_str());
    let group = group.filter(|group| !group.is_empty()).unwrap_or(GROUP);
    let state = machine["state"].as_str().unwrap_or_default();
    // A standby stands in for another machine, and is not counted.
    let standby = config["standbys"].as_array().is_some_and(|list| !list.is_empty());
    if group.starts_with(PASSING) || GOING.contains(&state) || standby {
        return None;
    }
    let guest = &config["guest"];
    Some(LiveMachine {
        group: group.to_owned(),
        region: machine["region"].as_str()?.to_owned(),
        image: image(&machine["image_ref"]).or_else(|| config["image"].as_str().map(str::to_owned)),
        cpu_kind: guest["cpu_kind"].as_str().map(str::to_owned),
        cpus: guest["cpus"].as_u64().and_then(|cpus| u32::try_from(cpus).ok()),
        memory_mib: guest["memory_mb"].as_u64(),
    })
}

/// `registry/repository:tag@digest`, of which the last two may be missing.
fn image(reference: &Value) -> Option<String> {
    let part = |key: &str| reference[key].as_str().filter(|part| !part.is_empty());
    let mut image = format!("{}/{}", part("registry")?, part("repository")?);
    if let Some(tag) = part("tag") {
        image = format!("{image}:{tag}");
    }
    if let Some(digest) = part("digest") {
        image = format!("{image}@{digest}");
    }
    Some(image)
}
