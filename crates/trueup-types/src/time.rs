//! Steady time: a moment that never goes back, and durations written as people write them.
//!
//! A [`Timestamp`] is anchored once a boot to the wall clock and advanced by the boot clock; who makes one is the
//! driver's clock. Everything here takes `now` as an argument.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of steady time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The beginning of time, before which nothing happened.
    pub const ZERO: Self = Self(0);

    /// The moment so many milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long it is since `earlier`; zero when `earlier` lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment `wait` later, rounded up to a millisecond, so that a wake at it is never early.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let millis = wait.as_nanos().div_ceil(1_000_000);
        Self(self.0.saturating_add(u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Beyond the year 9999 RFC 3339 has no spelling.
        let latest = 253_402_300_799_999;
        let at = std::time::UNIX_EPOCH + Duration::from_millis(self.0.min(latest));
        humantime::format_rfc3339_millis(at).fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Time that counts only while somebody watched.
///
/// A daemon that was dead for twenty minutes, or a target that was dark, adds nothing: no deadline passes and no bake
/// ends unwatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopwatch {
    /// The watched time so far, in milliseconds.
    watched_millis: u64,
    /// The moment up to which it is counted.
    marked: Timestamp,
    /// Whether it stands still: what passes until it is read next does not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
}

impl Stopwatch {
    /// A watch that starts at `now` with nothing on it.
    #[must_use]
    pub fn started(now: Timestamp) -> Self {
        Self { watched_millis: 0, marked: now, stopped: false }
    }

    /// Counts the time up to `now`, as far back as sight has been unbroken.
    pub fn advance(&mut self, sighted_since: Timestamp, now: Timestamp) {
        if std::mem::take(&mut self.stopped) {
            self.marked = self.marked.max(now);
        }
        let from = self.marked.max(sighted_since);
        self.watched_millis = self.watched_millis.saturating_add(now.as_millis().saturating_sub(from.as_millis()));
        self.marked = self.marked.max(now);
    }

    /// Moves the mark to `now` and counts nothing: the time until then was frozen.
    pub fn skip(&mut self, now: Timestamp) {
        self.stopped = false;
        self.marked = self.marked.max(now);
    }

    /// Stands still until it is advanced or skipped the next time; doing it again changes nothing.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// The watched time.
    #[must_use]
    pub fn watched(&self) -> Duration {
        Duration::from_millis(self.watched_millis)
    }

    /// When `limit` of watched time will be reached if sight holds; a moment not after the mark when it has been.
    #[must_use]
    pub fn due(&self, limit: Duration) -> Timestamp {
        self.marked.after(limit.saturating_sub(self.watched()))
    }

    /// Whether `limit` of watched time has passed.
    #[must_use]
    pub fn reached(&self, limit: Duration) -> bool {
        self.watched() >= limit
    }
}

/// Serde for durations written as people write them (`30s`, `5m`).
pub mod human {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `30s`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(wait: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*wait))
    }

    /// Reads `30s`.
    ///
    /// # Errors
    /// A text that humantime does not know.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopwatch_counts_only_watched_time() {
        let at = Timestamp::from_millis;
        let mut watch = Stopwatch::started(at(1_000));
        watch.advance(at(0), at(3_000));
        assert_eq!(watch.watched(), Duration::from_secs(2));
        // The daemon was dead from 3 s to 90 s.
        watch.advance(at(90_000), at(91_000));
        assert_eq!(watch.watched(), Duration::from_secs(3));
        assert_eq!(watch.due(Duration::from_secs(5)), at(93_000));
        // A clock that went back counts nothing and loses nothing.
        watch.advance(at(0), at(80_000));
        assert_eq!(watch.watched(), Duration::from_secs(3));
    }

    #[test]
    fn a_stopped_watch_stays_as_it_is_and_counts_on_from_the_next_look() {
        let at = Timestamp::from_millis;
        let mut watch = Stopwatch::started(at(1_000));
        watch.advance(at(0), at(3_000));
        watch.stop();
        let stopped = watch;
        watch.stop();
        assert_eq!(watch, stopped);
        watch.advance(at(0), at(90_000));
        assert_eq!(watch.watched(), Duration::from_secs(2));
        watch.advance(at(0), at(91_000));
        assert_eq!(watch.watched(), Duration::from_secs(3));
    }

    #[test]
    fn a_wake_is_never_early() {
        assert_eq!(Timestamp::ZERO.after(Duration::from_micros(1)), Timestamp::from_millis(1));
        assert_eq!(Timestamp::ZERO.after(Duration::MAX), Timestamp::from_millis(u64::MAX));
    }
}
