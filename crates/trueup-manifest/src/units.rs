//! How manifests spell durations, sizes, file modes and the rest, and how they are bounded.
//!
//! Each function reads one spelling and says in one line why a text is none; `rule` hangs them into the tables of
//! fields, and `lower` calls the same ones for the value.

use std::time::Duration;

use trueup_types::Quantity;

/// Longest wait that a manifest may ask for: beyond a month it is a typing error.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest time for which releases are remembered: ten years.
pub(crate) const KEEP_MAX: Duration = Duration::from_secs(3660 * 24 * 3600);
/// Shortest time between two questions of a probe: faster ones would measure themselves.
pub(crate) const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Largest size, 1 PiB: beyond it is a typing error.
pub(crate) const SIZE_BYTES_MAX: u64 = 1 << 50;
/// Most instances that a surge or a gap may have: as many as an app may.
const COUNT_MAX: u32 = 1000;
/// Highest permission bits.
const MODE_MAX: u32 = 0o7777;

/// The suffixes of sizes, largest first, with their bytes; bytes themselves have none.
const SIZE_UNITS: [(&str, u64); 8] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
];

fn span_of_time(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let wait = humantime::parse_duration(text).map_err(|_| "is not a duration".to_owned())?;
    if wait > most {
        return Err(format!("is longer than {}", humantime::format_duration(most)));
    }
    if wait < least {
        return Err(format!("is shorter than {}", humantime::format_duration(least)));
    }
    Ok(wait)
}

/// A wait, zero allowed.
pub(crate) fn wait(text: &str) -> Result<Duration, String> {
    span_of_time(text, Duration::ZERO, WAIT_MAX)
}

/// A wait of at least a millisecond.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    span_of_time(text, Duration::from_millis(1), WAIT_MAX)
}

/// The time from one question of a probe to the next.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    span_of_time(text, INTERVAL_MIN, WAIT_MAX)
}

/// How long releases are remembered.
pub(crate) fn keep(text: &str) -> Result<Duration, String> {
    span_of_time(text, Duration::ZERO, KEEP_MAX)
}

/// An address to ask: what asks speaks no TLS.
pub(crate) fn url(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("http://").ok_or("does not begin with `http://`")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let clean = text.chars().all(|letter| letter.is_ascii_graphic());
    if host.is_empty() || host.starts_with(':') {
        return Err("names no host".to_owned());
    }
    if clean { Ok(()) } else { Err("holds a character that an address cannot have".to_owned()) }
}

/// The base of an API: with or without TLS, no query.
pub(crate) fn base_url(text: &str) -> Result<(), String> {
    if text.contains(['?', '#']) {
        return Err("holds a query".to_owned());
    }
    match text.strip_prefix("https://") {
        Some(rest) => url(&format!("http://{rest}")),
        None => url(text).map_err(|why| match text.starts_with("http://") {
            true => why,
            false => "does not begin with `https://`".to_owned(),
        }),
    }
}

/// A JSON pointer (RFC 6901).
pub(crate) fn pointer(text: &str) -> Result<(), String> {
    if text.starts_with('/') { Ok(()) } else { Err("does not begin with `/`".to_owned()) }
}

/// Reads a size as manifests spell it, such as `512Mi`, in bytes.
///
/// # Errors
/// Why it is none, as the end of a sentence about the text.
pub fn size(text: &str) -> Result<u64, String> {
    let unit = SIZE_UNITS.iter().find(|(suffix, _)| text.ends_with(suffix));
    let (suffix, factor) = unit.copied().unwrap_or(("", 1));
    let digits = text.strip_suffix(suffix).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is not a size".to_owned());
    }
    let bytes = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(factor));
    let bytes = bytes.filter(|bytes| *bytes <= SIZE_BYTES_MAX).ok_or("is larger than 1024Ti")?;
    if bytes == 0 { Err("is nothing".to_owned()) } else { Ok(bytes) }
}

