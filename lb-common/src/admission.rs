//! Who may open connections to a frontend, and how fast.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::Addr;

/// The limits of a frontend. All zero: none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Limits {
    /// The most established connections at once; 0 for no limit.
    pub max_connections: u32,
    /// Which entries of the `ALLOW` map are in force for the frontend; 0 lets everybody in.
    pub allow: AllowList,
    /// How often one source may open a connection; see [`SourceRate`].
    pub source_rate: SourceRate,
}

impl Limits {
    /// Whether there is any limit at all.
    #[inline(always)]
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.max_connections == 0 && self.allow.0 == 0 && self.source_rate.interval == 0
    }
}

/// The number of an allow list, unique among those in the `ALLOW` map; 0 for none.
///
/// A list is never changed: a new one is entered beside it and takes its place by one store.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct AllowList(pub u32);

/// A prefix in an allow list: the data of a key of the `ALLOW` map, a trie of longest prefixes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct AllowKey {
    /// Which list.
    pub list: AllowList,
    /// The network.
    pub addr: Addr,
}

impl AllowKey {
    /// Bits of the key before those of the address.
    pub const LIST_BITS: u32 = u32::BITS;
}

/// Elements of the `ALLOW` map: for each frontend a list in force and the one that replaces it.
pub const ALLOW_ENTRIES: u32 = 2 * MAX_PREFIXES * crate::frontend::MAX_FRONTENDS;

/// The most prefixes in one list.
pub const MAX_PREFIXES: u32 = 256;

/// Elements of the `SOURCES` map: as many sources are told from each other at once.
pub const SOURCES: u32 = 16_384;

/// A source of connections to a frontend: a key of the `SOURCES` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Source {
    /// Its address.
    pub addr: Addr,
    /// The frontend's number.
    pub frontend: u32,
}

/// How often one source may open a connection, as the generic cell rate algorithm has it (ITU-T
/// I.371): one connection an interval on average, and so many at once as fit the tolerance.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct SourceRate {
    /// Time between two connections, in ns; 0 for no limit.
    pub interval: u64,
    /// How far connections may run ahead of that pace, in ns.
    pub tolerance: u64,
}

impl SourceRate {
    /// `count` connections in `period` nanoseconds, in any order within it.
    #[must_use]
    pub const fn new(count: u32, period: u64) -> Self {
        if count == 0 {
            return Self { interval: 0, tolerance: 0 };
        }
        let interval = period / count as u64;
        Self { interval, tolerance: period - interval }
    }

    /// When the next connection of a source is due, after one at `now` whose turn was `due`; none
    /// if it comes too early.
    #[inline(always)]
    #[must_use]
    pub const fn admit(&self, due: u64, now: u64) -> Option<u64> {
        let due = if due > now { due } else { now };
        if due - now > self.tolerance { None } else { Some(due + self.interval) }
    }
}

/// How many connections of a frontend are established: an element of the `OCCUPANCY` map.
///
/// Alone on its cache line, because every CPU changes it.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Occupancy {
    /// The number; taken as zero when it is negative, as a race may leave it for a moment.
    pub established: i64,
    /// Where the program looks next for connections that have expired without anybody's notice.
    pub hand: u64,
    /// Zero.
    pub padding: [u64; 6],
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    /// How many of the connections at these times are admitted.
    fn admitted(rate: SourceRate, times: impl IntoIterator<Item = u64>) -> usize {
        let mut due = 0;
        let mut count = 0;
        for now in times {
            if let Some(next) = rate.admit(due, now) {
                due = next;
                count += 1;
            }
        }
        count
    }

    #[test]
    fn a_burst_is_as_large_as_a_periods_count() {
        let rate = SourceRate::new(100, SECOND);
        assert_eq!(admitted(rate, (0..1000).map(|_| SECOND)), 100);
        assert_eq!(admitted(SourceRate::new(1, 60 * SECOND), (0..5).map(|_| SECOND)), 1);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let limits = Limits { source_rate: SourceRate::new(0, SECOND), ..Limits::default() };
        assert!(limits.is_none());
    }

    proptest! {
        #[test]
        fn the_pace_is_kept_in_the_long_run(count in 1u32..1000, gaps in prop::collection::vec(0u64..50_000_000, 1..500)) {
            let rate = SourceRate::new(count, SECOND);
            let mut now = SECOND;
            let times: std::vec::Vec<u64> = gaps.iter().map(|gap| { now += gap; now }).collect();
            let span = times[times.len() - 1] - times[0];
            let most = span / rate.interval + u64::from(count) + 1;
            prop_assert!(admitted(rate, times) as u64 <= most);
        }

        #[test]
        fn who_keeps_the_pace_is_always_admitted(count in 1u32..1000, connections in 1usize..500) {
            let rate = SourceRate::new(count, SECOND);
            let times = (0..connections as u64).map(|n| SECOND + n * rate.interval);
            prop_assert_eq!(admitted(rate, times), connections);
        }
    }
}
