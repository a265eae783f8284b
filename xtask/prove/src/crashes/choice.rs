//! Which boundaries every CI run takes: of each kind of boundary of each variant every second, by number.
//!
//! Neighbours are mostly alike, and where one variant takes the even ones the next takes the odd ones. Nothing is drawn:
//! each run takes the same.

use trueup_sim::{CallKind, Moment};

use super::play::{Death, Loss};

/// The kind of boundary that a death is at, as a number.
fn class(death: &Death) -> u64 {
    let kind = CallKind::ALL.iter().position(|one| *one == death.cut.kind).unwrap_or_default();
    let moment = Moment::ALL.iter().position(|one| *one == death.cut.moment).unwrap_or_default();
    let place = u64::try_from(kind * Moment::ALL.len() + moment).unwrap_or_default();
    place * 2 + u64::from(death.loss == Loss::Everything)
}

/// Whether a death of the variant of this number is among those that every CI run takes.
pub fn is_taken(variant: u64, death: &Death) -> bool {
    (u64::from(death.cut.number) + variant + class(death)).is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::crashes::book::Reference;
    use crate::crashes::scenario::Variant;

    #[test]
    fn every_scenario_meets_every_kind_of_boundary_that_it_has() {
        let (mut all, mut taken, mut count) = (BTreeSet::new(), BTreeSet::new(), 0);
        let common = Variant::all().into_iter().filter(Variant::is_common);
        for (number, variant) in (0..).zip(common) {
            for death in Reference::of(variant).deaths {
                let met = (variant.scenario.name, class(&death));
                all.insert(met);
                if is_taken(number, &death) {
                    taken.insert(met);
                    count += 1;
                }
            }
        }
        assert!(
            all.iter().map(|(_, class)| class).collect::<BTreeSet<_>>().len() >= 14,
            "every call and moment is met"
        );
        assert_eq!(all.difference(&taken).collect::<Vec<_>>(), Vec::<&(&str, u64)>::new());
        assert!(count >= 15_000, "{count} are few");
    }
}
