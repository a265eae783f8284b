//! The worlds that are gone through: each policy with each of the stories that can be told of it.

use trueup_types::policy::{RevertMode, Strategy};

use super::deed::Deed;
use trueup_types::Task;

use super::world::{Hooked, Kind, Scenario, Shape, World};
use crate::tier::Scale;

const BLUE_GREEN: Shape = Shape {
    name: "bluegreen1",
    strategy: Strategy::BlueGreen,
    sizes: &[1],
    surge: 1,
    unavailable: 0,
    routed: true,
    stop_first: false,
    revert: RevertMode::Auto,
    steps: &[],
};

/// The policies.
const SHAPES: &[Shape] = &[
    BLUE_GREEN,
    Shape { name: "bluegreen2", sizes: &[2], surge: 2, ..BLUE_GREEN },
    Shape { name: "rolling1", strategy: Strategy::Rolling, ..BLUE_GREEN },
    Shape { name: "rolling2", strategy: Strategy::Rolling, sizes: &[2], ..BLUE_GREEN },
    Shape { name: "inplace2", strategy: Strategy::Rolling, sizes: &[2], surge: 0, unavailable: 1, ..BLUE_GREEN },
    Shape { name: "scaled", strategy: Strategy::Rolling, sizes: &[2, 1, 0], ..BLUE_GREEN },
    Shape { name: "recreate2", strategy: Strategy::Recreate, sizes: &[2], surge: 0, ..BLUE_GREEN },
    Shape { name: "stopfirst1", strategy: Strategy::Rolling, surge: 0, stop_first: true, ..BLUE_GREEN },
    Shape { name: "worker2", strategy: Strategy::Rolling, sizes: &[2], routed: false, ..BLUE_GREEN },
    Shape { name: "held1", revert: RevertMode::Hold, ..BLUE_GREEN },
    Shape { name: "canary1", strategy: Strategy::Canary, steps: &[(20, 2), (50, 1)], ..BLUE_GREEN },
];

/// What goes wrong between a daemon and its calls.
const CALLS: &[Deed] = &[Deed::Edit, Deed::Scale, Deed::Die, Deed::Unsaved, Deed::Lost, Deed::Landed, Deed::Late];
/// What goes wrong in the world.
const WORLDLY: &[Deed] = &[
    Deed::Edit,
    Deed::Scale,
    Deed::Crash,
    Deed::Sicken,
    Deed::Steal,
    Deed::HostLost,
    Deed::Sleep,
    Deed::Slow,
    Deed::Busy,
    Deed::Die,
];
/// What goes wrong around a bad release.
const AROUND_BAD: &[Deed] = &[
    Deed::Edit,
    Deed::Scale,
    Deed::Die,
    Deed::Crash,
    Deed::Sicken,
    Deed::HostLost,
    Deed::Landed,
    Deed::Sleep,
    Deed::Busy,
];
/// The same without a failure that old and new share: that one holds a bake up, in which exits count on without an end.
const AROUND_COLLAPSE: &[Deed] =
    &[Deed::Edit, Deed::Scale, Deed::Die, Deed::Crash, Deed::HostLost, Deed::Landed, Deed::Sleep, Deed::Busy];
const RECREATED: &[Deed] = &[
    Deed::Edit,
    Deed::Remove,
    Deed::Die,
    Deed::Landed,
    Deed::Late,
    Deed::Steal,
    Deed::Busy,
    Deed::Hold,
    Deed::HostLost,
    Deed::Doubt,
];
const STALE: &[Deed] =
    &[Deed::Edit, Deed::Scale, Deed::Notice, Deed::Crash, Deed::Steal, Deed::HostLost, Deed::Die, Deed::Remove];
