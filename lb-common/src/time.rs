//! Coarse time for expiry.
//!
//! The kernel's jiffies: `bpf_jiffies64` is not even a call (the verifier turns it into a load, on
//! 64-bit kernels since 5.6), where the cheapest of the clocks costs as much as the rest of finding
//! a connection. How long a jiffy is, the kernel does not tell the program, but the agent.

use core::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A point in time, in units of 32 jiffies since boot: 128 ms where a second has 250 jiffies.
///
/// Even at 1,000 jiffies a second, thirty-two bits of this unit wrap after four years of uptime;
/// differences are taken modulo 2³², so only an interval of two years is ambiguous. Milliseconds
/// would wrap in 49 days.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Tick(pub u32);

/// A span of time in the unit of [`Tick`].
#[repr(transparent)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Ticks(pub u32);

/// log2 of the jiffies in a tick.
const SHIFT: u32 = 5;

impl Tick {
    /// The tick of a time in jiffies.
    #[inline(always)]
    #[must_use]
    pub const fn from_jiffies(jiffies: u64) -> Self {
        Self((jiffies >> SHIFT) as u32)
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

/// How long a jiffy is on this kernel: `1/CONFIG_HZ` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jiffy(pub Duration);

impl Jiffy {
    const fn tick_nanos(self) -> u128 {
        self.0.as_nanos() << SHIFT
    }

    /// A duration, rounded up to whole ticks; one that is too long for any timeout counts as the
    /// longest there is.
    #[must_use]
    pub const fn ticks(self, duration: Duration) -> Ticks {
        let ticks = duration.as_nanos().div_ceil(self.tick_nanos());
        let longest = (u32::MAX / 2) as u128;
        Ticks(if ticks > longest { longest as u32 } else { ticks as u32 })
    }

    /// The duration of so many ticks.
    #[must_use]
    pub const fn duration(self, ticks: Ticks) -> Duration {
        Duration::from_nanos((ticks.0 as u128 * self.tick_nanos()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JIFFY: Jiffy = Jiffy(Duration::from_millis(4));

    #[test]
    fn ages_survive_the_wrap() {
        assert_eq!(Tick(u32::MAX).age(Tick(4)), Ticks(5));
        assert_eq!(Tick(5).age(Tick(4)), Ticks(0));
    }

    #[test]
    fn durations_round_up() {
        assert_eq!(JIFFY.ticks(Duration::from_nanos(1)), Ticks(1));
        assert_eq!(JIFFY.ticks(Duration::ZERO), Ticks(0));
        assert_eq!(JIFFY.ticks(Duration::from_millis(129)), Ticks(2));
        assert!(JIFFY.duration(JIFFY.ticks(Duration::from_secs(86_400))) >= Duration::from_secs(86_400));
        assert_eq!(JIFFY.ticks(Duration::MAX), Ticks(u32::MAX / 2));
    }
}
