//! What is asked of a run whose answers were unclear: what is asked of one in which time passed otherwise.

use trueup_sim::CallFault;

use crate::crashes::play::Outcome;
use crate::crashes::rule::{Slack, calm, elsewhen, replaced};
use crate::crashes::scenario::Variant;

use super::kind::Ill;

/// What is wrong with a run that an ill befell.
pub fn after_ill(undisturbed: &Outcome, here: &Outcome, variant: &Variant, ill: Ill) -> Vec<String> {
    let mut wrong = calm(here);
    let again = match ill {
        // What an engine throws away is made anew.
        Ill::Steps(CallFault::Late(_) | CallFault::Halfway, _, times) => times,
        Ill::Steps(..) | Ill::Tables(..) | Ill::Looks(..) | Ill::Hints(_) | Ill::Hushed | Ill::Down(..) => 0,
    };
    let mut slack = Slack { again, ..Slack::default() };
    if matches!(ill, Ill::Steps(CallFault::Halfway, ..)) {
        slack.thrown = again;
        wrong.extend(replaced(undisturbed, here));
        if here.ending.lost_a_hook {
            // It may have done half of its work when its engine threw it away: it counts as failed, and what was good stays.
            return wrong;
        }
    }
    wrong.extend(elsewhen(undisturbed, here, &variant.script(), slack));
    wrong
}
