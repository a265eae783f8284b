//! What may happen to the small world.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use trueup_plan::command;
use trueup_types::desired::{Doubt, Hold, Prune, Wanted};
use trueup_types::order::{EnvOf, Order};
use trueup_types::{Release, Revision};

use crate::support::app::Sketch;
use crate::support::being::{Behaviour, Life};
use crate::support::model::Model;
use crate::support::story::next;

/// How a world begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The manifest.
    pub words: String,
    /// How `v1` to `v4` behave.
    pub versions: Vec<Behaviour>,
}

impl Beginning {
    /// Two of a good version.
    pub fn plain(strategy: &str) -> Self {
        Self { words: format!("2×v1 {strategy}"), versions: Vec::new() }
    }

    /// The world.
    pub fn model(&self) -> Model {
        let mut sketch = Sketch::default();
        sketch.change(&self.words);
        let mut model = Model::new(sketch);
        let versions = self.versions.iter().enumerate();
        model.behaviours = versions.map(|(index, kind)| (format!("v{}", index + 1), kind.clone())).collect();
        model
    }
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Event {
    /// The manifest changes.
    Edit(String),
    /// Time passes, and the daemon looks whenever it should.
    Run {
        millis: u32,
    },
    /// Time passes, and nobody looks.
    Unwatched {
        millis: u32,
    },
    /// The daemon looks, and may die before one of its steps.
    Tick {
        dies_at: Option<usize>,
        after_ms: u32,
    },
    /// Something befalls the n-th instance.
    Befall {
        index: usize,
        what: Fault,
    },
    /// Something befalls everything.
    Daemon,
    Host,
    Store,
    Edge(bool),
    /// A permit is taken, or given.
    Create(bool),
    Destroy(bool),
    Roll(bool),
    /// A person's word.
    Order(Order),
    /// The manifest goes, or nobody knows what is wanted.
    Gone,
    Held,
}

/// What befalls an instance.
#[derive(Debug, Clone)]
pub enum Fault {
    Crash,
    Complete,
    Sicken,
    Heal,
    Vanish,
    Busy(u32),
    /// Another digest under our name.
    Alter,
    /// Made, and never started.
    Unstarted,
}

impl Event {
    /// Lets it happen.
    pub fn happen(&self, model: &mut Model) {
        match self {
            Self::Edit(words) => model.edit(words),
            Self::Run { millis } => run(model, *millis),
            Self::Unwatched { millis } => {
                model.pass(model.now.after(Duration::from_millis(u64::from(*millis))));
                model.sighted_since = model.now;
            }
            Self::Tick { dies_at, after_ms } => {
                model.pass(model.now.after(Duration::from_millis(u64::from(*after_ms))));
                model.tick(*dies_at);
            }
            Self::Befall { index, what } => befall(model, *index, what),
            Self::Daemon => model.restart_daemon(),
            Self::Host => model.lose_host(),
            Self::Store => model.lose_store(),
            Self::Edge(dark) => model.edge_dark = *dark,
            Self::Create(may) => model.permits.create = permit(*may),
            Self::Destroy(may) => model.permits.destroy = permit(*may),
            Self::Roll(may) => model.permits.start_rollout = permit(*may),
            Self::Order(order) => obey(model, order),
            Self::Gone => model.remove(Prune::Delete),
            Self::Held => model.wanted = Wanted::Held { why: Doubt::StoreRebuilt },
        }
    }
}

fn permit(may: bool) -> Result<(), Hold> {
    if may { Ok(()) } else { Err(Hold::InDoubt(Doubt::StoreRebuilt)) }
}

fn run(model: &mut Model, millis: u32) {
    let end = model.now.after(Duration::from_millis(u64::from(millis)));
    // A bad version may flap as often as it likes within that time.
    for _ in 0..200 {
        let ticked = model.tick(None);
        match next(model, &ticked) {
            Some(next) if next <= end && model.watch.broken.is_empty() => model.pass(next),
            Some(_) | None => break,
        }
    }
    model.pass(end);
}

fn obey(model: &mut Model, order: &Order) {
    let desired = model.desired();
    if let Ok(record) = command(&model.record, desired.as_deref(), order, "ann", model.now) {
        model.record = record;
        model.watch.person_spoke();
    }
}

fn befall(model: &mut Model, index: usize, what: &Fault) {
    let now = model.now;
    match what {
        Fault::Crash => return model.crash(index, 1),
        Fault::Complete => return model.crash(index, 0),
        Fault::Sicken | Fault::Heal | Fault::Vanish | Fault::Busy(_) | Fault::Alter | Fault::Unstarted => {}
    }
    let Some((key, being)) = model.nth(index) else { return };
    match what {
        Fault::Sicken => being.sick = Some(now),
        Fault::Heal => being.sick = None,
        // What began to run a hook does not come back to where it was, and is nobody else's.
        Fault::Unstarted | Fault::Alter if being.hook.is_some() => {}
        Fault::Unstarted => being.state = Life::Made,
        Fault::Alter => {
            let other = Sketch::default().release(being.release.revision, "v9", &being.release.target);
            being.release = Arc::new(Release { exposure: being.release.exposure.clone(), ..Release::clone(&other) });
        }
        Fault::Busy(count) => {
            // Requests come by way of the table only.
            if matches!(being.state, Life::Up { .. }) && model.share.lists(&key.1) {
                model.in_flight.insert(key.1, *count);
            }
        }
        Fault::Vanish | Fault::Crash | Fault::Complete => {
            model.beings.remove(&key);
            model.watch.vanished(&key.1);
        }
    }
}

/// Any beginning.
pub fn beginning() -> impl Strategy<Value = Beginning> {
    let words =
        (1..4_u32, order(), revert(), bake(), any::<bool>()).prop_map(|(count, order, revert, bake, routed)| {
            format!("{count}×v1 {order} {revert} bake {bake} {}", if routed { "" } else { "worker" })
        });
    let kind = || prop_oneof![3 => good(), 1 => bad()];
    let versions = (good(), kind(), kind(), kind()).prop_map(|(one, two, three, four)| vec![one, two, three, four]);
    (words, versions).prop_map(|(words, versions)| Beginning { words, versions })
}

/// Strategies that never stop an old one before a new one is steady.
pub fn side_by_side() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("blueGreen"),
        Just("steps 20@3s,60@5s surge 100%"),
        Just("steps 30@3s,60@5s surge 100% counted"),
        Just("rolling surge 1"),
        Just("rolling surge 100%")
    ]
}

