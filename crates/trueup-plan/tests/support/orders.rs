//! A person's words, as stories spell them.

use trueup_types::order::{EnvOf, Order};

use super::app::revision;

/// Reads an order: `rollback r1`, `retry`, …
pub fn order(text: &str) -> Order {
    let mut words = text.split_whitespace();
    match words.next().expect("a verb") {
        "rollback" => rollback(words),
        "retry" => Order::Retry,
        "resume" => Order::Resume,
        "suspend" => Order::Suspend,
        "restart" => Order::Restart,
        "promote" if words.next() == Some("fully") => Order::PromoteFully,
        "promote" => Order::Promote,
        "abort" => Order::Abort,
        "reconcile" => Order::Reconcile,
        verb => panic!("nobody knows the order `{verb}`"),
    }
}

/// Reads `r1`, `r1 now` or `now`: where to, and whose environment.
fn rollback<'a>(words: impl Iterator<Item = &'a str>) -> Order {
    let (mut to, mut env) = (None, EnvOf::Then);
    for word in words {
        if word == "now" {
            env = EnvOf::Now;
        } else {
            to = Some(revision(word));
        }
    }
    Order::Rollback { to, env }
}
