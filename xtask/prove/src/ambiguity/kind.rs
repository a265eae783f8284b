//! What may be unclear: an ill that befalls one moment of a run, and how it is spelled.

use std::time::Duration;

use anyhow::Context as _;
use trueup_sim::faults::Odds;
use trueup_sim::{CallFault, CallKind, Faults, House, SightFault};
use trueup_types::TargetName;

/// What befalls a run, counted from its first act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ill {
    /// Steps, from this one on, so many.
    Steps(CallFault, u32, u32),
    /// Tables, from this one on, so many.
    Tables(CallFault, u32, u32),
    /// Surveys, from this one on, so many.
    Looks(SightFault, u32, u32),
    /// Hints are lost or come twice, by this seed.
    Hints(u64),
    /// What the manifests say changes without a hint.
    Hushed,
    /// The target answers nothing, from so many milliseconds on, for so many seconds.
    Down(u64, u64),
}

const STEPS: [(&str, CallFault); 10] = [
    ("busy", CallFault::RefusedForNow),
    ("lost-before", CallFault::LostBefore),
    ("lost-after", CallFault::LostAfter),
    ("hangs", CallFault::Hangs),
    ("hangs-after", CallFault::HangsAfter),
    ("busy-after", CallFault::BusyAfter),
    ("conflict-after", CallFault::ConflictAfter),
    ("limited", CallFault::Limited(Duration::from_secs(7))),
    ("underway", CallFault::Underway),
    ("halfway", CallFault::Halfway),
];

const LOOKS: [(&str, SightFault); 7] = [
    ("dark", SightFault::Dark),
    ("stale", SightFault::Stale),
    ("older", SightFault::Older),
    ("cut-short", SightFault::CutShort),
    ("doubled", SightFault::Doubled),
    ("empty", SightFault::Empty),
    ("short", SightFault::Short),
];

impl std::fmt::Display for Ill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Steps(fault, number, times) => write!(f, "{}@step:{number}x{times}", call_word(*fault)),
            Self::Tables(fault, number, times) => write!(f, "{}@table:{number}x{times}", call_word(*fault)),
            Self::Looks(fault, number, times) => write!(f, "{}@look:{number}x{times}", look_word(*fault)),
            Self::Hints(seed) => write!(f, "hints@seed:{seed}x1"),
            Self::Hushed => write!(f, "hushed@all:0x1"),
            Self::Down(from, seconds) => write!(f, "down@ms:{from}x{seconds}"),
        }
    }
}

fn call_word(fault: CallFault) -> String {
    if let CallFault::Late(wait) = fault {
        return format!("late-{}", wait.as_millis());
    }
    let found = STEPS.iter().find(|(_, one)| *one == fault);
    found.map(|(word, _)| (*word).to_owned()).expect("every fault of a call that is made here has a word")
}

fn look_word(fault: SightFault) -> &'static str {
    let found = LOOKS.iter().find(|(_, one)| *one == fault);
    found.map(|(word, _)| *word).expect("every fault of a look has a word")
}

impl Ill {
    /// Reads an ill.
    ///
    /// # Errors
    /// Says what is not understood.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let (word, place) = text.split_once('@').context("an ill is WORD@PLACE:NUMBERxTIMES")?;
        let (place, numbers) = place.split_once(':').context("a place is PLACE:NUMBERxTIMES")?;
        let (number, times) = numbers.split_once('x').context("a number is NUMBERxTIMES")?;
        let (number, times): (u64, u64) = (number.parse()?, times.parse()?);
        let small = |number: u64| u32::try_from(number).context("too many");
        let late = word.strip_prefix("late-").and_then(|millis| millis.parse().ok());
        let call = late.map(|millis| CallFault::Late(Duration::from_millis(millis)));
        let call = call.or_else(|| STEPS.iter().find(|(name, _)| *name == word).map(|(_, fault)| *fault));
        let look = LOOKS.iter().find(|(name, _)| *name == word).map(|(_, fault)| *fault);
        Ok(match place {
            "step" => Self::Steps(call.context("no such fault of a call")?, small(number)?, small(times)?),
            "table" => Self::Tables(call.context("no such fault of a call")?, small(number)?, small(times)?),
            "look" => Self::Looks(look.context("no such fault of a look")?, small(number)?, small(times)?),
            "seed" => Self::Hints(number),
            "all" => Self::Hushed,
            "ms" => Self::Down(number, times),
            _ => anyhow::bail!("no such place: `{place}`"),
        })
    }

    /// Brings it upon a house, at the moment of the first act.
    pub fn befall(self, house: &House) {
        match self {
            Self::Steps(fault, number, times) => {
                house.world.lock().faults.script_calls(after(fault, number, times));
            }
            Self::Tables(fault, number, times) => {
                house.world.lock().faults.script_tables(after(fault, number, times));
            }
            Self::Looks(fault, number, times) => {
                house.world.lock().faults.script_sights(after(fault, number, times));
            }
            Self::Hints(seed) => {
                let odds = Odds { nudge_permille: 1_000, ..Odds::default() };
                house.world.lock().faults = Faults::seeded(seed, odds);
            }
            Self::Hushed => house.source.hush(true),
            Self::Down(from, seconds) => {
                let world = house.world.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(from)).await;
                    world.lock().dark.insert(TargetName::local());
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    world.lock().dark.remove(&TargetName::local());
                });
            }
        }
    }
}

