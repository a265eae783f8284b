//! Disks: found again by app, name and place in the row, so that each instance gets its own back, whatever its revision; or
//! the one of whoever has just made room for it.
//!
//! A disk is on one host and in one machine at most; it outlives every machine, and nobody here destroys one. Where a row is
//! replaced one by one it is not always the namesake that goes first: then the next takes over what that one has left, and
//! nothing else. A row that was once longer has left disks behind with what was in them then: a program that found one of
//! those in place of its own would go on with another day's data. So who finds its own disk in use waits, unless all the row's
//! disks but that which we have just freed are in machines that run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::template::Volume as Wanted;
use trueup_types::{InstanceId, Ordinal, Release, Revision};

use crate::api::Volume;
use crate::apps::NoApp;
use crate::book::SETTLES;
use crate::client::{Call, encoded};
use crate::config::{Guest, Mount};
use crate::fault::{Fault, RETRY_AFTER, underway};
use crate::memory::Freed;
use crate::runtime::Inner;
use crate::steps::Found;

/// A disk that was freed longer ago than this is nobody's: who made room for a release was removed a moment before it is
/// created.
const FREED_LATELY: Duration = Duration::from_secs(600);
/// Bytes of what the platform counts disks in.
const GB: u64 = 1 << 30;
/// How large a disk is where nothing is said: the least there is.
const SIZE_GB: u64 = 1;
/// Longest name of a disk, in characters: letters, digits and `_`.
const NAME_MAX: usize = 30;

/// What the disk of an instance is called.
pub(crate) fn name(volume: &Wanted, id: &InstanceId) -> String {
    named(volume, &id.ordinal.to_string())
}

fn named(volume: &Wanted, number: &str) -> String {
    let end = format!("_{number}");
    let plain = volume.name.as_str().replace('-', "_");
    let start: String = plain.chars().take(NAME_MAX.saturating_sub(end.len())).collect();
    format!("{start}{end}")
}

/// Whether a disk is that of any place in the row.
fn of_row(volume: &Wanted, name: &str) -> bool {
    let number = name.rsplit_once('_').map_or("", |(_, number)| number);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && named(volume, number) == name
}

impl Inner {
    /// The disk of an instance, made where there is none and none is about to be left there; what runs a hook gets none, for a
    /// disk has one owner.
    pub(crate) async fn mounts(
        &self,
        fly: &str,
        region: &str,
        id: &InstanceId,
        release: &Release,
        guest: Option<&Guest>,
    ) -> Result<Vec<Mount>, NoApp> {
        let volumes = &release.template.volumes;
        let (None, Some(wanted)) = (id.task, volumes.first()) else { return Ok(Vec::new()) };
        if volumes.len() > 1 {
            let why = "more than one volume: a machine has one at most".to_owned();
            return Err(NoApp::Outcome(StepOutcome::Refused { why: Refusal::NotServed(why) }));
        }
        let name = name(wanted, id);
        let given = self.memory.look(|kept| kept.disks.get(fly).cloned()).unwrap_or_default();
        let listed = self.list_disks(fly, &given, id.ordinal).await?;
        let ours = |disk: &&Volume| of_row(wanted, &disk.name) && disk.region == region && !disk.is_going();
        let row: Vec<_> = listed.iter().filter(ours).collect();
        let own = row.iter().find(|disk| given.get(&disk.id) == Some(&id.ordinal));
        let own = own.or_else(|| row.iter().find(|disk| disk.name == name)).copied();
        let disk = if let Some(own) = own.or_else(|| self.left_for(fly, &row, id)) {
            let Some(disk) = self.free_for(fly, own, &row, id) else {
                let machine = own.held_by().unwrap_or_default();
                let why = format!("the disk {} is still in machine {machine}", own.name);
                return Err(NoApp::Outcome(underway(RETRY_AFTER, why)));
            };
            disk.id.clone()
        } else if let Some(left) = row.iter().find(|disk| self.is_being_left(fly, disk)) {
            let why = format!("the disk {} is still in machine {}", left.name, left.held_by().unwrap_or_default());
            return Err(NoApp::Outcome(underway(RETRY_AFTER, why)));
        } else {
            self.make_disk(fly, region, &name, wanted, guest).await?
        };
        self.give(fly, &disk, id.ordinal)?;
        Ok(vec![Mount { volume: disk, path: wanted.path.clone() }])
    }

