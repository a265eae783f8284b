//! Chance: one random stream for each thing, so that one more draw of one shifts no other.
//!
//! A stream is named by the daemon's seed and the thing's own name: with the same seed the same daemon draws the same.

/// The random stream of a thing.
#[must_use]
pub(crate) fn stream(seed: u64, name: &str) -> fastrand::Rng {
    // FNV-1a: names that differ give streams that do.
    let mixed = name
        .bytes()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    fastrand::Rng::with_seed(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_its_name_and_on_the_seed_alone() {
        let drawn = |seed, name: &str| stream(seed, name).u64(..);
        assert_eq!(drawn(7, "web"), drawn(7, "web"));
        assert_ne!(drawn(7, "web"), drawn(7, "api"));
        assert_ne!(drawn(7, "web"), drawn(8, "web"));
    }
}
