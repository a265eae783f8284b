//! Seals each stored value: a magic, a version, and a checksum over the key and the payload.
//!
//! The key is part of the checksum, so that a value found under another key is noticed.

/// The first bytes of each value.
const MAGIC: [u8; 2] = *b"tu";

/// The version of the payloads that this build writes, and the only one that it reads.
const VERSION: u8 = 1;

const HEADER_BYTES: usize = MAGIC.len() + 1 + size_of::<u32>();

/// Why a value cannot be believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvelopeError {
    #[error("value of `{0}` is not one of ours")]
    Foreign(String),
    #[error("value of `{0}` has version {1}, and this build reads version {VERSION}")]
    Version(String, u8),
    #[error("value of `{0}` does not match its checksum")]
    Checksum(String),
}

/// Wraps a payload for `key`.
pub(crate) fn seal(key: &str, payload: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(HEADER_BYTES + payload.len());
    sealed.extend_from_slice(&MAGIC);
    sealed.push(VERSION);
    sealed.extend_from_slice(&checksum(key, payload).to_le_bytes());
    sealed.extend_from_slice(payload);
    sealed
}

/// The payload found under `key`.
pub(crate) fn open<'a>(key: &str, sealed: &'a [u8]) -> Result<&'a [u8], EnvelopeError> {
    let foreign = || EnvelopeError::Foreign(key.to_owned());
    let (header, payload) = sealed.split_at_checked(HEADER_BYTES).ok_or_else(foreign)?;
    let (magic, rest) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(foreign());
    }
    if rest[0] != VERSION {
        return Err(EnvelopeError::Version(key.to_owned(), rest[0]));
    }
    let written = u32::from_le_bytes([rest[1], rest[2], rest[3], rest[4]]);
    if written == checksum(key, payload) { Ok(payload) } else { Err(EnvelopeError::Checksum(key.to_owned())) }
}

fn checksum(key: &str, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(&[0]);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_and_any_other_key_are_noticed() {
        let sealed = seal("app/web", b"{}");
        assert_eq!(open("app/web", &sealed), Ok(&b"{}"[..]));
        assert_eq!(open("app/api", &sealed), Err(EnvelopeError::Checksum("app/api".to_owned())));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open("app/web", &flipped).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(open("app/web", &sealed[..length]).is_err(), "length {length}");
        }
    }
}