    /// All disks of an app, with the one that was given to a place in the row where the list is too late to show it.
    async fn list_disks(
        &self,
        fly: &str,
        given: &BTreeMap<String, Ordinal>,
        ordinal: Ordinal,
    ) -> Result<Vec<Volume>, Fault> {
        let path = format!("/v1/apps/{}/volumes", encoded(fly));
        let mut listed: Vec<Volume> = self.client.read(Call::get("Volumes_list", fly, path.clone())).await?;
        let unlisted = |disk: &str| !listed.iter().any(|one| one.id == *disk);
        let late = given.iter().find(|(disk, holder)| **holder == ordinal && unlisted(disk));
        if let Some((disk, _)) = late {
            let call = Call::get("Volumes_get_by_id", disk, format!("{path}/{}", encoded(disk)));
            match self.client.read::<Volume>(call).await {
                Ok(disk) => listed.push(disk),
                Err(fault) if fault.is_absence() => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(listed)
    }

    /// Makes a disk, and answers its id. Two may have one name there: who does not know whether one was made waits until lists
    /// must show it.
    async fn make_disk(
        &self,
        fly: &str,
        region: &str,
        name: &str,
        wanted: &Wanted,
        guest: Option<&Guest>,
    ) -> Result<String, NoApp> {
        let (key, now) = (format!("{fly}/{region}/{name}"), (self.clocks.wall)());
        if self.memory.look(|kept| kept.making.get(&key).is_some_and(|at| now < at.after(SETTLES))) {
            let why = format!("the disk {name} was asked for, and is not listed yet");
            return Err(NoApp::Outcome(underway(RETRY_AFTER, why)));
        }
        self.memory.change(|kept| kept.making.insert(key.clone(), now)).map_err(unwritten)?;
        let size = wanted.size_bytes.map_or(SIZE_GB, |bytes| bytes.div_ceil(GB).max(1));
        let mut body = json!({"name": name, "region": region, "size_gb": size});
        if let Some(guest) = guest {
            // So that it is put where a machine of that size finds room beside it.
            body["compute"] = serde_json::to_value(guest).expect("our own types always become JSON");
        }
        let path = format!("/v1/apps/{}/volumes", encoded(fly));
        let made = self.client.read::<Volume>(Call::post("Volumes_create", fly, path).json(body).once_only()).await;
        match made {
            // It may be there all the same.
            Err(fault) if fault.is_unsure() => Err(again(&fault, name)),
            made => {
                self.memory.change(|kept| kept.making.remove(&key)).map_err(unwritten)?;
                Ok(made?.id)
            }
        }
    }
}

impl Inner {
    /// The disk that an instance may have now: its own, or the one that was just freed for it.
    fn free_for<'d>(&self, fly: &str, own: &'d Volume, row: &[&'d Volume], id: &InstanceId) -> Option<&'d Volume> {
        if own.held_by().is_none() {
            return Some(own);
        }
        let held = row.iter().filter_map(|disk| disk.held_by());
        let revisions: Option<Vec<_>> = held.map(|machine| self.runs(fly, machine)).collect();
        let revisions = revisions?;
        let free: Vec<_> = row.iter().filter(|disk| disk.held_by().is_none()).collect();
        let freed = self.memory.look(|kept| kept.freed.get(fly).cloned()).filter(|freed| self.was_lately(freed));
        if let Some(disk) = freed.and_then(|freed| free.iter().find(|disk| disk.id == freed.disk)) {
            return Some(disk);
        }
        // Nobody makes room: the row was dealt anew by an update that nobody remembers.
        let settled = revisions.iter().all(|revision| *revision == id.revision);
        if let [only] = free[..] { settled.then_some(only) } else { None }
    }

    /// Where none of a region's disks is of the instance's number: that which one of another release has just left there. The
    /// numbers of a row that lies in several regions are dealt anew with each release.
    fn left_for<'d>(&self, fly: &str, row: &[&'d Volume], id: &InstanceId) -> Option<&'d Volume> {
        let mut free = row.iter().copied().filter(|disk| disk.held_by().is_none());
        let (freed, remembers) = self.memory.look(|kept| (kept.freed.get(fly).cloned(), kept.disks.contains_key(fly)));
        if let Some(freed) = freed.filter(|freed| self.was_lately(freed) && freed.by != Some(id.revision)) {
            return free.find(|disk| disk.id == freed.disk);
        }
        // Nobody remembers whose it was: it is taken for that of whoever was here before.
        let only = free.next().filter(|_| free.next().is_none());
        if remembers { None } else { only }
    }

    /// Whether the machine that a disk is in is ours, and on its way out.
    fn is_being_left(&self, fly: &str, disk: &Volume) -> bool {
        let ours = |machine: &&str| self.book(fly, |book| book.machines.contains_key(*machine));
        disk.held_by().filter(ours).is_some_and(|machine| self.runs(fly, machine).is_none())
    }

    fn was_lately(&self, freed: &Freed) -> bool {
        (self.clocks.wall)() < freed.at.after(FREED_LATELY)
    }

    /// The revision of a machine that runs on, as far as anybody knows.
    fn runs(&self, fly: &str, machine: &str) -> Option<Revision> {
        let known = self.book(fly, |book| book.machines.get(machine).cloned())?;
        let asked = self.memory.look(|kept| kept.asked.contains_key(machine));
        (!known.ghost && !known.machine.is_going() && !asked).then_some(known.written.id.revision)
    }

    /// Writes down whose a disk is, before it is mounted.
    fn give(&self, fly: &str, disk: &str, ordinal: Ordinal) -> Result<(), NoApp> {
        let given = self.memory.change(|kept| {
            let disks = kept.disks.entry(fly.to_owned()).or_default();
            disks.retain(|_, before| *before != ordinal);
            disks.insert(disk.to_owned(), ordinal);
        });
        given.map_err(|error| unwritten(error).into())
    }

    /// Keeps in mind that a machine of ours leaves its disk: before it does, so that a daemon that comes after knows it as well.
    pub(crate) fn free_disks(&self, found: &Found) {
        for disk in found.machine().volumes() {
            let freed = Freed { disk, at: (self.clocks.wall)(), by: Some(found.known.written.id.revision) };
            // Unwritten, whoever needs another's waits for its own.
            let _ = self.memory.change(|kept| kept.freed.insert(found.fly.clone(), freed));
        }
    }
}

fn unwritten(error: std::io::Error) -> Fault {
    Fault::Unsent(format!("its folder cannot be written: {error}"))
}

fn again(fault: &Fault, name: &str) -> NoApp {
    NoApp::Outcome(StepOutcome::Retry { after: RETRY_AFTER, why: format!("the disk {name}: {fault}") })
}
