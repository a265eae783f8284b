//! Makes what the world answers unclear: effects that happen and then fail, or land late; listings of what was, of a
//! part, of nothing; hints that are lost or come twice; limits; a provider that is down for an hour.
//!
//! The scenarios and the oracles are those of the crashes. What is asked is the same, too: the laws at each effect, the
//! end of the undisturbed run, and nothing done twice. `rule` says what may differ, and why.

pub mod kind;
mod rule;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use trueup_museum::{Bug, Planted};
use trueup_sim::{CallFault, House};

use crate::crashes::book::{Book, Reference};
use crate::crashes::play::{Keep, Outcome, Trouble, play};
use crate::crashes::scenario::Variant;
use crate::crashes::{tell, vigil};
use crate::tier::{Effort, Row, Scale, Tier, Violation};
use crate::{panics, workers};

use kind::{Ill, KINDS, Kind, Run};

/// The tier.
pub const TIER: Tier = Tier {
    name: "ambiguity",
    what: "answers that lie, come late or not at all, and listings of what is not",
    run,
    replay,
};

/// Longest that the driver waits for a step, and some.
const STEP_TIMEOUT: Duration = Duration::from_secs(40);
/// A prime, to step through what is numbered without a pattern.
const STRIDE: u64 = 1_000_003;
/// Runs that are begun at most for each that is asked for: what some ills do to some variants nobody would notice, as a
/// listing from before of what has not changed since.
const SPARE: u64 = 8;

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let variants = Variant::all().into_iter().filter(|one| effort.scale == Scale::Long || one.is_common()).collect();
    let book = Book::of(variants);
    Ok(KINDS.iter().map(|kind| row(effort, &book, kind)).collect())
}

fn row(effort: &Effort, book: &Book, kind: &Kind) -> Row {
    let asked = effort.of(300, 20_000);
    let (felt, unfelt) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut row = workers::each(effort, kind.what, asked * SPARE, |number| {
        if felt.load(Ordering::Relaxed) >= asked {
            return Ok(0);
        }
        let reference = book.reference(number);
        let Some(ill) = nth_ill(&(kind.ills)(&known(&reference.outcome)), number, book.count()) else { return Ok(0) };
        let noticed = befalls(reference, ill)?.spoilt;
        let count = if noticed { &felt } else { &unfelt };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(u64::from(noticed))
    });
    row.floor = asked;
    row.note = format!("{} more that changed no answer", unfelt.into_inner());
    row
}

/// What befalls the variant of a case: each round another of its ills, none of them twice.
fn nth_ill(ills: &[Ill], number: u64, variants: u64) -> Option<Ill> {
    let count = u64::try_from(ills.len()).unwrap_or(u64::MAX);
    let (round, variant) = (number / variants, number % variants);
    // The stride is a prime above every count: it comes by each before it comes by one again.
    let index = (round < count).then(|| (round * STRIDE + variant * 7) % count)?;
    ills.get(usize::try_from(index).ok()?).copied()
}

fn known(undisturbed: &Outcome) -> Run {
    let millis = u64::try_from(undisturbed.took.as_millis()).unwrap_or(u64::MAX);
    Run { counts: undisturbed.counts, millis }
}

/// Plays a variant with an ill.
fn befalls(reference: &Reference, ill: Ill) -> Result<Outcome, Violation> {
    let replay = format!("{}/{ill}", reference.variant.name());
    let outcome = match vigil::over("ambiguity", &replay, || suffer(&reference.variant, ill, Keep::Ending)) {
        Ok(outcome) => outcome,
        Err(what) => return Err(Violation { what, replay }),
    };
    let wrong = rule::after_ill(&reference.outcome, &outcome, &reference.variant, ill);
    if wrong.is_empty() {
        return Ok(outcome);
    }
    Err(Violation { what: wrong.join("\n  "), replay })
}

fn suffer(variant: &Variant, ill: Ill, keep: Keep) -> Outcome {
    let spoil = |house: &House| ill.befall(house);
    let lasts = if let Ill::Down(_, seconds) = ill { Duration::from_secs(seconds) } else { Duration::ZERO };
    let hangs = match ill {
        // One after the other, and what is asked for five times may hang five times.
        Ill::Steps(CallFault::Hangs | CallFault::HangsAfter | CallFault::Late(_), _, times)
        | Ill::Tables(CallFault::Hangs | CallFault::HangsAfter | CallFault::Late(_), _, times) => STEP_TIMEOUT * times,
        Ill::Steps(..) | Ill::Tables(..) | Ill::Looks(..) | Ill::Hints(_) | Ill::Hushed | Ill::Down(..) => {
            Duration::ZERO
        }
    };
    play(variant, &Trouble { deaths: Vec::new(), spoil: Some(&spoil), lasts, hangs }, keep)
}

/// Variants of a sample.
const SAMPLE: [&str; 4] = [
    "update-bluegreen-2-quick",
    "bad-sickens-rolling-2-quick",
    "delete-bluegreen-2-quick",
    "scale-down-worker-2-quick",
];
/// Ills of each kind that befall each of them in a sample.
const SAMPLE_EACH: usize = 8;

/// What a small sample of the tier finds first on this thread, with a bug planted.
pub fn sample(bug: Option<Bug>) -> Option<Violation> {
    SAMPLE.into_iter().find_map(|name| {
        let variant = Variant::find(name).expect("the sample names variants that there are");
        let sound = Reference::of(variant);
        let _planted = bug.map(Planted::new);
        KINDS.iter().find_map(|kind| {
            let ills = (kind.ills)(&known(&sound.outcome));
            let step = ills.len() / SAMPLE_EACH + 1;
            ills.iter().step_by(step).find_map(|ill| befalls(&sound, *ill).err())
        })
    })
}

/// Plays one case again, with a bug planted or without; answers what is wrong.
///
/// # Errors
/// When there is no such case.
pub fn again(text: &str, bug: Option<Bug>) -> anyhow::Result<Option<String>> {
    let (variant, ill) = parsed(text)?;
    let sound = Reference::of(variant);
    let _planted = bug.map(Planted::new);
    Ok(befalls(&sound, ill).err().map(|wrong| wrong.what))
}

fn parsed(text: &str) -> anyhow::Result<(Variant, Ill)> {
    let (name, ill) = text.split_once('/').context("a case is VARIANT/ILL")?;
    let variant = Variant::find(name).with_context(|| format!("there is no variant `{name}`"))?;
    Ok((variant, Ill::parse(ill)?))
}

fn replay(text: &str) -> anyhow::Result<bool> {
    let (variant, ill) = parsed(text)?;
    let reference = Reference::of(variant);
    let outcome = panics::over(|| suffer(&variant, ill, Keep::Story)).map_err(anyhow::Error::msg)?;
    let wrong = rule::after_ill(&reference.outcome, &outcome, &variant, ill);
    tell(&outcome, &wrong);
    Ok(wrong.is_empty())
}
