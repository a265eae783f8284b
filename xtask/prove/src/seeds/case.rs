//! A case: a world and what happens in it, as a seed gives them.

use std::fmt;

use super::event::Moment;
use super::history;
use super::on_disk::OnDisk;
use super::setting::Setting;
use super::shelf::{InMemory, Shelf};

/// A case.
#[derive(Debug, Clone)]
pub struct Case {
    /// The world.
    pub setting: Setting,
    /// What happens in it.
    pub history: Vec<Moment>,
    /// What remembers.
    pub memory: Remembers,
}

/// What remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembers {
    /// A store in memory, under the guard of the real one.
    InMemory,
    /// The real one with its guard, in a directory.
    OnDisk,
}

impl Remembers {
    /// The case of a seed, for `--replay`.
    pub fn spelled(self, seed: u64) -> String {
        match self {
            Self::InMemory => format!("seed:{seed}"),
            Self::OnDisk => format!("sled:seed:{seed}"),
        }
    }
}

impl Case {
    /// The case of a seed.
    pub fn of(seed: u64, memory: Remembers) -> Self {
        let setting = Setting::drawn(seed);
        let history = history::drawn(&setting);
        Self { setting, history, memory }
    }

    /// A new store of its kind.
    pub fn shelf(&self) -> Box<dyn Shelf> {
        match self.memory {
            Remembers::InMemory => Box::new(InMemory::default()),
            Remembers::OnDisk => Box::new(OnDisk::new().expect("a directory of our own can be made")),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { seed, casts, rollouts_max, pace } = &self.setting;
        writeln!(f, "=== seed {seed}: at most {rollouts_max} rollouts at once, {pace:?}")?;
        for cast in casts {
            let policy = &cast.sketch.policy;
            writeln!(f, "{}: {}", cast.sketch.name, cast.first)?;
            writeln!(
                f,
                "  surge {} unavailable {} minHealthy {:?} healthyDeadline {:?} bake {:?} drain {:?} {:?} {:?}{}",
                policy.max_surge,
                policy.max_unavailable,
                policy.min_healthy,
                policy.healthy_deadline,
                policy.bake,
                policy.drain,
                policy.revert,
                cast.sketch.prune,
                policy.stop_first.as_ref().map(|why| format!(" stop-first: {why}")).unwrap_or_default(),
            )?;
            let probe = cast.sketch.template.health.first();
            let probe =
                probe.map(|one| format!("every {:?}, {} bad, grace {:?}", one.interval, one.failures, one.grace));
            writeln!(f, "  probed: {}; depends on {:?}", probe.unwrap_or_default(), policy.depends_on)?;
            let versions =
                (0..cast.natures.len()).map(|number| format!("{:?} ({:?})", cast.nature(number), cast.promise(number)));
            writeln!(f, "  versions: {}", versions.collect::<Vec<_>>().join(", "))?;
        }
        writeln!(f, "=== the history")?;
        self.history.iter().try_for_each(|moment| writeln!(f, "{moment}"))
    }
}
