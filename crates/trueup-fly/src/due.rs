//! When an app is worth another look, and what is better waited for: pure.
//!
//! A listing shows all machines of an app at once, and one a second is all that the platform lets anybody have. So each is
//! made when it may show something: once a batch of deeds has been told, when the last of those that come up could pass
//! its checks, as often as checks turn after that, and now and then of what is quiet. What goes from one state to another
//! is waited for, by one call for the machine that was told last: the others of its batch are there before it.

use std::time::Duration;

use tokio::time::Instant;
use trueup_types::Timestamp;
use trueup_types::observed::{Health, Phase, Sighting};

use crate::book::{AppBook, Deed, Known, SETTLES};
use crate::lift;

/// From one look at an app to the next, where something is on its way that nobody waits for: as often as the platform
/// lets anybody list.
pub(crate) const FRESH: Duration = Duration::from_millis(1_000);
/// How old a look may be at an app with checks, or with anything on its way.
pub(crate) const CHECKED: Duration = Duration::from_secs(10);
/// So long after a deed one more of its batch may come: the limits let one of a kind through each second.
const QUIET: Duration = Duration::from_millis(1_500);
/// How long after a machine could pass its checks the platform says that it does.
const NOTED: Duration = Duration::from_millis(1_000);

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Await {
    pub machine: String,
    /// The version whose end is waited for; any, where nothing is said.
    pub version: Option<String>,
    /// Any of these.
    pub states: &'static [&'static str],
}

impl Known {
    /// Whether it is on its way from one state to another.
    pub(crate) fn on_its_way(&self, now: Instant) -> bool {
        !self.ghost && !self.is_removed() && (self.is_between() || self.is_told(now) || self.runs_a_task())
    }

    fn is_between(&self) -> bool {
        !["started", "stopped", "suspended", "failed"].contains(&self.machine.state.as_str())
    }

    /// Whether it was told something lately that does not show yet.
    fn is_told(&self, now: Instant) -> bool {
        let Some((deed, at)) = &self.deed else { return false };
        if now.duration_since(*at) >= SETTLES {
            return false;
        }
        match deed {
            Deed::Started(before) => self.started == *before && !lift::up(&self.machine),
            Deed::Stopped(before) => self.started == *before && self.machine.state == "started",
            Deed::Made | Deed::Removed | Deed::Told(_) => false,
        }
    }

    /// A task ends, and somebody waits for that.
    fn runs_a_task(&self) -> bool {
        self.written.id.task.is_some() && self.machine.state == "started"
    }

    /// When it was told last to change its state.
    fn moved_at(&self) -> Option<Instant> {
        match &self.deed {
            Some((Deed::Made | Deed::Started(_) | Deed::Stopped(_), at)) => Some(*at),
            Some((Deed::Removed | Deed::Told(_), _)) | None => None,
        }
    }

    fn awaited(&self) -> Await {
        let goes = ["stopping", "suspending", "started"].contains(&self.machine.state.as_str());
        let starts = matches!(self.deed, Some((Deed::Started(_), _)));
        let states: &[&str] = match () {
            () if self.machine.is_going() => &["destroyed"],
            () if goes => &["stopped", "suspended", "failed", "destroyed"],
            // It rests until it has heard.
            () if starts => &["started", "failed"],
            () => &["started", "stopped", "failed"],
        };
        let version = Some(self.machine.instance_id.clone()).filter(|version| goes && !version.is_empty());
        Await { machine: self.machine.id.clone(), version, states }
    }

    /// Keeps when it is worth a look whether it passes by now.
    pub(crate) fn judged(&mut self, sighting: Sighting, steady: Timestamp, now: Instant) {
        self.worth = match (&sighting.phase, &sighting.checks) {
            (Phase::Running { since }, Some(Health::Waiting | Health::Failed { .. } | Health::Unknown)) => {
                let probes = sighting.template.iter().flat_map(|release| &release.template.health);
                let grace = probes.clone().map(|probe| probe.grace).max().unwrap_or_default();
                let interval = probes.map(|probe| probe.interval).min().unwrap_or(CHECKED);
                let left = since.after(grace + NOTED).since(steady);
                Some(now + if left.is_zero() { interval.max(FRESH) } else { left })
            }
            (_, None | Some(Health::Passing { .. } | Health::Waiting | Health::Failed { .. } | Health::Unknown)) => {
                None
            }
        };
        self.health = sighting.checks;
    }
}

