//! How much of its time the agent has nothing to do.

use std::time::Duration;

/// A share is that of a second, however often somebody looks.
const SPAN: Duration = Duration::from_secs(1);

/// What was seen of the processor time that the process uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idle {
    /// When it was last looked, and how much had been used by then.
    last: Option<(Duration, Duration)>,
    busy_percent: u32,
}

impl Idle {
    /// Takes in that by `now`, a time of `CLOCK_MONOTONIC`, so much processor time was used.
    pub fn look(&mut self, now: Duration, used: Duration) {
        let Some((at, before)) = self.last else {
            self.last = Some((now, used));
            return;
        };
        let elapsed = now.saturating_sub(at);
        if elapsed < SPAN {
            return;
        }
        let percent = used.saturating_sub(before).as_micros() * 100 / elapsed.as_micros();
        self.busy_percent = percent.min(100) as u32;
        self.last = Some((now, used));
    }

    /// Percent of the last second; all of it before it is known.
    #[must_use]
    pub const fn percent(&self) -> u32 {
        100 - self.busy_percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_that_of_the_last_second() {
        let mut idle = Idle::default();
        let mut look = |now, used| {
            idle.look(Duration::from_millis(now), Duration::from_millis(used));
            idle.percent()
        };
        assert_eq!(look(5_000, 700), 100);
        assert_eq!(look(5_500, 1_200), 100);
        assert_eq!(look(7_000, 1_200), 75);
        assert_eq!(look(8_000, 1_200), 100);
        // Two threads may use more than a processor has.
        assert_eq!(look(9_000, 3_200), 0);
    }
}
