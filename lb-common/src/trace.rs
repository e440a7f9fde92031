//! What the program tells a tracer: records of the `TRACES` ring buffer, and which packets it wants.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::{Addr, Port};
use crate::reason::Reason;

/// Bytes of the ring buffer: a power of two, and whole pages also where a page has 64 KiB. At 100,000
/// packets a second the tracer has a tenth of a second to read it.
pub const TRACES_BYTES: u32 = 2 << 20;

/// Bytes that are kept of a frame: Ethernet, IPv4 and TCP with all its options, and what comes next up to a
/// power of two.
pub const SNAP: usize = 128;

const _: () = assert!(SNAP.is_power_of_two());

/// A packet, as it came and as it left.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Record {
    /// When it came, in ns of `CLOCK_MONOTONIC`; zero in a place where none is.
    pub at: u64,
    /// The whole lengths of the frame as it came and as it left; zero for one that did not leave.
    pub lengths: [u32; 2],
    /// What became of it.
    pub outcome: Outcome,
    /// What the kernel was told; see [`Ended`].
    pub ended: u8,
    /// Zero.
    pub padding: [u8; 5],
    /// The beginnings of both frames, as far as they are so long.
    pub frames: [[u8; SNAP]; 2],
}

const _: () = assert!(size_of::<Record>() == 280);

/// What the kernel does with a traced packet.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It goes to the host.
    Passed = 0,
    /// It ends.
    Dropped = 1,
    /// It leaves, or another one in its place.
    Sent = 2,
}

/// A reason, or none for a packet that was plainly forwarded.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Outcome(u16);

/// An address and a port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct End {
    /// The address.
    pub addr: Addr,
    /// The port; zero where there is none.
    pub port: Port,
    /// Zero.
    pub padding: u16,
}

/// The one value of the `TRACING` map: whose tracer it is, and which packets it wants. What is zero does
/// not matter.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Tracing {
    /// A client's address, its bits beyond the mask zero.
    pub client: Addr,
    /// The mask.
    pub client_mask: Addr,
    /// A server.
    pub server: End,
    /// A frontend.
    pub frontend: End,
    /// A port.
    pub port: Port,
    /// What becomes of the packet; [`Outcome::ANY`] for whatever does.
    pub outcome: Outcome,
    /// The tracer's process.
    pub owner: u32,
    /// Records that the ring buffer had no room for.
    pub lost: u64,
    /// Zero: to the end of the cache line.
    pub padding: [u64; 3],
}

const _: () = assert!(size_of::<Tracing>() == 64);

impl Outcome {
    /// Plain forwarding.
    pub const FORWARDED: Self = Self(0);

    /// Of a filter that takes all.
    pub const ANY: Self = Self(u16::MAX);

    /// Another one.
    #[inline(always)]
    #[must_use]
    pub const fn of(reason: Reason) -> Self {
        Self(reason as u16 + 1)
    }

    /// The reason, if it was not plainly forwarded.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        Reason::ALL.get(usize::from(self.0.checked_sub(1)?)).copied()
    }
}

impl End {
    const fn is(self, wanted: Self) -> bool {
        self.addr.wire() == wanted.addr.wire() && self.port.wire() == wanted.port.wire()
    }

    const fn is_any(self) -> bool {
        self.addr.wire() == 0
    }
}

/// Where addresses and ports are in a frame without IP options.
const SOURCE: usize = 26;
const DESTINATION: usize = 30;
const SOURCE_PORT: usize = 34;
const DESTINATION_PORT: usize = 36;

impl Record {
    /// Source and destination of the frame as it came, and as it left if it did.
    #[inline(always)]
    #[must_use]
    pub const fn ends(&self) -> [End; 4] {
        let [came, left] = &self.frames;
        let left = if self.lengths[1] == 0 { came } else { left };
        [
            end(came, SOURCE, SOURCE_PORT),
            end(came, DESTINATION, DESTINATION_PORT),
            end(left, SOURCE, SOURCE_PORT),
            end(left, DESTINATION, DESTINATION_PORT),
        ]
    }
}

#[inline(always)]
const fn end(frame: &[u8; SNAP], addr: usize, port: usize) -> End {
    let [a, b, c, d] = [frame[addr], frame[addr + 1], frame[addr + 2], frame[addr + 3]];
    End {
        addr: Addr::from_wire(u32::from_ne_bytes([a, b, c, d])),
        port: Port::from_wire(u16::from_ne_bytes([frame[port], frame[port + 1]])),
        padding: 0,
    }
}

