//! From a server's address and port to its number: the first step of a server's packet.
//!
//! A small open-addressed table. The agent inserts and removes; the program probes a fixed
//! number of places. It is read on every packet of a server, so it costs no hash-map call.
//!
//! Each place is one word and changes by one store, so the agent changes a table that packets are
//! looked up in. A removed endpoint leaves a mark: behind it there may be others that found its
//! place taken, and a search must not end there.

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

/// What a removed endpoint leaves: neither empty nor anybody's, as the number below is missing.
const REMOVED: u64 = 0xffff_ffff_ffff_0000;

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

    /// The word that enters a server, and its place; none when all its places are taken by others.
    #[must_use]
    pub fn insertion(&self, addr: Addr, port: Port, number: u16) -> Option<(usize, u64)> {
        let entry = pack(addr, port) | (u64::from(number) + 1);
        let is_free = |place: &usize| self.places[*place] == 0 || self.places[*place] == REMOVED;
        let place = self.place_of(addr, port).or_else(|| places(addr, port).find(is_free));
        place.map(|place| (place, entry))
    }

    /// The word that removes a server, and its place; none when it is not in the table.
    #[must_use]
    pub fn removal(&self, addr: Addr, port: Port) -> Option<(usize, u64)> {
        self.place_of(addr, port).map(|place| (place, REMOVED))
    }

    /// Changes one place, as [`Self::insertion`] or [`Self::removal`] says.
    pub const fn set(&mut self, (place, word): (usize, u64)) {
        self.places[place] = word;
    }

    /// Enters a server; `false` when all its places are taken by others.
    #[must_use]
    pub fn insert(&mut self, addr: Addr, port: Port, number: u16) -> bool {
        let change = self.insertion(addr, port, number);
        change.inspect(|change| self.set(*change)).is_some()
    }

    /// The places, to change one by a store of its own.
    #[must_use]
    pub const fn places_mut(&mut self) -> &mut [u64; PLACES] {
        &mut self.places
    }

    /// Where an endpoint stands.
    fn place_of(&self, addr: Addr, port: Port) -> Option<usize> {
        let wanted = pack(addr, port);
        // Neither an empty place nor a mark has a number.
        let is_it = |word: u64| word & !0xffff == wanted && word as u16 != 0;
        places(addr, port).find(|place| is_it(self.places[*place]))
    }
}

/// The places where an endpoint may stand, in the order of the search.
fn places(addr: Addr, port: Port) -> impl Iterator<Item = usize> {
    let first = place(addr, port);
    (0..PROBES).map(move |probe| (first + probe) % PLACES)
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

    /// Endpoints that share few places, so that many stand where others were.
    fn crowded() -> impl Strategy<Value = (u32, u16)> {
        (0u32..4, 0u16..4)
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(changes in proptest::collection::vec((crowded(), any::<Option<u8>>()), 0..200)) {
            let mut table = Endpoints::default();
            let mut model = HashMap::new();
            for ((addr, port), number) in changes {
                let endpoint = (Addr::from_wire(addr), Port::from_wire(port));
                if let Some(number) = number {
                    if table.insert(endpoint.0, endpoint.1, u16::from(number)) {
                        model.insert((addr, port), u16::from(number));
                    }
                } else {
                    let removal = table.removal(endpoint.0, endpoint.1);
                    prop_assert_eq!(removal.is_some(), model.remove(&(addr, port)).is_some());
                    if let Some(removal) = removal {
                        table.set(removal);
                    }
                }
                for addr in 0..4 {
                    for port in 0..4 {
                        let found = table.find(Addr::from_wire(addr), Port::from_wire(port));
                        prop_assert_eq!(found, model.get(&(addr, port)).copied());
                    }
                }
            }
        }
    }

    #[test]
    fn removed_endpoints_make_room() {
        let mut table = Endpoints::default();
        for round in 0..10 * PLACES as u32 {
            let (addr, port) = (Addr::from_wire(round), Port::new(6443));
            assert!(table.insert(addr, port, 1), "{round}");
            assert_eq!(table.find(addr, port), Some(1));
            let removal = table.removal(addr, port).expect("it is there");
            table.set(removal);
            assert_eq!(table.find(addr, port), None);
        }
    }

    #[test]
    fn the_mark_of_a_removed_endpoint_is_no_endpoint() {
        let mut table = Endpoints::default();
        let (addr, port) = (Addr::from_wire(u32::MAX), Port::from_wire(u16::MAX));
        assert!(table.insert(addr, port, 3));
        let removal = table.removal(addr, port).expect("it is there");
        table.set(removal);
        assert_eq!((table.find(addr, port), table.removal(addr, port)), (None, None));
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
