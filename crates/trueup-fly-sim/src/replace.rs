//! An update in place: the machine's old version ends, the new one takes its seat, and goes where it cannot be had.
//!
//! ```text
//!  started ──► replacing ──► stopped (for a moment) ──► replacing ──► starting ──► started (new version)
//!                                                           └ the image cannot be pulled ─► started (OLD version)
//!  stopped ──► replacing ──► stopped (new version)
//! ```
//!
//! No call puts an old version back, and nobody says when the platform has done so: only the version's id tells.

use serde_json::Value;

use crate::cloud::Cloud;
use crate::config::Config;
use crate::life::{Ending, KILLED};
use crate::machine::{Next, Replacing, State, Version};

impl Cloud {
    /// Begins an update, and gives the id of the new version.
    pub(crate) fn replace(&mut self, id: &str, config: Config, skip_launch: bool) -> String {
        let version = self.dice.ulid(self.now);
        let runs_anyway = self.knobs.habits.update_launches_stopped;
        let Some(machine) = self.machines.get_mut(id) else { return version };
        let ran = matches!(machine.state, State::Started | State::Starting | State::Restarting);
        let launches = !skip_launch && (ran || machine.state == State::Failed || runs_anyway);
        machine.replacing = Some(Replacing { old: machine.instance.clone(), launches, ran });
        machine.restarts = 0;
        machine.crashes.clear();
        let (wait, killed) = self.machines.get(id).map(|machine| self.stop_time(machine, None)).unwrap_or_default();
        if let Some(machine) = self.machines.get_mut(id) {
            machine.killed = killed;
            machine.keep(Version { id: version.clone(), config });
            machine.instance.clone_from(&version);
        }
        self.enter(id, State::Replacing);
        self.log(id, "update", "replacing", "user", Value::Null);
        if ran {
            self.then(id, wait, Next::Unseated);
        } else {
            let pull = self.pull_time(id);
            self.then(id, pull, Next::Installed);
        }
        version
    }

    /// The old version has ended. Its exit does not say that it was asked to.
    pub(crate) fn unseated(&mut self, id: &str) {
        let killed = self.machines.get(id).is_some_and(|machine| machine.killed);
        let code = if killed { KILLED } else { 0 };
        self.ended(id, Ending { code, oom: false, requested: false }, false);
        self.enter(id, State::Stopped);
        self.then(id, self.knobs.latency.glimpse.0, Next::Pulling);
    }

    pub(crate) fn pulling(&mut self, id: &str) {
        self.enter(id, State::Replacing);
        let pull = self.pull_time(id);
        self.then(id, pull, Next::Installed);
    }

    /// The new version is there, or the old one is put back, without a word.
    pub(crate) fn installed(&mut self, id: &str) {
        let Some(machine) = self.machines.get(id) else { return };
        let pulled = self.behaviour(machine).unpullable.is_none();
        let image = machine.config().acted.image.clone();
        let Some(machine) = self.machines.get_mut(id) else { return };
        let Some(Replacing { old, launches, ran }) = machine.replacing.take() else { return };
        if pulled {
            if launches {
                self.boot(id, "flyd");
            } else {
                self.write(
                    id,
                    "info",
                    "machine was in a non-started state prior to the update so leaving the new version stopped",
                );
                self.enter(id, State::Stopped);
            }
            return;
        }
        machine.instance = old;
        self.write(id, "error", &format!("failed to pull image {image}: manifest unknown"));
        if ran {
            self.boot(id, "flyd");
        } else {
            self.enter(id, State::Stopped);
        }
    }
}
