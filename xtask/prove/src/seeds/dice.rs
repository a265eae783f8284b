//! Chance: a random stream for each thing, named by the seed and the thing, so that one more draw of one shifts no other.

use std::time::Duration;

use fastrand::Rng;

/// The stream of a thing.
pub fn stream(seed: u64, thing: &str) -> Rng {
    // FNV-1a.
    let mixed = thing.bytes().fold(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Rng::with_seed(mixed)
}

/// Whether one of so many times.
pub fn one_in(dice: &mut Rng, times: u32) -> bool {
    dice.u32(0..times) == 0
}

/// One of these.
pub fn pick<T: Clone>(dice: &mut Rng, of: &[T]) -> T {
    of[dice.usize(0..of.len())].clone()
}

/// A moment before `end`, to the millisecond.
pub fn moment(dice: &mut Rng, end: Duration) -> Duration {
    let millis = u64::try_from(end.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(dice.u64(0..millis))
}

/// A wait between the two, more often short than long.
pub fn wait(dice: &mut Rng, least: Duration, most: Duration) -> Duration {
    let (least, most) = (least.as_millis().max(1) as f64, most.as_millis().max(1) as f64);
    let millis = least * (most / least).powf(dice.f64());
    Duration::from_millis(millis as u64)
}
