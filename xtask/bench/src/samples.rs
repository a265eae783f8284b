//! Many measurements of one thing.

/// Measurements, sorted.
#[derive(Debug, Clone)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Sorts them.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The smallest value that at least `percent` of 100 do not exceed.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }

    /// The one in the middle.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The largest.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.percentile(100)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values_of_the_nearest_rank() {
        let hundred = Samples::of((1..=100).rev().map(f64::from).collect());
        assert_eq!([hundred.median(), hundred.percentile(99), hundred.max()], [50.0, 99.0, 100.0]);
        let three = Samples::of(vec![3.0, 1.0, 2.0]);
        assert_eq!([three.median(), three.percentile(99)], [2.0, 3.0]);
        assert_eq!(Samples::of(vec![7.0]).percentile(1), 7.0);
    }
}
