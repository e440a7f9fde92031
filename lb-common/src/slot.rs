//! Connection slots: one for each port of each NAT address and server, the whole state of a connection.
//!
//! A slot *is* a port of ours towards a server, so a server's packet finds its connection by arithmetic. The
//! program changes it by compare-and-swap of its first word; agent and CLI read the same memory.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::frontend::Timeouts;
use crate::index::Tuple;
use crate::nat::MAX_NAT_ADDRS;
use crate::net::MacWord;
use crate::reuse::Stamp;
use crate::server::MAX_SERVERS;
use crate::tcp::{Fins, Seq, Side, State};
use crate::time::Tick;

/// An element of the `SLOTS` map: all that an established packet needs, in one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Slot {
    /// The slot's state; see [`Word`].
    pub word: u32,
    /// When the last plausible packet came.
    pub last_seen: Tick,
    /// The client and the frontend.
    pub tuple: Tuple,
    /// The last sequence numbers of the client and of the server.
    pub sides: [Side; 2],
    /// Where frames to the client go, learned from its own, and the numbers of server and NAT address.
    pub ends: Ends,
    /// Packets to the server and to the client, the low 32 bits.
    pub packets: [u32; 2],
    /// TCP payload bytes to the server and to the client, retransmissions too.
    pub bytes: [u64; 2],
}

const _: () = assert!(size_of::<Slot>() == 64);

/// An element of the `DETAILS` map, by slot number: what only the rare packets of a connection
/// need. Apart from the slots, so that those of many connections fit the caches.
#[repr(C, align(32))]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Details {
    /// When the client's first SYN came, in ns of `CLOCK_MONOTONIC`; that of all its attempts, if it
    /// was offered to several servers.
    pub opened_at: u64,
    /// How often it was offered to another server before one answered.
    pub redispatched: u32,
    /// Whether its end was told to the agent.
    pub told: u32,
    /// How long after `opened_at` the server's SYN-ACK came, in µs, at least one and at most 2³² - 1;
    /// zero before.
    pub answered_after: u32,
    /// A timestamp of the client's: that of its SYN until a side has sent a FIN, and after the FIN of a
    /// server that waits, that of its last packet.
    pub stamp: Stamp,
    /// The number of a SYN that came while the connection was established; zero for none.
    pub challenged: Seq,
    /// The upper 16 of 48 bits of [`Slot::packets`].
    pub packets_high: [u16; 2],
}

const _: () = assert!(size_of::<Details>() == 32);

/// Where a connection's packets go: the client's MAC address in the low 48 bits, the server's number in
/// the next 8, the NAT address's in the upper 8. One word, so that nobody sees half of a change.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Ends(u64);

const _: () = assert!(MAX_SERVERS <= 1 << 8 && MAX_NAT_ADDRS <= 1 << 8);

impl Ends {
    /// A client's MAC address and a server's number, with the first NAT address between them.
    #[inline(always)]
    #[must_use]
    pub const fn new(client_mac: MacWord, server: u16) -> Self {
        Self((server as u64 & 0xff) << 48 | client_mac.bits())
    }

    /// The ends that [`Self::bits`] gave.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// All of it as one number, for a BPF function that takes nothing else.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The same with another NAT address, by its number.
    #[inline(always)]
    #[must_use]
    pub const fn with_nat(self, nat: u16) -> Self {
        Self(self.0 & !(0xff << 56) | (nat as u64) << 56)
    }

    /// The same with another MAC address of the client.
    #[inline(always)]
    #[must_use]
    pub const fn with_client_mac(self, client_mac: MacWord) -> Self {
        Self(self.0 & 0xffff << 48 | client_mac.bits())
    }

    /// The client's MAC address, or its router's.
    #[inline(always)]
    #[must_use]
    pub const fn client_mac(self) -> MacWord {
        MacWord::from_bits(self.0)
    }

    /// The server's number.
    #[inline(always)]
    #[must_use]
    pub const fn server(self) -> u16 {
        (self.0 >> 48) as u16 & 0xff
    }

    /// The NAT address's number.
    #[inline(always)]
    #[must_use]
    pub const fn nat(self) -> u16 {
        (self.0 >> 56) as u16
    }
}

/// A slot's state word: generation (16 bits), [`Fins`] (8), state (8).
///
/// The generation changes whenever the slot is claimed, so that index entries for its former
/// connection stop holding. It is never zero in a slot that has been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub u32);

impl Word {
    /// The state.
    #[inline(always)]
    #[must_use]
    pub const fn state(self) -> State {
        State::from_bits(self.0 as u8)
    }

