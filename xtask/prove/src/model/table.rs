//! The states that were met: a fingerprint each, whether it was gone on from, and how far it is from rest.
//!
//! Nine bytes a slot, half to three quarters of the slots in use: fifty million states fit into a gigabyte. Two states
//! with the same fingerprint would be taken for one; of 63 bits, among ten million states, that has a chance of one in
//! two hundred thousand.

/// Slots at the beginning.
const SLOTS_MIN: usize = 1 << 12;
/// Marks a fingerprint that was gone on from.
const VISITED: u64 = 1 << 63;

/// How far a state is from rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// Nobody has asked yet.
    Unknown,
    /// Somebody is on the way from it.
    Asked,
    /// So many deeds.
    Known(u8),
}

/// A set of fingerprints.
#[derive(Debug)]
pub struct Table {
    /// 0 is an empty slot.
    keys: Vec<u64>,
    /// 0 is unknown, 1 asked, from 2 on known.
    distances: Vec<u8>,
    used: usize,
}

impl Table {
    /// An empty set.
    pub fn new() -> Self {
        Self { keys: vec![0; SLOTS_MIN], distances: vec![0; SLOTS_MIN], used: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.used
    }

    fn slot(&self, key: u64) -> usize {
        let mask = self.keys.len() - 1;
        let mut slot = usize::try_from(key).expect("64 bits") & mask;
        while self.keys[slot] != 0 && self.keys[slot] & !VISITED != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn enter(&mut self, key: u64) -> usize {
        if (self.used + 1) * 4 > self.keys.len() * 3 {
            self.grow();
        }
        let slot = self.slot(key);
        if self.keys[slot] == 0 {
            self.keys[slot] = key;
            self.used += 1;
        }
        slot
    }

    fn grow(&mut self) {
        let slots = self.keys.len() * 2;
        let keys = std::mem::replace(&mut self.keys, vec![0; slots]);
        let distances = std::mem::replace(&mut self.distances, vec![0; slots]);
        for (key, distance) in keys.into_iter().zip(distances).filter(|(key, _)| *key != 0) {
            let slot = self.slot(key & !VISITED);
            self.keys[slot] = key;
            self.distances[slot] = distance;
        }
    }

    /// Marks a state as gone on from; answers whether it had not been.
    pub fn visit(&mut self, key: u64) -> bool {
        let slot = self.enter(key);
        let first = self.keys[slot] & VISITED == 0;
        self.keys[slot] |= VISITED;
        first
    }

    /// How far a state is from rest.
    pub fn distance(&self, key: u64) -> Distance {
        match self.distances[self.slot(key)] {
            0 => Distance::Unknown,
            1 => Distance::Asked,
            known => Distance::Known(known - 2),
        }
    }

    /// Keeps how far a state is from rest.
    pub fn keep(&mut self, key: u64, distance: Distance) {
        let slot = self.enter(key);
        self.distances[slot] = match distance {
            Distance::Unknown => 0,
            Distance::Asked => 1,
            Distance::Known(known) => known.saturating_add(2),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_new_once_and_keeps_its_distance_while_the_table_grows() {
        let mut table = Table::new();
        let key = |number: u64| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1).max(1);
        for number in 1..20_000 {
            assert_eq!(table.distance(key(number)), Distance::Unknown);
            assert!(table.visit(key(number)), "{number} is new");
            table.keep(key(number), Distance::Known(u8::try_from(number % 200).expect("small")));
        }
        for number in 1..20_000 {
            assert!(!table.visit(key(number)), "{number} is not new");
            assert_eq!(table.distance(key(number)), Distance::Known(u8::try_from(number % 200).expect("small")));
        }
        assert_eq!(table.len(), 19_999);
    }
}
