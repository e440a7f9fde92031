//! Frontends as the packet path sees them, and the table that finds them by port.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::{Addr, Port};
use crate::time::Ticks;

/// How many frontends a data plane can have.
pub const MAX_FRONTENDS: u32 = 16;

/// An entry of the `FRONTENDS` map, by frontend number.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Frontend {
    /// The address that clients connect to.
    pub addr: Addr,
    /// The port that clients connect to.
    pub port: Port,
    /// Zero.
    pub padding: u16,
    /// Which ring is in force; the agent switches rings by storing this one word.
    pub ring: RingRef,
    /// How long its half-open and established connections live without a packet.
    pub timeouts: Timeouts,
    /// Zero.
    pub reserved: [u32; 3],
}

/// How long a connection lives without a plausible packet, by its state.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Timeouts {
    /// Half-open: `timeout connect`.
    pub connect: Ticks,
    /// Established, also after one FIN: `timeout client` and `timeout server`.
    pub idle: Ticks,
}

/// Which of a frontend's two rings is in force, and how many of its entries count.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RingRef(u32);

impl RingRef {
    /// The first `len` entries of buffer 0 or 1.
    #[must_use]
    pub const fn new(buffer: u32, len: u32) -> Self {
        Self((buffer & 1) << 31 | (len & 0x7fff_ffff))
    }

    /// 0 or 1.
    #[inline(always)]
    #[must_use]
    pub const fn buffer(self) -> u32 {
        self.0 >> 31
    }

    /// How many entries count; none when no server is usable.
    #[inline(always)]
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0 & 0x7fff_ffff
    }

    /// Whether no server is usable.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What a destination port means to the balancer: an entry of the `PORTS` map.
///
/// The map has one entry for each of the 65,536 ports, so that one array lookup ends the host's
/// own traffic.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct PortEntry(u32);

/// A decoded [`PortEntry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortUse {
    /// Nothing of ours.
    None,
    /// So many frontends, on different addresses, numbered in a row from the first.
    Frontends {
        /// The lowest number.
        first: u32,
        /// How many there are.
        count: u32,
    },
    /// A NAT port.
    Nat,
}

impl PortEntry {
    const NAT: u32 = 1 << 31;

    /// The entry of a NAT port.
    #[must_use]
    pub const fn nat() -> Self {
        Self(Self::NAT)
    }

    /// The entry of a port that `count` frontends share, numbered from `first`.
    #[must_use]
    pub const fn frontends(first: u32, count: u32) -> Self {
        Self((first & 0xff) << 8 | (count & 0xff))
    }

    /// What the port is used for.
    #[inline(always)]
    #[must_use]
    pub const fn port_use(self) -> PortUse {
        if self.0 == 0 {
            PortUse::None
        } else if self.0 & Self::NAT != 0 {
            PortUse::Nat
        } else {
            PortUse::Frontends { first: self.0 >> 8 & 0xff, count: self.0 & 0xff }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_round_trip() {
        assert_eq!(PortEntry::default().port_use(), PortUse::None);
        assert_eq!(PortEntry::nat().port_use(), PortUse::Nat);
        assert_eq!(PortEntry::frontends(15, 1).port_use(), PortUse::Frontends { first: 15, count: 1 });
        assert_eq!(PortEntry::frontends(0, 16).port_use(), PortUse::Frontends { first: 0, count: 16 });
    }

    #[test]
    fn ring_refs_round_trip() {
        let ring = RingRef::new(1, 4096);
        assert_eq!((ring.buffer(), ring.len()), (1, 4096));
        assert!(RingRef::new(0, 0).is_empty());
    }
}