fn after<T: Copy>(fault: T, number: u32, times: u32) -> impl Iterator<Item = Option<T>> {
    let well = std::iter::repeat_n(None, usize::try_from(number).unwrap_or(usize::MAX));
    well.chain(std::iter::repeat_n(Some(fault), usize::try_from(times).unwrap_or(usize::MAX)))
}

/// A kind of ill: a row of the table.
pub struct Kind {
    /// What the row says.
    pub what: &'static str,
    /// The ills of a run that makes so many calls, by kind; `variety` of each.
    pub ills: fn(&Run) -> Vec<Ill>,
}

/// What is known of the undisturbed run.
pub struct Run {
    /// How many calls it makes, by kind.
    pub counts: [u32; CallKind::ALL.len()],
    /// How long it takes until nothing moves, in milliseconds.
    pub millis: u64,
}

impl Run {
    fn count(&self, kind: CallKind) -> u32 {
        self.counts[kind as usize]
    }
}

/// All of them.
pub const KINDS: &[Kind] = &[
    Kind {
        what: "it happens, and the answer is an error",
        ills: |run| {
            use CallFault::{BusyAfter, ConflictAfter, HangsAfter, LostAfter};
            calls(run, &[LostAfter, BusyAfter, ConflictAfter, HangsAfter], &[1, 2, 3])
        },
    },
    Kind {
        what: "it happens late",
        ills: |run| {
            let waits = [40, 300, 1_100, 2_600, 6_500, 14_000, 33_000];
            calls(run, &waits.map(|millis| CallFault::Late(Duration::from_millis(millis))), &[1, 2])
        },
    },
    Kind {
        what: "it does not happen: busy, limited, lost, hanging",
        ills: |run| {
            let limited = CallFault::Limited(Duration::from_secs(7));
            calls(run, &[CallFault::RefusedForNow, limited, CallFault::LostBefore, CallFault::Hangs], &[1, 2, 5])
        },
    },
    Kind {
        what: "what engines do: it takes long; they die halfway",
        ills: |run| {
            let mut ills = steps(run, &[CallFault::Underway], &[1, 8, 25]);
            ills.extend(steps(run, &[CallFault::Halfway], &[1, 2, 3, 4, 5]));
            ills
        },
    },
    Kind { what: "listings of what was", ills: |run| looks(run, &[SightFault::Stale, SightFault::Older], &[1, 2, 3]) },
    Kind {
        what: "listings cut short, empty, partial, doubled, reordered",
        ills: |run| {
            use SightFault::{CutShort, Dark, Doubled, Empty, Short};
            let mut ills = looks(run, &[Empty, Short], &[1]);
            ills.extend(looks(run, &[Dark, CutShort, Doubled], &[1, 3]));
            ills
        },
    },
    Kind { what: "hints lost and repeated", ills: |_| (0..24).map(Ill::Hints).chain([Ill::Hushed]).collect() },
    Kind {
        what: "a provider down for an hour",
        ills: |run| (0..24).map(|part| Ill::Down(run.millis * part / 24, 3_600)).collect(),
    },
];

fn steps(run: &Run, faults: &[CallFault], times: &[u32]) -> Vec<Ill> {
    let all = || 0..run.count(CallKind::Step);
    let of = |fault: CallFault, times: u32| all().map(move |number| Ill::Steps(fault, number, times));
    faults.iter().flat_map(|fault| times.iter().flat_map(move |times| of(*fault, *times))).collect()
}

fn calls(run: &Run, faults: &[CallFault], times: &[u32]) -> Vec<Ill> {
    let mut ills = steps(run, faults, times);
    for fault in faults {
        for times in times {
            ills.extend((0..run.count(CallKind::Table)).map(|number| Ill::Tables(*fault, number, *times)));
        }
    }
    ills
}

fn looks(run: &Run, faults: &[SightFault], times: &[u32]) -> Vec<Ill> {
    let mut ills = Vec::new();
    for fault in faults {
        for times in times {
            ills.extend((0..run.count(CallKind::Look)).map(|number| Ill::Looks(*fault, number, *times)));
        }
    }
    ills
}