    /// Which sides have sent a FIN, and how.
    #[inline(always)]
    #[must_use]
    pub const fn fins(self) -> Fins {
        Fins((self.0 >> 8) as u8)
    }

    /// How often the slot has been claimed, modulo 2¹⁶ and skipping zero.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The same generation in another state.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, state: State, fins: Fins) -> Self {
        Self(self.0 & 0xffff_0000 | (fins.0 as u32) << 8 | state as u32)
    }

    /// The word of whoever claims the slot next.
    #[inline(always)]
    #[must_use]
    pub const fn claimed(self) -> Self {
        let next = self.generation().wrapping_add(1);
        let generation = if next == 0 { 1 } else { next };
        Self((generation as u32) << 16 | State::Claimed as u32)
    }

    /// Whether a connection of this state, last seen at `last_seen`, still holds its slot.
    #[inline(always)]
    #[must_use]
    pub fn is_live(self, last_seen: Tick, now: Tick, timeouts: &Timeouts) -> bool {
        if matches!(self.state(), State::Established) {
            // The common case, before the compiler searches for it.
            return last_seen.age(now).0 <= timeouts.idle.0;
        }
        match self.state() {
            State::Free | State::Left => return false,
            // Its claimer is between two instructions.
            State::Claimed => return true,
            _ => {}
        }
        let lifetime = timeouts.of(self.state());
        last_seen.age(now).0 <= lifetime.0
    }
}

impl Slot {
    /// The state word.
    #[inline(always)]
    #[must_use]
    pub const fn word(&self) -> Word {
        Word(self.word)
    }

    /// The server's number.
    #[inline(always)]
    #[must_use]
    pub const fn server(&self) -> u16 {
        self.ends.server()
    }

    /// Packets to the server (0) or to the client (1).
    #[must_use]
    pub const fn packets(&self, details: &Details, direction: usize) -> u64 {
        (details.packets_high[direction] as u64) << 32 | self.packets[direction] as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Mac;
    use crate::time::Ticks;

    #[test]
    fn ends_round_trip() {
        let mac = MacWord::from(Mac([1, 2, 3, 4, 5, 0xff]));
        let ends = Ends::new(mac, 0xfe);
        assert_eq!((ends.client_mac(), ends.server(), ends.nat()), (mac, 0xfe, 0));
        let ends = ends.with_nat(0xfd);
        assert_eq!((ends.client_mac(), ends.server(), ends.nat()), (mac, 0xfe, 0xfd));
        let other = MacWord::from(Mac([6, 5, 4, 3, 2, 0xff]));
        let ends = ends.with_client_mac(other);
        assert_eq!((ends.client_mac(), ends.server(), ends.nat()), (other, 0xfe, 0xfd));
    }

    #[test]
    fn words_round_trip() {
        let word = Word(0x1234_0000).with(State::Established, Fins::CLIENT);
        assert_eq!(word.generation(), 0x1234);
        assert_eq!(word.state(), State::Established);
        assert_eq!(word.fins(), Fins::CLIENT);
    }

    #[test]
    fn claiming_changes_the_generation_and_skips_zero() {
        assert_eq!(Word(0).claimed().generation(), 1);
        assert_eq!(Word(0xffff_0000).claimed().generation(), 1);
        assert_eq!(Word(7 << 16 | 4).claimed(), Word(8 << 16 | State::Claimed as u32));
    }

    #[test]
    fn each_state_lives_as_long_as_it_should() {
        let timeouts =
            Timeouts { connect: Ticks(10), idle: Ticks(86_400), time_wait: Ticks(60), closed: Ticks(5) };
        for (state, lifetime) in [
            (State::SynSent, 10),
            (State::SynReceived, 10),
            (State::Established, 86_400),
            (State::TimeWait, 60),
            (State::Closed, 5),
            (State::Abandoned, 60),
            (State::Reset, 60),
        ] {
            let word = Word(1 << 16).with(state, Fins::NONE);
            assert!(word.is_live(Tick(7), Tick(7 + lifetime), &timeouts), "{state:?}");
            assert!(!word.is_live(Tick(7), Tick(8 + lifetime), &timeouts), "{state:?}");
        }
        for nobodys in [State::Free, State::Left] {
            assert!(!Word(1 << 16).with(nobodys, Fins::BOTH).is_live(Tick(0), Tick(0), &timeouts));
        }
        assert!(Word(0).claimed().is_live(Tick(0), Tick(1 << 20), &timeouts));
    }
}