const SECOND: &[Deed] = &[Deed::Edit, Deed::Scale, Deed::Meet, Deed::Die, Deed::Crash, Deed::Remove, Deed::Sleep];
const LOST: &[Deed] = &[
    Deed::Edit,
    Deed::Scale,
    Deed::LoseStore,
    Deed::Die,
    Deed::Crash,
    Deed::Sicken,
    Deed::HostLost,
    Deed::Remove,
    Deed::Doubt,
];
const SHADED: &[Deed] = &[
    Deed::Edit,
    Deed::Scale,
    Deed::Dark,
    Deed::Doubt,
    Deed::Hold,
    Deed::Slow,
    Deed::Busy,
    Deed::Sleep,
    Deed::Crash,
    Deed::Die,
];
const WORDS: &[Deed] = &[
    Deed::Edit,
    Deed::Scale,
    Deed::Crash,
    Deed::Die,
    Deed::Rollback,
    Deed::Retry,
    Deed::Restart,
    Deed::Promote,
    Deed::Abort,
    Deed::Suspend,
    Deed::Resume,
];

const GOOD: &[Kind] = &[Kind::Good, Kind::Good, Kind::Good];

const BAD: &[(&str, &[Kind])] = &[
    ("mute", &[Kind::Good, Kind::NeverPasses, Kind::Good]),
    ("fails", &[Kind::Good, Kind::Fails, Kind::Good]),
    ("sickens", &[Kind::Good, Kind::Sickens, Kind::Good]),
    ("dies", &[Kind::Good, Kind::Dies, Kind::Good]),
    ("collapses", &[Kind::Good, Kind::Collapses, Kind::Good]),
    ("cannotstart", &[Kind::Good, Kind::CannotStart, Kind::Good]),
    ("refused", &[Kind::Good, Kind::Refused, Kind::Good]),
];

/// What goes wrong around hooks.
const HOOKED: &[Deed] = &[
    Deed::Edit,
    Deed::Scale,
    Deed::Die,
    Deed::Unsaved,
    Deed::Landed,
    Deed::Late,
    Deed::Crash,
    Deed::Sicken,
    Deed::Steal,
    Deed::HostLost,
    Deed::LoseStore,
    Deed::Sleep,
    Deed::Slow,
    Deed::Hold,
];
/// The same around hooks of a release that dies, with a memory that holds: without it what is there is all that is known,
/// and may die for ever.
const HOOKED_DYING: &[Deed] = &[
    Deed::Edit,
    Deed::Scale,
    Deed::Die,
    Deed::Landed,
    Deed::Late,
    Deed::Crash,
    Deed::Sicken,
    Deed::Steal,
    Deed::HostLost,
    Deed::Sleep,
    Deed::Slow,
    Deed::Hold,
];
/// What people say of releases with hooks.
const HOOKED_WORDS: &[Deed] = &[
    Deed::Edit,
    Deed::Crash,
    Deed::Die,
    Deed::LoseStore,
    Deed::Rollback,
    Deed::Retry,
    Deed::Abort,
    Deed::Suspend,
    Deed::Resume,
];

const fn hooked(task: Task, kinds: &'static [Kind]) -> Hooked {
    Hooked { task, kinds }
}

/// Hooks of every kind, and all is well with them.
const WELL: &[Hooked] = &[hooked(Task::PreDeploy, GOOD), hooked(Task::PostDeploy, GOOD), hooked(Task::OnRevert, GOOD)];
const ONE_DIES: &[Kind] = &[Kind::Good, Kind::Dies, Kind::Good];
const ONE_HANGS: &[Kind] = &[Kind::Good, Kind::NeverPasses, Kind::Good];

/// Hooks of which some fail the second version, or are slow to undo it.
const HOOKS: &[(&str, &[Kind], &[Hooked])] = &[
    ("hooks", GOOD, WELL),
    ("prefails", GOOD, &[hooked(Task::PreDeploy, ONE_DIES), hooked(Task::OnRevert, GOOD)]),
    ("prehangs", GOOD, &[hooked(Task::PreDeploy, GOOD), hooked(Task::PreDeploy, ONE_HANGS)]),
    ("postfails", GOOD, &[hooked(Task::PostDeploy, ONE_DIES), hooked(Task::OnRevert, ONE_HANGS)]),
    ("undone", ONE_DIES, &[hooked(Task::PreDeploy, GOOD), hooked(Task::OnRevert, ONE_DIES)]),
];

