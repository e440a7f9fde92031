//! Who has which number in the maps.
//!
//! Connections name their server and their frontend by number, so a number stays with its owner as
//! long as there may be connections: through every restart and reload, and after its owner has left
//! the configuration until its last connection has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

/// The numbers of the servers or of the frontends, each known by its address: where a server
/// listens, or where clients connect to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    owners: BTreeMap<u16, SocketAddrV4>,
}

/// There are not enough numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// How many numbers there are.
    pub room: u16,
    /// How many are wanted.
    pub wanted: usize,
    /// How many are kept for connections of those that have left the configuration.
    pub leaving: usize,
}

impl Numbers {
    /// Numbers as they were found.
    #[must_use]
    pub fn new(owners: BTreeMap<u16, SocketAddrV4>) -> Self {
        Self { owners }
    }

    /// The numbers once exactly these are configured: whoever has one keeps it, also those that are
    /// not wanted any more; others get free ones.
    pub fn assign(&self, wanted: &[SocketAddrV4], room: u16) -> Result<Self, NoRoom> {
        let mut next = self.clone();
        let known: BTreeSet<_> = self.owners.values().copied().collect();
        let mut free = (0..room).filter(|number| !self.owners.contains_key(number));
        for address in wanted.iter().filter(|address| !known.contains(address)) {
            let no_room = || NoRoom { room, wanted: wanted.len(), leaving: self.leaving(wanted).count() };
            next.owners.insert(free.next().ok_or_else(no_room)?, *address);
        }
        Ok(next)
    }

    /// The numbers of those that are not wanted any more.
    pub fn leaving(&self, wanted: &[SocketAddrV4]) -> impl Iterator<Item = u16> {
        let owners = self.owners.iter().filter(|(_, address)| !wanted.contains(address));
        owners.map(|(number, _)| *number)
    }

    /// The number that an address has.
    #[must_use]
    pub fn of(&self, address: SocketAddrV4) -> Option<u16> {
        self.owners.iter().find_map(|(number, owner)| (*owner == address).then_some(*number))
    }

    /// All numbers that are taken, with their owners.
    pub fn iter(&self) -> impl Iterator<Item = (u16, SocketAddrV4)> + '_ {
        self.owners.iter().map(|(number, address)| (*number, *address))
    }

    /// Gives a number back: its last connection has ended.
    pub fn release(&mut self, number: u16) {
        self.owners.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const ROOM: u16 = 8;

    fn address(host: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, host), 6443)
    }

    fn addresses(hosts: &BTreeSet<u8>) -> Vec<SocketAddrV4> {
        hosts.iter().copied().map(address).collect()
    }

    #[test]
    fn the_first_are_numbered_in_order() {
        let numbers = Numbers::default().assign(&[address(15), address(11)], ROOM).unwrap();
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [(0, address(15)), (1, address(11))]);
    }

    #[test]
    fn who_leaves_keeps_its_number_until_it_is_released() {
        let before = Numbers::default().assign(&[address(11), address(15)], 2).unwrap();
        let wanted = [address(15), address(16)];
        let no_room = NoRoom { room: 2, wanted: 2, leaving: 1 };
        assert_eq!(before.assign(&wanted, 2), Err(no_room));

        let mut released = before.clone();
        released.release(0);
        let after = released.assign(&wanted, 2).unwrap();
        assert_eq!(after.iter().collect::<Vec<_>>(), [(0, address(16)), (1, address(15))]);
        assert_eq!(after.leaving(&wanted).count(), 0);
    }

    #[test]
    fn who_comes_back_has_its_number_again() {
        let both = Numbers::default().assign(&[address(11), address(15)], ROOM).unwrap();
        let one = both.assign(&[address(15)], ROOM).unwrap();
        assert_eq!(one.leaving(&[address(15)]).collect::<Vec<_>>(), [0]);
        assert_eq!(one.assign(&[address(11), address(15)], ROOM).unwrap(), both);
    }

    proptest! {
        /// Any series of configurations, with some of those that left released in between.
        #[test]
        fn numbers_are_kept_and_never_shared(
            configurations in prop::collection::vec((prop::collection::btree_set(0u8..12, 0..6), any::<u16>()), 1..8),
        ) {
            let mut numbers = Numbers::default();
            for (hosts, released) in configurations {
                let wanted = addresses(&hosts);
                match numbers.assign(&wanted, ROOM) {
                    Ok(next) => {
                        for (number, address) in numbers.iter() {
                            prop_assert_eq!(next.of(address), Some(number), "a number changed or was lost");
                        }
                        for address in &wanted {
                            prop_assert!(next.of(*address).is_some_and(|number| number < ROOM));
                        }
                        let owners: BTreeSet<_> = next.iter().map(|(_, address)| address).collect();
                        prop_assert_eq!(owners.len(), next.iter().count(), "an address has two numbers");
                        numbers = next;
                    }
                    Err(no_room) => {
                        let left = numbers.leaving(&wanted).count();
                        prop_assert_eq!((no_room.wanted, no_room.leaving), (wanted.len(), left));
                        prop_assert!(left + wanted.len() > usize::from(ROOM), "refused with room left");
                    }
                }
                let gone: Vec<_> =
                    numbers.leaving(&wanted).filter(|number| released & 1 << number != 0).collect();
                for number in gone {
                    numbers.release(number);
                }
            }
        }
    }
}
