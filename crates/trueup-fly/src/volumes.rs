//! Disks: found again by app, name and place in the row, so that each instance gets its own back, whatever its revision; or
//! the one of whoever has just made room for it.
//!
//! A disk is on one host and in one machine at most; it outlives every machine, and nobody here destroys one. Where a row is
//! replaced one by one it is not always the namesake that goes first: then the next takes over what that one has left, and
//! nothing else. A row that was once longer has left disks behind with what was in them then: a program that found one of
//! those in place of its own would go on with another day's data. So who finds its own disk in use waits, unless all the row's
//! disks but that which we have just freed are in machines that run.

use std::time::Duration;

use serde_json::json;
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::template::Volume as Wanted;
use trueup_types::{InstanceId, Ordinal, Release, Revision};

use crate::api::Volume;
use crate::apps::NoApp;
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
    /// The disk of an instance, made where there is none; what runs a hook gets none, for a disk has one owner.
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
        let path = format!("/v1/apps/{}/volumes", encoded(fly));
        let listed: Vec<Volume> = self.client.read(Call::get("Volumes_list", fly, path.clone())).await?;
        let ours = |disk: &&Volume| of_row(wanted, &disk.name) && disk.region == region && !disk.is_going();
        let row: Vec<_> = listed.iter().filter(ours).collect();
        let given = self.memory.look(|kept| kept.disks.get(fly).cloned()).unwrap_or_default();
        let own = row.iter().find(|disk| given.get(&disk.id) == Some(&id.ordinal));
        if let Some(own) = own.or_else(|| row.iter().find(|disk| disk.name == name)) {
            let Some(disk) = self.free_for(fly, own, &row, id) else {
                let machine = own.held_by().unwrap_or_default();
                let why = format!("the disk {} is still in machine {machine}", own.name);
                return Err(NoApp::Outcome(underway(RETRY_AFTER, why)));
            };
            self.give(fly, &disk.id, id.ordinal)?;
            return Ok(vec![Mount { volume: disk.id.clone(), path: wanted.path.clone() }]);
        }
        let size = wanted.size_bytes.map_or(SIZE_GB, |bytes| bytes.div_ceil(GB).max(1));
        let mut body = json!({"name": name, "region": region, "size_gb": size});
        if let Some(guest) = guest {
            // So that it is put where a machine of that size finds room beside it.
            body["compute"] = serde_json::to_value(guest).expect("our own types always become JSON");
        }
        let made = self.client.read::<Volume>(Call::post("Volumes_create", fly, path).json(body).once_only()).await;
        match made {
            Ok(volume) => Ok(vec![Mount { volume: volume.id, path: wanted.path.clone() }]),
            // It may be there: the next try finds it in the list.
            Err(fault) if fault.is_unsure() => Err(again(&fault, &name)),
            Err(fault) => Err(fault.into()),
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
        let lately = |freed: &Freed| (self.clocks.wall)() < freed.at.after(FREED_LATELY);
        let freed = self.memory.look(|kept| kept.freed.get(fly).cloned()).filter(lately);
        if let Some(disk) = freed.and_then(|freed| free.iter().find(|disk| disk.id == freed.disk)) {
            return Some(disk);
        }
        // Nobody makes room: the row was dealt anew by an update that nobody remembers.
        let settled = revisions.iter().all(|revision| *revision == id.revision);
        if let [only] = free[..] { settled.then_some(only) } else { None }
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
        given.map_err(|error| Fault::Unsent(format!("its folder cannot be written: {error}")).into())
    }

    /// Keeps in mind that a machine of ours has left its disk.
    pub(crate) fn free_disks(&self, found: &Found) {
        for disk in found.machine().volumes() {
            let freed = Freed { disk, at: (self.clocks.wall)() };
            // Unwritten, whoever needs another's waits for its own.
            let _ = self.memory.change(|kept| kept.freed.insert(found.fly.clone(), freed));
        }
    }
}

fn again(fault: &Fault, name: &str) -> NoApp {
    NoApp::Outcome(StepOutcome::Retry { after: RETRY_AFTER, why: format!("the disk {name}: {fault}") })
}
