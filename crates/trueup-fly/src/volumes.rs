//! Disks: found again by app, name and place in the row, so that each instance gets its own back, whatever its revision.
//!
//! A disk is on one host and in one machine at most; it outlives every machine, and nobody here destroys one.

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
    let end = format!("_{}", id.ordinal);
    let plain = volume.name.as_str().replace('-', "_");
    let start: String = plain.chars().take(NAME_MAX - end.len()).collect();
    format!("{start}{end}")
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
        let ours = |volume: &&Volume| volume.name == name && volume.region == region && !volume.is_going();
        if let Some(found) = listed.iter().find(ours) {
            if let Some(machine) = found.held_by() {
                let why = format!("the disk {name} is still in machine {machine}");
                return Err(NoApp::Outcome(underway(RETRY_AFTER, why)));
            }
            return Ok(vec![Mount { volume: found.id.clone(), path: wanted.path.clone() }]);
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

fn again(fault: &Fault, name: &str) -> NoApp {
    NoApp::Outcome(StepOutcome::Retry { after: RETRY_AFTER, why: format!("the disk {name}: {fault}") })
}
