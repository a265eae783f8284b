//! Digests: what makes two releases, or two intents, the same.
//!
//! A digest is SHA-256 over canonical JSON: keys sorted, defaults left out by the types themselves, so that a new
//! field with a default changes no digest and an upgrade of trueup rolls nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Characters of a digest that people are shown.
pub const SHORT_CHARACTERS: usize = 12;

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// Digests anything that serializes; the same value gives the same digest, on any host, for ever.
            #[must_use]
            pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
                Self(digest_canonical(value))
            }

            /// The first twelve characters, for people.
            #[must_use]
            pub fn short(&self) -> String {
                hex(&self.0)[..SHORT_CHARACTERS].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.short())
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                unhex(text).map(Self).ok_or_else(|| format!("`{text}` is not a digest of 64 hexadecimal characters"))
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(digest: $name) -> Self {
                digest.to_string()
            }
        }
    };
}

digest!(
    /// What a release is: its template and its resolved inputs. Two releases with one digest are the same.
    ReleaseDigest
);
digest!(
    /// What an instance is: the template alone, before its inputs are resolved.
    TemplateDigest
);
digest!(
    /// What an app's manifest asks for in all: template, policy, exposure, supports and placement.
    IntentDigest
);

fn digest_canonical<T: Serialize + ?Sized>(value: &T) -> [u8; 32] {
    let value = serde_json::to_value(value).expect("our own types always become JSON");
    let mut text = String::new();
    write_canonical(&value, &mut text);
    Sha256::digest(text).into()
}

/// Writes JSON with its keys sorted, whatever order the map keeps: a dependency may switch that order on for all.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => text.push_str(&value.to_string()),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(map) => {
            text.push('{');
            for (key, item) in map.iter().collect::<std::collections::BTreeMap<_, _>>() {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(item, text);
                text.push(',');
            }
            text.push('}');
        }
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(|d| d.is_ascii_digit() || (b'a'..=b'f').contains(d)) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_survive_a_round_trip_and_are_pinned() {
        let digest = ReleaseDigest::of(&serde_json::json!({"b": 1, "a": [true, null]}));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest, ReleaseDigest::of(&serde_json::json!({"a": [true, null], "b": 1})));
        assert!("xyz".parse::<ReleaseDigest>().is_err());
    }
}
