//! How long things took, counted by upper limits.

use std::time::Duration;

/// The limits: from what a server in the same room needs to what is a timeout for anybody.
const LIMITS: [Duration; 13] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// How many durations were within each limit, and what they come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// For each limit those that are above the one before.
    within: [u64; LIMITS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    /// Takes in a duration.
    pub fn record(&mut self, duration: Duration) {
        let place = LIMITS.partition_point(|limit| *limit < duration);
        if let Some(within) = self.within.get_mut(place) {
            *within += 1;
        }
        self.count += 1;
        self.sum += duration;
    }

    /// Each limit, and how many durations were no longer.
    pub fn limits(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut so_far = 0;
        LIMITS.into_iter().zip(self.within).map(move |(limit, within)| {
            so_far += within;
            (limit, so_far)
        })
    }

    /// How many there were, the longest too.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_those_that_are_no_longer() {
        let mut histogram = Histogram::default();
        let durations = [0, 1_000, 1_001, 2_000, 500_000, 10_000_000, 10_000_001];
        durations.map(Duration::from_micros).iter().for_each(|duration| histogram.record(*duration));
        let up_to = |millis| {
            let found = histogram.limits().find(|(limit, _)| *limit == Duration::from_millis(millis));
            found.expect("a limit").1
        };
        assert_eq!([1, 2, 5, 200, 500, 5_000, 10_000].map(up_to), [2, 4, 4, 4, 5, 5, 6]);
        assert_eq!((histogram.count(), histogram.sum()), (7, Duration::from_micros(20_504_002)));
    }
}
