//! What is known of the machines of our apps: from listings, from reads of single ones, and from what we did.
//!
//! Listings are late. A listing that contradicts what we did is doubted for a while, and what it contradicts is read by
//! itself; one that is older than what we have read is passed over. What we made is there until both a listing and a read
//! say that it is not.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use trueup_types::InstanceId;
use trueup_types::observed::Health;

use crate::api::{Machine, Row};
use crate::labels::{Mine, Written};
use crate::lift::{self, Made};
use crate::moment::WallMillis;

/// So long a listing may lag behind a deed of ours: the platform calls itself eventually consistent, and is within seconds.
pub(crate) const SETTLES: Duration = Duration::from_secs(30);

/// One app there.
#[derive(Debug, Default)]
pub(crate) struct AppBook {
    pub machines: BTreeMap<String, Known>,
    /// When its own listing was read last.
    pub read: Option<Instant>,
    /// Something was seen since, or went wrong, that asks for another look.
    pub dirty: bool,
    /// Whether somebody waits for one that is on its way, and from when on it is worth waiting.
    pub awaited: bool,
    pub await_from: Option<Instant>,
}

/// One machine.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub machine: Machine,
    pub written: Written,
    /// What its config says that it is; read once for each version.
    pub made: Made,
    /// When it started last, as far as any answer has said.
    pub started: Option<u64>,
    /// What its checks came to at the last look.
    pub health: Option<Health>,
    /// When it is worth a look whether they pass, where they do not.
    pub worth: Option<Instant>,
    /// Since when its host cannot be asked.
    pub unreached_since: Option<WallMillis>,
    /// What the organisation's listing said of it last.
    pub row: Option<RowMark>,
    /// What we did to it last, and when.
    pub deed: Option<(Deed, Instant)>,
    /// It went without having come up, and not by our hand: it is shown until it is removed.
    pub ghost: bool,
}

/// What we did to a machine, as far as a listing must show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    Made,
    /// In place of the life that began at this moment.
    Started(Option<u64>),
    /// The life that began at this moment.
    Stopped(Option<u64>),
    Removed,
    /// Whether it is registered.
    Told(bool),
}

/// What of a row changes with each change of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowMark {
    state: String,
    instance: String,
    updated: String,
}

impl RowMark {
    pub(crate) fn of(row: &Row) -> Self {
        Self { state: row.state.clone(), instance: row.instance_id.clone(), updated: row.updated_at.clone() }
    }

    /// Whether it says the same as a machine that was looked at.
    fn agrees(&self, machine: &Machine) -> bool {
        self.state == machine.state && self.instance == machine.instance_id
    }
}

impl Known {
    pub(crate) fn new(machine: Machine, written: Written) -> Self {
        let started = lift::started(&machine);
        let made = Made::of(&machine, &written);
        let (health, worth, unreached_since, row, deed) = (None, None, None, None, None);
        Self { machine, written, made, started, health, worth, unreached_since, row, deed, ghost: false }
    }

    /// Takes over what was read of it.
    pub(crate) fn read(&mut self, machine: Machine, wall: WallMillis) {
        self.started = lift::started(&machine).max(self.started);
        self.unreached_since = if machine.reached() { None } else { self.unreached_since.or(Some(wall)) };
        // A host that does not answer leaves its config out: what was known of it still holds.
        let config =
            if machine.config.is_null() { std::mem::take(&mut self.machine.config) } else { machine.config.clone() };
        let same = config == self.machine.config && machine.instance_id == self.machine.instance_id;
        self.machine = Machine { config, ..machine };
        if !same {
            self.made = Made::of(&self.machine, &self.written);
        }
        self.ghost = false;
    }

    /// Whether we took it away.
    pub(crate) fn is_removed(&self) -> bool {
        matches!(self.deed, Some((Deed::Removed, _)))
    }