/// Whether a world is for a sample: the smallest that has it all.
pub fn is_sample(world: &World) -> bool {
    world.shape.name == BLUE_GREEN.name
}

/// Every world at a scale.
pub fn worlds(scale: Scale) -> Vec<World> {
    let of = |shape: &Shape| scenarios(&Purses::of(scale, shape));
    SHAPES.iter().flat_map(|shape| of(shape).into_iter().map(|scenario| World::new(*shape, scenario))).collect()
}

/// How many edits, faults and words may be spent.
struct Purses {
    /// Around the driver's calls and the world.
    faults: [u8; 3],
    /// Where looks are old: one fault is the old look itself.
    looks: [u8; 3],
    /// Around hooks, of which every release leaves its own.
    hooks: [u8; 3],
    /// Where people speak.
    words: [u8; 3],
    /// Where they speak of releases with hooks.
    hook_words: [u8; 3],
}

impl Purses {
    /// In CI as many as let every world be gone through to its end: fewer where two instances multiply what can be.
    fn of(scale: Scale, shape: &Shape) -> Self {
        let plain = [2, 1, 0];
        let one = Self { faults: plain, looks: plain, hooks: plain, words: [2, 1, 1], hook_words: [1, 1, 1] };
        match scale {
            Scale::Long => {
                Self { faults: [2, 2, 0], looks: [2, 3, 0], hooks: [2, 2, 0], words: [2, 2, 2], hook_words: [2, 2, 2] }
            }
            Scale::Ci if shape.name == BLUE_GREEN.name => Self { hook_words: [2, 1, 1], ..one },
            Scale::Ci if shape.sizes == BLUE_GREEN.sizes => one,
            Scale::Ci => Self { hooks: [1, 1, 0], words: [1, 1, 1], ..one },
        }
    }
}

fn scenarios(told: &Purses) -> Vec<Scenario> {
    let Purses { faults, looks, hooks: around, words, hook_words } = *told;
    let plain = Scenario { name: "calls", kinds: GOOD, deeds: CALLS, hooks: &[], purses: faults, empty: false };
    let mut all = vec![
        plain,
        Scenario { name: "worldly", deeds: WORLDLY, ..plain },
        Scenario { name: "recreated", deeds: RECREATED, ..plain },
        Scenario { name: "stale", deeds: STALE, purses: looks, ..plain },
        Scenario { name: "second", deeds: SECOND, ..plain },
        Scenario { name: "lost", deeds: LOST, ..plain },
        Scenario { name: "shaded", deeds: SHADED, ..plain },
        Scenario { name: "words", deeds: WORDS, purses: words, ..plain },
    ];
    for (name, kinds) in BAD {
        let deeds = if kinds.contains(&Kind::Collapses) { AROUND_COLLAPSE } else { AROUND_BAD };
        all.push(Scenario { name, kinds, deeds, ..plain });
    }
    for (name, kinds, hooks) in HOOKS {
        let deeds = if kinds.contains(&Kind::Dies) { HOOKED_DYING } else { HOOKED };
        all.push(Scenario { name, kinds, hooks, deeds, purses: around, ..plain });
    }
    all.push(Scenario { name: "hookwords", hooks: WELL, deeds: HOOKED_WORDS, purses: hook_words, ..plain });
    // The first release of all is bad, and there is nothing to go back to.
    all.push(Scenario { name: "first", kinds: &[Kind::Dies, Kind::Good], deeds: AROUND_BAD, empty: true, ..plain });
    all
}
