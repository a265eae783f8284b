//! What takes long on the targets at this moment, for whoever stands beside the daemon.

use trueup_seams::Underway;

use crate::driver::Driver;

impl Driver {
    /// What takes long on any target.
    #[must_use]
    pub fn underway(&self) -> Vec<Underway> {
        let targets = self.engine.targets.lock().expect("no holder panics").clone();
        targets.values().flat_map(|target| target.runtime.underway()).collect()
    }
}
