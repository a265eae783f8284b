//! Any bytes as the entries of a store: memory or a clean error, and memory is written and read again.
//!
//! An input is a list of entries, a line each: `key payload` is sealed as the store would seal it, so that the bytes get
//! past the checksum; `!key bytes` is taken as it is.

use trueup_store::spelling;

/// Reads the bytes as entries.
pub fn target(data: &[u8]) {
    let entries: Vec<(Vec<u8>, Vec<u8>)> =
        data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(entry).collect();
    let Ok(memory) = spelling::memory_of(&entries) else { return };
    let written = spelling::entries_of(&memory);
    let again = spelling::memory_of(&written).expect("what we write we read");
    assert_eq!(again.apps, memory.apps, "the records are others when they are read again");
    assert_eq!(again.daemon, memory.daemon, "the daemon's record is another when it is read again");
    assert_eq!(again.rebuilt, memory.rebuilt, "why it was begun anew is another when it is read again");
    assert_eq!(spelling::entries_of(&again), written, "there is one spelling");
    let of_ours = |(key, _): &&(Vec<u8>, Vec<u8>)| !key.starts_with(b"event/") && key != b"root";
    let keys: std::collections::BTreeSet<_> = entries.iter().filter(of_ours).map(|(key, _)| key).collect();
    let again: std::collections::BTreeSet<_> = written.iter().filter(of_ours).map(|(key, _)| key).collect();
    assert!(keys.is_subset(&again), "what lies under a key is written under another: {keys:?} {again:?}");
}

fn entry(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let (key, value) = (&line[..space], line.get(space + 1..).unwrap_or_default());
    match key.strip_prefix(b"!") {
        Some(key) => (key.to_vec(), value.to_vec()),
        None => (key.to_vec(), spelling::seal(&String::from_utf8_lossy(key), value)),
    }
}
