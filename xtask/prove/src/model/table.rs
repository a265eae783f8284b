//! The states that were met: a fingerprint each, and how far it is from rest.
//!
//! Nine bytes a slot, half to three quarters of the slots in use: fifty million states fit into a gigabyte. Two states
//! with the same fingerprint would be taken for one. Of `n` states in one table that has a chance of about `n² / 2⁶⁵`: one
//! in three hundred thousand among ten million, and one in four hundred million among the three hundred thousand that a
//! world has at most at the long scale; over all worlds of it together less than one in a million.

/// Slots at the beginning.
const SLOTS_MIN: usize = 1 << 12;

/// How far a state is from rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// It was never met.
    Unmet,
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
    /// 1 is asked, from 2 on known.
    distances: Vec<u8>,
    used: usize,
}

impl Table {
    /// An empty set.
    pub fn small() -> Self {
        Self { keys: vec![0; SLOTS_MIN], distances: vec![0; SLOTS_MIN], used: 0 }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.used
    }

    fn slot(&self, key: u64) -> usize {
        let mask = self.keys.len() - 1;
        let mut slot = usize::try_from(key).expect("64 bits") & mask;
        while self.keys[slot] != 0 && self.keys[slot] != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let slots = self.keys.len() * 2;
        let keys = std::mem::replace(&mut self.keys, vec![0; slots]);
        let distances = std::mem::replace(&mut self.distances, vec![0; slots]);
        for (key, distance) in keys.into_iter().zip(distances).filter(|(key, _)| *key != 0) {
            let slot = self.slot(key);
            self.keys[slot] = key;
            self.distances[slot] = distance;
        }
    }

    /// How far a state is from rest.
    pub fn distance(&self, key: u64) -> Distance {
        let slot = self.slot(key);
        match self.distances[slot] {
            0 => Distance::Unmet,
            1 => Distance::Asked,
            known => Distance::Known(known - 2),
        }
    }

    /// Keeps how far a state is from rest; one that was not met before is met now.
    pub fn keep(&mut self, key: u64, distance: Distance) {
        if (self.used + 1) * 4 > self.keys.len() * 3 {
            self.grow();
        }
        let slot = self.slot(key);
        self.used += usize::from(self.keys[slot] == 0);
        self.keys[slot] = key;
        self.distances[slot] = match distance {
            Distance::Unmet | Distance::Asked => 1,
            Distance::Known(known) => known.saturating_add(2),
        };
    }
}
