//! Copies of clients' SYNs, so that a connection that one server refuses can be offered to the next
//! without waiting for the client to send its SYN again.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::server::Servers;

/// Elements of the `SYNS_SENT` map, a power of two. A copy is needed for one round trip, so a few
/// thousand handshakes under way at once have theirs; a SYN without a copy has to come again.
pub const SYNS: u32 = 4096;

/// The longest that TCP's options can be, in bytes (RFC 9293 §3.1).
pub const MAX_OPTIONS: usize = 40;

/// How often one SYN is offered to servers before it is left to the client.
pub const MAX_OFFERS: u8 = 8;

/// What a SYN has beside the addresses, ports and number that its slot knows.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Syn {
    /// The servers that it was offered to, by their numbers.
    pub tried: Servers,
    /// Whose copy it is: slot and generation. Another connection's takes the place.
    pub owner: Owner,
    /// The window, as in the packet.
    pub window: u16,
    /// Bytes of options.
    pub options_len: u8,
    /// The hops that it had left when it came.
    pub ttl: u8,
    /// The IP header's type of service.
    pub tos: u8,
    /// How many servers it was offered to.
    pub offers: u8,
    /// The flags, as in the packet: SYN, and whether the client offers ECN (RFC 3168 §6.1.1).
    pub flags: u8,
    /// Zero.
    pub padding: u8,
    /// The options, as in the packet.
    pub options: [u32; MAX_OPTIONS / 4],
}

const _: () = assert!(size_of::<Syn>() == 64);

/// Slot and generation in one word; no connection's is zero, because no generation is.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Owner(u64);

impl Owner {
    /// Of a place that is free.
    pub const NOBODY: Self = Self(0);

    /// Of a place that is being written. No slot has this number.
    pub const BUSY: Self = Self(u64::MAX);

    /// The connection that has a slot in a generation.
    #[inline(always)]
    #[must_use]
    pub const fn new(slot: u32, generation: u16) -> Self {
        Self((generation as u64) << 32 | slot as u64)
    }

    /// The word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Where in the map its copy is.
    #[inline(always)]
    #[must_use]
    pub const fn place(self) -> u32 {
        self.0 as u32 % SYNS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_differ_by_slot_and_by_generation() {
        assert_ne!(Owner::new(1, 1), Owner::new(1, 2));
        assert_ne!(Owner::new(1, 1), Owner::new(1 + SYNS, 1));
        assert_eq!(Owner::new(1, 1).place(), Owner::new(1 + SYNS, 9).place());
        assert_ne!(Owner::new(0, 1), Owner::NOBODY);
        assert_ne!(Owner::new(u32::MAX, u16::MAX), Owner::BUSY);
    }
}
