//! Tells when a listing counts: when another one, a settle window later, is the same.
//!
//! A half-written file is often valid, with fewer apps. A tree that never holds still (somebody's editor, a long
//! checkout) counts after a while without the files that move. What is known to be whole needs to hold still only as long
//! as the files of one set are apart. Takes the time as an argument.

use std::time::Duration;

use tokio::time::Instant;
use trueup_museum::{Bug, planted};

use crate::walk::Listing;

/// How many settle windows a tree may move before it counts without what moves.
const RESTLESS_WINDOWS: u32 = 20;

/// The part of the settle window in which files that are whole are waited for: those of one set come together.
const WHOLE_PART: u32 = 8;

/// How a listing differs from the one that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// By files that came whole; nothing is missed, and nothing is wrong.
    Whole,
    /// By anything: half of it may still be on its way.
    Any,
}

/// What a listing came to.
#[derive(Debug)]
pub(crate) enum Settled {
    /// It counts.
    Counts(Box<Listing>),
    /// Look again at this moment.
    Wait(Instant),
}

/// Remembers the last listing that does not count yet.
#[derive(Debug)]
pub(crate) struct Settler {
    window: Duration,
    pending: Option<(Listing, Instant)>,
    restless_since: Option<Instant>,
}

impl Settler {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, pending: None, restless_since: None }
    }

    /// The newest listing, to share texts with.
    pub(crate) fn pending(&self) -> Option<&Listing> {
        self.pending.as_ref().map(|(listing, _)| listing)
    }

    /// Forgets what does not count: the root could not be seen.
    pub(crate) fn reset(&mut self) {
        self.pending = None;
        self.restless_since = None;
    }

    /// Weighs a listing against the one before it and the one that counts.
    pub(crate) fn offer(&mut self, listing: Listing, counts: Option<&Listing>, news: News, now: Instant) -> Settled {
        let window = match news {
            News::Whole => self.window / WHOLE_PART,
            News::Any => self.window,
        };
        if planted(Bug::ReadsHalfWritten) {
            return Settled::Counts(Box::new(listing));
        }
        let Some((before, since)) = self.pending.take() else {
            if counts.is_some_and(|counts| counts.same(&listing)) {
                return Settled::Counts(Box::new(listing));
            }
            self.restless_since = Some(now);
            return self.wait(listing, now, window);
        };
        if before.same(&listing) {
            if now.saturating_duration_since(since) < window {
                return self.wait(listing, since, window);
            }
            self.restless_since = None;
            return Settled::Counts(Box::new(listing));
        }
        let restless = now.saturating_duration_since(self.restless_since.unwrap_or(now));
        if restless < self.window * RESTLESS_WINDOWS || self.window.is_zero() {
            return self.wait(listing, now, window);
        }
        self.restless_since = None;
        let still = without_what_moves(&before, listing.clone(), counts);
        self.pending = Some((listing, now));
        self.restless_since = Some(now);
        Settled::Counts(Box::new(still))
    }

    fn wait(&mut self, listing: Listing, since: Instant, window: Duration) -> Settled {
        self.pending = Some((listing, since));
        Settled::Wait(since + window)
    }
}

/// Moving files stand as they last counted; one that never did is a gap, so that nothing is taken for absent.
fn without_what_moves(before: &Listing, mut listing: Listing, counts: Option<&Listing>) -> Listing {
    let moving: Vec<String> = listing
        .files
        .keys()
        .chain(before.files.keys())
        .filter(|key| {
            before.files.get(*key).map(|file| &file.content) != listing.files.get(*key).map(|file| &file.content)
        })
        .cloned()
        .collect();
    for key in moving {
        match counts.and_then(|counts| counts.files.get(&key)) {
            Some(file) => {
                listing.files.insert(key, file.clone());
            }
            None => {
                listing.files.remove(&key);
                listing.gaps.insert(key, "it does not hold still".to_owned());
            }
        }
    }
    listing
}
