//! Frontends as the packet path sees them, and how it finds them by port.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute_ref};

use crate::admission::Limits;
use crate::net::{Addr, Port};
use crate::server::Servers;
use crate::tcp::State;
use crate::time::Ticks;

/// How many frontends a data plane can have.
pub const MAX_FRONTENDS: u32 = 16;

/// A frontend, in one cache line.
#[repr(C, align(64))]
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
    /// Not zero when it takes no new connections any more: their SYNs pass to the host.
    pub draining: u16,
    /// Who may open connections, and how many.
    pub limits: Limits,
    /// The servers in the ring.
    pub usable: Servers,
}

const _: () = assert!(size_of::<Frontend>() == 64);

/// How long a connection lives without a plausible packet, by its state.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Timeouts {
    /// Half-open: `timeout connect`.
    pub connect: Ticks,
    /// Established, also after one FIN: `timeout client` and `timeout server`.
    pub idle: Ticks,
    /// After both FINs: as the peers' TIME_WAIT. Also after the server was given up, which may have
    /// been in TIME_WAIT and begins it anew when it refuses a SYN.
    pub time_wait: Ticks,
    /// After a RST: for what is still under way.
    pub closed: Ticks,
}

impl Timeouts {
    /// How long a connection in `state` lives.
    ///
    /// Without branches: the program asks this for every slot that a new connection tries, and the
    /// verifier follows each branch of each slot by itself.
    #[inline(always)]
    #[must_use]
    pub fn of(&self, state: State) -> Ticks {
        /// By state, two bits each: which of the fields.
        const FIELDS: u32 = field(State::SynSent, 0)
            | field(State::SynReceived, 0)
            | field(State::Established, 1)
            | field(State::TimeWait, 2)
            | field(State::Left, 2)
            | field(State::Abandoned, 2)
            | field(State::Reset, 2)
            | field(State::Closed, 3);
        const fn field(state: State, number: u32) -> u32 {
            number << (state as u32 * 2)
        }
        let fields: &[Ticks; 4] = transmute_ref!(self);
        fields[(FIELDS >> (state as u32 * 2) & 3) as usize]
    }
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
