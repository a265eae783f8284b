//! The worlds that are gone through: each policy with each of the stories that can be told of it.

use trueup_types::policy::{RevertMode, Strategy};

use super::deed::Deed;
use super::world::{Kind, Scenario, Shape, World};
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
    ("cannotstart", &[Kind::Good, Kind::CannotStart, Kind::Good]),
    ("refused", &[Kind::Good, Kind::Refused, Kind::Good]),
];

/// Whether a world is for a sample: the smallest that has it all.
pub fn is_sample(world: &World) -> bool {
    world.shape.name == BLUE_GREEN.name
}

/// Every world at a scale.
pub fn worlds(scale: Scale) -> Vec<World> {
    let faults = match scale {
        Scale::Ci => 1,
        Scale::Long => 2,
    };
    SHAPES.iter().flat_map(|shape| scenarios(faults).into_iter().map(|scenario| World::new(*shape, scenario))).collect()
}

fn scenarios(faults: u8) -> Vec<Scenario> {
    let plain = Scenario { name: "calls", kinds: GOOD, deeds: CALLS, purses: [2, faults, 0], empty: false };
    let mut all = vec![
        plain,
        Scenario { name: "worldly", deeds: WORLDLY, ..plain },
        Scenario { name: "recreated", deeds: RECREATED, ..plain },
        Scenario { name: "stale", deeds: STALE, purses: [2, faults + 1, 0], ..plain },
        Scenario { name: "second", deeds: SECOND, ..plain },
        Scenario { name: "lost", deeds: LOST, ..plain },
        Scenario { name: "shaded", deeds: SHADED, ..plain },
        Scenario { name: "words", deeds: WORDS, purses: [1, faults - 1, 2], ..plain },
    ];
    for (name, kinds) in BAD {
        all.push(Scenario { name, kinds, deeds: AROUND_BAD, ..plain });
    }
    // The first release of all is bad, and there is nothing to go back to.
    all.push(Scenario { name: "first", kinds: &[Kind::Dies, Kind::Good], deeds: AROUND_BAD, empty: true, ..plain });
    all
}
