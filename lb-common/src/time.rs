//! Coarse time for expiry.

use core::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A point in time, in units of 2²⁶ ns (67 ms) since boot (`CLOCK_MONOTONIC`).
///
/// Thirty-two bits of this unit wrap after nine years of uptime; differences are taken modulo 2³²,
/// so only an interval of four and a half years is ambiguous. Milliseconds would wrap in 49 days.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Tick(pub u32);

/// A span of time in the unit of [`Tick`].
#[repr(transparent)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Ticks(pub u32);

/// log2 of the nanoseconds in a tick.
const SHIFT: u32 = 26;

impl Tick {
    /// The tick of a monotonic time in nanoseconds.
    #[inline(always)]
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self((nanos >> SHIFT) as u32)
    }

    /// How long before `now` this tick was. A tick that another CPU wrote a moment "later" than
    /// `now` counts as zero.
    #[inline(always)]
    #[must_use]
    pub const fn age(self, now: Self) -> Ticks {
        let age = now.0.wrapping_sub(self.0);
        if age > u32::MAX / 2 { Ticks(0) } else { Ticks(age) }
    }
}

impl Ticks {
    /// A duration, rounded up to whole ticks; longer ones than four years count as four years.
    #[must_use]
    pub const fn from_duration(duration: Duration) -> Self {
        let ticks = duration.as_nanos().div_ceil(1 << SHIFT);
        let longest = (u32::MAX / 2) as u128;
        Self(if ticks > longest { longest as u32 } else { ticks as u32 })
    }

    /// The duration of so many ticks.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_nanos((self.0 as u64) << SHIFT)
    }

    /// A constant number of seconds, rounded up.
    pub(crate) const fn from_secs(secs: u64) -> Self {
        Self::from_duration(Duration::from_secs(secs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_survive_the_wrap() {
        assert_eq!(Tick(u32::MAX).age(Tick(4)), Ticks(5));
        assert_eq!(Tick(5).age(Tick(4)), Ticks(0));
    }

    #[test]
    fn durations_round_up() {
        assert_eq!(Ticks::from_duration(Duration::from_nanos(1)), Ticks(1));
        assert_eq!(Ticks::from_duration(Duration::ZERO), Ticks(0));
        assert!(Ticks::from_secs(86_400).duration() >= Duration::from_secs(86_400));
        assert!(Ticks::from_duration(Duration::MAX) == Ticks(u32::MAX / 2));
    }
}
