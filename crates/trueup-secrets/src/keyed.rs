//! Digests that nobody can try values against who lacks the key: HMAC-SHA256 (RFC 2104).

use sha2::{Digest as _, Sha256};

/// Bytes of a key, as many as of what comes of it.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes that SHA-256 takes at a time.
const BLOCK_BYTES: usize = 64;

/// The key of a vault.
#[derive(Clone)]
pub(crate) struct Key(pub [u8; KEY_BYTES]);

impl Key {
    /// The keyed digest of a message, as hexadecimal digits.
    pub(crate) fn digest(&self, message: &[u8]) -> String {
        let pad = |with: u8| {
            let mut block = [with; BLOCK_BYTES];
            block.iter_mut().zip(self.0).for_each(|(byte, key)| *byte ^= key);
            block
        };
        let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
        let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
        outer.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        // RFC 4231, test case 1 and 2; a key shorter than a block is filled up with zeros.
        let key = |bytes: &[u8]| {
            let mut key = [0; KEY_BYTES];
            key[..bytes.len()].copy_from_slice(bytes);
            Key(key)
        };
        let one = key(&[0x0b; 20]).digest(b"Hi There");
        assert_eq!(one, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        let two = key(b"Jefe").digest(b"what do ya want for nothing?");
        assert_eq!(two, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
