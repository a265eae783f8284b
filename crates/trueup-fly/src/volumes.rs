//! Disks: found again by app, name and place in the row, so that each instance gets its own back, whatever its revision; or
//! the one of whoever has made room for it.
//!
//! A disk is on one host and in one machine at most; it outlives every machine, and nobody here destroys one. Where a row is
//! replaced one by one it is not always the namesake that goes first: then the next takes over what that one has left. What
//! an earlier revision still holds is waited for: an empty disk in its place would be another database.

use serde_json::json;
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::template::Volume as Wanted;
use trueup_types::{InstanceId, Release};

use crate::api::Volume;
use crate::apps::NoApp;
use crate::client::{Call, encoded};
use crate::config::{Guest, Mount};
use crate::fault::{Fault, RETRY_AFTER, underway};
use crate::runtime::Inner;

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
        let mut row: Vec<_> = listed.iter().filter(ours).collect();
        row.sort_by_key(|disk| (disk.name != name, disk.name.clone()));
        if let Some(free) = row.iter().find(|disk| disk.held_by().is_none()) {
            return Ok(vec![Mount { volume: free.id.clone(), path: wanted.path.clone() }]);
        }
        let held = row.iter().find(|disk| disk.name == name || self.is_to_make_room(fly, disk, id));
        if let Some((disk, machine)) = held.and_then(|disk| Some((&disk.name, disk.held_by()?))) {
            let why = format!("the disk {disk} is still in machine {machine}");
            return Err(NoApp::Outcome(underway(RETRY_AFTER, why)));
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
    /// Whether a disk is in a machine that another revision's are to take the place of, as far as anybody knows.
    fn is_to_make_room(&self, fly: &str, disk: &Volume, id: &InstanceId) -> bool {
        let Some(machine) = disk.held_by() else { return false };
        let holder = self.book(fly, |book| book.machines.get(machine).map(|known| known.written.id.revision));
        holder.is_none_or(|revision| revision != id.revision)
    }
}

fn again(fault: &Fault, name: &str) -> NoApp {
    NoApp::Outcome(StepOutcome::Retry { after: RETRY_AFTER, why: format!("the disk {name}: {fault}") })
}
