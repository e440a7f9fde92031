//! The flows that the packet bench runs through, in an order that no prefetcher guesses, and what its
//! prototype knows of each.
//!
//! Connections lie in memory more or less in the order in which they were opened. So they are opened in
//! one order, and their packets come in another.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::{Addr, Mac, MacWord, Port};

/// The MAC address of the bench's interface.
pub const MAC: Mac = Mac([2, 0, 0, 0, 0, 10]);

/// Which flow is next.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Flows {
    /// How many have been taken.
    pub taken: u64,
    /// log2 of how many flows there are; after that many they come again.
    pub bits: u32,
    /// The address of the frontend that they go to.
    pub addr: Addr,
    /// Its port.
    pub port: Port,
    /// Not zero: they come in the order of their numbers.
    pub sorted: u16,
    /// How many packets the prototype did not know.
    pub missed: u32,
}

/// Whose a packet is: the prototype's key, in both directions.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct FourTuple {
    /// The sender's address.
    pub source: Addr,
    /// The receiver's address.
    pub destination: Addr,
    /// The sender's port.
    pub source_port: Port,
    /// The receiver's port.
    pub destination_port: Port,
}

/// What it becomes: the prototype's value.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Onward {
    /// Where the frame goes.
    pub next_hop: MacWord,
    /// The new sender and receiver.
    pub ends: FourTuple,
    /// Zero.
    pub padding: u32,
}

const _: () = assert!(size_of::<FourTuple>() == 12 && size_of::<Onward>() == 24);

/// log2 of the clients' ports at each of their addresses.
const PORT_BITS: u32 = 15;

/// The first of the clients' ports.
const FIRST_PORT: u16 = 10_000;

/// The first of the clients' addresses: 198.18.128.0.
const FIRST_ADDR: u32 = 0xc612_8000;

impl Flows {
    /// 2^`bits` flows to a frontend in random order, from the first on.
    #[must_use]
    pub const fn new(bits: u32, addr: Addr, port: Port) -> Self {
        Self { taken: 0, bits, addr, port, sorted: 0, missed: 0 }
    }

    /// The same flows in the order of their numbers.
    #[must_use]
    pub const fn sorted(self) -> Self {
        Self { sorted: 1, ..self }
    }

    /// The client of the next flow.
    #[inline(always)]
    pub const fn next(&mut self) -> (Addr, Port) {
        let n = self.taken as u32 & mask(self.bits);
        self.taken += 1;
        let flow = if self.sorted == 0 { permute(n, self.bits) } else { n };
        let port = FIRST_PORT + (flow & ((1 << PORT_BITS) - 1)) as u16;
        let addr = FIRST_ADDR + (flow >> PORT_BITS);
        (Addr::from_wire(addr.to_be()), Port::new(port))
    }
}

/// The numbers below 2^`bits`.
#[inline(always)]
const fn mask(bits: u32) -> u32 {
    (1 << bits) - 1
}

/// A pseudo-random permutation of the numbers below 2^`bits`: each step is a bijection on them.
#[inline(always)]
const fn permute(n: u32, bits: u32) -> u32 {
    let mask = mask(bits);
    let n = n.wrapping_mul(0x9e37_79b1) & mask;
    let n = n ^ n >> (bits / 2);
    let n = n.wrapping_mul(0x85eb_ca6b) & mask;
    n ^ n >> (bits / 2)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_flow_comes_once_in_a_round() {
        let random = Flows::new(16, Addr::default(), Port::default());
        for mut flows in [random, random.sorted()] {
            let mut seen = HashSet::new();
            for _ in 0..1 << 16 {
                assert!(seen.insert(flows.next()));
            }
            assert!(!seen.insert(flows.next()));
        }
    }

    #[test]
    fn neighbours_do_not_follow_each_other() {
        let mut random = Flows::new(16, Addr::default(), Port::default());
        let mut sorted = random.sorted();
        let (addr, port) = sorted.next();
        assert_eq!(sorted.next(), (addr, Port::new(port.number() + 1)));
        let mut ports = [(); 1000].map(|()| random.next().1.number());
        assert!(!ports.is_sorted());
        let near = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 64).count();
        assert!(near < 20, "{near} of 1000");
        ports.sort_unstable();
        assert!(ports[999] - ports[0] > 30_000);
    }
}
