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
                text(&hex(&self.0))[..SHORT_CHARACTERS].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(text(&hex(&self.0)))
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

/// A digest, spelled: every record and every status that is saved or shown has some, so that formatting would be felt.
fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut spelled = [0; 64];
    for (pair, byte) in spelled.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    spelled
}

fn text(spelled: &[u8; 64]) -> &str {
    std::str::from_utf8(spelled).expect("digits are text")
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

/// Lower case alone: a digest has one spelling.
fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_survive_a_round_trip_and_are_pinned() {
        let digest = ReleaseDigest::of(&serde_json::json!({"b": 1, "a": [true, null]}));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest, ReleaseDigest::of(&serde_json::json!({"a": [true, null], "b": 1})));
        let spelled = digest.to_string();
        assert_eq!(spelled, "4b0cc8f6d1c87d5d2f0e2b528fa486941e59076612cf729e41982581ea5c84c9");
        assert_eq!(digest.short(), spelled[..SHORT_CHARACTERS]);
        for wrong in ["xyz".to_owned(), spelled.to_uppercase(), spelled[1..].to_owned(), spelled.replace('0', "g")] {
            assert!(wrong.parse::<ReleaseDigest>().is_err(), "{wrong}");
        }
    }
}