/// Any order in which old gives way to new.
pub fn order() -> impl Strategy<Value = &'static str> {
    let other = prop_oneof![
        Just("rolling surge 0 unavailable 1"),
        Just("rolling surge 1 unavailable 1"),
        Just("blueGreen surge 1"),
        Just("recreate"),
        Just("rolling stop-first"),
    ];
    prop_oneof![side_by_side(), other]
}

fn revert() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just(""), 1 => Just("hold")]
}

fn bake() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("60s"), 1 => Just("0s")]
}

fn good() -> impl Strategy<Value = Behaviour> {
    prop_oneof![Just(0_u64), Just(700), Just(9_000)]
        .prop_map(|millis| Behaviour { passes_after: Duration::from_millis(millis), ..Behaviour::default() })
}

/// Versions that never meet their gate.
pub fn bad() -> impl Strategy<Value = Behaviour> {
    let plain = Behaviour::default;
    prop_oneof![
        Just(Behaviour { never_passes: true, ..plain() }),
        Just(Behaviour { exits_after: Some((Duration::ZERO, 1)), ..plain() }),
        Just(Behaviour { exits_after: Some((Duration::from_secs(2), 1)), ..plain() }),
        Just(Behaviour { sick_after: Some(Duration::from_secs(3)), ..plain() }),
        Just(Behaviour { cannot_start: true, ..plain() }),
        Just(Behaviour { refused: true, ..plain() }),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::Crash),
        1 => Just(Fault::Complete),
        2 => Just(Fault::Sicken),
        2 => Just(Fault::Heal),
        2 => Just(Fault::Vanish),
        2 => (0..3_u32).prop_map(Fault::Busy),
        1 => Just(Fault::Alter),
        1 => Just(Fault::Unstarted),
    ]
}