    /// Whether a machine, as it is told, is as it was before what we did.
    pub(crate) fn contradicted(&self, told: Option<&Machine>, now: Instant) -> bool {
        let Some((deed, at)) = &self.deed else { return false };
        if now.duration_since(*at) >= SETTLES {
            return false;
        }
        let life = |machine: &Machine| lift::started(machine).or(self.started);
        match (deed, told) {
            (Deed::Removed, told) => told.is_some_and(|machine| !machine.is_going()),
            (_, None) => true,
            (Deed::Made, Some(_)) => false,
            (Deed::Started(before), Some(machine)) => life(machine) == *before && !lift::up(machine),
            (Deed::Stopped(before), Some(machine)) => life(machine) == *before && machine.state == "started",
            (Deed::Told(registered), Some(machine)) => machine.cordoned == Some(*registered),
        }
    }

    /// Whether the organisation's listing asks for a closer look; remembers what it said.
    pub(crate) fn heard(&mut self, row: Option<&Row>, now: Instant) -> bool {
        let mark = row.map(RowMark::of);
        if mark == self.row {
            return false;
        }
        self.row.clone_from(&mark);
        let older = row.is_some_and(|row| WallMillis::read(&row.updated_at) < Some(self.machine.updated()));
        // What is on its way is looked at in its own time, and what was before says nothing of what is.
        !self.is_removed() && !self.on_its_way(now) && !older && mark.is_none_or(|mark| !mark.agrees(&self.machine))
    }
}

impl AppBook {
    /// The machine of an instance that is there: the oldest, where there are several.
    pub(crate) fn find<'b>(&'b self, id: &'b InstanceId) -> Option<&'b Known> {
        self.all(id).min_by(|one, other| one.machine.created_at.cmp(&other.machine.created_at))
    }

    /// All machines of an instance that are there.
    pub(crate) fn all<'b>(&'b self, id: &'b InstanceId) -> impl Iterator<Item = &'b Known> {
        self.machines.values().filter(move |known| known.written.id == *id && !known.is_removed())
    }

    /// Takes over a whole listing of the app, with what was read of single machines where it was doubted.
    ///
    /// # Errors
    /// A machine of ours whose labels cannot be read.
    pub(crate) fn listed(
        &mut self,
        mine: &Mine,
        listing: Vec<Machine>,
        reads: &BTreeMap<String, Option<Machine>>,
        wall: WallMillis,
    ) -> Result<(), String> {
        let now = Instant::now();
        let mut there: BTreeMap<String, Machine> = BTreeMap::new();
        for machine in listing.into_iter().filter(|machine| mine.owns(&machine.labels())) {
            there.insert(machine.id.clone(), machine);
        }
        for (id, read) in reads {
            match read {
                Some(machine) => drop(there.insert(id.clone(), machine.clone())),
                None => drop(there.remove(id)),
            }
        }
        for known in self.machines.values_mut().filter(|known| !there.contains_key(&known.machine.id)) {
            known.went(now);
        }
        self.machines.retain(|id, known| there.contains_key(id) || known.stays(now));
        for (id, machine) in there {
            self.one(mine, id, machine, reads, wall)?;
        }
        self.read = Some(now);
        Ok(())
    }

    fn one(
        &mut self,
        mine: &Mine,
        id: String,
        machine: Machine,
        reads: &BTreeMap<String, Option<Machine>>,
        wall: WallMillis,
    ) -> Result<(), String> {
        let now = Instant::now();
        if let Some(known) = self.machines.get_mut(&id) {
            let older = machine.updated() < known.machine.updated() && !reads.contains_key(&id);
            let taken_away = known.is_removed() && known.contradicted(Some(&machine), now);
            if !(older || taken_away) {
                if known.is_removed() && !machine.is_going() {
                    // It was said to go, and is there long after: it has not gone.
                    known.deed = None;
                }
                known.read(machine, wall);
            }
            return Ok(());
        }
        if machine.state == "destroyed" {
            return Ok(());
        }
        debug_assert!(mine.owns(&machine.labels()), "only ours are listed");
        let written = Written::read(&machine.labels()).map_err(|why| format!("machine {id}: {why}"))?;
        let mut known = Known::new(machine.clone(), written);
        known.read(machine, wall);
        self.machines.insert(id, known);
        Ok(())
    }
}

