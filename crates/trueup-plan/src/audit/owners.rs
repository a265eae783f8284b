//! Law 3: a disk has no more owners in a place than instances are wanted there.

use trueup_types::desired::Wanted;
use trueup_types::observed::Phase;
use trueup_types::step::InstanceStep;
use trueup_types::{Instance, InstanceId, Label, Release, TargetName, Violation};

use super::{Scene, law};

impl Scene<'_> {
    pub(super) fn owners(&self, found: &mut Vec<Violation>) {
        for (target, step) in self.instance_steps() {
            let InstanceStep::Start { id, .. } = step else { continue };
            let Some(one) = self.observed.instances.iter().find(|one| one.target == *target && one.sighting.id == *id)
            else {
                continue;
            };
            let most = self.wanted_beside(one);
            for disk in one.sighting.template.iter().flat_map(|release| disks(release)) {
                let others = self.observed.instances.iter().filter(|other| {
                    let there = other.target == *target && other.sighting.place == one.sighting.place;
                    there && other.sighting.id != *id && self.will_own(other, disk)
                });
                let owners = others.count();
                if owners >= most {
                    found.push(law(3, format!("{id} would own the disk `{disk}` that {owners} own already")));
                }
            }
        }
    }

    /// How many are wanted in the place of one; one where none is.
    fn wanted_beside(&self, one: &Instance) -> usize {
        let Wanted::Present(desired) = self.wanted else { return 1 };
        let wanted = desired.placement.spread.get(&one.sighting.place).copied().unwrap_or(1).max(1);
        usize::try_from(wanted).unwrap_or(usize::MAX)
    }

    /// Whether one owns a disk, or will when this plan is carried out.
    fn will_own(&self, one: &Instance, disk: &Label) -> bool {
        let runs = match one.sighting.phase {
            Phase::Running { .. } | Phase::Asleep | Phase::Vanishing { .. } => true,
            Phase::Created | Phase::Starting | Phase::Exited { .. } => self.starts(&one.target, &one.sighting.id),
        };
        runs && one.sighting.template.iter().any(|release| disks(release).any(|own| own == disk))
    }

    fn starts(&self, target: &TargetName, of: &InstanceId) -> bool {
        self.instance_steps()
            .any(|(place, step)| place == target && matches!(step, InstanceStep::Start { id, .. } if id == of))
    }
}

fn disks(release: &Release) -> impl Iterator<Item = &Label> {
    release.template.volumes.iter().map(|disk| &disk.name)
}
