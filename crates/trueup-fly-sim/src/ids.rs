//! Names that the platform gives: all from one seed, so that a run can be made again.

use crate::time::Moment;

/// The letters of a ULID (Crockford's base 32).
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Draws identifiers.
#[derive(Debug)]
pub(crate) struct Dice {
    rng: fastrand::Rng,
    last_ulid: u128,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed), last_ulid: 0 }
    }

    /// A ULID: later ones sort behind earlier ones, also within a millisecond.
    pub(crate) fn ulid(&mut self, at: Moment) -> String {
        let drawn = (u128::from(at.millis()) << 80) | (self.rng.u128(..) >> 48);
        self.last_ulid = drawn.max(self.last_ulid + 1);
        let letter = |place: u32| char::from(CROCKFORD[((self.last_ulid >> (5 * place)) & 31) as usize]);
        (0..26).rev().map(letter).collect()
    }

    /// A machine's id: 14 hexadecimal digits.
    pub(crate) fn machine(&mut self) -> String {
        format!("{:014x}", self.rng.u64(..) >> 8)
    }

    /// A volume's id.
    pub(crate) fn volume(&mut self) -> String {
        format!("vol_{}", self.letters(16))
    }

    /// So many small letters and digits.
    pub(crate) fn letters(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| self.rng.choice(b"0123456789abcdefghijklmnopqrstuvwxyz").map_or('0', |c| char::from(*c)))
            .collect()
    }

    /// A number of a set size, for addresses.
    pub(crate) fn number(&mut self, below: u32) -> u32 {
        self.rng.u32(0..below.max(1))
    }

    /// Whether something of this likelihood, in a thousand, happens.
    pub(crate) fn happens(&mut self, permille: u16) -> bool {
        self.rng.u16(0..1_000) < permille
    }

    /// Two words and a number, as the platform names a machine that came without a name.
    pub(crate) fn name(&mut self) -> String {
        let first =
            ["autumn", "billowing", "cold", "damp", "falling", "misty", "quiet", "still", "twilight", "weathered"];
        let second = ["brook", "cloud", "dawn", "field", "forest", "glade", "leaf", "moon", "river", "wind"];
        let pick =
            |rng: &mut fastrand::Rng, words: &[&'static str]| rng.choice(words.iter()).copied().unwrap_or("calm");
        let (first, second) = (pick(&mut self.rng, &first), pick(&mut self.rng, &second));
        format!("{first}-{second}-{}", self.rng.u16(1_000..10_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulids_of_one_millisecond_keep_their_order() {
        let mut dice = Dice::new(7);
        let drawn: Vec<_> = (0..200).map(|_| dice.ulid(Moment::from_millis(1_790_000_000_000))).collect();
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(drawn.iter().all(|ulid| ulid.len() == 26));
    }
}
