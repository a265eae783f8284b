//! Moments of the simulated cloud, and durations as Go writes and reads them.
//!
//! Knows no clock: a moment is handed in.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// From milliseconds since 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000
    }

    /// So much later; the last moment there is, when that is beyond it.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }

    /// So much earlier; 1970, when that is before it.
    #[must_use]
    pub fn before(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago the other was; zero, when it is still to come.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// As `2026-08-21T10:00:00.000Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        // Beyond the year 9999 the format ends; nothing simulated lives so long.
        let millis = self.0.min(253_402_300_799_999);
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).to_string()
    }

    /// As `2026-08-21T10:00:00Z`.
    #[must_use]
    pub fn rfc3339_seconds(self) -> String {
        Self(self.0 / 1_000 * 1_000).rfc3339().replace(".000Z", "Z")
    }

    /// Reads what [`Self::rfc3339`] writes, and any other spelling of RFC 3339.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = humantime::parse_rfc3339_weak(text).ok()?;
        let passed = time.duration_since(UNIX_EPOCH).ok()?;
        Some(Self(u64::try_from(passed.as_millis()).ok()?))
    }
}

/// A duration that is written as `1m30s`, or as a number of nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

impl Span {
    /// So many milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        writer.serialize_str(&format_go(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Text(String),
            Nanos(u64),
        }
        match Spelling::deserialize(reader)? {
            Spelling::Nanos(nanos) => Ok(Self(Duration::from_nanos(nanos))),
            Spelling::Text(text) => parse_go(&text)
                .map(Self)
                .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no duration such as 1m30s"))),
        }
    }
}

/// Reads a Go duration: `300ms`, `1.5h`, `1m30s`, `0`.
pub(crate) fn parse_go(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return None,
        };
        rest = &rest[end..];
        seconds += number * unit;
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(seconds).ok() }
}

/// Writes a duration as Go does: `500ms`, `15s`, `1m30s`.
pub(crate) fn format_go(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return if duration.is_zero() { "0s".to_owned() } else { format!("{}ns", duration.as_nanos()) };
    }
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let mut text = String::new();
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let (whole, part) = (millis / 1_000 % 60, millis % 1_000);
    let fraction = if part == 0 { String::new() } else { format!(".{part:03}").trim_end_matches('0').to_owned() };
    let _ = write!(text, "{whole}{fraction}s");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelled_as_go_spells_them() {
        for text in ["500ms", "1s", "15s", "1m30s", "1.5s", "1h0m0s", "2h3m4s", "0s"] {
            assert_eq!(format_go(parse_go(text).expect(text)), text);
        }
        assert_eq!(parse_go("1.5h"), Some(Duration::from_secs(5_400)));
        for wrong in ["", "15", "s", "1x", "-1s"] {
            assert_eq!(parse_go(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_are_read_as_they_are_written() {
        let moment = Moment::from_millis(1_790_000_000_123);
        assert_eq!(Moment::parse(&moment.rfc3339()), Some(moment));
        assert_eq!(
            Moment::parse("2026-08-21T10:00:00Z").map(Moment::rfc3339).as_deref(),
            Some("2026-08-21T10:00:00.000Z")
        );
    }
}
