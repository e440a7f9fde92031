//! Connections of the balancer's own host: their packets never cross its interface, so they are
//! turned where they begin, in `connect()`, and have no slot.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::{Addr, Port};

/// How many sockets are remembered; beyond that the one that was not looked at for longest goes.
pub const LOCAL_SOCKETS: u32 = 4096;

/// A socket whose `connect()` to a frontend was turned to a server: an element of the
/// `LOCAL_SOCKETS` map, by the socket's cookie.
///
/// By addresses and not by numbers, which may belong to another server before the socket is closed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct LocalSocket {
    /// The address that its program asked for: the frontend's.
    pub asked_addr: Addr,
    /// The address that it was given: the server's.
    pub server_addr: Addr,
    /// The port of the frontend.
    pub asked_port: Port,
    /// The port of the server.
    pub server_port: Port,
    /// Zero.
    pub padding: u32,
    /// When it was connected, in nanoseconds of `CLOCK_MONOTONIC`.
    pub opened_at: u64,
}

/// The first three words of an IPv4 address that stands in an IPv6 one (RFC 4291, section 2.5.5.2),
/// as they are in the memory of a socket.
const MAPPED: [u32; 3] = [0, 0, 0xffff_u32.to_be()];

/// The IPv4 address in the words of an IPv6 address, if it holds one.
#[inline(always)]
#[must_use]
pub const fn from_mapped([a, b, c, addr]: [u32; 4]) -> Option<Addr> {
    if a == MAPPED[0] && b == MAPPED[1] && c == MAPPED[2] { Some(Addr::from_wire(addr)) } else { None }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn words(address: &str) -> [u32; 4] {
        let address: Ipv6Addr = address.parse().unwrap();
        let octets = address.octets();
        core::array::from_fn(|i| u32::from_ne_bytes(octets[i * 4..][..4].try_into().unwrap()))
    }

    #[test]
    fn only_mapped_addresses_hold_an_ipv4_address() {
        let addr = Addr::from(Ipv4Addr::new(198, 18, 0, 10));
        assert_eq!(from_mapped(words("::ffff:198.18.0.10")), Some(addr));
        for other in ["::198.18.0.10", "::1", "2001:2::10", "64:ff9b::198.18.0.10", "1::ffff:198.18.0.10"] {
            assert_eq!(from_mapped(words(other)), None, "{other}");
        }
    }
}
