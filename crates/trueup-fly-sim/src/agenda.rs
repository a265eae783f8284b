//! What is due, and when: in order of time, and in order of entry within a moment.

use std::collections::BTreeMap;

use crate::machine::Next;
use crate::time::Moment;

/// Something that is due.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// A machine's next step, if nothing else came between.
    Machine { id: String, ticket: u64, next: Next },
    /// A machine's checks run, in this one of its lives.
    Checks { id: String, boot: u32 },
    /// An edge of the proxy hears of a machine.
    EdgeHears { id: String, edge: usize, serves: bool },
    /// Something of the scenario's timeline.
    Deed(Box<crate::deed::Deed>),
    /// A certificate is issued.
    Certificate { app: String, hostname: String },
    /// A machine that nobody asked may be stopped.
    Idle { id: String, boot: u32 },
    /// Somebody waits for this moment.
    Wake,
}

/// The agenda.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    due: BTreeMap<(Moment, u64), Happening>,
    entered: u64,
}

impl Agenda {
    pub(crate) fn enter(&mut self, at: Moment, what: Happening) {
        self.entered += 1;
        self.due.insert((at, self.entered), what);
    }

    /// When something is due next.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes what is due by this moment, one at a time.
    pub(crate) fn take(&mut self, by: Moment) -> Option<(Moment, Happening)> {
        let ((at, _), _) = self.due.first_key_value()?;
        if *at > by {
            return None;
        }
        self.due.pop_first().map(|((at, _), what)| (at, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order_of_time_and_then_of_entry() {
        let mut agenda = Agenda::default();
        for (at, id) in [(20, "c"), (10, "a"), (20, "d"), (10, "b"), (30, "e")] {
            let what = Happening::Idle { id: id.to_owned(), boot: 0 };
            agenda.enter(Moment::from_millis(at), what);
        }
        let mut order = String::new();
        while let Some((_, Happening::Idle { id, .. })) = agenda.take(Moment::from_millis(20)) {
            order.push_str(&id);
        }
        assert_eq!((order.as_str(), agenda.next()), ("abcd", Some(Moment::from_millis(30))));
    }
}
