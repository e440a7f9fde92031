//! The monotonic clock, as numbers that can be stored and compared between processes.

use std::time::{Duration, Instant, SystemTime};

use lb_common::time::Jiffy;
use nix::time::{ClockId, clock_getres, clock_gettime};

/// Now, since an arbitrary point that is the same for all processes until the next boot: the clock
/// that the data plane stamps its connections with.
#[must_use]
pub fn monotonic() -> Duration {
    // The clock exists on every Linux, so there is nothing to go wrong.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// How long a jiffy of this kernel is: the coarse clocks advance with it, and say so.
#[must_use]
pub fn jiffy() -> Jiffy {
    /// What Debian and Raspberry Pi OS configure.
    const USUAL: Duration = Duration::from_millis(4);
    Jiffy(clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_or(USUAL, Duration::from))
}

/// How much processor time this process has used.
#[must_use]
pub fn used_by_process() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// A moment of this process, past or to come, in milliseconds of that clock.
#[must_use]
pub fn millis(at: Instant) -> u64 {
    let ahead = at.saturating_duration_since(Instant::now());
    (monotonic() + ahead).saturating_sub(at.elapsed()).as_millis() as u64
}

/// How long it is until then; nothing if it has passed.
#[must_use]
pub fn until_millis(millis: u64) -> Duration {
    Duration::from_millis(millis).saturating_sub(monotonic())
}

/// The moment of this process that so many milliseconds of that clock mean; now, if it lies ahead.
#[must_use]
pub fn instant(millis: u64) -> Instant {
    let now = Instant::now();
    now.checked_sub(since_millis(millis)).unwrap_or(now)
}

/// How long ago that was.
#[must_use]
pub fn since_millis(millis: u64) -> Duration {
    monotonic().saturating_sub(Duration::from_millis(millis))
}

/// A moment of the calendar in seconds since 1970; 0 for all before.
#[must_use]
pub fn unix_seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The moment so many seconds after the beginning of 1970.
#[must_use]
pub fn from_unix_seconds(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_to_come_are_told_like_those_that_have_passed() {
        const HOUR: Duration = Duration::from_secs(3600);
        const NEARLY: Duration = Duration::from_secs(3540);
        let deadline = millis(Instant::now() + HOUR);
        assert!((NEARLY..=HOUR).contains(&until_millis(deadline)));
        assert_eq!(until_millis(millis(Instant::now())), Duration::ZERO);
        assert_eq!(since_millis(deadline), Duration::ZERO);
    }
}
