//! From a server's address and port to its number: the first step of a server's packet.
//!
//! A small open-addressed table. The agent inserts; the program probes a fixed
//! number of places. It is read on every packet of a server, so it costs no hash-map call.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::{Addr, Port};

/// Places in the table: sixteen for each server that there can be.
pub const PLACES: usize = 1024;

/// How many places after its own an endpoint may stand.
pub const PROBES: usize = 8;

/// The table.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Endpoints {
    places: [u64; PLACES],
}

impl Default for Endpoints {
    fn default() -> Self {
        Self { places: [0; PLACES] }
    }
}

/// The place where an endpoint is looked for first.
#[inline(always)]
fn place(addr: Addr, port: Port) -> usize {
    // Fibonacci hashing: the upper bits of a product with 2³²/φ. Servers are configured, not
    // chosen by strangers, so no key is needed.
    let word = addr.wire() ^ u32::from(port.wire()) << 16;
    (word.wrapping_mul(0x9e37_79b9) >> (u32::BITS - PLACES.ilog2())) as usize
}

/// Address and port above, room for the number plus one below: so an empty place is zero.
#[inline(always)]
fn pack(addr: Addr, port: Port) -> u64 {
    u64::from(addr.wire()) << 32 | u64::from(port.wire()) << 16
}

impl Endpoints {
    /// The number of the server at `addr` and `port`.
    #[inline(always)]
    #[must_use]
    pub fn find(&self, addr: Addr, port: Port) -> Option<u16> {
        let wanted = pack(addr, port);
        let first = place(addr, port);
        for probe in 0..PROBES {
            let entry = self.places[(first + probe) % PLACES];
            if entry & !0xffff == wanted {
                return (entry as u16).checked_sub(1);
            }
            if entry == 0 {
                return None;
            }
        }
        None
    }

    /// Enters a server; `false` when all its places are taken by others.
    #[must_use]
    pub fn insert(&mut self, addr: Addr, port: Port, number: u16) -> bool {
        let entry = pack(addr, port) | (u64::from(number) + 1);
        let first = place(addr, port);
        for probe in 0..PROBES {
            let found = &mut self.places[(first + probe) % PLACES];
            if *found == 0 || *found & !0xffff == pack(addr, port) {
                *found = entry;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::server::MAX_SERVERS;

    proptest! {
        #[test]
        fn finds_what_was_inserted_and_nothing_else(
            servers in proptest::collection::hash_map(any::<(u32, u16)>(), 0u16..64, 1..MAX_SERVERS as usize),
            other: (u32, u16),
        ) {
            let mut table = Endpoints::default();
            let servers: HashMap<(u32, u16), u16> = servers;
            for ((addr, port), number) in &servers {
                prop_assert!(table.insert(Addr::from_wire(*addr), Port::from_wire(*port), *number));
            }
            for ((addr, port), number) in &servers {
                let found = table.find(Addr::from_wire(*addr), Port::from_wire(*port));
                prop_assert_eq!(found, Some(*number));
            }
            if !servers.contains_key(&other) {
                prop_assert_eq!(table.find(Addr::from_wire(other.0), Port::from_wire(other.1)), None);
            }
        }
    }

    #[test]
    fn the_servers_of_one_lan_fit() {
        let mut table = Endpoints::default();
        for host in 0..MAX_SERVERS {
            let addr = Addr::from(core::net::Ipv4Addr::from(0xc612_0000 + host));
            assert!(table.insert(addr, Port::new(6443), host as u16), "{addr}");
        }
    }
}