/// How `size` would spell so many bytes.
pub(crate) fn spell_size(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes >= *factor && bytes.is_multiple_of(*factor);
    match SIZE_UNITS.iter().find(fits) {
        Some((suffix, factor)) => format!("{}{suffix}", bytes / factor),
        None => bytes.to_string(),
    }
}

/// A number of instances, or a percentage of the wanted ones.
pub(crate) fn quantity(text: &str) -> Result<Quantity, String> {
    match text.parse()? {
        Quantity::Count(count) if count > COUNT_MAX => Err(format!("{count} is more than {COUNT_MAX}")),
        quantity @ (Quantity::Count(_) | Quantity::Share(_)) => Ok(quantity),
    }
}

/// Permission bits, three or four octal digits.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let bits = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    bits.filter(|bits| *bits <= MODE_MAX).ok_or_else(|| "is not three or four octal digits".to_owned())
}

/// A path on a host or of a URL that begins with `/`.
pub(crate) fn rooted(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err("does not begin with `/`".to_owned());
    }
    Ok(())
}

/// The path of a request: begins with `/`, without space, query and fragment.
pub(crate) fn request_path(text: &str) -> Result<(), String> {
    rooted(text)?;
    match text.chars().find(|c| c.is_whitespace() || c.is_control() || matches!(c, '#' | '?')) {
        Some(odd) => Err(format!("holds `{}`", odd.escape_default())),
        None => Ok(()),
    }
}

/// The path and query that a probe asks for.
pub(crate) fn probe_path(text: &str) -> Result<(), String> {
    rooted(text)?;
    match text.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '#') {
        Some(odd) => Err(format!("holds `{}`", odd.escape_default())),
        None => Ok(()),
    }
}

/// Longest host name, in bytes (RFC 1035, section 2.3.4, without the root's dot).
const HOST_BYTES_MAX: usize = 253;

/// The host of a route: labels of letters, digits, `-` and `_`, with dots between; no port, no scheme.
pub(crate) fn host(text: &str) -> Result<String, String> {
    if text.contains("://") {
        return Err("holds a scheme".to_owned());
    }
    if text.contains('/') {
        return Err("holds a path".to_owned());
    }
    if text.contains(':') {
        return Err("holds a port or is an IPv6 address".to_owned());
    }
    if text.contains('*') {
        return Err("holds a wildcard".to_owned());
    }
    if text.is_empty() || text.len() > HOST_BYTES_MAX {
        return Err(format!("has not 1 to {HOST_BYTES_MAX} characters"));
    }
    let lower = text.to_ascii_lowercase();
    let label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(known) && !label.starts_with('-') && !label.ends_with('-')
    };
    if lower.split('.').all(label) { Ok(lower) } else { Err("is not a host name".to_owned()) }
}

/// The signals that can ask a process to go (signal(7)); `SIGKILL` and `SIGSTOP` ask nothing.
pub(crate) const SIGNALS: [&str; 8] =
    ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGABRT"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_survive_a_round_trip() {
        for text in ["512Mi", "10Gi", "1500", "3k", "1Ti", "1M"] {
            assert_eq!(spell_size(size(text).expect(text)), text);
        }
        assert_eq!(size("1024Mi").map(spell_size), Ok("1Gi".to_owned()));
        for text in ["", "Mi", "0", "-1", "1.5Gi", "512MB", "2000Ti", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("0644"), Ok(0o644));
        assert_eq!(mode("755"), Ok(0o755));
        assert!(mode("0888").is_err() && mode("+644").is_err() && mode("64").is_err());
    }

    #[test]
    fn hosts_are_names_without_scheme_path_and_port() {
        assert_eq!(host("API.Example.com"), Ok("api.example.com".to_owned()));
        assert_eq!(host("web.localhost"), Ok("web.localhost".to_owned()));
        for text in ["", "http://a", "a/b", "a:80", "-a", "a..b", "*.a", "a b", "ä"] {
            assert!(host(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn waits_are_bounded() {
        assert_eq!(wait("0s"), Ok(Duration::ZERO));
        assert!(wait("31d").is_err() && timeout("0s").is_err() && interval("1ms").is_err() && wait("10").is_err());
    }
}
