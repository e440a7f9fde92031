//! Addresses as they stand in a packet: network byte order behind typed accessors.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An IPv4 address, held as the four bytes of the header read as one native word.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Addr(u32);

impl Addr {
    /// Takes the word as it was read from a packet.
    #[inline(always)]
    #[must_use]
    pub const fn from_wire(word: u32) -> Self {
        Self(word)
    }

    /// The word as it is written to a packet.
    #[inline(always)]
    #[must_use]
    pub const fn wire(self) -> u32 {
        self.0
    }

    /// Whether packets may come from this address, as far as the address tells (RFC 1122 §3.2.1.3): not
    /// from "this network", a loopback interface, a group, or everybody.
    #[inline(always)]
    #[must_use]
    pub const fn is_source(self) -> bool {
        let [first, ..] = self.0.to_ne_bytes();
        !matches!(first, 0 | 127 | 224..=239) && self.0 != u32::MAX
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(addr: Ipv4Addr) -> Self {
        Self(u32::from_ne_bytes(addr.octets()))
    }
}

impl From<Addr> for Ipv4Addr {
    fn from(addr: Addr) -> Self {
        Self::from(addr.0.to_ne_bytes())
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from(*self).fmt(f)
    }
}

/// A TCP port, held as the two bytes of the header read as one native half-word.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Port(u16);

impl Port {
    /// A port by its number.
    #[inline(always)]
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number.to_be())
    }

    /// The port's number.
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u16 {
        u16::from_be(self.0)
    }

    /// Takes the half-word as it was read from a packet.
    #[inline(always)]
    #[must_use]
    pub const fn from_wire(word: u16) -> Self {
        Self(word)
    }

    /// The half-word as it is written to a packet.
    #[inline(always)]
    #[must_use]
    pub const fn wire(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// An address and a port, as `ip:port`.
#[must_use]
pub fn socket_addr(addr: Addr, port: Port) -> SocketAddrV4 {
    SocketAddrV4::new(addr.into(), port.number())
}

/// An Ethernet address.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Whether a frame may be sent to this address as to one host: not zero, not a group.
    #[inline(always)]
    #[must_use]
    pub fn is_unicast(self) -> bool {
        MacWord::from(self).is_unicast()
    }
}

/// An Ethernet address in the low 48 bits of a word.
///
/// The form that travels through the program: the BPF verifier wants every access to the stack
/// aligned to its size, which six bytes are not.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct MacWord(u64);

impl From<Mac> for MacWord {
    #[inline(always)]
    fn from(Mac([a, b, c, d, e, f]): Mac) -> Self {
        Self(u64::from(u32::from_le_bytes([a, b, c, d])) | u64::from(u16::from_le_bytes([e, f])) << 32)
    }
}

impl From<MacWord> for Mac {
    #[inline(always)]
    fn from(MacWord(word): MacWord) -> Self {
        let [a, b, c, d] = (word as u32).to_le_bytes();
        let [e, f] = ((word >> 32) as u16).to_le_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl MacWord {
    /// The address as the low 48 bits of a word.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The address in the low 48 bits of a word.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(word: u64) -> Self {
        Self(word & 0xffff_ffff_ffff)
    }

    /// As [`Mac::is_unicast`].
    #[inline(always)]
    #[must_use]
    pub const fn is_unicast(&self) -> bool {
        self.0 & 1 == 0 && self.0 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn addresses_keep_network_order() {
        let addr = Addr::from(Ipv4Addr::new(198, 18, 0, 10));
        assert_eq!(addr.wire().to_ne_bytes(), [198, 18, 0, 10]);
        assert_eq!(Port::new(6443).wire().to_ne_bytes(), [0x19, 0x2b]);
        assert_eq!(socket_addr(addr, Port::new(6443)).to_string(), "198.18.0.10:6443");
    }

    #[test]
    fn packets_come_from_hosts() {
        let is_source = |a, b, c, d| Addr::from(Ipv4Addr::new(a, b, c, d)).is_source();
        assert!(is_source(10, 4, 0, 1) && is_source(223, 255, 255, 255) && is_source(240, 0, 0, 1));
        for first in [0, 127, 224, 239] {
            assert!(!is_source(first, 1, 2, 3));
        }
        assert!(!is_source(255, 255, 255, 255));
    }

    #[test]
    fn only_single_hosts_are_unicast() {
        let unicast = |bytes| Mac(bytes).is_unicast();
        assert!(unicast([2, 0, 0, 0, 0, 1]));
        assert!(!unicast([0; 6]));
        assert!(!unicast([0xff; 6]));
        assert!(!unicast([0x33, 0x33, 0, 0, 0, 1]));
    }

    #[test]
    fn mac_words_round_trip() {
        let mac = Mac([1, 2, 3, 4, 5, 6]);
        assert_eq!(Mac::from(MacWord::from(mac)), mac);
    }
}