impl Tracing {
    /// Wants all, for a process.
    #[must_use]
    pub const fn all(owner: u32) -> Self {
        let any = End { addr: Addr::from_wire(0), port: Port::new(0), padding: 0 };
        Self {
            client: Addr::from_wire(0),
            client_mask: Addr::from_wire(0),
            server: any,
            frontend: any,
            port: Port::new(0),
            outcome: Outcome::ANY,
            owner,
            lost: 0,
            padding: [0; 3],
        }
    }

    /// Whether a packet is wanted: one of its ends, before or after the rewrite, is as each condition says.
    #[inline(always)]
    #[must_use]
    pub const fn wants(&self, record: &Record) -> bool {
        let [a, b, c, d] = record.ends();
        let is_client = self.is_client(a) || self.is_client(b) || self.is_client(c) || self.is_client(d);
        let is_outcome = self.outcome.0 == Outcome::ANY.0 || self.outcome.0 == record.outcome.0;
        let is_port = self.port.wire() == 0
            || a.port.wire() == self.port.wire()
            || b.port.wire() == self.port.wire()
            || c.port.wire() == self.port.wire()
            || d.port.wire() == self.port.wire();
        is_client
            && is_outcome
            && is_port
            && one_is(self.server, [a, b, c, d])
            && one_is(self.frontend, [a, b, c, d])
    }

    #[inline(always)]
    const fn is_client(&self, end: End) -> bool {
        end.addr.wire() & self.client_mask.wire() == self.client.wire()
    }
}

/// Whether one of a packet's ends is the wanted one.
#[inline(always)]
const fn one_is(wanted: End, [a, b, c, d]: [End; 4]) -> bool {
    wanted.is_any() || a.is(wanted) || b.is(wanted) || c.is(wanted) || d.is(wanted)
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use zerocopy::FromZeros;

    use super::*;

    fn at(host: u8, port: u16) -> End {
        End { addr: Ipv4Addr::new(198, 18, 0, host).into(), port: Port::new(port), padding: 0 }
    }

    fn write(frame: &mut [u8; SNAP], source: End, destination: End) {
        frame[SOURCE..][..4].copy_from_slice(&source.addr.wire().to_ne_bytes());
        frame[DESTINATION..][..4].copy_from_slice(&destination.addr.wire().to_ne_bytes());
        frame[SOURCE_PORT..][..2].copy_from_slice(&source.port.wire().to_ne_bytes());
        frame[DESTINATION_PORT..][..2].copy_from_slice(&destination.port.wire().to_ne_bytes());
    }

    /// From a client to the frontend, and on to a server.
    fn forwarded() -> Record {
        let mut record = Record::new_zeroed();
        record.lengths = [60, 60];
        let [came, left] = &mut record.frames;
        write(came, at(101, 40_000), at(10, 6443));
        write(left, at(10, 10_240), at(15, 7443));
        record
    }

    #[test]
    fn a_packet_has_four_ends() {
        let record = forwarded();
        assert_eq!(record.ends(), [at(101, 40_000), at(10, 6443), at(10, 10_240), at(15, 7443)]);
        let stays = Record { lengths: [60, 0], ..record };
        assert_eq!(stays.ends(), [at(101, 40_000), at(10, 6443), at(101, 40_000), at(10, 6443)]);
    }

    #[test]
    fn each_condition_must_hold() {
        let all = Tracing::all(1);
        let mask = |bytes| Addr::from(Ipv4Addr::from(bytes));
        let client = |host, octets| Tracing { client: at(host, 0).addr, client_mask: mask(octets), ..all };
        let outcome = |outcome| Tracing { outcome, ..all };
        for (tracing, wanted) in [
            (all, true),
            (client(101, [255; 4]), true),
            (client(102, [255; 4]), false),
            (client(0, [255, 255, 255, 0]), true),
            (Tracing { server: at(15, 7443), ..all }, true),
            (Tracing { server: at(15, 7444), ..all }, false),
            (Tracing { server: at(16, 7443), ..all }, false),
            (Tracing { frontend: at(10, 6443), ..all }, true),
            (Tracing { frontend: at(10, 80), ..all }, false),
            (Tracing { frontend: at(10, 6443), server: at(16, 7443), ..all }, false),
            (Tracing { port: Port::new(10_240), ..all }, true),
            (Tracing { port: Port::new(1), ..all }, false),
            (outcome(Outcome::FORWARDED), true),
            (outcome(Outcome::of(Reason::NoSlot)), false),
        ] {
            assert_eq!(tracing.wants(&forwarded()), wanted, "{tracing:?}");
        }
    }

    #[test]
    fn outcomes_are_reasons_or_none() {
        assert_eq!(Outcome::FORWARDED.reason(), None);
        assert_eq!(Outcome::ANY.reason(), None);
        for reason in Reason::ALL {
            assert_eq!(Outcome::of(*reason).reason(), Some(*reason));
        }
    }
}
