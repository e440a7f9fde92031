//! The average of what was last.

use std::time::Duration;

/// So many values count, as with HAProxy (`TIME_STATS_SAMPLES`). Of a value that lasts, twice as many of it
/// make most of the average: those are the 1,024 that HAProxy's documentation speaks of.
const WINDOW: u32 = 512;

/// The average of the durations of up to 512 events, and the longest of all. Of more, each new one takes the
/// place of a share of all before, so that none need be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Average {
    counted: u32,
    millis: f64,
    longest: Duration,
}

impl Average {
    /// Takes in an event's duration.
    pub fn record(&mut self, duration: Duration) {
        self.counted = (self.counted + 1).min(WINDOW);
        let millis = duration.as_secs_f64() * 1_000.0;
        self.millis += (millis - self.millis) / f64::from(self.counted);
        self.longest = self.longest.max(duration);
    }

    /// The average in whole milliseconds; 0 before the first event.
    #[must_use]
    #[expect(clippy::cast_sign_loss, reason = "durations are never negative, and so is no average of them")]
    pub fn millis(&self) -> u32 {
        self.millis.round() as u32
    }

    /// The longest in whole milliseconds.
    #[must_use]
    pub fn longest_millis(&self) -> u64 {
        self.longest.as_millis() as u64
    }

    /// Lets the longest begin anew.
    pub const fn forget_longest(&mut self) {
        self.longest = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> Average {
        let mut average = Average::default();
        millis.into_iter().for_each(|millis| average.record(Duration::from_millis(millis)));
        average
    }

    #[test]
    fn few_values_count_alike() {
        assert_eq!(of([]).millis(), 0);
        let average = of([0, 0, 1_000]);
        assert_eq!((average.millis(), average.longest_millis()), (333, 1_000));
    }

    #[test]
    fn of_many_the_last_count_most() {
        // A hundred thousand would otherwise hide the thousand behind them.
        let after = |last| of((0..100_000).map(|_| 0).chain((0..last).map(|_| 100))).millis();
        // Once the window, and twice: 1 - 1/e and 1 - 1/e².
        assert_eq!([after(512), after(1_024)], [63, 86]);
    }

    #[test]
    fn the_longest_begins_anew_and_the_average_stays() {
        let mut average = of([10, 20]);
        average.forget_longest();
        assert_eq!((average.millis(), average.longest_millis()), (15, 0));
    }
}
