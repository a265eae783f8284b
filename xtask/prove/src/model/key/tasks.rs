//! What runs hooks, or has run them, and what is remembered of it.
//!
//! Of a release that is neither in use nor the newest, what has ended and was noted decides nothing any more: it is left
//! out.

use trueup_types::{InstanceId, Revision};

use super::super::state::{Being, Doing};
use super::super::world::HOOK_TIMEOUT;
use super::Writer;

impl Writer<'_> {
    /// The newest revision of which anybody knows, where there are hooks: what they left counts as well.
    pub(super) fn newest(&self) -> Option<Revision> {
        let hooked = !self.world.scenario.hooks.is_empty();
        let seen = self.state.beings.iter().map(|being| being.id.revision);
        hooked.then(|| seen.chain([self.state.record.highest]).max()).flatten()
    }

    /// The revisions of hooks that are not over, though nothing else is of them.
    pub(super) fn left_open(&self) -> Vec<Revision> {
        let seen = self.state.beings.iter().filter(|being| !being.serves()).map(|being| &being.id);
        let all = seen.chain(self.state.record.hooks.keys());
        all.filter(|id| !self.is_over(id)).map(|id| id.revision).collect()
    }

    /// Everything of hooks that can still matter.
    pub(super) fn tasks(&mut self) {
        let state = self.state;
        if self.world.scenario.hooks.is_empty() {
            return;
        }
        for being in state.beings.iter().filter(|being| !being.serves()) {
            if !self.is_over(&being.id) {
                self.task(being);
            }
        }
        self.byte(0xfb);
        for (id, run) in &state.record.hooks {
            if self.is_over(id) {
                continue;
            }
            self.name(id);
            let failed = run.ended.as_ref().is_some_and(|end| end.failure.is_some());
            self.flags(&[run.seen, run.ended.is_some(), failed, run.spent.is_some()]);
            if let (Some(spent), None) = (&run.spent, &run.ended) {
                self.watch(spent, HOOK_TIMEOUT);
            }
        }
        self.byte(0xfa);
        for ran in state.ran.iter() {
            if self.is_known(ran.id.revision) {
                self.name(&ran.id);
                self.flags(&[ran.well]);
            }
        }
        self.byte(0xf9);
    }

    fn task(&mut self, being: &Being) {
        self.name(&being.id);
        self.byte(self.world.number(being.release.digest));
        match being.doing {
            Doing::Waiting => self.byte(0),
            Doing::Well { .. } => self.byte(1),
            Doing::Sick { .. } => self.byte(2),
            Doing::Going => self.byte(3),
            Doing::Down { why, .. } => self.byte(4 + why as u8),
        }
    }

    /// Whether a revision is in use, or the newest.
    fn is_known(&self, revision: Revision) -> bool {
        self.revisions.binary_search(&revision).is_ok()
    }

    /// Whether it has ended, that was noted, and its release is of the past: in the history, and nothing else.
    fn is_over(&self, id: &InstanceId) -> bool {
        if self.is_known(id.revision) {
            return false;
        }
        let past = self.state.record.history.iter().any(|note| note.revision == id.revision);
        let runs = self.state.beings.iter().any(|being| being.id == *id && being.runs());
        let noted = self.state.record.hooks.get(id).is_some_and(|run| run.ended.is_some());
        past && noted && !runs
    }
}
