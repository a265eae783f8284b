//! Sums up what the store must hold: which keys, with which content, after which commit.
//!
//! Each commit carries the sum as the root record, in the same transaction. The sum is the XOR of one digest for each
//! key and its payload, so that a commit costs what it changes and not what there is. Events are not part of it: they
//! may be lost.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Enough of a SHA-256 that two contents never share it by chance.
type KeyDigest = [u8; 16];

/// What a transaction leaves behind of all keys together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Root {
    /// Made by chance when a store is begun: two stores never share one.
    pub identity: String,
    /// Counts the commits of this store.
    pub sequence: u64,
    /// How many keys it holds, events and the root itself not counted.
    pub count: usize,
    /// The XOR of the digests, in hexadecimal.
    pub hash: String,
    /// Why the store was begun anew, until every target has been seen since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<String>,
}

/// Whether a put changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Changed,
    Unchanged,
}

/// The digests of all keys, and their sum.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    digests: BTreeMap<String, KeyDigest>,
    sum: KeyDigest,
}

impl Ledger {
    /// Notes the payload of a key.
    pub(crate) fn put(&mut self, key: &str, payload: &[u8]) -> Put {
        let digest = digest(key, payload);
        match self.digests.get_mut(key) {
            Some(known) if *known == digest => return Put::Unchanged,
            Some(known) => {
                xor(&mut self.sum, known);
                *known = digest;
            }
            None => {
                self.digests.insert(key.to_owned(), digest);
            }
        }
        xor(&mut self.sum, &digest);
        Put::Changed
    }

    /// Notes that a key is gone.
    pub(crate) fn remove(&mut self, key: &str) -> Put {
        let Some(known) = self.digests.remove(key) else { return Put::Unchanged };
        xor(&mut self.sum, &known);
        Put::Changed
    }

    /// Whether there are no keys.
    pub(crate) fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// The root record of commit `sequence`.
    pub(crate) fn root(&self, identity: &str, sequence: u64, rebuilt: Option<String>) -> Root {
        let hash = self.sum.iter().map(|byte| format!("{byte:02x}")).collect();
        Root { identity: identity.to_owned(), sequence, count: self.digests.len(), hash, rebuilt }
    }
}

/// A name for a store that is begun, never given twice.
pub(crate) fn new_identity() -> String {
    // The standard library seeds each of these from the system's source of chance.
    format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}

fn digest(key: &str, payload: &[u8]) -> KeyDigest {
    let mut hasher = Sha256::new();
    hasher.update(key.as_bytes());
    hasher.update([0]);
    hasher.update(payload);
    let whole = hasher.finalize();
    let mut short = KeyDigest::default();
    short.copy_from_slice(&whole[..16]);
    short
}

fn xor(sum: &mut KeyDigest, with: &KeyDigest) {
    for (byte, other) in sum.iter_mut().zip(with) {
        *byte ^= other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_depends_on_the_content_and_not_on_the_way_to_it() {
        let mut there = Ledger::default();
        assert_eq!(there.put("app/a", b"1"), Put::Changed);
        assert_eq!(there.put("app/a", b"1"), Put::Unchanged);
        assert_eq!(there.put("app/b", b"2"), Put::Changed);
        let mut round = Ledger::default();
        round.put("app/b", b"0");
        round.put("app/c", b"3");
        round.put("app/b", b"2");
        round.put("app/a", b"1");
        assert_eq!(round.remove("app/c"), Put::Changed);
        assert_eq!(round.remove("app/c"), Put::Unchanged);
        assert_eq!(there.root("x", 1, None), round.root("x", 1, None));
        round.put("app/a", b"2");
        round.put("app/b", b"1");
        assert_ne!(there.root("x", 1, None), round.root("x", 1, None));
    }
}