impl AppBook {
    /// Whether it is time for another look.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.dirty || self.due_at(now).is_some_and(|due| due <= now)
    }

    /// When it is worth another look, if nothing is seen or done before.
    fn due_at(&self, now: Instant) -> Option<Instant> {
        let Some(read) = self.read else { return (!self.machines.is_empty()).then_some(now) };
        let latest = read + CHECKED;
        let moves = self.machines.values().any(|known| known.on_its_way(now)).then(|| {
            let told = self.told_at().map_or(read, |told| told + QUIET);
            if self.awaited { latest } else { told.max(read + FRESH).min(latest) }
        });
        // Of those that come up together, the last; who is late is seen with the others, and ten seconds later again.
        let unwell = self.machines.values().filter_map(|known| known.worth).max().map(|worth| worth.min(latest));
        let checked = self.machines.values().any(|known| known.health.is_some()).then_some(latest);
        let gone = self.machines.values().filter_map(|known| match &known.deed {
            Some((Deed::Removed, at)) => Some(*at + SETTLES),
            Some((Deed::Made | Deed::Started(_) | Deed::Stopped(_) | Deed::Told(_), _)) | None => None,
        });
        moves.into_iter().chain(unwell).chain(checked).chain(gone).min()
    }

    /// When a machine of it was told last to change its state.
    fn told_at(&self) -> Option<Instant> {
        self.machines.values().filter_map(Known::moved_at).max()
    }

    /// What is worth waiting for, where nobody waits yet: the machine of those on their way that was told last.
    pub(crate) fn to_await(&self, now: Instant) -> Option<Await> {
        let told = self.told_at().is_none_or(|told| told + QUIET <= now);
        if self.awaited || !told || self.await_from.is_some_and(|from| now < from) {
            return None;
        }
        let moving = self.machines.values().filter(|known| known.on_its_way(now) && known.machine.reached());
        moving.max_by_key(|known| (known.moved_at(), known.machine.created_at.clone())).map(Known::awaited)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trueup_sim::AppSketch;
    use trueup_types::Revision;

    use super::*;
    use crate::labels::Written;

    fn awaited(state: &str, deed: Option<Deed>) -> Await {
        let value = json!({"id": "m", "state": state, "instance_id": "v1", "config": {"image": "a:1"}});
        let digest = AppSketch::web("web").release(Revision(1)).digest;
        let written =
            Written { id: "web-r1-0".parse().expect("a name"), digest, image: String::new(), same_lowering: false };
        let mut known = Known::new(serde_json::from_value(value).expect("it is a machine"), written);
        known.deed = deed.map(|deed| (deed, Instant::now()));
        known.awaited()
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_told_to_start_and_still_reads_stopped_is_waited_for_until_it_has() {
        let started = awaited("stopped", Some(Deed::Started(Some(7))));
        assert_eq!(started.states, ["started", "failed"], "`stopped` would be answered at once, again and again");
        assert_eq!(started.version, None);
        let made = awaited("created", Some(Deed::Made));
        assert_eq!(made.states, ["started", "stopped", "failed"], "one that cannot come up ends so");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_one_is_waited_for_in_the_version_that_ends() {
        for state in ["started", "stopping", "suspending"] {
            let ends = awaited(state, Some(Deed::Stopped(None)));
            assert!(ends.states.contains(&"stopped") && !ends.states.contains(&"started"), "{state}: {ends:?}");
            assert_eq!(ends.version.as_deref(), Some("v1"), "{state}: without it the platform refuses to wait");
        }
        assert_eq!(awaited("destroying", None).states, ["destroyed"]);
    }
}
