//! What happened, repeats folded, the newest kept.

use std::sync::Mutex;

use trueup_museum::{Bug, planted};
use trueup_types::status::{Event, EventKind};
use trueup_types::{AppName, Revision, Timestamp};

/// Most events kept; BEHAVIOUR.md's status file holds no more.
pub const EVENTS_MAX: usize = 1_000;
/// How far back an event looks for one that it repeats.
const FOLD_BACK: usize = 50;

/// The events of a daemon.
#[derive(Debug, Default)]
pub struct Events {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    all: Vec<Event>,
    unsaved: Vec<Event>,
    next: u64,
}

/// What an event is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The app; nothing for the daemon.
    pub app: Option<&'a AppName>,
    /// The release, where it is about one.
    pub revision: Option<Revision>,
}

impl Events {
    /// Continues with what was remembered.
    #[must_use]
    pub fn continued(all: Vec<Event>) -> Self {
        let next = all.last().map_or(1, |last| last.sequence + 1);
        Self { inner: Mutex::new(Inner { all, unsaved: Vec::new(), next }) }
    }

    /// Notes that something happened.
    pub fn note(&self, kind: EventKind, reason: &str, about: About<'_>, message: String, now: Timestamp) {
        let mut inner = self.inner.lock().expect("no holder panics");
        let sequence = inner.next;
        inner.next += 1;
        let event = Event {
            sequence,
            first: now,
            last: now,
            count: 1,
            kind,
            reason: reason.to_owned(),
            app: about.app.cloned(),
            revision: about.revision,
            message,
        };
        let recent = inner.all.len().saturating_sub(FOLD_BACK);
        let repeated = inner.all[recent..].iter().position(|one| one.repeats(&event)).map(|at| recent + at);
        let event = match repeated {
            // The repeated one moves to the end, so that followers see it.
            Some(at) => {
                let old = inner.all.remove(at);
                Event { first: old.first, count: old.count.saturating_add(1), ..event }
            }
            None => event,
        };
        inner.all.push(event.clone());
        inner.unsaved.push(event);
        let most = if planted(Bug::KeepsAllEvents) { usize::MAX } else { EVENTS_MAX };
        let surplus = inner.all.len().saturating_sub(most);
        inner.all.drain(..surplus);
        let surplus = inner.unsaved.len().saturating_sub(EVENTS_MAX);
        inner.unsaved.drain(..surplus);
    }

    /// All that are kept, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Event> {
        self.inner.lock().expect("no holder panics").all.clone()
    }

    /// Those that were not saved yet; they count as saved now.
    #[must_use]
    pub fn take_unsaved(&self) -> Vec<Event> {
        std::mem::take(&mut self.inner.lock().expect("no holder panics").unsaved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_folded_and_the_number_is_bounded() {
        let events = Events::default();
        let about = About { app: None, revision: None };
        for second in 0..3 {
            events.note(EventKind::Normal, "Same", about, "again".to_owned(), Timestamp::from_millis(second));
        }
        let all = events.all();
        assert_eq!((all.len(), all[0].count, all[0].first), (1, 3, Timestamp::from_millis(0)));
        for index in 0..2_000 {
            events.note(EventKind::Normal, "Other", about, format!("{index}"), Timestamp::from_millis(9));
        }
        assert_eq!(events.all().len(), EVENTS_MAX);
    }
}
