//! Frontends as the packet path sees them, and how it finds them by port.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::{Addr, Port};
use crate::time::Ticks;

/// How many frontends a data plane can have.
pub const MAX_FRONTENDS: u32 = 16;

/// A frontend.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Frontend {
    /// The address that clients connect to.
    pub addr: Addr,
    /// The port that clients connect to.
    pub port: Port,
    /// Its own number.
    pub number: u16,
    /// Which ring is in force; the agent switches rings by storing this one word.
    pub ring: RingRef,
    /// How long its half-open and established connections live without a packet.
    pub timeouts: Timeouts,
    /// Another frontend on the same port, at another address.
    pub next: Link,
    /// Zero.
    pub padding: u16,
}

/// How long a connection lives without a plausible packet, by its state.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Timeouts {
    /// Half-open: `timeout connect`.
    pub connect: Ticks,
    /// Established, also after one FIN: `timeout client` and `timeout server`.
    pub idle: Ticks,
    /// After both FINs: as the peers' TIME_WAIT.
    pub time_wait: Ticks,
    /// After a RST: for what is still under way.
    pub closed: Ticks,
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

/// What a destination port means to the balancer: one byte for each of the 65,536 ports.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct PortEntry(u8);

impl PortEntry {
    /// Nothing of ours.
    pub const NONE: Self = Self(0);

    /// A NAT port.
    pub const NAT: Self = Self(u8::MAX);

    /// The port of a frontend, and of those that it links to.
    #[must_use]
    pub const fn frontend(link: Link) -> Self {
        Self(link.0 as u8)
    }

    /// The first frontend on this port.
    #[inline(always)]
    #[must_use]
    pub const fn first(self) -> Link {
        Link(self.0 as u16)
    }
}

/// The number of a frontend that may not be there.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Link(u16);

impl Link {
    /// No frontend.
    pub const NONE: Self = Self(0);

    /// A frontend.
    #[must_use]
    pub const fn to(number: u16) -> Self {
        Self(number + 1)
    }

    /// The frontend's number, if there is one.
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> Option<u16> {
        self.0.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_links_round_trip() {
        assert_eq!(PortEntry::NONE.first().number(), None);
        assert_eq!(PortEntry::frontend(Link::NONE), PortEntry::NONE);
        for number in 0..MAX_FRONTENDS as u16 {
            let entry = PortEntry::frontend(Link::to(number));
            assert_eq!(entry.first().number(), Some(number));
            assert_ne!(entry, PortEntry::NAT);
        }
    }

    #[test]
    fn ring_refs_round_trip() {
        let ring = RingRef::new(1, 4096);
        assert_eq!((ring.buffer(), ring.len()), (1, 4096));
        assert!(RingRef::new(0, 0).is_empty());
    }
}
