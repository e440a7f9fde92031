//! The flows that benches of the packet path run through, in an order that no prefetcher guesses, and what
//! the prototype knows of each.
//!
//! Connections lie in memory more or less in the order in which they were opened. So they are opened in
//! one order, and their packets come in another.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::{Addr, Mac, MacWord, Port};

/// The MAC address of the packet bench's interface.
pub const MAC: Mac = Mac([2, 0, 0, 0, 0, 10]);

/// Which flow is next.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Flows {
    /// How many have been taken of this round.
    pub taken: u32,
    /// How many there are; after that many they come again.
    pub count: u32,
    /// log2 of that, rounded up.
    pub bits: u32,
    /// The address of the frontend that they go to.
    pub addr: Addr,
    /// Its port.
    pub port: Port,
    /// Where their frames come from.
    pub client_mac: Mac,
    /// Where they go.
    pub our_mac: Mac,
    /// Not zero: they come in the order of their numbers.
    pub sorted: u16,
    /// How many packets the prototype knew.
    pub known: u32,
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

/// Steps in search of the next flow's number. Half of the numbers at least are flows, so it takes hardly
/// ever more than a few; the verifier wants a limit.
const STEPS: u32 = 64;

impl Flows {
    /// So many flows in random order, by frames from one MAC address to another, to a frontend.
    #[must_use]
    pub const fn new(count: u32, (client_mac, our_mac): (Mac, Mac), (addr, port): (Addr, Port)) -> Self {
        let bits = count.next_power_of_two().trailing_zeros();
        Self { taken: 0, count, bits, addr, port, client_mac, our_mac, sorted: 0, known: 0 }
    }

    /// The same flows in the order of their numbers.
    #[must_use]
    pub const fn sorted(self) -> Self {
        Self { sorted: 1, ..self }
    }

    /// The client of the next flow.
    #[inline(always)]
    pub const fn next(&mut self) -> (Addr, Port) {
        let flow = if self.sorted == 0 { self.flow() } else { self.taken };
        self.taken = if self.taken + 1 < self.count { self.taken + 1 } else { 0 };
        let port = FIRST_PORT + (flow & ((1 << PORT_BITS) - 1)) as u16;
        let addr = FIRST_ADDR + (flow >> PORT_BITS);
        (Addr::from_wire(addr.to_be()), Port::new(port))
    }

    /// The number of the next flow: a permutation of a power of two, of which what is too large is passed
    /// over ("cycle walking"), so that a permutation is left of those below the count.
    #[inline(always)]
    const fn flow(&self) -> u32 {
        let mut flow = permute(self.taken, self.bits);
        let mut steps = 0;
        while flow >= self.count && steps < STEPS {
            flow = permute(flow, self.bits);
            steps += 1;
        }
        flow
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
        for count in [1_000, 10_000, 65_536, 100_000, 1_000_000] {
            for mut flows in [flows(count), flows(count).sorted()] {
                let round: HashSet<_> = (0..count).map(|_| flows.next()).collect();
                assert_eq!(round.len(), count as usize);
                assert_eq!(flows.taken, 0, "the next round begins");
                // None but those that were wanted: their clients' addresses follow each other.
                let clients: HashSet<_> = round.iter().map(|(addr, _)| addr.wire()).collect();
                assert_eq!(clients.len() as u32, count.div_ceil(1 << PORT_BITS));
            }
        }
    }

    #[test]
    fn neighbours_do_not_follow_each_other() {
        let mut random = flows(1 << 16);
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

    fn flows(count: u32) -> Flows {
        Flows::new(count, (MAC, MAC), (Addr::default(), Port::default()))
    }
}
