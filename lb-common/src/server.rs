//! Servers as the packet path sees them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::{Addr, MacWord, Port};

/// How many servers a data plane can have at most; the maps are sized for the configured number.
pub const MAX_SERVERS: u32 = 64;

/// A server.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Server {
    /// Where it listens.
    pub addr: Addr,
    /// The number of its first slot; the others follow as [`Settings::slot_of`] says.
    ///
    /// [`Settings::slot_of`]: crate::settings::Settings::slot_of
    pub first_slot: u32,
    /// The MAC address of its next hop, zero while unknown; changed by one store.
    pub next_hop: MacWord,
    /// Where it listens.
    pub port: Port,
    /// Zero.
    pub padding: [u16; 3],
}

const _: () = assert!(size_of::<Server>() == 24);

/// A position that new connections advance: in a frontend's ring, or among a server's slots.
///
/// Alone on its cache line, because every CPU writes it.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Cursor {
    /// Counts up from a random start and does not wrap within a lifetime.
    pub position: u64,
    /// Zero.
    pub padding: [u64; 7],
}

/// A set of servers: a bit for each number.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Servers(u64);

const _: () = assert!(MAX_SERVERS <= u64::BITS);

impl Servers {
    /// No server.
    pub const NONE: Self = Self(0);

    /// These and one more.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, server: u16) -> Self {
        Self(self.0 | 1 << (server as u32 % u64::BITS))
    }

    /// Those that are not among `others`.
    #[inline(always)]
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether there are none.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    #[inline(always)]
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The lowest number among them.
    #[inline(always)]
    #[must_use]
    pub const fn first(self) -> Option<u16> {
        if self.0 == 0 { None } else { Some(self.0.trailing_zeros() as u16) }
    }

    /// Whether a server is among them.
    #[inline(always)]
    #[must_use]
    pub const fn contains(self, server: u16) -> bool {
        self.0 >> (server as u32 % u64::BITS) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_servers_has_those_that_were_added() {
        let set = Servers::NONE.and(0).and(63).and(7);
        let members: std::vec::Vec<u16> = (0..64).filter(|server| set.contains(*server)).collect();
        assert_eq!(members, [0, 7, 63]);
        assert_eq!((set.first(), set.len()), (Some(0), 3));
        assert_eq!(set.without(Servers::NONE.and(0)).first(), Some(7));
        assert_eq!(set.without(set).first(), None);
    }
}