fn person() -> impl Strategy<Value = Order> {
    prop_oneof![
        (proptest::option::of(1..5_u64), prop_oneof![Just(EnvOf::Then), Just(EnvOf::Now)])
            .prop_map(|(to, env)| Order::Rollback { to: to.map(Revision), env }),
        Just(Order::Retry),
        Just(Order::Resume),
        Just(Order::Suspend),
        Just(Order::Restart),
        Just(Order::Promote),
        Just(Order::Abort),
        Just(Order::Reconcile),
    ]
}

fn edit() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..4_u32, 1..5_u32).prop_map(|(count, version)| format!("{count}×v{version}")),
        1 => order().prop_map(str::to_owned),
        1 => (0..3_u32).prop_map(|digest| format!("image sha256:{digest}")),
        1 => (0..3_u32).prop_map(|name| format!("at web{name}.localhost")),
        1 => Just(String::new()),
    ]
}

/// An edit of the hooks, each of which behaves as a random version does.
fn hooks() -> impl Strategy<Value = String> {
    let kind = prop_oneof![Just("pre"), Just("post"), Just("undo")];
    let names = prop_oneof![
        2 => (1..5_u32).prop_map(|version| format!("v{version}")),
        2 => Just("migrate".to_owned()),
        1 => Just("migrate,seed".to_owned()),
        1 => Just("none".to_owned()),
    ];
    (kind, names).prop_map(|(kind, names)| format!("{kind} {names}"))
}

/// A good version that takes a while to come up.
pub fn slow() -> Behaviour {
    Behaviour { passes_after: Duration::from_millis(700), ..Behaviour::default() }
}

/// What happens in the best of houses.
pub fn harmless() -> impl Strategy<Value = Event> {
    let tick = (proptest::option::of(0..5_usize), 0..8_000_u32);
    prop_oneof![
        3 => edit().prop_map(Event::Edit),
        3 => (0..90_000_u32).prop_map(|millis| Event::Run { millis }),
        1 => (0..900_000_u32).prop_map(|millis| Event::Unwatched { millis }),
        4 => tick.prop_map(|(dies_at, after_ms)| Event::Tick { dies_at, after_ms }),
        1 => Just(Event::Daemon),
        1 => Just(Event::Host),
    ]
}

/// Anything that may happen.
pub fn event() -> impl Strategy<Value = Event> {
    let millis = || prop_oneof![0..1_000_u32, 0..20_000_u32, 0..400_000_u32];
    let tick = (proptest::option::of(0..5_usize), prop_oneof![Just(0_u32), millis()]);
    let world = prop_oneof![
        Just(Event::Daemon),
        Just(Event::Host),
        Just(Event::Store),
        any::<bool>().prop_map(Event::Edge),
        any::<bool>().prop_map(Event::Create),
        any::<bool>().prop_map(Event::Destroy),
        any::<bool>().prop_map(Event::Roll),
        Just(Event::Gone),
        Just(Event::Held),
    ];
    prop_oneof![
        4 => edit().prop_map(Event::Edit),
        2 => hooks().prop_map(Event::Edit),
        5 => millis().prop_map(|millis| Event::Run { millis }),
        1 => millis().prop_map(|millis| Event::Unwatched { millis }),
        8 => tick.prop_map(|(dies_at, after_ms)| Event::Tick { dies_at, after_ms }),
        5 => (0..6_usize, fault()).prop_map(|(index, what)| Event::Befall { index, what }),
        2 => person().prop_map(Event::Order),
        3 => world,
    ]
}
