//! How fly.toml spells durations and sizes, and how manifests do.

use std::time::Duration;

/// MiB of a GiB.
const GIB_MIB: u64 = 1_024;

/// A duration as Go spells it, `1m21s`; `bare` is what one of a number alone is.
///
/// # Errors
/// When it is none.
pub(crate) fn duration(text: &str, bare: Duration) -> Result<Duration, String> {
    if let Ok(number) = text.parse::<u32>() {
        return Ok(bare * number);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return Err("is no duration".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return Err("is no duration".to_owned()),
        };
        let number: f64 = number.parse().map_err(|_| "is no duration".to_owned())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| "is too long".to_owned())?;
        total = total.checked_add(part).ok_or_else(|| "is too long".to_owned())?;
        rest = tail;
    }
    // Beyond milliseconds nothing is meant.
    Ok(Duration::from_millis(u64::try_from(total.as_millis()).unwrap_or(u64::MAX)))
}

/// A duration as both fly.toml and manifests spell it.
pub(crate) fn spelled(duration: Duration) -> String {
    let millis = duration.as_millis();
    if !millis.is_multiple_of(1_000) {
        return format!("{millis}ms");
    }
    let seconds = millis / 1_000;
    let parts = [(seconds / 3_600, "h"), (seconds % 3_600 / 60, "m"), (seconds % 60, "s")];
    let text: String =
        parts.into_iter().filter(|(number, _)| *number > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Memory in MiB: `512mb`, `1gb`, `512`; flyctl takes decimal suffixes for binary ones.
///
/// # Errors
/// When it is none.
pub(crate) fn memory_mib(text: &str) -> Result<u64, String> {
    sized(text, 1, "is no size of memory")
}

/// A volume's size in GiB: `10gb`, `10`, `20480mb`.
///
/// # Errors
/// When it is none, or not whole.
pub(crate) fn volume_gib(text: &str) -> Result<u64, String> {
    let mib = sized(text, GIB_MIB, "is no size of a volume")?;
    if mib > 0 && mib.is_multiple_of(GIB_MIB) { Ok(mib / GIB_MIB) } else { Err("is not whole GiB".to_owned()) }
}

fn sized(text: &str, bare_mib: u64, wrong: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let factor = match unit.trim() {
        "" => bare_mib,
        "m" | "mb" | "mi" | "mib" => 1,
        "g" | "gb" | "gi" | "gib" => GIB_MIB,
        "t" | "tb" | "ti" | "tib" => GIB_MIB * GIB_MIB,
        _ => return Err(wrong.to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| wrong.to_owned())?;
    number.checked_mul(factor).ok_or_else(|| wrong.to_owned())
}

/// So many MiB as manifests spell them.
pub(crate) fn mib(mib: u64) -> String {
    if mib.is_multiple_of(GIB_MIB) { format!("{}Gi", mib / GIB_MIB) } else { format!("{mib}Mi") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them_and_bare_numbers_by_their_key() {
        let read = |text: &str| duration(text, Duration::from_millis(1)).map(spelled);
        for (text, spelled) in [
            ("10s", "10s"),
            ("1m21s", "1m21s"),
            ("1h30m", "1h30m"),
            ("90s", "1m30s"),
            ("1.5s", "1500ms"),
            ("250ms", "250ms"),
            ("10000", "10s"),
            ("0s", "0s"),
        ] {
            assert_eq!(read(text), Ok(spelled.to_owned()), "{text}");
        }
        for text in ["", "s", "10", "10 s", "-1s", "1d", "1.2.3s"].into_iter().filter(|text| *text != "10") {
            assert!(read(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn sizes_are_read_in_the_units_of_their_keys() {
        assert_eq!(["512mb", "512", "1gb", "1GB", "2g"].map(memory_mib), [512, 512, 1_024, 1_024, 2_048].map(Ok));
        assert_eq!(["10gb", "10", "20480mb", "1TB"].map(volume_gib), [10, 10, 20, 1_024].map(Ok));
        assert!(memory_mib("lots").is_err() && volume_gib("100mb").is_err() && volume_gib("0").is_err());
        assert_eq!([256, 1_024, 1_536].map(mib), ["256Mi", "1Gi", "1536Mi"]);
    }
}
