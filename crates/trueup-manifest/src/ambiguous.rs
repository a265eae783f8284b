//! Scalars that one YAML reader takes for text and another for something else.
//!
//! YAML 1.1 has truths, numbers and dates that YAML 1.2 has not; editors and other tools still read 1.1. `check` refuses
//! such scalars unquoted where text is meant, and `yaml` quotes them when it writes.

/// Whether YAML 1.1 and 1.2 read an unquoted scalar differently (YAML 1.1 types: bool, int, float, timestamp, value).
pub(crate) fn ambiguous(text: &str) -> bool {
    const TRUTHS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let cased = |word: &str| {
        let title = |(at, c): (usize, char)| if at == 0 { c.to_ascii_uppercase() } else { c };
        text == word || text == word.to_ascii_uppercase() || text.chars().eq(word.chars().enumerate().map(title))
    };
    if TRUTHS.iter().any(|word| cased(word)) || text == "=" {
        return true;
    }
    let digits = text.trim_start_matches(['+', '-']);
    if text.len() - digits.len() > 1 || !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    // `010`, `0o14`, `0b1`.
    let octal = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let based = digits.starts_with("0o") || digits.starts_with("0b") || digits.starts_with("0x");
    // `1_000`, `1_0.5`.
    let grouped = digits.contains('_') && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'_' | b'.'));
    octal
        || grouped
        || (based && digits.len() > 2 && digits[2..].bytes().all(|b| b.is_ascii_hexdigit() || b == b'_'))
        || sexagesimal(digits)
        || date(digits)
}

/// `12:30:45` counts by sixties in YAML 1.1.
fn sexagesimal(digits: &str) -> bool {
    let Some((first, rest)) = digits.split_once(':') else { return false };
    let whole = rest.split('.').next().unwrap_or_default();
    let sixty = |part: &str| part.len() <= 2 && part.parse::<u8>().is_ok_and(|count| count < 60);
    !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit() || b == b'_') && whole.split(':').all(sixty)
}

/// `2026-11-20`, with or without a time, is a timestamp in YAML 1.1.
fn date(digits: &str) -> bool {
    let day = digits.split(['T', 't', ' ']).next().unwrap_or_default();
    let parts: Vec<_> = day.split('-').collect();
    parts.len() == 3
        && parts[0].len() == 4
        && parts.iter().all(|part| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_that_readers_take_differently_are_found() {
        for text in [
            "no",
            "On",
            "YES",
            "y",
            "N",
            "off",
            "010",
            "1_000",
            "-0755",
            "12:30",
            "22:22:22",
            "2026-11-20",
            "0o14",
            "0b1",
        ] {
            assert!(ambiguous(text), "{text} was let through");
        }
        for text in [
            "nope",
            "None",
            "v1",
            "a:b",
            "127.0.0.1",
            "127.0.0.1:8080",
            "30s",
            "1-2",
            "",
            "0",
            "-",
            "--verbose",
            "0xyz",
            "nO",
        ] {
            assert!(!ambiguous(text), "{text} was refused");
        }
    }
}
