//! Which boundaries every CI run takes: of each kind of boundary of each variant every third, by number.
//!
//! Neighbours are mostly alike, and the next variant takes the neighbours of those that this one takes. Nothing is drawn: each
//! run takes the same.

use trueup_sim::{CallKind, Moment};

use super::play::{Death, Loss};

/// The kind of boundary that a death is at, as a number.
pub fn class(death: &Death) -> u64 {
    let kind = CallKind::ALL.iter().position(|one| *one == death.cut.kind).unwrap_or_default();
    let moment = Moment::ALL.iter().position(|one| *one == death.cut.moment).unwrap_or_default();
    let place = u64::try_from(kind * Moment::ALL.len() + moment).unwrap_or_default();
    place * 2 + u64::from(death.loss == Loss::Everything)
}

/// Whether a death of the variant of this number is among those that every CI run takes.
pub fn is_taken(variant: u64, death: &Death) -> bool {
    (u64::from(death.cut.number) + variant + class(death)).is_multiple_of(3)
}