impl Known {
    /// It is listed no more, nor is it read: what never came up is kept, to be told as what it was.
    fn went(&mut self, now: Instant) {
        let made_lately = matches!(&self.deed, Some((Deed::Made, at)) if now.duration_since(*at) < SETTLES);
        let never_up = self.started.is_none() && !self.is_removed() && !self.machine.is_going();
        if never_up && !made_lately {
            self.ghost = true;
            "launch_failed".clone_into(&mut self.machine.state);
        }
    }

    /// Whether it is still spoken of though nobody lists it.
    fn stays(&self, now: Instant) -> bool {
        let lately = self.deed.as_ref().is_some_and(|(_, at)| now.duration_since(*at) < SETTLES);
        self.ghost || (lately && matches!(self.deed, Some((Deed::Made | Deed::Removed, _))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trueup_sim::AppSketch;
    use trueup_types::{OwnerId, Revision, TargetName};

    use super::*;

    fn mine() -> Mine {
        Mine { owner: OwnerId::new("ours").expect("a name"), target: TargetName::new("prod").expect("a name") }
    }

    /// A machine of ours in a state, which changed last so many seconds after eight.
    fn machine(state: &str, seconds: u64) -> Machine {
        let release = AppSketch::web("web").release(Revision(1));
        let id: InstanceId = "web-r1-0".parse().expect("a name");
        let settings = crate::sample::settings();
        let mut config = crate::MachineConfig { image: "a:1".to_owned(), ..crate::MachineConfig::default() };
        mine().label(&mut config, &id, &release, &settings, None);
        let value = json!({"id": "0123456789abcd", "name": "web-r1-0", "state": state, "instance_id": "v1",
            "config": config, "updated_at": format!("2026-08-21T08:00:{seconds:02}Z")});
        serde_json::from_value(value).expect("it is a machine")
    }

    fn listed(book: &mut AppBook, machine: &Machine, read: bool) -> String {
        let reads = BTreeMap::from([(machine.id.clone(), Some(machine.clone()))]);
        let reads = if read { reads } else { BTreeMap::new() };
        book.listed(&mine(), vec![machine.clone()], &reads, WallMillis(0)).expect("its labels can be read");
        book.machines[&machine.id].machine.state.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_older_than_what_is_known_is_passed_over_and_a_read_never_is() {
        let mut book = AppBook::default();
        assert_eq!(listed(&mut book, &machine("starting", 10), false), "starting");
        assert_eq!(listed(&mut book, &machine("started", 20), false), "started");
        assert_eq!(listed(&mut book, &machine("stopped", 15), false), "started", "a replica that is late");
        assert_eq!(listed(&mut book, &machine("stopping", 20), false), "stopping", "as new as what is known");
        assert_eq!(listed(&mut book, &machine("stopped", 15), true), "stopped", "it was asked for by itself");
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_older_than_what_is_known_asks_for_no_look() {
        let row = |state: &str, seconds: u64| {
            let value = json!({"id": "0123456789abcd", "state": state, "instance_id": "v1",
                "updated_at": format!("2026-08-21T08:00:{seconds:02}Z")});
            serde_json::from_value::<Row>(value).expect("it is a row")
        };
        let now = Instant::now();
        let mut book = AppBook::default();
        listed(&mut book, &machine("started", 20), false);
        let known = book.machines.get_mut("0123456789abcd").expect("it is known");
        assert!(!known.heard(Some(&row("stopped", 10)), now), "that was before");
        assert!(known.heard(Some(&row("stopped", 30)), now), "that is news");
        assert!(!known.heard(Some(&row("stopped", 30)), now), "and told once");
    }
}
