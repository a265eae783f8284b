//! Operations on manifests, generated from the schema of an App: every field set to good values, to those on its
//! boundaries and to bad ones, taken out and put back, alone and in sequences.
//!
//! Texts go through the real `trueup-manifest`, and what it makes of them to the real driver in a simulated world
//! (`ground`). `values` holds what the schema cannot say; a field without a line there is a violation.

mod draft;
mod field;
mod ground;
mod sequence;
mod values;

use trueup_museum::{Bug, Planted};

use crate::tier::{Effort, Row, Tier, Violation};
use crate::{panics, workers};

/// Random sequences of each CI run, and of the long one.
const SEQUENCES: (u64, u64) = (2_000, 50_000);
/// Operations that the sequences come to at least: half of those that are drawn may say what is said already.
const OPERATIONS_EACH: u64 = 4;
/// Sequences that show whether a planted bug is met, beside every field by itself.
const SAMPLE: u64 = 120;

/// The tier.
pub const TIER: Tier =
    Tier { name: "operations", what: "every field of a manifest through all of its values, in sequences", run, replay };

fn run(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let fields = field::all();
    let count = u64::try_from(fields.len())?;
    let mut alone = workers::each(effort, "fields through all of their values", count, |number| {
        let field = &fields[usize::try_from(number).expect("it counts fields")];
        counted(format!("field:{}", field.path)).map(|_| 1)
    });
    alone.floor = count;
    let values: usize =
        fields.iter().filter_map(|field| Some(field::samples(field, field::values(&field.path)?).len())).sum();
    alone.note = format!("{values} values");
    let sequences = effort.of(SEQUENCES.0, SEQUENCES.1);
    let case = |number| counted(format!("sequence:{number}"));
    let mut together = workers::each(effort, "operations in sequences", sequences, case);
    together.floor = sequences * OPERATIONS_EACH;
    together.note = format!("{sequences} sequences");
    Ok(vec![alone, together])
}

/// Plays a case of a row: how many operations it took.
fn counted(replay: String) -> Result<u64, Violation> {
    let played = play(&replay, &mut |_| {}).unwrap_or_else(|why| Err(format!("the case itself failed: {why:#}")));
    played.map_err(|what| Violation { what, replay })
}

/// What a small run finds first, with a bug planted: every field, and some sequences.
pub fn sample(bug: Option<Bug>) -> Option<Violation> {
    let fields = field::all().into_iter().map(|field| format!("field:{}", field.path));
    let sequences = (0..SAMPLE).map(|number| format!("sequence:{number}"));
    let played = |case: String| match again(&case, bug) {
        Ok(wrong) => wrong.map(|what| Violation { what, replay: case }),
        Err(why) => Some(Violation { what: format!("the sample itself failed: {why:#}"), replay: case }),
    };
    sequences.chain(fields).find_map(played)
}

/// Plays a case again, with a bug planted or without; answers what is wrong.
///
/// # Errors
/// When there is no such case.
pub fn again(case: &str, bug: Option<Bug>) -> anyhow::Result<Option<String>> {
    let _planted = bug.map(Planted::new);
    Ok(play(case, &mut |_| {})?.err())
}

/// Plays a case: how many operations it took, or what is wrong.
fn play(case: &str, say: &mut dyn FnMut(String)) -> anyhow::Result<Result<u64, String>> {
    if let Some(path) = case.strip_prefix("field:") {
        let fields = field::all();
        let found = fields.iter().find(|field| field.path == path);
        let field = found.ok_or_else(|| anyhow::anyhow!("an App has no field `{path}`"))?;
        Ok(panics::over(|| sequence::field(field, say)).flatten())
    } else if let Some(number) = case.strip_prefix("sequence:") {
        let number = number.parse()?;
        Ok(panics::over(|| sequence::random(number, say)).flatten())
    } else {
        anyhow::bail!("a case is `field:PATH` or `sequence:NUMBER`")
    }
}

fn replay(case: &str) -> anyhow::Result<bool> {
    match play(case, &mut |line| println!("{line}"))? {
        Ok(operations) => println!("{operations} operations, nothing is wrong"),
        Err(what) => {
            println!("=== wrong\n{what}");
            return Ok(false);
        }
    }
    Ok(true)
}
